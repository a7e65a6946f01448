//! The threads that read and write a guest's disks, one for each disk that is used.
//!
//! They do so at the disk's rates, as long as the disk lets them: one that is slower, or whose writes go to
//! a copy that is, holds the guest up. What is due meanwhile is not made up for beyond a moment.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::writers::{MOST_LATE, Signal, Wanted, wait};
use crate::disk::Disk;
use crate::error::LiveError;
use crate::stamp::mix;
use crate::sync::lock;

/// The threads of one guest's disks.
#[derive(Debug)]
pub(super) struct DiskIo {
    signal: Arc<Signal>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    /// Where the chance is that says where reads and writes fall. Held by the thread while it does them.
    chance: Arc<Mutex<u64>>,
    handle: Option<JoinHandle<()>>,
}

impl DiskIo {
    /// Threads that stand still. `chances` says where each disk goes on; a new guest's begin by its seed.
    pub(super) fn paused(
        name: &str,
        disks: &[Arc<Disk>],
        chances: impl Iterator<Item = u64>,
    ) -> Result<DiskIo, LiveError> {
        let signal = Arc::new(Signal::new());
        let mut made = DiskIo { signal: Arc::clone(&signal), threads: Vec::new() };
        for (disk, chance) in disks.iter().zip(chances) {
            let chance = Arc::new(Mutex::new(chance));
            let (own, disk, signal) = (Arc::clone(&chance), Arc::clone(disk), Arc::clone(&signal));
            let thread = std::thread::Builder::new().name(format!("disk of {name}"));
            let handle = thread.spawn(move || work(&own, &disk, &signal));
            let handle = Some(handle.map_err(LiveError::system("start a thread of a guest's disk"))?);
            made.threads.push(Thread { chance, handle });
        }
        Ok(made)
    }

    /// Waits until no thread reads or writes; where the chance of each is.
    pub(super) fn pause(&self) -> Vec<u64> {
        self.signal.want(Wanted::Paused);
        self.threads.iter().map(|thread| *lock(&thread.chance)).collect()
    }

    /// Has the threads stand still, and does not wait for it.
    pub(super) fn halt(&self) {
        self.signal.want(Wanted::Paused);
    }

    pub(super) fn resume(&self) {
        self.signal.want(Wanted::Running);
    }
}

impl Drop for DiskIo {
    fn drop(&mut self) {
        self.signal.want(Wanted::Stopped);
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // One that panicked has said so.
                let _ = handle.join();
            }
        }
    }
}

/// Where the chance of a new guest's disk begins.
pub(super) fn first_chance(seed: u64, number: u32) -> u64 {
    mix(seed ^ mix(u64::from(number) | 1 << 63))
}

/// What a thread does until it is stopped.
fn work(chance: &Mutex<u64>, disk: &Disk, signal: &Signal) {
    let (read, write) = (disk.spec().read.as_f64(), disk.spec().write.as_f64());
    let mut looked = Instant::now();
    // Bytes that are due.
    let (mut to_read, mut to_write) = (0.0, 0.0);
    loop {
        match wait(signal) {
            Wanted::Stopped => return,
            // Time in which the guest stood still is not worked off.
            Wanted::Paused => looked = Instant::now(),
            Wanted::Running => {
                let now = Instant::now();
                let passed = (now - looked).min(MOST_LATE).as_secs_f64();
                looked = now;
                let mut chance = lock(chance);
                to_read += passed * read;
                to_write += passed * write;
                while to_write > 0.0 && signal.goes() {
                    to_write -= disk.write_somewhere(&mut chance) as f64;
                }
                while to_read > 0.0 && signal.goes() {
                    to_read -= disk.read_somewhere(&mut chance) as f64;
                }
            }
        }
    }
}
