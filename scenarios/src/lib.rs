//! RON scenario files in, checked models out.
//!
//! A *scenario* says what a cluster is (hosts, their network, virtual machines and how busy they
//! are), what is asked of it (a plan of moves and drains), and perhaps what others measured when
//! they did the same. This crate turns it into a [`ClusterModel`] that can be simulated, or into an
//! error that an operator understands at two in the morning.
//!
//! ```text
//!   file.ron ─┐                                                   ┌─▶ Scenario: one model for
//!   included ─┼─▶ read ──────▶ file ──────────▶ check ────────────┤   each alternative
//!   presets ──┘   tree with    fields, every    names found,      └─▶ ScenarioError: every problem,
//!                 places       value's place    numbers sensible      underlined where it stands
//! ```
//!
//! # The format
//!
//! The shortest scenario has hosts, virtual machines and a plan; everything else has a default
//! (Hyper-V, plain TCP, 10 GbE cards on one switch that is never the bottleneck):
//!
//! ```
//! let text = r#"(
//!     hosts: [(name: "node{01..16}", memory: "256 GiB")],
//!     vms: [
//!         (name: "web{001..160}", host: "*", memory: "8 GiB", workload: "web"),
//!         (name: "sql{01..16}", host: "*", memory: "64 GiB", workload: "database"),
//!     ],
//!     plan: [Drain("node01")],
//! )"#;
//! let scenario = scenarios::parse(text, "rack.ron").map_err(miette::Report::new)?;
//! let model = &scenario.runs[0].model;
//! assert_eq!((model.hosts.len(), model.guests.len()), (16, 176));
//! # Ok::<(), miette::Report>(())
//! ```
//!
//! - Quantities are text with their unit: `"8 GiB"`, `"10 Gbit/s"`, `"300 ms"`. Bits and bytes differ.
//! - `node{01..16}` stands for sixteen names; where names are referred to, `web*` stands for all
//!   that match. Several guests on several hosts are dealt out in turn.
//! - What is well known has a name: `nic: "25GbE"`, `hypervisor: "qemu-7.2"`, `workload: "web"`. See
//!   [`presets`], which also says where each one's numbers come from. A preset can be changed in part:
//!   `hypervisor: (preset: "qemu-7.2", policy: Qemu(downtime_limit: "1 s"))`.
//! - `workloads: {"batch": Uniform(rate: "80 MB/s", working_set: "25 %")}` names a scenario's own.
//! - `plan` is a list of steps, each begun when the one before has ended: `Drain("node01")`,
//!   `Move(vm: "web*", to: "node02")`, `Together([…])` for several at once — there, `after: ["vm2"]`
//!   orders single moves — and `Phase(not_before: "1 h", tasks: […])`.
//! - `storage: [(name: "san", shared: ["*"]), (name: "d{1..2}", on: "node{1..2}", throughput: "1 GB/s")]`
//!   says where disks can be, and a guest's `disks: [(on: "san", size: "127 GiB", used: "40 GiB")]` are on
//!   it. `Move(…, storage: Default)`, and `Drain(host: "node1", storage: Default)`, take them along where they must be, `storage: "d2"` to where it is said;
//!   `MoveStorage(vm: "vm1", to: "san")` moves them alone. A guest without disks moves without regard to any.
//! - `role: (priority: High, possible_owners: ["node1", "node2"], anti_affinity: ["web"])` makes a guest a clustered
//!   role. `MoveRole(vm: "web1", how: Quick)`, `DrainNode(node: "node1", force: true)`, `Resume(node: "node1",
//!   failback: Policy)` and `Maintain(nodes: "node*", time: "20 min")` are the cluster's steps; `cluster: (…)` has
//!   its settings.
//! - `include: ["common.ron"]` takes every field that the file does not give from another.
//! - `alternatives: {"25 GbE": (…), …}` are variants, each with the fields that it replaces.
//! - `hypervisor: (preset: "qemu-7.2", live: (auto_converge: true, multifd: 4))` sets levers of real QEMU machines,
//!   on which `migtwin live qemu` runs the same scenario.
//! - `measured` carries values that others measured, with their source, to be compared with.
//!
//! [`schema`] describes every field. The files in `scenarios/library` are commented for students.
//!
//! # Errors
//!
//! A [`ScenarioError`] is a [`miette::Diagnostic`]. Its message begins with the path of the value in
//! question, it underlines the value — in the file where it stands, which may be an included one —
//! and says what would be right:
//!
//! ```
//! let error = scenarios::parse(r#"(hosts: [(name: "node1", memroy: "64 GiB")])"#, "a.ron").unwrap_err();
//! assert_eq!(error.to_string(), "hosts[0].memroy: there is no field `memroy`");
//! ```
//!
//! # What is promised
//!
//! A model that [`load`] or [`parse`] returns can be simulated: references are right, numbers are
//! finite and in range, guests fit on the hosts where they start, every move has a path. No text
//! makes this crate panic, overflow the stack, or take more than bounded time and memory.
//!
//! What this crate does not do: it runs nothing, and it does not decide whether a plan is wise.
//!
//! [`ClusterModel`]: models::cluster::ClusterModel

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
use algorithms::levers::QemuLevers;
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
    /// What is set on real QEMU machines; `None` where the hypervisor's rules are not QEMU's.
    pub qemu: Option<QemuLevers>,
}
