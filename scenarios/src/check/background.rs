//! Traffic that is not ours.

use algorithms::ids::HostId;
use models::cluster::{BackgroundTraffic, TrafficPattern};
use sim_core::Span;

use super::Checker;
use super::hosts::{Hosts, some_bandwidth};
use super::network::Joined;
use crate::error::Problem;
use crate::file::{BackgroundFile, PatternFile};
use crate::read::at::At;

impl Checker {
    pub(crate) fn background(
        &mut self,
        files: &[At<BackgroundFile>],
        hosts: &Hosts,
        network: &Joined,
    ) -> Vec<BackgroundTraffic> {
        let mut traffic = Vec::with_capacity(files.len());
        for file in files {
            if self.problems.are_enough() {
                break;
            }
            traffic.extend(self.problems.take(one(file, hosts, network)));
        }
        traffic
    }
}

fn one(file: &BackgroundFile, hosts: &Hosts, network: &Joined) -> Result<BackgroundTraffic, Problem> {
    let (from, to) = (hosts.table.one(&file.from)?, hosts.table.one(&file.to)?);
    let (source, destination) = (HostId(from), HostId(to));
    if from == to {
        return Err(Problem::at(
            file.to.place,
            "traffic from a host to itself crosses no network",
            "the same host",
        ));
    }
    if !network.joins(source, destination) {
        return Err(no_path(&file.to, hosts, source, destination, network));
    }
    let name = || format!("{} → {}", hosts.table.name(from), hosts.table.name(to));
    Ok(BackgroundTraffic {
        name: file.name.clone().unwrap_or_else(name).into(),
        source,
        destination,
        rate: some_bandwidth(&file.rate, "this traffic")?,
        weight: weight(file.weight.as_ref())?,
        pattern: pattern(file.pattern.as_ref())?,
    })
}

/// The problem that nothing joins two hosts.
pub(super) fn no_path(
    at: &At<String>,
    hosts: &Hosts,
    source: HostId,
    destination: HostId,
    network: &Joined,
) -> Problem {
    let (a, b) = (hosts.table.name(source.0), hosts.table.name(destination.0));
    let message = format!("the network has no path from `{a}` to `{b}`");
    let problem = Problem::at(at.place, message, format!("cannot be reached from `{a}`"));
    let problem = problem.help("add links to `network` that join the two, by way of a switch perhaps");
    match network.place {
        Some(place) => problem.also(place, "the network"),
        None => problem,
    }
}

fn weight(given: Option<&At<f64>>) -> Result<f64, Problem> {
    match given {
        None => Ok(1.0),
        Some(given) if given.is_finite() && given.value > 0.0 => Ok(given.value),
        Some(given) => {
            let message = format!("{} is no weight", given.value);
            Err(Problem::at(given.place, message, "must be more than zero")
                .help("a migration's stream has weight 1; with 2, traffic gets twice its share"))
        }
    }
}

fn pattern(given: Option<&At<PatternFile>>) -> Result<TrafficPattern, Problem> {
    let Some(given) = given else {
        return Ok(TrafficPattern::Constant);
    };
    match given.value {
        PatternFile::Constant => Ok(TrafficPattern::Constant),
        PatternFile::OnOff { mean_on, mean_off } if mean_on == Span::ZERO || mean_off == Span::ZERO => {
            let message = "traffic cannot go on or off for no time at all";
            Err(Problem::at(given.place, message, "both times must be more than zero")
                .help("traffic that is always on has the pattern `Constant`"))
        }
        PatternFile::OnOff { mean_on, mean_off } => Ok(TrafficPattern::OnOff { mean_on, mean_off }),
    }
}
