//! Logs of QEMU's `query-migrate`: a JSON list of its answers, or one answer after the other.
//!
//! Fields as in QEMU's `qapi/migration.json` (`MigrationInfo`, `MigrationStats`); answers may be wrapped in
//! `{"return": …}`, as they come over QMP.

use serde_json::Value;

use super::DataError;

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

/// What a list of answers, or a single one, says, `None` inside where none is of a completed migration; `None` where
/// they are no answers of QEMU's.
///
/// # Errors
///
/// [`DataError`] where a completed migration does not say how long it took or what it sent.
pub(super) fn read(name: &str, value: &Value) -> Option<Result<Option<LoggedMigration>, DataError>> {
    let answers: Vec<&Value> = match value {
        Value::Array(list) => list.iter().map(unwrapped).collect(),
        other => vec![unwrapped(other)],
    };
    answers.iter().any(|answer| answer["status"].is_string() && answer["ram"].is_object()).then(|| {
        let last = answers.iter().rev().find(|answer| answer["status"] == "completed");
        last.map(|last| completed(name, last, &answers)).transpose()
    })
}

fn completed(name: &str, last: &Value, answers: &[&Value]) -> Result<LoggedMigration, DataError> {
    let ram = &last["ram"];
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
    let needed = |field: &str, value: &Value, least: f64| {
        number(value).filter(|number| *number > least).ok_or_else(|| DataError::Row {
            file: name.to_string(),
            line: 1,
            what: format!("`{field}` of the completed migration is {value}, where a number was expected"),
        })
    };
    let page = number(&ram["page-size"]).filter(|size| *size > 0.0).unwrap_or(PAGE);
    let dirty = answers.iter().rev().filter_map(|answer| number(&answer["ram"]["dirty-pages-rate"]));
    Ok(LoggedMigration {
        name: name.to_string(),
        memory: needed("ram.total", &ram["total"], 0.0)?,
        total: needed("total-time", &last["total-time"], 0.0)? * MILLISECONDS,
        downtime: number(&last["downtime"]).map(|time| time * MILLISECONDS),
        bytes: needed("ram.transferred", &ram["transferred"], -1.0)?,
        rate: number(&ram["mbps"]).filter(|rate| *rate > 0.0).map(|rate| rate * 1e6 / 8.0),
        dirty_rate: dirty.map(|pages| pages * page).find(|rate| *rate > 0.0),
        zero_bytes: number(&ram["duplicate"]).map(|pages| pages * page),
        downtime_limit: None,
    })
}

fn unwrapped(value: &Value) -> &Value {
    value.get("return").unwrap_or(value)
}
