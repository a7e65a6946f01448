//! Nodes of a failover cluster in the orchestrator: what is asked for when, and what follows.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::failover::{Failover, Priority, Role};
use algorithms::ids::{HostId, VmId};
use algorithms::orchestrator::{ClusterView, Input, MoveOrder, Orchestrator, Reach};
use algorithms::plan::{
    DrainOptions, Failback, Force, Move, NodeTask, NodeWork, Phase, Placement, Plan, StorageMove,
};
use algorithms::preflight::Prerequisites;
use algorithms::preflight::facts::{
    Administration, GuestConfiguration, GuestFacts, HostFacts, HostSettings, MigrationService,
};
use algorithms::records::{MigrationKind, Outcome};
use sim_core::{Bytes, SimTime, Span};
use support::{Said, tell};

/// Hosts of 8 GiB, two migrations at a time; roles of 1 GiB with these priorities on these hosts.
fn cluster(hosts: u32, roles: &[(u32, Priority)]) -> ClusterView {
    let priorities = (0..).map(VmId).zip(roles);
    let role =
        |(vm, (_, priority)): (VmId, &(u32, Priority))| (vm, Role { priority: *priority, ..Role::default() });
    let failover = Failover { roles: priorities.map(role).collect(), ..Failover::default() };
    let mut view = ClusterView::new(Placement::MostFreeMemory, Reach::All).with_failover(failover);
    (0..hosts).for_each(|host| view.add_host(format!("h{host}").into(), Bytes::from_gib(8), Some(2)));
    roles.iter().for_each(|(host, _)| view.add_guest("role".into(), HostId(*host), Bytes::from_gib(1)));
    view
}

fn drain(nodes: &[u32], force: Force) -> NodeTask {
    let work = NodeWork::Drain(DrainOptions { force, target: None });
    NodeTask { nodes: nodes.iter().copied().map(HostId).collect(), work }
}

fn phase(nodes: Vec<NodeTask>) -> Phase {
    Phase { nodes, ..Phase::default() }
}

fn end(
    orchestrator: &mut Orchestrator,
    secs: u64,
    order: &MoveOrder,
    outcome: Outcome,
) -> Said<Orchestrator> {
    tell(orchestrator, secs, Input::Ended { migration: order.assignment.migration, outcome })
}

use Priority::{High, Low, Medium};

#[test]
fn roles_leave_by_priority_within_the_limit_and_quick_ones_beside_it() {
    let view = cluster(2, &[(0, Low), (0, Medium), (0, Medium), (0, High)]);
    let plan = Plan { phases: vec![phase(vec![drain(&[0], Force::Off)])] };
    let mut orchestrator = Orchestrator::new(plan, view);
    let said = tell(&mut orchestrator, 0, Input::Begin);
    assert_eq!(said.vms(), [3, 1, 0], "two live, the high one first, and the low one quick");
    assert_eq!(said.started()[2].assignment.kind, MigrationKind::Quick);
    let next = end(&mut orchestrator, 1, said.started()[2], Outcome::Completed);
    assert_eq!(next.vms(), [0; 0], "it had no slot to give back");
    assert_eq!(end(&mut orchestrator, 2, said.started()[0], Outcome::Completed).vms(), [2]);
}

#[test]
fn what_is_queued_for_a_node_that_is_drained_then_is_placed_anew() {
    // Node 2 is empty, so that node 1 is drained as soon as the first two are on their way to it.
    let view = cluster(4, &[(0, Medium), (0, Medium), (0, Medium), (3, Medium)]);
    let plan = Plan { phases: vec![phase(vec![drain(&[0], Force::Off), drain(&[2, 1], Force::Off)])] };
    let mut orchestrator = Orchestrator::new(plan, view);
    let said = tell(&mut orchestrator, 0, Input::Begin);
    assert_eq!(said.started().iter().map(|each| each.assignment.destination.0).collect::<Vec<_>>(), [1, 1]);
    assert!(orchestrator.cluster().is_paused(HostId(1)));
    let third = end(&mut orchestrator, 1, said.started()[0], Outcome::Completed);
    let started = third.started();
    let next = started.iter().find(|each| each.assignment.vm == VmId(2)).unwrap();
    assert_eq!(
        next.assignment.destination,
        HostId(3),
        "placed on node 1 at first, which takes none any more"
    );
    assert!(third.declined().is_empty(), "{third:?}");
}

#[test]
fn a_role_that_arrives_at_a_node_while_it_is_drained_is_drained_too() {
    let view = cluster(3, &[(0, Medium), (1, Medium)]);
    let to = |vm, host| Move {
        vm: VmId(vm),
        destination: Some(HostId(host)),
        delay: Span::ZERO,
        after: vec![],
        storage: StorageMove::Stays,
    };
    let maintain = NodeTask {
        nodes: vec![HostId(2), HostId(1)],
        work: NodeWork::Maintain {
            drain: DrainOptions::default(),
            time: Span::from_secs(10),
            failback: Failback::Immediate,
        },
    };
    let moves = vec![to(0, 1)];
    let plan = Plan { phases: vec![Phase { moves, nodes: vec![maintain], ..Phase::default() }] };
    let mut orchestrator = Orchestrator::new(plan, view);
    let first = tell(&mut orchestrator, 0, Input::Begin);
    assert_eq!((first.vms(), first.wait), (vec![0], Some(SimTime::ZERO + Span::from_secs(10))));
    let second = tell(&mut orchestrator, 10, Input::Tick);
    assert_eq!(second.vms(), [1], "node 1 is drained of its own role");
    assert!(end(&mut orchestrator, 11, second.started()[0], Outcome::Completed).started().is_empty());
    let third = end(&mut orchestrator, 12, first.started()[0], Outcome::Completed);
    assert_eq!(third.vms(), [0], "and then of the one that has come meanwhile");
    assert!(!third.messages().contains(&"drained"));
}

#[test]
fn a_migration_that_fails_in_a_drain_leaves_the_role_or_stops_it_under_force() {
    for (force, expected) in [(Force::Off, None), (Force::On, Some(MigrationKind::Stop))] {
        let plan = Plan { phases: vec![phase(vec![drain(&[0], force)])] };
        let mut orchestrator = Orchestrator::new(plan, cluster(2, &[(0, High)]));
        let said = tell(&mut orchestrator, 0, Input::Begin);
        let said = end(&mut orchestrator, 1, said.started()[0], Outcome::Failed);
        assert_eq!(said.started().first().map(|order| order.assignment.kind), expected);
        match said.started().first() {
            None => assert!(
                said.messages().iter().any(|message| message.contains("drain failed")),
                "{:?}",
                said.records
            ),
            Some(stop) => {
                let said = end(&mut orchestrator, 2, stop, Outcome::Completed);
                assert!(orchestrator.cluster().is_offline(VmId(0)));
                assert_eq!(orchestrator.cluster().free(HostId(0)), Bytes::from_gib(8), "it takes no memory");
                assert_eq!(said.wait, None, "the plan is done");
            }
        }
    }
}

#[test]
fn a_stopped_role_is_started_on_its_node_when_that_is_resumed() {
    let resume = NodeTask { nodes: vec![HostId(0)], work: NodeWork::Resume(Failback::Immediate) };
    let plan = Plan { phases: vec![phase(vec![drain(&[0], Force::On)]), phase(vec![resume])] };
    let mut view = cluster(2, &[(0, High)]);
    view.add_guest("large".into(), HostId(1), Bytes::from_gib(8)); // No room on node 1.
    let mut orchestrator = Orchestrator::new(plan, view);
    let said = tell(&mut orchestrator, 0, Input::Begin);
    assert_eq!(
        (said.started()[0].assignment.kind, said.started()[0].assignment.destination),
        (MigrationKind::Stop, HostId(1))
    );
    let said = end(&mut orchestrator, 5, said.started()[0], Outcome::Completed);
    assert_eq!(
        (said.started()[0].assignment.kind, said.started()[0].assignment.destination),
        (MigrationKind::Start, HostId(0))
    );
    assert!(said.started()[0].why.as_ref().unwrap().contains("failback"));
    end(&mut orchestrator, 9, said.started()[0], Outcome::Completed);
    let cluster = orchestrator.cluster();
    assert_eq!((cluster.host_of(VmId(0)), cluster.is_offline(VmId(0))), (HostId(0), false));
    assert_eq!(cluster.free(HostId(0)), Bytes::from_gib(7));
}

#[test]
fn what_follows_a_queue_head_refused_at_its_start_goes_on_at_once() {
    let mut prerequisites = Prerequisites::new(Administration::default());
    let settings = HostSettings::default;
    (0..3).for_each(|host| {
        prerequisites.add_host(HostFacts { name: format!("h{host}").into(), settings: settings() });
    });
    let guest = |name: &str| GuestFacts {
        name: name.into(),
        memory: Bytes::from_gib(1),
        started_on: HostId(0),
        configuration: GuestConfiguration::default(),
    };
    ["a", "b", "c"].into_iter().for_each(|name| prerequisites.add_guest(guest(name)));
    let mut view = ClusterView::new(Placement::FewestVms, Reach::All).with_prerequisites(prerequisites);
    (0..3).for_each(|host| view.add_host(format!("h{host}").into(), Bytes::from_gib(8), Some(1)));
    (0..3).for_each(|_| view.add_guest("role".into(), HostId(0), Bytes::from_gib(1)));
    let to = |vm, host, after| Move {
        vm: VmId(vm),
        destination: Some(HostId(host)),
        delay: Span::ZERO,
        after,
        storage: StorageMove::Stays,
    };
    let moves = vec![to(0, 2, vec![]), to(1, 1, vec![]), to(2, 2, vec![1])];
    let plan = Plan { phases: vec![Phase { moves, ..Phase::default() }] };
    let mut orchestrator = Orchestrator::new(plan, view);
    let said = tell(&mut orchestrator, 0, Input::Begin);
    assert_eq!(said.vms(), [0]);
    let off = HostSettings { migration: MigrationService::Disabled, ..settings() };
    tell(&mut orchestrator, 0, Input::HostChanged { host: HostId(1), settings: Box::new(off) });
    let said = end(&mut orchestrator, 1, said.started()[0], Outcome::Completed);
    assert_eq!((said.reasons()[0].0, said.vms()), (1, vec![2]), "without waiting for a tick");
}

#[test]
fn an_orchestrator_stored_in_the_middle_of_a_drain_goes_on_the_same() {
    let plan = Plan { phases: vec![phase(vec![drain(&[0], Force::On)])] };
    let mut orchestrator = Orchestrator::new(plan, cluster(3, &[(0, High), (0, Low), (0, High), (0, High)]));
    let said = tell(&mut orchestrator, 0, Input::Begin);
    let text = serde_json::to_string(&orchestrator).unwrap();
    let mut copy: Orchestrator = serde_json::from_str(&text).unwrap();
    assert_eq!(copy, orchestrator);
    let ends = |orchestrator: &mut Orchestrator| {
        let each = said
            .started()
            .into_iter()
            .map(|each| format!("{:?}", end(orchestrator, 1, each, Outcome::Failed)));
        each.collect::<Vec<_>>()
    };
    assert_eq!(ends(&mut copy), ends(&mut orchestrator));
}
