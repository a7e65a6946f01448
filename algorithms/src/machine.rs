//! What all our state machines have in common, and the one loop that drives any of them.
//!
//! ```text
//!                settle(machine, now, input, host)
//!
//!   input ──▶ Machine::handle ── refused ──▶ Host::refused        nothing has changed; the loop goes on
//!                  │ taken in
//!                  ▼
//!             Machine::poll ─┬─ Command ──▶ Host::carry_out ──▶ an answer at once? told when poll is empty
//!                  ▲         ├─ Record  ──▶ Host::record
//!                  └─────────┤
//!                            ├─ Wait(until) ──▶ Settled::Wait    the host waits, then settles the next input
//!                            └─ Done(result) ─▶ Settled::Done    no further input
//! ```
//!
//! # The contract
//!
//! A [`Machine`] has no clock, thread, socket, queue or file. It cannot tell whether its [`Host`] is a model in
//! virtual time or a real machine: both are driven by [`settle`].
//!
//! *Input.* `handle(now, input)` takes in one thing that happened. The times of successive inputs never decrease;
//! keeping them so is the host's duty. They are earlier than [`SimTime::MAX`], which means never. An input that does
//! not fit the state is [`Refused`]: the machine is exactly as it was before, and the host records the refusal and
//! goes on. A refusal is never a reason to stop driving.
//!
//! *Output.* After each input the host polls until [`Output::Wait`] or [`Output::Done`]. `Wait(until)` asks for a
//! tick (each machine's `Tick` input, where it has one) at that time, unless another input comes first;
//! [`SimTime::MAX`] means that no tick is wanted. A tick that comes early or late does no harm. A machine that has
//! returned `Done` returns it from then on, whatever it is told.
//!
//! *Commands.* A command is complete: who gets it needs nothing else from the machine. Its documentation names the
//! input that answers it; there is one answer to each, at any time:
//!
//! ```text
//!   command ──▶ carry_out ─┬─ the result is known      ──▶ Some(answer): settle tells it when poll is empty
//!                          ├─ it is under way          ──▶ None; the answer is an input of its own, later
//!                          ├─ it cannot be carried out ──▶ the machine's input for failures, in place of the answer
//!                          ├─ it is not answered       ──▶ None, and nothing later (its documentation says so)
//!                          └─ the host itself is broken ─▶ Err: settle returns it, and nobody drives the machine on
//! ```
//!
//! Other inputs may come before the answer. Once a machine gives up, late answers to earlier commands are accepted and
//! ignored, failures among them. So what undoes has no failure to report: it is answered by what was found
//! ([`Aborted`](crate::controller::Input::Aborted) says where the VM is, or that this is in doubt;
//! [`MirrorEnded`](crate::controller::Input::MirrorEnded) how much was written, as far as that is known).
//!
//! *Nesting.* A machine that contains another drives it by the same loop: the inner machine's commands, wrapped,
//! and its records become the outer one's. So there is one loop for all levels:
//!
//! ```text
//!   operation ─▶ orchestrator          host ─▶ controller ─┬─▶ page loop, or the watch over a hypervisor's
//!        drains, gates, retries                            └─▶ storage mirror
//! ```
//!
//! # Writing a driver
//!
//! Implement [`Host`] for what carries out commands. Then do one of these:
//!
//! - Keep a queue of events, as the simulation does. For each event call [`settle`]; schedule a tick for
//!   [`Settled::Wait`]; stop at [`Settled::Done`].
//! - Implement [`WaitingHost`] too, which waits on sockets and deadlines at once, and call [`run`].
//!
//! To keep a journal of what is told and wanted, drive a [`Journalled`](crate::journal::Journalled) machine in place of
//! the machine.

use std::collections::VecDeque;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use sim_core::SimTime;
use thiserror::Error;

use crate::ids::{MigrationId, Name};
use crate::records::{EventKind, EventRecord, Record};

/// A state machine without a clock: it is told what happened and when, and says what to do.
pub trait Machine {
    /// What it is told.
    type Input;
    /// What it wants done.
    type Command;
    /// What it ends with.
    type Done;

    /// Takes in what happened at `now`.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the input does not fit the state; nothing has changed then.
    fn handle(&mut self, now: SimTime, input: Self::Input) -> Result<(), Refused>;

    /// Returns what to do now. Call it until it returns [`Output::Wait`] or [`Output::Done`].
    fn poll(&mut self) -> Output<Self::Command, Self::Done>;
}

/// What a machine of commands `C` that ends in `D` tells its host.
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
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{input} does not fit the state {state}")]
pub struct Refused {
    /// The input.
    pub input: String,
    /// The state that the machine was in.
    pub state: String,
}

/// What carries out a machine's commands and keeps its records.
pub trait Host<M: Machine> {
    /// Why the host cannot go on driving the machine; [`Infallible`] where it always can.
    type Error;

    /// Carries out `command`. Returns its answer where that is known at once.
    ///
    /// # Errors
    ///
    /// Where the host cannot go on. A command that merely fails is answered by the input for failures.
    fn carry_out(&mut self, now: SimTime, command: M::Command) -> Result<Option<M::Input>, Self::Error>;

    /// Keeps a record.
    fn record(&mut self, record: Record);

    /// Notes that an input was refused. By default that is a warning among the records.
    fn refused(&mut self, now: SimTime, refused: Refused) {
        self.record(refused.record(now));
    }
}

/// A host that also waits for what happens next.
pub trait WaitingHost<M: Machine>: Host<M> {
    /// Waits until `until` at the longest, and returns the next input and when it happened: a tick where nothing
    /// else did.
    ///
    /// # Errors
    ///
    /// Where the host cannot go on.
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, M::Input), Self::Error>;
}

/// What a machine has come to when all that it wants now is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled<D> {
    /// It waits, for a tick at this time at the latest; [`SimTime::MAX`] for never.
    Wait(SimTime),
    /// It has ended.
    Done(D),
}

/// Tells `machine` what happened at `now`, and does what it then wants until it waits or has ended.
///
/// # Errors
///
/// What the host returns where it cannot go on.
pub fn settle<M: Machine, H: Host<M>>(
    machine: &mut M,
    now: SimTime,
    input: M::Input,
    host: &mut H,
) -> Result<Settled<M::Done>, H::Error> {
    let mut next = Some(input);
    // Only a machine that gives several commands at a time ever has more than one answer waiting.
    let mut later = VecDeque::new();
    let mut settled = Settled::Wait(SimTime::MAX);
    while let Some(input) = next.take().or_else(|| later.pop_front()) {
        if let Err(refused) = machine.handle(now, input) {
            host.refused(now, refused);
        }
        settled = loop {
            match machine.poll() {
                Output::Command(command) => match host.carry_out(now, command)? {
                    Some(answer) if next.is_none() && later.is_empty() => next = Some(answer),
                    Some(answer) => later.push_back(answer),
                    None => {}
                },
                Output::Record(record) => host.record(record),
                Output::Wait(until) => break Settled::Wait(until),
                Output::Done(result) => return Ok(Settled::Done(result)),
            }
        };
    }
    Ok(settled)
}

/// Drives `machine` from `input` to its end, on a host that waits for what happens next.
///
/// # Errors
///
/// What the host returns where it cannot go on.
pub fn run<M: Machine, H: WaitingHost<M>>(
    machine: &mut M,
    (mut now, mut input): (SimTime, M::Input),
    host: &mut H,
) -> Result<M::Done, H::Error> {
    loop {
        match settle(machine, now, input, host)? {
            Settled::Done(result) => return Ok(result),
            Settled::Wait(until) => (now, input) = host.wait(until)?,
        }
    }
}

impl Refused {
    /// Returns a refusal of `input` in `state`, both as they print.
    pub(crate) fn of(input: &impl std::fmt::Debug, state: &impl std::fmt::Debug) -> Refused {
        Refused { input: format!("{input:?}"), state: format!("{state:?}") }
    }

    /// Returns what is recorded of it.
    pub fn record(&self, now: SimTime) -> Record {
        Record::Event(self.event(now))
    }

    /// Returns what is recorded of it where it concerns a migration of a VM.
    pub fn record_of(&self, now: SimTime, migration: MigrationId, vm: &Name) -> Record {
        Record::Event(self.event(now).of(migration, vm))
    }

    fn event(&self, now: SimTime) -> EventRecord {
        EventRecord::warning(now, format!("ignored: {self}")).of_kind(EventKind::InputRefused)
    }
}

/// Settles a machine that is part of another: its commands, wrapped, and its records go to the outer one's outbox.
/// Answers reach it as inputs of the outer one.
pub(crate) fn settle_inner<M: Machine, C, D>(
    inner: &mut M,
    now: SimTime,
    input: M::Input,
    outbox: &mut Outbox<C, D>,
    wrap: impl Fn(M::Command) -> C,
) -> Result<Settled<M::Done>, Refused> {
    let mut outer = Outer { outbox, wrap, refused: None };
    let Ok(settled) = settle(inner, now, input, &mut outer);
    match outer.refused {
        Some(refused) => Err(refused),
        None => Ok(settled),
    }
}

/// A machine as the host of one inside it.
struct Outer<'a, C, D, F> {
    outbox: &'a mut Outbox<C, D>,
    wrap: F,
    refused: Option<Refused>,
}

impl<M: Machine, C, D, F: Fn(M::Command) -> C> Host<M> for Outer<'_, C, D, F> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: M::Command) -> Result<Option<M::Input>, Infallible> {
        self.outbox.command((self.wrap)(command));
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.outbox.record(record);
    }

    /// What the inner machine refuses, the outer one refuses.
    fn refused(&mut self, _: SimTime, refused: Refused) {
        self.refused = Some(refused);
    }
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
