//! What a hypervisor knows of pages: which were written again, and what one costs on its stream.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, PAGE_SIZE};

/// How a hypervisor learns which pages were written since it sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tracking {
    /// The log is read and cleared when a round begins. A page written before its turn is sent in this
    /// round and in the next.
    #[default]
    AtCount,
    /// The log is read when a pass begins, and cleared piece by piece, each before its first page is
    /// sent. What is written between reading and clearing is sent once only.
    ///
    /// QEMU since 4.1 with KVM's `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`: `clear_bitmap_shift` 18, pieces of
    /// 2^18 pages (`ramblock_sync_dirty_bitmap`, `migration_clear_memory_region_dirty_bitmap`).
    Chunks(Bytes),
    /// As [`Tracking::AtCount`], but a page that was written again when its turn comes is left to the
    /// next round (Xen's `to_skip` in `xc_domain_save.c`; Clark et al., NSDI 2005, §5.2).
    Skipping,
}

/// What pages cost on the stream, transports aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCosts {
    /// Bytes before each page of content.
    pub header: u32,
    /// Bytes of a page that holds only zeros; `None` where it is sent like any other.
    pub zero_page: Option<u32>,
}

impl PageCosts {
    /// Bytes on the stream for so many bytes of pages with content and of zero pages.
    pub fn transferred(self, content: f64, zero: f64) -> f64 {
        let page = PAGE_SIZE as f64;
        let whole = (page + f64::from(self.header)) / page;
        let zero_page = self.zero_page.map_or(whole, |bytes| f64::from(bytes) / page);
        content * whole + zero * zero_page
    }
}
