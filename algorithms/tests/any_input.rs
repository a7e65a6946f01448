//! Any input in any state of any machine: never a panic; what is refused changes nothing; what has ended stays so; and
//! whatever was told, the right answers bring it to its end.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Debug;

use algorithms::controller::{
    Command, Deadline, DeadlineAction, Input, LoopOwner, MigrationController, MigrationOrder,
};
use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryGuest, InventoryHost, PlannedMove, PlannedStay,
};
use algorithms::failover::{Failover, Priority, Role};
use algorithms::hypervisor_loop::{HypervisorLoop, LoopInput};
use algorithms::ids::{HostId, MigrationId, StorageId, VmId};
use algorithms::machine::Machine;
use algorithms::operation::{self, Gates, Operation, Rules};
use algorithms::orchestrator::{self, ClusterView, Orchestrator, Reach, StorageView};
use algorithms::page_loop::{PageCommand, PageInput, PageLoop};
use algorithms::plan::{
    DrainOptions, Failback, Force, Move, NodeTask, NodeWork, Phase, Placement, Plan, StorageMove,
};
use algorithms::policy::{HyperV, Policy, PostCopyStart};
use algorithms::quick_migration::{QuickInput, QuickKind, QuickMigration, QuickOrder};
use algorithms::records::{MigrationKind, Outcome};
use algorithms::storage_mirror::{MirrorInput, StorageMirror, Switch};
use proptest::prelude::*;
use serde::Serialize;
use sim_core::{Bytes, SimTime, Span};
use support::answering::{Hosts, disks, scenarios, settle_late};
use support::anything::{self, later, steps};
use support::{Said, order, try_tell};

/// Tells a machine one input, and checks what must hold whatever it is.
fn told<M>(machine: &mut M, now: SimTime, input: M::Input, was_done: &mut bool) -> Said<M>
where
    M: Machine<Command: Debug, Done: Debug> + Clone + PartialEq + Debug + Serialize,
{
    let before = machine.clone();
    let said = try_tell(machine, now, input);
    if !said.refused.is_empty() {
        assert_eq!(*machine, before, "what is refused changes nothing");
        assert_eq!(serde_json::to_string(machine).unwrap(), serde_json::to_string(&before).unwrap());
        assert!(said.commands.is_empty() && said.records.is_empty(), "{said:?}");
    }
    if *was_done {
        assert!(said.done.is_some() && said.commands.is_empty(), "it had ended: {said:?}");
    }
    *was_done |= said.done.is_some();
    said
}

/// Tells a machine all of these, then `answers` over and over until it ends.
fn ends<M>(mut machine: M, inputs: Vec<(u64, M::Input)>, answers: &[M::Input])
where
    M: Machine<Command: Debug, Done: Debug, Input: Clone> + Clone + PartialEq + Debug + Serialize,
{
    let (mut now, mut done) = (SimTime::ZERO, false);
    for (step, input) in inputs {
        now = later(now, step);
        told(&mut machine, now, input, &mut done);
    }
    // Every round of answers moves it on by one command at least.
    for _ in 0..2_000 {
        for answer in answers {
            if done {
                return;
            }
            told(&mut machine, now, answer.clone(), &mut done);
        }
    }
    panic!("it does not end: {machine:?}");
}

fn page_answers() -> Vec<PageInput> {
    // Where less is left, the count with more is refused; the rest of a megabyte goes under every threshold.
    let counted = |dirty| PageInput::Counted { dirty };
    vec![
        PageInput::Begin,
        PageInput::ForcePause,
        PageInput::RoundSent,
        counted(Bytes::ZERO),
        counted(Bytes::from_mib(1)),
        counted(Bytes::from_gib(1)),
        PageInput::Paused,
        PageInput::Resumed,
    ]
}

fn loop_answers() -> Vec<LoopInput> {
    let sent = Bytes::new(u64::MAX);
    vec![LoopInput::Begin, LoopInput::Stopped, LoopInput::Sent { sent }, LoopInput::Resumed]
}

fn controller_order() -> impl Strategy<Value = MigrationOrder> {
    let deadline = prop_oneof![
        Just(None),
        (0..u64::MAX, any::<bool>()).prop_map(|(after, cancel)| {
            let action = if cancel { DeadlineAction::Cancel } else { DeadlineAction::ForcePause };
            Some(Deadline { after: Span::from_nanos(after), action })
        }),
    ];
    let storage = prop_oneof![Just(None), Just(disks(Switch::WithMemory)), Just(disks(Switch::WhenCopied))];
    let page_loop = prop_oneof![Just(LoopOwner::Own), Just(LoopOwner::Hypervisor)];
    (anything::policy(), deadline, storage, page_loop).prop_map(|(policy, deadline, storage, page_loop)| {
        MigrationOrder { policy, deadline, storage, page_loop, ..order() }
    })
}

/// What is left to answer a controller, most of which will not fit.
fn controller_answers() -> Vec<Input> {
    let mut answers =
        vec![Input::Begin, Input::Cancel { reason: "it takes too long".into() }, Input::Prepared];
    answers.extend([MirrorInput::Copied, MirrorInput::SwitchedOver].map(Input::Storage));
    answers.extend(page_answers().into_iter().map(Input::Page));
    answers.extend(loop_answers().into_iter().map(Input::Loop));
    let whereabouts = algorithms::records::Whereabouts::AtSource;
    answers.push(Input::MirrorEnded { written: Bytes::ZERO });
    answers.push(Input::Aborted { sent: Bytes::ZERO, whereabouts });
    answers.push(Input::Finished);
    answers
}

/// Four hosts with guests and roles on three of them, some with disks; what is asked for has two phases.
fn orchestrator(force: Force, with_roles: bool, with_storage: bool) -> Orchestrator {
    let gib = Bytes::from_gib;
    let mut view = ClusterView::new(Placement::MostFreeMemory, Reach::All);
    let mut storage = StorageView::default();
    for host in 0..4 {
        view.add_host(format!("host{host}").into(), gib(8), Some(2));
        storage.add_location(format!("own{host}").into(), vec![HostId(host)], Some(gib(100)));
        storage.add_host(Some(StorageId(host)), Some(1));
    }
    for vm in 0..6 {
        view.add_guest(format!("vm{vm}").into(), HostId(vm % 3), gib(1));
        if vm < 3 {
            storage.add_disk(VmId(vm), "os".into(), StorageId(vm % 3), gib(10));
        }
    }
    if with_storage {
        view.set_storage(storage);
    }
    let priorities = [Priority::High, Priority::Low, Priority::Medium];
    let role = |(vm, priority): (u32, Priority)| (VmId(vm), Role { priority, ..Role::default() });
    let roles = (3..6).zip(priorities).map(role).collect();
    if with_roles {
        view = view.with_failover(Failover { roles, ..Failover::default() });
    }
    let one = |vm, destination, after| Move {
        vm: VmId(vm),
        destination,
        delay: Span::from_secs(u64::from(vm)),
        after,
        storage: if with_storage { StorageMove::Default } else { StorageMove::Stays },
    };
    let moves = vec![one(0, Some(HostId(3)), vec![]), one(1, None, vec![0])];
    let drain = DrainOptions { force, target: None };
    let (time, failback) = (Span::from_secs(10), Failback::Immediate);
    let nodes = [
        NodeTask { nodes: vec![HostId(0)], work: NodeWork::Drain(drain) },
        NodeTask { nodes: vec![HostId(1), HostId(2)], work: NodeWork::Maintain { drain, time, failback } },
    ];
    let nodes = nodes.into_iter().filter(|_| with_roles).collect();
    let first = Phase { moves, nodes, ..Phase::default() };
    let second = Phase { drains: vec![HostId(2)], disks_along: vec![HostId(2)], ..Phase::default() };
    Orchestrator::new(Plan { phases: vec![first, second] }, view)
}

fn drain_plan() -> DrainPlan {
    let host = |name: &str| InventoryHost { name: name.into(), memory: Bytes::from_gib(64) };
    let guest = |number: u32| InventoryGuest {
        name: format!("vm{number}").into(),
        host: "a".into(),
        memory: Bytes::from_gib(1),
        disks: vec![],
    };
    let inventory = Inventory { hosts: vec![host("a"), host("b")], guests: (0..5).map(guest).collect() };
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
    let (policy, moves) = (Policy::HyperV(HyperV::default()), (0..4).map(planned).collect());
    let stays = vec![PlannedStay { vm: "vm4".into(), reason: "no room".into(), event_id: None, fix: None }];
    DrainPlan { limit: Some(2), stays, ..DrainPlan::new("a".into(), inventory, policy, moves) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_loop(inputs in steps(anything::page()), policy in anything::policy()) {
        let pages = PageLoop::new(MigrationId(0), policy, Bytes::from_mib(1));
        ends(pages, inputs, &page_answers());
    }

    #[test]
    fn a_hypervisors_loop(inputs in steps(anything::of_hypervisor()), passes in 0..4_u32) {
        let watched = HypervisorLoop::new(MigrationId(0), PostCopyStart::AfterPasses(passes));
        ends(watched, inputs, &loop_answers());
    }

    #[test]
    fn a_storage_mirror(inputs in steps(anything::mirror()), sizes in prop::collection::vec(anything::bytes(), 0..4), alone: bool) {
        let switch = if alone { Switch::WhenCopied } else { Switch::WithMemory };
        let mut order = disks(switch).unwrap();
        order.disks.resize(sizes.len(), order.disks[0].clone());
        order.disks.iter_mut().zip(sizes).for_each(|(disk, bytes)| disk.bytes = bytes);
        let mirror = StorageMirror::new(MigrationId(0), "web".into(), "a".into(), order);
        ends(mirror, inputs, &[MirrorInput::Begin, MirrorInput::Copied, MirrorInput::SwitchedOver]);
    }

    #[test]
    fn a_quick_migration(inputs in steps(anything::quick()), since: u64, kind in 0..3, offline in 0..3) {
        use algorithms::failover::OfflineAction::{Save, ShutDown, TurnOff};
        let since = SimTime::from_nanos(since);
        let kind = [QuickKind::Move, QuickKind::Stop, QuickKind::Start { since }][kind as usize];
        let quick = QuickMigration::new(QuickOrder {
            migration: MigrationId(0),
            vm: "web".into(),
            source: "a".into(),
            destination: "b".into(),
            memory: Bytes::new(u64::MAX),
            queued: SimTime::ZERO,
            kind,
            offline: [Save, ShutDown, TurnOff][offline as usize],
            why: None,
        });
        ends(quick, inputs, &[QuickInput::Begin, QuickInput::Offline, QuickInput::Online, QuickInput::Undone]);
    }

    #[test]
    fn a_controller(inputs in steps(anything::of_controller()), order in controller_order()) {
        ends(MigrationController::new(order), inputs, &controller_answers());
    }

    /// What does not fit leaves a warning in a migration, and no other trace.
    #[test]
    fn a_migration_is_the_same_with_what_it_refused(
        odd in prop::collection::vec((1..12_usize, anything::of_controller()), 0..6),
    ) {
        for scenario in scenarios() {
            let (mut plain, mut machine) = (Hosts::new(&scenario), MigrationController::new(scenario.order.clone()));
            let (mut other, mut disturbed) = (Hosts::new(&scenario), machine.clone());
            let (mut waits, mut ended) = (0, false);
            while !ended {
                let Some(input) = plain.next_input() else { break };
                prop_assert_eq!(other.next_input(), Some(input.clone()));
                for (_, odd) in odd.iter().filter(|(at, _)| *at == waits) {
                    // Only what is refused; what fits is another migration.
                    if !try_tell(&mut disturbed.clone(), other.now(), odd.clone()).refused.is_empty() {
                        settle_late(&mut disturbed, &mut other, odd.clone());
                    }
                }
                ended = matches!(settle_late(&mut machine, &mut plain, input.clone()), algorithms::machine::Settled::Done(_));
                settle_late(&mut disturbed, &mut other, input);
                waits += 1;
            }
            prop_assert!(ended, "{}", scenario.name);
            prop_assert_eq!(&disturbed, &machine);
            prop_assert_eq!(&other.commands, &plain.commands);
            prop_assert_eq!(other.records.len(), plain.records.len() + other.refused.len() - plain.refused.len());
        }
    }

    #[test]
    fn an_orchestrator(
        inputs in steps(anything::of_orchestrator()),
        by_force: bool,
        with_roles: bool,
        with_storage: bool,
    ) {
        let force = if by_force { Force::On } else { Force::Off };
        let mut machine = orchestrator(force, with_roles, with_storage);
        let (mut now, mut done, mut under_way) = (SimTime::ZERO, false, BTreeSet::new());
        let mut left = inputs.into_iter();
        // A few inputs for each move and node, and for what they are told first.
        for _ in 0..400 {
            if done && left.len() == 0 {
                break;
            }
            let input = match left.next() {
                Some((step, input)) => {
                    now = later(now, step);
                    input
                }
                None => match under_way.first() {
                    Some(migration) => orchestrator::Input::Ended {
                        migration: *migration,
                        outcome: Outcome::Completed,
                    },
                    None => orchestrator::Input::Begin,
                },
            };
            let ended = match &input {
                orchestrator::Input::Ended { migration, .. } => Some(*migration),
                _ => None,
            };
            let said = told(&mut machine, now, input, &mut done);
            if let Some(migration) = ended.filter(|_| said.refused.is_empty()) {
                prop_assert!(under_way.remove(&migration));
            }
            under_way.extend(said.started().into_iter().map(|order| order.assignment.migration));
            if left.len() == 0 && under_way.is_empty() && !done {
                let said = told(&mut machine, now, orchestrator::Input::Begin, &mut done);
                under_way.extend(said.started().into_iter().map(|order| order.assignment.migration));
                let until = try_tell(&mut machine.clone(), now, orchestrator::Input::Tick).wait;
                now = until.filter(|until| *until < SimTime::MAX).map_or(now, |until| until.max(now));
                let said = told(&mut machine, now, orchestrator::Input::Tick, &mut done);
                under_way.extend(said.started().into_iter().map(|order| order.assignment.migration));
            }
        }
        prop_assert!(done, "it does not end: {machine:?}");
        prop_assert!(under_way.is_empty());
        prop_assert!(machine.cluster().is_settled(), "{:?}", machine.cluster());
    }

    #[test]
    fn an_operation(inputs in steps(anything::of_operation()), gated: bool, retries in prop_oneof![0..3_u32, Just(u32::MAX)]) {
        let gates = if gated { Gates::All } else { Gates::None };
        let plan = drain_plan();
        let inventory = plan.inventory.clone();
        let mut machine = Operation::new(plan, &inventory, Rules { gates, retries, ..Rules::default() }).unwrap();
        let (mut now, mut done, mut running) = (SimTime::ZERO, false, BTreeSet::new());
        let mut recorded = BTreeSet::new();
        let mut finished = BTreeSet::new();
        let mut left = inputs.into_iter();
        for turn in 0..400 {
            if done && left.len() == 0 {
                break;
            }
            let input = match left.next() {
                Some((step, input)) => {
                    now = later(now, step);
                    input
                }
                None => match (running.first(), turn % 3) {
                    (Some(migration), _) => operation::Input::Ended {
                        migration: *migration,
                        outcome: Outcome::Completed,
                        reason: String::new(),
                    },
                    (None, 0) => operation::Input::Begin,
                    (None, 1) => operation::Input::Answered { yes: true },
                    (None, _) => {
                        let until = try_tell(&mut machine.clone(), now, operation::Input::Tick).wait;
                        now = until.filter(|until| *until < SimTime::MAX).map_or(now, |until| until.max(now));
                        operation::Input::Tick
                    }
                },
            };
            let ended = match &input {
                operation::Input::Ended { migration, .. } | operation::Input::InDoubt { migration, .. } => Some(*migration),
                _ => None,
            };
            let said = told(&mut machine, now, input, &mut done);
            if let Some(migration) = ended.filter(|_| said.refused.is_empty()) {
                prop_assert!(running.remove(&migration));
                finished.insert(migration);
            }
            for record in said.migrations() {
                prop_assert!(recorded.insert(record.migration), "recorded twice: {record:?}");
            }
            for command in &said.commands {
                if let operation::Command::Start(attempt) = command {
                    prop_assert!(running.insert(attempt.migration()));
                }
            }
        }
        prop_assert!(done, "it does not end: {machine:?}");
        // Every planned guest was started, or is recorded as not moved; those that stay are.
        prop_assert!(recorded.contains(&MigrationId(4)));
        for number in 0..4 {
            let each = MigrationId(number);
            prop_assert!(recorded.contains(&each) != finished.contains(&each), "{each:?}: {recorded:?} {finished:?}");
        }
    }
}

/// The command that a late answer belongs to was given up; it is the new one's that counts.
#[test]
fn each_answer_of_a_migration_that_is_given_up_counts_once() {
    let storage = disks(Switch::WithMemory);
    let mut controller = MigrationController::new(MigrationOrder { storage, ..order() });
    support::tell(&mut controller, 0, Input::Begin);
    support::tell(&mut controller, 1, Input::Prepared);
    let said = support::tell(&mut controller, 2, Input::Cancel { reason: "x".into() });
    assert_eq!(said.commands, [Command::EndMirror]);
    let whereabouts = algorithms::records::Whereabouts::AtSource;
    let aborted = Input::Aborted { sent: Bytes::ZERO, whereabouts };
    support::assert_refused(&mut controller, support::at(3), aborted.clone());
    let written = Bytes::ZERO;
    assert_eq!(support::tell(&mut controller, 3, Input::MirrorEnded { written }).commands, [Command::Abort]);
    support::assert_refused(&mut controller, support::at(4), Input::MirrorEnded { written });
    assert_eq!(support::tell(&mut controller, 4, aborted).done, Some(Outcome::Cancelled));
}

/// A throttle that a lever set to more than the whole, and rules that divide by what is left of it.
#[test]
fn a_guest_is_never_throttled_to_nothing() {
    use algorithms::policy::{AutoConverge, Qemu, Slowing};
    let slowing = Slowing::AutoConverge(AutoConverge { initial_percent: 200, ..AutoConverge::default() });
    let policy = Policy::Qemu(Qemu { slowing, max_bandwidth: None, ..Qemu::default() });
    let mut pages = PageLoop::new(MigrationId(0), policy, Bytes::from_gib(1));
    let mut said = support::tell(&mut pages, 0, PageInput::Begin);
    for secs in 1..200 {
        let answer = match said.commands.last() {
            Some(PageCommand::Send { .. }) => PageInput::RoundSent,
            Some(PageCommand::Count { .. }) => PageInput::Counted { dirty: Bytes::from_gib(1) },
            other => panic!("{other:?}"),
        };
        said = support::tell(&mut pages, 2 * secs, answer);
        let throttled = said.commands.iter().find_map(|command| match command {
            PageCommand::Throttle { percent } => Some(*percent),
            _ => None,
        });
        if let Some(percent) = throttled {
            assert_eq!(percent, 99);
            return;
        }
    }
    panic!("it was never throttled");
}
