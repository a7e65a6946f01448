//! D(t) of every workload: never falling, never more than the working set, and right.

use algorithms::policy::Tracking;
use models::workload::memory::GuestMemory;
use models::workload::{Class, CurvePoint, Workload};
use proptest::prelude::*;
use rand::RngExt;
use sim_core::{ByteRate, Bytes, PAGE_SIZE, Span, Streams};

fn bytes() -> impl Strategy<Value = Bytes> {
    (0u64..1 << 40).prop_map(Bytes::new)
}

fn rate() -> impl Strategy<Value = ByteRate> {
    (0u64..1 << 36).prop_map(ByteRate::from_bytes_per_sec)
}

fn workload() -> impl Strategy<Value = Workload> {
    let class = (rate(), bytes()).prop_map(|(rate, size)| Class { rate, size });
    let steps = prop::collection::vec((1u64..1 << 40, 0u64..1 << 36), 1..8);
    prop_oneof![
        Just(Workload::Idle),
        (rate(), bytes()).prop_map(|(rate, working_set)| Workload::Linear { rate, working_set }),
        (rate(), bytes()).prop_map(|(rate, working_set)| Workload::Uniform { rate, working_set }),
        prop::collection::vec(class, 0..4).prop_map(Workload::Classes),
        steps.prop_map(|steps| {
            let (mut after, mut dirty) = (Span::ZERO, Bytes::ZERO);
            let point = |(nanos, more)| {
                after += Span::from_nanos(nanos);
                dirty += Bytes::new(more);
                CurvePoint { after, dirty }
            };
            Workload::Curve(steps.into_iter().map(point).collect())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dirty_memory_grows_up_to_the_working_set(workload in workload(), a in 0u64..1 << 42, b in 0u64..1 << 42) {
        let (short, long) = (Span::from_nanos(a.min(b)), Span::from_nanos(a.max(b)));
        prop_assert_eq!(workload.dirtied(Span::ZERO, 1.0), Bytes::ZERO);
        prop_assert!(workload.dirtied(short, 1.0) <= workload.dirtied(long, 1.0));
        prop_assert!(workload.dirtied(long, 1.0) <= workload.working_set());
        prop_assert!(workload.dirtied(long, 0.5) <= workload.dirtied(long, 1.0), "a slower guest dirties less");
    }

    #[test]
    fn what_was_left_unsent_stays_dirty_and_is_not_counted_twice(
        workload in workload(), first in 0u64..1 << 42, nanos in 0u64..1 << 42, share in 0.0..1.0f64,
    ) {
        let set = workload.working_set().as_f64();
        let mut memory = GuestMemory::new(&workload, workload.working_set(), Bytes::ZERO, Tracking::AtCount);
        memory.next(workload.working_set(), 0.0);
        let before = memory.count(Span::from_nanos(first).as_secs_f64());
        let sent = Bytes::from_f64_floor(before * (1.0 - share));
        memory.next(sent, 0.0);
        let seconds = Span::from_nanos(nanos).as_secs_f64();
        let dirty = memory.count(seconds);
        let unsent = before - sent.as_f64();
        let rounding = 1.0 + set * 1e-9;
        prop_assert!(dirty + rounding >= unsent.max(workload.distinct(seconds)), "{dirty}, unsent {unsent}");
        prop_assert!(dirty <= (unsent + workload.distinct(seconds)).min(set) + rounding, "{dirty} of {set}");
    }
}

/// Writes that fall on random pages, counted page by page: the closed form is their mean.
#[test]
fn the_uniform_closed_form_is_the_mean_of_random_writes() {
    let pages = 20_000u64;
    let writes_per_second = 50_000u64;
    let workload = Workload::Uniform {
        rate: ByteRate::from_bytes_per_sec(writes_per_second * PAGE_SIZE),
        working_set: Bytes::new(pages * PAGE_SIZE),
    };
    let mut random = Streams::new(1, 0).stream("test", "uniform");
    let mut dirty = vec![false; pages as usize];
    for write in 1..=2 * writes_per_second {
        dirty[random.random_range(0..pages as usize)] = true;
        if write % (writes_per_second / 4) == 0 {
            let counted = dirty.iter().filter(|dirty| **dirty).count() as f64;
            let span = Span::from_secs_f64(write as f64 / writes_per_second as f64);
            let expected = workload.dirtied(span, 1.0).as_f64() / PAGE_SIZE as f64;
            // The standard deviation is below √(pages ÷ 4) = 71; five of them.
            assert!((counted - expected).abs() < 355.0, "after {span}: {counted}, expected {expected}");
        }
    }
}

#[test]
fn a_curve_is_straight_between_its_points_and_flat_after_the_last() {
    let point =
        |secs, mb: u64| CurvePoint { after: Span::from_secs(secs), dirty: Bytes::new(mb * 1_000_000) };
    let workload = Workload::Curve(vec![point(2, 96), point(12, 116)]);
    let after = |secs| workload.dirtied(Span::from_secs(secs), 1.0).get() / 1_000_000;
    assert_eq!([after(1), after(2), after(7), after(12), after(100)], [48, 96, 106, 116, 116]);
}
