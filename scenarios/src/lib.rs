//! RON scenario files in, checked model out.

mod check;
mod error;
mod file;
mod load;
mod names;
mod nearest;
mod presets;
mod read;
mod schema;
mod source;

use algorithms::ids::Name;
use algorithms::measured::Measured;
use models::cluster::ClusterModel;

pub use error::ScenarioError;
pub use load::{load, parse};
pub use presets::{Preset, PresetKind, presets};
pub use schema::schema;

/// A scenario, checked: it can be run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name: as the file says, or the file's own.
    pub name: Name,
    /// What it shows, for people.
    pub description: Option<String>,
    /// Seed of all chance.
    pub seed: u64,
    /// What to run: one run, or one for each alternative, in the order of the file.
    pub runs: Vec<ScenarioRun>,
}

/// One run of a scenario.
#[derive(Debug, Clone)]
pub struct ScenarioRun {
    /// The alternative's name; `None` where the scenario has no alternatives.
    pub alternative: Option<Name>,
    /// What to simulate.
    pub model: ClusterModel,
    /// What others measured, to compare with.
    pub measured: Vec<Measured>,
}
