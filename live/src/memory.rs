//! The memory of a synthetic guest: pages of its own, written and read by several threads.
//!
//! Every word is an atomic, so that a page can be copied while the guest writes it: what is read then
//! may be torn, as it may in a hypervisor, and will be sent again.

#![allow(unsafe_code)]

mod exchange;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use sim_core::{Bytes, PAGE_SIZE, Pages};

use crate::error::LiveError;

/// Bytes in a page.
pub const PAGE: usize = PAGE_SIZE as usize;

/// 64-bit words in a page.
pub const WORDS: usize = PAGE / 8;

/// More pages than this no guest has: page numbers are 32 bits on the wire.
pub const MOST_PAGES: u64 = u32::MAX as u64;

/// A region of private memory, zero at first.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<AtomicU64>,
    pages: usize,
}

// SAFETY: the region belongs to this value alone until it is dropped, and is reached only as
// atomics, which any thread may use.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves `pages`; the system gives each when it is first written.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where there is not so much address space.
    pub fn new(pages: Pages) -> Result<Memory, LiveError> {
        let needed = format!("1 to {MOST_PAGES} pages; this would be {}", pages.get());
        if pages.get() == 0 || pages.get() > MOST_PAGES {
            return Err(LiveError::Absent { what: "a guest's memory".into(), needed });
        }
        let pages = pages.get() as usize;
        let reserve = || LiveError::system(format!("reserve {pages} pages"));
        // SAFETY: a new private mapping, at an address that the system chooses, touches nothing
        // that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                pages * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(reserve()(std::io::Error::last_os_error()));
        }
        // Dirty pages are tracked one by one; large pages would be split, each at a cost. Where the
        // system has none, it refuses, and all is well too.
        // SAFETY: the range is the mapping just made; the advice changes no content.
        unsafe { libc::madvise(start, pages * PAGE, libc::MADV_NOHUGEPAGE) };
        let start = NonNull::new(start.cast())
            .ok_or_else(|| reserve()(std::io::Error::other("the system gave the null address")))?;
        Ok(Memory { start, pages })
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// How large it is.
    pub fn size(&self) -> Bytes {
        Pages::new(self.pages as u64).bytes()
    }

    /// Its first address, for the system's interfaces.
    pub fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// The words of page `page`.
    ///
    /// # Panics
    ///
    /// If there is no such page.
    pub fn words(&self, page: usize) -> &[AtomicU64; WORDS] {
        assert!(page < self.pages, "page {page} of {}", self.pages);
        // SAFETY: the page lies within the mapping, which lives as long as `self`; every bit
        // pattern is an atomic, and nothing reaches the mapping but as atomics.
        unsafe { &*self.start.as_ptr().add(page * WORDS).cast::<[AtomicU64; WORDS]>() }
    }

    /// Copies a page's content to `into`, which has [`PAGE`] bytes.
    pub fn read_page(&self, page: usize, into: &mut [u8]) {
        for (word, bytes) in self.words(page).iter().zip(into.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
    }

    /// Replaces a page's content by `from`, which has [`PAGE`] bytes.
    pub fn write_page(&self, page: usize, from: &[u8]) {
        for (word, bytes) in self.words(page).iter().zip(from.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
        }
    }

    /// Makes a page zero, without giving it memory where it has none yet.
    pub fn clear_page(&self, page: usize) {
        for word in self.words(page) {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Gives the memory of these pages back; they are zero then.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system fails.
    pub(crate) fn discard(&self, from: usize, to: usize) -> Result<(), LiveError> {
        assert!(from <= to && to <= self.pages, "page {to} of {}", self.pages);
        let (start, length) = (self.start.as_ptr().wrapping_add(from * WORDS), (to - from) * PAGE);
        // SAFETY: the range lies within the mapping, which is private and anonymous; its content is
        // atomics, to which zero is as good as any other.
        let result = unsafe { libc::madvise(start.cast(), length, libc::MADV_DONTNEED) };
        if result == 0 {
            Ok(())
        } else {
            Err(LiveError::system("give memory back")(std::io::Error::last_os_error()))
        }
    }

    /// Whether a page is all zeros.
    pub fn is_zero(&self, page: usize) -> bool {
        self.words(page).iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.pages * PAGE) };
    }
}
