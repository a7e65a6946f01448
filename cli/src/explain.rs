//! `migtwin explain`: whether and why pre-copy converges, from closed forms, without a simulation.

use std::io::Write;

use algorithms::closed_form::convergence::Explanation;
use algorithms::closed_form::map::{Against, ConvergenceMap};
use algorithms::ids::{Name, VmId};
use models::cluster::ClusterModel;
use models::convergence::{self, Way};
use reports::{explanation_text, map_text, write_convergence};
use scenarios::ScenarioRun;
use serde::Serialize;

use crate::arguments::{Explain, Format, MapAgainst};
use crate::failure::Failure;

/// Names that are listed where one is not known.
const SHOWN: usize = 8;

/// The JSON of this command, version 1.
#[derive(Serialize)]
struct Report {
    schema: u32,
    explanations: Vec<Explained>,
}

/// A guest in an alternative.
#[derive(Serialize)]
struct Explained {
    alternative: Option<Name>,
    vm: Name,
    converges: Option<bool>,
    /// Null where no closed form fits: the transport compresses or looks for RDMA, or the rate follows the
    /// dirty rate.
    explanation: Option<Explanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<ConvergenceMap>,
}

/// Runs the command.
pub fn run(arguments: &Explain) -> Result<(), Failure> {
    let scenario = scenarios::load(&arguments.file)?;
    let mut explanations = Vec::new();
    for run in &scenario.runs {
        explanations.extend(explained(run, arguments)?);
    }
    if let Some(directory) = &arguments.out {
        let maps = explanations.iter().filter_map(|each| each.explanation.as_ref().zip(each.map.as_ref()));
        for path in write_convergence(directory, maps)? {
            eprintln!("wrote {}", path.display());
        }
    }
    let text = match arguments.output.format {
        Format::Table => text(&explanations, arguments),
        Format::Json => {
            let report = Report { schema: 1, explanations };
            serde_json::to_string_pretty(&report).map_err(std::io::Error::from)? + "\n"
        }
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn explained(run: &ScenarioRun, arguments: &Explain) -> Result<Vec<Explained>, Failure> {
    let model = &run.model;
    let ways = match &arguments.vm {
        None => convergence::ways(model),
        Some(name) => vec![way_of(model, name)?],
    };
    // A figure is of a map: against the dirty rate where nothing else was said.
    let against = match (arguments.map, &arguments.out) {
        (None, None) => None,
        (None | Some(MapAgainst::DirtyRate), _) => Some(Against::DirtyRate),
        (Some(MapAgainst::Downtime), _) => Some(Against::DowntimeLimit),
    };
    let one = |way: Way| {
        let explanation = convergence::explain(model, way);
        Explained {
            alternative: model.alternative.clone(),
            vm: model.guests[way.0.index()].name.clone(),
            converges: explanation.as_ref().map(Explanation::converges),
            explanation,
            map: against.and_then(|against| convergence::map(model, way, against)),
        }
    };
    Ok(ways.into_iter().map(one).collect())
}

fn way_of(model: &ClusterModel, name: &str) -> Result<Way, Failure> {
    let vm = (0u32..).map(VmId).zip(&model.guests).find(|(_, guest)| &*guest.name == name);
    let Some((vm, _)) = vm else {
        return Err(Failure::Unknown {
            what: "virtual machine",
            name: name.to_string(),
            scenario: model.name.to_string(),
            known: model.guests.iter().take(SHOWN).map(|guest| &*guest.name).collect::<Vec<_>>().join(", "),
        });
    };
    let planned = convergence::ways(model).into_iter().find(|way| way.0 == vm);
    planned.or_else(|| convergence::way(model, vm, None)).ok_or_else(|| {
        Failure::CannotRun(format!("the network leads from the host of `{name}` to no other host"))
    })
}

fn text(explanations: &[Explained], arguments: &Explain) -> String {
    let mut text = String::new();
    let mut alternative = None;
    for explained in explanations {
        if explained.alternative != alternative {
            alternative.clone_from(&explained.alternative);
            text.push_str(&format!("{}\n", alternative.as_deref().unwrap_or_default()));
        }
        match &explained.explanation {
            Some(explanation) => text.push_str(&explanation_text(explanation)),
            None => text.push_str(&format!(
                "{} · no closed form fits its transport or its policy; `migtwin simulate` says more\n",
                explained.vm
            )),
        }
        if let Some(map) = explained.map.as_ref().filter(|_| arguments.map.is_some()) {
            text.push_str(&map_text(map));
        }
    }
    if explanations.is_empty() {
        text.push_str("the plan moves no virtual machine; name one with --vm\n");
    }
    text
}
