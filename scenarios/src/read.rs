//! Reading RON so that nothing forgets where it stood.
//!
//! ```text
//!   text ──parse──▶ tree of nodes, each with its span ──serde──▶ types of `file`, with At<T>
//! ```
//!
//! The `ron` crate's own deserializer reports one position for an error and none for a value that
//! was read well, and loses the names of variants where a preset's name would do as well. The
//! errors that matter to an operator are the later ones (an unknown host, a guest that does not
//! fit), so here the skeleton — brackets, commas, names, comments — is read into a [`tree`] with
//! spans, in bytes. What a scalar means stays `ron`'s decision: numbers and strings are given to it.
//! A test holds both readers to the same texts.

pub(crate) mod at;
pub(crate) mod deserializer;
pub(crate) mod enums;
pub(crate) mod error;
pub(crate) mod parser;
pub(crate) mod scanner;
pub(crate) mod tree;
