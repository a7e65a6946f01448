//! A failover cluster: its settings, its roles, and what is done to its nodes.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::Span;

use crate::read::at::At;

/// Settings of the failover cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "settings in brackets, such as (move_type_threshold: 1000, enforced_anti_affinity: true)"
)]
#[schemars(rename = "Cluster")]
pub(crate) struct ClusterFile {
    /// MoveTypeThreshold: roles of this priority and above are moved live by drains and failbacks, those
    /// below by quick migration; 2000 by default, so that low priority goes quick.
    pub(crate) move_type_threshold: Option<u32>,
    /// ClusterEnforcedAntiAffinity: whether roles of one anti-affinity class never share a host; false by
    /// default, when they do so only where no other host can take them.
    pub(crate) enforced_anti_affinity: Option<bool>,
    /// The cluster's clock when the run begins, such as "22:30"; midnight by default. Failback windows
    /// go by it.
    pub(crate) begins_at: Option<At<String>>,
    /// After so long without a heartbeat a node counts as dead, and its roles are started elsewhere; 10 s by
    /// default.
    pub(crate) failover_after: Option<Span>,
    /// How long a guest takes to shut down; 30 s by default.
    pub(crate) shut_down: Option<Span>,
    /// How long a guest takes from being started until it serves; 60 s by default.
    pub(crate) boot: Option<Span>,
}

/// What makes a virtual machine a clustered role. `()` is one with all defaults.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a role in brackets, such as (priority: High, anti_affinity: [\"web\"])"
)]
#[schemars(rename = "Role")]
pub(crate) struct RoleFile {
    /// `High`, `Medium` (by default), `Low` or `NoAutoStart`.
    pub(crate) priority: Option<PriorityFile>,
    /// Hosts that may own it; all by default.
    pub(crate) possible_owners: Option<At<Vec<At<String>>>>,
    /// Hosts that it prefers, the best first; none by default.
    pub(crate) preferred_owners: Option<Vec<At<String>>>,
    /// AntiAffinityClassNames: it keeps away from roles that have one of these.
    pub(crate) anti_affinity: Option<Vec<String>>,
    /// What becomes of it when it has to go offline; `Save` by default.
    pub(crate) offline_action: Option<OfflineActionFile>,
    /// When it goes back by policy: `Prevent` (by default), `Allow`, or `Window(from: 22, to: 6)`.
    pub(crate) failback: Option<At<AutoFailbackFile>>,
}

/// The priority of a role.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Priority")]
pub(crate) enum PriorityFile {
    /// 3000.
    High,
    /// 2000.
    Medium,
    /// 1000.
    Low,
    /// 0.
    NoAutoStart,
}

/// What becomes of a role that has to go offline.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "OfflineAction")]
pub(crate) enum OfflineActionFile {
    /// Its state is written to its storage.
    Save,
    /// Its operating system shuts down.
    ShutDown,
    /// As if the power failed.
    TurnOff,
}

/// When a role goes back by policy.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AutoFailback")]
pub(crate) enum AutoFailbackFile {
    /// Never.
    Prevent,
    /// As soon as a preferred owner is back.
    Allow,
    /// Then, but only from this hour of the cluster's clock to that one: Window(from: 22, to: 6).
    Window {
        /// The first hour, 0 to 23.
        from: u32,
        /// The hour at which it ends, 0 to 23.
        to: u32,
    },
}

/// A clustered role, or several, to move: Move-ClusterVirtualMachineRole.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a move of a role, such as MoveRole(vm: \"web01\", to: \"node02\", how: Quick)"
)]
#[schemars(rename = "MoveRole")]
pub(crate) struct MoveRoleFile {
    /// Which: a name, or a pattern such as "web*".
    pub(crate) vm: At<String>,
    /// The host to move to; where the cluster would place it by default.
    pub(crate) to: Option<At<String>>,
    /// -MigrationType; `Live` by default.
    pub(crate) how: Option<HowFile>,
}

/// How a role is moved.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "How")]
pub(crate) enum HowFile {
    /// While it runs.
    Live,
    /// Saved, moved, restored.
    Quick,
    /// Shut down, moved, started.
    ShutDown,
    /// Turned off, moved, started.
    TurnOff,
}

/// A node, or several at once, to drain: Suspend-ClusterNode -Drain.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a drain of a node, such as DrainNode(node: \"node01\", force: true)"
)]
#[schemars(rename = "DrainNode")]
pub(crate) struct DrainNodeFile {
    /// Which: a name, or a pattern for several at the same time.
    pub(crate) node: At<String>,
    /// -ForceDrain: what cannot be moved is taken offline; false by default.
    pub(crate) force: Option<bool>,
    /// -TargetNode: the only host to move to; any by default.
    pub(crate) to: Option<At<String>>,
}

/// A node, or several at once, to resume: Resume-ClusterNode.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a node to resume, such as Resume(node: \"node01\", failback: Immediate)"
)]
#[schemars(rename = "Resume")]
pub(crate) struct ResumeFile {
    /// Which: a name, or a pattern for several at the same time.
    pub(crate) node: At<String>,
    /// What becomes of the roles that were drained from it; `Immediate` by default.
    pub(crate) failback: Option<FailbackFile>,
}

/// Nodes to drain, service and resume, one after the other.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "nodes to maintain, such as Maintain(nodes: \"node{01..16}\", time: \"20 min\")"
)]
#[schemars(rename = "Maintain")]
pub(crate) struct MaintainFile {
    /// Which, in order.
    pub(crate) nodes: At<String>,
    /// How long each is serviced.
    pub(crate) time: Span,
    /// -ForceDrain: what cannot be moved is taken offline; false by default, when a node that cannot be
    /// drained is resumed without having been serviced.
    pub(crate) force: Option<bool>,
    /// What becomes of the roles that were drained from a node; `Immediate` by default.
    pub(crate) failback: Option<FailbackFile>,
}

/// What becomes of the roles that were drained from a node when it is resumed.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Failback")]
pub(crate) enum FailbackFile {
    /// They go back at once.
    Immediate,
    /// Each as its own policy says.
    Policy,
    /// They stay where they are.
    NoFailback,
}
