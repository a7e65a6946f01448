//! The disks of a VM while they are copied: mirrored to another machine together with their VM, or to other images of
//! the same machine.
//!
//! ```text
//!  blockdev-add (the copy), blockdev-mirror ─▶ BLOCK_JOB_READY, disk after disk
//!
//!  to another machine, over NBD (its nbd-server-start, block-export-add come before)
//!    VM stopped (pre-switchover): block-job-cancel ends a mirror that is whole ─▶ migrate-continue
//!    before the VM runs at the destination: nbd-server-stop
//!
//!  to other images of the same machine
//!    all are whole: block-job-complete ─▶ BLOCK_JOB_COMPLETED: the VM uses the copies ─▶ the old images go
//! ```
//!
//! Writes go to both sides before the VM is told that they are done (`copy-mode: write-blocking`), as Hyper-V does it.
//! A mirror that is cancelled when it is whole leaves the copy as it is, and the VM on its old disk: which of them
//! is used is decided by which machine runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sim_core::Bytes;

use super::QemuError;
use super::message::Event;
use super::qmp::Qmp;

/// How long jobs may take to end that are given up.
const JOBS_END_WITHIN: Duration = Duration::from_secs(10);

/// Where the destination takes in disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NbdAddress {
    /// Such as 127.0.0.1.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl NbdAddress {
    /// Returns a port of this machine at which nobody listens. If somebody takes it before QEMU does, QEMU says
    /// so: it cannot be asked which port it has chosen itself.
    ///
    /// # Errors
    ///
    /// Where the system has none.
    pub fn free(host: &str) -> std::io::Result<NbdAddress> {
        let port = std::net::TcpListener::bind((host, 0))?.local_addr()?.port();
        Ok(NbdAddress { host: host.into(), port })
    }
}

/// A disk's image: where it is, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The old one, which is removed when the VM uses the other.
    pub from: PathBuf,
    /// The new one: a raw image of the same size, which exists.
    pub to: PathBuf,
}

/// Where disks are mirrored to.
#[derive(Debug)]
pub(super) enum Copies {
    /// The machine that waits for the VM.
    Destination(NbdAddress),
    /// Images of the same machine, by disk.
    Images(BTreeMap<u32, Images>),
}

/// The mirrors of a migration.
#[derive(Debug)]
pub(super) struct Mirrors {
    copies: Copies,
    /// Disks whose jobs still run at the source.
    running: BTreeSet<u32>,
    /// The nodes that the VM used when the copying began, by disk.
    old: BTreeMap<u32, String>,
    /// Whether the jobs were told to end.
    ending: bool,
    /// The size of the disks of which copying has begun.
    copied: Bytes,
    /// Written beyond that when the mirrors were told to end.
    written: Bytes,
}

/// What the end of a job means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// Nothing, or others still run.
    GoesOn,
    /// All have ended as they were told to.
    AllEnded,
    /// It should not have ended so.
    Failed(String),
}

impl Mirrors {
    pub(super) fn to(copies: Copies) -> Mirrors {
        Mirrors {
            copies,
            running: BTreeSet::new(),
            old: BTreeMap::new(),
            ending: false,
            copied: Bytes::ZERO,
            written: Bytes::ZERO,
        }
    }

    /// Lets the destination take in so many disks, where they go there.
    pub(super) fn listen(&self, destination: &mut Qmp, disks: usize) -> Result<(), QemuError> {
        let Copies::Destination(NbdAddress { host, port }) = &self.copies else { return Ok(()) };
        let data = json!({"host": host, "port": port.to_string()});
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
        let old = node_of(source, disk)?;
        let (copy, node) = match &self.copies {
            Copies::Destination(NbdAddress { host, port }) => {
                let server = json!({"type": "inet", "host": host, "port": port.to_string()});
                let (node, export) = (format!("copy{disk}"), format!("disk{disk}"));
                (json!({"driver": "nbd", "node-name": node, "server": server, "export": export}), node)
            }
            Copies::Images(images) => {
                let missing = || QemuError::Scenario(format!("no image is known for disk {disk}"));
                let image = images.get(&disk).ok_or_else(missing)?.to.display().to_string();
                let node = successor(&old);
                let file = json!({"driver": "file", "filename": image, "node-name": format!("{node}f")});
                (json!({"driver": "raw", "node-name": node, "file": file}), node)
            }
        };
        source.execute("blockdev-add", copy)?;
        let mirror = json!({
            "job-id": job(disk), "device": old, "target": node, "sync": "full", "copy-mode": "write-blocking",
        });
        source.execute("blockdev-mirror", mirror)?;
        self.running.insert(disk);
        self.old.insert(disk, old);
        self.copied += bytes;
        Ok(())
    }

    /// Ends all mirrors, which are whole: the VM uses the copies where those are images of its own machine, and its
    /// old disks otherwise. BLOCK_JOB_COMPLETED says that one has.
    pub(super) fn end(&mut self, source: &mut Qmp) -> Result<(), QemuError> {
        let jobs = source.execute("query-block-jobs", json!({}))?;
        let offset = |job: &Value| job.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let done: u64 = jobs.as_array().into_iter().flatten().map(offset).sum();
        self.written = Bytes::new(done).saturating_sub(self.copied);
        self.ending = true;
        for &disk in &self.running {
            match self.copies {
                Copies::Destination(_) => {
                    source.execute("block-job-cancel", json!({"device": job(disk), "force": false}))?
                }
                Copies::Images(_) => source.execute("block-job-complete", json!({"device": job(disk)}))?,
            };
        }
        Ok(())
    }

    /// Notes that a job has ended, and removes the node of a copy that is another machine's from now on.
    pub(super) fn ended(&mut self, source: &mut Qmp, event: &Event) -> Result<JobEnd, QemuError> {
        let device = event.text("device").unwrap_or_default();
        let Some(disk) = self.running.iter().copied().find(|&disk| job(disk) == device) else {
            return Ok(JobEnd::GoesOn);
        };
        self.running.remove(&disk);
        if let Copies::Destination(_) = self.copies {
            source.execute("blockdev-del", json!({"node-name": format!("copy{disk}")}))?;
        }
        Ok(match event.text("error") {
            Some(words) => JobEnd::Failed(format!("a disk could not be copied: {words}")),
            None if !self.ending => JobEnd::Failed(format!("the mirror `{device}` has ended by itself")),
            None if self.running.is_empty() => JobEnd::AllEnded,
            None => JobEnd::GoesOn,
        })
    }

    /// The VM uses the copies: removes the images that it used before, as far as that can be done.
    pub(super) fn remove_old(&self, machine: &mut Qmp) {
        let Copies::Images(images) = &self.copies else { return };
        for (disk, node) in &self.old {
            let _ = machine.execute("blockdev-del", json!({"node-name": node}));
            if let Some(images) = images.get(disk) {
                let _ = std::fs::remove_file(&images.from);
            }
        }
    }

    /// Whether any mirror still runs.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Written by the VM to both sides, as far as the jobs tell.
    pub(super) fn written(&self) -> Bytes {
        self.written
    }
}

/// Gives up all mirrors of ours at a machine, whoever began them, and removes their copies from it.
pub(super) fn tear(source: &mut Qmp) -> Result<(), QemuError> {
    let jobs = jobs(source)?;
    for job in &jobs {
        source.execute("block-job-cancel", json!({"device": job, "force": true}))?;
    }
    let until = Instant::now() + JOBS_END_WITHIN;
    while !self::jobs(source)?.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    for disk in jobs.iter().filter_map(|job| job.strip_prefix("mirror")?.parse::<u32>().ok()) {
        // Of several disks some may use their copies already; those keep them, and have no successor yet.
        let copy = node_of(source, disk).map(|node| successor(&node));
        for node in copy.into_iter().chain([format!("copy{disk}")]) {
            // There is one of the two. One that is left does no harm but to the next migration, which would say so.
            let _ = source.execute("blockdev-del", json!({"node-name": node}));
        }
    }
    Ok(())
}

/// The jobs of mirrors of ours that run at a machine.
fn jobs(source: &mut Qmp) -> Result<Vec<String>, QemuError> {
    let answer = source.execute("query-block-jobs", json!({}))?;
    let device = |job: &Value| job.get("device")?.as_str().map(String::from);
    let jobs = answer.as_array().into_iter().flatten().filter_map(device);
    Ok(jobs.filter(|job| job.starts_with("mirror")).collect())
}

fn job(disk: u32) -> String {
    format!("mirror{disk}")
}

/// The name of the node of a disk's copy at the same machine: a new one for every move of the disk.
fn successor(node: &str) -> String {
    format!("{node}m")
}

/// The node that the VM's disk is on now: it changes when the disk moves.
fn node_of(machine: &mut Qmp, disk: u32) -> Result<String, QemuError> {
    let answer = machine.execute("query-block", json!({}))?;
    let drive = format!("/drive{disk}/");
    let is_it = |entry: &&Value| {
        let device = entry.get("qdev").and_then(Value::as_str).unwrap_or_default();
        device == drive.trim_matches('/') || format!("{device}/").contains(&drive)
    };
    let entry = answer.as_array().into_iter().flatten().find(is_it);
    let node = entry.and_then(|entry| entry.pointer("/inserted/node-name")?.as_str());
    node.map(String::from).ok_or_else(|| machine.unexpected("query-block", &answer))
}
