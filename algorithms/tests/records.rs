//! Records are typed: programs read fields, and never compare text. What never began has one shape, whoever says so.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Input, MigrationController, MigrationOrder};
use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryGuest, InventoryHost, PlannedMove, PlannedStay,
};
use algorithms::ids::{HostId, MigrationId, VmId};
use algorithms::operation::{self, Deviation, Gates, Operation, Rules};
use algorithms::orchestrator::{self, ClusterView, Orchestrator, Reach};
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::policy::{AdaptiveRate, HyperV, Policy, Qemu, StopReason, Xen};
use algorithms::records::{
    EventKind, EventRecord, MigrationKind, MigrationRecord, Outcome, Record, Whereabouts,
};
use algorithms::storage_mirror::Switch;
use sim_core::{Bandwidth, Bytes, SimTime, Span};
use support::answering::{HandOver, Scenario, alone, disks, post_copy, scenarios};
use support::{at, events, migrations, order, tell, tell_at};

fn record_of(order: MigrationOrder, meanwhile: &[(usize, Input)]) -> MigrationRecord {
    let meanwhile = meanwhile.iter().cloned().collect();
    let scenario = Scenario { name: "one", order, hand_over: HandOver::AtOnce, meanwhile };
    let (hosts, _) = alone(&scenario);
    migrations(&hosts.records)[0].clone()
}

#[test]
fn every_reason_to_stop_copying_reaches_the_record() {
    let forced = Input::Page(algorithms::page_loop::PageInput::ForcePause);
    let rules = |policy| MigrationOrder { policy, ..order() };
    let hyper_v = |max_passes| Policy::HyperV(HyperV { max_passes, stop_below: Bytes::ZERO });
    let never = Xen { stop_below: Bytes::ZERO, ..Xen::default() };
    let mbit = Bandwidth::from_mbit;
    let (first, increment, highest) = (mbit(1), mbit(1), mbit(1));
    let adaptive = AdaptiveRate { first, increment, highest, head_start: Span::ZERO };
    let outrun = Xen { adaptive_rate: Some(adaptive), max_sent_factor: 1_000, ..never.clone() };
    let storage = |switch| MigrationOrder { storage: disks(switch), ..order() };
    let none: &[(usize, Input)] = &[];
    let forced = &[(3, forced)][..];
    for (expected, order, meanwhile) in [
        (StopReason::Converged, rules(Policy::HyperV(HyperV::default())), none),
        (StopReason::RoundLimit, rules(hyper_v(2)), none),
        (StopReason::SentLimit, rules(Policy::Xen(Xen { max_sent_factor: 0, ..never.clone() })), none),
        (StopReason::Forced, rules(hyper_v(9)), forced),
        (StopReason::PostCopy, rules(post_copy()), none),
        (StopReason::DisksCopied, storage(Switch::WhenCopied), none),
        (StopReason::Converged, storage(Switch::WithMemory), none),
    ] {
        let record = record_of(order, meanwhile);
        assert_eq!((record.outcome, record.stop), (Outcome::Completed, Some(expected)));
    }
    // A round at the highest rate that sends more than the one before it: counts that grow.
    let mut controller = MigrationController::new(rules(Policy::Xen(outrun)));
    let mut said = tell(&mut controller, 0, Input::Begin);
    let mut counts = [1, 2, 4, 4].map(Bytes::from_mib).into_iter();
    for secs in 1..1_000 {
        use algorithms::controller::Command;
        use algorithms::page_loop::{PageCommand as Page, PageInput as Told};
        let answer = match said.commands.last() {
            Some(Command::Prepare) => Input::Prepared,
            Some(Command::Page(Page::Send { .. })) => Input::Page(Told::RoundSent),
            Some(Command::Page(Page::Count { .. })) => {
                Input::Page(Told::Counted { dirty: counts.next().unwrap_or(Bytes::from_mib(4)) })
            }
            Some(Command::Page(Page::Pause)) => Input::Page(Told::Paused),
            Some(Command::Page(Page::Resume)) => Input::Page(Told::Resumed),
            Some(Command::Finish) => Input::Finished,
            _ => break,
        };
        said = tell(&mut controller, secs, answer);
    }
    assert_eq!(said.migration().unwrap().stop, Some(StopReason::RateLimit));
}

#[test]
fn a_hypervisors_loop_says_why_it_stopped_too() {
    use algorithms::controller::LoopOwner;
    let page_loop = LoopOwner::Hypervisor;
    let with = |policy| MigrationOrder { policy, page_loop, ..order() };
    let forced = Input::Loop(algorithms::hypervisor_loop::LoopInput::ForcePause);
    let qemu = || Policy::Qemu(Qemu::default());
    assert_eq!(record_of(with(qemu()), &[]).stop, Some(StopReason::Converged));
    assert_eq!(record_of(with(qemu()), &[(2, forced)]).stop, Some(StopReason::Forced));
    assert_eq!(record_of(with(post_copy()), &[]).stop, Some(StopReason::PostCopy));
}

#[test]
fn disks_that_moved_are_in_the_record_and_so_are_those_that_were_to() {
    for scenario in scenarios().iter().filter(|each| each.order.storage.is_some()) {
        let (hosts, _) = alone(scenario);
        let record = migrations(&hosts.records)[0].clone();
        assert_eq!(record.disks, scenario.order.storage.clone().unwrap().disks, "{}", scenario.name);
    }
}

#[test]
fn events_have_their_kinds() {
    for scenario in scenarios() {
        let (hosts, _) = alone(&scenario);
        let events = events(&hosts.records);
        let count = |kind| events.iter().filter(|event| event.kind == kind).count();
        assert_eq!((count(EventKind::Started), count(EventKind::Ended)), (1, 1), "{}", scenario.name);
        assert_eq!(count(EventKind::InputRefused), hosts.refused.len(), "{}", scenario.name);
        let moves_disks = scenario.order.storage.is_some();
        assert_eq!(count(EventKind::DiskProgress) > 0, moves_disks, "{}", scenario.name);
        for event in events.iter().filter(|event| event.kind == EventKind::Started) {
            assert_eq!((event.migration, event.vm.as_deref()), (Some(MigrationId(0)), Some("web")));
        }
    }
}

/// What must hold of the record of what never began, and of the line in the log for it.
fn assert_never_begun(record: &MigrationRecord, event: Option<&EventRecord>, reason: &str) {
    assert_eq!((record.outcome, record.whereabouts), (Outcome::NotStarted, Whereabouts::AtSource));
    assert_eq!((&record.transport, record.started, record.stop), (&None, None, None));
    assert_eq!((record.total, record.rounds, record.memory_bytes_sent), (Span::ZERO, 0, Bytes::ZERO));
    assert_eq!(record.reason, reason);
    let Some(event) = event else { return };
    assert_eq!((event.kind, event.migration), (EventKind::NotMoved, Some(record.migration)));
    assert_eq!((event.vm.as_ref(), event.host.as_ref()), (Some(&record.vm), Some(&record.source)));
    assert_eq!(event.message, format!("not moved: {reason}"));
}

fn of_number<'a>(events: &[&'a EventRecord], record: &MigrationRecord) -> &'a EventRecord {
    let ours = |event: &&&EventRecord| {
        event.migration == Some(record.migration) && event.kind == EventKind::NotMoved
    };
    events.iter().find(ours).unwrap()
}

#[test]
fn a_controller_that_is_given_up_before_it_begins() {
    for input in [Input::Cancel { reason: "why not".into() }, Input::Failed { reason: "why not".into() }] {
        let mut controller = MigrationController::new(order());
        let said = tell(&mut controller, 5, input);
        assert_eq!((said.done, said.commands.as_slice()), (Some(Outcome::NotStarted), &[][..]));
        let record = said.migration().unwrap();
        assert_never_begun(record, Some(of_number(&said.events(), record)), "why not");
        assert_eq!((&*record.vm, record.destination.as_deref(), record.queued), ("web", Some("b"), at(5)));
    }
}

#[test]
fn a_move_that_the_orchestrator_declines() {
    let mut view = ClusterView::new(Placement::MostFreeMemory, Reach::All);
    view.add_host("a".into(), Bytes::from_gib(8), None);
    view.add_guest("web".into(), HostId(0), Bytes::from_gib(1));
    let (delay, after, storage) = (Span::ZERO, vec![], StorageMove::Stays);
    let to_itself = Move { vm: VmId(0), destination: Some(HostId(0)), delay, after, storage };
    let plan = Plan { phases: vec![Phase { moves: vec![to_itself], ..Phase::default() }] };
    let mut orchestrator = Orchestrator::new(plan, view);
    let said = tell(&mut orchestrator, 0, orchestrator::Input::Begin);
    let records = said.declined()[0].clone().records(SimTime::ZERO);
    let [Record::Event(event), Record::Migration(record)] = &records else { panic!("{records:?}") };
    assert_never_begun(record, Some(event), "it is there already");
    assert_eq!((&*record.vm, record.kind), ("web", MigrationKind::Live));
}

fn drain_plan(guests: u32, stay: bool) -> DrainPlan {
    let host = |name: &str| InventoryHost { name: name.into(), memory: Bytes::from_gib(64) };
    let guest = |number: u32| InventoryGuest {
        name: format!("vm{number}").into(),
        host: "a".into(),
        memory: Bytes::from_gib(1),
        disks: vec![],
    };
    let all = guests + u32::from(stay);
    let inventory = Inventory { hosts: vec![host("a"), host("b")], guests: (0..all).map(guest).collect() };
    let planned = |number: u32| PlannedMove {
        vm: format!("vm{number}").into(),
        destination: "b".into(),
        kind: MigrationKind::Live,
        disks: vec![],
        reason: "the most free memory".into(),
        completes: 1.0,
        start_s: Expected::default(),
        total_s: Expected { p50: 10.0, p95: 12.0 },
        blackout_s: Expected { p50: 0.1, p95: 0.2 },
    };
    let (policy, moves) = (Policy::HyperV(HyperV::default()), (0..guests).map(planned).collect());
    let name = format!("vm{guests}");
    let kept = PlannedStay { vm: name.into(), reason: "no room".into(), event_id: Some(1), fix: None };
    let stays = if stay { vec![kept] } else { vec![] };
    DrainPlan { limit: Some(2), stays, ..DrainPlan::new("a".into(), inventory, policy, moves) }
}

fn operation(plan: DrainPlan, rules: Rules) -> Operation {
    let inventory = plan.inventory.clone();
    Operation::new(plan, &inventory, rules).unwrap()
}

#[test]
fn what_an_operation_does_not_start() {
    let mut machine = operation(drain_plan(4, true), Rules { gates: Gates::All, ..Rules::default() });
    let begun = tell(&mut machine, 0, operation::Input::Begin);
    assert_never_begun(begun.migration().unwrap(), None, "no room");
    let no = tell(&mut machine, 1, operation::Input::Answered { yes: false });
    let record = no.migration().unwrap();
    assert_never_begun(record, Some(of_number(&no.events(), record)), "the operator said no");
    let stopped = tell(&mut machine, 2, operation::Input::Interrupted);
    let records = stopped.migrations();
    assert_eq!(records.len(), 3, "{records:?}");
    for record in records {
        assert_never_begun(
            record,
            Some(of_number(&stopped.events(), record)),
            "the run ended before its turn",
        );
    }
}

#[test]
fn an_operation_that_is_interrupted_before_it_begins_says_of_all_that_they_stay() {
    let mut machine = operation(drain_plan(3, true), Rules::default());
    let said = tell(&mut machine, 1, operation::Input::Interrupted);
    assert_eq!(said.done, Some(operation::Finish::Partly));
    let numbers: Vec<u32> = said.migrations().into_iter().map(|record| record.migration.0).collect();
    assert_eq!(numbers, [3, 0, 1, 2], "those that stay, and those that were to move");
    for record in &said.migrations()[1..] {
        let reason = "interrupted by the operator before it began";
        assert_never_begun(record, Some(of_number(&said.events(), record)), reason);
    }
    support::assert_refused(&mut machine, at(2), operation::Input::Begin);
}

#[test]
fn nothing_starts_in_the_breath_in_which_a_late_one_stops_the_drain() {
    for (deviation, cancelled) in [(Deviation::Stop, 0), (Deviation::Abort, 1)] {
        let mut machine = operation(drain_plan(3, false), Rules { deviation, ..Rules::default() });
        let begun = tell(&mut machine, 0, operation::Input::Begin);
        assert_eq!((begun.commands.len(), begun.wait), (2, Some(at(15))));
        // The first ends when the second is late: its slot is free for the third, which is not started any more.
        let (migration, outcome, reason) = (MigrationId(0), Outcome::Completed, String::new());
        let said = tell_at(&mut machine, at(15), operation::Input::Ended { migration, outcome, reason });
        assert_eq!(said.commands.len(), cancelled, "{:?}", said.commands);
        let record = said.migration().unwrap();
        assert_never_begun(record, Some(of_number(&said.events(), record)), "the run ended before its turn");
    }
}
