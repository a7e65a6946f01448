//! From measured migrations to the parameters of the model, and back to predictions.
//!
//! ```text
//!  files ──datasets──▶ measured runs ──experiments──▶ cluster models ──world──▶ predicted runs
//!                            │                             ▲                        │
//!                            └────────── fit ◀─────────────┴──── differences ◀──────┘
//!                                         │
//!                                       preset ──▶ predict: runs that the fit did not see
//! ```
//!
//! - [`datasets`]: what others measured, read from the formats in which they published it.
//! - [`experiments`]: how each kind of data comes about: a cluster of [`models`] with a few
//!   unknown, physically meaningful parameters. The predictions are those of the simulator.
//! - [`fit`]: least squares with a robust loss; how sure each parameter is; which cannot be told apart.
//! - [`preset`]: what a fit found, as a file. [`predict`]: errors on runs, seen or not.
//! - [`validate`]: the published cases that the whole is held against.
//!
//! What this crate does not do: it reads no files itself (its callers hand it their text), and it
//! holds no regression beside the simulator: what recorded rounds show directly, guests' D(t), is read off by the
//! D(t) that the simulator has.

// What a fit finds is a file that runs read: it is made once, and not again on each platform.
#![allow(clippy::disallowed_methods, reason = "no result here is computed again by a run")]

pub mod datasets;
pub mod experiments;
pub mod fit;
pub mod predict;
pub mod preset;
pub mod validate;
