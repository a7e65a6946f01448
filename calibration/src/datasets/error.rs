//! What can be wrong with a file of measurements.

use thiserror::Error;

/// A file that cannot be used, with the place in it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// Larger than what is read.
    #[error("{file}: {bytes} bytes are more than the {} that are read; split the file", super::MOST_BYTES)]
    TooLarge {
        /// Its name.
        file: String,
        /// Its size.
        bytes: usize,
    },
    /// More rows than what is read.
    #[error("{file}: more than {} rows; split the file", super::MOST_ROWS)]
    TooManyRows {
        /// Its name.
        file: String,
    },
    /// Not a CSV, or not a JSON.
    #[error("{file}:{line}:{column}: {what}")]
    Syntax {
        /// Its name.
        file: String,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What the reader said.
        what: String,
    },
    /// A value that is not what its column holds.
    #[error("{file}:{line}:{column}: `{name}` is `{value}`, where {expected} was expected")]
    Value {
        /// The file's name.
        file: String,
        /// From 1.
        line: u64,
        /// From 1, in characters.
        column: u64,
        /// The column's name.
        name: String,
        /// What stands there.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// Rows that do not fit each other.
    #[error("{file}:{line}:1: {what}")]
    Row {
        /// The file's name.
        file: String,
        /// From 1.
        line: u64,
        /// What does not fit, and what would.
        what: String,
    },
}

impl DataError {
    /// From what `serde_json` said.
    pub(crate) fn json(file: &str, error: &serde_json::Error) -> DataError {
        DataError::Syntax {
            file: file.to_string(),
            line: error.line() as u64,
            column: error.column() as u64,
            what: error.to_string(),
        }
    }
}
