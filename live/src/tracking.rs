//! Which pages a guest has written since one last looked.
//!
//! The kernel's own way is `userfault`; where it has none, `hashes` compares all memory with what it
//! was, which takes a hundred times as long.

mod hashes;
pub(crate) mod missing;
mod userfault;

use std::fmt;
use std::sync::OnceLock;

use sim_core::{Bytes, Pages};

use crate::bitmap::Bitmap;
use crate::error::LiveError;
use crate::memory::Memory;

/// How dirty memory is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// userfaultfd's asynchronous write protection and PAGEMAP_SCAN, of Linux 6.7 and later.
    Userfault,
    /// Comparing hashes of all pages.
    Hashes,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Userfault => "userfaultfd write protection (PAGEMAP_SCAN)",
            Method::Hashes => {
                "hashes of all pages (slow; Linux 6.7 and vm.unprivileged_userfaultfd=1 or root would be fast)"
            }
        })
    }
}

/// The best method that this machine has.
pub fn best_method() -> Method {
    static BEST: OnceLock<Method> = OnceLock::new();
    *BEST.get_or_init(|| {
        let works = Memory::new(Pages::new(1)).and_then(|memory| {
            let mut tracker = userfault::Userfault::begin(&memory)?;
            tracker.scan(&mut Bitmap::none(1))
        });
        match works {
            Ok(()) => Method::Userfault,
            Err(error) => {
                tracing::warn!(%error, "dirty memory is found by {}", Method::Hashes);
                Method::Hashes
            }
        }
    })
}

/// Follows what is written to one memory.
#[derive(Debug)]
pub(crate) struct Tracker(Way);

#[derive(Debug)]
enum Way {
    Userfault(userfault::Userfault),
    Hashes(hashes::Hashes),
}

impl Tracker {
    /// Begins to follow `memory`, which must live longer: everything is clean now.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system does not have the method.
    pub(crate) fn begin(method: Method, memory: &Memory) -> Result<Tracker, LiveError> {
        Ok(Tracker(match method {
            Method::Userfault => Way::Userfault(userfault::Userfault::begin(memory)?),
            Method::Hashes => Way::Hashes(hashes::Hashes::begin(memory)),
        }))
    }

    /// Adds the pages written since the last look, or since the beginning; they are clean then.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system fails.
    pub(crate) fn scan(&mut self, memory: &Memory, written: &mut Bitmap) -> Result<(), LiveError> {
        match &mut self.0 {
            Way::Userfault(userfault) => userfault.scan(written),
            Way::Hashes(hashes) => {
                hashes.scan(memory, written);
                Ok(())
            }
        }
    }
}

/// A tracker with the set that it fills: how much was written from look to look.
#[derive(Debug)]
pub struct Scans {
    tracker: Tracker,
    written: Bitmap,
}

impl Scans {
    /// Begins to follow `memory`, which must live longer.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system does not have the method.
    pub fn begin(method: Method, memory: &Memory) -> Result<Scans, LiveError> {
        Ok(Scans { tracker: Tracker::begin(method, memory)?, written: Bitmap::none(memory.pages()) })
    }

    /// What was written since the last look.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system fails.
    pub fn scan(&mut self, memory: &Memory) -> Result<Bytes, LiveError> {
        self.tracker.scan(memory, &mut self.written)?;
        let bytes = self.written.bytes();
        while self.written.take_from(0).is_some() {}
        Ok(bytes)
    }
}
