//! A plan carried out: order and limit, gates, retries, deviations, an end that leaves nothing running.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryGuest, InventoryHost, PlanError, PlannedMove, PlannedStay,
};
use algorithms::ids::MigrationId;
use algorithms::operation::{Attempt, Command, Deviation, Finish, Gates, Input, Operation, Rules};
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{MigrationKind, MigrationRecord, Outcome};
use sim_core::{Bytes, SimTime, Span};
use support::{assert_refused, at, tell_at};

/// Six guests on `a`, planned to go to `b` and `c` by turns in ten seconds each.
fn plan() -> DrainPlan {
    let host = |name: &str| InventoryHost { name: name.into(), memory: Bytes::from_gib(64) };
    let guest = |number: u32| InventoryGuest {
        name: format!("vm{number}").into(),
        host: "a".into(),
        memory: Bytes::from_gib(1),
        disks: vec![],
    };
    let inventory =
        Inventory { hosts: vec![host("a"), host("b"), host("c")], guests: (1..=6).map(guest).collect() };
    let planned = |number: u32| PlannedMove {
        vm: format!("vm{number}").into(),
        destination: if number.is_multiple_of(2) { "c".into() } else { "b".into() },
        kind: MigrationKind::Live,
        disks: vec![],
        reason: "the most free memory".into(),
        completes: 1.0,
        start_s: Expected::default(),
        total_s: Expected { p50: 10.0, p95: 12.0 },
        blackout_s: Expected { p50: 0.1, p95: 0.2 },
    };
    let (policy, moves) = (Policy::HyperV(HyperV::default()), (1..=6).map(planned).collect());
    DrainPlan { limit: Some(2), ..DrainPlan::new("a".into(), inventory, policy, moves) }
}

/// An operation with the outputs that it has given.
struct Bench {
    operation: Operation,
    running: Vec<Attempt>,
    cancelled: Vec<MigrationId>,
    questions: Vec<String>,
    messages: Vec<String>,
    never_begun: Vec<MigrationRecord>,
    wait: SimTime,
    finish: Option<Finish>,
}

impl Bench {
    fn new(rules: Rules) -> Bench {
        Bench::of(plan(), rules)
    }

    fn of(plan: DrainPlan, rules: Rules) -> Bench {
        let inventory = plan.inventory.clone();
        let operation = Operation::new(plan, &inventory, rules).unwrap();
        let (running, cancelled, questions, messages) = (vec![], vec![], vec![], vec![]);
        let (never_begun, wait, finish) = (vec![], SimTime::ZERO, None);
        let mut bench =
            Bench { operation, running, cancelled, questions, messages, never_begun, wait, finish };
        bench.tell(0.0, Input::Begin);
        bench
    }

    fn tell(&mut self, seconds: f64, input: Input) {
        let said = tell_at(&mut self.operation, SimTime::ZERO + Span::from_secs_f64(seconds), input);
        self.messages.extend(said.messages().into_iter().map(str::to_string));
        self.never_begun.extend(said.migrations().into_iter().cloned());
        for command in said.commands {
            match command {
                Command::Start(attempt) => self.running.push(attempt),
                Command::Cancel { migration, .. } => self.cancelled.push(migration),
                Command::Ask { question } => self.questions.push(question),
            }
        }
        self.wait = said.wait.unwrap_or(self.wait);
        self.finish = said.done;
    }

    fn end(&mut self, seconds: f64, vm: &str, outcome: Outcome) {
        let place = self.running.iter().position(|attempt| &*attempt.order.vm == vm).unwrap();
        let migration = self.running.remove(place).migration();
        self.tell(seconds, Input::Ended { migration, outcome, reason: "as told".into() });
    }

    /// What was recorded as never begun, and why.
    fn stayed(&self) -> Vec<(&str, &str)> {
        self.never_begun.iter().map(|record| (&*record.vm, &*record.reason)).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.running.iter().map(|attempt| &*attempt.order.vm).collect()
    }
}

#[test]
fn moves_go_in_the_plans_order_to_the_plans_hosts_two_at_a_time() {
    let mut bench = Bench::new(Rules::default());
    let mut order = Vec::new();
    for step in 1.. {
        assert!(bench.running.len() <= 2);
        let Some(next) = bench.running.first().cloned() else { break };
        assert_eq!(&*next.order.destination, if next.migration().0.is_multiple_of(2) { "b" } else { "c" });
        order.push(next.order.vm.to_string());
        bench.end(f64::from(step), &next.order.vm, Outcome::Completed);
    }
    assert_eq!(order, ["vm1", "vm2", "vm3", "vm4", "vm5", "vm6"]);
    assert_eq!(bench.finish, Some(Finish::AllMoved));
}

#[test]
fn a_changed_inventory_or_an_unknown_name_is_refused() {
    let mut now = plan().inventory;
    now.guests[2].host = "b".into();
    let refused = Operation::new(plan(), &now, Rules::default()).unwrap_err();
    assert!(refused.to_string().contains("guest `vm3` ran on `a` and runs on `b`"), "{refused}");
    let mut wrong = plan();
    wrong.moves[0].destination = "z".into();
    let refused = Operation::new(wrong, &plan().inventory, Rules::default()).unwrap_err();
    assert!(matches!(refused, PlanError::Unknown { what: "host", .. }), "{refused}");
}

#[test]
fn what_fails_is_tried_again_as_often_as_the_rules_say_and_holds_its_slot() {
    let one_by_one = DrainPlan { limit: Some(1), ..plan() };
    let mut bench = Bench::of(one_by_one, Rules { retries: 1, ..Rules::default() });
    bench.end(3.0, "vm1", Outcome::Failed);
    assert!(bench.running.is_empty(), "its slot is kept");
    assert_eq!(bench.wait, SimTime::ZERO + Span::from_secs(13));
    bench.tell(13.0, Input::Tick);
    assert_eq!((bench.names(), bench.running[0].attempt), (vec!["vm1"], 2));
    bench.end(15.0, "vm1", Outcome::Failed);
    assert_eq!(bench.names(), ["vm2"], "no third attempt");
    for step in 0..5 {
        let vm = bench.names()[0].to_string();
        bench.end(20.0 + f64::from(step), &vm, Outcome::Completed);
    }
    assert_eq!(bench.finish, Some(Finish::Partly));
}

#[test]
fn a_host_with_a_limit_of_its_own_holds_up_only_what_goes_there() {
    // vm1, vm3 and vm5 go to b, the others to c.
    let limits = BTreeMap::from([("a".into(), 5), ("b".into(), 0)]);
    let mut bench = Bench::of(DrainPlan { limits, ..plan() }, Rules::default());
    assert_eq!(bench.names(), ["vm2", "vm4"], "two at c, and none at b");
    for vm in ["vm2", "vm4", "vm6"] {
        bench.end(5.0, vm, Outcome::Completed);
    }
    assert_eq!(bench.finish, Some(Finish::Partly));
}

#[test]
fn a_gated_guest_moves_only_when_the_operator_says_so() {
    let gates = Gates::Of(["vm1".into(), "vm3".into()].into());
    let mut bench = Bench::new(Rules { gates, ..Rules::default() });
    assert_eq!((bench.names(), bench.questions.len()), (vec!["vm2"], 1));
    assert!(bench.questions[0].starts_with("Move vm1 to b"), "{:?}", bench.questions);
    bench.tell(1.0, Input::Answered { yes: false });
    assert!(bench.questions[1].starts_with("Move vm3"), "{:?}", bench.questions);
    bench.tell(2.0, Input::Answered { yes: true });
    assert_eq!(bench.names(), ["vm2", "vm3"]);
    for (step, vm) in ["vm2", "vm3", "vm4", "vm5", "vm6"].into_iter().enumerate() {
        bench.end(3.0 + step as f64, vm, Outcome::Completed);
    }
    assert_eq!(bench.finish, Some(Finish::Partly), "vm1 stayed");
}

#[test]
fn what_takes_longer_than_planned_stops_the_drain_by_itself() {
    let mut bench = Bench::new(Rules::default());
    assert_eq!(bench.wait, SimTime::ZERO + Span::from_secs(15), "12 s at p95 and a quarter more");
    bench.end(9.0, "vm2", Outcome::Completed);
    bench.tell(15.0, Input::Tick);
    assert!(
        bench.messages.iter().any(|message| message.contains("takes longer than 15 s")),
        "{:?}",
        bench.messages
    );
    assert_eq!(bench.names(), ["vm1", "vm3"], "what is under way goes on");
    bench.end(16.0, "vm1", Outcome::Completed);
    assert_eq!(bench.names(), ["vm3"], "nothing more is started");
    bench.end(17.0, "vm3", Outcome::Completed);
    assert_eq!((bench.finish, bench.cancelled.len()), (Some(Finish::Partly), 0));
}

#[test]
fn or_aborts_or_asks_or_goes_on() {
    let with = |deviation| {
        let mut bench = Bench::new(Rules { deviation, ..Rules::default() });
        bench.tell(15.0, Input::Tick);
        bench
    };
    let aborted = with(Deviation::Abort);
    assert_eq!(aborted.cancelled, [MigrationId(0), MigrationId(1)]);
    let going_on = with(Deviation::GoOn);
    assert_eq!((going_on.cancelled.len(), going_on.questions.len(), going_on.running.len()), (0, 0, 2));
    let mut asked = with(Deviation::Ask);
    assert_eq!(asked.questions.len(), 1, "both are late, and one answer is enough");
    asked.tell(16.0, Input::Answered { yes: false });
    asked.end(17.0, "vm1", Outcome::Completed);
    asked.end(17.0, "vm2", Outcome::Completed);
    assert_eq!(asked.finish, Some(Finish::Partly));
}

#[test]
fn an_interrupt_gives_up_what_is_under_way_and_starts_nothing_more() {
    let mut bench = Bench::new(Rules { retries: 5, ..Rules::default() });
    bench.tell(2.0, Input::Interrupted);
    assert_eq!(bench.cancelled, [MigrationId(0), MigrationId(1)]);
    bench.end(2.5, "vm1", Outcome::Cancelled);
    bench.end(2.5, "vm2", Outcome::Failed);
    assert!(bench.running.is_empty(), "no retry after an interrupt");
    assert_eq!(bench.finish, Some(Finish::Partly));
}

#[test]
fn a_guest_in_doubt_is_not_tried_again_and_stops_the_drain() {
    let mut bench = Bench::new(Rules { retries: 5, ..Rules::default() });
    let migration = bench.running.remove(0).migration();
    bench.tell(3.0, Input::InDoubt { migration, reason: "the agent is gone".into() });
    assert!(bench.messages.iter().any(|message| message == "the agent is gone"), "{:?}", bench.messages);
    bench.end(9.0, "vm2", Outcome::Completed);
    assert_eq!((bench.names().len(), bench.finish), (0, Some(Finish::Partly)));
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let mut bench = Bench::new(Rules::default());
    assert_refused(&mut bench.operation, at(1), Input::Answered { yes: true });
    let ended =
        Input::Ended { migration: MigrationId(5), outcome: Outcome::Completed, reason: String::new() };
    assert_refused(&mut bench.operation, at(1), ended);
    assert_refused(&mut bench.operation, at(1), Input::Begin);
}

#[test]
fn every_guest_that_is_not_started_leaves_a_record_with_its_reason() {
    let mut plan = plan();
    plan.moves.truncate(5);
    let reason = "no host has a processor that it can go to".to_string();
    plan.stays = vec![PlannedStay { vm: "vm6".into(), reason, event_id: Some(21502), fix: None }];
    let gates = Gates::Of(["vm2".into(), "vm3".into()].into());
    let mut bench = Bench::of(plan, Rules { gates, ..Rules::default() });
    let stays = &bench.never_begun[0];
    assert_eq!((&*stays.vm, stays.event_id, &stays.destination), ("vm6", Some(21502), &None));
    assert_eq!((stays.outcome, stays.started, stays.migration), (Outcome::NotStarted, None, MigrationId(5)));

    bench.tell(1.0, Input::Answered { yes: false });
    assert_eq!(bench.stayed()[1..], [("vm2", "the operator said no")]);
    assert_eq!(bench.never_begun[1].destination.as_deref(), Some("c"), "where it should have gone");
    // The next gated one waits for an answer, and two more for their turn, when it is all stopped.
    bench.tell(2.0, Input::Interrupted);
    let mut rest: Vec<&str> = bench.stayed()[2..].iter().map(|(vm, _)| *vm).collect();
    rest.sort_unstable();
    assert_eq!(rest, ["vm3", "vm4", "vm5"]);
    bench.end(3.0, "vm1", Outcome::Cancelled);
    assert_eq!((bench.stayed().len(), bench.finish), (5, Some(Finish::Partly)), "each of them once");
}
