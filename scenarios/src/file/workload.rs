//! Virtual machines and how they dirty their memory.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{ByteRate, Bytes, Span};

use super::settings::ConfigurationFile;
use super::{DiskFile, OrPreset, RoleFile, Size};
use crate::read::at::At;

/// A virtual machine, or several that are alike.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a virtual machine in brackets, such as (name: \"vm1\", host: \"node1\", memory: \"8 GiB\")"
)]
#[schemars(rename = "Guest")]
pub(crate) struct GuestFile {
    /// Its name; "web{01..20}" makes twenty, web01 to web20.
    pub(crate) name: At<String>,
    /// The host that it runs on at first. Where this stands for several hosts ("node{01..16}", or
    /// "*" for all), they are dealt out in turn.
    pub(crate) host: At<String>,
    /// Its memory.
    pub(crate) memory: At<Bytes>,
    /// How it dirties its memory: a preset's name, or a description; `Idle`, which writes nothing,
    /// by default.
    pub(crate) workload: Option<At<OrPreset<WorkloadFile>>>,
    /// How much the workload's speed differs between replications (coefficient of variation); 0
    /// by default.
    pub(crate) speed_variation: Option<At<f64>>,
    /// How many times smaller its memory gets by compression; 2.3 by default, 1 for what cannot be
    /// compressed.
    pub(crate) compression_ratio: Option<At<f64>>,
    /// What decides where it may go: processor compatibility, configuration version, what is attached.
    pub(crate) configuration: Option<At<ConfigurationFile>>,
    /// How much of its memory was ever used, or a share of it; all, by default. What was not holds zeros.
    pub(crate) in_use: Option<At<Size>>,
    /// How much of what is in use holds zeros all the same, or a share of the whole; none by default.
    pub(crate) zero_pages: Option<At<Size>>,
    /// Its disks; by default none are known, and it moves as if every host reached them.
    pub(crate) disks: Option<Vec<At<DiskFile>>>,
    /// Makes it a clustered role of the failover cluster: `()`, or what is special; none by default.
    pub(crate) role: Option<At<RoleFile>>,
}

/// How a guest dirties its memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Workload")]
pub(crate) enum WorkloadFile {
    /// Writes nothing.
    Idle,
    /// Always fresh memory until the whole working set is dirty: the worst case for a rate.
    Linear(RateFile),
    /// Writes fall anywhere in the working set with equal chance.
    Uniform(RateFile),
    /// Several disjoint sets, each written uniformly, such as a hot one and a cold one.
    Classes(Vec<At<ClassFile>>),
    /// Some pages more often than others, by Zipf's law: the i-th in proportion to i^−exponent.
    Zipf(ZipfFile),
    /// Page after page through the working set, and again from its beginning.
    Sweep(RateFile),
    /// Another workload, faster and slower in turns.
    Phases(PhasesFile),
    /// Another workload, busy and calm for random times.
    Bursts(BurstsFile),
    /// A recording of how much was dirtied in each of equal intervals.
    Trace(TraceFile),
    /// Distinct memory dirtied within a time, as measured: [("1 s", "40 MB"), ("10 s", "90 MB")].
    Curve(Vec<At<CurvePointFile>>),
}

/// A rate of writing, and where it falls.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a rate and a set, such as Uniform(rate: \"50 MB/s\", working_set: \"1 GiB\")"
)]
#[schemars(rename = "Rate")]
pub(crate) struct RateFile {
    /// Bytes written per second.
    pub(crate) rate: ByteRate,
    /// The memory that is ever written.
    pub(crate) working_set: At<Size>,
}

/// A rate of writing, and how uneven it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "such as Zipf(rate: \"50 MB/s\", working_set: \"1 GiB\", exponent: 1.0)"
)]
#[schemars(rename = "Zipf")]
pub(crate) struct ZipfFile {
    /// Bytes written per second.
    pub(crate) rate: ByteRate,
    /// The memory that is ever written.
    pub(crate) working_set: At<Size>,
    /// How steep: 0 is uniform; 1, the default, is Zipf's law.
    pub(crate) exponent: Option<At<f64>>,
}

/// A workload that changes its speed in turns that repeat.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "such as Phases(of: \"database\", phases: [(\"20 s\", 1.0), (\"40 s\", 0.1)])"
)]
#[schemars(rename = "Phases")]
pub(crate) struct PhasesFile {
    /// What is done all the time: a preset's name, or a description.
    pub(crate) of: Box<At<OrPreset<WorkloadFile>>>,
    /// How long each turn lasts, and how many times as fast the workload is meanwhile.
    pub(crate) phases: At<Vec<At<PhaseFile>>>,
}

/// A turn: how long it lasts, and how many times as fast the workload is meanwhile.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(expecting = "a turn, such as (\"20 s\", 0.5)")]
#[schemars(rename = "Phase")]
pub(crate) struct PhaseFile(pub(crate) Span, pub(crate) f64);

/// A workload that is busy and calm for random times.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "such as Bursts(of: \"database\", mean_busy: \"5 s\", mean_calm: \"20 s\")"
)]
#[schemars(rename = "Bursts")]
pub(crate) struct BurstsFile {
    /// What is done when it is busy: Uniform, Classes or Zipf, or a preset that is one of them.
    pub(crate) of: Box<At<OrPreset<WorkloadFile>>>,
    /// Mean time busy.
    pub(crate) mean_busy: At<Span>,
    /// Mean time calm.
    pub(crate) mean_calm: At<Span>,
    /// How many times as fast it is when it is calm; 0 by default.
    pub(crate) calm_speed: Option<At<f64>>,
}

/// A recording of a guest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "such as Trace(working_set: \"2 GiB\", every: \"1 s\", dirtied: [\"40 MB\", \"10 MB\"])"
)]
#[schemars(rename = "Trace")]
pub(crate) struct TraceFile {
    /// The memory that is ever written.
    pub(crate) working_set: At<Size>,
    /// The length of an interval.
    pub(crate) every: At<Span>,
    /// Distinct memory dirtied in each interval, from the beginning of the run; then again from the first.
    pub(crate) dirtied: At<Vec<At<Bytes>>>,
}

/// A part of memory that is written uniformly.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a class in brackets, such as (rate: \"50 MB/s\", size: \"1 GiB\")")]
#[schemars(rename = "Class")]
pub(crate) struct ClassFile {
    /// Bytes written per second in this part.
    pub(crate) rate: ByteRate,
    /// How large the part is.
    pub(crate) size: At<Size>,
}

/// A point of a measured curve: time since the last count, and distinct memory dirtied by then.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(expecting = "a point of a curve, such as (\"2 s\", \"96 MB\")")]
#[schemars(rename = "CurvePoint")]
pub(crate) struct CurvePointFile(pub(crate) Span, pub(crate) Bytes);
