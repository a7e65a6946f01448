//! QEMU as the host of the controller that the simulation runs: its commands done over QMP, and what the machines say
//! told to it.
//!
//! ```text
//!  Journalled(MigrationController) ◀── settle ── Driver ◀── queue ◀── answers, events of both machines
//!               └────────── Command ──────────────▶ │ ─── QMP ──▶ source, destination
//! ```
//!
//! There is one driver for all that moves: memory, disks together with it, or disks alone, to other images of the same
//! machine. What differs is in [`To`] and in the tables of `commands`; [`disks`](super::disks) has the mirrors of both.
//!
//! Nothing is decided here but how QEMU is asked. A QMP command takes real time, so that no answer is told at the time
//! of its command: it joins the queue with the time at which it came. A command that fails is told as a failure, and
//! nothing else ends a drive: whatever goes wrong ends in `Abort`, which leaves exactly one machine with the VM.
//!
//! The machines may have other clients, who pause the VM, let it go on or cancel the migration: `events` tells their
//! doing from QEMU's own.

mod commands;
mod events;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::journal::{Journal, Journalled};
use algorithms::machine::{Host, Refused, WaitingHost, run};
use algorithms::records::{EventRecord, Outcome, Record};
use sim_core::{Bytes, SimTime};

use super::disks::{Copies, Images, Mirrors, NbdAddress};
use super::levers::Levers;
use super::qmp::{Notice, Qmp, Side};
use super::resolution::{WhoRuns, alone};
use crate::clock::WallClock;
use crate::error::LiveError;
use crate::journal::Entry;

/// How often the wish to cancel is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A migration to drive.
pub struct Migration<'a> {
    /// Who, from where, to where.
    pub order: MigrationOrder,
    /// The machine that runs the VM.
    pub source: &'a mut Qmp,
    /// Where it goes.
    pub to: To<'a>,
    /// What the machines say by themselves.
    pub notices: &'a Receiver<(Side, Notice)>,
    /// The run's clock.
    pub clock: WallClock,
    /// Set by whoever wants the migration given up.
    pub cancel: &'a AtomicBool,
    /// Where the journal is written.
    pub journal: &'a mut dyn Journal<Entry, Error = LiveError>,
}

/// Where a VM or its disks go.
pub enum To<'a> {
    /// The VM goes to another machine.
    Machine {
        /// The machine, which waits for it: started with `-incoming defer -S`.
        destination: &'a mut Qmp,
        /// What of QEMU's is set.
        levers: &'a Levers,
        /// Its address as the source reaches it; the port is chosen by the system.
        address: &'a str,
        /// Where it takes in disks; needed where the order moves some.
        nbd: Option<NbdAddress>,
    },
    /// The VM stays, and these disks go to other images: [`Switch::WhenCopied`](algorithms::storage_mirror::Switch).
    Images(BTreeMap<u32, Images>),
}

/// How a migration ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// As the controller has it.
    pub outcome: Outcome,
    /// What it left: rounds, events, and the migration itself last.
    pub records: Vec<Record>,
    /// Who runs the VM.
    pub runs: WhoRuns,
}

/// Drives `migration` to its end. Whatever the machines do is no error: it is an outcome.
///
/// # Errors
///
/// Where the journal cannot be begun: nothing was done then.
pub fn migrate(migration: Migration<'_>) -> Result<Ended, LiveError> {
    let Migration { order, source, to, notices, clock, cancel, journal } = migration;
    let (destination, copies) = match to {
        To::Machine { destination, levers, address, nbd } => (
            Some(Destination { qmp: destination, levers, address, port: None }),
            nbd.map(Copies::Destination),
        ),
        To::Images(images) => (None, Some(Copies::Images(images))),
    };
    let mut controller = Controller::begin(order.clone(), journal)?;
    let mut driver = Driver {
        order,
        source,
        destination,
        mirrors: copies.map(Mirrors::to),
        notices,
        clock,
        cancel,
        watch: Watch::default(),
        last: SimTime::ZERO,
        queue: VecDeque::new(),
        records: Vec::new(),
        runs: None,
    };
    let Ok(outcome) = run(&mut controller, (clock.now(), Input::Begin), &mut driver);
    let runs = driver.runs.unwrap_or_else(|| alone(driver.source));
    Ok(Ended { outcome, records: driver.records, runs })
}

/// The controller with its journal.
type Controller<'a> = Journalled<MigrationController, &'a mut dyn Journal<Entry, Error = LiveError>>;

/// The machine that the VM goes to.
struct Destination<'a> {
    qmp: &'a mut Qmp,
    levers: &'a Levers,
    address: &'a str,
    /// The port at which it waits.
    port: Option<u16>,
}

/// What was seen of a migration, besides what the controller knows.
#[derive(Debug, Default)]
struct Watch {
    /// The source was told to migrate.
    started: bool,
    /// What the source said last of its migration.
    migration: String,
    /// Who has stopped the VM at the source.
    stopped: Stopped,
    /// The controller was told that the VM is stopped for the switchover.
    told_stopped: bool,
    /// QEMU waits for leave to hand over.
    switching_over: bool,
    /// It was given leave.
    continued: bool,
    /// In post-copy, as each side says.
    post_copy: bool,
    post_copy_there: bool,
    told_post_copy: bool,
    /// The VM was told to start at the destination, or to stay paused there.
    handed_over: bool,
    /// Since when the destination runs the VM without having been told: without `-S`, or because somebody said `cont`.
    ran_early: Option<SimTime>,
    /// The destination has run the VM, by whoever's order.
    ran_there: bool,
    /// Somebody has paused it there.
    paused_there: bool,
    throttle: u64,
    cancelled: bool,
    sent: Bytes,
}

/// Who has stopped the VM at the source, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stopped {
    /// Nobody: it runs.
    #[default]
    Not,
    /// Somebody else.
    ByOther,
    /// QEMU, for the switchover. It counts once more after that; a second count shows that somebody else had stopped it.
    ByQemu {
        /// Counts since.
        counts: u32,
    },
}

/// The controller's host.
struct Driver<'a> {
    order: MigrationOrder,
    source: &'a mut Qmp,
    /// None where only disks move.
    destination: Option<Destination<'a>>,
    /// None where no disks move.
    mirrors: Option<Mirrors>,
    notices: &'a Receiver<(Side, Notice)>,
    clock: WallClock,
    cancel: &'a AtomicBool,
    watch: Watch,
    /// Time never goes back, whatever events are stamped with.
    last: SimTime,
    /// What the controller is told next, and when that happened.
    queue: VecDeque<(SimTime, Input)>,
    records: Vec<Record>,
    runs: Option<WhoRuns>,
}

impl Host<Controller<'_>> for Driver<'_> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        let done = self.command(command);
        if let Some(answer) = done.unwrap_or_else(|error| Some(Input::Failed { reason: error.to_string() })) {
            self.happened(self.clock.now(), answer);
        }
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn refused(&mut self, now: SimTime, refused: Refused) {
        self.records.push(refused.record_of(now, self.order.migration, &self.order.vm));
    }
}

impl WaitingHost<Controller<'_>> for Driver<'_> {
    fn wait(&mut self, until: SimTime) -> Result<(SimTime, Input), Infallible> {
        let (at, input) = self.next(until);
        self.last = self.last.max(at);
        Ok((self.last, input))
    }
}

impl Driver<'_> {
    /// What happens next: what waits to be told, a wish to cancel, something that a machine says, or that it is `until`.
    fn next(&mut self, until: SimTime) -> (SimTime, Input) {
        loop {
            if let Some(next) = self.queue.pop_front() {
                return next;
            }
            let now = self.clock.now();
            if self.cancel.load(Ordering::Relaxed) && !self.watch.cancelled {
                self.watch.cancelled = true;
                return (now, Input::Cancel { reason: "asked for".into() });
            }
            if until <= now {
                return (now, Input::Tick);
            }
            let patience = self.clock.until(until).unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            match self.notices.recv_timeout(patience) {
                Ok((side, notice)) => self.listen(side, notice),
                Err(RecvTimeoutError::Timeout) => {}
                // Both connections' threads have ended; each has said so before.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(patience),
            }
        }
    }

    /// The controller is told that this happened then, after all that happened before.
    fn happened(&mut self, at: SimTime, input: Input) {
        self.queue.push_back((at, input));
    }

    /// Keeps an event of this migration, which one of its hosts logs.
    fn log(&mut self, event: EventRecord) {
        self.records.push(Record::Event(event.of(self.order.migration, &self.order.vm)));
    }
}
