//! What the machines say by themselves, as inputs of the controller.
//!
//! QEMU says STOP and RESUME with no word on who wanted it so. At the source:
//!
//! | heard | it is |
//! |---|---|
//! | STOP, and `query-status` says finish-migrate or postmigrate | QEMU's own, for the switchover |
//! | the same, but a second MIGRATION_PASS follows | somebody's: QEMU counts once after its own |
//! | STOP, and any other state, or after `device` | somebody's |
//! | RESUME in `setup` or `active` | somebody's |
//! | RESUME after `cancelling`, `failed`, `cancelled` | QEMU's own, which goes on after it was given up |
//! | STOP in the same | of no interest any more |
//! | `completed` without a STOP of its own | somebody had paused the VM before |
//!
//! That was tried with 7.2 and 10.0, in 140 races with a client that said `stop` and `cont` every millisecond or two: the
//! three that were judged wrong were `stop`s within 0.3 ms before the switchover. QEMU itself loses such a `stop` a
//! tenth of a millisecond later.

use std::time::{Duration, Instant};

use algorithms::controller::Input;
use algorithms::hypervisor_loop::LoopInput;
use algorithms::records::{EventKind, EventRecord};
use algorithms::storage_mirror::MirrorInput;
use serde_json::{Value, json};
use sim_core::{Bytes, SimTime};

use super::{Driver, Stopped};
use crate::qemu::QemuError;
use crate::qemu::disks::JobEnd;
use crate::qemu::message::Event;
use crate::qemu::qmp::{Notice, Side};
use crate::qemu::resolution::Condition;
use crate::qemu::status::MigrationStatus;

/// How long a destination whose source is gone has to say that it has all.
const ALL_ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// How long a source may take to say why its destination has given up.
const REASON_COMES_WITHIN: Duration = Duration::from_secs(1);

/// Why a migration ended that somebody else has cancelled.
const CANCELLED: &str = "somebody has cancelled the migration at the source's monitor";

impl Driver<'_> {
    pub(super) fn listen(&mut self, side: Side, notice: Notice) {
        let at = match &notice {
            Notice::Event(event) => self.clock.of_event(event.unix_nanos),
            Notice::Closed(_) => self.clock.now(),
        };
        let heard = match (side, notice) {
            (Side::Source, Notice::Event(event)) => self.source_says(&event, at),
            (Side::Destination, Notice::Event(event)) => self.destination_says(&event, at),
            (Side::Source, Notice::Closed(words)) => Ok(self.source_gone(words)),
            (Side::Destination, Notice::Closed(words)) => {
                Ok(Some(self.destination_failed(format!("the destination is gone: {words}"))))
            }
        };
        if let Some(input) = heard.unwrap_or_else(|error| Some(failed(error.to_string()))) {
            self.happened(at, input);
        }
    }

    fn source_says(&mut self, event: &Event, at: SimTime) -> Result<Option<Input>, QemuError> {
        match event.name.as_str() {
            "MIGRATION_PASS" => self.pass(event, at),
            "STOP" if self.watch.started => self.source_stopped(at),
            "RESUME" if self.watch.started => self.source_resumed(),
            "MIGRATION" => self.source_migration(event.text("status").unwrap_or_default(), at),
            "BLOCK_JOB_READY" => Ok(Some(Input::Storage(MirrorInput::Copied))),
            "BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED" => self.mirror_ended(event),
            "BLOCK_JOB_ERROR" => {
                Ok(Some(failed("a disk could not be copied: an error in reading or writing".into())))
            }
            _ => Ok(None),
        }
    }

    /// Whose STOP it is: see above.
    fn source_stopped(&mut self, at: SimTime) -> Result<Option<Input>, QemuError> {
        let state = match self.watch.migration.as_str() {
            "cancelling" | "cancelled" | "failed" | "completed" => return Ok(None),
            "device" => String::new(),
            _ => self.source.run_state()?,
        };
        match state.as_str() {
            "finish-migrate" | "postmigrate" => {
                self.watch.stopped = Stopped::ByQemu { counts: 0 };
                self.stopped_for_switchover(at);
                self.post_copy_begun()
            }
            // Somebody has let it go on already, and the next RESUME is about that.
            _ => {
                self.watch.stopped = Stopped::ByOther;
                Ok(Some(Input::Loop(LoopInput::PausedByOther)))
            }
        }
    }

    fn source_resumed(&mut self) -> Result<Option<Input>, QemuError> {
        match self.watch.migration.as_str() {
            "" | "setup" | "active" => {
                self.watch.stopped = Stopped::Not;
                self.watch.told_stopped = false;
                Ok(Some(Input::Loop(LoopInput::ResumedByOther)))
            }
            // The destination has the VM.
            "completed" if self.watch.handed_over => {
                self.source.execute("stop", json!({}))?;
                let words = "somebody has let the guest go on at the source, after it was handed over: it was stopped there";
                let event = EventRecord::warning(self.clock.now(), words).at(&self.order.source);
                self.log(event.of_kind(EventKind::PausedByOthers));
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A count: the first opens the first pass, each further one ends one, but for those of a VM that QEMU has stopped.
    fn pass(&mut self, event: &Event, at: SimTime) -> Result<Option<Input>, QemuError> {
        let first = event.data.get("pass").and_then(Value::as_u64) == Some(1);
        if first || self.watch.post_copy {
            return Ok(None);
        }
        match self.watch.stopped {
            Stopped::Not => self.pass_ended().map(Some),
            Stopped::ByQemu { counts: 0 } if self.mirrors.is_none() || self.watch.switching_over => {
                self.watch.stopped = Stopped::ByQemu { counts: 1 };
                Ok(None)
            }
            Stopped::ByQemu { .. } => {
                self.watch.stopped = Stopped::ByOther;
                Ok(Some(Input::Loop(LoopInput::PausedByOther)))
            }
            Stopped::ByOther if self.watch.told_stopped => Ok(None),
            Stopped::ByOther => {
                let switching = matches!(self.source.run_state()?.as_str(), "finish-migrate" | "postmigrate");
                let pass = self.pass_ended()?;
                if switching {
                    self.happened(at, pass);
                    self.stopped_for_switchover(at);
                    return Ok(None);
                }
                Ok(Some(pass))
            }
        }
    }

    fn pass_ended(&mut self) -> Result<Input, QemuError> {
        let status = MigrationStatus::of(self.source)?;
        self.note_throttle(status.throttle.unwrap_or(0));
        self.watch.sent = self.watch.sent.max(status.sent);
        let throttle_percent = status.throttle.unwrap_or(0).min(100) as u32;
        let (sent, dirty) = (self.watch.sent, status.remaining);
        Ok(Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent }))
    }

    fn source_migration(&mut self, status: &str, at: SimTime) -> Result<Option<Input>, QemuError> {
        status.clone_into(&mut self.watch.migration);
        match status {
            "pre-switchover" => {
                self.stopped_for_switchover(at);
                self.watch.switching_over = true;
                Ok(Some(Input::Loop(LoopInput::AtSwitchover)))
            }
            "device" if self.mirrors.is_some() && !self.watch.continued => {
                let words =
                    "somebody has told QEMU to hand over before the disks had caught up (`migrate-continue`)";
                Ok(Some(failed(words.into())))
            }
            "device" => {
                self.paused_before_switchover(at);
                Ok(None)
            }
            "postcopy-active" => {
                self.watch.post_copy = true;
                self.post_copy_begun()
            }
            "completed" => {
                self.paused_before_switchover(at);
                let sent = self.sent()?;
                Ok(Some(Input::Loop(LoopInput::Sent { sent })))
            }
            // No order of ours: giving up listens to nobody.
            "cancelled" => Ok(Some(failed(CANCELLED.into()))),
            "failed" | "postcopy-paused" => {
                let words = MigrationStatus::of(self.source)?.error;
                Ok(Some(failed(words.unwrap_or_else(|| format!("QEMU says `{status}` and no more")))))
            }
            _ => Ok(None),
        }
    }

    /// QEMU switches a VM over that somebody has paused: it says no STOP of its own.
    fn paused_before_switchover(&mut self, at: SimTime) {
        if self.watch.stopped == Stopped::ByOther {
            self.stopped_for_switchover(at);
        }
    }

    fn stopped_for_switchover(&mut self, at: SimTime) {
        if !std::mem::replace(&mut self.watch.told_stopped, true) {
            self.happened(at, Input::Loop(LoopInput::Stopped));
        }
    }

    /// QEMU says that post-copy is active before it stops the VM, and where disks are mirrored, once more after their
    /// mirrors have ended. Of a VM that is paused already, the destination says when it has it.
    fn post_copy_begun(&mut self) -> Result<Option<Input>, QemuError> {
        let stopped = match self.watch.stopped {
            Stopped::Not => false,
            Stopped::ByQemu { .. } => true,
            Stopped::ByOther => self.watch.post_copy_there,
        };
        let settled = self.mirrors.is_none() || self.watch.switching_over;
        if !(self.watch.post_copy && stopped && settled) || self.watch.told_post_copy {
            return Ok(None);
        }
        self.watch.told_post_copy = true;
        self.stopped_for_switchover(self.clock.now());
        let sent = self.sent()?;
        Ok(Some(Input::Loop(LoopInput::PostCopy { sent })))
    }

    pub(super) fn sent(&mut self) -> Result<Bytes, QemuError> {
        let sent = MigrationStatus::of(self.source)?.sent;
        self.watch.sent = self.watch.sent.max(sent);
        Ok(self.watch.sent)
    }

    fn mirror_ended(&mut self, event: &Event) -> Result<Option<Input>, QemuError> {
        let Some(mirrors) = &mut self.mirrors else { return Ok(None) };
        match mirrors.ended(self.source, event)? {
            JobEnd::GoesOn => Ok(None),
            JobEnd::Failed(words) => Ok(Some(failed(words))),
            // Disks alone use their copies now; disks that go with their VM have caught up.
            JobEnd::AllEnded if self.destination.is_none() => {
                Ok(Some(Input::Storage(MirrorInput::SwitchedOver)))
            }
            JobEnd::AllEnded => self.go_on().map(|()| None),
        }
    }

    fn destination_says(&mut self, event: &Event, at: SimTime) -> Result<Option<Input>, QemuError> {
        match (event.name.as_str(), event.text("status")) {
            ("RESUME", _) => {
                self.watch.ran_there = true;
                if self.watch.handed_over {
                    self.watch.paused_there = false;
                    return Ok(Some(Input::Loop(LoopInput::Resumed)));
                }
                self.watch.ran_early = Some(at);
                Ok(None)
            }
            ("STOP", _) => {
                self.watch.ran_early = None;
                if self.watch.handed_over && self.watch.ran_there {
                    self.watch.paused_there = true;
                    let message =
                        format!("somebody has paused {} at {}", self.order.vm, self.order.destination);
                    let event = EventRecord::warning(at, message).at(&self.order.destination);
                    self.log(event.of_kind(EventKind::PausedByOthers));
                }
                Ok(None)
            }
            ("MIGRATION", Some("postcopy-active")) => {
                self.watch.post_copy_there = true;
                self.post_copy_begun()
            }
            ("MIGRATION", Some("failed")) => {
                Ok(Some(self.destination_failed("the destination could not take the guest in".into())))
            }
            _ => Ok(None),
        }
    }

    /// A destination often says first what the source began: the source says why.
    fn destination_failed(&mut self, words: String) -> Input {
        let until = Instant::now() + REASON_COMES_WITHIN;
        while self.watch.started && !self.watch.handed_over && Instant::now() < until {
            let Ok(found) = MigrationStatus::of(self.source) else { break };
            match found.status.as_str() {
                "cancelling" | "cancelled" => return failed(CANCELLED.into()),
                "failed" => {
                    return failed(found.error.map_or(words.clone(), |why| format!("{words}: {why}")));
                }
                "setup" | "active" | "device" => std::thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
        failed(words)
    }

    /// A source that died when the VM stood still may have sent all before, which the destination knows. Once
    /// the destination has the VM it has all, unless it is in post-copy: no source is needed
    /// then, and the destination says when it runs.
    fn source_gone(&mut self, words: String) -> Option<Input> {
        if self.watch.handed_over && !self.watch.post_copy {
            return None;
        }
        let until = Instant::now() + ALL_ARRIVES_WITHIN;
        while self.watch.told_stopped && !self.watch.handed_over && Instant::now() < until {
            let Some(destination) = &mut self.destination else { break };
            match Condition::of_destination(destination.qmp) {
                Condition::Standing => return Some(Input::Loop(LoopInput::Sent { sent: self.watch.sent })),
                Condition::Receiving => std::thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
        Some(failed(format!("the source is gone: {words}")))
    }

    /// The log has a line for each step of auto-converge.
    fn note_throttle(&mut self, percent: u64) {
        if percent <= self.watch.throttle {
            return;
        }
        self.watch.throttle = percent;
        let message = format!("auto-converge holds the guest back by {percent} %");
        let event = EventRecord::information(self.last, message).at(&self.order.source);
        self.log(event.of_kind(EventKind::Throttled));
    }
}

fn failed(reason: String) -> Input {
    Input::Failed { reason }
}
