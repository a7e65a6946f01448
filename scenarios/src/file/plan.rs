//! What is to be done, and what came of it elsewhere.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{Bytes, SimTime, Span};

use super::{
    DrainFile, DrainNodeFile, IncludeFile, MaintainFile, MoveRoleFile, MoveStorageFile, OrPreset, ResumeFile,
};
use crate::read::at::At;

/// A step of the plan.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Step")]
pub(crate) enum StepFile {
    /// Empty a host, or several at once: Drain("node01"), or Drain(host: "node01", storage: Default).
    Drain(At<DrainFile>),
    /// Move a guest, or several at once: Move(vm: "web01", to: "node02").
    Move(MoveFile),
    /// Move disks of a guest that stays: MoveStorage(vm: "web01", to: "nvme2").
    MoveStorage(MoveStorageFile),
    /// Move a clustered role: MoveRole(vm: "web01", how: Quick).
    MoveRole(MoveRoleFile),
    /// Pause a node of the cluster and move its roles elsewhere: DrainNode(node: "node01").
    DrainNode(DrainNodeFile),
    /// Let a node take roles again, and perhaps those back that were drained from it.
    Resume(ResumeFile),
    /// Drain, service and resume nodes one after the other: Maintain(nodes: "node*", time: "20 min").
    Maintain(MaintainFile),
    /// Several of these at the same time: Together([Drain("node01"), Move(vm: "db1")]).
    Together(Vec<At<TaskFile>>),
    /// The same, not before some point of the run.
    Phase(PhaseFile),
}

/// Something to do in a step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Task")]
pub(crate) enum TaskFile {
    /// Empty a host, or several at once.
    Drain(At<DrainFile>),
    /// Move a guest, or several at once.
    Move(MoveFile),
    /// Move disks of a guest that stays.
    MoveStorage(MoveStorageFile),
    /// Move a clustered role.
    MoveRole(MoveRoleFile),
    /// Pause a node of the cluster and move its roles elsewhere.
    DrainNode(DrainNodeFile),
    /// Let a node take roles again, and perhaps those back that were drained from it.
    Resume(ResumeFile),
    /// Drain, service and resume nodes one after the other.
    Maintain(MaintainFile),
}

/// Tasks that go on at the same time, not before some point of the run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a phase, such as Phase(not_before: \"1 h\", tasks: [Drain(\"node01\")])"
)]
#[schemars(rename = "Phase")]
pub(crate) struct PhaseFile {
    /// Time since the run began.
    pub(crate) not_before: Option<SimTime>,
    /// What to do.
    pub(crate) tasks: Vec<At<TaskFile>>,
}

/// A guest, or several, to move.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a move, such as Move(vm: \"web01\", to: \"node02\")")]
#[schemars(rename = "Move")]
pub(crate) struct MoveFile {
    /// Which: a name, or a pattern such as "web{01..20}" or "web*".
    pub(crate) vm: At<String>,
    /// The host to move to; by default the best place by `placement`.
    pub(crate) to: Option<At<String>>,
    /// What becomes of its disks: the name of the storage to take them to, or `Default`, or
    /// `Disks({…})`; by default they stay, and the destination must reach them.
    pub(crate) storage: Option<At<OrPreset<IncludeFile>>>,
    /// Not before this long after the step began.
    pub(crate) delay: Option<Span>,
    /// Guests whose moves in this step must have ended before.
    pub(crate) after: Option<At<Vec<At<String>>>>,
}

/// What others measured.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "measured values in brackets, such as (source: \"…\", values: [(makespan: \"38 s\")])"
)]
#[schemars(rename = "Measured")]
pub(crate) struct MeasuredFile {
    /// Where it was measured: paper, page, data set.
    pub(crate) source: At<String>,
    /// The values.
    pub(crate) values: Vec<At<MeasuredRow>>,
}

/// Measured values of the whole run, or of one guest's migration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "values in brackets, such as (vm: \"vm1\", total: \"38 s\") or (makespan: \"3 min\")"
)]
pub(crate) struct MeasuredRow {
    /// The guest; the whole run where there is none.
    pub(crate) vm: Option<At<String>>,
    /// The time that the whole plan took; only without `vm`.
    pub(crate) makespan: Option<At<Span>>,
    /// When the migration began, since the run began.
    pub(crate) started: Option<At<Span>>,
    /// The total time of the migration.
    pub(crate) total: Option<At<Span>>,
    /// The pause.
    pub(crate) blackout: Option<At<Span>>,
    /// Memory sent.
    pub(crate) memory_sent: Option<At<Bytes>>,
    /// Rounds, the stop-and-copy included.
    pub(crate) rounds: Option<At<u32>>,
    /// Whether something in this scenario was fitted to these values; false by default.
    pub(crate) calibrated: Option<bool>,
}
