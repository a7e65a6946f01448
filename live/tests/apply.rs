//! A drain of one agent to two others, from its plan to its records.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use algorithms::drain_plan::{DrainPlan, Expected, PlannedMove};
use algorithms::ids::Name;
use algorithms::operation::{Attempt, Deviation, Finish, Gates, Operation, Rules};
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{EventKind, MigrationKind, Outcome, Record, Whereabouts};
use live::LiveError;
use live::apply::{Applied, Fleet, How, Operator, Signals, apply, signals};
use live::protocol::Sending;
use sim_core::{Bandwidth, Bytes};
use support::{Bench, Host, busy, holders};

/// Three hosts, and guests on the first.
struct Drain {
    bench: Bench,
    hosts: [Host; 3],
    fleet: Fleet,
}

impl Drain {
    fn new(guests: u32) -> Drain {
        let bench = Bench::new();
        let hosts = ["a", "b", "c"].map(|name| bench.host(name));
        for number in 0..guests {
            bench.client(&hosts[0].address).create(busy(&format!("vm{number}"))).unwrap();
        }
        let addresses: BTreeMap<Name, String> =
            hosts.iter().map(|host| (host.agent.name().into(), host.address.clone())).collect();
        let fleet = Fleet::new(bench.operator.clone(), addresses);
        Drain { bench, hosts, fleet }
    }

    fn plan(&self, total_s: f64) -> DrainPlan {
        let inventory = self.fleet.inventory().unwrap();
        let (expected, instant) = (Expected { p50: total_s, p95: total_s }, Expected::default());
        let guests = inventory.guests.iter().filter(|guest| &*guest.host == "a");
        let planned = guests.enumerate().map(|(place, guest)| PlannedMove {
            vm: guest.name.clone(),
            destination: if place % 2 == 0 { "b".into() } else { "c".into() },
            kind: MigrationKind::Live,
            disks: vec![],
            reason: "by turns".into(),
            completes: 1.0,
            start_s: instant,
            total_s: expected,
            blackout_s: instant,
        });
        let moves = planned.collect();
        let policy = Policy::HyperV(HyperV::default());
        DrainPlan { limit: Some(2), ..DrainPlan::new("a".into(), inventory, policy, moves) }
    }

    fn apply(&self, plan: DrainPlan, rules: Rules, sending: Sending, operator: &mut Watching) -> Applied {
        let operation = Operation::new(plan, &self.fleet.inventory().unwrap(), rules).unwrap();
        let policy = Policy::HyperV(HyperV { max_passes: 5, stop_below: Bytes::from_mib(1) });
        let how = How { policy, sending, deadline: None };
        let (out, inbox) = signals();
        operator.signals = Some(out.clone());
        apply(operation, &self.fleet, &how, (out, inbox), operator)
    }

    fn place(&self, guest: &str) -> Vec<&str> {
        holders(&self.hosts.each_ref(), guest)
    }
}

/// An operator who says yes to all but some, and interrupts when it is time.
#[derive(Default)]
struct Watching {
    signals: Option<Signals>,
    questions: Vec<String>,
    no: Option<&'static str>,
    started: Vec<Attempt>,
    interrupt_after_start: bool,
    messages: Vec<String>,
}

impl Operator for Watching {
    fn ask(&mut self, question: &str) {
        self.questions.push(question.into());
        let yes = self.no.is_none_or(|no| !question.contains(no));
        self.signals.as_ref().unwrap().answer(yes);
    }

    fn started(&mut self, attempt: &Attempt) {
        self.started.push(attempt.clone());
        if self.interrupt_after_start {
            self.signals.as_ref().unwrap().interrupt();
        }
    }

    fn record(&mut self, record: &Record) {
        if let Record::Event(event) = record {
            self.messages.push(event.message.clone());
        }
    }
}

#[test]
fn all_guests_go_where_the_plan_says_and_leave_records_of_one_run() {
    let drain = Drain::new(4);
    let mut operator = Watching::default();
    let rules = Rules { deviation: Deviation::GoOn, ..Rules::default() };
    let applied = drain.apply(drain.plan(60.0), rules, Sending::default(), &mut operator);
    assert_eq!(applied.finish, Finish::AllMoved);
    for (number, host) in ["b", "c", "b", "c"].into_iter().enumerate() {
        let guest = format!("vm{number}");
        assert_eq!(drain.place(&guest), [host]);
        let there = &drain.hosts.iter().find(|each| each.agent.name() == host).unwrap().address;
        assert_eq!(drain.bench.client(there).verify(&guest).unwrap().wrong, [""; 0]);
    }
    let records = applied.records;
    assert_eq!(records.migrations.len(), 4);
    let numbers: Vec<u32> = records.migrations.iter().map(|record| record.migration.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    // At most two at a time: the third begins when one of the first two has ended.
    let begins = |place: usize| records.migrations[place].started.unwrap();
    let ends = |place: usize| begins(place) + records.migrations[place].total;
    assert!(begins(2) >= ends(0).min(ends(1)));
    for round in &records.rounds {
        let migration = &records.migrations[round.migration.index()];
        assert!(round.start >= migration.started.unwrap(), "{round:?}");
    }
}

#[test]
fn a_guest_that_the_operator_keeps_stays_and_the_rest_goes() {
    let drain = Drain::new(3);
    let mut operator = Watching { no: Some("vm1"), ..Watching::default() };
    let rules = Rules { gates: Gates::All, ..Rules::default() };
    let applied = drain.apply(drain.plan(60.0), rules, Sending::default(), &mut operator);
    assert_eq!((applied.finish, operator.questions.len()), (Finish::Partly, 3));
    assert_eq!((drain.place("vm0"), drain.place("vm1")), (vec!["b"], vec!["a"]));
    assert!(operator.messages.iter().any(|message| message.contains("the operator said no")));
    let kept = &applied.records.migrations[2];
    assert_eq!((&*kept.vm, kept.outcome, kept.migration.0), ("vm1", Outcome::NotStarted, 2));
    assert_eq!(kept.reason, "the operator said no");
}

#[test]
fn an_interrupt_leaves_every_guest_running_at_its_source() {
    let drain = Drain::new(3);
    let mut operator = Watching { interrupt_after_start: true, ..Watching::default() };
    let slow = Sending { limit: Some(Bandwidth::from_mbit(40)), ..Sending::default() };
    let applied = drain.apply(drain.plan(60.0), Rules::default(), slow, &mut operator);
    assert_eq!(applied.finish, Finish::Partly);
    for guest in ["vm0", "vm1", "vm2"] {
        assert_eq!(drain.place(guest), ["a"]);
    }
    let outcomes: Vec<Outcome> = applied.records.migrations.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes.len(), 3, "one for every planned guest");
    let (begun, never) = outcomes.split_at(operator.started.len());
    // One that was given up before its agent was asked has not begun either.
    let ended = |outcome: &Outcome| matches!(outcome, Outcome::Cancelled | Outcome::NotStarted);
    assert!(begun.iter().all(ended), "{outcomes:?}");
    assert!(never.iter().all(|outcome| *outcome == Outcome::NotStarted), "{outcomes:?}");
}

#[test]
fn a_drain_that_is_slower_than_planned_stops_by_itself() {
    let drain = Drain::new(4);
    let mut operator = Watching::default();
    // 24 MiB at 40 Mbit/s take five seconds, where a tenth of one was planned.
    let slow = Sending { limit: Some(Bandwidth::from_mbit(40)), ..Sending::default() };
    let rules = Rules { deviation: Deviation::Abort, ..Rules::default() };
    let applied = drain.apply(drain.plan(0.1), rules, slow, &mut operator);
    assert_eq!((applied.finish, operator.started.len()), (Finish::Partly, 2));
    assert!(operator.messages.iter().any(|message| message.contains("takes longer than")));
    assert_eq!(drain.place("vm0"), ["a"]);
}

#[test]
fn what_fails_is_tried_again_and_every_attempt_leaves_its_record() {
    let drain = Drain::new(1);
    let mut operator = Watching::default();
    let mut plan = drain.plan(60.0);
    plan.moves[0].destination = "b".into();
    // The agent of b is known at an address where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let addresses = [("a", drain.hosts[0].address.clone()), ("b", nobody)];
    let fleet = Fleet::new(
        drain.bench.operator.clone(),
        addresses.into_iter().map(|(name, address)| (name.into(), address)).collect(),
    );
    let rules = Rules { retries: 1, retry_after: sim_core::Span::from_millis(50), ..Rules::default() };
    let operation = Operation::new(plan.clone(), &plan.inventory, rules).unwrap();
    let policy = Policy::HyperV(HyperV::default());
    let how = How { policy, sending: Sending::default(), deadline: None };
    let (out, inbox) = signals();
    let applied = apply(operation, &fleet, &how, (out, inbox), &mut operator);
    assert_eq!((applied.finish, operator.started.len()), (Finish::Partly, 2));
    let outcomes: Vec<Outcome> = applied.records.migrations.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Failed]);
    assert_eq!(drain.place("vm0"), ["a"]);
}

/// What never began leaves the same on real hosts as in a simulation: a line of the log, and a record of nothing.
#[test]
fn an_attempt_that_never_began_leaves_what_a_simulated_move_leaves() {
    let drain = Drain::new(1);
    let plan = drain.plan(60.0);
    // The agent of the source is gone when its turn comes.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let addresses = [("a", nobody), ("b", drain.hosts[1].address.clone())];
    let fleet = Fleet::new(
        drain.bench.operator.clone(),
        addresses.into_iter().map(|(name, address)| (name.into(), address)).collect(),
    );
    let operation = Operation::new(plan.clone(), &plan.inventory, Rules { retries: 0, ..Rules::default() });
    let how = How { policy: plan.policy.clone(), sending: Sending::default(), deadline: None };
    let mut operator = Watching::default();
    let applied = apply(operation.unwrap(), &fleet, &how, signals(), &mut operator);
    assert_eq!(applied.finish, Finish::Partly);
    let [found] = &applied.records.migrations[..] else { panic!("{:?}", applied.records) };
    assert!(found.reason.contains("cannot connect to an agent"), "{}", found.reason);
    let simulated = operator.started[0].order.never_begun(found.reason.clone());
    assert_eq!((found.transport.as_ref(), found.whereabouts), (None, Whereabouts::AtSource));
    let line = applied.records.events.iter().find(|event| event.kind == EventKind::NotMoved).unwrap();
    assert_eq!(Record::Event(line.clone()), simulated.event(line.time, None));
    assert_eq!(Record::Migration(found.clone()), simulated.record(found.queued));
}

#[test]
fn an_agent_that_is_not_there_or_is_another_is_told_of() {
    let drain = Drain::new(0);
    let none = drain.fleet.connect(&"z".into()).map(|_| ()).unwrap_err();
    assert!(
        matches!(&none, LiveError::Absent { needed, .. } if needed.contains("known are a, b, c")),
        "{none}"
    );
    let address = drain.hosts[1].address.clone();
    let swapped = Fleet::new(drain.bench.operator.clone(), [("a".into(), address)].into());
    let other = swapped.connect(&"a".into()).map(|_| ()).unwrap_err();
    assert!(other.to_string().contains("it is `b`, not `a`"), "{other}");
}
