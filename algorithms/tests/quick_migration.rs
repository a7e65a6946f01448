//! Quick migration: the way through, stopping, starting again, and giving up at every step.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::failover::OfflineAction;
use algorithms::ids::MigrationId;
use algorithms::quick_migration::{QuickCommand, QuickInput, QuickKind, QuickMigration, QuickOrder};
use algorithms::records::{MigrationKind, MigrationRecord, Outcome};
use sim_core::{Bytes, SimTime, Span};

const GIB: Bytes = Bytes::from_gib(1);

fn machine(kind: QuickKind, offline: OfflineAction) -> QuickMigration {
    QuickMigration::new(QuickOrder {
        migration: MigrationId(0),
        vm: "web".into(),
        source: "a".into(),
        destination: "b".into(),
        memory: GIB,
        queued: SimTime::ZERO,
        kind,
        offline,
        why: None,
    })
}

/// What the machine wants done after `input` at `secs`, and its record where it has ended.
fn tell(
    machine: &mut QuickMigration,
    secs: u64,
    input: QuickInput,
) -> (Vec<QuickCommand>, Option<MigrationRecord>) {
    let said = support::tell(machine, secs, input);
    let ended = said.migration().cloned();
    (said.commands, ended)
}

#[test]
fn saved_moved_restored_the_pause_is_all_of_it() {
    let mut quick = machine(QuickKind::Move, OfflineAction::Save);
    assert_eq!(tell(&mut quick, 1, QuickInput::Begin).0, [QuickCommand::Save { bytes: GIB }]);
    assert_eq!(tell(&mut quick, 4, QuickInput::Offline).0, [QuickCommand::Restore { bytes: GIB }]);
    let record = tell(&mut quick, 6, QuickInput::Online).1.unwrap();
    assert_eq!((record.kind, record.outcome), (MigrationKind::Quick, Outcome::Completed));
    assert_eq!((record.blackout, record.brownout), (Span::from_secs(5), Span::ZERO));
    assert_eq!((record.memory_bytes_sent, record.storage_bytes_sent), (Bytes::ZERO, GIB));
}

#[test]
fn what_is_shut_down_runs_until_it_is_down() {
    let mut quick = machine(QuickKind::Move, OfflineAction::ShutDown);
    assert_eq!(tell(&mut quick, 0, QuickInput::Begin).0, [QuickCommand::ShutDown]);
    assert_eq!(tell(&mut quick, 30, QuickInput::Offline).0, [QuickCommand::Boot]);
    let record = tell(&mut quick, 90, QuickInput::Online).1.unwrap();
    assert_eq!((record.brownout, record.blackout), (Span::from_secs(30), Span::from_secs(60)));
}

#[test]
fn what_a_forced_drain_stops_is_off_until_it_is_started() {
    let mut stop = machine(QuickKind::Stop, OfflineAction::Save);
    tell(&mut stop, 0, QuickInput::Begin);
    let (commands, record) = tell(&mut stop, 3, QuickInput::Offline);
    assert_eq!((commands, record.unwrap().kind), (Vec::new(), MigrationKind::Stop));
    let since = SimTime::ZERO + Span::from_secs(3);
    let mut start = machine(QuickKind::Start { since }, OfflineAction::Save);
    assert_eq!(tell(&mut start, 100, QuickInput::Begin).0, [QuickCommand::Restore { bytes: GIB }]);
    let record = tell(&mut start, 102, QuickInput::Online).1.unwrap();
    assert_eq!((record.total, record.blackout), (Span::from_secs(2), Span::from_secs(99)));
}

#[test]
fn given_up_at_any_step_the_guest_is_brought_back_at_the_source() {
    let cancel = || QuickInput::Cancel { reason: "enough".into() };
    for steps in 0..2 {
        let mut quick = machine(QuickKind::Move, OfflineAction::Save);
        tell(&mut quick, 0, QuickInput::Begin);
        if steps > 0 {
            tell(&mut quick, 1, QuickInput::Offline);
        }
        assert_eq!(tell(&mut quick, 2, cancel()).0, [QuickCommand::Undo]);
        let record = tell(&mut quick, 3, QuickInput::Undone).1.unwrap();
        assert_eq!((record.outcome, &*record.reason), (Outcome::Cancelled, "enough"));
        assert_eq!(record.blackout, Span::from_secs(3), "it has stood still meanwhile");
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_and_change_nothing() {
    let mut quick = machine(QuickKind::Move, OfflineAction::Save);
    support::assert_refused(&mut quick, SimTime::ZERO, QuickInput::Online);
    tell(&mut quick, 0, QuickInput::Begin);
    support::assert_refused(&mut quick, SimTime::ZERO, QuickInput::Begin);
}
