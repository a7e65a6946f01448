//! What a machine was told, and what it wanted: kept so that the same can be told to a fresh machine.
//!
//! ```text
//!   settle ── handle ──▶ Journalled ── write, then handle ──▶ machine
//!          ◀── poll ────            ◀── poll, then write ────
//! ```
//!
//! One rule holds for every machine and every host: an entry is written before it has an effect. An input is written
//! before the machine is told it, a refusal before the next input, a command before the host gets it:
//!
//! ```text
//!   Opened ─▶ Told ─▶ Wanted ─▶ Wanted ─▶ Told ─▶ Refused ─▶ Told ─▶ Wanted ─▶ … ─▶ Told ─▶ Ended
//!   order     input and what it led to    one that did not fit       the answer to a command
//! ```
//!
//! An entry that cannot be written is the last that is tried. What that means depends on how far the migration has come
//! ([`Stage`]), and is said once in the records:
//!
//! ```text
//!   before the decision    what was not written does not happen; the machine is told that the migration has failed,
//!                          and gives up in good order                                                       an error
//!   from the decision on   the migration goes on to its end without a journal                             a warning
//! ```
//!
//! [`replay`] tells the inputs to a fresh machine, and checks that it wants the same commands and refuses the same
//! inputs. A machine of an unfinished journal is the migration at that moment, and can be simulated on. An input that
//! led to nothing is missed by nobody: replay does not find out where one is left out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::{Debug, Display};

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::machine::{Host, Machine, Output, Refused, Settled, settle};
use crate::records::{EventRecord, Record};

/// The version of journals that this code writes and reads.
pub const VERSION: u32 = 2;

/// A machine that journals are kept of.
pub trait Recorded: Machine {
    /// What a fresh machine is made of.
    type Order: Clone;

    /// Returns a machine that has been told nothing.
    fn fresh(order: Self::Order) -> Self;

    /// Returns how far a migration has come when it wants `command` done.
    fn stage(command: &Self::Command) -> Stage;

    /// Returns the input that says that the migration cannot go on.
    fn failed(reason: String) -> Self::Input;
}

/// How far a migration has come: what a journal that cannot be written means to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It goes on, and can be given up. Nothing is done that cannot be noted.
    GoesOn,
    /// The VM runs at the destination from now on, unless the host waits for a command that [decides](Stage::Decides).
    /// It is not done where it cannot be noted. Which of the two it was, the next command tells.
    MayDecide,
    /// The VM is handed over. That is not done either where it cannot be noted; afterwards it is too late to give up.
    Decides,
    /// What is left must be done in any case: to clean up, to undo, or to send what a VM lacks that runs already.
    Ends,
}

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry<O, I, C, D> {
    /// The first: what the machine was made of.
    Opened {
        /// [`VERSION`], or that of another migtwin.
        version: u32,
        /// The order.
        order: Box<O>,
    },
    /// The machine was told this at this time.
    Told(SimTime, I),
    /// It refused what it was told last.
    Refused(Refused),
    /// It wanted this done.
    Wanted(C),
    /// It ended so.
    Ended(D),
}

/// An entry of the journal of a machine `M`.
pub type EntryOf<M> =
    Entry<<M as Recorded>::Order, <M as Machine>::Input, <M as Machine>::Command, <M as Machine>::Done>;

impl<O, I, C, D> Entry<O, I, C, D> {
    /// Returns the first entry of a journal of this version.
    pub fn opened(order: O) -> Entry<O, I, C, D> {
        Entry::Opened { version: VERSION, order: Box::new(order) }
    }
}

/// Where entries are written.
pub trait Journal<E> {
    /// Why one could not be.
    type Error: Display;

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// Where it could not be kept.
    fn write(&mut self, entry: &E) -> Result<(), Self::Error>;
}

impl<E, J: Journal<E> + ?Sized> Journal<E> for &mut J {
    type Error = J::Error;

    fn write(&mut self, entry: &E) -> Result<(), J::Error> {
        (**self).write(entry)
    }
}

/// A machine of which a journal is kept.
#[derive(Debug)]
pub struct Journalled<M, J> {
    machine: M,
    journal: J,
    /// The time of the input told last.
    now: SimTime,
    decision: Decision,
    /// Why an entry could not be written; the rest is not tried.
    broken: Option<String>,
    /// Whether that was said in the records: once.
    told: bool,
    /// What is to be said of it.
    said: Option<Record>,
    ended: bool,
}

/// Whether it is too late to give up, or the migration is being given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Open,
    /// Made, unless the host still waits for the command that makes it.
    Perhaps,
    Made,
}

impl<M: Recorded, J: Journal<EntryOf<M>>> Journalled<M, J> {
    /// Returns a fresh machine of `order`, whose journal begins with that.
    ///
    /// # Errors
    ///
    /// Where the first entry cannot be written: nothing has begun.
    pub fn begin(order: M::Order, mut journal: J) -> Result<Journalled<M, J>, J::Error> {
        journal.write(&Entry::opened(order.clone()))?;
        Ok(Journalled {
            machine: M::fresh(order),
            journal,
            now: SimTime::ZERO,
            decision: Decision::Open,
            broken: None,
            told: false,
            said: None,
            ended: false,
        })
    }

    /// Returns the machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    fn write(&mut self, entry: &EntryOf<M>) {
        if self.broken.is_none() {
            self.broken = self.journal.write(entry).err().map(|error| error.to_string());
        }
    }

    /// What it means that an entry could not be written: nothing before that, and once afterwards a line in the
    /// records, and the reason to give up where nothing is decided.
    fn reason_to_give_up(&mut self) -> Option<String> {
        let error = self.broken.as_ref().filter(|_| !self.told && self.decision != Decision::Perhaps)?;
        self.told = true;
        let open = self.decision == Decision::Open;
        let event = if open {
            EventRecord::error(self.now, format!("the journal ends here, the migration is given up: {error}"))
        } else {
            EventRecord::warning(
                self.now,
                format!("the journal ends here, what is left is done without: {error}"),
            )
        };
        self.said = Some(Record::Event(event));
        open.then(|| format!("the journal cannot be written: {error}"))
    }
}

impl<M, J> Machine for Journalled<M, J>
where
    M: Recorded<Input: Clone, Command: Clone, Done: Clone>,
    J: Journal<EntryOf<M>>,
{
    type Input = M::Input;
    type Command = M::Command;
    type Done = M::Done;

    fn handle(&mut self, now: SimTime, input: M::Input) -> Result<(), Refused> {
        self.now = now;
        self.write(&Entry::Told(now, input.clone()));
        let handled = match self.reason_to_give_up() {
            None => self.machine.handle(now, input),
            Some(reason) => self.machine.handle(now, M::failed(reason)),
        };
        if let Err(refused) = &handled {
            // A refusal that cannot be written has changed nothing: `poll` gives up then.
            self.write(&Entry::Refused(refused.clone()));
        }
        handled
    }

    fn poll(&mut self) -> Output<M::Command, M::Done> {
        loop {
            if let Some(reason) = self.reason_to_give_up() {
                // It fits in every state in which it is not too late to give up.
                let _ = self.machine.handle(self.now, M::failed(reason));
            }
            if let Some(record) = self.said.take() {
                return Output::Record(record);
            }
            match self.machine.poll() {
                Output::Command(command) => {
                    let stage = M::stage(&command);
                    if stage == Stage::Ends {
                        self.decision = Decision::Made;
                    }
                    self.write(&Entry::Wanted(command.clone()));
                    if self.broken.is_some() && self.decision != Decision::Made {
                        // Not carried out: a host that still waits for commands has decided nothing.
                        self.decision = Decision::Open;
                        continue;
                    }
                    match stage {
                        Stage::Decides => self.decision = Decision::Made,
                        Stage::MayDecide => self.decision = Decision::Perhaps,
                        Stage::GoesOn | Stage::Ends => {}
                    }
                    return Output::Command(command);
                }
                Output::Done(done) => {
                    if !std::mem::replace(&mut self.ended, true) {
                        self.decision = Decision::Made;
                        self.write(&Entry::Ended(done.clone()));
                        continue;
                    }
                    if let Some(record) = self.said.take() {
                        return Output::Record(record);
                    }
                    return Output::Done(done);
                }
                other => return other,
            }
        }
    }
}

/// What replaying a journal came to.
#[derive(Debug)]
pub struct Replayed<M: Machine> {
    /// The machine after the last input.
    pub machine: M,
    /// When that was.
    pub now: SimTime,
    /// The records that it left.
    pub records: Vec<Record>,
    /// How it ended, if it did.
    pub outcome: Option<M::Done>,
    /// Commands that were compared.
    pub commands: usize,
}

/// Why a journal cannot be replayed: it is not of such a machine, or the rules have changed since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayed {
    /// Its first entry is no order.
    #[error("a journal begins with an order; this one does not")]
    NoOrder,
    /// It is of another version.
    #[error(
        "the journal is of version {found}, and this migtwin reads version {VERSION}: use the migtwin that wrote it"
    )]
    Version {
        /// The version that it says.
        found: u32,
    },
    /// The machine did something else than the journal says.
    #[error("entry {entry}: {what}")]
    Differs {
        /// Which, from 1; the order is the first.
        entry: usize,
        /// In what.
        what: String,
    },
}

/// Returns the order of a journal and its other entries.
///
/// # Errors
///
/// [`NotReplayed::NoOrder`], [`NotReplayed::Version`].
#[allow(clippy::type_complexity, reason = "a pair of an order and entries, all parameters of one entry")]
pub fn opened<O, I, C, D>(entries: &[Entry<O, I, C, D>]) -> Result<(&O, &[Entry<O, I, C, D>]), NotReplayed> {
    match entries.split_first() {
        Some((Entry::Opened { version: VERSION, order }, rest)) => Ok((order, rest)),
        Some((Entry::Opened { version, .. }, _)) => Err(NotReplayed::Version { found: *version }),
        _ => Err(NotReplayed::NoOrder),
    }
}

/// Tells a fresh machine what the journal's was told.
///
/// # Errors
///
/// [`NotReplayed`] where it wants something else than the journal says. A journal that was cut off is no error.
pub fn replay<M>(entries: &[EntryOf<M>]) -> Result<Replayed<M>, NotReplayed>
where
    M: Recorded<Input: Clone, Command: Clone + PartialEq + Debug, Done: Clone + PartialEq + Debug>,
{
    let (order, rest) = opened(entries)?;
    let mut machine = M::fresh(order.clone());
    let mut follower = Follower::<M> { expected: VecDeque::new(), records: Vec::new(), commands: 0 };
    let (mut now, mut outcome) = (SimTime::ZERO, None);
    for (entry, number) in rest.iter().zip(2..) {
        let differs = |what: String| NotReplayed::Differs { entry: number, what };
        match (entry, follower.expected.pop_front()) {
            (Entry::Told(at, _), None) if *at < now => {
                return Err(differs(format!("{at} is before {now}, the time of the entry before")));
            }
            (Entry::Told(at, input), None) => {
                now = *at;
                let Ok(settled) = settle(&mut machine, now, input.clone(), &mut follower);
                // What it is told after its end, it refuses; that it has ended is written once.
                if let (Settled::Done(done), None) = (settled, &outcome) {
                    outcome = Some(done.clone());
                    follower.expected.push_back(Seen::Ended(done));
                }
            }
            (Entry::Refused(said), Some(Seen::Refused(refused))) if *said == refused => {}
            (Entry::Wanted(said), Some(Seen::Wanted(command))) if *said == command => {}
            (Entry::Ended(said), Some(Seen::Ended(done))) if *said == done => {}
            (_, Some(seen)) => return Err(differs(format!("the machine's is {seen:?}"))),
            (_, None) => return Err(differs("the machine waits for an input here".into())),
        }
    }
    let Follower { records, commands, .. } = follower;
    Ok(Replayed { machine, now, records, outcome, commands })
}

/// What a machine that is followed did, as the journal is to have it.
#[derive(Debug)]
enum Seen<C, D> {
    Refused(Refused),
    Wanted(C),
    Ended(D),
}

/// The host of a replay: it only notes.
struct Follower<M: Machine> {
    expected: VecDeque<Seen<M::Command, M::Done>>,
    records: Vec<Record>,
    commands: usize,
}

impl<M: Machine> Host<M> for Follower<M> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: M::Command) -> Result<Option<M::Input>, Infallible> {
        self.commands += 1;
        self.expected.push_back(Seen::Wanted(command));
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn refused(&mut self, now: SimTime, refused: Refused) {
        self.record(refused.record(now));
        self.expected.push_back(Seen::Refused(refused));
    }
}
