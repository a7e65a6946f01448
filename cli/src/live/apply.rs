//! `migtwin live apply`: a plan carried out on real hosts, with progress, questions and Ctrl-C.

mod progress;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use algorithms::drain_plan::{DrainPlan, PlanError};
use algorithms::operation::{Deviation, Finish, Gates, Operation, Rules};
use live::apply::{Applied, Fleet, How, Inbox, Signals, apply, signals};
use live::machine::MOST_STEAL;
use reports::{ReportInput, drain_plan_text, report_json, report_text, write_report};

use super::arguments::{Apply, OnDeviation};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;
use progress::Progress;

/// A plan is no longer than this.
const MOST_BYTES: u64 = 64 << 20;

/// Runs the command.
pub(super) fn run(arguments: &Apply) -> Result<(), Failure> {
    let plan = read(&arguments.plan)?;
    let unusable =
        |error: PlanError| Failure::NoPlan { path: arguments.plan.clone(), what: error.to_string() };
    plan.check().map_err(unusable)?;
    let known = arguments.agents.known()?;
    let addresses = known.agents.into_iter().map(|(name, address)| (name.as_str().into(), address));
    let fleet = Fleet::new(known.credentials, addresses.collect());
    let inventory = fleet.inventory()?;
    let rules = rules(arguments, &plan)?;
    if arguments.what_if {
        plan.fits(&inventory).map_err(unusable)?;
        let text = drain_plan_text(&plan, terminal::table_options());
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    let how =
        How { policy: plan.policy.clone(), sending: arguments.sending.sending(), deadline: plan.deadline };
    let operation = Operation::new(plan, &inventory, rules).map_err(unusable)?;
    let (out, inbox) = reachable();
    let mut progress = Progress::new(operation.plan(), out.clone());
    let applied = apply(operation, &fleet, &how, (out, inbox), &mut progress);
    progress.end();
    show(arguments, &applied)
}

/// The plan in a file.
fn read(path: &Path) -> Result<DrainPlan, Failure> {
    let failed = |what: String| Failure::NoPlan { path: path.to_path_buf(), what };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let read =
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if read as u64 > MOST_BYTES {
        return Err(failed(format!("it is longer than {MOST_BYTES} bytes")));
    }
    serde_json::from_str(&text)
        .map_err(|error| failed(format!("{error}; `migtwin plan drain HOST FILE --out PLAN` makes plans")))
}

fn rules(arguments: &Apply, plan: &DrainPlan) -> Result<Rules, Failure> {
    if let Some(stranger) =
        arguments.gates.iter().find(|gate| !plan.moves.iter().any(|each| *each.vm == ***gate))
    {
        let what = format!("it moves no guest `{stranger}`, so there is nothing to ask");
        return Err(Failure::NoPlan { path: arguments.plan.clone(), what });
    }
    let gates = arguments.gates.iter().map(|gate| gate.as_str().into());
    Ok(Rules {
        retries: arguments.retries,
        retry_after: arguments.retry_after,
        tolerance: f64::from(arguments.tolerance) / 100.0,
        deviation: match arguments.on_deviation {
            OnDeviation::GoOn => Deviation::GoOn,
            OnDeviation::Stop => Deviation::Stop,
            OnDeviation::Ask => Deviation::Ask,
            OnDeviation::Abort => Deviation::Abort,
        },
        gates: if arguments.gate_all { Gates::All } else { Gates::Of(gates.collect()) },
    })
}

/// Signals to the operation, of which Ctrl-C is one.
fn reachable() -> (Signals, Inbox) {
    let (out, inbox) = signals();
    let interrupted = out.clone();
    let handler = move || {
        eprintln!("giving up what is under way; guests go on where they are");
        interrupted.interrupt();
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("warning: Ctrl-C will end the program and leave migrations under way: {error}");
    }
    (out, inbox)
}

fn show(arguments: &Apply, applied: &Applied) -> Result<(), Failure> {
    let input = ReportInput {
        runs: vec![applied.records.clone()],
        version: env!("CARGO_PKG_VERSION").into(),
        command: Some(std::env::args().collect::<Vec<_>>().join(" ")),
        ..ReportInput::default()
    };
    let text = match arguments.output.format {
        Format::Json => report_json(&input)? + "\n",
        Format::Table => report_text(&input, terminal::table_options()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if let Some(directory) = &arguments.out {
        for path in write_report(directory, &input)? {
            eprintln!("wrote {}", path.display());
        }
    }
    if applied.steal > MOST_STEAL {
        eprintln!(
            "not comparable: other machines took {:.0} % of this one's processors",
            applied.steal * 100.0
        );
    }
    match applied.finish {
        Finish::AllMoved => Ok(()),
        Finish::Partly => {
            Err(Failure::NotMoved("not all guests were moved; each has its reason above".into()))
        }
    }
}
