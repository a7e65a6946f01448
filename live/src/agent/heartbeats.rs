//! Waiting for something that other threads bring about, while the source is told that all is well.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::connection::{Connection, HEARTBEAT};
use crate::error::LiveError;
use crate::protocol::Reply;
use crate::sync::lock;

/// Waits until `look` says what came of it, with heartbeats to `source`.
///
/// # Errors
///
/// What `look` says, or [`LiveError`] where the source is gone.
pub(super) fn wait<S, R>(
    (state, changed): (&Mutex<S>, &Condvar),
    source: &mut Connection,
    look: impl Fn(&S) -> Option<Result<R, LiveError>>,
) -> Result<R, LiveError> {
    let mut guard = lock(state);
    loop {
        if let Some(result) = look(&guard) {
            return result;
        }
        let waited = changed.wait_timeout(guard, HEARTBEAT);
        let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        guard = after;
        if timeout.timed_out() {
            drop(guard);
            source.send(&Reply::Heartbeat)?;
            guard = lock(state);
        }
    }
}
