//! Migration algorithms as pure state machines, and the records that they leave.

pub mod ids;
pub mod records;
