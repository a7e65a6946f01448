//! Logs of QEMU's `query-migrate`: a JSON list of its answers, or one answer after the other.
//!
//! Fields as in QEMU's `qapi/migration.json` (`MigrationInfo`, `MigrationStats`); answers may be wrapped in
//! `{"return": …}`, as they come over QMP.

use serde_json::Value;

/// A single migration as a log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedMigration {
    /// The file it stands in.
    pub name: String,
    /// The guest's memory in bytes.
    pub memory: f64,
    /// From its beginning to its end, in seconds.
    pub total: f64,
    /// The pause in seconds, where the log says it.
    pub downtime: Option<f64>,
    /// Bytes sent.
    pub bytes: f64,
    /// Bytes sent a second while it sent, where the log says it.
    pub rate: Option<f64>,
    /// Bytes dirtied a second, as last seen, where the log says it.
    pub dirty_rate: Option<f64>,
    /// Bytes of pages that were sent as zero, where the log says it.
    pub zero_bytes: Option<f64>,
    /// The downtime limit in force in seconds, where the log says it.
    pub downtime_limit: Option<f64>,
}

const MILLISECONDS: f64 = 1e-3;
/// QEMU's page where the log names none.
const PAGE: f64 = 4096.0;

/// What a list of answers, or a single one, says; `None` where it is none of a completed migration.
pub(super) fn read(name: &str, value: &Value) -> Option<LoggedMigration> {
    let answers: Vec<&Value> = match value {
        Value::Array(list) => list.iter().map(unwrapped).collect(),
        other => vec![unwrapped(other)],
    };
    let last = answers.iter().rev().find(|answer| answer["status"] == "completed")?;
    let ram = &last["ram"];
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
    let page = number(&ram["page-size"]).filter(|size| *size > 0.0).unwrap_or(PAGE);
    let dirty = answers.iter().rev().filter_map(|answer| number(&answer["ram"]["dirty-pages-rate"]));
    Some(LoggedMigration {
        name: name.to_string(),
        memory: number(&ram["total"]).filter(|bytes| *bytes > 0.0)?,
        total: number(&last["total-time"]).filter(|time| *time > 0.0)? * MILLISECONDS,
        downtime: number(&last["downtime"]).map(|time| time * MILLISECONDS),
        bytes: number(&ram["transferred"])?,
        rate: number(&ram["mbps"]).filter(|rate| *rate > 0.0).map(|rate| rate * 1e6 / 8.0),
        dirty_rate: dirty.map(|pages| pages * page).find(|rate| *rate > 0.0),
        zero_bytes: number(&ram["duplicate"]).map(|pages| pages * page),
        downtime_limit: None,
    })
}

fn unwrapped(value: &Value) -> &Value {
    value.get("return").unwrap_or(value)
}
