//! How memory leaves a host, and what its guests leave it of its processors.

use models::hardware::TransferSettings;
use sim_core::ByteRate;

use super::transport::transport_of;
use crate::error::Problem;
use crate::file::HostFile;
use crate::read::at::At;

/// The least that `Set-SmbBandwidthLimit` takes.
const LEAST_SMB_LIMIT: u64 = 1 << 20;

/// A host's settings.
pub(super) fn transfer_settings(file: &HostFile) -> Result<TransferSettings, Problem> {
    Ok(TransferSettings {
        transport: file.transport.as_ref().map(transport_of).transpose()?,
        cpu_load: cpu_load(file.cpu_load.as_ref())?,
        smb_bandwidth_limit: file.smb_bandwidth_limit.as_ref().map(smb_limit).transpose()?,
    })
}

fn cpu_load(given: Option<&At<f64>>) -> Result<f64, Problem> {
    match given {
        None => Ok(0.0),
        Some(given) if (0.0..=1.0).contains(&given.value) => Ok(given.value),
        Some(given) => {
            let message = format!("{} is no share of the cores", given.value);
            Err(Problem::at(given.place, message, "must be from 0 to 1")
                .help("0.6 = guests keep 60 % of the cores busy"))
        }
    }
}

fn smb_limit(given: &At<ByteRate>) -> Result<ByteRate, Problem> {
    if given.bytes_per_sec() >= LEAST_SMB_LIMIT {
        return Ok(given.value);
    }
    let message = "Set-SmbBandwidthLimit takes no less than 1 MiB/s";
    Err(Problem::at(given.place, message, "too little")
        .help("for example \"750 MB/s\"; leave it out for no limit"))
}
