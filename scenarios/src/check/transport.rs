//! The transport's costs.

use models::transport::Transport;

use super::Checker;
use super::hosts::{at_least_one, some_bandwidth, unknown_preset};
use crate::error::Problem;
use crate::file::{Limit, OrPreset, TransportFile};
use crate::presets::{self, DEFAULT_TRANSPORT, PresetKind};
use crate::read::at::{At, Place};

impl Checker {
    pub(crate) fn transport(&mut self, file: Option<&At<OrPreset<TransportFile>>>) -> Option<Transport> {
        let transport = match file.map(|file| (&file.value, file.place)) {
            None => preset(DEFAULT_TRANSPORT, Place::default()),
            Some((OrPreset::Preset(name), place)) => preset(name, place),
            Some((OrPreset::Given(given), _)) => described(given),
        };
        self.problems.take(transport)
    }
}

fn preset(name: &str, place: Place) -> Result<Transport, Problem> {
    presets::transport(name).ok_or_else(|| unknown_preset(name, place, PresetKind::Transport))
}

fn described(file: &TransportFile) -> Result<Transport, Problem> {
    let base = match &file.preset {
        Some(name) => preset(name, name.place)?,
        None => preset(DEFAULT_TRANSPORT, Place::default())?,
    };
    let per_stream = match &file.per_stream {
        None => base.per_stream,
        Some(given) => match given.value {
            Limit::Unlimited => None,
            Limit::At(value) => {
                let limit = At { value, place: given.place };
                Some(some_bandwidth(&limit, "a stream")?)
            }
        },
    };
    Ok(Transport {
        name: base.name,
        wire_overhead: no_less(file.wire_overhead.as_ref(), 1.0)?.unwrap_or(base.wire_overhead),
        send_core_seconds_per_gb: no_less(file.send_core_seconds_per_gb.as_ref(), 0.0)?
            .unwrap_or(base.send_core_seconds_per_gb),
        receive_core_seconds_per_gb: no_less(file.receive_core_seconds_per_gb.as_ref(), 0.0)?
            .unwrap_or(base.receive_core_seconds_per_gb),
        per_stream,
        streams: at_least_one(file.streams.as_ref(), "a migration needs a stream")?.unwrap_or(base.streams),
    })
}

/// The largest factor or cost that makes sense; it keeps rates far from zero.
const LARGEST: f64 = 1e6;

fn no_less(number: Option<&At<f64>>, least: f64) -> Result<Option<f64>, Problem> {
    let Some(number) = number else {
        return Ok(None);
    };
    if (least..=LARGEST).contains(&number.value) {
        return Ok(Some(number.value));
    }
    let label = format!("must be {least} or more, and no more than {LARGEST}");
    Err(Problem::at(number.place, format!("{} is out of range", number.value), label))
}
