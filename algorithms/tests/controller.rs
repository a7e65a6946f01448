//! The controller of one migration: the way through, and every way out of it.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Command, Deadline, DeadlineAction, Input, MigrationController, MigrationOrder};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use algorithms::policy::{Policy, PostCopyStart, Qemu};
use algorithms::records::{Level, Outcome, Whereabouts};
use sim_core::{Bytes, SimTime, Span};
use support::*;

/// All is undone, and the guest is where it was.
fn undone(sent: Bytes) -> Input {
    Input::Aborted { sent, whereabouts: Whereabouts::AtSource }
}

fn controller(deadline: Option<Deadline>) -> MigrationController {
    MigrationController::new(MigrationOrder { deadline, ..order() })
}

#[test]
fn a_migration_that_goes_well_leaves_its_times() {
    let mut controller = controller(None);
    let mut last = None;
    for (secs, input) in way_through().into_iter().enumerate() {
        last = Some(tell(&mut controller, secs as u64, input));
    }
    let last = last.unwrap();
    let record = last.migration().expect("it leaves a record");
    assert_eq!((last.done, record.outcome), (Some(Outcome::Completed), Outcome::Completed));
    let seconds = [record.total, record.brownout, record.blackout].map(Span::as_secs_f64);
    assert_eq!(seconds, [8.0, 3.0, 4.0], "paused from 3 s to 7 s, and cleaned up at 8 s");
    assert_eq!((record.rounds, record.memory_bytes_sent), (2, Bytes::from_gib(1) + Bytes::from_mib(1)));
}

#[test]
fn it_can_be_given_up_at_every_step_until_the_guest_was_handed_over() {
    let steps = way_through();
    for given_up_at in 1..steps.len() {
        let mut controller = controller(None);
        for (secs, input) in steps[..given_up_at].iter().enumerate() {
            tell(&mut controller, secs as u64, input.clone());
        }
        let now = given_up_at as u64;
        let said = tell(&mut controller, now, Input::Cancel { reason: "changed my mind".into() });
        if given_up_at == steps.len() - 1 {
            assert_eq!(said.commands, [], "the guest runs at the destination: too late");
            continue;
        }
        assert_eq!(said.commands, [Command::Abort], "at step {given_up_at}");
        let late = tell(&mut controller, now, Input::Page(PageInput::RoundSent));
        assert_eq!(late.commands, [], "what was under way may still be answered, and changes nothing");
        let ended = tell(&mut controller, now, undone(Bytes::from_mib(7)));
        let record = ended.migration().expect("it leaves a record");
        assert_eq!((record.outcome, record.reason.as_str()), (Outcome::Cancelled, "changed my mind"));
        assert_eq!(ended.worst(), Some(Level::Warning));
        assert_eq!(record.brownout + record.blackout, record.total);
        assert!(record.memory_bytes_sent.get() % Bytes::from_gib(1).get() >= Bytes::from_mib(7).get());
    }
}

#[test]
fn a_host_that_fails_leaves_the_guest_at_the_source_and_an_error_in_the_log() {
    let mut controller = controller(None);
    tell(&mut controller, 0, Input::Begin);
    let said = tell(&mut controller, 2, Input::Failed { reason: "the destination does not answer".into() });
    assert_eq!(said.commands, [Command::Abort]);
    let ended = tell(&mut controller, 3, undone(Bytes::ZERO));
    assert_eq!((ended.done, ended.worst()), (Some(Outcome::Failed), Some(Level::Error)));
}

#[test]
fn the_deadline_is_waited_for_and_then_kept() {
    let deadline = Deadline { after: Span::from_secs(10), action: DeadlineAction::Cancel };
    let mut controller = controller(Some(deadline));
    assert_eq!(tell(&mut controller, 5, Input::Begin).wait, Some(at(15)));
    assert_eq!(tell(&mut controller, 9, Input::Tick).commands, [], "not yet");
    assert_eq!(tell(&mut controller, 15, Input::Tick).commands, [Command::Abort]);
}

#[test]
fn a_forced_pause_at_the_deadline_waits_for_the_end_of_the_round() {
    let deadline = Deadline { after: Span::from_secs(10), action: DeadlineAction::ForcePause };
    let mut controller = controller(Some(deadline));
    tell(&mut controller, 0, Input::Begin);
    tell(&mut controller, 1, Input::Prepared);
    assert_eq!(tell(&mut controller, 10, Input::Tick).commands, []);
    tell(&mut controller, 12, Input::Page(PageInput::RoundSent));
    let counted = tell(&mut controller, 12, Input::Page(PageInput::Counted { dirty: Bytes::from_mib(900) }));
    assert_eq!(counted.commands, [Command::Page(PageCommand::Pause)]);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut controller = controller(None);
    for input in [Input::Prepared, Input::Finished, Input::Page(PageInput::RoundSent)] {
        assert_refused(&mut controller, at(0), input);
    }
    let before = controller.clone();
    assert_eq!(tell(&mut controller, 0, Input::Tick).wait, Some(SimTime::MAX), "an early tick does no harm");
    assert_eq!(controller, before);
}

/// A controller whose guest stands still, all its memory sent.
fn handing_over() -> MigrationController {
    let deadline = Deadline { after: Span::from_secs(60), action: DeadlineAction::Cancel };
    let mut controller = controller(Some(deadline));
    for (secs, input) in way_through().into_iter().take(7).enumerate() {
        tell(&mut controller, secs as u64, input);
    }
    controller
}

#[test]
fn once_it_is_decided_nothing_but_the_destination_can_undo_it() {
    let mut controller = handing_over();
    assert_eq!(tell(&mut controller, 7, Input::Ready).commands, [Command::Commit]);
    for (secs, late) in [(8, Input::Cancel { reason: "too late".into() }), (61, Input::Tick)] {
        assert_eq!(tell(&mut controller, secs, late).commands, []);
    }
    let mut renounced = controller.clone();
    let failed = Input::Failed { reason: "the destination was killed".into() };
    assert_eq!(tell(&mut renounced, 62, failed).commands, [Command::Abort]);
    assert_eq!(tell(&mut controller, 62, Input::Page(PageInput::Resumed)).commands, [Command::Finish]);
}

#[test]
fn a_guest_whose_memory_follows_it_is_given_up_neither_by_hand_nor_at_its_deadline() {
    let policy = Policy::Qemu(Qemu { post_copy: PostCopyStart::AfterPasses(1), ..Qemu::default() });
    for action in [DeadlineAction::Cancel, DeadlineAction::ForcePause] {
        let deadline = Some(Deadline { after: Span::from_secs(60), action });
        let mut controller =
            MigrationController::new(MigrationOrder { deadline, policy: policy.clone(), ..order() });
        tell(&mut controller, 0, Input::Begin);
        let mut said = tell(&mut controller, 1, Input::Prepared);
        for secs in 2.. {
            let answer = match said.commands.last() {
                Some(Command::Page(PageCommand::Send { opening: Opening::PostCopy, .. })) => break,
                Some(Command::Page(PageCommand::Send { .. })) => PageInput::RoundSent,
                Some(Command::Page(PageCommand::Count { unsent })) => {
                    PageInput::Counted { dirty: (*unsent).max(Bytes::from_mib(500)) }
                }
                Some(Command::Page(PageCommand::Pause)) => PageInput::Paused,
                Some(Command::Page(PageCommand::Resume)) => PageInput::Resumed,
                other => panic!("{other:?} at {secs} s"),
            };
            said = tell(&mut controller, secs, Input::Page(answer));
        }
        let late = tell(&mut controller, 60, Input::Tick);
        assert_eq!(
            (late.commands, late.wait),
            (vec![], Some(SimTime::MAX)),
            "the deadline is not waited for again"
        );
        assert_eq!(tell(&mut controller, 61, Input::Cancel { reason: "too late".into() }).commands, []);
        tell(&mut controller, 62, Input::Page(PageInput::RoundSent));
        let ended = tell(&mut controller, 63, Input::Finished);
        assert_eq!(ended.migration().unwrap().outcome, Outcome::Completed);
    }
}

#[test]
fn what_was_given_up_is_not_decided_for_afterwards() {
    let mut controller = handing_over();
    let cancelled = tell(&mut controller, 7, Input::Cancel { reason: "just in time".into() });
    assert_eq!(cancelled.commands, [Command::Abort]);
    assert_eq!(tell(&mut controller, 8, Input::Ready).commands, []);
}
