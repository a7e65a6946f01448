//! Why a value is not of the form that was expected.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::tree::Stretch;

/// Why a node is not what was expected, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadError {
    pub(crate) problem: ReadProblem,
    pub(crate) stretch: Option<Stretch>,
}

/// Kinds of mistakes, with what is needed to help.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReadProblem {
    /// A reason given by the type itself.
    Custom(String),
    WrongType {
        found: String,
        expected: String,
    },
    UnknownField {
        name: String,
        allowed: &'static [&'static str],
    },
    UnknownVariant {
        name: String,
        allowed: &'static [&'static str],
    },
    MissingField(&'static str),
    DuplicateField(String),
}

impl ReadError {
    pub(crate) fn new(problem: ReadProblem) -> ReadError {
        ReadError { problem, stretch: None }
    }

    /// Says where, unless something further inside has said it more exactly.
    pub(crate) fn at(mut self, stretch: Stretch) -> ReadError {
        self.stretch.get_or_insert(stretch);
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            ReadProblem::Custom(reason) => f.write_str(reason),
            ReadProblem::WrongType { found, expected } => write!(f, "found {found}, expected {expected}"),
            ReadProblem::UnknownField { name, .. } => write!(f, "there is no field `{name}`"),
            ReadProblem::UnknownVariant { name, .. } => write!(f, "`{name}` is not known"),
            ReadProblem::MissingField(name) => write!(f, "`{name}` is missing"),
            ReadProblem::DuplicateField(name) => write!(f, "`{name}` is given twice"),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(reason: T) -> ReadError {
        ReadError::new(ReadProblem::Custom(reason.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> ReadError {
        ReadError::new(ReadProblem::WrongType { found: in_words(found), expected: expected.to_string() })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> ReadError {
        de::Error::invalid_type(found, expected)
    }

    fn unknown_field(name: &str, allowed: &'static [&'static str]) -> ReadError {
        let name = name.to_string();
        ReadError::new(ReadProblem::UnknownField { name, allowed })
    }

    fn unknown_variant(name: &str, allowed: &'static [&'static str]) -> ReadError {
        let name = name.to_string();
        ReadError::new(ReadProblem::UnknownVariant { name, allowed })
    }

    fn missing_field(name: &'static str) -> ReadError {
        ReadError::new(ReadProblem::MissingField(name))
    }

    fn duplicate_field(name: &'static str) -> ReadError {
        ReadError::new(ReadProblem::DuplicateField(name.to_string()))
    }
}

/// What was found, for people.
fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number `{value}`"),
        Unexpected::Signed(value) => format!("the number `{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Unit => "`()`".to_string(),
        Unexpected::Option => "`None`".to_string(),
        Unexpected::Seq => "a list".to_string(),
        Unexpected::Map => "something with fields".to_string(),
        Unexpected::Enum => "a name".to_string(),
        other => other.to_string(),
    }
}
