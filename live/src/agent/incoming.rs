//! A guest whose memory is on its way here.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::heartbeats;
use crate::connection::{Connection, is_silence};
use crate::error::LiveError;
use crate::guest::{Guest, GuestSpec, GuestState, Table, digest};
use crate::ledger::declined;
use crate::machine::thread_core_seconds;
use crate::memory::{Memory, PAGE};
use crate::protocol::pages::{Arrived, Decoder};
use crate::protocol::{HandOverAt, ProtocolError, ReceiveRequest};
use crate::steps::{Step, Watch};
use crate::storage::Storage;
use crate::sync::lock;
use crate::tracking::missing;

use super::disks::Arriving;
use super::following::Following;

/// A guest that is coming.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) spec: GuestSpec,
    memory: Arc<Memory>,
    table: Arc<Table>,
    pub(super) disks: Arriving,
    pub(super) following: Following,
    streams: usize,
    progress: Mutex<Progress>,
    changed: Condvar,
    /// Whether the source's control connection is there.
    attended: AtomicBool,
    /// When all has come: stands still until the source decides.
    guest: Mutex<Option<Arc<Guest>>>,
    /// Of a probe, which becomes no guest: when it takes nothing any more.
    probe: Option<Instant>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The last barrier of each stream.
    barriers: Vec<u64>,
    /// Processor time of each stream's thread up to its last barrier, in seconds.
    core_seconds: Vec<f64>,
    /// Nothing more may come.
    sealed: bool,
    failed: Option<String>,
}

impl Incoming {
    pub(super) fn new(request: &ReceiveRequest, storage: &Storage) -> Result<Incoming, LiveError> {
        let memory = Memory::new(request.spec.pages())?;
        let (table, memory) = (Arc::new(Table::new(memory.pages())), Arc::new(memory));
        if request.hand_over == HandOverAt::AnyTime {
            missing::probe()?;
        }
        Ok(Incoming {
            spec: request.spec.clone(),
            following: Following::new(&memory, &table),
            table,
            memory,
            disks: Arriving::new(request, storage)?,
            streams: request.streams as usize,
            progress: Mutex::default(),
            changed: Condvar::new(),
            attended: AtomicBool::new(true),
            guest: Mutex::default(),
            probe: None,
        })
    }

    /// Test memory, which takes pages until `until`.
    pub(super) fn probe(
        request: &ReceiveRequest,
        storage: &Storage,
        until: Instant,
    ) -> Result<Incoming, LiveError> {
        Ok(Incoming { probe: Some(until), ..Incoming::new(request, storage)? })
    }

    /// Takes pages from one stream until it ends.
    pub(super) fn take_pages(&self, mut connection: Connection, watch: &Watch) -> Result<(), LiveError> {
        let stream = {
            let mut progress = lock(&self.progress);
            if !self.following.is_early() && (progress.sealed || progress.barriers.len() == self.streams) {
                return Err(declined("more streams came than were announced".into()));
            }
            progress.barriers.push(0);
            progress.core_seconds.push(0.0);
            progress.barriers.len() - 1
        };
        let result = self.take_until_end(&mut connection, stream, watch);
        if let Err(error) = &result {
            lock(&self.progress).failed.get_or_insert_with(|| error.to_string());
        }
        self.changed.notify_all();
        result
    }

    fn take_until_end(
        &self,
        connection: &mut Connection,
        stream: usize,
        watch: &Watch,
    ) -> Result<(), LiveError> {
        let mut decoder = Decoder::default();
        let peer = connection.peer.clone();
        let (mut first, mut first_followed) = (true, true);
        let began = thread_core_seconds();
        loop {
            let arrived = match connection.unencrypted() {
                Some(_) => decoder.read_ahead(connection, &peer),
                None => decoder.read(connection, &peer),
            };
            if self.following.is_early() {
                if self.take_early(arrived, connection)? && std::mem::take(&mut first_followed) {
                    watch(Step::PagesFollowed);
                }
                continue;
            }
            match arrived {
                Ok(Arrived::Announced { numbers }) => {
                    self.check(&numbers)?;
                    self.take_announced(connection, &numbers)?;
                    if std::mem::take(&mut first) {
                        watch(Step::PagesCame);
                    }
                }
                Ok(Arrived::Pages { numbers, contents }) => {
                    self.check(&numbers)?;
                    self.memory.write_pages(&numbers, contents);
                    for number in numbers {
                        self.table.take_over(&self.memory, number as usize);
                    }
                    if std::mem::take(&mut first) {
                        watch(Step::PagesCame);
                    }
                }
                Ok(Arrived::Zeros { numbers }) => {
                    self.check(&numbers)?;
                    for number in numbers {
                        self.memory.clear_page(number as usize);
                        self.table.take_over(&self.memory, number as usize);
                    }
                }
                Ok(Arrived::Barrier(barrier)) => {
                    let mut progress = lock(&self.progress);
                    progress.barriers[stream] = barrier;
                    progress.core_seconds[stream] = thread_core_seconds() - began;
                    drop(progress);
                    self.changed.notify_all();
                }
                // The source is silent between rounds, as long as its control connection lives; and it
                // closes its streams when all is done.
                Err(ProtocolError::Lost { source, .. }) if is_silence(&source) && self.is_attended() => {}
                Err(_) if lock(&self.progress).sealed => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes pages of a guest that runs before all of them are there; whether it were any.
    fn take_early(
        &self,
        arrived: Result<Arrived<'_>, ProtocolError>,
        connection: &mut Connection,
    ) -> Result<bool, LiveError> {
        match arrived {
            Ok(Arrived::Announced { numbers }) => self.take_announced_early(connection, &numbers),
            Ok(Arrived::Pages { numbers, contents }) => self.take_followed(&numbers, contents),
            Ok(Arrived::Zeros { numbers }) => {
                numbers.iter().try_for_each(|number| self.following.arrive(*number as usize, None))?;
                Ok(true)
            }
            Ok(Arrived::Barrier(_)) => Ok(false),
            Err(ProtocolError::Lost { source, .. }) if is_silence(&source) && self.is_attended() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the contents of these pages come straight into memory.
    fn take_announced(&self, connection: &Connection, numbers: &[u32]) -> Result<(), LiveError> {
        let socket = connection.unencrypted().ok_or_else(|| declined("pages came unencrypted".into()))?;
        let lost = |source| ProtocolError::Lost { peer: connection.peer.clone(), source };
        self.memory.receive_pages(socket, numbers).map_err(lost)?;
        for number in numbers {
            self.table.take_over(&self.memory, *number as usize);
        }
        Ok(())
    }

    /// The same of a guest that runs: it must see of a page nothing or all, so that they come aside first.
    fn take_announced_early(&self, connection: &mut Connection, numbers: &[u32]) -> Result<bool, LiveError> {
        let mut contents = vec![0; numbers.len() * PAGE];
        let peer = connection.peer.clone();
        let lost = |source| ProtocolError::Lost { peer, source };
        connection.read_exact(&mut contents).map_err(lost)?;
        self.take_followed(numbers, &contents)
    }

    fn take_followed(&self, numbers: &[u32], contents: &[u8]) -> Result<bool, LiveError> {
        for (number, content) in numbers.iter().zip(contents.chunks_exact(PAGE)) {
            self.following.arrive(*number as usize, Some(content))?;
        }
        Ok(true)
    }

    fn check(&self, numbers: &[u32]) -> Result<(), LiveError> {
        if lock(&self.progress).sealed {
            return Err(declined("pages came after the last".into()));
        }
        if self.probe.is_some_and(|until| Instant::now() > until) {
            return Err(declined("the probe has taken too long".into()));
        }
        match numbers.iter().find(|number| **number as usize >= self.memory.pages()) {
            Some(number) => Err(declined(format!("page {number} came, of {}", self.memory.pages()))),
            None => Ok(()),
        }
    }

    /// Waits until every stream has come to `barrier`, with heartbeats to `source`.
    pub(super) fn wait(&self, barrier: u64, source: &mut Connection) -> Result<(), LiveError> {
        heartbeats::wait((&self.progress, &self.changed), source, |progress| {
            if let Some(reason) = &progress.failed {
                return Some(Err(declined(reason.clone())));
            }
            let complete = progress.barriers.len() == self.streams;
            let reached = complete && progress.barriers.iter().all(|reached| *reached >= barrier);
            reached.then_some(Ok(()))
        })
    }

    /// All memory has come: makes the guest, if every write of it is there.
    /// In post-copy, `missing` pages of it follow.
    pub(super) fn complete(&self, state: GuestState, expected: u64, missing: u64) -> Result<(), LiveError> {
        lock(&self.progress).sealed = true;
        if missing > 0 {
            self.following.begin(missing, expected)?;
        } else if digest(&self.table) != expected {
            return Err(declined(format!("the memory of {} did not arrive as it was", self.spec.name)));
        }
        let disks = self.disks.complete(&state.disks)?;
        let memory = (Arc::clone(&self.memory), Arc::clone(&self.table));
        let guest = Guest::restore(self.spec.clone(), memory, disks, state)?;
        *lock(&self.guest) = Some(Arc::new(guest));
        Ok(())
    }

    /// The guest, where all of it has come.
    pub(super) fn guest(&self) -> Option<Arc<Guest>> {
        lock(&self.guest).clone()
    }

    /// Whether all has come, and nothing more may.
    pub(super) fn is_sealed(&self) -> bool {
        lock(&self.progress).sealed
    }

    /// Whether this is test memory.
    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Processor time of the threads that took pages in, up to their last barrier, in seconds.
    pub(super) fn core_seconds(&self) -> f64 {
        lock(&self.progress).core_seconds.iter().sum()
    }

    pub(super) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::SeqCst)
    }

    /// Whether the guest runs here already.
    pub(super) fn runs(&self) -> bool {
        self.following.runs()
    }

    /// Asks for what the guest waits for over this connection.
    pub(super) fn serve_faults(&self, connection: Connection) -> Result<(), LiveError> {
        self.following.serve(connection, || self.guest(), || self.is_attended())
    }

    /// The source is there again.
    pub(super) fn rejoined(&self) {
        self.attended.store(true, Ordering::SeqCst);
    }

    /// The source's control connection has ended.
    pub(super) fn left_alone(&self) {
        self.attended.store(false, Ordering::SeqCst);
    }
}
