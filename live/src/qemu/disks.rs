//! Disks that move with a guest: mirrored over NBD until the guest stands still.
//!
//! ```text
//!  destination: nbd-server-start, block-export-add ◀── the guest's writes and the copy ── source: blockdev-mirror
//!  guest stands still (pre-switchover): block-job-cancel ends a mirror that is whole ─▶ migrate-continue
//!  before the guest runs at the destination: nbd-server-stop
//! ```
//!
//! Writes go to both sides before the guest is told that they are done (`copy-mode: write-blocking`), as
//! Hyper-V does it. A mirror that is cancelled when it is whole leaves the copy as it is, and the guest on
//! its old disk: which of them lives on is decided by which machine runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sim_core::Bytes;

use super::QemuError;
use super::qmp::Qmp;
use super::storage_move::node_of;

/// Where the destination takes in disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NbdAddress {
    /// Such as 127.0.0.1.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl NbdAddress {
    /// A port of this machine that nobody listens at. Somebody may take it before QEMU does, which then says
    /// so: QEMU cannot be asked which port it has chosen itself.
    ///
    /// # Errors
    ///
    /// Where the system has none.
    pub fn free(host: &str) -> std::io::Result<NbdAddress> {
        let port = std::net::TcpListener::bind((host, 0))?.local_addr()?.port();
        Ok(NbdAddress { host: host.into(), port })
    }
}

/// The mirrors of a migration.
#[derive(Debug)]
pub(super) struct Mirrors {
    address: NbdAddress,
    /// Disks whose jobs still run at the source.
    running: BTreeSet<u32>,
    /// What jobs have written so far, beyond the disks' size once they are whole.
    written: Bytes,
    copied: Bytes,
}

impl Mirrors {
    pub(super) fn new(address: NbdAddress) -> Mirrors {
        Mirrors { address, running: BTreeSet::new(), written: Bytes::ZERO, copied: Bytes::ZERO }
    }

    /// Lets the destination take in so many disks.
    pub(super) fn listen(&self, destination: &mut Qmp, disks: usize) -> Result<(), QemuError> {
        let data = json!({"host": self.address.host, "port": self.address.port.to_string()});
        destination.execute("nbd-server-start", json!({"addr": {"type": "inet", "data": data}}))?;
        for disk in 0..disks {
            let name = format!("disk{disk}");
            let export = json!({
                "type": "nbd", "id": format!("export{disk}"), "node-name": name, "name": name, "writable": true,
            });
            destination.execute("block-export-add", export)?;
        }
        Ok(())
    }

    /// Begins to copy a disk and to mirror its writes; BLOCK_JOB_READY says that it is whole.
    pub(super) fn begin(&mut self, source: &mut Qmp, disk: u32, bytes: Bytes) -> Result<(), QemuError> {
        let NbdAddress { host, port } = &self.address;
        let server = json!({"type": "inet", "host": host, "port": port.to_string()});
        let copy = json!({
            "driver": "nbd", "node-name": format!("copy{disk}"), "server": server, "export": format!("disk{disk}"),
        });
        source.execute("blockdev-add", copy)?;
        let mirror = json!({
            "job-id": job(disk), "device": node_of(source, disk)?, "target": format!("copy{disk}"),
            "sync": "full", "copy-mode": "write-blocking",
        });
        source.execute("blockdev-mirror", mirror)?;
        self.running.insert(disk);
        self.copied += bytes;
        Ok(())
    }

    /// Ends all mirrors; `how` says whether the copies are whole. BLOCK_JOB_COMPLETED says that one has.
    pub(super) fn end(&mut self, source: &mut Qmp, how: Ending) -> Result<(), QemuError> {
        let jobs = source.execute("query-block-jobs", json!({}))?;
        let offset = |job: &Value| job.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let done: u64 = jobs.as_array().into_iter().flatten().map(offset).sum();
        self.written = Bytes::new(done).saturating_sub(self.copied);
        for &disk in &self.running {
            source.execute("block-job-cancel", json!({"device": job(disk), "force": how == Ending::Torn}))?;
        }
        Ok(())
    }

    /// Notes that a job has ended; `None` where it is none of ours.
    pub(super) fn ended(&mut self, source: &mut Qmp, device: &str) -> Option<Result<(), QemuError>> {
        let disk = self.running.iter().copied().find(|&disk| job(disk) == device)?;
        self.running.remove(&disk);
        let removed = source.execute("blockdev-del", json!({"node-name": format!("copy{disk}")}));
        Some(removed.map(drop))
    }

    /// Whether any mirror still runs.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Written by the guest to both sides, as far as the jobs tell.
    pub(super) fn written(&self) -> Bytes {
        self.written
    }
}

/// How mirrors end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With copies that are the same as the disks.
    Whole,
    /// With copies that nobody wants.
    Torn,
}

fn job(disk: u32) -> String {
    format!("mirror{disk}")
}
