//! What an operation is told, and what it wants done.

use serde::{Deserialize, Serialize};

use crate::ids::MigrationId;
use crate::orchestrator::MoveOrder;
use crate::records::Outcome;

/// What the operation is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Begin.
    Begin,
    /// The time that it waited for has come.
    Tick,
    /// A migration has ended.
    Ended {
        /// Which.
        migration: MigrationId,
        /// How.
        outcome: Outcome,
        /// Why, in a few words.
        reason: String,
    },
    /// It is not known where a guest runs: nothing more is started until somebody has looked.
    InDoubt {
        /// Which migration.
        migration: MigrationId,
        /// Why.
        reason: String,
    },
    /// A question is answered.
    Answered {
        /// To go on.
        yes: bool,
    },
    /// The operator wants it to end: nothing more is started, and what is under way is given up.
    Interrupted,
}

/// What the operation wants done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Start a migration; its end comes back as [`Input::Ended`].
    Start(Attempt),
    /// Give up a migration; its end comes back all the same.
    Cancel {
        /// Which.
        migration: MigrationId,
        /// Why.
        reason: String,
    },
    /// Ask the operator; the answer comes back as [`Input::Answered`]. One question at a time.
    Ask {
        /// In a sentence.
        question: String,
    },
}

/// A migration to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What is moved, from where to where; the same for every attempt.
    pub order: Box<MoveOrder>,
    /// Which attempt, from 1. Before a later one, what the one before has left open between the two hosts is brought to
    /// its end; where that finds the guest at its destination, this is [`Input::Ended`] well.
    pub attempt: u32,
}

impl Attempt {
    /// Returns its migration's number.
    pub fn migration(&self) -> MigrationId {
        self.order.assignment.migration
    }
}

/// How the operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// Every planned guest is at its destination.
    AllMoved,
    /// Some are not; what was not started stands in the records.
    Partly,
}
