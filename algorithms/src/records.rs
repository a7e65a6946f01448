//! What a run leaves behind, planned or actual: one stream of records of one shape.
//!
//! The simulation driver and the live driver write these and nothing else; tables, JSON, figures,
//! progress and logs are all made from them. Planned and actual differ in [`Origin`] only.
//!
//! Units stand in the types: times are [`SimTime`] since the run began, sizes are [`Bytes`].

mod impact;
mod never_begun;
mod transfer;

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use crate::failures::FailureRecord;
use crate::ids::{MigrationId, Name};
use crate::preflight::{Category, Refusal};
pub use impact::{ImpactRecord, PostCopyRecord};
pub use never_begun::DeclinedNames;
pub use transfer::TransferRecord;

/// One entry of the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A round of a migration has ended.
    Round(RoundRecord),
    /// A migration has ended, well or badly.
    Migration(MigrationRecord),
    /// Something worth a line in the log happened.
    Event(EventRecord),
    /// How one resource was used, all through the run.
    Resource(ResourceRecord),
}

/// The records of one run, sorted by kind; what `reports` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecords {
    /// The run as a whole.
    pub run: RunRecord,
    /// Every migration, by its number: those done, failed, and never started.
    pub migrations: Vec<MigrationRecord>,
    /// Every round, in the order in which they ended.
    pub rounds: Vec<RoundRecord>,
    /// Every resource that was metered; empty where metering was off.
    pub resources: Vec<ResourceRecord>,
    /// The log, in order of time.
    pub events: Vec<EventRecord>,
    /// Where every guest was in the end, in runs in which something could break; empty in others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<GuestRecord>,
}

/// A run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The scenario's name.
    pub scenario: Name,
    /// The alternative within the scenario, where it has several.
    pub alternative: Option<Name>,
    /// The seed of every random stream.
    pub seed: u64,
    /// Which replication under that seed, from 0.
    pub replication: u32,
    /// Simulated or measured.
    pub origin: Origin,
    /// From the beginning to the end of the last migration: a whole plan's time.
    pub makespan: Span,
}

/// Where a run took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// On the simulated cluster, in virtual time.
    Planned,
    /// On real hosts.
    Actual,
}

/// One migration of one guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationRecord {
    /// Its number in this run.
    pub migration: MigrationId,
    /// The guest.
    pub vm: Name,
    /// Where it ran before.
    pub source: Name,
    /// Where it was to go; `None` where no place was found.
    pub destination: Option<Name>,
    /// What was moved, and how.
    pub kind: MigrationKind,
    /// The transport's name, such as `tcp`.
    pub transport: Name,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so, or why the last round was the last, in a few words.
    pub reason: String,
    /// The event id that the hypervisor would log, where it logs one.
    pub event_id: Option<u32>,
    /// When it was asked for.
    pub queued: SimTime,
    /// When it began (preparation included); `None` where it never did.
    pub started: Option<SimTime>,
    /// From `started` to its end; zero where it never began.
    pub total: Span,
    /// Total time before the pause, when the guest runs slower.
    pub brownout: Span,
    /// The pause: the guest runs nowhere. Also called downtime.
    pub blackout: Span,
    /// Memory sent over the network, all rounds together.
    pub memory_bytes_sent: Bytes,
    /// Disk content written at the destination: copied, and mirrored there meanwhile. Where the
    /// hosts differ, all of it went over the network. Of a role that was saved: its saved state, which
    /// is written to its storage and crosses no network of ours.
    pub storage_bytes_sent: Bytes,
    /// Rounds, the stop-and-copy round included.
    pub rounds: u32,
    /// What sending took, and what held it back, where the driver can tell.
    #[serde(default)]
    pub transfer: Option<Box<TransferRecord>>,
    /// What it did to the guest, where the driver can tell.
    #[serde(default)]
    pub impact: Option<Box<ImpactRecord>>,
    /// Of one that failed: how far it had come, where the guest is, and what would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<FailureRecord>>,
    /// Of what a failover cluster moves: what made it move, how, and why to there.
    #[serde(default)]
    pub why: Option<Name>,
}

/// What was moved, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationKind {
    /// Memory by pre-copy, storage shared.
    Live,
    /// Disks on the same host, from one storage location to another.
    Storage,
    /// Disks copied and mirrored first, then memory by pre-copy.
    SharedNothing,
    /// A clustered role taken offline, moved and brought online again: quick migration, where its state is
    /// saved and restored.
    Quick,
    /// A clustered role that a forced drain takes offline; its ownership moves, it runs nowhere.
    Stop,
    /// A clustered role that was offline, brought online at its destination.
    Start,
}

/// How a migration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The guest runs at the destination.
    Completed,
    /// Given up on request or at its deadline; the guest runs at the source.
    Cancelled,
    /// Something broke; the guest runs at the source.
    Failed,
    /// The host that the guest ran on died during it; the guest is off.
    Lost,
    /// It never began; the guest runs where it was.
    NotStarted,
}

/// Where a guest was when the run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRecord {
    /// The guest.
    pub vm: Name,
    /// The host that it was on last.
    pub host: Name,
    /// Whether it ran there.
    pub power: Power,
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It runs.
    Running,
    /// Its host died.
    Off,
}

/// One round of the page loop (QEMU: pass; Hyper-V: transfer pass).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The migration to which it belongs.
    pub migration: MigrationId,
    /// From 1; the last is the stop-and-copy.
    pub round: u32,
    /// Whether the guest ran meanwhile.
    pub phase: RoundPhase,
    /// When it began.
    pub start: SimTime,
    /// From its start until its last byte was across.
    pub duration: Span,
    /// Sent in it, as the hypervisor's stream counts it: page headers included, zero pages as they go.
    pub bytes_sent: Bytes,
    /// What was dirty when it ended: left unsent, or written meanwhile.
    pub dirty_bytes_left: Bytes,
    /// `bytes_sent` ÷ `duration`.
    pub rate: Bandwidth,
    /// For which share of the round's time the guest's processors were kept from running, in percent.
    #[serde(default)]
    pub throttle_percent: u32,
}

/// Whether the guest ran during a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundPhase {
    /// Copying while the guest runs.
    PreCopy,
    /// The last round, guest paused.
    StopAndCopy,
    /// The rest, sent while the guest runs at the destination.
    PostCopy,
}

/// How a resource (one direction of a link, a host's CPU) was used over time: means over equal
/// intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceRecord {
    /// Such as `node01 → switch` or `node01 cpu`.
    pub resource: Name,
    /// What it is, and so the unit of `capacity` and `used`.
    pub kind: ResourceKind,
    /// What it can do at most, in the unit of `kind`.
    pub capacity: f64,
    /// The length of every interval.
    pub interval: Span,
    /// Mean use in each interval from the beginning of the run, in the unit of `kind`.
    pub used: Vec<f64>,
}

/// Kinds of resources, and their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A link or one direction of it, in bits per second.
    Link,
    /// A host's processors, in cores.
    Cpu,
    /// A storage device's reading, writing or both, in bytes per second.
    Disk,
    /// A storage device's operations, a second.
    Iops,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When.
    pub time: SimTime,
    /// How bad.
    pub level: Level,
    /// The id under which the hypervisor would log it, where it logs one.
    pub event_id: Option<u32>,
    /// The migration concerned.
    pub migration: Option<MigrationId>,
    /// The guest concerned.
    pub vm: Option<Name>,
    /// The host concerned.
    pub host: Option<Name>,
    /// What happened, in a sentence.
    pub message: String,
    /// Of a failure: its kind, its likely cause, and what would mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Box<Advice>>,
}

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// The kind of failure.
    pub category: Category,
    /// What is probably behind it.
    pub cause: String,
    /// The command that would mend it.
    pub fix: String,
}

impl From<&Refusal> for Advice {
    fn from(refusal: &Refusal) -> Advice {
        let Refusal { category, cause, fix, .. } = refusal;
        Advice { category: *category, cause: cause.clone(), fix: fix.clone() }
    }
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Information,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}
