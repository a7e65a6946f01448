//! The controller's commands in QEMU's words.

use std::time::{Duration, Instant};

use algorithms::controller::{Command, Input};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::storage_mirror::MirrorCommand;
use serde_json::json;
use sim_core::Bytes;

use super::{Destination, Driver, Stopped};
use crate::qemu::QemuError;
use crate::qemu::levers::{self, Disks};
use crate::qemu::resolution::{Condition, HandOver, Machines, WhoRuns, Wish, alone};
use crate::qemu::status::MigrationStatus;

/// How long a destination may take to have all that the source has sent.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

impl<'a> Driver<'a> {
    /// Has `command` done; its answer, where it is known when that is done.
    pub(super) fn command(&mut self, command: Command) -> Result<Option<Input>, QemuError> {
        match command {
            Command::Prepare => self.prepare().map(|()| Some(Input::Prepared)),
            Command::Loop(command) => self.pull_lever(command),
            Command::Storage(command) => self.copy_disks(command).map(|()| None),
            Command::EndMirror => Ok(Some(Input::MirrorEnded { written: self.mirrored() })),
            Command::Finish => self.finish().map(Some),
            Command::Abort => Ok(Some(self.undo())),
            Command::Page(_) | Command::Commit => {
                Err(QemuError::Scenario(format!("QEMU has a page loop of its own: {command:?}")))
            }
        }
    }

    /// Sets both sides up, and lets the destination listen, where there is one.
    fn prepare(&mut self) -> Result<(), QemuError> {
        let Some(Destination { qmp, levers, address, port }) = &mut self.destination else { return Ok(()) };
        let disks = self.order.storage.as_ref().map_or(0, |storage| storage.disks.len());
        let mirrored = if disks > 0 { Disks::Mirrored } else { Disks::Shared };
        levers::set(levers, self.source, mirrored)?;
        levers::set(levers, qmp, mirrored)?;
        let uri = format!("tcp:{address}:0");
        qmp.execute("migrate-incoming", json!({"uri": uri}))?;
        let status = MigrationStatus::of(qmp)?;
        *port = status.port;
        if status.port.is_none() {
            return Err(qmp.unexpected("query-migrate", &status.status.into()));
        }
        match &self.mirrors {
            Some(mirrors) if disks > 0 => mirrors.listen(qmp, disks),
            _ => Ok(()),
        }
    }

    fn copy_disks(&mut self, command: MirrorCommand) -> Result<(), QemuError> {
        let Some(mirrors) = &mut self.mirrors else {
            return Err(QemuError::Scenario("nothing is known of where disks are to go".into()));
        };
        match command {
            MirrorCommand::Copy { disk, bytes } => mirrors.begin(self.source, disk, bytes),
            MirrorCommand::SwitchOver => mirrors.end(self.source),
        }
    }

    fn pull_lever(&mut self, command: LoopCommand) -> Result<Option<Input>, QemuError> {
        match command {
            LoopCommand::Start => return self.start(),
            LoopCommand::StartPostCopy => drop(self.source.execute("migrate-start-postcopy", json!({}))?),
            LoopCommand::ForcePause => levers::tolerate_any_pause(self.source)?,
            LoopCommand::SwitchOver => match &mut self.mirrors {
                Some(mirrors) if mirrors.is_running() => mirrors.end(self.source)?,
                _ => self.go_on()?,
            },
            LoopCommand::Resume => self.hand_over("cont")?,
            LoopCommand::LeavePaused => {
                self.hand_over("stop")?;
                return self.left_paused().map(Some);
            }
        }
        Ok(None)
    }

    /// Lets the source migrate. The VM may have been paused while it waited for its turn.
    fn start(&mut self) -> Result<Option<Input>, QemuError> {
        let Destination { address, port, .. } = self.its_destination()?;
        let uri = format!("tcp:{address}:{}", port.unwrap_or_default());
        self.watch.started = true;
        self.source.execute("migrate", json!({"uri": uri}))?;
        match self.source.run_state()?.as_str() {
            "running" | "finish-migrate" | "postmigrate" => Ok(None),
            _ => {
                self.watch.stopped = Stopped::ByOther;
                Ok(Some(Input::Loop(LoopInput::PausedByOther)))
            }
        }
    }

    /// The disks have caught up: QEMU may hand over.
    pub(super) fn go_on(&mut self) -> Result<(), QemuError> {
        self.watch.continued = true;
        let state = json!({"state": "pre-switchover"});
        self.source.execute("migrate-continue", state).map(drop)
    }

    /// The VM is the destination's, whose disks nobody else writes to any more: it starts there (`cont`), or stays paused
    /// (`stop`, which also takes back what somebody has said to it before).
    fn hand_over(&mut self, how: &str) -> Result<(), QemuError> {
        // QMP cannot say "if nobody has". In post-copy the source refuses to go on by itself.
        if !self.watch.post_copy && self.source.run_state().is_ok_and(|state| state == "running") {
            let words = "somebody has let the guest go on at the source's monitor, when all was sent";
            return Err(QemuError::Others(words.into()));
        }
        let (mirrored, early) = (self.mirrors.is_some(), self.watch.ran_early);
        let destination = &mut *self.its_destination()?.qmp;
        if mirrored {
            destination.execute("nbd-server-stop", json!({}))?;
        }
        self.watch.handed_over = true;
        match early {
            // It has said so before, and says it once.
            Some(at) if how == "cont" => self.happened(at, Input::Loop(LoopInput::Resumed)),
            _ => drop(self.its_destination()?.qmp.execute(how, json!({}))?),
        }
        Ok(())
    }

    /// The VM was told to stay paused at the destination: how it is there.
    fn left_paused(&mut self) -> Result<Input, QemuError> {
        let until = Instant::now() + ARRIVES_WITHIN;
        loop {
            match self.its_destination()?.qmp.run_state()?.as_str() {
                // Somebody has said `cont` after our `stop`.
                "running" => return Ok(Input::Loop(LoopInput::Resumed)),
                "inmigrate" if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                _ => return Ok(Input::Loop(LoopInput::ArrivedPaused)),
            }
        }
    }

    fn its_destination(&mut self) -> Result<&mut Destination<'a>, QemuError> {
        let missing = || QemuError::Scenario("no machine waits for the guest".into());
        self.destination.as_mut().ok_or_else(missing)
    }

    fn mirrored(&self) -> Bytes {
        self.mirrors.as_ref().map_or(Bytes::ZERO, |mirrors| mirrors.written())
    }

    /// Ends what is not needed any more: the source whose VM has gone, or the images that it used before.
    fn finish(&mut self) -> Result<Input, QemuError> {
        let Some(destination) = &mut self.destination else {
            if let Some(mirrors) = &self.mirrors {
                mirrors.remove_old(self.source);
            }
            self.runs = Some(alone(self.source));
            return Ok(Input::Finished);
        };
        self.runs = Some(match Condition::of_destination(destination.qmp) {
            Condition::Standing => WhoRuns::DestinationPaused,
            Condition::Gone => {
                // Its copy was the younger one: whether the source's may go on is for an operator to say.
                self.runs = Some(WhoRuns::InDoubt);
                return Err(QemuError::Others("the destination has ended".into()));
            }
            _ => WhoRuns::Destination,
        });
        // Where it has ended already, that is as well.
        let _ = self.source.execute("quit", json!({}));
        Ok(Input::Finished)
    }

    /// Gives up: undoes what was begun, so that exactly one machine has the VM.
    fn undo(&mut self) -> Input {
        let before = self.watch.sent;
        // Where it cannot be asked any more, what it said last holds.
        let _ = self.sent();
        let watch = &self.watch;
        let paused = watch.stopped == Stopped::ByOther || watch.paused_there;
        let runs = Machines {
            destination: self.destination.as_mut().map(|destination| &mut *destination.qmp),
            notices: self.notices,
            hand_over: if watch.handed_over { HandOver::Ordered } else { HandOver::NotOrdered },
            wish: if paused { Wish::Paused } else { Wish::Running },
            ran: watch.ran_there,
            source: Some(&mut *self.source),
        }
        .settle();
        self.runs = Some(runs);
        // Counted since the last pass; what was sent before stands in the rounds.
        let _ = self.sent();
        let sent = self.watch.sent.saturating_sub(before);
        Input::Aborted { sent, whereabouts: runs.whereabouts() }
    }
}
