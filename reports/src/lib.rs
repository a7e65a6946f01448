//! placeholder
pub mod compare;
mod error;
pub mod export;
pub mod frames;
mod human;
pub mod json;
mod words;
pub use error::ReportError;
