//! A controller that is told what happens, by the clock, and what it says to that.

#![allow(clippy::unwrap_used, dead_code)]

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::ids::MigrationId;
use algorithms::machine::Output;
use algorithms::page_loop::PageInput;
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{EventRecord, Level, MigrationRecord, Outcome, Record};
use sim_core::{Bytes, SimTime, Span};

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
    }
}

pub fn at(secs: u64) -> SimTime {
    SimTime::ZERO + Span::from_secs(secs)
}

/// What it said to one input.
#[derive(Default)]
pub struct Said {
    pub commands: Vec<Command>,
    pub migration: Option<MigrationRecord>,
    pub events: Vec<EventRecord>,
    pub wait: Option<SimTime>,
    pub outcome: Option<Outcome>,
}

impl Said {
    /// How bad the worst of its events is.
    pub fn worst(&self) -> Option<Level> {
        self.events.iter().map(|event| event.level).max()
    }
}

pub fn tell(controller: &mut MigrationController, secs: u64, input: Input) -> Said {
    controller.handle(at(secs), input).unwrap();
    let mut said = Said::default();
    loop {
        match controller.poll() {
            Output::Command(command) => said.commands.push(command),
            Output::Record(Record::Migration(record)) => said.migration = Some(record),
            Output::Record(Record::Event(event)) => said.events.push(event),
            Output::Record(_) => {}
            Output::Wait(until) => {
                said.wait = Some(until);
                return said;
            }
            Output::Done(outcome) => {
                said.outcome = Some(outcome);
                return said;
            }
        }
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
