//! What a failure means to a migration in each of its states, and what the orchestrator makes of it.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Command, Input, MigrationController};
use algorithms::failures::{Breakage, FailurePoint, Side};
use algorithms::ids::{HostId, MigrationId, StorageId, VmId};
use algorithms::orchestrator::{ClusterView, Incident, Input as Asked, Orchestrator, Reach, StorageView};
use algorithms::page_loop::PageInput;
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::preflight::Rule;
use algorithms::records::{Level, Outcome, Whereabouts};
use sim_core::{Bytes, SimTime, Span};
use support::*;

fn undone(whereabouts: Whereabouts) -> Input {
    Input::Aborted { sent: Bytes::ZERO, whereabouts }
}

fn controller() -> MigrationController {
    MigrationController::new(order())
}

const HANDED_OVER: usize = 8;

/// A controller after the first `steps` of the way through.
fn after(steps: usize) -> MigrationController {
    let mut controller = controller();
    for (secs, input) in way_through().into_iter().take(steps).enumerate() {
        tell(&mut controller, secs as u64, input);
    }
    controller
}

const LIMIT: Span = Span::from_secs(20);

#[test]
fn silence_is_borne_until_the_connection_breaks_and_forgotten_when_it_ends() {
    for steps in 1..HANDED_OVER {
        let mut patient = after(steps);
        let now = steps as u64;
        let silent = tell(&mut patient, now, Input::Silent { limit: LIMIT });
        assert_eq!(
            (silent.commands.as_slice(), silent.wait),
            (&[][..], Some(at(now + 20))),
            "at step {steps}"
        );
        assert_eq!(tell(&mut patient, now + 19, Input::Tick).commands, []);
        let mut forgiving = patient.clone();
        let heard = tell(&mut forgiving, now + 19, Input::Heard);
        assert_eq!((heard.events().len(), heard.events()[0].level), (1, Level::Warning));
        assert_eq!(heard.wait, Some(SimTime::MAX));
        assert_eq!(tell(&mut forgiving, now + 30, Input::Tick).commands, [], "that is over");
        assert_eq!(tell(&mut patient, now + 20, Input::Tick).commands, [Command::Abort]);
        let ended = tell(&mut patient, now + 20, undone(Whereabouts::AtSource));
        let record = ended.migration().unwrap();
        assert_eq!((record.outcome, record.event_id), (Outcome::Failed, Some(21502)));
        assert!(record.reason.contains("20 s"), "{}", record.reason);
        let paused_since = 4;
        let expected = if steps >= 4 { now + 20 - paused_since + 1 } else { 0 };
        assert_eq!(record.blackout, Span::from_secs(expected), "at step {steps}");
    }
}

#[test]
fn the_guest_is_the_sources_until_it_runs_at_the_destination() {
    for steps in 1..=HANDED_OVER {
        let handed_over = steps == HANDED_OVER;
        let now = steps as u64;
        let mut broken = after(steps);
        let said = tell(&mut broken, now, Input::Broke(Breakage::Connection));
        if handed_over {
            assert_eq!((said.commands.as_slice(), said.events()[0].level), (&[][..], Level::Warning));
            assert_eq!(
                tell(&mut broken, now, Input::Finished).migration().unwrap().outcome,
                Outcome::Completed
            );
        } else {
            assert_eq!(said.commands, [Command::Abort]);
        }
        let mut orphaned = after(steps);
        let said = tell(&mut orphaned, now, Input::HostDied(Side::Source));
        let said = if handed_over { said } else { tell(&mut orphaned, now, undone(Whereabouts::Off)) };
        let record = said.migration().unwrap();
        let expected = match handed_over {
            true => (Outcome::Completed, Whereabouts::AtDestination),
            false => (Outcome::Lost, Whereabouts::Off),
        };
        assert_eq!((record.outcome, record.whereabouts), expected, "at step {steps}");
        assert_eq!(record.failure.is_some(), !handed_over);
        let mut beheaded = after(steps);
        let said = tell(&mut beheaded, now, Input::HostDied(Side::Destination));
        let lost = said.migration().map(|record| (record.outcome, record.failure.as_ref().unwrap().point));
        let expected = handed_over.then_some((Outcome::Lost, FailurePoint::CleanUp));
        assert_eq!(lost, expected, "a source finds out by itself");
        assert_eq!(said.commands, []);
    }
}

#[test]
fn a_source_that_dies_while_a_failure_is_undone_loses_the_guest_all_the_same() {
    let mut controller = after(2);
    tell(&mut controller, 3, Input::Broke(Breakage::Memory));
    tell(&mut controller, 3, Input::HostDied(Side::Source));
    let ended = tell(&mut controller, 4, undone(Whereabouts::Off));
    let record = ended.migration().unwrap();
    assert_eq!((record.outcome, record.event_id), (Outcome::Lost, Some(1135)));
}

#[test]
fn a_long_blackout_is_a_warning_of_its_own() {
    let mut controller = after(7);
    tell(&mut controller, 40, Input::Page(PageInput::Resumed));
    let ended = tell(&mut controller, 41, Input::Finished);
    assert_eq!((ended.events()[0].level, ended.events()[0].event_id), (Level::Warning, Some(20417)));
    assert!(ended.events()[0].message.contains("37 s"), "{}", ended.events()[0].message);
    let mut quick = after(8);
    let ended = tell(&mut quick, 9, Input::Finished);
    assert_eq!((ended.events()[0].level, ended.events()[0].event_id), (Level::Information, Some(20418)));
}

/// Three hosts of 64 GiB with a location each and one for all, and a guest of 8 GiB with one disk on the
/// first host's own.
fn cluster() -> ClusterView {
    let mut view = ClusterView::new(Placement::MostFreeMemory, Reach::All);
    let mut storage = StorageView::default();
    for host in 0..3 {
        view.add_host(format!("h{host}").into(), Bytes::from_gib(64), Some(1));
        storage.add_location(format!("d{host}").into(), vec![HostId(host)], Some(Bytes::from_gib(100)));
        storage.add_host(Some(StorageId(host)), Some(2));
    }
    for vm in 0..2 {
        view.add_guest(format!("vm{vm}").into(), HostId(0), Bytes::from_gib(8));
        storage.add_disk(VmId(vm), "os".into(), StorageId(0), Bytes::from_gib(40));
    }
    view.set_storage(storage);
    view
}

fn plan(destinations: [Option<u32>; 2], storage: &StorageMove) -> Plan {
    let one = |(vm, destination): (usize, Option<u32>)| Move {
        vm: VmId(vm as u32),
        destination: destination.map(HostId),
        delay: Span::ZERO,
        after: Vec::new(),
        storage: storage.clone(),
    };
    let moves = destinations.into_iter().enumerate().map(one).collect();
    Plan { phases: vec![Phase { moves, ..Phase::default() }] }
}

/// Guests that start, each with its destination.
type Started = Vec<(u32, u32)>;
/// Guests that are refused, each with the rule.
type Refused = Vec<(u32, Option<Rule>)>;

/// What an orchestrator says: who starts, to where, and who is refused, by which rule.
fn ask(orchestrator: &mut Orchestrator, secs: u64, input: Asked) -> (Started, Refused) {
    let said = tell(orchestrator, secs, input);
    let started =
        said.started().into_iter().map(|each| (each.assignment.vm.0, each.assignment.destination.0));
    let refused = said.declined().into_iter();
    let refused = refused.map(|each| (each.vm.0, each.refusal.as_ref().map(|refusal| refusal.rule)));
    (started.collect(), refused.collect())
}

#[test]
fn storage_refuses_with_rule_category_event_cause_and_command() {
    let refused = |storage: StorageMove, incidents: &[Incident]| {
        let mut orchestrator = Orchestrator::new(plan([Some(1), None], &storage), cluster());
        for incident in incidents {
            tell(&mut orchestrator, 0, Asked::Befell(*incident));
        }
        ask(&mut orchestrator, 0, Asked::Begin).1
    };
    let both = |rule| vec![(0, Some(rule)), (1, Some(rule))];
    assert_eq!(refused(StorageMove::Stays, &[]), both(Rule::StorageReachable));
    let full = [Incident::StorageFilled(StorageId(1)), Incident::StorageFilled(StorageId(2))];
    assert_eq!(refused(StorageMove::Default, &full), both(Rule::StorageSpace));
    let lost = [Incident::StorageLost(StorageId(0))];
    assert_eq!(refused(StorageMove::Default, &lost).len(), 2);
    let mended = [lost[0], Incident::StorageBack(StorageId(0))];
    assert_eq!(refused(StorageMove::Default, &mended), []);
}

#[test]
fn a_dead_destination_is_replaced_where_it_was_chosen_and_refused_where_it_was_named() {
    for (destinations, expected) in
        [([Some(1), Some(1)], (vec![], vec![1])), ([Some(1), None], (vec![(1, 2)], vec![]))]
    {
        let mut view = cluster();
        view.set_storage(StorageView::default());
        // The second guest would choose host 1 too: host 2 has less room.
        view.add_guest("large".into(), HostId(2), Bytes::from_gib(30));
        let mut orchestrator = Orchestrator::new(plan(destinations, &StorageMove::Stays), view);
        assert_eq!(ask(&mut orchestrator, 0, Asked::Begin).0, [(0, 1)], "one at a time");
        let died = Asked::Befell(Incident::HostDied(HostId(1)));
        let (started, refused) = ask(&mut orchestrator, 1, died);
        let (migration, outcome) = (MigrationId(0), Outcome::Failed);
        let (later, _) = ask(&mut orchestrator, 2, Asked::Ended { migration, outcome });
        let refused: Vec<u32> =
            refused.into_iter().map(|(vm, rule)| (vm, assert_eq!(rule, Some(Rule::HostAlive))).0).collect();
        assert_eq!(([started, later].concat(), refused), expected);
        for (vm, destination) in &expected.0 {
            let (migration, outcome) = (MigrationId(*vm), Outcome::Completed);
            ask(&mut orchestrator, 3, Asked::Ended { migration, outcome });
            assert_eq!(orchestrator.cluster().host_of(VmId(*vm)), HostId(*destination));
        }
        assert!(orchestrator.cluster().is_settled(), "all that was reserved is given back");
        assert!(orchestrator.cluster().is_dead(HostId(1)));
    }
}
