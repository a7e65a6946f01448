//! Workloads that benchmarks and the oracle share, the plain baselines that they are measured
//! against, and what a run costs.
//!
//! A time alone says little: it changes with the machine and with what else runs there. So each
//! workload is written once, over a trait, and run on ours and on a baseline side by side:
//!
//! | workload | on ours | on a baseline |
//! |---|---|---|
//! | [`hold`]: pop an event, schedule it again | [`sim_core::EventQueue`] | [`binary_heap`]: the standard library's |
//! | [`churn`]: a flow ends, another starts | [`sim_core::Fluid`] | [`filling`]: all rates from the definition |
//! | [`workload`]: whole migrations | the world, by `oracle` | SimGrid, by `peers/compare.sh` |
//!
//! And [`digest`]: whether runs still leave what they left before a change.

pub mod accuracy;
pub mod agents;
pub mod binary_heap;
pub mod churn;
pub mod cost;
pub mod digest;
pub mod filling;
pub mod hold;
pub mod workload;
