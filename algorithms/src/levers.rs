//! What can be set for a migration on a hypervisor that has a page loop of its own.
//!
//! Only data: `live` sets it, and says where a hypervisor does not have it.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::hypervisor_loop::PostCopy;
use crate::policy::Qemu;

/// QEMU's capabilities and parameters of migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct QemuLevers {
    /// `downtime-limit` and `max-bandwidth`.
    pub policy: Qemu,
    /// Hold the guest back where it dirties memory too fast.
    pub auto_converge: AutoConverge,
    /// When to go over to post-copy.
    pub post_copy: PostCopy,
    /// Streams; `None` for the one stream of old.
    pub multifd_channels: Option<u8>,
    /// Send what changed within a page that was sent before; the size of the cache for that.
    pub xbzrle_cache: Option<Bytes>,
    /// Compress pages.
    pub compression: Compression,
}

/// Whether QEMU holds the guest back where it dirties memory too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AutoConverge {
    /// It does not.
    #[default]
    Off,
    /// It does: by 20 %, then by 10 % more, at most by 99 %.
    On,
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// They are not.
    #[default]
    None,
    /// The streams of multifd with zlib.
    Zlib,
    /// The streams of multifd with zstd.
    Zstd,
    /// By threads of their own, with zlib: the `compress` capability, up to QEMU 9.0.
    Threads,
}
