//! Synthetic guests: memory that real threads write as the scenario's workload says.
//!
//! Every page that a guest writes is [stamped](crate::stamp), and the guest keeps beside its memory how
//! often it wrote each page. A page that says otherwise is a lost or torn write: the guest
//! looks before it writes a page again, [`Guest::verify`] looks at all, and the destination of a
//! migration at each that arrives.

mod disk_io;
mod layout;
mod table;
mod workers;
mod workload;
mod writers;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use models::workload::Workload;
use serde::{Deserialize, Serialize};
use sim_core::{Bytes, Pages};

use self::layout::Layout;
use crate::disk::{Disk, DiskProof, DiskSpec, DiskState};
use crate::error::LiveError;
use crate::memory::Memory;
use crate::protocol::Activity;
use crate::sync::lock;
use crate::{stamp, storage};
use disk_io::{disk_io, first_chance};
pub use table::{Table, digest};
use workers::Workers;
use workload::Plan;
use workload::Writer;
pub use workload::WriterState;
use writers::writers;

/// Threads that one guest may have for each of its classes of memory.
pub const MOST_THREADS: u32 = 64;

/// Wrong pages that are told of; more say no more.
const MOST_WRONG: usize = 8;

/// What a synthetic guest is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestSpec {
    /// Its name.
    pub name: String,
    /// Its memory, in whole pages.
    pub memory: Bytes,
    /// How it writes its memory.
    pub workload: Workload,
    /// Threads that write, for each class of memory.
    pub threads: u32,
    /// Seed of where its writes fall.
    pub seed: u64,
    /// How many times smaller its memory gets by compression, 1 or more.
    pub compression_ratio: f64,
    /// The share of its memory that is never written and so is zero.
    pub zero_share: f64,
    /// Its disks, and where they are.
    #[serde(default)]
    pub disks: Vec<DiskSpec>,
}

impl GuestSpec {
    /// A guest of one thread, none of whose memory is zero.
    pub fn new(name: impl Into<String>, memory: Bytes, workload: Workload) -> GuestSpec {
        GuestSpec {
            name: name.into(),
            memory,
            workload,
            threads: 1,
            seed: 1,
            compression_ratio: 2.3,
            zero_share: 0.0,
            disks: vec![],
        }
    }

    /// Its memory in pages.
    pub fn pages(&self) -> Pages {
        self.memory.pages()
    }

    /// How many of them are written when it is made; all where its working set needs them.
    pub(crate) fn written_pages(&self) -> u64 {
        let pages = self.pages().get();
        let written = ((1.0 - self.zero_share) * pages as f64).round() as u64;
        written.max(self.workload.working_set().pages().get()).min(pages)
    }

    /// What is wrong with it, if anything: it may come from a stranger's file.
    pub fn problem(&self) -> Option<String> {
        let name_is_file = !self.name.is_empty()
            && self.name.len() <= 100
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !self.name.starts_with('.');
        if !name_is_file {
            return Some("a guest's name has 1 to 100 letters, digits, `-`, `_` and `.`".into());
        }
        if self.workload.working_set() > self.memory {
            return Some("the working set is larger than the memory".into());
        }
        if !(1..=MOST_THREADS).contains(&self.threads) {
            return Some(format!("a guest has 1 to {MOST_THREADS} threads"));
        }
        if !(0.0..=1.0).contains(&self.zero_share) || !self.compression_ratio.is_finite() {
            return Some("the share of zeros is 0 to 1, and the compression ratio a number".into());
        }
        storage::problem(&self.disks).or_else(|| Plan::new(self).err())
    }
}

/// What a guest goes on from, beside its memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestState {
    /// Where each writing thread is.
    pub writers: Vec<WriterState>,
    /// Writes made so far.
    pub writes: u64,
    /// Each disk.
    #[serde(default)]
    pub disks: Vec<DiskState>,
}

/// A synthetic guest that exists here.
#[derive(Debug)]
pub struct Guest {
    spec: GuestSpec,
    body: Arc<Body>,
    writers: Mutex<Workers<Writer>>,
    disks: Vec<Arc<Disk>>,
    disk_io: Mutex<Workers<u64>>,
}

/// What the writing threads share.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) memory: Arc<Memory>,
    pub(crate) table: Arc<Table>,
    pub(crate) random: usize,
    pub(crate) layout: Layout,
    pub(crate) writes: AtomicU64,
    /// Thousandths of writes that it would have made at full speed.
    pub(crate) due: AtomicU64,
    /// The share of its time, in percent, in which it may not write.
    throttle: AtomicU32,
    /// What was found wrong by the guest itself.
    pub(crate) wrong: Mutex<Vec<String>>,
}

impl Body {
    fn new(spec: &GuestSpec, memory: Arc<Memory>, table: Arc<Table>, writes: u64) -> Arc<Body> {
        let random = stamp::random_words(spec.compression_ratio);
        let (writes, due, throttle) = (AtomicU64::new(writes), AtomicU64::new(0), AtomicU32::new(0));
        let layout = Layout::new(spec.pages().get(), spec.written_pages());
        Arc::new(Body { memory, table, random, layout, writes, due, throttle, wrong: Mutex::default() })
    }

    /// How fast it runs, 1 where it is not throttled.
    pub(crate) fn speed(&self) -> f64 {
        1.0 - f64::from(self.throttle.load(Ordering::Relaxed).min(100)) / 100.0
    }

    /// Writes a page once more. Only one thread at a time may write a page.
    pub(crate) fn write(&self, page: usize) {
        let sequence = self.table.begin_write(page);
        stamp::write(self.memory.words(page), page as u64, sequence, self.random);
        self.table.end_write(page, sequence);
    }

    /// Notes what is wrong with a page that nobody writes just now.
    pub(crate) fn check(&self, page: usize) {
        if let Some(wrong) = self.table.problem(&self.memory, page) {
            let mut list = lock(&self.wrong);
            if list.len() < MOST_WRONG {
                list.push(wrong);
            }
        }
    }
}

impl Guest {
    /// Makes a guest without disks, fills its memory and starts it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it is none, or the system has not so much memory.
    pub fn boot(spec: GuestSpec) -> Result<Guest, LiveError> {
        Guest::boot_with(spec, vec![])
    }

    /// The same with these disks.
    pub(crate) fn boot_with(spec: GuestSpec, disks: Vec<Arc<Disk>>) -> Result<Guest, LiveError> {
        if let Some(reason) = spec.problem() {
            return Err(LiveError::Declined { agent: "this host".into(), reason });
        }
        let memory = Memory::new(spec.pages())?;
        let pages = memory.pages();
        let body = Body::new(&spec, Arc::new(memory), Arc::new(Table::new(pages)), 0);
        for number in 0..spec.written_pages() {
            body.write(body.layout.page(number as usize));
        }
        let plan =
            Plan::new(&spec).map_err(|reason| LiveError::Declined { agent: "this host".into(), reason })?;
        let writers = writers(&spec.name, plan.writers, &body)?;
        let chances = (0..).map(|number| first_chance(spec.seed, number));
        let disk_io = disk_io(&spec.name, &disks, chances)?;
        let guest = Guest { spec, body, writers: Mutex::new(writers), disks, disk_io: Mutex::new(disk_io) };
        guest.resume();
        Ok(guest)
    }

    /// Makes a guest of memory that came from elsewhere, and of its disks. It stands still until
    /// [`Guest::resume`].
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the state is not of such a guest.
    pub(crate) fn restore(
        spec: GuestSpec,
        (memory, table): (Arc<Memory>, Arc<Table>),
        disks: Vec<Arc<Disk>>,
        state: GuestState,
    ) -> Result<Guest, LiveError> {
        let declined = |reason| LiveError::Declined { agent: "this host".into(), reason };
        let mut plan = Plan::new(&spec).map_err(declined)?;
        plan.go_on_from(&state.writers).map_err(declined)?;
        let body = Body::new(&spec, memory, table, state.writes);
        let writers = writers(&spec.name, plan.writers, &body)?;
        if state.disks.len() != disks.len() {
            let (came, expected) = (state.disks.len(), disks.len());
            return Err(declined(format!("the state of {came} disks came, of {expected} was expected")));
        }
        let disk_io = disk_io(&spec.name, &disks, state.disks.iter().map(|disk| disk.chance))?;
        Ok(Guest { spec, body, writers: Mutex::new(writers), disks, disk_io: Mutex::new(disk_io) })
    }

    /// What it is. Where its disks are may have changed since: see [`Guest::spec_now`].
    pub fn spec(&self) -> &GuestSpec {
        &self.spec
    }

    /// What it is, and where its disks are now.
    pub fn spec_now(&self) -> GuestSpec {
        let disks = self.disks.iter().map(|disk| disk.spec()).collect();
        GuestSpec { disks, ..self.spec.clone() }
    }

    /// Its disks.
    pub(crate) fn disks(&self) -> &[Arc<Disk>] {
        &self.disks
    }

    /// Its memory.
    pub fn memory(&self) -> &Memory {
        &self.body.memory
    }

    /// Writes made so far, here and before.
    pub fn writes(&self) -> u64 {
        self.body.writes.load(Ordering::Relaxed)
    }

    /// Writes that it would have made here so far if nothing had slowed it down.
    pub(crate) fn due(&self) -> f64 {
        self.body.due.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Whether it runs.
    pub fn activity(&self) -> Activity {
        lock(&self.writers).activity()
    }

    /// Stops it between two writes; what it would go on from.
    pub fn pause(&self) -> GuestState {
        let writers = lock(&self.writers).pause(Writer::state);
        let chances = lock(&self.disk_io).pause(|chance| *chance);
        let state = |(disk, chance): (&Arc<Disk>, u64)| DiskState { digest: disk.digest(), chance };
        let disks = self.disks.iter().zip(chances).map(state).collect();
        GuestState { writers, writes: self.writes(), disks }
    }

    /// Has it stand still as soon as it can, and does not wait for that: it may be waiting for memory.
    pub(crate) fn halt(&self) {
        lock(&self.writers).halt();
        lock(&self.disk_io).halt();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        lock(&self.writers).resume();
        lock(&self.disk_io).resume();
    }

    /// Keeps it from writing for this share of its time, in percent.
    pub fn throttle(&self, percent: u32) {
        self.body.throttle.store(percent, Ordering::Relaxed);
    }

    /// What its memory must be, where it stands still.
    pub fn digest(&self) -> u64 {
        digest(&self.body.table)
    }

    /// Looks at every page, while it runs; what is wrong with the first few that are.
    pub fn verify(&self) -> Vec<String> {
        let mut wrong = lock(&self.body.wrong).clone();
        for page in 0..self.body.memory.pages() {
            if wrong.len() >= MOST_WRONG {
                break;
            }
            wrong.extend(self.body.table.problem(&self.body.memory, page));
        }
        wrong
    }

    /// Looks at every sector of its disks, while it runs.
    pub(crate) fn verify_disks(&self) -> (DiskProof, Vec<String>) {
        let mut all = (DiskProof::default(), Vec::new());
        for (proof, wrong) in self.disks.iter().map(|disk| disk.verify()) {
            all.0.sectors += proof.sectors;
            all.0.writes += proof.writes;
            all.1.extend(wrong);
        }
        all
    }
}
