//! A scenario's workload as writing threads: the same rate, the same pattern.
//!
//! `Linear` and `Sweep` sweep their set, so that every write meets a page that is clean until all are dirty:
//! D(t) = min(rate·t, set), from the first page of memory on. `Uniform` and each class of `Classes` draw pages with
//! equal chance, out of a set that lies scattered over all memory, as the simulation takes it to lie: what of
//! a set is dirty again before a pass comes to it depends on where it is. Each thread has a part of the set to
//! itself, and its share of the rate.

use models::workload::Workload;
use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes, PAGE_SIZE};

use super::GuestSpec;
use crate::scatter::Scatter;
use crate::stamp::mix;

/// Classes of memory that one guest may have.
const MOST_CLASSES: usize = 64;

/// The writing threads of a guest.
pub(super) struct Plan {
    pub(super) writers: Vec<Writer>,
}

/// What one thread writes.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    /// The first page of its part.
    start: usize,
    /// Pages in its part.
    pages: usize,
    /// Where the pages of scattered sets lie.
    scatter: Scatter,
    /// Pages that it writes in a second.
    pub(super) rate: f64,
    pattern: Pattern,
    state: WriterState,
}

#[derive(Debug, Clone, Copy)]
enum Pattern {
    Sweep,
    Anywhere,
}

/// Where a thread is; it goes with the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterState {
    /// Where its chance is.
    chance: u64,
    /// The next page of a sweep, counted from the first of its part.
    position: u64,
}

impl Plan {
    /// The threads of `spec`, or why it cannot be run.
    pub(super) fn new(spec: &GuestSpec) -> Result<Plan, String> {
        let sets: Vec<(Pattern, ByteRate, Bytes)> = match &spec.workload {
            Workload::Idle => vec![],
            Workload::Linear { rate, working_set } | Workload::Sweep { rate, working_set } => {
                vec![(Pattern::Sweep, *rate, *working_set)]
            }
            Workload::Uniform { rate, working_set } => vec![(Pattern::Anywhere, *rate, *working_set)],
            Workload::Classes(classes) if classes.len() <= MOST_CLASSES => {
                classes.iter().map(|class| (Pattern::Anywhere, class.rate, class.size)).collect()
            }
            Workload::Classes(_) => return Err(format!("at most {MOST_CLASSES} classes can be run")),
            Workload::Zipf { .. } => {
                return Err("writes by rank can be simulated and not run; describe them by classes".into());
            }
            Workload::Phases { .. } | Workload::Bursts { .. } | Workload::Trace { .. } => {
                return Err("a workload that changes its speed can be simulated and not run".into());
            }
            Workload::Curve(_) => {
                return Err(
                    "a measured curve says how much is dirty, but not where: it can be simulated and not \
                            run; describe it by classes"
                        .into(),
                );
            }
        };
        let mut writers = Vec::new();
        let mut start = 0;
        let scatter = Scatter::over(spec.written_pages().max(1));
        for (pattern, rate, size) in sets {
            let pages = (size.get() / PAGE_SIZE) as usize;
            writers.extend(share(spec, (pattern, scatter), rate, start, pages, writers.len()));
            start += pages;
        }
        Ok(Plan { writers })
    }

    /// Has the threads go on from where they were.
    pub(super) fn go_on_from(&mut self, states: &[WriterState]) -> Result<(), String> {
        if states.len() != self.writers.len() {
            return Err(format!("{} threads came, {} were expected", states.len(), self.writers.len()));
        }
        for (writer, state) in self.writers.iter_mut().zip(states) {
            writer.state = *state;
        }
        Ok(())
    }
}

/// One class's pages, shared out to threads as evenly as whole pages are.
fn share(
    spec: &GuestSpec,
    (pattern, scatter): (Pattern, Scatter),
    rate: ByteRate,
    start: usize,
    pages: usize,
    before: usize,
) -> Vec<Writer> {
    let threads = (spec.threads as usize).min(pages);
    let part = |thread: usize| pages * thread / threads;
    let writer = |thread: usize| {
        let own = part(thread + 1) - part(thread);
        let chance = mix(spec.seed ^ mix((before + thread) as u64));
        Writer {
            start: start + part(thread),
            pages: own,
            scatter,
            rate: rate.as_f64() / PAGE_SIZE as f64 * own as f64 / pages as f64,
            pattern,
            state: WriterState { chance, position: 0 },
        }
    };
    (0..threads).map(writer).filter(|writer| writer.rate > 0.0).collect()
}

impl Writer {
    /// The page to write next, counted among those that are written.
    pub(super) fn next_page(&mut self) -> usize {
        let pages = self.pages as u64;
        match self.pattern {
            Pattern::Sweep => {
                let page = self.state.position % pages;
                self.state.position = page + 1;
                self.start + page as usize
            }
            Pattern::Anywhere => {
                self.state.chance = self.state.chance.wrapping_add(1);
                // The high half of the product is as good as even for so few pages.
                let place = ((u128::from(mix(self.state.chance)) * u128::from(pages)) >> 64) as u64;
                self.scatter.page(self.start as u64 + place) as usize
            }
        }
    }

    pub(super) fn state(&self) -> WriterState {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use models::workload::Class;
    use sim_core::Span;

    use super::*;

    fn distinct(spec: &GuestSpec, seconds: f64) -> f64 {
        let mut plan = Plan::new(spec).expect("it can be run");
        let mut pages = BTreeSet::new();
        for writer in &mut plan.writers {
            let writes = (writer.rate * seconds).round() as usize;
            pages.extend((0..writes).map(|_| writer.next_page()));
        }
        pages.len() as f64 * PAGE_SIZE as f64
    }

    /// What the threads dirty is what the model says, for every pattern and number of threads.
    #[test]
    fn threads_dirty_as_much_as_the_model_says() {
        let (rate, working_set) = (ByteRate::from_mb(50), Bytes::from_mib(100));
        let hot = Class { rate: ByteRate::from_mb(80), size: Bytes::from_mib(20) };
        let cold = Class { rate: ByteRate::from_mb(10), size: Bytes::from_mib(60) };
        let workloads = [
            Workload::Linear { rate, working_set },
            Workload::Uniform { rate, working_set },
            Workload::Classes(vec![hot, cold]),
        ];
        for workload in workloads {
            for threads in [1, 3] {
                let mut spec = GuestSpec::new("web", Bytes::from_mib(256), workload.clone());
                spec.threads = threads;
                for seconds in [0.2, 1.0, 5.0] {
                    let expected = workload.dirtied(Span::from_secs_f64(seconds), 1.0).as_f64();
                    let got = distinct(&spec, seconds);
                    assert!((got / expected - 1.0).abs() < 0.02, "{workload:?}: {got} for {expected}");
                }
            }
        }
    }

    #[test]
    fn sets_lie_scattered_over_the_memory_that_is_not_zero() {
        let working_set = Bytes::from_mib(32);
        let rate = ByteRate::from_mb(100);
        let mut spec = GuestSpec::new("web", Bytes::from_mib(256), Workload::Uniform { rate, working_set });
        spec.zero_share = 0.5;
        let mut plan = Plan::new(&spec).expect("it can be run");
        let pages: BTreeSet<usize> = (0..200_000).map(|_| plan.writers[0].next_page()).collect();
        assert_eq!(pages.len(), 8192, "of 32 MiB");
        for eighth in 0..8 {
            let within = pages.range(eighth * 4096..(eighth + 1) * 4096).count();
            assert!((1020..=1028).contains(&within), "{within} in eighth {eighth}");
        }
    }
}
