//! Whatever breaks at whatever point, one machine runs the guest, or it is known who can.

#![allow(clippy::unwrap_used)]

mod qemu_support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use algorithms::controller::{self, Deadline, DeadlineAction, Input};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::records::{Outcome, Whereabouts};
use live::journal::Entry;
use live::qemu::pages::verify;
use live::qemu::qmp::Qmp;
use live::qemu::resolution::{Condition, HandOver, Machines, WhoRuns, Wish};
use qemu_support::*;
use sim_core::Span;

/// Where something breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    /// Both sides are being set up.
    Preparing,
    /// The first pass has ended.
    FirstPass,
    /// The guest stands still at the source.
    Stopped,
    /// All is sent; the guest is about to be started at the destination.
    HandingOver,
}

/// A kill that comes too late is tried again so often.
const MOST_TRIES: u32 = 10;

/// Whether a journal's entry is that point.
fn is_at(point: Point, entry: &Entry) -> bool {
    use controller::Command::{Loop, Prepare};
    matches!(
        (point, entry),
        (Point::Preparing, Entry::Wanted(Prepare))
            | (Point::FirstPass, Entry::Told(_, Input::Loop(LoopInput::Pass { .. })))
            | (Point::Stopped, Entry::Told(_, Input::Loop(LoopInput::Stopped)))
            | (Point::HandingOver, Entry::Wanted(Loop(LoopCommand::Resume)))
    )
}

/// What recovery does, whose journal says so.
fn settle(source: Option<&mut Qmp>, destination: Option<&mut Qmp>, hand_over: HandOver) -> WhoRuns {
    let notices = &std::sync::mpsc::channel().1;
    Machines { source, destination, notices, hand_over, wish: Wish::Running, ran: false }.settle()
}

/// SIGKILL, for one of our own processes.
fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Migrates a guest that never converges by itself and is paused by force after its first pass, and kills
/// one machine at a point.
fn killed_at(
    point: Point,
    whom: impl Fn(&live::qemu::pair::Pair) -> Option<u32>,
) -> (Left, live::qemu::pair::Pair) {
    let (directory, guest, levers) = (directory(), guest(48, 8, 24), limits(400, 300));
    let mut pair = pair(directory.path(), &guest);
    let pid = whom(&pair).unwrap();
    let mut done = false;
    let left = run(&mut pair, order(&guest, &levers), &levers, |entry| {
        if !done && is_at(point, entry) {
            done = true;
            kill(pid);
        }
    });
    assert!(done, "{point:?} was never reached: {:?}", left.journal);
    if left.ended.runs == WhoRuns::Source {
        verify(&mut pair.source.qmp, &guest, directory.path()).unwrap();
    }
    (left, pair)
}

#[test]
fn a_destination_killed_before_the_hand_over_leaves_the_source_running() {
    if !is_there() {
        return;
    }
    for point in [Point::Preparing, Point::FirstPass, Point::Stopped] {
        let (left, mut pair) = killed_at(point, |pair| pair.destination.pid());
        // The last bytes may all have arrived before it died; then it is as if it was killed afterwards.
        if left.ended.runs == WhoRuns::InDoubt {
            assert_eq!(point, Point::Stopped, "{:?}", left.journal);
            continue;
        }
        assert_eq!(left.ended.outcome, Outcome::Failed, "{point:?}");
        assert_eq!(left.ended.runs, WhoRuns::Source, "{point:?}: {:?}", left.journal);
        assert_eq!(running(&mut pair), 1, "{point:?}");
        assert!(works(&mut pair.source), "{point:?}");
    }
}

#[test]
fn a_destination_killed_at_the_hand_over_leaves_one_copy_that_nobody_starts_by_itself() {
    if !is_there() {
        return;
    }
    let (left, mut pair) = killed_at(Point::HandingOver, |pair| pair.destination.pid());
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Failed, WhoRuns::InDoubt));
    assert_eq!(left.migration().whereabouts, Whereabouts::InDoubt);
    assert_eq!(running(&mut pair), 0);
    assert_eq!(Condition::of_source(&mut pair.source.qmp), Condition::Standing, "its copy is whole");
    // An operator who knows that the destination is dead lets it go on.
    pair.source.qmp.execute("cont", serde_json::json!({})).unwrap();
    assert!(works(&mut pair.source));
}

#[test]
fn a_source_killed_after_all_is_sent_leaves_the_destination_running() {
    if !is_there() {
        return;
    }
    let (left, mut pair) = killed_at(Point::HandingOver, |pair| pair.source.pid());
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Completed, WhoRuns::Destination));
    assert_eq!(running(&mut pair), 1);
    assert!(works(&mut pair.destination));
}

#[test]
fn a_source_killed_while_it_sends_takes_its_guest_with_it_and_no_half_of_it_runs() {
    if !is_there() {
        return;
    }
    for _ in 0..MOST_TRIES {
        let (left, mut pair) = killed_at(Point::FirstPass, |pair| pair.source.pid());
        // The rest is small, and may all have arrived before the signal; then it is as if killed afterwards.
        if left.ended.runs == WhoRuns::Destination {
            assert_eq!((left.ended.outcome, running(&mut pair)), (Outcome::Completed, 1));
            continue;
        }
        // As the simulation has it, and our agents: what is lost has not just failed.
        assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Lost, WhoRuns::Lost));
        assert_eq!(left.migration().whereabouts, Whereabouts::Off);
        assert_eq!(running(&mut pair), 0);
        return;
    }
    panic!("the source was never killed before it had sent all, in {MOST_TRIES} tries");
}

#[test]
fn a_cancelled_migration_leaves_the_source_running() {
    if !is_there() {
        return;
    }
    let (directory, guest, levers) = (directory(), guest(64, 8, 24), limits(100, 300));
    let (mut pair, cancel) = (pair(directory.path(), &guest), AtomicBool::new(false));
    let left = run_until(&mut pair, order(&guest, &levers), &levers, &cancel, |entry| {
        let begun = matches!(entry, Entry::Wanted(controller::Command::Loop(LoopCommand::Start)));
        cancel.fetch_or(begun, Ordering::Relaxed);
    });
    assert_eq!((left.ended.outcome, left.ended.runs), (Outcome::Cancelled, WhoRuns::Source));
    assert!(works(&mut pair.source) && !works(&mut pair.destination));
    verify(&mut pair.source.qmp, &guest, directory.path()).unwrap();
    assert!(left.migration().reason.contains("asked for"));
}

#[test]
fn a_deadline_cancels_or_forces_the_pause() {
    if !is_there() {
        return;
    }
    // 100 MB/s of fresh memory on 12 MB/s never converge.
    let (guest, levers) = (guest(64, 100, 48), limits(100, 300));
    for (action, outcome) in
        [(DeadlineAction::Cancel, Outcome::Cancelled), (DeadlineAction::ForcePause, Outcome::Completed)]
    {
        let directory = directory();
        let mut pair = pair(directory.path(), &guest);
        let mut order = order(&guest, &levers);
        order.deadline = Some(Deadline { after: Span::from_millis(1_500), action });
        let left = run(&mut pair, order, &levers, |_| {});
        assert_eq!(left.ended.outcome, outcome, "{action:?}: {}", left.migration().reason);
        assert_eq!(running(&mut pair), 1, "{action:?}");
        let machine = if outcome == Outcome::Completed { &mut pair.destination } else { &mut pair.source };
        verify(&mut machine.qmp, &guest, directory.path()).unwrap();
    }
}

#[test]
fn a_driver_that_is_gone_leaves_what_recovery_needs() {
    if !is_there() {
        return;
    }
    // The driver stops, as if killed, when all is sent and nothing was ordered yet.
    let (directory, guest, levers) = (directory(), guest(48, 8, 24), limits(400, 300));
    let mut pair = pair(directory.path(), &guest);
    let order = order(&guest, &levers);
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&mut pair, order, &levers, |entry| {
            assert!(!matches!(entry, Entry::Told(_, Input::Loop(LoopInput::Sent { .. }))), "killed here");
        })
    }));
    assert!(killed.is_err());
    assert_eq!(running(&mut pair), 0);
    let conditions =
        (Condition::of_source(&mut pair.source.qmp), Condition::of_destination(&mut pair.destination.qmp));
    assert_eq!(conditions, (Condition::Standing, Condition::Standing));
    let (mut source, mut destination) = (operator(&pair.source), operator(&pair.destination));
    let found = settle(Some(&mut source), Some(&mut destination), HandOver::NotOrdered);
    assert_eq!(found, WhoRuns::Source);
    assert!(pair.destination.has_ended());
    assert!(works(&mut pair.source));
    verify(&mut pair.source.qmp, &guest, directory.path()).unwrap();
}

/// A driver that is gone at `point`, with whatever QEMU does of itself afterwards; then recovery, by the
/// second connections, as another process would have them.
fn recovered_at(point: Point, levers: &live::qemu::levers::Levers, wait: bool) -> (WhoRuns, usize, WhoRuns) {
    let (directory, guest) = (directory(), guest(48, 8, 24));
    let mut pair = pair(directory.path(), &guest);
    let order = order(&guest, levers);
    let mut ordered = HandOver::NotOrdered;
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&mut pair, order, levers, |entry| {
            if matches!(entry, Entry::Wanted(controller::Command::Loop(LoopCommand::Resume))) {
                ordered = HandOver::Ordered;
            }
            assert!(!is_at(point, entry), "killed here");
        })
    }));
    assert!(killed.is_err(), "{point:?} was never reached");
    if wait {
        // QEMU goes on by itself: it sends all, and stands still on both sides.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
    }
    let (mut source, mut destination) = (operator(&pair.source), operator(&pair.destination));
    let found = settle(Some(&mut source), Some(&mut destination), ordered);
    drop((source, destination));
    let now = running(&mut pair);
    let home = if found == WhoRuns::Source { &mut pair.source } else { &mut pair.destination };
    verify(&mut home.qmp, &guest, directory.path()).unwrap();
    // Once more: nothing is left to do, and nothing is undone.
    let mut again = operator(home);
    let second = match found {
        WhoRuns::Source => settle(Some(&mut again), None, ordered),
        _ => settle(None, Some(&mut again), ordered),
    };
    (found, now, second)
}

#[test]
fn recovery_of_a_killed_driver_leaves_exactly_one_running_at_every_point() {
    if !is_there() {
        return;
    }
    let levers = limits(400, 300);
    let points = [
        (Point::Preparing, false, WhoRuns::Source),
        (Point::FirstPass, false, WhoRuns::Source),
        (Point::FirstPass, true, WhoRuns::Source),
        (Point::Stopped, false, WhoRuns::Source),
        (Point::HandingOver, false, WhoRuns::Destination),
    ];
    for (point, wait, expected) in points {
        let (found, now, second) = recovered_at(point, &levers, wait);
        assert_eq!((found, now, second), (expected, 1, expected), "{point:?}, waited: {wait}");
    }
}

#[test]
fn recovery_in_post_copy_goes_forward_for_there_is_no_way_back() {
    if !is_there() {
        return;
    }
    // Never short enough to converge: it is in post-copy when it is handed over.
    let levers = post_copy(limits(400, 1), 1);
    let (found, now, second) = recovered_at(Point::HandingOver, &levers, false);
    assert_eq!((found, now, second), (WhoRuns::Destination, 1, WhoRuns::Destination));
}
