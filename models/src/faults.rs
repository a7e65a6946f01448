//! What breaks in a run: at a point in time, at a step of a guest's migration, or at random.
//!
//! Here it is only said what happens to hosts, links and storage; what that means to a migration is the
//! business of its [controller](algorithms::controller).
//!
//! Not modelled: hosts that come back, parts of a team or of several cards that fail while the others go on
//! (a migration that uses a link stands still while it is down, whatever its other links do), and
//! cluster heartbeats, by which a cluster finds out about a death sooner than a connection does.

use algorithms::failures::{Breakage, NETWORK_TIMEOUT, Side};
use algorithms::ids::{HostId, StorageId, VmId};
use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime, Span};

/// Everything that breaks; by default nothing does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Faults {
    /// In any order.
    pub scheduled: Vec<ScheduledFault>,
    /// By chance.
    pub random: RandomFaults,
    /// How long connections bear silence.
    pub network_timeout: Span,
}

impl Default for Faults {
    fn default() -> Faults {
        let (scheduled, random) = (Vec::new(), RandomFaults::default());
        Faults { scheduled, random, network_timeout: NETWORK_TIMEOUT }
    }
}

impl Faults {
    /// Whether nothing can break.
    pub fn are_none(&self) -> bool {
        self.scheduled.is_empty() && self.random == RandomFaults::default()
    }
}

/// A fault that is sure to happen, if its time comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledFault {
    /// When.
    pub when: When,
    /// What.
    pub fault: Fault,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// At this point of the run.
    At(SimTime),
    /// When the guest's migration comes to a step for the first time.
    InStep {
        /// The guest.
        vm: VmId,
        /// The step.
        step: MigrationStep,
        /// So long after the step began, even where it is over then.
        after: Span,
    },
}

/// A step of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationStep {
    /// Connecting, authenticating, creating the guest at the destination.
    Preparation,
    /// The copying of its first disk.
    Disks,
    /// This round of its memory, from 1.
    Round(u32),
    /// The order to stand still.
    Pause,
    /// The order to run at the destination.
    HandOver,
    /// Removing what is left at the source.
    CleanUp,
}

/// What breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// A host, for good.
    HostDies(HostId),
    /// A host of the migration in question, for good. Only in a step of a migration.
    SideDies(Side),
    /// Links, by their places in the network's list.
    LinkDown {
        /// Which.
        links: Vec<usize>,
        /// For how long.
        lasts: Span,
    },
    /// All links of the destination of the migration in question. Only in a step of a migration.
    NetworkDown {
        /// For how long.
        lasts: Span,
    },
    /// Nobody can authenticate with this host.
    AuthenticationFails {
        /// Which.
        host: HostId,
        /// For how long.
        lasts: Span,
    },
    /// Other guests take memory of a host, as far as no guest of ours has it, for good.
    MemoryTaken {
        /// Which.
        host: HostId,
        /// So much, if there is so much.
        amount: Bytes,
    },
    /// Others take all the space that is left, for good.
    StorageFull(StorageId),
    /// No host reaches a storage location.
    StorageLost {
        /// Which.
        storage: StorageId,
        /// For how long.
        lasts: Span,
    },
    /// A host of the migration in question says that something broke. Only in a step of a migration.
    Fails(Breakage),
}

/// Faults by chance: times between them are exponentially distributed, for each host, link or storage
/// location by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RandomFaults {
    /// Mean time until a host dies.
    pub host_dies: Option<Span>,
    /// A link goes down for a time.
    pub link_flaps: Option<Recurring>,
    /// A host cannot authenticate for a time.
    pub authentication_fails: Option<Recurring>,
    /// A storage location is out of reach for a time.
    pub storage_lost: Option<Recurring>,
}

/// Something that breaks again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    /// Mean time from being mended to the next time.
    pub every: Span,
    /// Mean time until it is mended, exponentially distributed too.
    pub lasts: Span,
}
