//! Single migrations from logs: what the line carried, and what was spent beside.
//!
//! | parameter | meaning |
//! |---|---|
//! | `rate` | bytes a second that a migration sends |
//! | `overhead` | seconds of a migration in which it sends nothing |
//! | `rewritten` | of the memory with content, the share that is written again while it is sent |
//!
//! A log that says how fast memory was dirtied is believed; else `rewritten` decides. What QEMU did not
//! send as zero is content; a log that does not say is taken to have sent all memory once.

use algorithms::policy::Qemu;
use models::cluster::Timing;
use models::workload::Workload;
use sim_core::{ByteRate, Bytes, Span};

use super::Experiment;
use super::cluster::{Bed, Moving, bytes, pages, seconds, stream};
use crate::datasets::{LoggedMigration, Measurements};
use crate::fit::{Effort, FitError, Parameter, Prediction, Problem};

/// The name under which presets keep it.
const KIND: &str = "logged";

const SCALE: f64 = 0.03;

/// Migrations from logs.
pub struct Logged {
    migrations: Vec<LoggedMigration>,
}

impl Logged {
    /// All of them.
    pub fn new(measurements: &Measurements) -> Logged {
        Logged { migrations: measurements.logged.clone() }
    }
}

impl Problem for Logged {
    fn parameters(&self) -> Vec<Parameter> {
        let rates = self.migrations.iter().map(|each| each.rate.unwrap_or(each.bytes / each.total));
        let mean = rates.sum::<f64>() / self.migrations.len().max(1) as f64;
        vec![
            Parameter::new("rate", "B/s", mean.max(2.0), mean.max(2.0) / 20.0, mean.max(2.0) * 20.0),
            Parameter::new("overhead", "s", 0.5, 1e-3, 60.0),
            Parameter::new("rewritten", "", 0.02, 1e-4, 0.9),
        ]
    }

    fn groups(&self) -> usize {
        self.migrations.len()
    }

    fn predict(
        &self,
        values: &[f64],
        groups: &[usize],
        _effort: Effort,
    ) -> Result<Vec<Prediction>, FitError> {
        let mut all = Vec::new();
        for logged in groups.iter().map(|group| &self.migrations[*group]) {
            let limit = logged.downtime_limit.map_or(Span::from_millis(300), seconds);
            let bed = Bed {
                speeds: vec![values[0] * 8.0; 2],
                queue: None,
                transport: stream(None),
                policy: Qemu { max_bandwidth: None, downtime_limit: limit, ..Qemu::default() },
                timing: Timing { prepare: seconds(values[1]), ..Timing::default() },
                limit: None,
                cores: 16,
                disk_rate: None,
            };
            let records = bed.run(&logged.name, vec![moving(logged, values)])?;
            let record = &records.migrations[0];
            let sent = record.transfer.as_ref().map_or(record.memory_bytes_sent, |each| each.wire_bytes);
            let quantities = [
                ("total", "s", logged.total, record.total.as_secs_f64()),
                ("bytes", "B", logged.bytes, sent.as_f64()),
            ];
            all.extend(quantities.map(|(quantity, unit, measured, predicted)| Prediction {
                run: logged.name.clone(),
                subject: String::new(),
                quantity: quantity.into(),
                unit: unit.into(),
                measured,
                predicted,
                scale: if measured > 0.0 { SCALE } else { 0.0 },
            }));
        }
        Ok(all)
    }
}

fn moving(logged: &LoggedMigration, values: &[f64]) -> Moving {
    let zeros = logged.zero_bytes.unwrap_or(0.0).min(0.99 * logged.memory);
    let content = logged.memory - zeros;
    let rewritten = (values[2] * content).max(1.0);
    let rate = logged.dirty_rate.unwrap_or(rewritten * values[0] / content);
    Moving {
        from: 0,
        to: 1,
        memory: pages(logged.memory),
        zeros: bytes(pages(logged.memory).as_f64() - pages(content).as_f64()),
        workload: Workload::Uniform {
            rate: ByteRate::from_bytes_per_sec(rate.max(1.0) as u64),
            working_set: pages(rewritten),
        },
        after: Vec::new(),
        start: Span::ZERO,
        disk: Bytes::ZERO,
    }
}

impl Experiment for Logged {
    fn kind(&self) -> &'static str {
        KIND
    }
}
