//! What the sending of a run took, all migrations together, and what held it back.

use std::collections::BTreeMap;

use algorithms::records::RunRecords;

/// What the sending of a run took.
#[derive(Debug, Clone, PartialEq)]
pub struct SendingSummary {
    /// Processor time at the sources, in core-seconds.
    pub source_core_seconds: f64,
    /// Processor time at the destinations, in core-seconds.
    pub destination_core_seconds: f64,
    /// Bytes on the wire.
    pub wire_bytes: f64,
    /// What held most migration time back, with its share of it from 0 to 1; `None` where nothing was sent.
    pub bottleneck: Option<(String, f64)>,
}

impl SendingSummary {
    /// The summary of `run`; `None` where its driver could not tell.
    ///
    /// Every migration counts with its time before the pause, under the bottleneck that its record names.
    pub fn of(run: &RunRecords) -> Option<SendingSummary> {
        let mut summary = SendingSummary {
            source_core_seconds: 0.0,
            destination_core_seconds: 0.0,
            wire_bytes: 0.0,
            bottleneck: None,
        };
        let (mut told, mut whole, mut times) = (false, 0.0, BTreeMap::<&str, f64>::new());
        for record in &run.migrations {
            let Some(transfer) = &record.transfer else { continue };
            told = true;
            summary.source_core_seconds += transfer.source_core_seconds;
            summary.destination_core_seconds += transfer.destination_core_seconds;
            summary.wire_bytes += transfer.wire_bytes.as_f64();
            if let Some(bottleneck) = &transfer.bottleneck {
                let time = record.brownout.as_secs_f64();
                whole += time;
                *times.entry(bottleneck).or_default() += time * transfer.bottleneck_share;
            }
        }
        let longest = times.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let share = |time: f64| if whole > 0.0 { time / whole } else { 0.0 };
        summary.bottleneck = longest.map(|(name, time)| (name.to_string(), share(time)));
        told.then_some(summary)
    }
}
