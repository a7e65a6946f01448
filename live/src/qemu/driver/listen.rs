//! What the machines say by themselves, as inputs of the controller.

use std::time::{Duration, Instant};

use algorithms::controller::Input;
use algorithms::hypervisor_loop::LoopInput;
use algorithms::records::{EventRecord, Level, Record};
use algorithms::storage_mirror::MirrorInput;
use sim_core::SimTime;

use super::Driver;
use crate::qemu::QemuError;
use crate::qemu::message::Event;
use crate::qemu::qmp::{Notice, Side};
use crate::qemu::standing::{Condition, condition};
use crate::qemu::status::MigrationStatus;

/// How long a destination whose source is gone has to say that it has all.
const ALL_ARRIVES_WITHIN: Duration = Duration::from_secs(2);

impl Driver<'_> {
    pub(super) fn listen(&mut self, side: Side, notice: Notice) {
        let at = match &notice {
            Notice::Event(event) => self.migration.clock.of_event(event.unix_nanos),
            Notice::Closed(_) => self.migration.clock.now(),
        };
        let heard = match (side, notice) {
            (Side::Source, Notice::Event(event)) => self.source_says(&event),
            (Side::Destination, Notice::Event(event)) => Ok(self.destination_says(&event, at)),
            (Side::Source, Notice::Closed(words)) => Ok(self.source_gone(words)),
            (Side::Destination, Notice::Closed(words)) => {
                Ok(Some(Input::Failed { reason: format!("the destination is gone: {words}") }))
            }
        };
        let input = heard.unwrap_or_else(|error| Some(Input::Failed { reason: error.to_string() }));
        self.answers.extend(input.map(|input| (at, input)));
    }

    fn source_says(&mut self, event: &Event) -> Result<Option<Input>, QemuError> {
        match event.name.as_str() {
            "MIGRATION_PASS" => self.pass(event),
            "STOP" if self.watch.started => {
                self.watch.stopped = true;
                self.answers.push_back((self.migration.clock.of_event(event.unix_nanos), stopped()));
                self.post_copy_begun()
            }
            "MIGRATION" => self.source_migration(event.text("status").unwrap_or_default()),
            "BLOCK_JOB_READY" => Ok(Some(Input::Storage(MirrorInput::Copied))),
            "BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED" => self.mirror_ended(event),
            "BLOCK_JOB_ERROR" => Ok(Some(Input::Failed {
                reason: "a disk could not be copied: an error in reading or writing".into(),
            })),
            _ => Ok(None),
        }
    }

    /// A count: the first opens the first pass, each further one ends one. One of a guest that stands still
    /// ends none.
    fn pass(&mut self, event: &Event) -> Result<Option<Input>, QemuError> {
        let first = event.data.get("pass").and_then(serde_json::Value::as_u64) == Some(1);
        if first || self.watch.stopped {
            return Ok(None);
        }
        let status = MigrationStatus::of(self.migration.source)?;
        self.note_throttle(status.throttle.unwrap_or(0));
        self.watch.sent = self.watch.sent.max(status.sent);
        let throttle_percent = status.throttle.unwrap_or(0).min(100) as u32;
        let (sent, dirty) = (self.watch.sent, status.remaining);
        Ok(Some(Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent })))
    }

    fn source_migration(&mut self, status: &str) -> Result<Option<Input>, QemuError> {
        match status {
            "pre-switchover" => {
                self.watch.switching_over = true;
                Ok(Some(Input::Loop(LoopInput::AtSwitchover)))
            }
            "postcopy-active" => {
                self.watch.post_copy = true;
                self.post_copy_begun()
            }
            "completed" => {
                let sent = self.sent()?;
                Ok(Some(Input::Loop(LoopInput::Sent { sent })))
            }
            "failed" | "cancelled" | "postcopy-paused" => {
                let words = MigrationStatus::of(self.migration.source)?.error;
                let words = words.unwrap_or_else(|| format!("QEMU says `{status}` and no more"));
                Ok(Some(Input::Failed { reason: words }))
            }
            _ => Ok(None),
        }
    }

    /// QEMU says that post-copy is active before it stops the guest, and where disks are mirrored, once more
    /// after their mirrors have ended.
    fn post_copy_begun(&mut self) -> Result<Option<Input>, QemuError> {
        let settled = self.mirrors.is_none() || self.watch.switching_over;
        if !(self.watch.post_copy && self.watch.stopped && settled) || self.watch.told_post_copy {
            return Ok(None);
        }
        self.watch.told_post_copy = true;
        let sent = self.sent()?;
        Ok(Some(Input::Loop(LoopInput::PostCopy { sent })))
    }

    fn sent(&mut self) -> Result<sim_core::Bytes, QemuError> {
        let sent = MigrationStatus::of(self.migration.source)?.sent;
        self.watch.sent = self.watch.sent.max(sent);
        Ok(self.watch.sent)
    }

    fn mirror_ended(&mut self, event: &Event) -> Result<Option<Input>, QemuError> {
        let device = event.text("device").unwrap_or_default();
        let Some(mirrors) = &mut self.mirrors else {
            return Ok(None);
        };
        match mirrors.ended(self.migration.source, device) {
            None => return Ok(None),
            Some(removed) => removed?,
        }
        if let Some(words) = event.text("error") {
            return Ok(Some(Input::Failed { reason: format!("a disk could not be copied: {words}") }));
        }
        if !self.watch.switching_over {
            return Ok(Some(Input::Failed { reason: format!("the mirror `{device}` has ended by itself") }));
        }
        if !mirrors.is_running() {
            self.go_on()?;
        }
        Ok(None)
    }

    fn destination_says(&mut self, event: &Event, at: SimTime) -> Option<Input> {
        match (event.name.as_str(), event.text("status")) {
            ("RESUME", _) if self.watch.resuming => Some(Input::Loop(LoopInput::Resumed)),
            ("RESUME", _) => {
                self.watch.ran_early = Some(at);
                None
            }
            ("MIGRATION", Some("failed")) => {
                Some(Input::Failed { reason: "the destination could not take the guest in".into() })
            }
            _ => None,
        }
    }

    /// A source that died when the guest stood still may have sent all before, which the destination knows. Once
    /// the destination was told to start the guest it has all, unless it is post-copy: no source is needed
    /// then, and the destination says when it runs.
    fn source_gone(&mut self, words: String) -> Option<Input> {
        if self.watch.resuming && !self.watch.post_copy {
            return None;
        }
        let until = Instant::now() + ALL_ARRIVES_WITHIN;
        while self.watch.stopped && !self.watch.resuming && Instant::now() < until {
            match condition(self.migration.destination) {
                Condition::Standing => return Some(Input::Loop(LoopInput::Sent { sent: self.watch.sent })),
                Condition::Receiving => std::thread::sleep(Duration::from_millis(20)),
                Condition::Running | Condition::Gone => break,
            }
        }
        Some(Input::Failed { reason: format!("the source is gone: {words}") })
    }

    /// The log has a line for each step of auto-converge.
    fn note_throttle(&mut self, percent: u64) {
        if percent <= self.watch.throttle {
            return;
        }
        self.watch.throttle = percent;
        let order = &self.migration.order;
        self.records.push(Record::Event(EventRecord {
            time: self.last,
            level: Level::Information,
            event_id: None,
            migration: Some(order.migration),
            vm: Some(order.vm.clone()),
            host: Some(order.source.clone()),
            message: format!("auto-converge holds the guest back by {percent} %"),
            advice: None,
        }));
    }
}

fn stopped() -> Input {
    Input::Loop(LoopInput::Stopped)
}
