//! Discrete-event simulation core.

mod quantity;
mod time;
mod units;

pub use quantity::QuantityError;
pub use time::{SimTime, Span};
pub use units::{Bandwidth, ByteRate, Bytes, PAGE_SIZE, Pages};
