//! Journals of migrations on real hosts, as files: [`algorithms::journal`] says what is written and when.
//!
//! JSON, one entry a line: the order, then what the controller was told, what it refused of that and what it
//! wanted done, in the order in which it happened.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use algorithms::controller::MigrationController;
use algorithms::journal::{self, EntryOf, Journal, Replayed};

use crate::error::LiveError;

/// One line.
pub type Entry = EntryOf<MigrationController>;

/// A line longer than this is none of ours.
const MOST_LINE: u64 = 1 << 20;

/// More lines than this no migration leaves.
const MOST_LINES: usize = 10_000_000;

/// A journal that is being written.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    file: File,
}

impl JournalFile {
    /// Makes a file for a journal at `path`, where none may be.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn create(path: PathBuf) -> Result<JournalFile, LiveError> {
        let file = File::create_new(&path).map_err(LiveError::file("write", &path))?;
        Ok(JournalFile { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Journal<Entry> for JournalFile {
    type Error = LiveError;

    /// Adds a line. It is with the system when this returns: it survives the agent, if not the
    /// computer. (What decides who runs a guest is in the ledger, and on disk.)
    fn write(&mut self, entry: &Entry) -> Result<(), LiveError> {
        let failed = || LiveError::file("write", &self.path);
        let mut text = serde_json::to_vec(entry).map_err(std::io::Error::from).map_err(failed())?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed())
    }
}

/// Reads a journal. A last line that was cut off is left out: so it ends when an agent is killed.
///
/// # Errors
///
/// [`LiveError`] where it cannot be read, or is no journal.
pub fn read(path: &Path) -> Result<Vec<Entry>, LiveError> {
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

/// Tells a fresh controller what that of the journal at `path` was told; see [`algorithms::journal::replay`].
///
/// # Errors
///
/// [`LiveError::Replay`] where it does something else than the journal says, or that is of another version.
pub fn replay(path: &Path, entries: &[Entry]) -> Result<Replayed<MigrationController>, LiveError> {
    let replayed = journal::replay::<MigrationController>(entries);
    replayed.map_err(|source| LiveError::Replay { path: path.display().to_string(), source })
}
