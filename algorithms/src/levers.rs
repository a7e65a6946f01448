//! What can be set for a migration on a hypervisor that has a page loop of its own.
//!
//! Only data: `live` sets it, and says where a hypervisor does not have it.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::hypervisor_loop::PostCopy;
use crate::policy::{self, PostCopyStart, Qemu, Slowing};

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

impl QemuLevers {
    /// The levers that have QEMU do what `policy` says, as far as there are such.
    pub fn of(policy: Qemu) -> QemuLevers {
        let auto_converge = match &policy.slowing {
            Slowing::AutoConverge(_) => AutoConverge::On,
            Slowing::Off | Slowing::DirtyLimit(_) => AutoConverge::Off,
        };
        let post_copy = match policy.post_copy {
            // QEMU looks at it when a first pass has ended.
            PostCopyStart::AfterPasses(passes) => PostCopy::AfterPasses(passes.max(1)),
            PostCopyStart::After(after) => PostCopy::After(after),
            PostCopyStart::Never => PostCopy::Never,
        };
        let xbzrle_cache = policy.xbzrle.map(|xbzrle| xbzrle.cache);
        QemuLevers { policy, auto_converge, post_copy, xbzrle_cache, ..QemuLevers::default() }
    }

    /// The rules by which QEMU goes with these levers, as a simulation has them.
    pub fn rules(&self) -> Qemu {
        let slowing = match (self.auto_converge, &self.policy.slowing) {
            (AutoConverge::On, given @ Slowing::AutoConverge(_)) => given.clone(),
            (AutoConverge::On, _) => Slowing::AutoConverge(policy::AutoConverge::default()),
            (AutoConverge::Off, _) => Slowing::Off,
        };
        let post_copy = match self.post_copy {
            PostCopy::Never => PostCopyStart::Never,
            PostCopy::AfterPasses(passes) => PostCopyStart::AfterPasses(passes),
            PostCopy::After(after) => PostCopyStart::After(after),
        };
        Qemu { slowing, post_copy, ..self.policy.clone() }
    }

    /// What of the policy no lever of QEMU stands for here, and what could be said instead.
    pub fn not_set(&self) -> Option<&'static str> {
        let limited = matches!(self.policy.slowing, Slowing::DirtyLimit(_));
        (limited && self.auto_converge == AutoConverge::Off).then_some(
            "a dirty limit needs KVM's dirty ring and is simulated only; live: (auto_converge: true) slows real \
             guests down",
        )
    }
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
