//! A scenario's workload as writing threads: the same rate, the same pattern.
//!
//! | workload | threads |
//! |---|---|
//! | `Linear`, `Sweep` | sweep the set from the first page of memory on: every write meets a page that is clean until all are dirty |
//! | `Uniform`, `Classes` | draw pages of each set with equal chance |
//! | `Zipf` | draw a bin of ranks by its share of the writes, and a page in it with equal chance |
//! | `Curve`, where it is concave | write the pages of each of the sets that add up to it in turn, once in its time |
//! | `Phases`, `Bursts` | as what is done in them, faster and slower by the simulation's own `Tempo` |
//! | `Trace` | draw pages of its set, as fast as dirties in each interval what was recorded |
//!
//! Bins, sets and speeds are those of `models::workload`, from which the simulation draws too. All but what is swept lies
//! scattered over all memory, as the simulation takes it to lie: what of a set is dirty again before a pass comes to it
//! depends on where it is. Each thread has a part of the set to itself, and its share of the rate; all threads of a
//! guest have one tempo.

mod sets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use models::workload::Workload;
use models::workload::groups::Groups;
use models::workload::tempo::Tempo;
use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, PAGE_SIZE, Streams};

use super::GuestSpec;
use crate::scatter::Scatter;
use crate::stamp::mix;
use sets::{Set, check_tempo, sets};

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
    /// Pages that it writes in a second of the workload's own time.
    rate: f64,
    pattern: Pattern,
    tempo: Tempo,
    state: WriterState,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// In turn, as they lie in memory.
    Sweep,
    /// In turn, out of a scattered set.
    InTurn,
    /// Any, out of a scattered set.
    Anywhere,
    /// By rank, out of a scattered set.
    Ranked(Arc<[Bin]>),
}

/// Pages of ranks that are written alike.
#[derive(Debug, Clone, Copy)]
struct Bin {
    /// The first of the thread's pages in it, from the first of the guest.
    first: usize,
    pages: usize,
    /// The share of the thread's writes that go to this bin or one before.
    up_to: f64,
}

/// Where a thread is; it goes with the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterState {
    /// Where its chance is.
    chance: u64,
    /// The next page of a sweep, counted from the first of its part.
    position: u64,
    /// Nanoseconds for which it has run, by which the guest's tempo goes.
    #[serde(default)]
    ran_for: u64,
}

impl Plan {
    /// The threads of `spec`, or why it cannot be run.
    pub(super) fn new(spec: &GuestSpec) -> Result<Plan, String> {
        check_tempo(&spec.workload)?;
        let tempo = Tempo::new(&spec.workload, || Streams::new(spec.seed, 0).stream("tempo", &spec.name));
        let done = match &spec.workload {
            Workload::Phases { of, .. } | Workload::Bursts { of, .. } => of,
            workload => workload,
        };
        let mut writers = match done {
            Workload::Zipf { exponent, .. } if !(0.0..=20.0).contains(exponent) => {
                return Err("the exponent of writes by rank is 0 to 20".into());
            }
            Workload::Zipf { .. } => ranked(spec, done, &tempo),
            other => by_sets(spec, &sets(other)?, &tempo),
        };
        writers.retain(|writer| writer.rate > 0.0);
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

fn by_sets(spec: &GuestSpec, sets: &[Set], tempo: &Tempo) -> Vec<Writer> {
    let mut writers = Vec::new();
    let mut start = 0;
    for (pattern, rate, size) in sets {
        let pages = (size.get() / PAGE_SIZE) as usize;
        writers.extend(share(spec, (pattern, *rate, tempo), start, pages, writers.len()));
        start += pages;
    }
    writers
}

/// Where sets lie: over all memory that is not zero.
fn scatter(spec: &GuestSpec) -> Scatter {
    Scatter::over(spec.written_pages().max(1))
}

/// One set's pages, shared out to threads as evenly as whole pages are.
fn share(
    spec: &GuestSpec,
    (pattern, rate, tempo): (&Pattern, ByteRate, &Tempo),
    start: usize,
    pages: usize,
    before: usize,
) -> Vec<Writer> {
    let threads = (spec.threads as usize).min(pages);
    let part = |thread: usize| pages * thread / threads;
    let scatter = scatter(spec);
    let writer = |thread: usize| {
        let own = part(thread + 1) - part(thread);
        Writer {
            start: start + part(thread),
            pages: own,
            scatter,
            rate: rate.as_f64() / PAGE_SIZE as f64 * own as f64 / pages as f64,
            pattern: pattern.clone(),
            tempo: tempo.clone(),
            state: WriterState::first(spec, before + thread),
        }
    };
    (0..threads).map(writer).collect()
}

/// Threads that write by rank: each has its share of every bin's pages.
fn ranked(spec: &GuestSpec, workload: &Workload, tempo: &Tempo) -> Vec<Writer> {
    let groups = Groups::of(workload).groups;
    let threads = spec.threads as usize;
    let writer = |thread: usize| {
        let (mut bins, mut first, mut rate) = (Vec::new(), 0, 0.0);
        for (index, group) in groups.iter().enumerate() {
            let pages = (group.size / PAGE_SIZE as f64).round() as usize;
            // Bins of fewer pages than threads go round.
            let turn = (thread + index) % threads;
            let (from, to) = (pages * turn / threads, pages * (turn + 1) / threads);
            if to > from {
                rate += (to - from) as f64 * group.writes.per_second();
                bins.push(Bin { first: first + from, pages: to - from, up_to: rate });
            }
            first += pages;
        }
        bins.iter_mut().for_each(|bin| bin.up_to /= rate);
        Writer {
            start: 0,
            pages: first,
            scatter: scatter(spec),
            rate: if bins.is_empty() { 0.0 } else { rate },
            pattern: Pattern::Ranked(bins.into()),
            tempo: tempo.clone(),
            state: WriterState::first(spec, thread),
        }
    };
    (0..threads).map(writer).collect()
}

impl WriterState {
    fn first(spec: &GuestSpec, thread: usize) -> WriterState {
        WriterState { chance: mix(spec.seed ^ mix(thread as u64)), position: 0, ran_for: 0 }
    }
}

impl Writer {
    /// It runs for this long: the writes that are due for that.
    pub(super) fn run(&mut self, span: std::time::Duration) -> f64 {
        let from = self.state.ran_for;
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.state.ran_for = from.saturating_add(nanos);
        self.tempo.between(from as f64 / 1e9, self.state.ran_for as f64 / 1e9) * self.rate
    }

    /// The page to write next, counted among those that are written.
    pub(super) fn next_page(&mut self) -> usize {
        match &self.pattern {
            Pattern::Sweep => self.start + self.next_in_turn(),
            Pattern::InTurn => {
                let place = self.start + self.next_in_turn();
                self.scattered(place)
            }
            Pattern::Anywhere => {
                let place = self.start + draw(&mut self.state.chance, self.pages);
                self.scattered(place)
            }
            Pattern::Ranked(bins) => {
                // 53 bits, as many as a share has.
                let share = draw(&mut self.state.chance, 1 << 53) as f64 / (1_u64 << 53) as f64;
                let bin = bins[bins.partition_point(|bin| bin.up_to <= share).min(bins.len() - 1)];
                let place = bin.first + draw(&mut self.state.chance, bin.pages);
                self.scattered(place)
            }
        }
    }

    /// The next of its pages, counted from the first of its part.
    fn next_in_turn(&mut self) -> usize {
        let page = self.state.position % self.pages as u64;
        self.state.position = page + 1;
        page as usize
    }

    fn scattered(&self, place: usize) -> usize {
        self.scatter.page(place as u64) as usize
    }

    pub(super) fn state(&self) -> WriterState {
        self.state
    }
}

/// A number below `below`; for so few, the high half of the product is as good as even.
fn draw(chance: &mut u64, below: usize) -> usize {
    *chance = chance.wrapping_add(1);
    ((u128::from(mix(*chance)) * below as u128) >> 64) as usize
}
