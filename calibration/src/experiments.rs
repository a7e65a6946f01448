//! How each kind of measurement comes about: a cluster with a few unknown parameters, and a plan.
//!
//! Every experiment builds a [`models::cluster::ClusterModel`] from what the data say was done, and from
//! values for what they do not say, and lets [`models::world`] run it. There is one file for each
//! kind, which says what its parameters mean and where its constants come from.

mod cluster;
mod drains;
mod guests;
mod logged;
mod plans;
mod recorded;

pub use drains::Drains;
pub use guests::Guests;
pub use logged::Logged;
pub use plans::Plans;
pub use recorded::Recorded;

use std::collections::BTreeMap;

use crate::datasets::Measurements;
use crate::fit::{Fitted, Problem, Shown};
use crate::preset::GuestCurve;

/// Known facts and values of parameters, by name: what a preset carries over.
pub type Values = BTreeMap<String, f64>;

/// What an experiment offers beside being fitted.
pub trait Experiment: Problem {
    /// The name under which a preset keeps it.
    fn kind(&self) -> &'static str;
    /// What it knows of the test bed that other data of it may not show, such as the speed of a node.
    fn facts(&self) -> Values {
        Values::new()
    }
    /// The guests' own D(t) as a preset keeps them, by what a fit found.
    fn guests(&self, _fitted: &Fitted) -> BTreeMap<String, GuestCurve> {
        BTreeMap::new()
    }
    /// What stands in the place of [`Problem::shown`] when runs are predicted that no fit saw: by the parameters' values and
    /// the guests that a preset keeps. Warnings say what it does not know.
    fn carried_over(&self, _values: &[f64], _guests: &BTreeMap<String, GuestCurve>) -> Shown {
        Shown::default()
    }
}

/// The experiments that there is data for. `facts` are those that presets carry over, by kind.
pub fn experiments(
    measurements: &Measurements,
    facts: &BTreeMap<String, Values>,
) -> Vec<Box<dyn Experiment>> {
    let known = |kind: &str| facts.get(kind).cloned().unwrap_or_default();
    let mut all: Vec<Box<dyn Experiment>> = Vec::new();
    if !measurements.plan_migrations.is_empty() {
        all.push(Box::new(Plans::new(measurements, &known(plans::KIND))));
    }
    if measurements.guest_runs.iter().any(|run| run.completed) {
        all.push(Box::new(Guests::new(measurements, &known(guests::KIND))));
    }
    if !measurements.drains.is_empty() {
        all.push(Box::new(Drains::new(measurements, &known(drains::KIND))));
    }
    if !measurements.logged.is_empty() {
        all.push(Box::new(Logged::new(measurements)));
    }
    if !measurements.recorded.is_empty() {
        all.push(Box::new(Recorded::new(measurements, &known(recorded::KIND))));
    }
    all
}
