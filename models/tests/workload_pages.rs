//! Every workload three ways: its closed form or mean, a draw, and page by page; and the memory of a
//! guest under migration against a migration page by page, as each hypervisor's dirty log sees it.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "compared within statistical error")]

#[path = "support/pages.rs"]
mod pages;

use algorithms::policy::Tracking;
use models::workload::memory::GuestMemory;
use models::workload::{Class, CurvePoint, Phase, Workload};
use pages::{PreCopy, Writes};
use proptest::prelude::*;
use rand::RngExt;
use rand_distr::{Distribution, Exp1};
use sim_core::{ByteRate, Bytes, PAGE_SIZE, Span, Streams};

const PAGES: usize = 8192;
const MEMORY: Bytes = Bytes::from_mib(32);

fn mib(count: f64) -> Bytes {
    Bytes::new((count * 256.0).round() as u64 * PAGE_SIZE)
}

fn rate() -> impl Strategy<Value = ByteRate> {
    (1u64..60).prop_map(|mib| ByteRate::from_bytes_per_sec(mib << 20))
}

/// Workloads whose pages are written in ways that do not change.
fn steady() -> impl Strategy<Value = Workload> {
    let set = || (1.0..24.0f64).prop_map(mib);
    prop_oneof![
        (rate(), set()).prop_map(|(rate, working_set)| Workload::Uniform { rate, working_set }),
        (rate(), set()).prop_map(|(rate, working_set)| Workload::Linear { rate, working_set }),
        (rate(), set()).prop_map(|(rate, working_set)| Workload::Sweep { rate, working_set }),
        (rate(), set(), 0.0..1.5f64).prop_map(|(rate, working_set, exponent)| Workload::Zipf {
            rate,
            working_set,
            exponent
        }),
        (rate(), 0.5..4.0f64, rate(), 4.0..24.0f64).prop_map(|(hot, a, cold, b)| Workload::Classes(vec![
            Class { rate: hot, size: mib(a) },
            Class { rate: cold, size: mib(b) }
        ])),
        (1.0..12.0f64, 0.05..0.5f64, 1.0..3.0f64).prop_map(|(size, first, more)| {
            let point = |seconds, size| CurvePoint { after: Span::from_secs_f64(seconds), dirty: mib(size) };
            Workload::Curve(vec![point(first, size), point(first * 4.0 + more, size * 1.5)])
        }),
    ]
}

fn in_pages(bytes: f64) -> f64 {
    bytes / PAGE_SIZE as f64
}

/// Five standard deviations of a count of at most so many pages, and two pages for rounding.
fn noise(pages: f64) -> f64 {
    2.5 * pages.max(1.0).sqrt() + 2.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mean_draw_and_pages_agree_on_distinct_pages(workload in steady(), seconds in 0.01..6.0f64, seed in 0u64..1000) {
        let set = in_pages(workload.working_set().as_f64());
        let mean = in_pages(workload.distinct(seconds));
        let begin = 1.0;
        let counted = Writes::draw(&workload, PAGES, begin + seconds, seed).distinct(begin, begin + seconds) as f64;
        // A Zipf bin is taken at its mean rate, which is 0.2 % of the set off at most.
        let tolerance = noise(set.min(mean.max(1.0) * 4.0)) + 0.002 * set;
        prop_assert!((counted - mean).abs() < tolerance, "page by page {counted}, mean {mean}, set {set}");
        let mut random = Streams::new(seed, 1).stream("test", "draw");
        let drawn = in_pages(workload.sampled(Span::from_secs_f64(seconds), 1.0, &mut random).as_f64());
        prop_assert!((drawn - mean).abs() < tolerance, "drawn {drawn}, mean {mean}, set {set}");
    }

    #[test]
    fn dirty_memory_after_each_pass_is_that_of_a_migration_page_by_page(
        workload in steady(), link in 20u64..80, leave in 0usize..1200, how in 0u8..3, seed in 0u64..1000,
    ) {
        // What is known by its D(t) alone says nothing of which pages were written last, nor of which of those
        // that wait are written next: where two passes take about a period, none of them is.
        let by_curve = matches!(workload, Workload::Linear { .. } | Workload::Curve(_));
        let all = [Tracking::AtCount, Tracking::Chunks(Bytes::from_mib(2)), Tracking::Skipping];
        let tracking = if by_curve { Tracking::AtCount } else { all[usize::from(how)] };
        // Who skips dirty pages passes over all the others.
        let leave = if by_curve || tracking == Tracking::Skipping { 0 } else { leave };
        let pages_per_second = (link << 20) as f64 / PAGE_SIZE as f64;
        // Passes that leave as much as is dirtied are no passes.
        let pre_copy = PreCopy { pages: PAGES, pages_per_second, leave, tracking };
        let writes = Writes::draw(&workload, PAGES, 60.0, seed);
        let (all_counted, means) = (pre_copy.run(&writes, 4), passes(&workload, &pre_copy, 4));
        let set = in_pages(workload.working_set().as_f64());
        for (pass, (counted, mean)) in all_counted.iter().zip(&means).enumerate() {
            // What is random in one pass changes the length of the next; and pages at the cursor are
            // older than the mean knows.
            let tolerance = 2.0 * noise(set) + 0.03 * set + 0.05 * leave as f64;
            prop_assert!(
                (*counted as f64 - mean).abs() < tolerance,
                "pass {}: page by page {counted}, mean {mean}; set {set}, all {all_counted:?}, {means:?}", pass + 1
            );
        }
    }
}

/// The same migration by means: in small batches, since time goes by what is sent.
fn passes(workload: &Workload, pre_copy: &PreCopy, passes: usize) -> Vec<f64> {
    let mut memory = GuestMemory::new(workload, MEMORY, Bytes::ZERO, pre_copy.tracking);
    let bytes_per_second = pre_copy.pages_per_second * PAGE_SIZE as f64;
    let leave = pre_copy.leave as f64 * PAGE_SIZE as f64;
    let mut pending = MEMORY.as_f64();
    let mut counts = Vec::new();
    for _ in 0..passes {
        let mut at = 0.0;
        while pending - leave >= 1.0 {
            let bytes = Bytes::from_f64_floor((pending - leave).min(32.0 * PAGE_SIZE as f64));
            let batch = memory.next(bytes, at);
            let begin = at;
            at += batch.memory().as_f64() / bytes_per_second;
            memory.sent(begin, at);
            pending -= bytes.as_f64();
        }
        pending = memory.count(at);
        counts.push(in_pages(pending));
    }
    counts
}

/// Hot pages that were left unsent are dirty already: what they are written again is nothing new.
#[test]
fn unsent_hot_pages_and_newly_written_ones_are_mostly_the_same() {
    let workload = Workload::Classes(vec![
        Class { rate: ByteRate::from_bytes_per_sec(200 << 20), size: Bytes::from_mib(4) },
        Class { rate: ByteRate::from_bytes_per_sec(1 << 20), size: Bytes::from_mib(20) },
    ]);
    let mut memory = GuestMemory::new(&workload, MEMORY, Bytes::ZERO, Tracking::AtCount);
    memory.next(MEMORY, 0.0);
    let dirty = memory.count(0.5);
    memory.next(Bytes::from_f64_floor(dirty / 2.0), 0.0);
    let after = memory.count(0.02);
    // Half of the hot 4 MiB waits; the other half is nearly all written within 20 ms.
    let hot = 4.0 * (1 << 20) as f64;
    let expected = hot / 2.0 + hot / 2.0 * (1.0 - (-1.0f64).exp());
    assert!((after - expected).abs() < 0.07 * hot, "{after}, expected {expected}");
}

/// QEMU's dirty log, cleared piece by piece: what is written before its piece is cleared is sent once.
#[test]
fn a_log_cleared_in_chunks_counts_about_half_of_what_one_cleared_at_the_count_does() {
    let workload = Workload::Uniform { rate: ByteRate::from_bytes_per_sec(1 << 20), working_set: MEMORY };
    let dirty = |tracking| {
        let mut memory = GuestMemory::new(&workload, MEMORY, Bytes::ZERO, tracking);
        memory.next(MEMORY, 0.0);
        memory.sent(0.0, 1.0);
        memory.count(1.0)
    };
    let (whole, chunks) = (dirty(Tracking::AtCount), dirty(Tracking::Chunks(Bytes::from_mib(1))));
    // 32 pieces: each is cleared at its beginning, so that 33 ÷ 64 of the time counts on average.
    assert!((chunks / whole - 33.0 / 64.0).abs() < 0.01, "{}", chunks / whole);
}

/// Distinct bytes within a span that begins anywhere in a cycle, and anywhere in bursts.
#[test]
fn phases_bursts_and_traces_agree_with_their_draws_and_with_pages() {
    let busy =
        Workload::Uniform { rate: ByteRate::from_bytes_per_sec(8 << 20), working_set: Bytes::from_mib(16) };
    let phase = |millis, speed| Phase { lasts: Span::from_millis(millis), speed };
    let phases =
        Workload::Phases { of: Box::new(busy.clone()), phases: vec![phase(2000, 1.0), phase(3000, 0.1)] };
    let (mean_busy, mean_calm) = (Span::from_secs(2), Span::from_secs(3));
    let bursts = Workload::Bursts { of: Box::new(busy), mean_busy, mean_calm, calm_speed: 0.1 };
    let dirtied = [1.0, 6.0, 0.0, 2.5].map(mib).to_vec();
    let trace = Workload::Trace { working_set: Bytes::from_mib(16), every: Span::from_secs(1), dirtied };
    let speed = |workload: &Workload, random: &mut rand_pcg::Pcg64| page_by_page(workload, random);
    for workload in [phases, bursts, trace] {
        let span = Span::from_millis(1700);
        let mean = in_pages(workload.dirtied(span, 1.0).as_f64());
        let runs = 4000;
        let mut random = Streams::new(5, 0).stream("test", "tempo");
        let drawn: f64 =
            (0..runs).map(|_| in_pages(workload.sampled(span, 1.0, &mut random).as_f64())).sum::<f64>()
                / f64::from(runs);
        let counted: f64 = (0..runs).map(|_| speed(&workload, &mut random)).sum::<f64>() / f64::from(runs);
        // Runs differ by up to the set, 4096 pages, with a deviation of some 900: five of 4000 runs' mean.
        assert!((drawn - mean).abs() < 75.0, "{workload:?}: drawn {drawn}, mean {mean}");
        assert!((counted - mean).abs() < 75.0, "{workload:?}: page by page {counted}, mean {mean}");
    }
}

/// Steps through 1.7 s in slices of 10 ms, each with its own speed, and rolls a die for 128 pages of 4096.
fn page_by_page(workload: &Workload, random: &mut rand_pcg::Pcg64) -> f64 {
    const STEP: f64 = 0.01;
    let begin: f64 = random.random_range(0.0..20.0);
    let mut burst = (random.random_bool(0.4), 0.0);
    let mut written = [false; 128];
    for step in 0..170 {
        let time = begin + f64::from(step) * STEP;
        let per_second = match workload {
            Workload::Phases { .. } => 0.5 * if time % 5.0 < 2.0 { 1.0 } else { 0.1 },
            Workload::Bursts { .. } => {
                if burst.1 <= 0.0 {
                    let mean = if burst.0 { 2.0 } else { 3.0 };
                    let lasts: f64 = Exp1.sample(random);
                    burst.1 = lasts * mean;
                }
                let speed = if burst.0 { 1.0 } else { 0.1 };
                burst.1 -= STEP;
                if burst.1 <= 0.0 {
                    burst.0 = !burst.0;
                }
                0.5 * speed
            }
            _ => -(1.0f64 - [1.0, 6.0, 0.0, 2.5][time as usize % 4] / 16.0).ln(),
        };
        let chance = 1.0 - (-per_second * STEP).exp();
        written.iter_mut().for_each(|page| *page |= random.random_bool(chance));
    }
    written.iter().filter(|page| **page).count() as f64 * 32.0
}

#[test]
fn zero_pages_are_never_written_and_go_as_zero_pages() {
    let workload = Workload::Uniform { rate: ByteRate::from_mb(10), working_set: Bytes::from_mib(8) };
    let costs = algorithms::policy::PageCosts { header: 8, zero_page: Some(9) };
    let mut memory = GuestMemory::new(&workload, MEMORY, Bytes::from_mib(16), Tracking::AtCount);
    let batch = memory.next(MEMORY, 0.0);
    let expected = 4096 * (4096 + 8) + 4096 * 9;
    assert_eq!(batch.transferred(costs, 1.0), Bytes::new(expected));
    let dirty = memory.count(1000.0);
    assert!((dirty - Bytes::from_mib(8).as_f64()).abs() < 1.0, "{dirty}");
    assert_eq!(memory.next(Bytes::from_mib(8), 0.0).zeros, 0.0);
}
