//! A limit on a rate: bytes wait until they may be sent.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sim_core::Bandwidth;

use crate::sync::lock;

/// What was held up sends faster for so long afterwards, and no longer.
const BURST: Duration = Duration::from_millis(5);

/// When the next byte may be sent.
pub(super) struct Pacer(Mutex<Instant>);

impl Pacer {
    pub(super) fn new() -> Pacer {
        Pacer(Mutex::new(Instant::now()))
    }

    /// Time before now is not made up for.
    pub(super) fn begin(&self) {
        *lock(&self.0) = Instant::now();
    }

    /// Waits until `bytes` may be sent.
    pub(super) fn pace(&self, bytes: usize, limit: Bandwidth) {
        let span = Duration::from_secs_f64(bytes as f64 / limit.bytes_per_sec_f64().max(1.0));
        let now = Instant::now();
        let wait = {
            let mut next = lock(&self.0);
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            *next = (*next).max(earliest) + span;
            next.saturating_duration_since(now)
        };
        std::thread::sleep(wait);
    }
}
