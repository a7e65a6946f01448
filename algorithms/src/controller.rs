//! The controller of one migration.

use serde::{Deserialize, Serialize};
use sim_core::Span;

/// A limit on a migration's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Since the migration started.
    pub after: Span,
    /// What then.
    pub action: DeadlineAction,
}

/// What to do when a migration's deadline has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadlineAction {
    /// Give up; the guest goes on at the source.
    Cancel,
    /// Pause the guest at the end of the round, and send the rest.
    ForcePause,
}
