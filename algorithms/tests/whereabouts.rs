//! Where the VM is after a migration that was given up: the host looks, and the record says it, whoever's the page loop.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Command, Input, LoopOwner, MigrationController, MigrationOrder};
use algorithms::failures::Side;
use algorithms::hypervisor_loop::LoopInput;
use algorithms::page_loop::PageInput;
use algorithms::policy::{Policy, Qemu};
use algorithms::records::{EventKind, Level, Outcome, Whereabouts};
use algorithms::storage_mirror::Switch;
use sim_core::Bytes;
use support::answering::{disks, post_copy};
use support::{order, tell, way_through};

/// A controller that copies memory, by this page loop.
fn copying(page_loop: LoopOwner) -> MigrationController {
    let policy = match page_loop {
        LoopOwner::Own => order().policy,
        LoopOwner::Hypervisor => Policy::Qemu(Qemu::default()),
    };
    let mut controller = MigrationController::new(MigrationOrder { page_loop, policy, ..order() });
    tell(&mut controller, 0, Input::Begin);
    tell(&mut controller, 1, Input::Prepared);
    controller
}

fn found(whereabouts: Whereabouts) -> Input {
    Input::Aborted { sent: Bytes::ZERO, whereabouts }
}

#[test]
fn what_the_host_finds_tells_failed_from_lost() {
    use Whereabouts::{AtDestination, AtSource, InDoubt, Off};
    let expected = [
        (AtSource, None, ""),
        (AtDestination, Some(Outcome::Completed), "; the guest runs at the destination all the same"),
        (Off, Some(Outcome::Lost), "; the guest is off"),
        (InDoubt, Some(Outcome::Failed), "look before starting either"),
    ];
    for page_loop in [LoopOwner::Own, LoopOwner::Hypervisor] {
        for (whereabouts, outcome, text) in expected {
            let failed = Input::Failed { reason: "gone".into() };
            let cancelled = Input::Cancel { reason: "enough".into() };
            for (input, otherwise) in [(failed, Outcome::Failed), (cancelled, Outcome::Cancelled)] {
                let mut controller = copying(page_loop);
                assert_eq!(tell(&mut controller, 2, input).commands, [Command::Abort]);
                let said = tell(&mut controller, 3, found(whereabouts));
                let record = said.migration().unwrap();
                let outcome = outcome.unwrap_or(otherwise);
                assert_eq!((record.outcome, record.whereabouts), (outcome, whereabouts), "{page_loop:?}");
                assert_eq!((said.done, record.stop), (Some(outcome), None));
                let event = said.events()[0].clone();
                assert_eq!(event.kind, EventKind::Ended);
                assert!(event.message.contains(text), "{event:?}");
                let bad = matches!(outcome, Outcome::Failed | Outcome::Lost);
                assert_eq!(event.level, if bad { Level::Error } else { Level::Warning });
            }
        }
    }
}

#[test]
fn what_its_memory_never_followed_to_is_lost_wherever_it_is_found() {
    use Whereabouts::{AtDestination, AtSource, InDoubt, Off};
    for (finding, whereabouts, text) in [
        (AtSource, Off, "; the guest is off"),
        (Off, Off, "; the guest is off"),
        (AtDestination, AtDestination, "; the guest was started anew at the destination"),
        (InDoubt, InDoubt, "look before starting either"),
    ] {
        let mut controller = MigrationController::new(MigrationOrder { policy: post_copy(), ..order() });
        let mut said = tell(&mut controller, 0, Input::Begin);
        for secs in 1..100 {
            use algorithms::page_loop::{Opening, PageCommand as Page};
            let answer = match said.commands.last().unwrap() {
                Command::Prepare => Input::Prepared,
                Command::Page(Page::Send { opening: Opening::PostCopy, .. }) => break,
                Command::Page(Page::Send { .. }) => Input::Page(PageInput::RoundSent),
                Command::Page(Page::Count { unsent }) => {
                    Input::Page(PageInput::Counted { dirty: (*unsent).max(Bytes::from_mib(500)) })
                }
                Command::Page(Page::Pause) => Input::Page(PageInput::Paused),
                Command::Page(Page::Resume) => Input::Page(PageInput::Resumed),
                other => panic!("{other:?}"),
            };
            said = tell(&mut controller, secs, answer);
        }
        tell(&mut controller, 100, Input::Failed { reason: "the source is gone".into() });
        let said = tell(&mut controller, 101, found(finding));
        let record = said.migration().unwrap();
        assert_eq!((record.outcome, record.whereabouts), (Outcome::Lost, whereabouts));
        assert!(said.messages()[0].contains(text), "{:?}", said.messages());
    }
}

#[test]
fn a_source_that_died_has_lost_it_with_either_loop() {
    for page_loop in [LoopOwner::Own, LoopOwner::Hypervisor] {
        let mut controller = copying(page_loop);
        tell(&mut controller, 2, Input::HostDied(Side::Source));
        let said = tell(&mut controller, 3, found(Whereabouts::Off));
        let record = said.migration().unwrap();
        assert_eq!((record.outcome, record.whereabouts), (Outcome::Lost, Whereabouts::Off));
        assert_eq!(said.worst(), Some(Level::Error));
    }
}

#[test]
fn a_failure_to_clean_up_is_a_warning_of_a_migration_that_completed() {
    let mut own = MigrationController::new(order());
    for (secs, input) in (0..).zip(way_through().into_iter().take(8)) {
        tell(&mut own, secs, input);
    }
    let mut watched = copying(LoopOwner::Hypervisor);
    for (secs, input) in
        (2..).zip([LoopInput::Stopped, LoopInput::Sent { sent: Bytes::ZERO }, LoopInput::Resumed])
    {
        tell(&mut watched, secs, Input::Loop(input));
    }
    for mut controller in [own, watched] {
        let said = tell(&mut controller, 9, Input::Failed { reason: "the disk is full".into() });
        let record = said.migration().expect("it does not hang");
        assert_eq!((record.outcome, record.whereabouts), (Outcome::Completed, Whereabouts::AtDestination));
        assert_eq!((said.done, said.worst()), (Some(Outcome::Completed), Some(Level::Warning)));
        assert!(said.messages()[0].contains("the disk is full"), "{:?}", said.messages());
    }
}

#[test]
fn a_mirror_that_cannot_be_ended_is_a_warning_and_the_rest_is_cleaned_up() {
    let storage = disks(Switch::WithMemory);
    let mut controller = MigrationController::new(MigrationOrder { storage, ..order() });
    let copied = Input::Storage(algorithms::storage_mirror::MirrorInput::Copied);
    let mut inputs = way_through();
    inputs.splice(2..2, [copied.clone(), copied]);
    inputs.pop();
    let mut last = None;
    for (secs, input) in (0..).zip(inputs) {
        last = Some(tell(&mut controller, secs, input));
    }
    assert_eq!(last.unwrap().commands, [Command::EndMirror]);
    let said = tell(&mut controller, 20, Input::Failed { reason: "no answer".into() });
    assert_eq!((said.commands.as_slice(), said.worst()), (&[Command::Finish][..], Some(Level::Warning)));
    assert_eq!(tell(&mut controller, 21, Input::Finished).done, Some(Outcome::Completed));
}
