//! Memory whose pages are still to come: userfaultfd's missing mode, for post-copy.
//!
//! A thread that touches a page that is not there waits, and the kernel says so; it goes on when the page
//! is put in place, whole. (The mode is as old as userfaultfd, Linux 4.3. Guests' memory is touched from user mode
//! only, which since Linux 5.11 needs no privilege: `UFFD_USER_MODE_ONLY`.)
//! Sources: Documentation/admin-guide/mm/userfaultfd.rst, include/uapi/linux/userfaultfd.h.

#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use sim_core::Pages;

use super::userfault::{API_VERSION, Api, Register, UFFDIO_API, UFFDIO_REGISTER, call, open_with};
use crate::bitmap::Bitmap;
use crate::error::LiveError;
use crate::memory::{Memory, PAGE};

const UFFDIO_UNREGISTER: c_ulong = 0x8010_AA01;
const UFFDIO_WAKE: c_ulong = 0x8010_AA02;
const UFFDIO_COPY: c_ulong = 0xC028_AA03;
const UFFDIO_ZEROPAGE: c_ulong = 0xC020_AA04;
const REGISTER_MODE_MISSING: u64 = 1 << 0;
const USER_MODE_ONLY: i32 = 1;
const EVENT_PAGEFAULT: u8 = 0x12;

/// Faults that are read at a time.
const MOST_FAULTS: usize = 64;

#[repr(C)]
struct Range {
    start: u64,
    length: u64,
}

#[repr(C)]
struct CopyIn {
    destination: u64,
    source: u64,
    length: u64,
    mode: u64,
    copied: i64,
}

#[repr(C)]
struct ZeroPage {
    start: u64,
    length: u64,
    mode: u64,
    zeroed: i64,
}

/// What the kernel tells: 32 bytes, of which a fault's address is the third eight.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Message {
    event: u8,
    reserved: [u8; 7],
    flags: u64,
    address: u64,
    thread: u64,
}

/// A memory of which pages are missing. Dropping it lets its threads go on with pages of zeros.
#[derive(Debug)]
pub(crate) struct Missing {
    descriptor: OwnedFd,
    memory: Arc<Memory>,
}

/// Fails where this machine cannot have memory whose pages follow.
///
/// # Errors
///
/// [`LiveError::Absent`], with what it needs.
pub(crate) fn probe() -> Result<(), LiveError> {
    let memory = Arc::new(Memory::new(Pages::new(1))?);
    Missing::begin(memory, &Bitmap::all(1)).map(drop).map_err(|error| LiveError::Absent {
        what: "post-copy".into(),
        needed: format!("userfaultfd with missing pages, of Linux 5.11 or root ({error})"),
    })
}

impl Missing {
    /// Throws the content of these pages away: who touches one waits until it is [put in](Missing::fill).
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the kernel has no such thing.
    pub(crate) fn begin(memory: Arc<Memory>, missing: &Bitmap) -> Result<Missing, LiveError> {
        let descriptor = open_with(USER_MODE_ONLY)?;
        let mut api = Api { api: API_VERSION, features: 0, ioctls: 0 };
        call(&descriptor, UFFDIO_API, &mut api, "have page faults told")?;
        let (start, length) = (memory.address(), memory.size().get());
        let mut register = Register { start, length, mode: REGISTER_MODE_MISSING, ioctls: 0 };
        call(&descriptor, UFFDIO_REGISTER, &mut register, "follow missing pages of a guest")?;
        for (from, to) in missing.runs() {
            memory.discard(from, to)?;
        }
        Ok(Missing { descriptor, memory })
    }

    /// Pages that somebody waits for; none, where nobody comes to that within `patience`.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the kernel fails.
    pub(crate) fn faults(&self, patience: Duration) -> Result<Vec<usize>, LiveError> {
        let failed = LiveError::system("read page faults");
        let mut poll = libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid `pollfd`, for the time of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, patience) };
        if ready <= 0 {
            return Ok(vec![]);
        }
        let mut messages = [Message::default(); MOST_FAULTS];
        // SAFETY: the buffer is valid for writes of its size, and any bytes are a `Message`.
        let read = unsafe {
            let size = size_of_val(&messages);
            libc::read(self.descriptor.as_raw_fd(), messages.as_mut_ptr().cast(), size)
        };
        let Ok(read) = usize::try_from(read) else {
            let error = io::Error::last_os_error();
            let nothing = error.kind() == io::ErrorKind::WouldBlock;
            return if nothing { Ok(vec![]) } else { Err(failed(error)) };
        };
        let told = messages.iter().take(read / size_of::<Message>());
        let faults = told.filter(|message| message.event == EVENT_PAGEFAULT);
        let page =
            |message: &Message| (message.address.saturating_sub(self.memory.address()) as usize) / PAGE;
        Ok(faults.map(page).filter(|page| *page < self.memory.pages()).collect())
    }

    /// Puts a page in place, whose content is `bytes`, and lets those go on who wait for it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it is there already, or the kernel fails.
    pub(crate) fn fill(&self, page: usize, bytes: &[u8]) -> Result<(), LiveError> {
        assert!(bytes.len() == PAGE && page < self.memory.pages());
        let (destination, source) = (self.address(page), bytes.as_ptr() as u64);
        let mut copy = CopyIn { destination, source, length: PAGE as u64, mode: 0, copied: 0 };
        call(&self.descriptor, UFFDIO_COPY, &mut copy, "put a page in place").map(drop)
    }

    /// Puts a page of zeros in place, if none is there, and lets those go on who wait for it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the kernel fails.
    pub(crate) fn fill_zero(&self, page: usize) -> Result<(), LiveError> {
        let (start, length) = (self.address(page), PAGE as u64);
        let mut zero = ZeroPage { start, length, mode: 0, zeroed: 0 };
        match call(&self.descriptor, UFFDIO_ZEROPAGE, &mut zero, "put a page in place") {
            Err(LiveError::System { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                self.wake(page)
            }
            result => result.map(drop),
        }
    }

    /// Lets those go on who waited for a page that is there.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the kernel fails.
    pub(crate) fn wake(&self, page: usize) -> Result<(), LiveError> {
        let mut range = Range { start: self.address(page), length: PAGE as u64 };
        call(&self.descriptor, UFFDIO_WAKE, &mut range, "wake a guest").map(drop)
    }

    fn address(&self, page: usize) -> u64 {
        self.memory.address() + (page * PAGE) as u64
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        let mut range = Range { start: self.memory.address(), length: self.memory.size().get() };
        if let Err(error) = call(&self.descriptor, UFFDIO_UNREGISTER, &mut range, "let memory be") {
            tracing::warn!(%error, "memory is still followed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// A thread waits for a page until it is there, and finds what was put in.
    #[test]
    fn who_touches_a_missing_page_waits_for_it() {
        if let Err(error) = probe() {
            assert!(std::env::var_os("CI_REQUIRE_LIVE").is_none(), "{error}");
            eprintln!("NOT TESTED: {error}");
            return;
        }
        let memory = Arc::new(Memory::new(Pages::new(4)).expect("memory"));
        for page in 0..4 {
            memory.words(page)[0].store(7, Ordering::Relaxed);
        }
        let mut gone = Bitmap::none(4);
        gone.insert(1, 3);
        let missing = Missing::begin(Arc::clone(&memory), &gone).expect("missing pages");
        assert_eq!(memory.words(3)[0].load(Ordering::Relaxed), 7, "that one stayed");
        let reader = Arc::clone(&memory);
        let reader = std::thread::spawn(move || reader.words(2)[0].load(Ordering::Relaxed));
        let mut faults = vec![];
        while faults.is_empty() {
            faults = missing.faults(Duration::from_millis(100)).expect("faults");
        }
        assert_eq!(faults, [2]);
        assert!(!reader.is_finished());
        let content = 9_u64.to_ne_bytes().repeat(PAGE / 8);
        missing.fill(2, &content).expect("put in place");
        assert_eq!(reader.join().expect("it reads"), 9);
        missing.fill_zero(2).expect("nothing to do");
        drop(missing);
        assert_eq!(memory.words(1)[0].load(Ordering::Relaxed), 0, "nobody is left waiting");
    }
}
