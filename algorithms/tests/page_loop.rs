//! The page loop as a machine: refusals, forced pauses, forks, and conservation.

mod support;

use algorithms::ids::MigrationId;
use algorithms::machine::Machine;
use algorithms::page_loop::{PageInput, PageLoop};
use algorithms::policy::{HyperV, Policy, Qemu, StopReason, Xen};
use proptest::prelude::*;
use sim_core::{Bandwidth, ByteRate, Bytes, SimTime};
use support::driving::{Drive, Rates};

fn guest() -> Rates {
    Rates {
        memory: Bytes::from_gib(2),
        link: Bandwidth::from_gbit(1),
        dirty_rate: ByteRate::from_mb(60),
        working_set: Bytes::from_gib(1),
    }
}

#[test]
fn what_a_host_should_not_have_sent_is_refused_and_changes_nothing() {
    let mut pages = PageLoop::new(MigrationId(0), Policy::HyperV(HyperV::default()), Bytes::from_gib(1));
    let before = pages.clone();
    for input in [PageInput::RoundSent, PageInput::Paused, PageInput::Resumed, PageInput::ForcePause] {
        let refused = pages.handle(SimTime::ZERO, input).unwrap_err();
        assert!(refused.to_string().contains("does not fit the state Idle"), "{refused}");
        assert_eq!(pages, before);
    }
    pages.handle(SimTime::ZERO, PageInput::Begin).unwrap();
    assert!(pages.handle(SimTime::ZERO, PageInput::Begin).is_err(), "it has begun already");
}

#[test]
fn a_count_of_less_than_what_was_left_unsent_is_refused() {
    let mut drive = Drive::new(guest(), Policy::Qemu(Qemu { max_bandwidth: None, ..Qemu::default() }));
    drive.step();
    drive.step();
    let refused = drive.pages.clone().handle(drive.now, PageInput::Counted { dirty: Bytes::ZERO });
    assert!(refused.is_err(), "unsent pages are dirty");
}

#[test]
fn a_forced_pause_comes_at_the_end_of_the_round() {
    let mut drive = Drive::new(guest(), Policy::HyperV(HyperV::default()));
    drive.step();
    drive.pages.handle(drive.now, PageInput::ForcePause).unwrap();
    assert_eq!(drive.finish().reason, StopReason::Forced);
    assert_eq!(drive.pre_copy_rounds(), 1);
}

/// A live migration can be forked at any round: through text, and with the same future.
#[test]
fn a_loop_stored_at_any_step_goes_on_as_if_nothing_had_been() {
    let mut original = Drive::new(guest(), Policy::HyperV(HyperV::default()));
    for _ in 0..7 {
        assert_eq!(original.step(), None);
        let stored = serde_json::to_string(&original.pages).unwrap();
        let mut fork = original.clone();
        fork.pages = serde_json::from_str(&stored).unwrap();
        assert_eq!(fork.pages, original.pages);
        let mut reference = original.clone();
        assert_eq!(fork.finish(), reference.finish());
        assert_eq!(fork.rounds, reference.rounds);
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        (1u32..20, 0u64..64).prop_map(|(max_passes, mib)| {
            Policy::HyperV(HyperV { max_passes, stop_below: Bytes::from_mib(mib) })
        }),
        Just(Policy::Xen(Xen::default())),
        Just(Policy::Xen(Xen::clark())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is dirty at the end of a round is what the next sends; every byte is sent at least once.
    #[test]
    fn every_dirty_byte_is_sent(
        policy in policy(),
        mib in 1u64..8192,
        mbit in 100u64..40_000,
        dirty_mb in 0u64..2000,
        share in 0u64..=100,
    ) {
        let memory = Bytes::from_mib(mib);
        let host = Rates {
            memory,
            link: Bandwidth::from_mbit(mbit),
            dirty_rate: ByteRate::from_mb(dirty_mb),
            working_set: Bytes::new(memory.get() * share / 100),
        };
        let mut drive = Drive::new(host, policy);
        drive.finish();
        prop_assert_eq!(drive.rounds[0].bytes_sent, memory);
        for pair in drive.rounds.windows(2) {
            prop_assert_eq!(pair[1].bytes_sent, pair[0].dirty_bytes_left);
        }
        prop_assert_eq!(drive.rounds.last().unwrap().dirty_bytes_left, Bytes::ZERO);
        let sent: Bytes = drive.rounds.iter().map(|round| round.bytes_sent).sum();
        prop_assert_eq!(sent, drive.pages.total_sent());
        prop_assert_eq!(drive.rounds.len() as u32, drive.pages.rounds());
    }
}
