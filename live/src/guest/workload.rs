//! A scenario's workload as writing threads: the same rate, the same pattern.
//!
//! | workload | threads |
//! |---|---|
//! | `Linear`, `Sweep` | sweep the set: every write meets a page that is clean until all are dirty |
//! | `Uniform`, `Classes` | draw pages of each set with equal chance |
//! | `Zipf` | draw a bin of ranks by its share of the writes, and a page in it with equal chance |
//! | `Curve`, where it is concave | sweep each of the sets that add up to it, once in its time |
//! | `Phases`, `Bursts` | as what is done in them, faster and slower by the simulation's own `Tempo` |
//! | `Trace` | draw pages of its set, as fast as dirties in each interval what was recorded |
//!
//! Bins, sets and speeds are those of `models::workload`, from which the simulation draws too. Each thread has
//! a part of the set to itself, and its share of the rate; all threads of a guest have one tempo.

use std::sync::Arc;

use models::workload::Workload;
use models::workload::groups::{Groups, Writes};
use models::workload::tempo::Tempo;
use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes, PAGE_SIZE, Span, Streams};

use super::GuestSpec;
use crate::stamp::mix;

/// Classes of memory that one guest may have.
const MOST_CLASSES: usize = 64;

/// Phases of a workload, or intervals of a trace.
const MOST_PHASES: usize = 100_000;

/// Bursts that are shorter cannot be run.
const SHORTEST: Span = Span::from_millis(1);

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
    /// Pages that it writes in a second of the workload's own time.
    rate: f64,
    pattern: Pattern,
    tempo: Tempo,
    state: WriterState,
}

#[derive(Debug, Clone)]
enum Pattern {
    Sweep,
    Anywhere,
    /// By rank.
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

/// What of a workload that changes its speed cannot be run: it may come from a stranger's file.
fn check_tempo(workload: &Workload) -> Result<(), String> {
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

type Set = (Pattern, ByteRate, Bytes);

/// The sets of pages that a workload writes, each by itself.
fn sets(workload: &Workload) -> Result<Vec<Set>, String> {
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
            Some((Pattern::Sweep, rate, Bytes::from_f64_floor(group.size)))
        }
        _ => None,
    });
    Ok(sets.collect())
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
    let writer = |thread: usize| {
        let own = part(thread + 1) - part(thread);
        Writer {
            start: start + part(thread),
            pages: own,
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

    /// The page to write next.
    pub(super) fn next_page(&mut self) -> usize {
        match &self.pattern {
            Pattern::Sweep => {
                let page = self.state.position % self.pages as u64;
                self.state.position = page + 1;
                self.start + page as usize
            }
            Pattern::Anywhere => self.start + draw(&mut self.state.chance, self.pages),
            Pattern::Ranked(bins) => {
                // 53 bits, as many as a share has.
                let share = draw(&mut self.state.chance, 1 << 53) as f64 / (1_u64 << 53) as f64;
                let bin = bins.partition_point(|bin| bin.up_to <= share).min(bins.len() - 1);
                bins[bin].first + draw(&mut self.state.chance, bins[bin].pages)
            }
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use models::workload::{Class, CurvePoint, Phase};

    use super::*;

    fn distinct(spec: &GuestSpec, seconds: f64) -> f64 {
        let mut plan = Plan::new(spec).expect("it can be run");
        let mut pages = BTreeSet::new();
        for writer in &mut plan.writers {
            let writes = writer.run(Duration::from_secs_f64(seconds)).round() as usize;
            pages.extend((0..writes).map(|_| writer.next_page()));
        }
        pages.len() as f64 * PAGE_SIZE as f64
    }

    fn spec(workload: &Workload, threads: u32) -> GuestSpec {
        let mut spec = GuestSpec::new("web", Bytes::from_mib(256), workload.clone());
        spec.threads = threads;
        assert_eq!(spec.problem(), None, "{workload:?}");
        spec
    }

    const RATE: ByteRate = ByteRate::from_mb(50);
    const SET: Bytes = Bytes::from_mib(100);

    /// What the threads dirty is what the model says, for every pattern and number of threads.
    #[test]
    fn threads_dirty_as_much_as_the_model_says() {
        let (rate, working_set) = (RATE, SET);
        let hot = Class { rate: ByteRate::from_mb(80), size: Bytes::from_mib(20) };
        let cold = Class { rate: ByteRate::from_mb(10), size: Bytes::from_mib(60) };
        let point = |millis, mb: u64| CurvePoint {
            after: Span::from_millis(millis),
            dirty: Bytes::new(mb * 1_000_000),
        };
        let workloads = [
            Workload::Linear { rate, working_set },
            Workload::Sweep { rate, working_set },
            Workload::Uniform { rate, working_set },
            Workload::Classes(vec![hot, cold]),
            Workload::Zipf { rate, working_set, exponent: 0.9 },
            Workload::Zipf { rate, working_set, exponent: 1.3 },
            Workload::Curve(vec![point(500, 30), point(2000, 60), point(10_000, 100)]),
        ];
        for workload in workloads {
            for threads in [1, 3] {
                for seconds in [0.2, 1.0, 5.0] {
                    let expected = workload.dirtied(Span::from_secs_f64(seconds), 1.0).as_f64();
                    let got = distinct(&spec, seconds);
                    // What is drawn of few pages differs by a few of them.
                    let close = (got - expected).abs() < 0.02 * expected + 200_000.0;
                    assert!(close, "{workload:?} in {seconds} s: {got} for {expected}");
                }
            }
        }
    }

    /// Phases, bursts and traces go by the simulation's own tempo, all threads alike.
    #[test]
    fn workloads_that_change_their_speed_are_run_at_it() {
        let of = Box::new(Workload::Uniform { rate: RATE, working_set: SET });
        let phase = |millis, speed| Phase { lasts: Span::from_millis(millis), speed };
        let (busy, calm) = (Span::from_millis(300), Span::from_millis(700));
        let workloads = [
            Workload::Phases { of: of.clone(), phases: vec![phase(200, 1.0), phase(800, 0.1)] },
            Workload::Bursts { of, mean_busy: busy, mean_calm: calm, calm_speed: 0.05 },
            Workload::Trace {
                working_set: SET,
                every: Span::from_millis(500),
                dirtied: [5, 60, 0, 20].map(Bytes::from_mib).to_vec(),
            },
        ];
        for workload in workloads {
            for threads in [1, 3] {
                let spec = spec(&workload, threads);
                for seconds in [0.5, 1.0, 3.7] {
                    let random = || Streams::new(spec.seed, 0).stream("tempo", &spec.name);
                    let work = Tempo::new(&workload, random).between(0.0, seconds);
                    let expected = Groups::of(&workload).distinct(work);
                    let got = distinct(&spec, seconds);
                    let close = (got - expected).abs() < 0.03 * expected + 400_000.0;
                    assert!(close, "{workload:?} in {seconds} s: {got} for {expected}");
                }
            }
        }
    }

    #[test]
    fn a_guest_that_moves_goes_on_in_its_tempo() {
        let of = Box::new(Workload::Uniform { rate: RATE, working_set: SET });
        let (busy, calm) = (Span::from_millis(30), Span::from_millis(70));
        let spec = spec(&Workload::Bursts { of, mean_busy: busy, mean_calm: calm, calm_speed: 0.0 }, 1);
        let millis = Duration::from_millis;
        let mut here = Plan::new(&spec).expect("it can be run").writers.remove(0);
        here.run(millis(500));
        let mut there = Plan::new(&spec).expect("it can be run");
        there.go_on_from(&[here.state()]).expect("its state");
        for _ in 0..50 {
            assert_eq!(here.run(millis(10)), there.writers[0].run(millis(10)));
        }
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let of = Box::new(Workload::Uniform { rate: RATE, working_set: SET });
        let phases = Workload::Phases { of: of.clone(), phases: vec![] };
        let nested = Workload::Phases { of: Box::new(phases.clone()), phases: vec![] };
        let short = Span::from_nanos(1);
        let bursts = Workload::Bursts { of, mean_busy: short, mean_calm: short, calm_speed: 0.0 };
        let trace = Workload::Trace { working_set: SET, every: Span::ZERO, dirtied: vec![SET] };
        let zipf = Workload::Zipf { rate: RATE, working_set: SET, exponent: f64::NAN };
        let point =
            |millis, mib| CurvePoint { after: Span::from_millis(millis), dirty: Bytes::from_mib(mib) };
        let convex = Workload::Curve(vec![point(500, 1), point(900, 50)]);
        for workload in [phases, nested, bursts, trace, zipf, convex] {
            let guest = GuestSpec::new("web", Bytes::from_mib(256), workload.clone());
            assert!(guest.problem().is_some(), "{workload:?}");
        }
    }
}
