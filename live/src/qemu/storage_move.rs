//! Disks that move without their guest, as `Move-VMStorage` has it: mirrored to new images of the same
//! machine, to which the guest is then switched.
//!
//! ```text
//!  blockdev-add (new image), blockdev-mirror ─▶ BLOCK_JOB_READY, disk after disk
//!  all are copied ─▶ block-job-complete ─▶ BLOCK_JOB_COMPLETED: the guest uses the new images ─▶ old ones go
//! ```
//!
//! The guest runs on meanwhile, and writes go to both images before it is told that they are done. The rules are
//! the controller's own; until the switch the guest is on its old disks, whatever breaks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::machine::Output;
use algorithms::records::{Outcome, Record};
use algorithms::storage_mirror::{MirrorCommand, MirrorInput};
use serde_json::{Value, json};
use sim_core::{Bytes, SimTime};

use super::QemuError;
use super::driver::{Ended, RunClock};
use super::message::Event;
use super::qmp::{Notice, Qmp, Side};
use super::standing::{Condition, Remedy, condition};
use crate::journal::Line;

/// How often the wish to cancel is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long jobs may take to end that are given up.
const JOBS_END_WITHIN: Duration = Duration::from_secs(10);

/// A disk's image: where it is, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The old one, which is removed when the guest uses the other.
    pub from: PathBuf,
    /// The new one: a raw image of the same size, which exists.
    pub to: PathBuf,
}

/// Disks to move.
pub struct StorageMove<'a> {
    /// Which, of which guest; [`Switch::WhenCopied`](algorithms::storage_mirror::Switch::WhenCopied).
    pub order: MigrationOrder,
    /// By disk of the order.
    pub images: BTreeMap<u32, Images>,
    /// The machine.
    pub machine: &'a mut Qmp,
    /// What it says by itself.
    pub notices: &'a Receiver<(Side, Notice)>,
    /// The run's clock.
    pub clock: RunClock,
    /// Set by whoever wants it given up.
    pub cancel: &'a AtomicBool,
    /// Keeps the journal.
    pub journal: &'a mut dyn FnMut(&Line),
}

/// Moves the disks.
///
/// # Errors
///
/// Where the controller and this driver do not understand each other. What goes wrong at the machine is an outcome.
pub fn move_disks(what: StorageMove<'_>) -> Result<Ended, QemuError> {
    (what.journal)(&Line::order(&what.order, None));
    let controller = MigrationController::new(what.order.clone());
    let mut mover = Mover {
        what,
        controller,
        last: SimTime::ZERO,
        running: BTreeSet::new(),
        switching: false,
        written: Bytes::ZERO,
        old: BTreeMap::new(),
        answers: VecDeque::from([Input::Begin]),
        records: Vec::new(),
        cancelled: false,
    };
    mover.run()
}

struct Mover<'a> {
    what: StorageMove<'a>,
    controller: MigrationController,
    last: SimTime,
    /// Disks whose jobs run.
    running: BTreeSet<u32>,
    /// The jobs were told to complete.
    switching: bool,
    written: Bytes,
    /// Nodes that the guest used before, by disk.
    old: BTreeMap<u32, String>,
    answers: VecDeque<Input>,
    records: Vec<Record>,
    cancelled: bool,
}

impl Mover<'_> {
    fn run(&mut self) -> Result<Ended, QemuError> {
        loop {
            while let Some(input) = self.answers.pop_front() {
                self.tell(input)?;
            }
            match self.controller.poll() {
                Output::Command(command) => {
                    (self.what.journal)(&Line::Wanted(command));
                    let done = self.carry_out(command);
                    let answer =
                        done.unwrap_or_else(|error| Some(Input::Failed { reason: error.to_string() }));
                    self.answers.extend(answer);
                }
                Output::Record(record) => self.records.push(record),
                Output::Done(outcome) => return Ok(self.ended(outcome)),
                Output::Wait(until) => self.wait(until),
            }
        }
    }

    fn tell(&mut self, input: Input) -> Result<(), QemuError> {
        self.last = self.last.max(self.what.clock.now());
        (self.what.journal)(&Line::Told(self.last, input.clone()));
        Ok(self.controller.handle(self.last, input)?)
    }

    fn ended(&mut self, outcome: Outcome) -> Ended {
        (self.what.journal)(&Line::Ended(outcome));
        let standing = match condition(self.what.machine) {
            Condition::Running => Remedy::SourceRuns,
            Condition::Standing | Condition::Receiving => Remedy::ResumeSource,
            Condition::Gone => Remedy::Lost,
        };
        Ended { outcome, records: std::mem::take(&mut self.records), standing }
    }

    fn wait(&mut self, until: SimTime) {
        if self.what.cancel.load(Ordering::Relaxed) && !self.cancelled {
            self.cancelled = true;
            return self.answers.push_back(Input::Cancel { reason: "asked for".into() });
        }
        let now = self.what.clock.now();
        if until <= now {
            return self.answers.push_back(Input::Tick);
        }
        let patience = Duration::from_nanos((until - now).as_nanos()).min(LOOK_EVERY);
        match self.what.notices.recv_timeout(patience) {
            Ok((_, Notice::Event(event))) => {
                let heard = self.heard(&event);
                self.answers.extend(heard);
            }
            Ok((_, Notice::Closed(words))) => {
                self.answers.push_back(Input::Failed { reason: format!("the machine is gone: {words}") });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(patience),
        }
    }

    fn heard(&mut self, event: &Event) -> Option<Input> {
        match event.name.as_str() {
            "BLOCK_JOB_READY" => Some(Input::Storage(MirrorInput::Copied)),
            "BLOCK_JOB_ERROR" => Some(Input::Failed {
                reason: "a disk could not be copied: an error in reading or writing".into(),
            }),
            "BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED" => {
                let device = event.text("device").unwrap_or_default();
                let disk = self.running.iter().copied().find(|disk| job(*disk) == device)?;
                self.running.remove(&disk);
                match event.text("error") {
                    Some(words) => {
                        Some(Input::Failed { reason: format!("a disk could not be copied: {words}") })
                    }
                    None if !self.switching => {
                        Some(Input::Failed { reason: format!("the mirror `{device}` has ended by itself") })
                    }
                    None if self.running.is_empty() => Some(Input::Storage(MirrorInput::SwitchedOver)),
                    None => None,
                }
            }
            _ => None,
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<Option<Input>, QemuError> {
        match command {
            Command::Prepare => Ok(Some(Input::Prepared)),
            Command::Storage(MirrorCommand::Copy { disk, .. }) => self.begin(disk).map(|()| None),
            Command::Storage(MirrorCommand::SwitchOver) => self.switch_over().map(|()| None),
            Command::EndMirror => Ok(Some(Input::MirrorEnded { written: self.written })),
            Command::Finish => {
                self.remove_old();
                Ok(Some(Input::Finished))
            }
            Command::Abort => {
                // Whatever of it fails, the guest is on its old disks.
                let _ = self.undo();
                Ok(Some(Input::Aborted { sent: Bytes::ZERO }))
            }
            Command::Page(_) | Command::Loop(_) | Command::Commit => {
                Err(QemuError::Scenario(format!("only disks move here: {command:?}")))
            }
        }
    }

    fn begin(&mut self, disk: u32) -> Result<(), QemuError> {
        let missing = || QemuError::Scenario(format!("no image is known for disk {disk}"));
        let image = self.what.images.get(&disk).ok_or_else(missing)?.to.display().to_string();
        let machine = &mut *self.what.machine;
        let old = node_of(machine, disk)?;
        // A name of its own for every move of this disk.
        let new = format!("{old}m");
        let file = json!({"driver": "file", "filename": image, "node-name": format!("{new}f")});
        machine.execute("blockdev-add", json!({"driver": "raw", "node-name": new, "file": file}))?;
        let mirror = json!({
            "job-id": job(disk), "device": old, "target": new, "sync": "full", "copy-mode": "write-blocking",
        });
        machine.execute("blockdev-mirror", mirror)?;
        self.running.insert(disk);
        self.old.insert(disk, old);
        Ok(())
    }

    /// Every disk is whole: the guest uses the copies as soon as QEMU has nothing under way on the old ones.
    fn switch_over(&mut self) -> Result<(), QemuError> {
        let jobs = self.what.machine.execute("query-block-jobs", json!({}))?;
        let offset = |job: &Value| job.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let done = Bytes::new(jobs.as_array().into_iter().flatten().map(offset).sum());
        let disks = self.what.order.storage.as_ref().map_or(&[][..], |storage| &storage.disks);
        self.written = done.saturating_sub(disks.iter().map(|disk| disk.bytes).sum());
        self.switching = true;
        for disk in &self.running {
            self.what.machine.execute("block-job-complete", json!({"device": job(*disk)}))?;
        }
        Ok(())
    }

    /// The guest uses the copies: what it used before goes, as far as it can.
    fn remove_old(&mut self) {
        for (disk, node) in &self.old {
            let _ = self.what.machine.execute("blockdev-del", json!({"node-name": node}));
            if let Some(images) = self.what.images.get(disk) {
                let _ = std::fs::remove_file(&images.from);
            }
        }
    }

    fn undo(&mut self) -> Result<(), QemuError> {
        for disk in &self.running {
            self.what.machine.execute("block-job-cancel", json!({"device": job(*disk), "force": true}))?;
        }
        let until = Instant::now() + JOBS_END_WITHIN;
        loop {
            let jobs = self.what.machine.execute("query-block-jobs", json!({}))?;
            if jobs.as_array().is_none_or(Vec::is_empty) || Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for (disk, node) in &self.old {
            // Of several disks some may have been switched: those keep the new image.
            if node_of(self.what.machine, *disk)? == *node {
                self.what.machine.execute("blockdev-del", json!({"node-name": format!("{node}m")}))?;
            }
        }
        Ok(())
    }
}

fn job(disk: u32) -> String {
    format!("mirror{disk}")
}

/// The node that the guest's disk is on now: it changes when the disk moves.
pub(super) fn node_of(machine: &mut Qmp, disk: u32) -> Result<String, QemuError> {
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
