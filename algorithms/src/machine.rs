//! What all our state machines have in common: how they are driven.
//!
//! ```text
//!   driver ── handle(now, input) ──▶ machine      what happened, and when
//!   driver ◀──────── poll() ──────── machine      what to do, until Wait or Done
//! ```
//!
//! A machine has no clock, no thread and no IO. Simulation and live drivers call the same two
//! functions in the same way, and decide nothing themselves.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sim_core::SimTime;
use thiserror::Error;

use crate::records::Record;

/// What a machine of commands `C` that ends in `D` tells its driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "made and taken apart one by one, never kept in numbers")]
pub enum Output<C, D> {
    /// Do this; its result comes back as an input.
    Command(C),
    /// Keep this.
    Record(Record),
    /// Nothing more for now. Call `handle` with a tick at this time, if nothing comes before it;
    /// [`SimTime::MAX`] for never.
    Wait(SimTime),
    /// Nothing more, ever.
    Done(D),
}

/// An input that does not fit the machine's state. The machine is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{input} does not fit the state {state}")]
pub struct Refused {
    /// What was handed in.
    pub input: String,
    /// The state that it found.
    pub state: String,
}

/// Outputs that wait to be polled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outbox<C, D> {
    waiting: VecDeque<Output<C, D>>,
}

impl<C, D> Outbox<C, D> {
    pub(crate) fn new() -> Outbox<C, D> {
        Outbox { waiting: VecDeque::new() }
    }

    pub(crate) fn command(&mut self, command: C) {
        self.waiting.push_back(Output::Command(command));
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.waiting.push_back(Output::Record(record));
    }

    pub(crate) fn pop(&mut self) -> Option<Output<C, D>> {
        self.waiting.pop_front()
    }
}
