//! The threads that write a guest's memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Body;
use super::workers::{MOST_LATE, Signal, Workers};
use super::workload::Writer;
use crate::error::LiveError;

/// The threads of one guest, which stand still.
pub(super) fn writers(
    name: &str,
    writers: Vec<Writer>,
    body: &Arc<Body>,
) -> Result<Workers<Writer>, LiveError> {
    let mut workers = Workers::paused();
    for writer in writers {
        let body = Arc::clone(body);
        // Writes that are due.
        let mut due = 0.0;
        workers.add(format!("guest {name}"), writer, move |writer, elapsed, signal| {
            let passed = elapsed.min(MOST_LATE);
            let work = writer.run(passed);
            note_due(&body, work, elapsed, passed);
            due += work * body.speed();
            due -= burst(writer, &body, signal, due) as f64;
        })?;
    }
    Ok(workers)
}

/// Notes what would have been written unslowed: time that was lost to others beyond what is made up for would
/// have been as busy.
fn note_due(body: &Body, work: f64, elapsed: Duration, passed: Duration) {
    let unslowed = work * elapsed.as_secs_f64() / passed.as_secs_f64().max(1e-9);
    body.due.fetch_add((unslowed * 1000.0) as u64, Ordering::Relaxed);
}

/// Makes the writes that are due, as long as the guest may run; how many.
fn burst(writer: &mut Writer, body: &Body, signal: &Signal, due: f64) -> u64 {
    let mut made = 0;
    while (made + 1) as f64 <= due && signal.goes() {
        let page = body.layout.page(writer.next_page());
        body.check(page);
        body.write(page);
        made += 1;
    }
    body.writes.fetch_add(made, Ordering::Relaxed);
    made
}
