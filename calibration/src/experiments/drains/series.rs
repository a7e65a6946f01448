//! Logs in which the same guests are drained again and again, and where in them a drain stands.

use std::collections::{BTreeMap, BTreeSet};

use crate::datasets::{Drain, Flavor};
use crate::experiments::Values;

/// So many different drains show whether guests change from one to the next.
const ENOUGH: usize = 10;

/// Logs by name, and the most drains that a series in each is known to have, by guests at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Logs {
    /// Those whose guests change.
    pub(super) changing: Vec<String>,
    lengths: BTreeMap<(String, u32), u32>,
}

impl Logs {
    /// Of these drains, and of what a preset knows.
    pub(super) fn new(drains: &[Drain], facts: &Values) -> Logs {
        let mut logs = Logs::default();
        for (name, length) in facts {
            let of_series = name.strip_prefix("series_").and_then(|rest| rest.rsplit_once('_'));
            if let Some((log, Ok(parallel))) = of_series.map(|(log, number)| (log, number.parse())) {
                logs.lengths.insert((log.to_string(), parallel), *length as u32);
            }
        }
        let mut numbers: BTreeMap<(String, u32), BTreeSet<u32>> = BTreeMap::new();
        for drain in drains.iter().filter(|drain| may_change(drain)) {
            numbers.entry((log_of(drain), drain.parallel)).or_default().insert(drain.number);
        }
        let mut changing: BTreeSet<String> = facts.keys().filter_map(|name| known(name)).collect();
        for ((log, parallel), numbers) in numbers {
            // Where a preset is at work, only what it fitted is known to change.
            if facts.is_empty() && numbers.len() >= ENOUGH {
                changing.insert(log.clone());
            }
            let last = numbers.last().copied().unwrap_or(0);
            // Numbers that go on from the series before say how long that was, and this is.
            let first = numbers.first().copied().unwrap_or(1);
            let begins = if first as usize > 2 * numbers.len() { first } else { 1 };
            logs.lengths.entry((log, parallel)).or_insert(last + 1 - begins);
        }
        logs.changing = changing.into_iter().collect();
        logs
    }

    /// How many drains the guests of this one have been through before, where its log is one that changes;
    /// with the place of that log.
    pub(super) fn place(&self, drain: &Drain) -> Option<(usize, f64)> {
        let log = log_of(drain);
        let place = self.changing.iter().position(|changing| *changing == log && may_change(drain))?;
        let own = self.lengths.get(&(log.clone(), drain.parallel)).copied().unwrap_or(drain.number);
        let before = (1..drain.parallel).map(|parallel| {
            let known = self.lengths.get(&(log.clone(), parallel));
            known.copied().unwrap_or(own)
        });
        // Numbers either begin anew with each series, or go on.
        let before = if drain.number > own { 0 } else { before.sum::<u32>() };
        Some((place, f64::from((before + drain.number).saturating_sub(1))))
    }

    /// For a preset.
    pub(super) fn facts(&self) -> Values {
        let changing = self.changing.iter().map(|log| (format!("changing_{log}"), 1.0));
        let lengths = self.lengths.iter();
        let lengths =
            lengths.map(|((log, parallel), length)| (format!("series_{log}_{parallel}"), f64::from(*length)));
        changing.chain(lengths).collect()
    }
}

fn known(name: &str) -> Option<String> {
    name.strip_prefix("changing_").map(str::to_string)
}

/// Small guests have all their memory in use; disks that go along take far longer than memory.
fn may_change(drain: &Drain) -> bool {
    drain.flavor != Flavor::Small && !drain.with_disks
}

fn log_of(drain: &Drain) -> String {
    drain.file.trim_end_matches(".txt").to_string()
}
