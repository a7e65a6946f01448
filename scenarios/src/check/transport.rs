//! The transport's costs.

use models::transport::{Method, Transport};
use sim_core::Bytes;

use super::Checker;
use super::hosts::{at_least_one, some_bandwidth, unknown_preset};
use crate::error::Problem;
use crate::file::{Limit, OrPreset, TransportFile};
use crate::presets::{self, DEFAULT_TRANSPORT, PresetKind};
use crate::read::at::{At, Place};

impl Checker {
    pub(crate) fn transport(&mut self, file: Option<&At<OrPreset<TransportFile>>>) -> Option<Transport> {
        let transport = match file {
            None => preset(DEFAULT_TRANSPORT, Place::default()),
            Some(file) => transport_of(file),
        };
        self.problems.take(transport)
    }
}

/// The transport that a scenario or a host gives.
pub(super) fn transport_of(file: &At<OrPreset<TransportFile>>) -> Result<Transport, Problem> {
    match &file.value {
        OrPreset::Preset(name) => preset(name, file.place),
        OrPreset::Given(given) => described(given),
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
        window: window(file.window.as_ref(), base.window)?,
        method: method(file, base.method)?,
    })
}

fn window(file: Option<&At<Limit<Bytes>>>, otherwise: Option<Bytes>) -> Result<Option<Bytes>, Problem> {
    match file.map(|given| (given.value.limit(), given.place)) {
        None => Ok(otherwise),
        Some((Some(Bytes::ZERO), place)) => Err(Problem::at(
            place,
            "with a window of nothing, nothing is ever sent",
            "must be more than zero",
        )
        .help("Windows lets it grow to \"16 MiB\"")),
        Some((window, _)) => Ok(window),
    }
}

fn method(file: &TransportFile, base: Method) -> Result<Method, Problem> {
    let fields = [&file.compress_core_seconds_per_gb, &file.decompress_core_seconds_per_gb];
    let (Method::Compressed(mut costs) | Method::InStreams(mut costs)) = base else {
        return match fields.into_iter().flatten().next() {
            None => Ok(base),
            Some(given) => {
                Err(Problem::at(given.place, "this transport does not compress", "costs nothing here").help(
                    "those that do are (preset: \"compression\", …) and QEMU's (preset: \"multifd-zstd\", …)",
                ))
            }
        };
    };
    let [compress, decompress] = fields.map(|field| no_less(field.as_ref(), 0.0));
    costs.compress_core_seconds_per_gb = compress?.unwrap_or(costs.compress_core_seconds_per_gb);
    costs.decompress_core_seconds_per_gb = decompress?.unwrap_or(costs.decompress_core_seconds_per_gb);
    Ok(if matches!(base, Method::InStreams(_)) {
        Method::InStreams(costs)
    } else {
        Method::Compressed(costs)
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
