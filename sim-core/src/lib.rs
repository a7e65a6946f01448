//! Discrete-event simulation core.

mod fluid;
mod heap;
mod meter;
mod quantity;
mod queue;
mod random;
mod replicate;
mod time;
mod units;

pub use fluid::{ActivityId, Demand, Fluid, ResourceId};
pub use meter::{MAX_INTERVALS, Meter};
pub use quantity::QuantityError;
pub use queue::{EventKey, EventQueue};
pub use random::Streams;
pub use replicate::replicate;
pub use time::{SimTime, Span};
pub use units::{Bandwidth, ByteRate, Bytes, PAGE_SIZE, Pages};
