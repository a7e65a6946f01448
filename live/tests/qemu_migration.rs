//! Real QEMU machines: a guest moves, all of its memory arrives, and one machine runs it.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use algorithms::records::{Outcome, RoundPhase};
use live::qemu::pages::verify;
use live::qemu::standing::Remedy;
use qemu_support::*;
use sim_core::Bytes;

#[test]
fn pre_copy_converges_and_every_page_arrives() {
    if !is_there() {
        return;
    }
    let (directory, guest, levers) = (directory(), guest(96, 4, 24), limits(800, 300));
    let mut pair = pair(directory.path(), &guest);
    let left = run(&mut pair, order(&guest, &levers), &levers, |_| {});
    assert_eq!((left.ended.outcome, left.ended.standing), (Outcome::Completed, Remedy::DestinationRuns));
    assert!(works(&mut pair.destination), "the guest goes on at the destination");
    assert!(!works(&mut pair.source));
    let verified = verify(&mut pair.destination.qmp, &guest, directory.path()).unwrap();
    assert!(verified.written > 0 && verified.pages == guest.pages(), "{verified:?}");

    let rounds = left.rounds();
    assert!(rounds.len() >= 2, "{rounds:?}");
    let phases: Vec<_> = rounds.iter().map(|round| round.phase).collect();
    let (last, before) = phases.split_last().unwrap();
    assert_eq!(*last, RoundPhase::StopAndCopy);
    assert!(before.iter().all(|phase| *phase == RoundPhase::PreCopy));
    let record = left.migration();
    let sent: Bytes = rounds.iter().map(|round| round.bytes_sent).sum();
    assert_eq!(record.memory_bytes_sent, sent, "the rounds are all that was sent");
    // All pages that the guest filled, each with its header.
    assert!(sent > Bytes::from_mib(94), "{sent}");
    assert!(record.blackout > sim_core::Span::ZERO && record.blackout < record.total);
}
