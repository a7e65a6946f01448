//! Prerequisites are asked for when a move is asked for, and again when it starts.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::ids::{HostId, VmId};
use algorithms::orchestrator::{Assignment, ClusterView, Input, Orchestrator, Reach};
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::preflight::facts::{
    Administration, Firewall, GuestConfiguration, GuestFacts, HostFacts, HostSettings, MigrationService,
};
use algorithms::preflight::{Prerequisites, Rule};
use algorithms::records::Outcome;
use sim_core::{Bytes, Span};

const GIB: Bytes = Bytes::from_gib(1);

/// Hosts of 8 GiB that allow one migration at a time, all guests of 1 GiB on the first.
fn cluster(hosts: u32, guests: u32) -> ClusterView {
    let mut prerequisites = Prerequisites::new(Administration::default());
    for host in 0..hosts {
        let name = format!("host{host}").into();
        prerequisites.add_host(HostFacts { name, settings: HostSettings::default() });
    }
    for guest in 0..guests {
        prerequisites.add_guest(GuestFacts {
            name: format!("vm{guest}").into(),
            memory: GIB,
            started_on: HostId(0),
            configuration: GuestConfiguration::default(),
        });
    }
    let mut view = ClusterView::new(Placement::FewestVms, Reach::All).with_prerequisites(prerequisites);
    (0..hosts).for_each(|host| view.add_host(format!("host{host}").into(), Bytes::from_gib(8), Some(1)));
    (0..guests).for_each(|vm| view.add_guest(format!("vm{vm}").into(), HostId(0), GIB));
    view
}

fn to(vm: u32, destination: u32) -> Move {
    let (destination, delay) = (Some(HostId(destination)), Span::ZERO);
    Move { vm: VmId(vm), destination, delay, after: Vec::new(), storage: StorageMove::Stays }
}

fn orchestrator(view: ClusterView, moves: Vec<Move>) -> Orchestrator {
    Orchestrator::new(Plan { phases: vec![Phase { moves, ..Phase::default() }] }, view)
}

/// What it starts and refuses, the latter by guest and rule.
fn tell(orchestrator: &mut Orchestrator, input: Input) -> (Vec<Assignment>, Vec<(u32, Rule)>) {
    let said = support::tell(orchestrator, 0, input);
    let refused = said.declined().into_iter();
    let refused = refused.map(|each| (each.vm.0, each.refusal.as_ref().unwrap().rule)).collect();
    (said.started().into_iter().map(|order| order.assignment).collect(), refused)
}

#[test]
fn a_move_is_checked_again_when_it_starts() {
    let mut orchestrator = orchestrator(cluster(2, 3), vec![to(0, 1), to(1, 1), to(2, 1)]);
    let (started, refused) = tell(&mut orchestrator, Input::Begin);
    // All three were allowed when they were asked for; two of them wait for the first.
    assert_eq!((started.len(), refused.len()), (1, 0));
    let blocked = HostSettings { firewall: Firewall::Blocked, ..HostSettings::default() };
    tell(&mut orchestrator, Input::HostChanged { host: HostId(1), settings: Box::new(blocked) });
    let ended = Input::Ended { migration: started[0].migration, outcome: Outcome::Completed };
    let (started, refused) = tell(&mut orchestrator, ended);
    assert_eq!((started, refused), (vec![], vec![(1, Rule::Firewall), (2, Rule::Firewall)]));
    // The memory that was reserved for them is free again.
    assert_eq!(orchestrator.cluster().free(HostId(1)), Bytes::from_gib(7));
    assert_eq!(support::tell(&mut orchestrator, 0, Input::Tick).done, Some(()));
}

#[test]
fn what_follows_a_refused_move_goes_on() {
    let mut view = cluster(3, 2);
    let off = HostSettings { migration: MigrationService::Disabled, ..HostSettings::default() };
    let mut prerequisites = view.prerequisites().clone();
    assert!(prerequisites.change_host(HostId(1), off));
    view = view.with_prerequisites(prerequisites);
    let after = Move { after: vec![0], ..to(1, 2) };
    let mut orchestrator = orchestrator(view, vec![to(0, 1), after]);
    let (started, refused) = tell(&mut orchestrator, Input::Begin);
    assert_eq!(refused, [(0, Rule::MigrationEnabled)]);
    assert_eq!(started.iter().map(|each| each.vm.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn memory_is_a_prerequisite_like_the_others() {
    let moves: Vec<Move> = (0..9).map(|vm| to(vm, 1)).collect();
    let mut view = cluster(2, 0);
    let mut prerequisites = view.prerequisites().clone();
    for guest in 0..9u32 {
        let name = format!("vm{guest}").into();
        let configuration = GuestConfiguration::default();
        prerequisites.add_guest(GuestFacts { name, memory: GIB, started_on: HostId(0), configuration });
        view.add_guest(format!("vm{guest}").into(), HostId(0), GIB);
    }
    view = view.with_prerequisites(prerequisites);
    let (_, refused) = tell(&mut orchestrator(view, moves), Input::Begin);
    assert_eq!(refused, [(8, Rule::Memory)], "eight fit, the ninth does not");
}
