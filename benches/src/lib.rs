//! Workloads that benchmarks and the oracle share, and what they cost.

pub mod cost;
pub mod workload;
