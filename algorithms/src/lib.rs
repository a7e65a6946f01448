//! Migration algorithms as pure state machines, and the records that they leave.

pub mod closed_form;
pub mod controller;
pub mod ids;
pub mod measured;
pub mod plan;
pub mod policy;
pub mod records;
