//! Threads that do a guest's work, and how they are stopped between two pieces of it.
//!
//! ```text
//!  Running ⇄ Paused ─▶ Stopped
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::LiveError;
use crate::protocol::Activity;
use crate::sync::lock;

/// Work is done in bursts of this, as short as the system's timer allows.
const TICK: Duration = Duration::from_millis(1);

/// A thread that was held up for longer does not make up for it: a guest whose processor was
/// taken away has worked less.
pub(super) const MOST_LATE: Duration = Duration::from_millis(100);

/// What the threads of a guest are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Running,
    Paused,
    Stopped,
}

/// What tells the threads to go and to stand still.
#[derive(Debug)]
pub(super) struct Signal {
    /// As `wanted`, to be looked at between two pieces of work without a lock.
    go: AtomicBool,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// Threads, each with a state `S` that goes with the guest.
#[derive(Debug)]
pub(super) struct Workers<S> {
    signal: Arc<Signal>,
    threads: Vec<Thread<S>>,
}

#[derive(Debug)]
struct Thread<S> {
    /// Held by the thread from the beginning of a burst to its end.
    state: Arc<Mutex<S>>,
    handle: Option<JoinHandle<()>>,
}

impl<S: Send + 'static> Workers<S> {
    /// None yet; those that are added stand still until [`Workers::resume`].
    pub(super) fn paused() -> Workers<S> {
        let (go, wanted) = (AtomicBool::new(false), Mutex::new(Wanted::Paused));
        Workers { signal: Arc::new(Signal { go, wanted, changed: Condvar::new() }), threads: Vec::new() }
    }

    /// Adds a thread. Again and again `burst` does what is due after the time since it last did, as long as
    /// the signal goes. Time in which the guest stood still is not worked off.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the system has no more threads.
    pub(super) fn add(
        &mut self,
        name: String,
        state: S,
        mut burst: impl FnMut(&mut S, Duration, &Signal) + Send + 'static,
    ) -> Result<(), LiveError> {
        let state = Arc::new(Mutex::new(state));
        let (own, signal) = (Arc::clone(&state), Arc::clone(&self.signal));
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let mut looked = Instant::now();
            loop {
                match signal.wait() {
                    Wanted::Stopped => return,
                    Wanted::Paused => looked = Instant::now(),
                    Wanted::Running => {
                        let now = Instant::now();
                        let passed = now - looked;
                        looked = now;
                        burst(&mut lock(&own), passed, &signal);
                    }
                }
            }
        });
        let handle = Some(thread.map_err(LiveError::system("start a thread of a guest"))?);
        self.threads.push(Thread { state, handle });
        Ok(())
    }

    pub(super) fn activity(&self) -> Activity {
        match *lock(&self.signal.wanted) {
            Wanted::Running => Activity::Running,
            Wanted::Paused | Wanted::Stopped => Activity::Paused,
        }
    }

    /// Waits until no thread is within a burst; what `look` sees in the state of each.
    pub(super) fn pause<R>(&self, look: impl Fn(&S) -> R) -> Vec<R> {
        self.halt();
        self.threads.iter().map(|thread| look(&lock(&thread.state))).collect()
    }

    /// Has the threads stand still, and does not wait for it.
    pub(super) fn halt(&self) {
        self.signal.want(Wanted::Paused);
    }

    pub(super) fn resume(&self) {
        self.signal.want(Wanted::Running);
    }
}

impl<S> Drop for Workers<S> {
    fn drop(&mut self) {
        self.signal.want(Wanted::Stopped);
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // One that panicked has said so, and works no more.
                let _ = handle.join();
            }
        }
    }
}

impl Signal {
    fn want(&self, wanted: Wanted) {
        *lock(&self.wanted) = wanted;
        self.go.store(wanted == Wanted::Running, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether the threads may go on.
    pub(super) fn goes(&self) -> bool {
        self.go.load(Ordering::SeqCst)
    }

    /// Sleeps until the next tick, or while the guest stands still; what is wanted then.
    fn wait(&self) -> Wanted {
        let guard = lock(&self.wanted);
        if *guard == Wanted::Running {
            let (guard, _) = self.changed.wait_timeout(guard, TICK).unwrap_or_else(PoisonError::into_inner);
            return *guard;
        }
        let guard = self
            .changed
            .wait_while(guard, |wanted| *wanted == Wanted::Paused)
            .unwrap_or_else(PoisonError::into_inner);
        // It did stand still: the clock begins anew.
        if *guard == Wanted::Running { Wanted::Paused } else { *guard }
    }
}
