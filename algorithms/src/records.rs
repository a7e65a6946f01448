//! What a run leaves behind, planned or actual: one stream of records of one shape.
//!
//! The simulation driver and the live driver write these and nothing else; tables, JSON, figures,
//! progress and logs are all made from them. Planned and actual differ in [`Origin`] only.
//!
//! The types carry the units: times are [`SimTime`] since the run began, sizes are [`Bytes`]. Written as JSON they are
//! plain numbers whose keys name the unit; the attributes here are the one definition of that JSON, for programs,
//! agents and journals. What `reports` adds is a version, and each migration's rounds in their place.

mod collector;
mod impact;
mod never_begun;
mod numbers;
mod transfer;

use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, SimTime, Span};

use crate::failures::FailureRecord;
use crate::ids::{MigrationId, Name};
use crate::policy::StopReason;
use crate::preflight::{Category, Refusal};
use crate::storage_mirror::DiskOrder;
pub use collector::RecordCollector;
pub use impact::{ImpactRecord, PostCopyRecord};
pub use never_begun::NeverBegun;
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
    #[serde(rename = "makespan_s", with = "numbers::seconds")]
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
    /// The transport's name, such as `tcp`; `None` where it never began.
    pub transport: Option<Name>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where that left the VM.
    pub whereabouts: Whereabouts,
    /// Why it ended so, or why the last round was the last, in a few words. For people: programs read `stop`,
    /// `outcome` and `failure`.
    pub reason: String,
    /// Why the last round was the last; `None` where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
    /// The event id that the hypervisor would log, where it logs one.
    pub event_id: Option<u32>,
    /// When it was asked for.
    #[serde(rename = "queued_s", with = "numbers::seconds")]
    pub queued: SimTime,
    /// When it began (preparation included); `None` where it never did.
    #[serde(default, rename = "started_s", with = "numbers::optional_seconds")]
    pub started: Option<SimTime>,
    /// From `started` to its end; zero where it never began.
    #[serde(rename = "total_s", with = "numbers::seconds")]
    pub total: Span,
    /// Total time before the pause, when the guest runs slower.
    #[serde(rename = "brownout_s", with = "numbers::seconds")]
    pub brownout: Span,
    /// The pause: the guest runs nowhere. Also called downtime.
    #[serde(rename = "blackout_s", with = "numbers::seconds")]
    pub blackout: Span,
    /// Whether somebody else has paused the VM and nobody has let it go on: it is paused where it is. That pause is not
    /// in `blackout`, which is zero where the VM arrived paused: nothing was measured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused_by_others: bool,
    /// Memory sent over the network, all rounds together.
    #[serde(with = "numbers::bytes")]
    pub memory_bytes_sent: Bytes,
    /// Disk content written at the destination: copied, and mirrored there meanwhile. Where the
    /// hosts differ, all of it went over the network. Of a role that was saved: its saved state, which
    /// is written to its storage and crosses no network of ours.
    #[serde(with = "numbers::bytes")]
    pub storage_bytes_sent: Bytes,
    /// The disks that it moved or was to move, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "numbers::disks")]
    pub disks: Vec<DiskOrder>,
    /// Rounds, the stop-and-copy round included. `round_count` in JSON, where the rounds themselves are `rounds`.
    #[serde(rename = "round_count")]
    pub rounds: u32,
    /// What sending took, and what held it back, where the driver can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Box<TransferRecord>>,
    /// What it did to the guest, where the driver can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Box<ImpactRecord>>,
    /// Of one that failed: how far it had come, and what would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<FailureRecord>>,
    /// Of what a failover cluster moves: what made it move, how, and why to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// Something broke, and the VM was not lost: it runs at the source, unless its
    /// [whereabouts](MigrationRecord::whereabouts) are in doubt.
    Failed,
    /// The VM is off: the host that it ran on died, or the memory that followed it never came.
    Lost,
    /// It never began; the guest runs where it was.
    NotStarted,
}

impl Outcome {
    /// Returns where a migration that ended so leaves its VM, as far as the outcome alone tells.
    pub const fn whereabouts(self) -> Whereabouts {
        match self {
            Outcome::Completed => Whereabouts::AtDestination,
            Outcome::Lost => Whereabouts::Off,
            Outcome::Cancelled | Outcome::Failed | Outcome::NotStarted => Whereabouts::AtSource,
        }
    }
}

/// Where a VM is after a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// It runs at the source.
    AtSource,
    /// It runs at the destination.
    AtDestination,
    /// It runs nowhere: its host died, or it was stopped.
    Off,
    /// It is not known which side has it, and neither may be started by itself: an operator must look.
    InDoubt,
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
    #[serde(rename = "start_s", with = "numbers::seconds")]
    pub start: SimTime,
    /// From its start until its last byte was across.
    #[serde(rename = "duration_s", with = "numbers::seconds")]
    pub duration: Span,
    /// Sent in it, as the hypervisor's stream counts it: page headers included, zero pages as they go.
    #[serde(with = "numbers::bytes")]
    pub bytes_sent: Bytes,
    /// What was dirty when it ended: left unsent, or written meanwhile.
    #[serde(with = "numbers::bytes")]
    pub dirty_bytes_left: Bytes,
    /// `bytes_sent` ÷ `duration`.
    #[serde(rename = "rate_bits_per_s", with = "numbers::bits_per_second")]
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
    #[serde(rename = "interval_s", with = "numbers::seconds")]
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
    #[serde(rename = "time_s", with = "numbers::seconds")]
    pub time: SimTime,
    /// How bad.
    pub level: Level,
    /// What kind of thing happened.
    #[serde(default)]
    pub kind: EventKind,
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

/// What kind of thing happened, for programs; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Anything else.
    #[default]
    Note,
    /// A migration has started.
    Started,
    /// A migration has ended, well or badly.
    Ended,
    /// A move will not take place.
    NotMoved,
    /// How far the copying of disks has come.
    DiskProgress,
    /// How much a VM is held back has changed.
    Throttled,
    /// Somebody else paused the VM, or let it go on.
    PausedByOthers,
    /// A machine was told what did not fit, and went on as it was.
    InputRefused,
}

impl EventRecord {
    /// Returns an event of a level at a time, which concerns nobody in particular.
    pub fn new(time: SimTime, level: Level, message: impl Into<String>) -> EventRecord {
        let (kind, event_id, migration) = (EventKind::Note, None, None);
        let (vm, host, message, advice) = (None, None, message.into(), None);
        EventRecord { time, level, kind, event_id, migration, vm, host, message, advice }
    }

    /// Returns an event that reports normal operation.
    pub fn information(time: SimTime, message: impl Into<String>) -> EventRecord {
        EventRecord::new(time, Level::Information, message)
    }

    /// Returns an event of something to look at.
    pub fn warning(time: SimTime, message: impl Into<String>) -> EventRecord {
        EventRecord::new(time, Level::Warning, message)
    }

    /// Returns an event of something that failed.
    pub fn error(time: SimTime, message: impl Into<String>) -> EventRecord {
        EventRecord::new(time, Level::Error, message)
    }

    /// Returns it with its kind.
    pub fn of_kind(self, kind: EventKind) -> EventRecord {
        EventRecord { kind, ..self }
    }

    /// Returns it as one of this migration of this VM.
    pub fn of(self, migration: MigrationId, vm: &Name) -> EventRecord {
        EventRecord { migration: Some(migration), vm: Some(vm.clone()), ..self }
    }

    /// Returns it as one of this VM.
    pub fn of_vm(self, vm: &Name) -> EventRecord {
        EventRecord { vm: Some(vm.clone()), ..self }
    }

    /// Returns it as one that this host logs.
    pub fn at(self, host: &Name) -> EventRecord {
        EventRecord { host: Some(host.clone()), ..self }
    }

    /// Returns it with the id under which the hypervisor logs it.
    pub fn with_id(self, event_id: Option<u32>) -> EventRecord {
        EventRecord { event_id, ..self }
    }

    /// Returns it with what to do about it.
    pub fn with_advice(self, advice: Option<Advice>) -> EventRecord {
        EventRecord { advice: advice.map(Box::new), ..self }
    }
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
