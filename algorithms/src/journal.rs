//! What a machine was told, and what it wanted: kept so that the same can be told to a fresh machine.
//!
//! ```text
//!   settle ── handle ──▶ Journalled ── write, then handle ──▶ machine
//!          ◀── poll ────            ◀── poll, then write ────
//! ```
//!
//! One rule for every machine and every host: an entry is written before it has an effect. An input is written
//! before the machine is told it, a refusal as soon as it is known, a command before the host gets it. Where an
//! entry cannot be written while the migration [goes on](Stage::GoesOn), what it says does not happen: the
//! machine is told that the migration has failed, and gives up in good order. Once the migration is decided, or is
//! being given up, nothing waits for the journal. Both are said in the records, once.
//!
//! [`replay`] tells the inputs to a fresh machine, and finds it wanting the same commands and refusing the same
//! inputs. A machine of an unfinished journal is the migration at that moment, and can be simulated on.

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
    /// The VM is handed over. That is not done either where it cannot be noted; afterwards it is too late to give up.
    Decides,
    /// What is left is to clean up or to undo, which must be done in any case.
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
    /// Whether it is too late to give up, or the migration is being given up.
    settled: bool,
    /// Whether an entry could not be written: the rest is not tried.
    broken: bool,
    /// What is to be said of that.
    said: Option<Record>,
    ended: bool,
}

impl<M: Recorded, J: Journal<EntryOf<M>>> Journalled<M, J> {
    /// Returns a fresh machine of `order`, whose journal begins with that.
    ///
    /// # Errors
    ///
    /// Where the first entry cannot be written: nothing has begun.
    pub fn begin(order: M::Order, mut journal: J) -> Result<Journalled<M, J>, J::Error> {
        journal.write(&Entry::opened(order.clone()))?;
        let (machine, now) = (M::fresh(order), SimTime::ZERO);
        Ok(Journalled { machine, journal, now, settled: false, broken: false, said: None, ended: false })
    }

    /// Returns the machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Writes an entry; the reason to give up where it cannot be kept and nothing was decided.
    fn keep(&mut self, entry: &EntryOf<M>) -> Result<(), String> {
        if self.broken {
            return Ok(());
        }
        let Err(error) = self.journal.write(entry) else { return Ok(()) };
        self.broken = true;
        if self.settled {
            let message = format!("the journal ends here, the migration goes on: {error}");
            self.said = Some(Record::Event(EventRecord::warning(self.now, message)));
            return Ok(());
        }
        let message = format!("the journal ends here, the migration is given up: {error}");
        self.said = Some(Record::Event(EventRecord::error(self.now, message)));
        Err(format!("the journal cannot be written: {error}"))
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
        let input = match self.keep(&Entry::Told(now, input.clone())) {
            Ok(()) => input,
            Err(reason) => M::failed(reason),
        };
        let handled = self.machine.handle(now, input);
        if let Err(refused) = &handled {
            // What it refuses changes nothing, so that nothing has to be given up for it.
            let _ = self.keep(&Entry::Refused(refused.clone()));
        }
        handled
    }

    fn poll(&mut self) -> Output<M::Command, M::Done> {
        if let Some(record) = self.said.take() {
            return Output::Record(record);
        }
        loop {
            match self.machine.poll() {
                Output::Command(command) => {
                    let stage = M::stage(&command);
                    self.settled |= stage == Stage::Ends;
                    if let Err(reason) = self.keep(&Entry::Wanted(command.clone())) {
                        // Not carried out: the machine hears that it failed, which fits wherever it wants something.
                        let _ = self.machine.handle(self.now, M::failed(reason));
                        continue;
                    }
                    self.settled |= stage == Stage::Decides;
                    return Output::Command(command);
                }
                Output::Done(done) => {
                    if !std::mem::replace(&mut self.ended, true) {
                        self.settled = true;
                        let _ = self.keep(&Entry::Ended(done.clone()));
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
                if let Settled::Done(done) = settled {
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
