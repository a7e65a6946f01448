//! What a controller was told on real hosts, when, and what it wanted done: kept on disk, so that the
//! same can be told to a fresh machine.
//!
//! JSON, one value a line: the order, then inputs and commands in the order in which they happened.
//! [`replay`] tells the inputs to a fresh controller, and finds it wanting the same commands. A
//! controller of an unfinished journal is the migration at that moment, and can be simulated on.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::hypervisor_loop::PostCopy;
use algorithms::machine::Output;
use algorithms::records::{Outcome, Record};
use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::error::LiveError;

/// The version of journals.
pub const VERSION: u32 = 1;

/// A line longer than this is none of ours.
const MOST_LINE: u64 = 1 << 20;

/// More lines than this no migration leaves.
const MOST_LINES: usize = 10_000_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Line {
    /// The first: what the controller was made of.
    Order {
        /// The journal's [`VERSION`].
        version: u32,
        /// The order.
        order: Box<MigrationOrder>,
        /// Where the hypervisor's own page loop was watched: when it was to go over to post-copy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hypervisor: Option<PostCopy>,
    },
    /// It was told this at this time.
    Told(SimTime, Input),
    /// It wanted this done.
    Wanted(Command),
    /// It had ended.
    Ended(Outcome),
}

impl Line {
    /// The first line of a journal of this version.
    pub fn order(order: &MigrationOrder, hypervisor: Option<PostCopy>) -> Line {
        Line::Order { version: VERSION, order: Box::new(order.clone()), hypervisor }
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a journal at `path`, where no file may be.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn begin(path: PathBuf, order: &MigrationOrder) -> Result<Journal, LiveError> {
        Journal::begin_with(path, &Line::order(order, None))
    }

    /// Begins a journal at `path` with `first`, which [`Line::order`] makes.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn begin_with(path: PathBuf, first: &Line) -> Result<Journal, LiveError> {
        let file = File::create_new(&path).map_err(LiveError::file("write", &path))?;
        let mut journal = Journal { path, file };
        journal.write(first)?;
        Ok(journal)
    }

    /// Adds a line. It is with the system when this returns: it survives the agent, if not the
    /// machine. (What decides who runs a guest is in the ledger, and on disk.)
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn write(&mut self, line: &Line) -> Result<(), LiveError> {
        let failed = || LiveError::file("write", &self.path);
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::from).map_err(failed())?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a journal. A last line that was cut off is left out: so it ends when an agent is killed.
///
/// # Errors
///
/// [`LiveError`] where it cannot be read, or is no journal.
pub fn read(path: &Path) -> Result<Vec<Line>, LiveError> {
    let failed = || LiveError::file("read", path);
    let mut reader = BufReader::new(File::open(path).map_err(failed())?);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    loop {
        let stored = |reason: String| LiveError::Stored {
            path: path.display().to_string(),
            line: lines.len() + 1,
            reason,
        };
        text.clear();
        reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut text).map_err(failed())?;
        if text.last() != Some(&b'\n') {
            if text.len() as u64 == MOST_LINE {
                return Err(stored("the line is too long for a journal".into()));
            }
            return Ok(lines);
        }
        if lines.len() == MOST_LINES {
            return Err(stored("the journal has too many lines".into()));
        }
        lines.push(serde_json::from_slice(&text).map_err(|error| stored(error.to_string()))?);
    }
}

/// What replaying a journal came to.
#[derive(Debug)]
pub struct Replayed {
    /// The machine after the last input.
    pub controller: MigrationController,
    /// When that was.
    pub now: SimTime,
    /// The records that it left.
    pub records: Vec<Record>,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Commands that were compared.
    pub commands: usize,
}

/// Tells a fresh controller what the journal's was told.
///
/// # Errors
///
/// [`LiveError::Stored`] where it wants something else than the journal says, or refuses an input.
pub fn replay(path: &Path, lines: &[Line]) -> Result<Replayed, LiveError> {
    let stored = |line: usize, reason: String| LiveError::Stored {
        path: path.display().to_string(),
        line: line + 1,
        reason,
    };
    let Some((Line::Order { version: VERSION, order, hypervisor }, rest)) = lines.split_first() else {
        return Err(stored(0, format!("it does not begin with an order of version {VERSION}")));
    };
    let order = (**order).clone();
    let controller = match hypervisor {
        Some(post_copy) => MigrationController::of_hypervisor(order, *post_copy),
        None => MigrationController::new(order),
    };
    let (now, records) = (SimTime::ZERO, Vec::new());
    let mut replayed = Replayed { controller, now, records, outcome: None, commands: 0 };
    let mut wanted: Vec<Line> = Vec::new();
    for (number, line) in rest.iter().enumerate().map(|(index, line)| (index + 1, line)) {
        match line {
            Line::Told(now, input) => {
                if let Some(missing) = wanted.first() {
                    return Err(stored(number, format!("{missing:?} should stand here")));
                }
                replayed.now = *now;
                let told = replayed.controller.handle(*now, input.clone());
                told.map_err(|refused| stored(number, refused.to_string()))?;
                wanted = replayed.drain();
            }
            said if wanted.first() == Some(said) => {
                wanted.remove(0);
            }
            said => return Err(stored(number, format!("{said:?} stands where {:?} should", wanted.first()))),
        }
    }
    Ok(replayed)
}

impl Replayed {
    /// What the machine wants, as a journal has it.
    fn drain(&mut self) -> Vec<Line> {
        let mut wanted = Vec::new();
        loop {
            match self.controller.poll() {
                Output::Command(command) => {
                    self.commands += 1;
                    wanted.push(Line::Wanted(command));
                }
                Output::Record(record) => self.records.push(record),
                Output::Wait(_) => return wanted,
                Output::Done(outcome) => {
                    self.outcome = Some(outcome);
                    wanted.push(Line::Ended(outcome));
                    return wanted;
                }
            }
        }
    }
}
