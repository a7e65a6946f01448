//! Locks whose holder cannot have left a mess.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock. What our locks guard is whole between two statements, so that a thread that
/// panicked while it had one leaves nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
