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
