//! How to migrate virtual machines: pure state machines, and the records that they leave.
//!
//! Nothing here has a clock, a thread, a socket or a queue. A machine is told what happened and when
//! (`handle`), and says what to do (`poll`); whether the host behind its driver is simulated or real,
//! it cannot tell. See [`machine`] for the contract.
//!
//! ```text
//!  plan ──▶ orchestrator ── which, when, where ──▶ controller ── rounds ──▶ page loop
//!             │ planner: the best destination        │                        │ policy: when to stop
//!             └──────────── records: migrations, rounds, events ◀─────────────┘
//! ```
//!
//! - [`plan`]: what is asked for; [`orchestrator`]: order, limits, destinations; [`planner`]: where
//!   a guest can go; [`preflight`]: whether it may, and if not, why and what to do.
//! - [`controller`]: one migration from preparation to clean-up, deadlines and giving up.
//! - [`failover`]: clustered roles, their owners and priorities; [`quick_migration`]: a role is saved, moved,
//!   restored.
//! - [`journal`]: what a machine was told and wanted, kept and replayed.
//! - [`page_loop`]: the rounds of pre-copy; [`policy`]: one file for each hypervisor's rules.
//! - [`hypervisor_loop`]: the same for a hypervisor whose page loop is its own, such as QEMU; [`levers`]:
//!   what can be set there.
//! - [`storage_mirror`]: disks copied while the guest writes to them.
//! - [`drain_plan`]: what draining a host will do, as an artifact that can be kept and carried out.
//! - [`operation`]: such a plan carried out: gates, retries, what to do when it takes longer than planned.
//! - [`handover`]: from one host to another so that there is exactly one guest, whatever breaks.
//! - [`failures`]: what can break on the way; [`failures::catalogue`]: the events that are logged.
//! - [`records`]: what every run leaves, planned or actual; [`measured`]: what others measured.
//! - [`closed_form`]: the literature's formulas, to stand beside both.
//!
//! All machines are `Clone + Serialize`: a migration under way can be stored, or forked into many
//! futures.

pub mod closed_form;
pub mod controller;
pub mod drain_plan;
pub mod failover;
pub mod failures;
pub mod handover;
pub mod hypervisor_loop;
pub mod ids;
pub mod journal;
pub mod levers;
pub mod machine;
pub mod measured;
pub mod operation;
pub mod orchestrator;
pub mod page_loop;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod preflight;
pub mod quick_migration;
pub mod records;
pub mod storage_mirror;
