//! What can go wrong between us and QEMU.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Something between us and QEMU went wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QemuError {
    /// A program that is needed is not there.
    #[error("`{program}` cannot be run: {source}; on Debian: apt-get install {package}")]
    Missing {
        /// Its name.
        program: String,
        /// What to install.
        package: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program that we ran has failed.
    #[error("`{program}` failed: {words}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        words: String,
    },
    /// A file or socket of ours.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU answered a command with an error.
    #[error("QEMU ({who}) refused `{command}`: {words}")]
    Refused {
        /// Source or destination.
        who: String,
        /// The command.
        command: String,
        /// In its words.
        words: String,
    },
    /// QEMU did not answer in time.
    #[error("QEMU ({who}) did not answer `{command}` within {seconds} s")]
    Silent {
        /// Source or destination.
        who: String,
        /// The command.
        command: String,
        /// How long we waited.
        seconds: u64,
    },
    /// QEMU has gone, or speaks no QMP.
    #[error("QEMU ({who}) is gone: {words}")]
    Gone {
        /// Source or destination.
        who: String,
        /// How that was seen.
        words: String,
    },
    /// QEMU answered what we do not understand.
    #[error("QEMU ({who}) answered `{command}` with {answer}")]
    Unexpected {
        /// Source or destination.
        who: String,
        /// The command.
        command: String,
        /// What it answered.
        answer: String,
    },
    /// The test guest did not come up, or did not do what it should.
    #[error("the guest {0}")]
    Guest(String),
    /// A scenario asks for what cannot be done with real machines.
    #[error("{0}")]
    Scenario(String),
    /// What is to be kept on disk could not be.
    #[error("{0}")]
    Kept(#[from] crate::error::LiveError),
    /// Somebody else has done to a machine what a migration cannot go on with.
    #[error("{0}")]
    Others(String),
}
