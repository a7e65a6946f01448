//! The threads that read and write a guest's disks, one for each disk that is used.
//!
//! They do so at the disk's rates, as long as the disk lets them: one that is slower, or whose writes go to
//! a copy that is, holds the guest up. What is due meanwhile is not made up for beyond a moment.

use std::sync::Arc;

use super::workers::{MOST_LATE, Workers};
use crate::disk::Disk;
use crate::error::LiveError;
use crate::stamp::mix;

/// Threads that stand still. Each one's state is where its chance is, which says where reads and writes fall;
/// `chances` says where each disk goes on.
pub(super) fn disk_io(
    name: &str,
    disks: &[Arc<Disk>],
    chances: impl Iterator<Item = u64>,
) -> Result<Workers<u64>, LiveError> {
    let mut workers = Workers::paused();
    for (disk, chance) in disks.iter().zip(chances) {
        let disk = Arc::clone(disk);
        let (read, write) = (disk.spec().read.as_f64(), disk.spec().write.as_f64());
        // Bytes that are due.
        let (mut to_read, mut to_write) = (0.0, 0.0);
        workers.add(format!("disk of {name}"), chance, move |chance, elapsed, signal| {
            let passed = elapsed.min(MOST_LATE).as_secs_f64();
            to_read += passed * read;
            to_write += passed * write;
            while to_write > 0.0 && signal.goes() {
                to_write -= disk.write_somewhere(chance) as f64;
            }
            while to_read > 0.0 && signal.goes() {
                to_read -= disk.read_somewhere(chance) as f64;
            }
        })?;
    }
    Ok(workers)
}

/// Where the chance of a new guest's disk begins.
pub(super) fn first_chance(seed: u64, number: u32) -> u64 {
    mix(seed ^ mix(u64::from(number) | 1 << 63))
}
