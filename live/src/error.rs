//! What can go wrong on real hosts.

use std::io;
use std::path::Path;

use algorithms::journal::NotReplayed;
use algorithms::machine::Refused;
use thiserror::Error;

use crate::protocol::ProtocolError;

/// Why something could not be done on a real host.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The operating system said no.
    #[error("cannot {what}: {source}")]
    System {
        /// What was to be done, so that "cannot" can stand before it.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other side said what this version does not understand.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Certificates or keys are not as they should be.
    #[error("cannot {what}: {reason}; `migtwin live identity` makes certificates that fit together")]
    Identity {
        /// What was to be done.
        what: String,
        /// What stands against it.
        reason: String,
    },
    /// An agent was asked for what it does not do.
    #[error("{agent} refuses: {reason}")]
    Declined {
        /// The agent's name or address.
        agent: String,
        /// Why, in its words.
        reason: String,
    },
    /// There is no space left for disks.
    #[error("storage `{storage}` is full: {reason}; make room there, or move to another")]
    Full {
        /// The storage location.
        storage: String,
        /// What shows it.
        reason: String,
    },
    /// What is stored on disk cannot be read back.
    #[error("{path} cannot be understood (line {line}): {reason}")]
    Stored {
        /// The file.
        path: String,
        /// The line, from 1; 1 where the file is one value.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A side of a hand-over was to take a step that its phase does not allow.
    #[error(transparent)]
    HandOver(#[from] Refused),
    /// A journal does not fit the machine that it is told to.
    #[error("{path}: {source}")]
    Replay {
        /// The journal.
        path: String,
        /// In what.
        source: NotReplayed,
    },
    /// The guest was handed over, and whether the destination runs it is not known.
    #[error("{guest} stands still until it is known where it runs: {reason}; run `migtwin live recover`")]
    InDoubt {
        /// The guest.
        guest: String,
        /// Why it is not known.
        reason: String,
    },
    /// What is asked for needs something that this machine does not have.
    #[error("{what} needs {needed}")]
    Absent {
        /// What was asked for.
        what: String,
        /// What it needs, and where that comes from.
        needed: String,
    },
}

impl LiveError {
    /// For `map_err`: the error of a system call that was to do `what`.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> LiveError {
        move |source| LiveError::System { what: what.into(), source }
    }

    /// For `map_err`: a file that could not be read or written.
    pub fn file(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> LiveError {
        LiveError::system(format!("{verb} {}", path.display()))
    }
}
