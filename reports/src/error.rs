//! What can go wrong when results are written, and what to do about it.

use std::path::PathBuf;

use polars::error::PolarsError;

/// Why a frame, figure, page or file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The operating system refused.
    #[error(
        "cannot write `{}`: choose a directory that can be written and has room (`--out DIR`)",
        path.display()
    )]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A frame could not be encoded into its file.
    #[error("cannot encode `{}`: check that its disk has room, or ask for `--format json` instead", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What polars said.
        source: PolarsError,
    },
    /// A file of ours could not be read again.
    #[error("cannot read `{}`: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system or polars said.
        message: String,
    },
    /// A frame could not be put together from the records.
    #[error("cannot build the frame of {frame}: a mistake in migtwin, please report it with the scenario")]
    Frame {
        /// Which frame.
        frame: &'static str,
        /// What polars said.
        source: PolarsError,
    },
    /// A figure could not be drawn.
    #[error("cannot draw {figure} ({message}): a mistake in migtwin, please report it with the scenario")]
    Figure {
        /// Which figure.
        figure: &'static str,
        /// What plotters said.
        message: String,
    },
    /// A text was to be read as records and is none.
    #[error(
        "not the records of a run, as `--out DIR` leaves in records.json and `--format json` prints: {what}"
    )]
    NotRecords {
        /// What is wrong, and where.
        what: String,
    },
    /// Records of a version that is not read any more.
    #[error(
        "records of version {found}, made by an older migtwin, and this one reads version {}: run the command that made them again",
        crate::json::SCHEMA
    )]
    OlderRecords {
        /// Their version.
        found: u32,
    },
    /// Records of a version that is not known yet.
    #[error(
        "records of version {found}, made by a newer migtwin, and this one reads version {}: read them with that one",
        crate::json::SCHEMA
    )]
    NewerRecords {
        /// Their version.
        found: u32,
    },
    /// The records could not be written as JSON.
    #[error("cannot write the records as JSON: a mistake in migtwin, please report it with the scenario")]
    Json(#[from] serde_json::Error),
}
