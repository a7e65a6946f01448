//! Page streams: threads that take pending pages, batch by batch, and send them.
//!
//! A page is taken out of the pending set before it is read: what is written to it after that is found
//! by the tracker, and puts it back.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sim_core::{Bandwidth, Bytes, Pages};

use super::pacer::Pacer;
use crate::bitmap::Bitmap;
use crate::connection::{Connection, Cutter};
use crate::error::LiveError;
use crate::guest::Guest;
use crate::machine::thread_core_seconds;
use crate::memory::PAGE;
use crate::protocol::pages::{Encoder, MOST_IN_BATCH};
use crate::protocol::{Purpose, Sending};
use crate::sync::lock;
use crate::tls::Credentials;
use crate::token::Token;

/// The streams of one migration.
pub(super) struct Streams {
    shared: Arc<Shared>,
    lanes: Vec<Lane>,
}

/// Where streams go, and how.
pub(super) struct Route<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) address: &'a str,
    pub(super) sending: &'a Sending,
    pub(super) token: &'a Token,
}

struct Lane {
    slices: Sender<Slice>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    barrier: u64,
    limit: Option<Bandwidth>,
}

pub(super) struct Shared {
    pub(super) guest: Arc<Guest>,
    work: Mutex<Work>,
    /// Pages sent of the current slice.
    sent: AtomicU64,
    stop: Arc<AtomicBool>,
    pacer: Pacer,
    /// Processor time of all streams' threads, in nanoseconds, and bytes that they have written.
    spent: [AtomicU64; 2],
}

/// What streams have taken up to their last barriers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// Processor time of their threads, in seconds.
    pub(super) core_seconds: f64,
    /// Written to them, before encryption.
    pub(super) bytes: Bytes,
}

struct Work {
    pending: Bitmap,
    /// Where to go on.
    cursor: usize,
    /// Pages of the current slice that nobody has taken yet.
    left: u64,
}

impl Streams {
    /// Connects them, to send what is pending.
    pub(super) fn open(
        route: &Route<'_>,
        guest: &Arc<Guest>,
        pending: Bitmap,
        stop: &Arc<AtomicBool>,
        control: &Connection,
    ) -> Result<Streams, LiveError> {
        let shared = Arc::new(Shared {
            guest: Arc::clone(guest),
            work: Mutex::new(Work { pending, cursor: 0, left: 0 }),
            sent: AtomicU64::new(0),
            stop: Arc::clone(stop),
            pacer: Pacer::new(),
            spent: Default::default(),
        });
        let mut streams = Streams { shared, lanes: Vec::new() };
        for number in 0..route.sending.streams {
            let purpose = Purpose::Pages { token: route.token.clone() };
            let (address, encryption) = (route.address, route.sending.encryption);
            let connection = Connection::pages(address, route.credentials, encryption, purpose)?;
            let encoder = Encoder::new(route.sending.compression);
            let (slices, inbox) = channel();
            let (shared, control) = (Arc::clone(&streams.shared), control.cutter()?);
            let thread = std::thread::Builder::new().name(format!("pages {number}"));
            let thread = thread.spawn(move || serve(&shared, connection, encoder, &inbox, &control));
            let thread = Some(thread.map_err(LiveError::system("start a stream"))?);
            streams.lanes.push(Lane { slices, thread });
        }
        Ok(streams)
    }

    /// Has `pages` of what is pending sent over all streams, and `barrier` after them.
    pub(super) fn begin(&self, pages: Pages, barrier: u64, limit: Option<Bandwidth>) {
        lock(&self.shared.work).left = pages.get();
        self.shared.sent.store(0, Ordering::SeqCst);
        self.shared.pacer.begin();
        for lane in &self.lanes {
            // A stream that has ended has cut the control connection, and so is noticed there.
            let _ = lane.slices.send(Slice { barrier, limit });
        }
    }

    /// Pages sent of the last slice.
    pub(super) fn sent(&self) -> Pages {
        Pages::new(self.shared.sent.load(Ordering::SeqCst))
    }

    /// What they have taken so far.
    pub(super) fn spent(&self) -> Spent {
        let [nanos, bytes] = self.shared.spent.each_ref().map(|sum| sum.load(Ordering::SeqCst));
        Spent { core_seconds: nanos as f64 / 1e9, bytes: Bytes::new(bytes) }
    }

    /// What the threads share, for one that sends pages in its own way.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Looks at the pending pages, or adds to them.
    pub(super) fn pending<R>(&self, look: impl FnOnce(&mut Bitmap) -> R) -> R {
        look(&mut lock(&self.shared.work).pending)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for lane in self.lanes.drain(..) {
            let Lane { slices, thread } = lane;
            drop(slices);
            if let Some(thread) = thread {
                // One that panicked has said so.
                let _ = thread.join();
            }
        }
    }
}

/// What a stream's thread does until there are no more slices.
fn serve(
    shared: &Shared,
    mut connection: Connection,
    mut encoder: Encoder,
    slices: &Receiver<Slice>,
    control: &Cutter,
) {
    let mut batch = Batch::default();
    let mut accounted = thread_core_seconds();
    while let Ok(slice) = slices.recv() {
        if let Err(error) = send(shared, &mut connection, &mut encoder, slice, (&mut batch, &mut accounted)) {
            tracing::warn!(%error, "a stream of pages broke");
            control.cut();
            return;
        }
    }
}

/// Adds what this thread has taken since `accounted`.
fn account(shared: &Shared, accounted: &mut f64, bytes: usize) {
    let now = thread_core_seconds();
    let nanos = ((now - *accounted) * 1e9) as u64;
    *accounted = now;
    for (sum, more) in shared.spent.iter().zip([nanos, bytes as u64]) {
        sum.fetch_add(more, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Batch {
    taken: Vec<usize>,
    numbers: Vec<u32>,
    contents: Vec<u8>,
    zeros: Vec<u32>,
}

fn send(
    shared: &Shared,
    connection: &mut Connection,
    encoder: &mut Encoder,
    slice: Slice,
    (batch, accounted): (&mut Batch, &mut f64),
) -> Result<(), LiveError> {
    let lost = |error| LiveError::system("send pages")(error);
    let mut written = 0;
    while !shared.stop.load(Ordering::SeqCst) && shared.take(batch) {
        batch.sort_out(&shared.guest);
        if let Some(limit) = slice.limit {
            shared.pacer.pace(batch.taken.len() * PAGE, limit);
        }
        if !batch.numbers.is_empty() {
            written += contents(shared, connection, encoder, batch)?;
        }
        if !batch.zeros.is_empty() {
            let frame = encoder.zeros(&batch.zeros);
            connection.write_all(frame).map_err(lost)?;
            written += frame.len();
        }
        shared.sent.fetch_add(batch.taken.len() as u64, Ordering::SeqCst);
    }
    // Before the barrier, behind which it is asked for.
    account(shared, accounted, written);
    let barrier = encoder.barrier(slice.barrier);
    connection.write_all(barrier).and_then(|()| connection.flush()).map_err(lost)
}

/// Sends the pages of a batch that are not zero; in how many bytes.
fn contents(
    shared: &Shared,
    connection: &mut Connection,
    encoder: &mut Encoder,
    batch: &mut Batch,
) -> Result<usize, LiveError> {
    let lost = |error| LiveError::system("send pages")(error);
    if let Some(socket) = connection.unencrypted().filter(|_| encoder.sends_as_they_are()) {
        let head = encoder.announcement(&batch.numbers);
        shared.guest.memory().send_pages(socket, head, &batch.numbers).map_err(lost)?;
        return Ok(head.len() + batch.numbers.len() * PAGE);
    }
    batch.read(&shared.guest);
    let frame = encoder.pages(&batch.numbers, &batch.contents)?;
    connection.write_all(frame).map_err(lost)?;
    Ok(frame.len())
}

impl Shared {
    /// This page is sent otherwise.
    pub(super) fn take_out(&self, page: usize) {
        lock(&self.work).pending.remove(page);
    }

    /// Takes the next pages of the slice; whether there are any.
    fn take(&self, batch: &mut Batch) -> bool {
        let mut work = lock(&self.work);
        batch.taken.clear();
        while batch.taken.len() < MOST_IN_BATCH && work.left > 0 {
            let from = work.cursor;
            let Some(page) = work.pending.take_from(from) else { break };
            work.cursor = page + 1;
            work.left -= 1;
            batch.taken.push(page);
        }
        !batch.taken.is_empty()
    }
}

impl Batch {
    /// Which of the pages taken are zero, as they are now.
    fn sort_out(&mut self, guest: &Guest) {
        self.numbers.clear();
        self.zeros.clear();
        for page in &self.taken {
            let number = u32::try_from(*page).expect("a guest has no more pages than that");
            let those = if guest.memory().is_zero(*page) { &mut self.zeros } else { &mut self.numbers };
            those.push(number);
        }
    }

    /// Copies the pages that are not zero.
    fn read(&mut self, guest: &Guest) {
        self.contents.resize(self.numbers.len() * PAGE, 0);
        for (number, content) in self.numbers.iter().zip(self.contents.chunks_exact_mut(PAGE)) {
            guest.memory().read_page(*number as usize, content);
        }
    }
}
