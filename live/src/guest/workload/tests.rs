//! What the threads dirty is what the model says.

use std::collections::BTreeSet;
use std::time::Duration;

use models::workload::groups::{Group, Writes};
use models::workload::{Class, CurvePoint, Phase};
use sim_core::{Bytes, Span};

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

/// By how many pages what is drawn in `work` seconds of a workload's own time may differ from the mean: four times the
/// standard deviation of so many pages, each written or not (fewer, in truth: the number of writes is no chance).
fn chance(workload: &Workload, work: f64) -> f64 {
    let variance = |group: &Group| match group.writes {
        Writes::Random(_) => {
            let written = group.writes.written(0.0, work);
            group.size / PAGE_SIZE as f64 * written * (1.0 - written)
        }
        // It is known which pages are written in turn.
        _ => 0.0,
    };
    4.0 * Groups::of(workload).groups.iter().map(variance).sum::<f64>().sqrt()
}

/// A write more or less of each thread, and a page of its part.
fn rounding(spec: &GuestSpec) -> f64 {
    2.0 * Plan::new(spec).expect("it can be run").writers.len() as f64
}

fn pages(bytes: f64) -> f64 {
    bytes / PAGE_SIZE as f64
}

/// What the threads dirty is what the model says, for every pattern and number of threads.
#[test]
fn threads_dirty_as_much_as_the_model_says() {
    let (rate, working_set) = (RATE, SET);
    let hot = Class { rate: ByteRate::from_mb(80), size: Bytes::from_mib(20) };
    let cold = Class { rate: ByteRate::from_mb(10), size: Bytes::from_mib(60) };
    let point =
        |millis, mb: u64| CurvePoint { after: Span::from_millis(millis), dirty: Bytes::new(mb * 1_000_000) };
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
            let spec = spec(&workload, threads);
            for seconds in [0.2, 1.0, 5.0] {
                let expected = pages(workload.dirtied(Span::from_secs_f64(seconds), 1.0).as_f64());
                let got = pages(distinct(&spec, seconds));
                let close = (got - expected).abs() < chance(&workload, seconds) + rounding(&spec);
                assert!(close, "{workload:?} in {seconds} s: {got} pages for {expected}");
            }
        }
    }
}

/// Of few pages much is chance; the mean of many guests is not.
#[test]
fn writes_by_rank_are_not_off_on_average() {
    const GUESTS: u32 = 100;
    for exponent in [0.9, 1.3] {
        let workload = Workload::Zipf { rate: RATE, working_set: SET, exponent };
        for (threads, seconds) in [(1, 0.2), (3, 1.0)] {
            let mut spec = spec(&workload, threads);
            let mut sum = 0.0;
            for seed in 0..GUESTS {
                spec.seed = u64::from(seed);
                sum += pages(distinct(&spec, seconds));
            }
            let (got, n) = (sum / f64::from(GUESTS), f64::from(GUESTS));
            let expected = pages(workload.dirtied(Span::from_secs_f64(seconds), 1.0).as_f64());
            let close = (got - expected).abs() < chance(&workload, seconds) / n.sqrt() + f64::from(threads);
            assert!(close, "exponent {exponent}, {threads} threads, {seconds} s: {got} pages for {expected}");
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
                let expected = pages(Groups::of(&workload).distinct(work));
                let got = pages(distinct(&spec, seconds));
                let close = (got - expected).abs() < chance(&workload, work) + rounding(&spec);
                assert!(close, "{workload:?} in {seconds} s: {got} pages for {expected}");
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
    let point = |millis, mib| CurvePoint { after: Span::from_millis(millis), dirty: Bytes::from_mib(mib) };
    let convex = Workload::Curve(vec![point(500, 1), point(900, 50)]);
    for workload in [phases, nested, bursts, trace, zipf, convex] {
        let guest = GuestSpec::new("web", Bytes::from_mib(256), workload.clone());
        assert!(guest.problem().is_some(), "{workload:?}");
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
