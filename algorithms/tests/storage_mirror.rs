//! Moving disks: the way through, alone and with memory, and giving up at every step.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::page_loop::{PageCommand, PageInput};
use algorithms::records::{MigrationKind, Outcome, Whereabouts};
use algorithms::storage_mirror::{MirrorCommand, MirrorInput, Switch};
use sim_core::{Bytes, SimTime, Span};
use support::answering::disks;
use support::*;

const MIB: Bytes = Bytes::from_mib(1);

fn controller(switch: Switch) -> MigrationController {
    let storage = disks(switch);
    MigrationController::new(MigrationOrder { storage, ..order() })
}

const COPIED: Input = Input::Storage(MirrorInput::Copied);

/// The inputs of a shared-nothing migration that goes well, and the command after each.
fn with_memory() -> Vec<(Input, Command)> {
    let copy = |disk, gib| Command::Storage(MirrorCommand::Copy { disk, bytes: Bytes::from_gib(gib) });
    let page = |input| Input::Page(input);
    vec![
        (Input::Begin, Command::Prepare),
        (Input::Prepared, copy(0, 1)),
        (COPIED, copy(1, 3)),
        (
            COPIED,
            Command::Page(PageCommand::Send {
                bytes: Bytes::from_gib(1),
                limit: None,
                opening: algorithms::page_loop::Opening::Round,
            }),
        ),
        (page(PageInput::RoundSent), Command::Page(PageCommand::Count { unsent: Bytes::ZERO })),
        (page(PageInput::Counted { dirty: MIB }), Command::Page(PageCommand::Pause)),
        (page(PageInput::Paused), Command::Page(PageCommand::Count { unsent: MIB })),
        (
            page(PageInput::Counted { dirty: MIB }),
            Command::Page(PageCommand::Send {
                bytes: MIB,
                limit: None,
                opening: algorithms::page_loop::Opening::Round,
            }),
        ),
        (page(PageInput::RoundSent), Command::Page(PageCommand::Resume)),
        (page(PageInput::Resumed), Command::EndMirror),
        (Input::MirrorEnded { written: MIB }, Command::Finish),
    ]
}

#[test]
fn disks_go_first_memory_follows_and_the_mirror_ends_after_the_pause() {
    let mut controller = controller(Switch::WithMemory);
    let mut messages = Vec::new();
    for (secs, (input, command)) in (0..).zip(with_memory()) {
        let said = tell(&mut controller, secs, input);
        assert_eq!(said.commands, [command], "after {secs} s");
        messages.extend(said.messages().into_iter().map(str::to_string));
    }
    let percents = ["0 %", "25 %", "100 %"]
        .map(|percent| messages.iter().filter(|words| words.contains(percent)).count());
    assert!(percents.iter().all(|count| *count >= 1), "{messages:?}");
    let ended = tell(&mut controller, 11, Input::Finished);
    let record = ended.migration().unwrap();
    assert_eq!((record.outcome, record.kind), (Outcome::Completed, MigrationKind::SharedNothing));
    assert_eq!(record.storage_bytes_sent, Bytes::from_gib(4) + MIB);
    assert_eq!(record.memory_bytes_sent, Bytes::from_gib(1) + MIB);
    assert_eq!([record.brownout, record.blackout].map(Span::as_secs_f64), [5.0, 4.0]);
}

#[test]
fn disks_alone_switch_over_without_a_pause() {
    let mut controller = controller(Switch::WhenCopied);
    for (secs, (input, command)) in (0..3).zip(with_memory()) {
        assert_eq!(tell(&mut controller, secs, input).commands, [command]);
    }
    assert_eq!(tell(&mut controller, 3, COPIED).commands, [Command::Storage(MirrorCommand::SwitchOver)]);
    let switched = tell(&mut controller, 4, Input::Storage(MirrorInput::SwitchedOver));
    assert_eq!(switched.commands, [Command::EndMirror]);
    assert_eq!(tell(&mut controller, 4, Input::MirrorEnded { written: MIB }).commands, [Command::Finish]);
    let ended = tell(&mut controller, 5, Input::Finished);
    let record = ended.migration().unwrap();
    assert_eq!((record.outcome, record.kind), (Outcome::Completed, MigrationKind::Storage));
    assert_eq!((record.blackout, record.brownout), (Span::ZERO, Span::from_secs(4)));
    assert_eq!(
        (record.storage_bytes_sent, record.memory_bytes_sent),
        (Bytes::from_gib(4) + MIB, Bytes::ZERO)
    );
}

#[test]
fn given_up_at_any_step_the_mirror_ends_and_all_that_was_sent_is_told() {
    let steps = with_memory();
    for given_up_at in 1..steps.len() - 1 {
        let mut controller = controller(Switch::WithMemory);
        for (secs, (input, _)) in (0..).zip(&steps[..given_up_at]) {
            tell(&mut controller, secs, input.clone());
        }
        let now = given_up_at as u64;
        let said = tell(&mut controller, now, Input::Failed { reason: "the disk is gone".into() });
        assert_eq!(said.commands, [Command::EndMirror], "at step {given_up_at}");
        assert_eq!(tell(&mut controller, now, COPIED).commands, [], "late answers change nothing");
        let ended = tell(&mut controller, now, Input::MirrorEnded { written: MIB });
        assert_eq!(ended.commands, [Command::Abort]);
        let ended = tell(
            &mut controller,
            now,
            Input::Aborted { sent: Bytes::new(7), whereabouts: Whereabouts::AtSource },
        );
        let record = ended.migration().unwrap();
        assert_eq!((record.outcome, record.kind), (Outcome::Failed, MigrationKind::SharedNothing));
        let whole = [0, 0, 0, 1, 4, 4, 4, 4, 4, 4][given_up_at];
        let copying = Bytes::new(if (2..=3).contains(&given_up_at) { 7 } else { 0 });
        assert_eq!(
            record.storage_bytes_sent,
            Bytes::from_gib(whole) + MIB + copying,
            "at step {given_up_at}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut controller = controller(Switch::WithMemory);
    tell(&mut controller, 0, Input::Begin);
    for input in [COPIED, Input::MirrorEnded { written: MIB }, Input::Storage(MirrorInput::SwitchedOver)] {
        assert_refused(&mut controller, SimTime::ZERO, input);
    }
    tell(&mut controller, 1, Input::Prepared);
    assert_refused(&mut controller, at(1), Input::Storage(MirrorInput::SwitchedOver));
}
