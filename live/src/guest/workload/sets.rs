//! The sets of pages that a workload writes, and which workloads cannot be run.

use models::workload::Workload;
use models::workload::groups::{Groups, Writes};
use sim_core::{ByteRate, Bytes, Span};

use super::Pattern;

/// Classes of memory that one guest may have.
const MOST_CLASSES: usize = 64;

/// Phases of a workload, or intervals of a trace.
const MOST_PHASES: usize = 100_000;

/// Bursts that are shorter cannot be run.
const SHORTEST: Span = Span::from_millis(1);

/// What of a workload that changes its speed cannot be run: it may come from a stranger's file.
pub(super) fn check_tempo(workload: &Workload) -> Result<(), String> {
    let (done, is_well) = match workload {
        Workload::Phases { of, phases } => {
            let speeds = phases.iter().all(|phase| phase.speed.is_finite() && phase.speed >= 0.0);
            let lasts = phases.iter().any(|phase| phase.lasts > Span::ZERO);
            (Some(of), speeds && lasts && phases.len() <= MOST_PHASES)
        }
        Workload::Bursts { of, mean_busy, mean_calm, calm_speed } => {
            (Some(of), *mean_busy.min(mean_calm) >= SHORTEST && (0.0..=1.0).contains(calm_speed))
        }
        Workload::Trace { every, dirtied, .. } => {
            (None, *every >= SHORTEST && !dirtied.is_empty() && dirtied.len() <= MOST_PHASES)
        }
        _ => (None, true),
    };
    if !is_well {
        return Err(format!(
            "its phases, bursts or intervals cannot be run: 1 to {MOST_PHASES} of {SHORTEST} at least, at speeds of 0 or more"
        ));
    }
    let changes = |of: &Workload| {
        matches!(of, Workload::Phases { .. } | Workload::Bursts { .. } | Workload::Trace { .. })
    };
    match done {
        Some(of) if changes(of) => Err("what is done in phases or bursts has a speed of its own".into()),
        _ => Ok(()),
    }
}

/// Pages that are written alike: how, how fast, how many.
pub(super) type Set = (Pattern, ByteRate, Bytes);

/// The sets of pages that a workload writes, each by itself.
pub(super) fn sets(workload: &Workload) -> Result<Vec<Set>, String> {
    let sets: Vec<Set> = match workload {
        Workload::Idle => vec![],
        Workload::Linear { rate, working_set } | Workload::Sweep { rate, working_set } => {
            vec![(Pattern::Sweep, *rate, *working_set)]
        }
        Workload::Uniform { rate, working_set } => vec![(Pattern::Anywhere, *rate, *working_set)],
        Workload::Classes(classes) => {
            classes.iter().map(|class| (Pattern::Anywhere, class.rate, class.size)).collect()
        }
        // Its tempo is in writes to each page in a second.
        Workload::Trace { working_set, .. } => {
            let once = ByteRate::from_bytes_per_sec(working_set.get());
            vec![(Pattern::Anywhere, once, *working_set)]
        }
        Workload::Curve(_) => curve(workload)?,
        Workload::Zipf { .. } | Workload::Phases { .. } | Workload::Bursts { .. } => {
            return Err("writes by rank and changes of speed are no sets".into());
        }
    };
    if sets.len() > MOST_CLASSES {
        return Err(format!("at most {MOST_CLASSES} sets of pages can be run, and these are {}", sets.len()));
    }
    Ok(sets)
}

/// A concave curve is the sum of sets each of whose pages is written once in a time.
fn curve(workload: &Workload) -> Result<Vec<Set>, String> {
    let groups = Groups::of(workload);
    if !groups.are_exact() {
        return Err("a measured curve that is not concave says how much is dirty, but not where: it can be simulated \
                    and not run; describe it by classes"
            .into());
    }
    let sets = groups.groups.iter().filter_map(|group| match group.writes {
        Writes::Periodic(period) if period > 0.0 => {
            let rate = ByteRate::from_bytes_per_sec((group.size / period).round() as u64);
            Some((Pattern::InTurn, rate, Bytes::from_f64_floor(group.size)))
        }
        _ => None,
    });
    Ok(sets.collect())
}
