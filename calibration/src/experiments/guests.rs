//! A `PostgreSQL` guest under YCSB, migrated by QEMU between two processes of one machine.
//!
//! What was done is in the scenario's name: `Autoconverge` and `Postcopy` are QEMU's capabilities of these
//! names, `16T` the threads that write (4 where the name says none; the most that are known where it says
//! that it does not converge). All else is QEMU's defaults; `query-migrate` showed syncs 5 s apart
//! within a pass under auto-converge, as QEMU 10 makes them.
//!
//! | parameter | meaning |
//! |---|---|
//! | `limited_rate` | bytes a second on the stream under the rate limit, which each 100 ms window overshoots |
//! | `full_rate` | the same without a limit, after the switch to post-copy |
//! | `content_4T`, … | memory that is not zero, under this load |
//! | `hot_4T`, `hot_rate_4T` | a set that is written again and again, and how fast |
//! | `cold_rate_4T` | how fast everything else that is not zero is written |

use std::collections::{BTreeMap, BTreeSet};

use algorithms::policy::{AutoConverge, PostCopyStart, Qemu, Slowing};
use models::cluster::Timing;
use models::workload::{Class, Workload};
use sim_core::{ByteRate, Bytes, Span};

use super::cluster::{Bed, Moving, bits, bytes, pages, stream};
use super::{Experiment, Values};
use crate::datasets::{GuestRun, Measurements};
use crate::fit::{Effort, FitError, Landscape, Parameter, Prediction, Problem};

/// The name under which presets keep it.
pub(super) const KIND: &str = "guests";

/// 8 GiB, and what QEMU adds: 16 MiB of video memory and firmware (the pages of a run, normal and zero,
/// add up to this).
const MEMORY: Bytes = Bytes::new((8 << 30) + (17 << 20));

/// Where post-copy was asked for, it was at the first look: samples are 200 ms apart.
const POST_COPY_AFTER: Span = Span::from_millis(200);

/// Relative differences of this size count as 1, by quantity: total and bytes; syncs, whose number differs by 11 to
/// 14 % from one run to the next.
const SCALE: f64 = 0.012;
const SCALE_OF_SYNCS: f64 = 0.12;

/// Runs of all scenarios.
pub struct Guests {
    runs: Vec<GuestRun>,
    /// For each run, the lengths of the passes that were seen in full: their numbers, from 0, and seconds.
    passes: Vec<Vec<(usize, f64)>>,
    /// Threads that write, ascending: each has its own load.
    loads: Vec<u32>,
    has_post_copy: bool,
}

/// What a scenario's name says.
struct Named {
    load: usize,
    auto_converge: bool,
    post_copy: bool,
}

/// Parameters of one load.
const OF_A_LOAD: [&str; 4] = ["content", "hot", "hot_rate", "cold_rate"];

impl Guests {
    /// All runs that were completed. `facts` may know loads that these data do not show.
    pub fn new(measurements: &Measurements, facts: &Values) -> Guests {
        let runs: Vec<GuestRun> =
            measurements.guest_runs.iter().filter(|run| run.completed).cloned().collect();
        let known: BTreeSet<u32> =
            facts.keys().filter_map(|name| name.strip_prefix("load_")?.parse().ok()).collect();
        let mut loads: BTreeSet<u32> = known.clone();
        // Where a preset knows loads, others are predicted as the nearest of them.
        if known.is_empty() {
            loads.extend(runs.iter().map(|run| threads(&run.scenario).unwrap_or(DEFAULT_THREADS)));
        }
        let has_post_copy =
            facts.contains_key("full_rate") || runs.iter().any(|run| is_post_copy(&run.scenario));
        let passes = runs.iter().map(|run| passes(run, measurements)).collect();
        Guests { runs, passes, loads: loads.into_iter().collect(), has_post_copy }
    }

    fn named(&self, scenario: &str) -> Named {
        let lower = scenario.to_ascii_lowercase();
        let wanted = threads(scenario).unwrap_or_else(|| {
            let diverges =
                lower.contains("nonconverg") || lower.contains("non_converg") || lower.contains("diverg");
            if diverges { self.loads.last().copied().unwrap_or(DEFAULT_THREADS) } else { DEFAULT_THREADS }
        });
        let nearest = (0..self.loads.len()).min_by_key(|index| self.loads[*index].abs_diff(wanted));
        Named {
            load: nearest.unwrap_or(0),
            auto_converge: lower.contains("autoconverge") || lower.contains("auto_converge"),
            post_copy: is_post_copy(scenario),
        }
    }

    fn predict_scenario(&self, scenario: &str, values: &[f64]) -> Result<Predicted, FitError> {
        let named = self.named(scenario);
        let first = 1 + usize::from(self.has_post_copy) + OF_A_LOAD.len() * named.load;
        let load = &values[first..first + OF_A_LOAD.len()];
        let full_rate = if self.has_post_copy { values[1] } else { values[0] };
        let policy = Qemu {
            max_bandwidth: Some(bits(values[0] * 8.0)),
            slowing: if named.auto_converge {
                Slowing::AutoConverge(AutoConverge::default())
            } else {
                Slowing::Off
            },
            post_copy: if named.post_copy {
                PostCopyStart::After(POST_COPY_AFTER)
            } else {
                PostCopyStart::Never
            },
            ..Qemu::v10()
        };
        let rate_of_card = full_rate.max(values[0] * 1.01) * 8.0;
        let bed = Bed {
            speeds: vec![rate_of_card; 2],
            queue: None,
            transport: stream(None),
            policy,
            timing: Timing {
                prepare: Span::from_millis(1),
                resume: Span::from_millis(5),
                ..Timing::default()
            },
            limit: None,
            cores: 16,
            disk_rate: None,
        };
        let records = bed.run(scenario, vec![guest(load)])?;
        let record = &records.migrations[0];
        let sent = record.transfer.as_ref().map_or(record.memory_bytes_sent, |transfer| transfer.wire_bytes);
        Ok(Predicted {
            total: record.total.as_secs_f64(),
            bytes: sent.as_f64(),
            // The first read of the log, one after each pass, and one when the guest stands still: one more
            // than the rounds, of which the last is sent then. Post-copy begins with the last read.
            syncs: f64::from(record.rounds + u32::from(!named.post_copy)),
            passes: records.rounds.iter().map(|round| round.duration.as_secs_f64()).collect(),
        })
    }
}

/// A run as predicted.
#[derive(Clone)]
struct Predicted {
    total: f64,
    bytes: f64,
    syncs: f64,
    /// The length of each pass in seconds.
    passes: Vec<f64>,
}

fn guest(load: &[f64]) -> Moving {
    let content = load[0];
    let hot = load[1].min(content * 0.9);
    let class =
        |rate: f64, size: f64| Class { rate: ByteRate::from_bytes_per_sec(rate as u64), size: pages(size) };
    let workload = Workload::Classes(vec![class(load[2], hot), class(load[3], content - hot)]);
    let written = workload.working_set();
    Moving {
        from: 0,
        to: 1,
        memory: MEMORY,
        zeros: bytes(MEMORY.saturating_sub(written).as_f64()),
        workload,
        after: Vec::new(),
        start: Span::ZERO,
        disk: Bytes::ZERO,
    }
}

/// Looks at `query-migrate` were so far apart, in seconds; so sure is the length of a pass.
const SAMPLING: f64 = 0.2;

/// Passes that were seen to begin and to end, and are long against the sampling.
fn passes(run: &GuestRun, measurements: &Measurements) -> Vec<(usize, f64)> {
    let of_run = |sync: &&crate::datasets::Sync| sync.scenario == run.scenario && sync.run == run.run;
    let seen: Vec<_> = measurements.guest_syncs.iter().filter(of_run).collect();
    let pairs = seen.windows(2).filter(|pair| pair[1].sync == pair[0].sync + 1 && pair[0].sync > 0);
    let begin = |sync: &crate::datasets::Sync| if sync.sync == 1 { 0.0 } else { sync.first };
    let lengths = pairs.map(|pair| (pair[0].sync as usize - 1, pair[1].first - begin(pair[0])));
    lengths.filter(|(_, seconds)| *seconds >= 2.0 * SAMPLING).collect()
}

/// Threads where a scenario's name says none.
const DEFAULT_THREADS: u32 = 4;

/// 16 of `Autoconverge_16T`.
fn threads(scenario: &str) -> Option<u32> {
    let parts = scenario.split(|letter: char| !letter.is_ascii_alphanumeric());
    parts.filter_map(|part| part.strip_suffix(['T', 't'])?.parse().ok()).next_back()
}

fn is_post_copy(scenario: &str) -> bool {
    let lower = scenario.to_ascii_lowercase();
    lower.contains("postcopy") || lower.contains("post_copy") || lower.contains("post-copy")
}

impl Problem for Guests {
    fn parameters(&self) -> Vec<Parameter> {
        let mut all = vec![Parameter::new("limited_rate", "B/s", 135e6, 120e6, 150e6)];
        if self.has_post_copy {
            all.push(Parameter::new("full_rate", "B/s", 1.15e9, 2e8, 1e10));
        }
        for load in &self.loads {
            let share = (f64::from(*load) / 16.0).min(1.0);
            let name = |what: &str| format!("{what}_{load}T");
            all.push(Parameter::new(name("content"), "B", 1.5e9 + 1.7e9 * share, 5e8, 8e9));
            all.push(Parameter::new(name("hot"), "B", 50e6 + 150e6 * share, 5e6, 2e9));
            all.push(Parameter::new(name("hot_rate"), "B/s", 100e6 + 100e6 * share, 5e6, 2e9));
            all.push(Parameter::new(name("cold_rate"), "B/s", 10e6 + 40e6 * share, 1e6, 3e8));
        }
        all
    }

    fn landscape(&self) -> Landscape {
        Landscape::Stepped
    }

    fn groups(&self) -> usize {
        self.runs.len()
    }

    fn predict(
        &self,
        values: &[f64],
        groups: &[usize],
        _effort: Effort,
    ) -> Result<Vec<Prediction>, FitError> {
        let mut by_scenario: BTreeMap<&str, Predicted> = BTreeMap::new();
        let mut all = Vec::new();
        for (run, passes) in groups.iter().map(|group| (&self.runs[*group], &self.passes[*group])) {
            if !by_scenario.contains_key(run.scenario.as_str()) {
                by_scenario.insert(&run.scenario, self.predict_scenario(&run.scenario, values)?);
            }
            let predicted = &by_scenario[run.scenario.as_str()];
            let mut quantities = vec![
                ("total", "s", run.total, predicted.total, SCALE),
                ("bytes", "B", run.bytes, predicted.bytes, SCALE),
                ("syncs", "", run.syncs, predicted.syncs, SCALE_OF_SYNCS),
            ];
            quantities.extend(passes.iter().map(|(number, seconds)| {
                // A pass that is not predicted at all is as wrong as one a tenth as long.
                let predicted = predicted.passes.get(*number).copied().unwrap_or(seconds / 10.0);
                ("pass", "s", *seconds, predicted, SAMPLING / seconds)
            }));
            for (quantity, unit, measured, predicted, scale) in quantities {
                if measured > 0.0 {
                    all.push(Prediction {
                        run: format!("{} {}", run.scenario, run.run),
                        subject: String::new(),
                        quantity: quantity.into(),
                        unit: unit.into(),
                        measured,
                        predicted,
                        scale,
                    });
                }
            }
        }
        Ok(all)
    }
}

impl Experiment for Guests {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> Values {
        let mut facts: Values =
            self.loads.iter().map(|load| (format!("load_{load}"), f64::from(*load))).collect();
        if self.has_post_copy {
            facts.insert("full_rate".into(), 1.0);
        }
        facts
    }
}
