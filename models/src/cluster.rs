//! The checked model of a cluster and of what is asked of it: the input of the simulation.
//!
//! `scenarios` makes it from files; programs may make it themselves. References between its parts
//! are numbers, which [`simulate`](crate::world::simulate) checks again.

use algorithms::controller::Deadline;
use algorithms::failover::Failover;
use algorithms::ids::{HostId, Name};
use algorithms::plan::{Placement, Plan};
use algorithms::policy::Policy;
use algorithms::preflight::facts::{Administration, GuestConfiguration};
use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Span};

use crate::faults::Faults;
use crate::hardware::Host;
use crate::network::Network;
use crate::storage::{Disk, StorageLocation};
use crate::transport::{Compressibility, Transport};
use crate::workload::Workload;

/// Everything that a run needs.
#[derive(Debug, Clone)]
pub struct ClusterModel {
    /// The scenario's name.
    pub name: Name,
    /// The alternative within the scenario, if it has several.
    pub alternative: Option<Name>,
    /// The hosts; a [`HostId`] is a place in this list.
    pub hosts: Vec<Host>,
    /// What joins them.
    pub network: Network,
    /// The guests; a [`VmId`](algorithms::ids::VmId) is a place in this list.
    pub guests: Vec<Guest>,
    /// Traffic that is not ours.
    pub background: Vec<BackgroundTraffic>,
    /// The hypervisor that all hosts run.
    pub hypervisor: Hypervisor,
    /// How memory crosses the network.
    pub transport: Transport,
    /// What is to move.
    pub plan: Plan,
    /// How destinations are chosen where the plan names none.
    pub placement: Placement,
    /// From where migrations are begun, which domains trust each other, the cluster's own limit.
    pub administration: Administration,
    /// Where disks can be; a [`StorageId`](algorithms::ids::StorageId) is a place in this list.
    pub storage: Vec<StorageLocation>,
    /// What breaks; nothing by default.
    pub faults: Faults,
    /// The failover cluster's settings and its roles; no guest is clustered by default.
    pub failover: Failover,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// Its name, unique in the cluster.
    pub name: Name,
    /// Where it runs at first.
    pub host: HostId,
    /// Its memory, all of which is sent in the first round.
    pub memory: Bytes,
    /// How it dirties memory.
    pub workload: Workload,
    /// Coefficient of variation of the workload's speed between replications (log-normal, mean 1);
    /// 0 repeats the same speed.
    pub speed_variation: f64,
    /// How far its memory can be compressed on its way.
    pub compressibility: Compressibility,
    /// What decides where it may go; by default anywhere.
    pub configuration: GuestConfiguration,
    /// Its disks. A guest without any moves as if all hosts reached them.
    pub disks: Vec<Disk>,
    /// What of its memory holds anything.
    pub memory_use: MemoryUse,
}

/// What of a guest's memory holds anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Memory in pages that hold only zeros, as pages never used do. None of it is in the working set.
    pub zeros: Bytes,
}

/// The hypervisor: its rules, and what its steps cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypervisor {
    /// Such as `hyper-v`.
    pub name: Name,
    /// When its page loop stops.
    pub policy: Policy,
    /// What its steps cost.
    pub timing: Timing,
    /// Give up a migration that is not done within this.
    pub deadline: Option<Deadline>,
}

/// Fixed costs of a migration's steps, beside sending memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Before the first round: connect, authenticate, create the guest at the destination.
    pub prepare: Span,
    /// At each host, preparations go one at a time for this long, within `prepare` or beyond it.
    pub prepare_serial: Span,
    /// From the order to pause until the guest stands still.
    pub pause: Span,
    /// After the last byte: device state, and starting the guest at the destination. In the blackout.
    pub resume: Span,
    /// After the guest runs again: clean up. The migration counts as going on; no blackout.
    pub finish: Span,
}

/// Traffic between two hosts that shares the network with migrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackgroundTraffic {
    /// For people.
    pub name: Name,
    /// Where it comes from.
    pub source: HostId,
    /// Where it goes.
    pub destination: HostId,
    /// How much it would like to send while it is on.
    pub rate: Bandwidth,
    /// Its weight when links are shared; a migration's stream has 1.
    pub weight: f64,
    /// When it is on.
    pub pattern: TrafficPattern,
}

/// When background traffic is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPattern {
    /// Always.
    Constant,
    /// On and off for random times, exponentially distributed, beginning on or off by its long-run share.
    OnOff {
        /// Mean time on.
        mean_on: Span,
        /// Mean time off.
        mean_off: Span,
    },
}
