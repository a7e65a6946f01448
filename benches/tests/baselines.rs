//! A baseline is only one if it does the same work: ours and the baselines, step by step.
#![allow(clippy::unwrap_used)]

use benches::binary_heap::{Lazy, Plain};
use benches::churn::{Churn, Incremental};
use benches::filling::FromDefinition;
use benches::hold::{Hold, Keyed};
use sim_core::EventQueue;

#[test]
fn queues_give_the_same_events_in_the_same_order() {
    let (mut ours, mut baseline) = (Hold::<EventQueue<u32>>::new(300), Hold::<Plain>::new(300));
    for step in 0..20_000 {
        assert_eq!(ours.step(), baseline.step(), "step {step}");
    }
}

#[test]
fn queues_with_moved_events_give_the_same_events_in_the_same_order() {
    let (mut ours, mut baseline) = (Hold::<Keyed>::new(300), Hold::<Lazy>::new(300));
    for step in 0..20_000 {
        assert_eq!(ours.step_or_move(), baseline.step_or_move(), "step {step}");
    }
}

/// The two round in different places, to a nanosecond now and then; flows that end so close together
/// that this changes their order do not occur in these draws.
#[test]
fn shared_rates_give_the_same_completions() {
    for flows in [10, 100, 1_000] {
        let mut ours = Churn::<Incremental>::new(64, flows);
        let mut baseline = Churn::<FromDefinition>::new(64, flows);
        for step in 0..2_000 {
            let (a, b) = (ours.step().as_nanos(), baseline.step().as_nanos());
            assert!(a.abs_diff(b) <= 1_000, "{flows} flows, step {step}: {a} ns, from the definition {b} ns");
        }
    }
}
