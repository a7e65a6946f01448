//! The threads that write a guest's memory, and how they are stopped between two writes.
//!
//! ```text
//!  Running ⇄ Paused ─▶ Stopped
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::workload::Writer;
use super::{Body, WriterState};
use crate::error::LiveError;
use crate::protocol::Activity;
use crate::sync::lock;

/// Writes are made in bursts of this, as short as the system's timer allows.
const TICK: Duration = Duration::from_millis(1);

/// A thread that was held up for longer does not make up for it: a guest whose processor was
/// taken away has worked less.
const MOST_LATE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Running,
    Paused,
    Stopped,
}

/// What tells the threads to go and to stand still.
#[derive(Debug)]
struct Signal {
    /// As `wanted`, to be looked at between two writes without a lock.
    go: AtomicBool,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// The threads of one guest.
#[derive(Debug)]
pub(super) struct Writers {
    signal: Arc<Signal>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    /// Held by the thread while it writes.
    writer: Arc<Mutex<Writer>>,
    handle: Option<JoinHandle<()>>,
}

impl Writers {
    pub(super) fn start(name: &str, writers: Vec<Writer>, body: &Arc<Body>) -> Result<Writers, LiveError> {
        let paused = Writers::paused(name, writers, body)?;
        paused.resume();
        Ok(paused)
    }

    pub(super) fn paused(name: &str, writers: Vec<Writer>, body: &Arc<Body>) -> Result<Writers, LiveError> {
        let signal = Arc::new(Signal {
            go: AtomicBool::new(false),
            wanted: Mutex::new(Wanted::Paused),
            changed: Condvar::new(),
        });
        let mut made = Writers { signal: Arc::clone(&signal), threads: Vec::new() };
        for writer in writers {
            let writer = Arc::new(Mutex::new(writer));
            let (own, body, signal) = (Arc::clone(&writer), Arc::clone(body), Arc::clone(&signal));
            let thread = std::thread::Builder::new().name(format!("guest {name}"));
            let handle = thread.spawn(move || work(&own, &body, &signal));
            let handle = Some(handle.map_err(LiveError::system("start a thread of a guest"))?);
            made.threads.push(Thread { writer, handle });
        }
        Ok(made)
    }

    pub(super) fn activity(&self) -> Activity {
        match *lock(&self.signal.wanted) {
            Wanted::Running => Activity::Running,
            Wanted::Paused | Wanted::Stopped => Activity::Paused,
        }
    }

    /// Waits until no thread writes; where each of them is.
    pub(super) fn pause(&self) -> Vec<WriterState> {
        self.want(Wanted::Paused);
        // A thread has its writer from the first write of a burst to the last.
        self.threads.iter().map(|thread| lock(&thread.writer).state()).collect()
    }

    pub(super) fn resume(&self) {
        self.want(Wanted::Running);
    }

    fn want(&self, wanted: Wanted) {
        *lock(&self.signal.wanted) = wanted;
        self.signal.go.store(wanted == Wanted::Running, Ordering::SeqCst);
        self.signal.changed.notify_all();
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.want(Wanted::Stopped);
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // One that panicked has said so, and writes no more.
                let _ = handle.join();
            }
        }
    }
}

/// What a thread does until it is stopped.
fn work(writer: &Mutex<Writer>, body: &Body, signal: &Signal) {
    let mut looked = Instant::now();
    let mut due = 0.0;
    loop {
        match wait(signal) {
            Wanted::Stopped => return,
            // Time in which the guest stood still is not worked off.
            Wanted::Paused => looked = Instant::now(),
            Wanted::Running => {
                let now = Instant::now();
                let passed = (now - looked).min(MOST_LATE);
                looked = now;
                let mut writer = lock(writer);
                due += passed.as_secs_f64() * writer.rate * body.speed();
                due -= burst(&mut writer, body, &signal.go, due) as f64;
            }
        }
    }
}

/// Sleeps until the next tick, or while the guest stands still; what is wanted then.
fn wait(signal: &Signal) -> Wanted {
    let guard = lock(&signal.wanted);
    if *guard == Wanted::Running {
        let (guard, _) = signal.changed.wait_timeout(guard, TICK).unwrap_or_else(PoisonError::into_inner);
        return *guard;
    }
    let guard = signal
        .changed
        .wait_while(guard, |wanted| *wanted == Wanted::Paused)
        .unwrap_or_else(PoisonError::into_inner);
    // It did stand still: the clock begins anew.
    if *guard == Wanted::Running { Wanted::Paused } else { *guard }
}

/// Makes the writes that are due, as long as the guest may run; how many.
fn burst(writer: &mut Writer, body: &Body, go: &AtomicBool, due: f64) -> u64 {
    let mut made = 0;
    while (made + 1) as f64 <= due && go.load(Ordering::SeqCst) {
        let page = body.layout.page(writer.next_page());
        body.check(page);
        body.write(page);
        made += 1;
    }
    body.writes.fetch_add(made, Ordering::Relaxed);
    made
}
