//! How memory crosses the network: each transport a row of costs.
//!
//! A transport is not an algorithm but a set of coefficients: how many bytes a payload byte takes
//! on the wire, how much processor time it takes at either end, how fast one stream can go. The
//! fluid model then finds what the bottleneck is.

mod compression;
mod multifd;
mod smb;

use algorithms::ids::Name;
use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Bytes, Span};

pub use compression::{Compressibility, Compression};
pub use smb::{Smb, SmbWay};

/// A row of costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    /// Such as `tcp`.
    pub name: Name,
    /// Bytes on the wire per byte of payload, 1 or more: headers and gaps between frames.
    pub wire_overhead: f64,
    /// Processor time at the source in core-seconds per 10^9 bytes of payload.
    pub send_core_seconds_per_gb: f64,
    /// Processor time at the destination in core-seconds per 10^9 bytes of payload.
    pub receive_core_seconds_per_gb: f64,
    /// The most that one stream carries; `None` where only the network limits it.
    pub per_stream: Option<Bandwidth>,
    /// Streams that one migration uses.
    pub streams: u32,
    /// What one stream may have on its way, not yet acknowledged: it carries at most this in a
    /// round trip. `None` where the window follows the path.
    pub window: Option<Bytes>,
    /// What it does beside sending.
    pub method: Method,
}

/// What a transport does beside sending bytes over streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// Nothing: `TCPIP`.
    #[default]
    Plain,
    /// Compresses with what processor time guests leave: `Compression`.
    Compressed(Compression),
    /// Looks for RDMA, and for several cards: `SMB`.
    Smb(Smb),
    /// Compresses everything, each stream in a thread of its own: QEMU's `multifd-compression`.
    InStreams(Compression),
}

/// What Windows lets a receive window grow to when it tunes itself (16 MiB; Microsoft, "TCP features
/// in Windows": receive window auto-tuning level Normal).
pub const WINDOWS_TCP_WINDOW: Bytes = Bytes::from_mib(16);

/// Ethernet frames of a 1500-byte MTU with TCP timestamps: 1448 bytes of payload in 1538 on the wire
/// (preamble, header, checksum and gap included).
pub const TCP_MTU_1500: f64 = 1538.0 / 1448.0;

impl Transport {
    /// Plain TCP over one stream. Processor time as QEMU's multifd was measured: 13.7 Gbit/s a core to
    /// send (the search for zero pages included), 12.8 Gbit/s a core to receive.
    pub fn tcp() -> Transport {
        Transport {
            name: "tcp".into(),
            wire_overhead: TCP_MTU_1500,
            send_core_seconds_per_gb: 0.58,
            receive_core_seconds_per_gb: 0.625,
            per_stream: None,
            streams: 1,
            window: Some(WINDOWS_TCP_WINDOW),
            method: Method::Plain,
        }
    }

    /// No overhead, no processor time, no limit: the network alone counts.
    pub fn ideal() -> Transport {
        Transport {
            name: "ideal".into(),
            wire_overhead: 1.0,
            send_core_seconds_per_gb: 0.0,
            receive_core_seconds_per_gb: 0.0,
            per_stream: None,
            streams: 1,
            window: None,
            method: Method::Plain,
        }
    }

    /// Hyper-V's `Compression`: TCP, with what [`Compression::software`] says.
    pub fn compression() -> Transport {
        Transport {
            name: "compression".into(),
            method: Method::Compressed(Compression::software()),
            ..Transport::tcp()
        }
    }

    /// Hyper-V's `SMB`. Without RDMA its streams cost what TCP's do (assumption: nothing published
    /// tells them apart).
    pub fn smb() -> Transport {
        Transport { name: "smb".into(), method: Method::Smb(Smb::default()), ..Transport::tcp() }
    }

    /// Whether processors are among what it uses.
    pub fn takes_processor_time(&self) -> bool {
        self.send_core_seconds_per_gb > 0.0
            || self.receive_core_seconds_per_gb > 0.0
            || self.method != Method::Plain
    }

    /// The most payload that one migration can have, in bytes per second, latency aside: every
    /// stream is limited by `per_stream`, and by one core at each end, since a stream is one thread.
    pub fn cap_bytes_per_sec(&self) -> f64 {
        self.stream_cap(Span::ZERO).0 * f64::from(self.streams)
    }

    /// The most that one stream carries over a path of this latency (one way), in bytes per second,
    /// and why.
    pub fn stream_cap(&self, latency: Span) -> (f64, StreamLimit) {
        let by_stream = self.per_stream.map_or(f64::INFINITY, |rate| rate.bytes_per_sec_f64());
        let slower_end = self.send_core_seconds_per_gb.max(self.receive_core_seconds_per_gb);
        let by_core = if slower_end > 0.0 { 1e9 / slower_end } else { f64::INFINITY };
        let round_trip = 2.0 * latency.as_secs_f64();
        let by_window = match self.window {
            Some(window) if round_trip > 0.0 => window.as_f64() / round_trip,
            _ => f64::INFINITY,
        };
        [(by_stream, StreamLimit::Given), (by_core, StreamLimit::Core), (by_window, StreamLimit::Window)]
            .into_iter()
            .fold(
                (f64::INFINITY, StreamLimit::Given),
                |least, each| if each.0 < least.0 { each } else { least },
            )
    }
}

/// What limits a single stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamLimit {
    /// The transport's `per_stream`.
    Given,
    /// One core at the slower end.
    Core,
    /// The window, over the round trip.
    Window,
    /// No stream at all: a copy within a host.
    LocalCopy,
}
