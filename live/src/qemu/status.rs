//! What `query-migrate` says, as far as it is used.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sim_core::Bytes;

use super::QemuError;
use super::qmp::Qmp;

/// A migration as QEMU sees it just now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MigrationStatus {
    /// Such as `active`; empty where there was none.
    pub(super) status: String,
    /// Sent so far: memory with its headers.
    pub(super) sent: Bytes,
    /// Not sent yet, of what was known to be dirty at the last count.
    pub(super) remaining: Bytes,
    /// What went wrong, in QEMU's words.
    pub(super) error: Option<String>,
    /// The port at which the destination listens.
    pub(super) port: Option<u16>,
    /// How much auto-converge holds the guest back, in percent.
    pub(super) throttle: Option<u64>,
}

impl MigrationStatus {
    /// Asks `qmp`.
    pub(super) fn of(qmp: &mut Qmp) -> Result<MigrationStatus, QemuError> {
        Ok(read(&qmp.execute("query-migrate", json!({}))?))
    }

    /// Whether it has ended, well or badly, or never began.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "" | "none" | "completed" | "failed" | "cancelled")
    }
}

/// How long QEMU may take to give a migration up: it waits for its threads.
const OVER_WITHIN: Duration = Duration::from_secs(20);

/// Gives up the migration away from `qmp`, and waits until that is over; how it stood last.
pub(super) fn cancel(qmp: &mut Qmp) -> Result<MigrationStatus, QemuError> {
    qmp.execute("migrate_cancel", json!({}))?;
    let until = Instant::now() + OVER_WITHIN;
    loop {
        let status = MigrationStatus::of(qmp)?;
        if status.is_over() || Instant::now() > until {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(answer: &Value) -> MigrationStatus {
    let text = |field: &str| answer.get(field).and_then(Value::as_str);
    let ram = |field: &str| {
        Bytes::new(answer.pointer(&format!("/ram/{field}")).and_then(Value::as_u64).unwrap_or(0))
    };
    // The address's port is a text, as QEMU has it.
    let port = answer.pointer("/socket-address/0/port").and_then(Value::as_str);
    MigrationStatus {
        status: text("status").unwrap_or_default().into(),
        sent: ram("transferred"),
        remaining: ram("remaining"),
        error: text("error-desc").map(Into::into),
        port: port.and_then(|port| port.parse().ok()),
        throttle: answer.get("cpu-throttle-percentage").and_then(Value::as_u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_nothing() {
        let status = read(&json!({
            "status": "active", "ram": {"transferred": 10, "remaining": 20, "total": 30},
            "cpu-throttle-percentage": 30,
        }));
        assert_eq!((status.sent, status.remaining), (Bytes::new(10), Bytes::new(20)));
        assert_eq!((status.throttle, status.is_over()), (Some(30), false));
        assert!(read(&json!({})).is_over());
        let waiting = json!({"status": "setup", "socket-address": [{"type": "inet", "port": "4711"}]});
        assert_eq!(read(&waiting).port, Some(4711));
        assert_eq!(read(&json!([1, "x"])), MigrationStatus::default(), "nonsense is nothing");
    }
}
