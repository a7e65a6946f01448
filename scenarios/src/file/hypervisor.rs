//! The hypervisor's rules and costs, and the transport's.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_core::{Bandwidth, Bytes, Span};

use super::Limit;
use super::qemu::QemuFile;
use crate::read::at::At;

/// The hypervisor: what is not given is as in its preset.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a hypervisor, such as \"hyper-v-2022\" or (preset: \"qemu-7.2\", policy: Qemu(downtime_limit: \"1 s\"))"
)]
#[schemars(rename = "Hypervisor")]
pub(crate) struct HypervisorFile {
    /// The preset to start from; "hyper-v-2022" by default.
    pub(crate) preset: Option<At<String>>,
    /// When memory has been sent often enough.
    pub(crate) policy: Option<At<PolicyFile>>,
    /// What the steps of a migration cost besides sending memory.
    pub(crate) timing: Option<TimingFile>,
    /// What becomes of a migration that takes too long; none by default.
    pub(crate) deadline: Option<DeadlineFile>,
    /// What else is set where `migtwin live qemu` runs the scenario on real QEMU machines.
    pub(crate) live: Option<At<LiveFile>>,
}

/// What is set on real QEMU machines, beside the rules of `policy: Qemu(…)`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "levers of QEMU in brackets, such as (auto_converge: true, multifd: 4)"
)]
#[schemars(rename = "Live")]
pub(crate) struct LiveFile {
    /// Hold guests back that dirty memory too fast; by default as the policy says.
    pub(crate) auto_converge: Option<bool>,
    /// Go over to post-copy when so many passes have ended; by default as the policy says.
    pub(crate) post_copy_after: Option<At<u32>>,
    /// Streams of multifd, 1 to 255; by default the one stream of old.
    pub(crate) multifd: Option<At<u32>>,
    /// The cache of XBZRLE, which sends what changed within a page: a power of two; by default as
    /// the policy says.
    pub(crate) xbzrle: Option<At<Bytes>>,
    /// How pages are compressed; not at all by default.
    pub(crate) compression: Option<At<CompressionFile>>,
}

/// How QEMU compresses pages.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "QemuCompression")]
pub(crate) enum CompressionFile {
    /// The streams of multifd, with zlib.
    Zlib,
    /// The streams of multifd, with zstd.
    Zstd,
    /// Threads of their own, with zlib: up to QEMU 9.0.
    Threads,
}

/// When memory has been sent often enough.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(crate) enum PolicyFile {
    /// At most some passes over memory, then the pause.
    HyperV(HyperVFile),
    /// Until the rest fits in the tolerated downtime.
    Qemu(Box<QemuFile>),
    /// Until little is left, or too much was sent.
    Xen(XenFile),
    /// Until the rest fits in a downtime, as SimGrid's plug-in has it.
    SimGrid(SimGridFile),
    /// Until the rest fits in a switch-over of below a second, guests that are too fast slowed down.
    VMotion(VMotionFile),
}

/// Hyper-V's rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "rules such as HyperV(max_passes: 10)")]
#[schemars(rename = "HyperV")]
pub(crate) struct HyperVFile {
    /// Passes over memory before the pause, the first full one included; 10 by default.
    pub(crate) max_passes: Option<At<u32>>,
    /// Pause as soon as no more than this is dirty; "16 MiB" by default.
    pub(crate) stop_below: Option<Bytes>,
}

/// Xen's rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "rules such as Xen(max_rounds: 29)")]
#[schemars(rename = "Xen")]
pub(crate) struct XenFile {
    /// Rates that follow the dirty rate, as Clark et al. measured; none by default.
    pub(crate) adaptive_rate: Option<At<AdaptiveRateFile>>,
    /// Pause when less than this is dirty; 50 pages, "200 KiB", by default.
    pub(crate) stop_below: Option<Bytes>,
    /// Rounds before the pause; 29 by default.
    pub(crate) max_rounds: Option<At<u32>>,
    /// Pause when this many times the memory has been sent; 3 by default.
    pub(crate) max_sent_factor: Option<At<u32>>,
    /// Whether pages that are dirty again when their turn comes are left to the next round; true by
    /// default.
    pub(crate) skip_dirty: Option<bool>,
}

/// A round's rate as in Xen of 2005, as low as will do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "rates such as (first: \"100 Mbit/s\", increment: \"50 Mbit/s\", highest: \"500 Mbit/s\")"
)]
#[schemars(rename = "AdaptiveRate")]
pub(crate) struct AdaptiveRateFile {
    /// Of the first round.
    pub(crate) first: Bandwidth,
    /// Added to the dirty rate of the last round.
    pub(crate) increment: Bandwidth,
    /// Never more than this.
    pub(crate) highest: Bandwidth,
    /// How long nothing is sent before the pause: so much goes at the link's speed; none by default.
    pub(crate) head_start: Option<Span>,
}

/// SimGrid's rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "rules such as SimGrid(max_downtime: \"30 ms\")")]
#[schemars(rename = "SimGrid")]
pub(crate) struct SimGridFile {
    /// Pause when the rest can be sent within this; "30 ms" by default.
    pub(crate) max_downtime: Option<At<Span>>,
}

/// vMotion's rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "rules such as VMotion(switch_over: \"500 ms\")")]
#[schemars(rename = "VMotion")]
pub(crate) struct VMotionFile {
    /// Pause when the rest can be sent within this; "500 ms" by default.
    pub(crate) switch_over: Option<At<Span>>,
    /// Whether a guest that dirties memory faster than it is sent is slowed down; true by default.
    pub(crate) stun_during_page_send: Option<bool>,
}

/// What the steps of a migration cost besides sending memory; what is not given is as in the preset.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "timing in brackets, such as (prepare: \"2 s\", resume: \"200 ms\")"
)]
#[schemars(rename = "Timing")]
pub(crate) struct TimingFile {
    /// Before the first round: connect, authenticate, create the guest at the destination.
    pub(crate) prepare: Option<Span>,
    /// At each host, preparations go one at a time for this long.
    pub(crate) prepare_serial: Option<Span>,
    /// From the order to pause until the guest stands still.
    pub(crate) pause: Option<Span>,
    /// After the last byte, in the blackout: device state, and starting the guest.
    pub(crate) resume: Option<Span>,
    /// After the guest runs again: clean up.
    pub(crate) finish: Option<Span>,
}

/// What becomes of a migration that takes too long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a deadline in brackets, such as (after: \"20 min\", action: Cancel)"
)]
#[schemars(rename = "Deadline")]
pub(crate) struct DeadlineFile {
    /// Since it started.
    pub(crate) after: At<Span>,
    /// What then; `Cancel` by default.
    pub(crate) action: Option<DeadlineActionFile>,
}

/// What to do at a deadline.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "DeadlineAction")]
pub(crate) enum DeadlineActionFile {
    /// Give up; the guest goes on where it was.
    Cancel,
    /// Pause the guest at the end of the round, and send the rest.
    ForcePause,
}

/// A transport's costs; what is not given is as in its preset.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a transport, such as \"tcp\" or (preset: \"tcp\", per_stream: \"3 Gbit/s\")"
)]
#[schemars(rename = "Transport")]
pub(crate) struct TransportFile {
    /// The preset to start from; "tcp" by default.
    pub(crate) preset: Option<At<String>>,
    /// Bytes on the wire for each byte sent, 1 or more: headers, and gaps between frames.
    pub(crate) wire_overhead: Option<At<f64>>,
    /// Processor time at the source, in core-seconds for each GB (10^9 bytes).
    pub(crate) send_core_seconds_per_gb: Option<At<f64>>,
    /// Processor time at the destination, in core-seconds for each GB (10^9 bytes).
    pub(crate) receive_core_seconds_per_gb: Option<At<f64>>,
    /// The most that one stream carries, or `Unlimited`.
    pub(crate) per_stream: Option<At<Limit<Bandwidth>>>,
    /// Streams that one migration uses.
    pub(crate) streams: Option<At<u32>>,
    /// The most that a stream has under way unacknowledged, or `Unlimited`: over a round trip of 100 ms,
    /// "16 MiB" are 1.3 Gbit/s.
    pub(crate) window: Option<At<Limit<Bytes>>>,
    /// Of "compression": processor time at the source to compress, in core-seconds for each GB.
    pub(crate) compress_core_seconds_per_gb: Option<At<f64>>,
    /// Of "compression": processor time at the destination, in core-seconds for each GB.
    pub(crate) decompress_core_seconds_per_gb: Option<At<f64>>,
}
