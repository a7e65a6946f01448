//! What others measured, carried in a scenario beside what we plan.
//!
//! A measured value names its subject (the whole run, or one guest's migration), the quantity and
//! where it comes from. Comparing them with the records is the work of `reports`.

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// The measured values of one real run (or the mean of several), with their source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Paper, page or data set, so that a reader can look it up.
    pub source: String,
    /// The values.
    pub values: Vec<MeasuredValue>,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredValue {
    /// Of what.
    pub subject: Subject,
    /// Which quantity.
    pub quantity: Quantity,
    /// How much: seconds, bytes or a count, as [`Quantity::unit`] says.
    pub value: f64,
    /// Whether a parameter of the scenario was fitted to this very value; its error then proves nothing.
    pub calibrated: bool,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The run as a whole.
    Run,
    /// The (last) migration of the guest of this name.
    Vm(Name),
}

/// Which quantity was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A whole plan's time, in seconds; of the run.
    Makespan,
    /// When the migration began, in seconds since the run began.
    Started,
    /// Total migration time in seconds.
    Total,
    /// The pause, in seconds.
    Blackout,
    /// Memory sent, in bytes.
    MemoryBytesSent,
    /// Disk content written at the destination, copied and mirrored, in bytes.
    StorageBytesSent,
    /// Rounds, the stop-and-copy included.
    Rounds,
}

impl Quantity {
    /// The unit of a value of this quantity: `s`, `B`, or empty for counts.
    pub const fn unit(self) -> &'static str {
        match self {
            Quantity::Makespan | Quantity::Started | Quantity::Total | Quantity::Blackout => "s",
            Quantity::MemoryBytesSent | Quantity::StorageBytesSent => "B",
            Quantity::Rounds => "",
        }
    }
}
