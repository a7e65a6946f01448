//! Dirty pages by userfaultfd's asynchronous write protection and PAGEMAP_SCAN (Linux 6.7).
//!
//! The kernel takes the first write to a protected page as a fault that it resolves itself, at 1 to 5 µs;
//! PAGEMAP_SCAN finds the pages so marked and protects them again in one walk of the page table.
//! Sources: Documentation/admin-guide/mm/{userfaultfd,pagemap}.rst, include/uapi/linux/{userfaultfd,fs}.h.
//!
//! Needs root or `vm.unprivileged_userfaultfd=1`. Sees writes of this process through this
//! mapping only, which is all there is here.

#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::bitmap::Bitmap;
use crate::error::LiveError;
use crate::memory::{Memory, PAGE};

pub(super) const UFFDIO_API: c_ulong = 0xC018_AA3F;
pub(super) const UFFDIO_REGISTER: c_ulong = 0xC020_AA00;
const UFFDIO_WRITEPROTECT: c_ulong = 0xC018_AA06;
const PAGEMAP_SCAN: c_ulong = 0xC060_6610;

pub(super) const API_VERSION: u64 = 0xAA;
const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const FEATURE_WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 1 << 1;
const WRITEPROTECT_MODE_WP: u64 = 1 << 0;
const PM_SCAN_WP_MATCHING: u64 = 1 << 0;
const PM_SCAN_CHECK_WPASYNC: u64 = 1 << 1;
const PAGE_IS_WRITTEN: u64 = 1 << 1;

/// Runs of written pages that one call can report.
const MOST_REGIONS: usize = 4096;

#[repr(C)]
pub(super) struct Api {
    pub(super) api: u64,
    pub(super) features: u64,
    pub(super) ioctls: u64,
}

#[repr(C)]
pub(super) struct Register {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) mode: u64,
    pub(super) ioctls: u64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    length: u64,
    mode: u64,
}

#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_length: u64,
    most_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_any_of_mask: u64,
    return_mask: u64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Follows one memory. Dropping it ends the protection.
#[derive(Debug)]
pub(super) struct Userfault {
    /// Open as long as the memory is protected.
    _descriptor: OwnedFd,
    pagemap: File,
    start: u64,
    end: u64,
    regions: Vec<Region>,
}

impl Userfault {
    /// Protects all of `memory`.
    pub(super) fn begin(memory: &Memory) -> Result<Userfault, LiveError> {
        let descriptor = open_with(0)?;
        let mut api = Api {
            api: API_VERSION,
            features: FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC,
            ioctls: 0,
        };
        call(&descriptor, UFFDIO_API, &mut api, "have write protection without fault handling")?;
        let (start, length) = (memory.address(), memory.size().get());
        let mut register = Register { start, length, mode: REGISTER_MODE_WP, ioctls: 0 };
        call(&descriptor, UFFDIO_REGISTER, &mut register, "follow a guest's memory")?;
        let mut protect = WriteProtect { start, length, mode: WRITEPROTECT_MODE_WP };
        call(&descriptor, UFFDIO_WRITEPROTECT, &mut protect, "protect a guest's memory")?;
        let pagemap = File::open("/proc/self/pagemap").map_err(LiveError::system("open the page map"))?;
        let regions = vec![Region::default(); MOST_REGIONS];
        Ok(Userfault { _descriptor: descriptor, pagemap, start, end: start + length, regions })
    }

    /// Adds what was written, and protects it again.
    pub(super) fn scan(&mut self, written: &mut Bitmap) -> Result<(), LiveError> {
        let mut from = self.start;
        while from < self.end {
            let mut arguments = ScanArguments {
                size: size_of::<ScanArguments>() as u64,
                flags: PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
                start: from,
                end: self.end,
                regions: self.regions.as_mut_ptr() as u64,
                regions_length: MOST_REGIONS as u64,
                category_mask: PAGE_IS_WRITTEN,
                return_mask: PAGE_IS_WRITTEN,
                ..ScanArguments::default()
            };
            let found = call(&self.pagemap, PAGEMAP_SCAN, &mut arguments, "look for written pages")?;
            for region in &self.regions[..found.min(MOST_REGIONS)] {
                written.insert(self.page(region.start), self.page(region.end));
            }
            if arguments.walk_end <= from {
                let stuck = io::Error::other("the walk does not go on");
                return Err(LiveError::system("look for written pages")(stuck));
            }
            from = arguments.walk_end;
        }
        Ok(())
    }

    fn page(&self, address: u64) -> usize {
        ((address - self.start) as usize) / PAGE
    }
}

/// Opens userfaultfd, with these flags beside our own.
pub(super) fn open_with(flags: i32) -> Result<OwnedFd, LiveError> {
    // SAFETY: the call takes flags only and gives a new descriptor, or a negative number.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK | flags) };
    if descriptor < 0 {
        return Err(LiveError::system("open userfaultfd")(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// An ioctl whose argument is a `T`, as the request's number says.
pub(super) fn call<T>(
    descriptor: &impl AsRawFd,
    request: c_ulong,
    argument: &mut T,
    what: &str,
) -> Result<usize, LiveError> {
    debug_assert_eq!((request >> 16) as usize & 0x3FFF, size_of::<T>(), "the size in the request's number");
    // SAFETY: `argument` is valid for reads and writes of the size that the request's number
    // carries. The addresses within it are those of a mapping and of a buffer that live longer than
    // the call, the buffer with the length that stands beside it.
    let result = unsafe { libc::ioctl(descriptor.as_raw_fd(), request as _, std::ptr::from_mut(argument)) };
    usize::try_from(result).map_err(|_| LiveError::system(what)(io::Error::last_os_error()))
}
