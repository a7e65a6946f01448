//! What tests of machines share: a host that only notes, orders, and hosts that answer.

#![allow(clippy::unwrap_used, dead_code, reason = "tests; no test uses all of it")]

pub mod answering;
pub mod anything;
pub mod driving;

use std::convert::Infallible;
use std::fmt::Debug;

use algorithms::controller::{Input, LoopOwner, MigrationOrder};
use algorithms::ids::MigrationId;
use algorithms::machine::{Host, Machine, Refused, Settled, settle};
use algorithms::orchestrator::{Command as OrchestratorCommand, MoveOrder, Orchestrator};
use algorithms::page_loop::PageInput;
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{EventRecord, Level, MigrationRecord, Record, RoundRecord};
use sim_core::{Bytes, SimTime, Span};

/// What a machine said to one input.
#[derive(Debug)]
pub struct Said<M: Machine> {
    pub commands: Vec<M::Command>,
    pub records: Vec<Record>,
    pub refused: Vec<Refused>,
    /// When it wants to be told the time; `None` where it has ended.
    pub wait: Option<SimTime>,
    pub done: Option<M::Done>,
}

impl<M: Machine> Said<M> {
    /// The record of a migration that has ended.
    pub fn migration(&self) -> Option<&MigrationRecord> {
        self.migrations().into_iter().next()
    }

    pub fn migrations(&self) -> Vec<&MigrationRecord> {
        migrations(&self.records)
    }

    pub fn events(&self) -> Vec<&EventRecord> {
        events(&self.records)
    }

    pub fn messages(&self) -> Vec<&str> {
        self.events().into_iter().map(|event| &*event.message).collect()
    }

    /// How bad the worst of its events is.
    pub fn worst(&self) -> Option<Level> {
        self.events().into_iter().map(|event| event.level).max()
    }
}

impl Said<Orchestrator> {
    /// The moves that start.
    pub fn started(&self) -> Vec<&MoveOrder> {
        let started = self.commands.iter().filter_map(|command| match command {
            OrchestratorCommand::Start(order) => Some(&**order),
            OrchestratorCommand::Refuse(_) => None,
        });
        started.collect()
    }

    /// The moves that do not take place.
    pub fn declined(&self) -> Vec<&algorithms::orchestrator::Declined> {
        let declined = self.commands.iter().filter_map(|command| match command {
            OrchestratorCommand::Start(_) => None,
            OrchestratorCommand::Refuse(declined) => Some(&**declined),
        });
        declined.collect()
    }

    /// The same as numbers of guests and reasons.
    pub fn reasons(&self) -> Vec<(u32, String)> {
        let reasons = self.declined().into_iter();
        reasons.map(|each| (each.vm.0, each.never_begun.reason.clone())).collect()
    }

    /// The guests that start, by number.
    pub fn vms(&self) -> Vec<u32> {
        self.started().into_iter().map(|order| order.assignment.vm.0).collect()
    }
}

pub fn migrations(records: &[Record]) -> Vec<&MigrationRecord> {
    let found = records.iter().filter_map(|record| match record {
        Record::Migration(migration) => Some(migration),
        _ => None,
    });
    found.collect()
}

pub fn events(records: &[Record]) -> Vec<&EventRecord> {
    let found = records.iter().filter_map(|record| match record {
        Record::Event(event) => Some(event),
        _ => None,
    });
    found.collect()
}

pub fn rounds(records: &[Record]) -> Vec<&RoundRecord> {
    let found = records.iter().filter_map(|record| match record {
        Record::Round(round) => Some(round),
        _ => None,
    });
    found.collect()
}

/// Notes what it is given, and answers nothing.
struct Notes<M: Machine> {
    commands: Vec<M::Command>,
    records: Vec<Record>,
    refused: Vec<Refused>,
}

impl<M: Machine> Host<M> for Notes<M> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: M::Command) -> Result<Option<M::Input>, Infallible> {
        self.commands.push(command);
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn refused(&mut self, _: SimTime, refused: Refused) {
        self.refused.push(refused);
    }
}

/// Tells a machine what may not fit, and returns what it said.
pub fn try_tell<M: Machine>(machine: &mut M, now: SimTime, input: M::Input) -> Said<M> {
    let mut notes = Notes::<M> { commands: Vec::new(), records: Vec::new(), refused: Vec::new() };
    let Ok(settled) = settle(machine, now, input, &mut notes);
    let Notes { commands, records, refused } = notes;
    let (wait, done) = match settled {
        Settled::Wait(until) => (Some(until), None),
        Settled::Done(done) => (None, Some(done)),
    };
    Said { commands, records, refused, wait, done }
}

/// Tells a machine what fits, and returns what it said.
pub fn tell_at<M: Machine>(machine: &mut M, now: SimTime, input: M::Input) -> Said<M> {
    let said = try_tell(machine, now, input);
    assert!(said.refused.is_empty(), "{:?}", said.refused);
    said
}

/// The same at a whole second.
pub fn tell<M: Machine>(machine: &mut M, secs: u64, input: M::Input) -> Said<M> {
    tell_at(machine, at(secs), input)
}

/// Asserts that `input` is refused, and that the machine is as before.
pub fn assert_refused<M: Machine + Clone + PartialEq + Debug>(
    machine: &mut M,
    now: SimTime,
    input: M::Input,
) {
    let before = machine.clone();
    let said = try_tell(machine, now, input);
    assert_eq!(said.refused.len(), 1, "{before:?}");
    assert_eq!(*machine, before);
}

pub fn at(secs: u64) -> SimTime {
    SimTime::ZERO + Span::from_secs(secs)
}

/// A GiB of memory, from `a` to `b`.
pub fn order() -> MigrationOrder {
    MigrationOrder {
        migration: MigrationId(0),
        vm: "web".into(),
        source: "a".into(),
        destination: "b".into(),
        transport: "tcp".into(),
        memory: Bytes::from_gib(1),
        policy: Policy::HyperV(HyperV::default()),
        deadline: None,
        queued: SimTime::ZERO,
        storage: None,
        page_loop: LoopOwner::Own,
        why: None,
    }
}

/// The inputs of a migration that goes well, a second apart; from the eighth on the guest runs at `b`.
pub fn way_through() -> Vec<Input> {
    let dirty = Bytes::from_mib(1);
    vec![
        Input::Begin,
        Input::Prepared,
        Input::Page(PageInput::RoundSent),
        Input::Page(PageInput::Counted { dirty }),
        Input::Page(PageInput::Paused),
        Input::Page(PageInput::Counted { dirty }),
        Input::Page(PageInput::RoundSent),
        Input::Page(PageInput::Resumed),
        Input::Finished,
    ]
}
