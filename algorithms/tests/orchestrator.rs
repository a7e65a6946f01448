//! Order, limits and refusals of the orchestrator.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::ids::{HostId, MigrationId, VmId};
use algorithms::orchestrator::{ClusterView, Input, MoveOrder, Orchestrator, Reach};
use algorithms::plan::{Move, Phase, Placement, Plan, StorageMove};
use algorithms::records::Outcome;
use sim_core::{Bytes, SimTime, Span};
use support::{Said, assert_refused, tell_at};

const GIB: Bytes = Bytes::from_gib(1);

/// Hosts of 8 GiB with this limit; guests of 1 GiB on the hosts given.
fn cluster(hosts: u32, limit: Option<u32>, guests: &[u32]) -> ClusterView {
    let mut view = ClusterView::new(Placement::FewestVms, Reach::All);
    (0..hosts).for_each(|host| view.add_host(format!("host{host}").into(), Bytes::from_gib(8), limit));
    guests.iter().for_each(|host| view.add_guest("vm".into(), HostId(*host), GIB));
    view
}

fn drain(hosts: &[u32]) -> Phase {
    Phase { drains: hosts.iter().copied().map(HostId).collect(), ..Phase::default() }
}

fn to(vm: u32, destination: u32) -> Move {
    let (storage, after) = (StorageMove::Stays, Vec::new());
    Move { vm: VmId(vm), destination: Some(HostId(destination)), delay: Span::ZERO, after, storage }
}

fn plan(phases: Vec<Phase>) -> Plan {
    Plan { phases }
}

fn tell(orchestrator: &mut Orchestrator, now: SimTime, input: Input) -> Said<Orchestrator> {
    let said = tell_at(orchestrator, now, input);
    assert_eq!(said.records, [], "it records nothing");
    said
}

fn end(orchestrator: &mut Orchestrator, order: &MoveOrder, outcome: Outcome) -> Said<Orchestrator> {
    let migration = order.assignment.migration;
    tell(orchestrator, SimTime::ZERO, Input::Ended { migration, outcome })
}

#[test]
fn a_limit_holds_on_source_and_destination_first_in_first_out() {
    let view = cluster(3, Some(2), &[0, 0, 0, 1, 1]);
    let moves = vec![to(0, 2), to(1, 2), to(2, 1), to(3, 2), to(4, 0)];
    let mut orchestrator = Orchestrator::new(plan(vec![Phase { moves, ..Phase::default() }]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert_eq!(said.vms(), [0, 1], "host 2 is full; host 1's first waits, and its second behind it");
    let ended = end(&mut orchestrator, said.started()[0], Outcome::Completed);
    assert_eq!(ended.vms(), [2, 3], "host 0 is served first; host 1 is full then, and guest 4 waits");
}

#[test]
fn a_drain_goes_to_the_emptiest_hosts_and_counts_what_is_on_its_way() {
    let view = cluster(4, None, &[0, 0, 0, 0, 1]);
    let mut orchestrator = Orchestrator::new(plan(vec![drain(&[0])]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    let destinations: Vec<u32> = said.started().iter().map(|order| order.assignment.destination.0).collect();
    assert_eq!(destinations, [2, 3, 1, 2], "ties go to the lowest number");
}

#[test]
fn what_fits_nowhere_stays_and_says_why() {
    let mut view = cluster(2, None, &[0, 0, 1]);
    view.add_guest("large".into(), HostId(1), Bytes::from_gib(6));
    let mut orchestrator = Orchestrator::new(plan(vec![drain(&[0])]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert_eq!(said.vms(), [0]);
    assert_eq!(said.reasons(), [(1, "no host has 1 GiB of free memory; the most is 0 B".to_string())]);
}

#[test]
fn hosts_drained_together_do_not_take_each_others_guests() {
    let view = cluster(3, None, &[0, 1]);
    let mut orchestrator = Orchestrator::new(plan(vec![drain(&[0, 1])]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert!(said.started().iter().all(|order| order.assignment.destination == HostId(2)), "{said:?}");
}

#[test]
fn a_failed_migration_leaves_the_guest_and_frees_the_destination() {
    let view = cluster(2, Some(1), &[0]);
    let mut orchestrator = Orchestrator::new(plan(vec![drain(&[0]), drain(&[0])]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    let again = end(&mut orchestrator, said.started()[0], Outcome::Failed);
    assert_eq!(again.vms(), [0], "the next phase finds it where it was");
    assert_eq!(orchestrator.cluster().host_of(VmId(0)), HostId(0));
    end(&mut orchestrator, again.started()[0], Outcome::Completed);
    assert_eq!(orchestrator.cluster().host_of(VmId(0)), HostId(1));
}

#[test]
fn moves_wait_for_their_delay_and_for_those_they_follow() {
    let view = cluster(3, None, &[0, 0, 0]);
    let late = Move { delay: Span::from_secs(5), ..to(1, 1) };
    let after = Move { after: vec![0, 1], ..to(2, 1) };
    let moves = vec![to(0, 1), late, after];
    let mut orchestrator = Orchestrator::new(plan(vec![Phase { moves, ..Phase::default() }]), view);
    let five = SimTime::ZERO + Span::from_secs(5);
    let first = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert_eq!((first.vms(), first.wait), (vec![0], Some(five)));
    assert_eq!(end(&mut orchestrator, first.started()[0], Outcome::Completed).commands, []);
    let second = tell(&mut orchestrator, five, Input::Tick);
    assert_eq!(second.vms(), [1]);
    let input =
        Input::Ended { migration: second.started()[0].assignment.migration, outcome: Outcome::Cancelled };
    assert_eq!(tell(&mut orchestrator, five, input).vms(), [2], "well or badly ended");
}

#[test]
fn the_same_guest_moves_twice_one_after_the_other() {
    let view = cluster(3, None, &[0]);
    let mut orchestrator =
        Orchestrator::new(plan(vec![Phase { moves: vec![to(0, 1), to(0, 2)], ..Phase::default() }]), view);
    let first = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert_eq!(first.started().len(), 1);
    let second = end(&mut orchestrator, first.started()[0], Outcome::Completed);
    assert_eq!(
        (second.started()[0].assignment.source, second.started()[0].assignment.destination),
        (HostId(1), HostId(2))
    );
}

#[test]
fn moves_that_wait_for_each_other_are_refused() {
    let view = cluster(2, None, &[0, 0]);
    let moves = vec![Move { after: vec![1], ..to(0, 1) }, Move { after: vec![0], ..to(1, 1) }];
    let mut orchestrator = Orchestrator::new(plan(vec![Phase { moves, ..Phase::default() }]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    assert_eq!((said.reasons().len(), said.wait), (2, None), "and the plan is done");
}

#[test]
fn a_host_that_allows_none_is_no_source_and_no_destination() {
    let mut view = cluster(1, Some(0), &[0]);
    view.add_host("host1".into(), Bytes::from_gib(8), None);
    view.add_guest("vm1".into(), HostId(1), GIB);
    let moves = vec![to(0, 1), to(1, 0)];
    let mut orchestrator = Orchestrator::new(plan(vec![Phase { moves, ..Phase::default() }]), view);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    let reasons: Vec<String> = said.reasons().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["its host allows no migrations", "the destination allows no migrations"]);
}

#[test]
fn stopping_refuses_what_has_not_begun_and_gives_its_memory_back() {
    let view = cluster(2, Some(1), &[0, 0]);
    let mut orchestrator = Orchestrator::new(plan(vec![drain(&[0]), drain(&[1])]), view);
    let first = tell(&mut orchestrator, SimTime::ZERO, Input::Begin);
    let said = tell(&mut orchestrator, SimTime::ZERO, Input::Stop);
    assert_eq!((said.reasons().len(), said.wait), (1, Some(SimTime::MAX)), "one is still under way");
    assert_eq!(
        end(&mut orchestrator, first.started()[0], Outcome::Completed).wait,
        None,
        "the second phase never begins"
    );
}

#[test]
fn an_end_that_never_began_is_refused() {
    let mut orchestrator = Orchestrator::new(Plan::default(), cluster(1, None, &[]));
    let input = Input::Ended { migration: MigrationId(3), outcome: Outcome::Completed };
    assert_refused(&mut orchestrator, SimTime::ZERO, input);
}
