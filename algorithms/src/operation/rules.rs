//! What an operator wants of an operation, beside the plan.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim_core::Span;

use crate::drain_plan::Expected;
use crate::ids::Name;

/// However short a migration is planned to be, it is late only by more than this.
const LATE_AT_LEAST: Span = Span::from_secs(1);

/// How a plan is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// How often a migration that failed is tried again.
    pub retries: u32,
    /// How long after it failed.
    pub retry_after: Span,
    /// What a migration may take beyond its planned 95th percentile, as a share of it.
    pub tolerance: f64,
    /// What to do when one takes longer.
    pub deviation: Deviation,
    /// Which guests move only when the operator says so.
    pub gates: Gates,
}

/// What to do when a migration takes longer than planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deviation {
    /// Note it, and go on.
    GoOn,
    /// Start nothing more; what is under way goes on.
    Stop,
    /// Ask whether to go on.
    Ask,
    /// Start nothing more, and give up what is under way.
    Abort,
}

/// Which guests move only when the operator says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gates {
    /// None.
    None,
    /// These.
    Of(BTreeSet<Name>),
    /// All.
    All,
}

impl Default for Rules {
    /// One retry after ten seconds, and a stop when a migration takes a quarter longer than planned at p95.
    fn default() -> Rules {
        Rules {
            retries: 1,
            retry_after: Span::from_secs(10),
            tolerance: 0.25,
            deviation: Deviation::Stop,
            gates: Gates::None,
        }
    }
}

impl Rules {
    /// How long a migration may take that is expected to take so long.
    pub fn longest(&self, expected: Expected) -> Span {
        let allowed = Span::from_secs_f64(expected.p95 * (1.0 + self.tolerance.max(0.0)));
        allowed.max(Span::from_secs_f64(expected.p95) + LATE_AT_LEAST)
    }
}

impl Gates {
    /// Whether this guest moves only when the operator says so.
    pub fn holds(&self, vm: &Name) -> bool {
        match self {
            Gates::None => false,
            Gates::Of(guests) => guests.contains(vm),
            Gates::All => true,
        }
    }
}
