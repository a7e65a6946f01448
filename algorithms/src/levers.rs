//! What can be set for a migration on a hypervisor that has a page loop of its own.
//!
//! The policy says when copying stops, how the VM is slowed down, when post-copy begins and whether differences of
//! pages are sent; it is one value for the simulated and for the real hypervisor, so that a forecast goes by what was
//! set. Only what no policy knows is here. It is data: `live` sets it, and says where a hypervisor does not have it.

use serde::{Deserialize, Serialize};

use crate::policy::{Qemu, Slowing};

/// QEMU's capabilities and parameters of migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct QemuLevers {
    /// `downtime-limit`, `max-bandwidth`, `auto-converge`, `postcopy-ram`, `xbzrle` and what belongs to them.
    pub policy: Qemu,
    /// Streams; `None` for the one stream of old.
    pub multifd_channels: Option<u8>,
    /// Compress pages.
    pub compression: Compression,
}

impl QemuLevers {
    /// Returns the levers that have QEMU do what `policy` says, and nothing else.
    pub fn of(policy: Qemu) -> QemuLevers {
        QemuLevers { policy, ..QemuLevers::default() }
    }

    /// Returns the rule of the policy for which QEMU has no lever here, and what to write instead.
    pub fn not_set(&self) -> Option<&'static str> {
        matches!(self.policy.slowing, Slowing::DirtyLimit(_)).then_some(
            "a dirty limit needs KVM's dirty ring and is simulated only; live: (auto_converge: true) slows real \
             guests down",
        )
    }
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
