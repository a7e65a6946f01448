//! One migration between two QEMU machines: the controller's commands done over QMP, and what the machines
//! say told to the controller.
//!
//! Nothing is decided here but how QEMU is asked. Each input and each command goes to the journal before
//! it takes effect, so that it knows at any moment what was ordered.

mod carry_out;
mod listen;
mod undo;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::machine::Output;
use algorithms::records::{Outcome, Record};
use sim_core::SimTime;

use super::QemuError;
use super::disks::{Mirrors, NbdAddress};
use super::levers::Levers;
use super::qmp::{Notice, Qmp, Side};
use super::standing::Remedy;
use crate::journal::Line;

/// How often the wish to cancel is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Time since a run began, by the clock that QEMU stamps its events with.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    began: Instant,
    began_unix_nanos: u64,
}

impl RunClock {
    /// A clock that begins now.
    pub fn start() -> RunClock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_nanos = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
        RunClock { began: Instant::now(), began_unix_nanos }
    }

    /// The time.
    pub fn now(&self) -> SimTime {
        SimTime::ZERO + crate::clock::span(self.began.elapsed())
    }

    /// The time at which an event says that it happened, no later than now: machines that we talk to over
    /// unix sockets have our clock.
    fn of_event(&self, unix_nanos: Option<u64>) -> SimTime {
        let stamped = unix_nanos.and_then(|nanos| nanos.checked_sub(self.began_unix_nanos));
        stamped.map_or(self.now(), |nanos| SimTime::from_nanos(nanos).min(self.now()))
    }
}

/// A migration to drive.
pub struct Migration<'a> {
    /// Who, from where, to where.
    pub order: MigrationOrder,
    /// What of QEMU's is set.
    pub levers: &'a Levers,
    /// The machine that runs the guest.
    pub source: &'a mut Qmp,
    /// The machine that waits for it: started with `-incoming defer -S`.
    pub destination: &'a mut Qmp,
    /// What both say by themselves.
    pub notices: &'a Receiver<(Side, Notice)>,
    /// The destination's address as the source reaches it; the port is chosen by the system.
    pub address: &'a str,
    /// Where the destination takes in disks; needed where the order moves some.
    pub nbd: Option<NbdAddress>,
    /// The run's clock.
    pub clock: RunClock,
    /// Set by whoever wants the migration given up.
    pub cancel: &'a AtomicBool,
    /// Keeps the journal: sees each input before the controller does, and each command before it is done.
    pub journal: &'a mut dyn FnMut(&Line),
}

/// How a migration ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// As the controller has it.
    pub outcome: Outcome,
    /// What it left: rounds, events, and the migration itself last.
    pub records: Vec<Record>,
    /// Who runs the guest.
    pub standing: Remedy,
}

/// Drives `migration` to its end.
///
/// # Errors
///
/// Where the controller and the driver do not understand each other, which is a mistake in this program.
/// Whatever the machines do is no error: it is an outcome.
pub fn migrate(migration: Migration<'_>) -> Result<Ended, QemuError> {
    let controller = MigrationController::of_hypervisor(migration.order.clone(), migration.levers.post_copy);
    (migration.journal)(&Line::order(&migration.order, Some(migration.levers.post_copy)));
    let mirrors = migration.nbd.clone().map(Mirrors::new);
    let mut driver = Driver {
        migration,
        controller,
        mirrors,
        watch: Watch::default(),
        last: SimTime::ZERO,
        commands: VecDeque::new(),
        answers: VecDeque::new(),
        records: Vec::new(),
        standing: None,
    };
    driver.run()
}

/// What was seen of a migration, beside what the controller knows.
#[derive(Debug, Default)]
struct Watch {
    /// The port at which the destination waits.
    port: Option<u16>,
    started: bool,
    stopped: bool,
    switching_over: bool,
    post_copy: bool,
    told_post_copy: bool,
    /// The guest was told to start at the destination.
    resuming: bool,
    /// When the destination ran it before it was told to: without `-S`, or because somebody had said `cont` to it.
    ran_early: Option<SimTime>,
    throttle: u64,
    cancelled: bool,
    sent: sim_core::Bytes,
}

struct Driver<'a> {
    migration: Migration<'a>,
    controller: MigrationController,
    mirrors: Option<Mirrors>,
    watch: Watch,
    /// Time never goes back, whatever events are stamped with.
    last: SimTime,
    commands: VecDeque<Command>,
    answers: VecDeque<(SimTime, Input)>,
    records: Vec<Record>,
    standing: Option<Remedy>,
}

impl Driver<'_> {
    fn run(&mut self) -> Result<Ended, QemuError> {
        self.tell(self.migration.clock.now(), Input::Begin)?;
        loop {
            match self.drain()? {
                Next::Done(outcome) => return Ok(self.ended(outcome)),
                Next::Wait(until) => self.wait(until)?,
            }
        }
    }

    /// Has the controller's commands done and tells it the answers, until it waits for something to happen.
    fn drain(&mut self) -> Result<Next, QemuError> {
        loop {
            let next = self.poll();
            if let Some(command) = self.commands.pop_front() {
                (self.migration.journal)(&Line::Wanted(command));
                let answer = self.carry_out(command);
                self.answers.extend(answer.map(|input| (self.migration.clock.now(), input)));
            } else if let Some((at, input)) = self.answers.pop_front() {
                self.tell(at, input)?;
            } else {
                return Ok(next);
            }
        }
    }

    fn poll(&mut self) -> Next {
        loop {
            match self.controller.poll() {
                Output::Command(command) => self.commands.push_back(command),
                Output::Record(record) => self.records.push(record),
                Output::Wait(until) => return Next::Wait(until),
                Output::Done(outcome) => return Next::Done(outcome),
            }
        }
    }

    /// Waits for something to happen, or for the time at which the controller wants to be woken.
    fn wait(&mut self, until: SimTime) -> Result<(), QemuError> {
        if self.migration.cancel.load(Ordering::Relaxed) && !self.watch.cancelled {
            self.watch.cancelled = true;
            return self.tell(self.migration.clock.now(), Input::Cancel { reason: "asked for".into() });
        }
        let now = self.migration.clock.now();
        if until <= now {
            return self.tell(now, Input::Tick);
        }
        let patience = Duration::from_nanos((until - now).as_nanos()).min(LOOK_EVERY);
        match self.migration.notices.recv_timeout(patience) {
            Ok((side, notice)) => {
                self.listen(side, notice);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            // Both connections' threads are gone; each has said so before.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience);
                Ok(())
            }
        }
    }

    fn tell(&mut self, at: SimTime, input: Input) -> Result<(), QemuError> {
        self.last = self.last.max(at);
        (self.migration.journal)(&Line::Told(self.last, input.clone()));
        Ok(self.controller.handle(self.last, input)?)
    }

    fn ended(&mut self, outcome: Outcome) -> Ended {
        (self.migration.journal)(&Line::Ended(outcome));
        let standing = self.standing.unwrap_or(Remedy::DestinationRuns);
        Ended { outcome, records: std::mem::take(&mut self.records), standing }
    }
}

enum Next {
    Wait(SimTime),
    Done(Outcome),
}
