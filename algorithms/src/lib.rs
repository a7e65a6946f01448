//! Migration algorithms as pure state machines, and the records that they leave.

pub mod closed_form;
pub mod controller;
pub mod ids;
pub mod machine;
pub mod measured;
pub mod orchestrator;
pub mod page_loop;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod records;
