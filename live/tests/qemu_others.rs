//! Others at the monitors of a migration: they pause the VM, let it go on, cancel the migration. Exactly one machine has
//! the VM in the end, and runs it unless somebody has paused it.
//!
//! The others act at steps of the journal, before these take effect: nothing here waits for a time.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use std::sync::atomic::{AtomicBool, Ordering};

use algorithms::controller::{Command, Input};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::records::{Outcome, Whereabouts};
use live::journal::Entry;
use live::qemu::pages::verify;
use live::qemu::pair::Pair;
use live::qemu::qmp::Qmp;
use live::qemu::resolution::WhoRuns;
use live::qemu::rom::RomGuest;
use qemu_support::*;
use serde_json::json;
use sim_core::Span;
use tempfile::TempDir;

/// A migration of some 4 s, long enough to be met by others on its way, and the others' connections.
struct Bench {
    directory: TempDir,
    guest: RomGuest,
    pair: Pair,
    source: Qmp,
    destination: Qmp,
}

impl Bench {
    fn new() -> Bench {
        let (directory, guest) = (directory(), guest(48, 4, 16));
        let pair = pair(directory.path(), &guest);
        let (source, destination) = (operator(&pair.source), operator(&pair.destination));
        Bench { directory, guest, pair, source, destination }
    }

    /// Migrates, the others doing what `others` says at each entry of the journal.
    fn migrate(&mut self, mut others: impl FnMut(&Entry, &mut Qmp, &mut Qmp)) -> Left {
        self.migrate_until(&AtomicBool::new(false), &mut others)
    }

    fn migrate_until(
        &mut self,
        cancel: &AtomicBool,
        others: &mut impl FnMut(&Entry, &mut Qmp, &mut Qmp),
    ) -> Left {
        let levers = limits(100, 100);
        let Bench { guest, pair, source, destination, .. } = self;
        run_until(pair, order(guest, &levers), &levers, cancel, |entry| others(entry, source, destination))
    }

    /// Every page is where the VM is.
    fn is_whole(&mut self, at_destination: bool) {
        let machine = if at_destination { &mut self.pair.destination } else { &mut self.pair.source };
        verify(&mut machine.qmp, &self.guest, self.directory.path()).unwrap();
    }
}

fn say(qmp: &mut Qmp, command: &str) {
    qmp.execute(command, json!({})).unwrap();
}

fn has_begun(entry: &Entry) -> bool {
    matches!(entry, Entry::Wanted(Command::Loop(LoopCommand::Start)))
}

/// The migration is told that somebody paused the VM.
fn is_pause(entry: &Entry) -> bool {
    matches!(entry, Entry::Told(_, Input::Loop(LoopInput::PausedByOther)))
}

fn is_resume(entry: &Entry) -> bool {
    matches!(entry, Entry::Told(_, Input::Loop(LoopInput::ResumedByOther)))
}

/// QEMU has stopped the VM to hand it over.
fn is_switchover(entry: &Entry) -> bool {
    matches!(entry, Entry::Told(_, Input::Loop(LoopInput::Stopped)))
}

#[test]
fn stop_and_cont_on_the_way_once_or_often_change_nothing_but_the_log() {
    if !is_there() {
        return;
    }
    for times in [1, 5] {
        let mut bench = Bench::new();
        let mut left_to_do = times;
        // One before the migration begins; each further one when the last was seen to have ended.
        let left = bench.migrate(|entry, source, _| {
            if is_pause(entry) {
                say(source, "cont");
            }
            if left_to_do > 0 && (has_begun(entry) || is_resume(entry)) {
                left_to_do -= 1;
                say(source, "stop");
            }
        });
        assert_eq!(left_to_do, 0);
        assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Completed, WhoRuns::Destination));
        assert_eq!((running(&mut bench.pair), left.refused()), (1, 0), "{:?}", left.journal);
        assert_eq!(left.pauses().len(), 2 * times, "{:?}", left.pauses());
        let record = left.migration();
        assert!(!record.paused_by_others && record.blackout < Span::from_millis(400), "{record:?}");
        bench.is_whole(true);
    }
}

#[test]
fn a_guest_that_somebody_paused_arrives_paused() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let left = bench.migrate(|entry, source, _| {
        if has_begun(entry) {
            say(source, "stop");
        }
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Completed, WhoRuns::DestinationPaused));
    assert_eq!(running(&mut bench.pair), 0);
    assert!(bench.pair.source.has_ended() || !works(&mut bench.pair.source));
    let record = left.migration();
    assert!(record.paused_by_others && record.blackout == Span::ZERO, "{record:?}");
    assert_eq!(
        (record.whereabouts, left.pauses().len()),
        (Whereabouts::AtDestination, 2),
        "{:?}",
        left.pauses()
    );
    assert!(record.rounds >= 2, "its passes are counted: {record:?}");
    // Whoever has paused it lets it go on, and it is whole.
    say(&mut bench.destination, "cont");
    assert!(works(&mut bench.pair.destination));
    bench.is_whole(true);
}

#[test]
fn one_that_is_paused_when_the_migration_is_given_up_stays_paused() {
    if !is_there() {
        return;
    }
    let (mut bench, cancel) = (Bench::new(), AtomicBool::new(false));
    let left = bench.migrate_until(&cancel, &mut |entry: &Entry, source: &mut Qmp, _: &mut Qmp| {
        if has_begun(entry) {
            say(source, "stop");
        }
        cancel.fetch_or(is_pause(entry), Ordering::Relaxed);
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Cancelled, WhoRuns::SourcePaused));
    assert_eq!(running(&mut bench.pair), 0);
    assert!(left.migration().paused_by_others && left.migration().blackout == Span::ZERO);
    say(&mut bench.source, "cont");
    assert!(works(&mut bench.pair.source));
    assert!(bench.pair.destination.has_ended(), "nobody can start it any more");
    bench.is_whole(false);
}

#[test]
fn a_migration_that_somebody_else_cancels_says_so_and_the_source_goes_on() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let mut passes = 0;
    let left = bench.migrate(|entry, source, _| {
        if is_pass(entry, 1, &mut passes) {
            say(source, "migrate_cancel");
        }
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Failed, WhoRuns::Source));
    let reason = &left.migration().reason;
    assert!(reason.contains("somebody has cancelled the migration at the source's monitor"), "{reason}");
    assert_eq!(running(&mut bench.pair), 1);
    bench.is_whole(false);
}

#[test]
fn a_cont_at_the_destination_before_it_is_told_leaves_one_running() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let left = bench.migrate(|entry, _, destination| {
        if has_begun(entry) {
            say(destination, "cont");
        }
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Completed, WhoRuns::Destination));
    assert_eq!(running(&mut bench.pair), 1);
    assert!(left.migration().blackout > Span::ZERO);
    bench.is_whole(true);
}

#[test]
fn giving_up_when_all_is_about_to_arrive_at_one_that_would_start_by_itself_leaves_one_running() {
    if !is_there() {
        return;
    }
    for stop_first in [false, true] {
        let (mut bench, cancel) = (Bench::new(), AtomicBool::new(false));
        let left =
            bench.migrate_until(&cancel, &mut |entry: &Entry, source: &mut Qmp, destination: &mut Qmp| {
                if has_begun(entry) {
                    say(destination, "cont");
                    if stop_first {
                        say(source, "stop");
                        say(source, "cont");
                    }
                }
                cancel.fetch_or(is_switchover(entry), Ordering::Relaxed);
            });
        assert_eq!(running(&mut bench.pair), 1, "{:?}", left.ended);
        let there = left.ended.runs == WhoRuns::Destination;
        assert!(there || left.ended.runs == WhoRuns::Source, "{:?}", left.ended);
        bench.is_whole(there);
    }
}

#[test]
fn a_cont_at_the_source_when_all_was_sent_leaves_one_running() {
    if !is_there() {
        return;
    }
    // Before the guest is handed over: it is the source's, and the migration has failed.
    let mut bench = Bench::new();
    let left = bench.migrate(|entry, source, _| {
        if matches!(entry, Entry::Wanted(Command::Loop(LoopCommand::Resume))) {
            say(source, "cont");
        }
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Failed, WhoRuns::Source));
    assert!(
        left.migration().reason.contains("let the guest go on at the source"),
        "{}",
        left.migration().reason
    );
    assert_eq!(running(&mut bench.pair), 1);
    bench.is_whole(false);
}

#[test]
fn a_guest_that_somebody_paused_arrives_paused_in_post_copy_too() {
    if !is_there() {
        return;
    }
    let mut bench = Bench::new();
    let levers = post_copy(limits(100, 1), 1);
    let Bench { guest, pair, source, .. } = &mut bench;
    let left = run(pair, order(guest, &levers), &levers, |entry| {
        if has_begun(entry) {
            say(source, "stop");
        }
    });
    let end = (left.ended.outcome, left.ended.runs);
    assert_eq!(end, (Outcome::Completed, WhoRuns::DestinationPaused), "{:?}", left.journal);
    assert!(left.migration().paused_by_others, "{:?}", left.migration());
    say(&mut bench.destination, "cont");
    assert_eq!(running(&mut bench.pair), 1);
    bench.is_whole(true);
}
