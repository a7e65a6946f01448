//! The controller's part in deadlines.

use serde::{Deserialize, Serialize};
use sim_core::{SimTime, Span};

use super::{MigrationController, State};
use crate::machine::Refused;
use crate::records::Outcome;

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

impl MigrationController {
    pub(super) fn look_at_deadline(&mut self, now: SimTime) -> Result<(), Refused> {
        self.tick_loop(now)?;
        if self.look_at_connection(now) || now < self.deadline {
            return Ok(());
        }
        self.deadline = SimTime::MAX;
        if self.is_handed_over() {
            // Too late: without the source the guest would be lost.
            return Ok(());
        }
        match self.order.deadline.map(|deadline| deadline.action) {
            Some(DeadlineAction::ForcePause) if self.state == State::Copying => self.force_pause(now),
            Some(_) => {
                self.abort(now, Outcome::Cancelled, "not done at its deadline".into());
                Ok(())
            }
            None => Ok(()),
        }
    }
}
