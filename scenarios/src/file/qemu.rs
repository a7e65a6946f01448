//! QEMU's rules: its migration parameters and capabilities.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

use super::Limit;
use crate::read::at::At;

/// QEMU's rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "rules such as Qemu(downtime_limit: \"300 ms\")")]
#[schemars(rename = "Qemu")]
pub(crate) struct QemuFile {
    /// The pause that is tolerated; "300 ms" by default.
    pub(crate) downtime_limit: Option<At<Span>>,
    /// The most that a migration may send before the pause; "128 MiB/s", that is
    /// "1073.741824 Mbit/s", by default.
    pub(crate) max_bandwidth: Option<At<Limit<Bandwidth>>>,
    /// The bandwidth with which the downtime limit is multiplied, in place of the measured one
    /// (avail-switchover-bandwidth, since 8.2).
    pub(crate) switchover_bandwidth: Option<At<Bandwidth>>,
    /// How a guest that dirties memory too fast is slowed down; `Never` by default.
    pub(crate) slow_down: Option<At<SlowDownFile>>,
    /// A sync at least so often from the second pass on, with AutoConverge; "5 s" for QEMU 10.0,
    /// `Unlimited` for 7.2.
    pub(crate) sync_every: Option<At<Limit<Span>>>,
    /// When the guest is handed over before all of its memory; `Never` by default.
    pub(crate) post_copy: Option<At<PostCopyFile>>,
    /// The most that a migration may send after the guest was handed over; `Unlimited` by default.
    pub(crate) max_postcopy_bandwidth: Option<At<Limit<Bandwidth>>>,
    /// Send the differences of pages that were sent before; by default they are sent whole.
    pub(crate) xbzrle: Option<At<XbzrleFile>>,
    /// Whether the downtime limit is doubled when pre-copy does not converge, as Proxmox VE does.
    pub(crate) doubles_downtime: Option<bool>,
    /// How the dirty log is cleared; `Chunks("1 GiB")` by default, `AtCount` before QEMU 4.1.
    pub(crate) dirty_log: Option<At<DirtyLogFile>>,
}

/// How a guest that dirties memory too fast is slowed down.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "SlowDown")]
pub(crate) enum SlowDownFile {
    /// Not at all.
    Never,
    /// auto-converge: its processors are kept from running, more and more.
    AutoConverge(AutoConvergeFile),
    /// dirty-limit: until it dirties no more than this.
    DirtyLimit(ByteRate),
}

/// The parameters of auto-converge, in percent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "parameters such as AutoConverge(initial: 20, increment: 10)")]
#[schemars(rename = "AutoConverge")]
pub(crate) struct AutoConvergeFile {
    /// Dirtied bytes over this share of those sent are too many; 50 by default.
    pub(crate) trigger: Option<At<u32>>,
    /// The first throttle; 20 by default.
    pub(crate) initial: Option<At<u32>>,
    /// What every further one adds; 10 by default.
    pub(crate) increment: Option<At<u32>>,
    /// The last throttle; 99 by default.
    pub(crate) max: Option<At<u32>>,
}

/// When the guest is handed over before all of its memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "PostCopy")]
pub(crate) enum PostCopyFile {
    /// Never.
    Never,
    /// After so many passes.
    AfterPasses(At<u32>),
    /// After so long.
    After(Span),
}

/// Pages that were sent before are sent as differences from a cached copy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "such as (cache: \"64 MiB\", encoded: 0.25)")]
#[schemars(rename = "Xbzrle")]
pub(crate) struct XbzrleFile {
    /// The cache of pages; "64 MiB" by default.
    pub(crate) cache: Option<Bytes>,
    /// What the differences take, as a share of the page; 0.25 by default (an assumption).
    pub(crate) encoded: Option<At<f64>>,
}

/// How the dirty log is cleared.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "DirtyLog")]
pub(crate) enum DirtyLogFile {
    /// When it is read.
    AtCount,
    /// Piece by piece of this size, each before its first page is sent.
    Chunks(At<Bytes>),
}
