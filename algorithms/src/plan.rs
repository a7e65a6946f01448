//! A plan: which guests move where, in phases that follow one another.
//!
//! A plan says what was asked for. Order, limits and the choice of destinations are the business of
//! the [`orchestrator`](crate::orchestrator) that carries it out.

use serde::{Deserialize, Serialize};
use sim_core::{SimTime, Span};

use crate::failover::OfflineAction;
use crate::ids::{HostId, StorageId, VmId};

/// Phases, each begun when the one before has ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In order.
    pub phases: Vec<Phase>,
}

/// Tasks that go on at the same time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Phase {
    /// Not before this point of the run; at once where `None`.
    pub not_before: Option<SimTime>,
    /// Single moves.
    pub moves: Vec<Move>,
    /// Hosts to empty, all their guests at once.
    pub drains: Vec<HostId>,
    /// Of these, the hosts whose guests take along the disks that their destination does not reach
    /// ([`StorageMove::Default`]); disks of all others stay ([`StorageMove::Stays`]), and their guests where the
    /// disks are not reached.
    #[serde(default)]
    pub disks_along: Vec<HostId>,
    /// Clustered roles that the cluster is told to move.
    pub roles: Vec<RoleMove>,
    /// What is done to nodes of the cluster, each beside the others.
    pub nodes: Vec<NodeTask>,
}

impl Phase {
    /// What becomes of disks of a guest that is drained from `host`.
    pub fn storage_of_drain(&self, host: HostId) -> StorageMove {
        if self.disks_along.contains(&host) { StorageMove::Default } else { StorageMove::Stays }
    }
}

/// One clustered role to move: `Move-ClusterVirtualMachineRole`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleMove {
    /// Which.
    pub vm: VmId,
    /// Where to; where the cluster would place it if `None`.
    pub destination: Option<HostId>,
    /// How: `-MigrationType`.
    pub how: RoleMoveType,
}

/// How a role is moved: `-MigrationType` of `Move-ClusterVirtualMachineRole`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RoleMoveType {
    /// While it runs.
    #[default]
    Live,
    /// Taken offline in this way, its ownership moved, and brought online again; to save it is what is
    /// called quick migration.
    Offline(OfflineAction),
}

/// What is done to nodes of the cluster, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTask {
    /// In order.
    pub nodes: Vec<HostId>,
    /// To each.
    pub work: NodeWork,
}

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeWork {
    /// `Suspend-ClusterNode -Drain`: it is paused, and its roles move elsewhere.
    Drain(DrainOptions),
    /// `Resume-ClusterNode`: it takes roles again, and those that were drained from it may go back.
    Resume(Failback),
    /// Drained, serviced for a time, and resumed; one that cannot be drained is not serviced.
    Maintain {
        /// How it is drained.
        drain: DrainOptions,
        /// How long it is serviced.
        time: Span,
        /// What becomes of its roles then.
        failback: Failback,
    },
}

/// How a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DrainOptions {
    /// What becomes of roles that cannot be moved.
    pub force: Force,
    /// `-TargetNode`: the only host that they move to; any where `None`.
    pub target: Option<HostId>,
}

/// What a drain does with roles that it cannot move: `-ForceDrain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Force {
    /// They stay, and the drain has failed.
    #[default]
    Off,
    /// They are taken offline by their offline action, and moved to another node as failed roles.
    On,
}

/// What becomes of the roles that were drained from a node when it is resumed: `-Failback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Failback {
    /// They go back at once. The default: the cmdlet's reference says that drained roles "are returned"
    /// when a node is resumed.
    #[default]
    Immediate,
    /// Each as its own policy says.
    Policy,
    /// They stay where they are.
    NoFailback,
}

/// One guest to move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// Which.
    pub vm: VmId,
    /// Where to; the best place by the placement rule where `None`.
    pub destination: Option<HostId>,
    /// Not before this long after the phase began.
    pub delay: Span,
    /// Only when these moves (by their place in [`Phase::moves`]) have ended, well or badly.
    pub after: Vec<usize>,
    /// What becomes of its disks.
    pub storage: StorageMove,
}

/// What becomes of a guest's disks when it moves. A guest without disks moves the same in every case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StorageMove {
    /// They stay where they are, which the destination must reach: `Move-VM` without
    /// `-IncludeStorage`.
    #[default]
    Stays,
    /// Those that the destination does not reach are copied to its default location; the others stay.
    Default,
    /// These go where it is said; all others stay: `Move-VM` with `-DestinationStoragePath` or `-Vhds`.
    To(Vec<DiskTarget>),
    /// These go where it is said, and the guest stays on its host: `Move-VMStorage`.
    Only(Vec<DiskTarget>),
}

/// Where one disk of a guest is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTarget {
    /// By its place among the guest's disks.
    pub disk: u32,
    /// The storage location.
    pub to: StorageId,
}

/// How a destination is chosen where the plan names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Placement {
    /// The host with the most free memory, as failover clusters choose the "best node".
    #[default]
    MostFreeMemory,
    /// The host with the fewest guests.
    FewestVms,
}
