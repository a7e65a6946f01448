//! The controller's commands in QEMU's words.

use algorithms::controller::{Command, Input};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::storage_mirror::{MirrorCommand, MirrorInput};
use serde_json::json;

use super::Driver;
use crate::qemu::QemuError;
use crate::qemu::disks::Ending;
use crate::qemu::levers::{self, Disks};
use crate::qemu::standing::Remedy;
use crate::qemu::status::MigrationStatus;

impl Driver<'_> {
    /// Has `command` done; the answer, where it is known at once.
    pub(super) fn carry_out(&mut self, command: Command) -> Option<Input> {
        let done = match command {
            Command::Prepare => self.prepare().map(|()| Some(Input::Prepared)),
            Command::Loop(command) => self.pull_lever(command).map(|()| None),
            Command::Storage(MirrorCommand::Copy { disk, bytes }) => match &mut self.mirrors {
                Some(mirrors) => mirrors.begin(self.migration.source, disk, bytes).map(|()| None),
                None => Err(QemuError::Scenario(
                    "disks of QEMU guests move together with their guest only".into(),
                )),
            },
            // Only a move on the same host asks for this by itself; QEMU's `blockdev-mirror` then pivots.
            Command::Storage(MirrorCommand::SwitchOver) => {
                Ok(Some(Input::Storage(MirrorInput::SwitchedOver)))
            }
            Command::EndMirror => Ok(Some(self.end_mirrors())),
            Command::Finish => Ok(Some(self.finish())),
            Command::Abort => return Some(self.undo()),
            command @ (Command::Page(_) | Command::Commit) => {
                Err(QemuError::Scenario(format!("QEMU has a page loop of its own: {command:?}")))
            }
        };
        done.unwrap_or_else(|error| Some(Input::Failed { reason: error.to_string() }))
    }

    /// Sets both sides up, and lets the destination listen.
    fn prepare(&mut self) -> Result<(), QemuError> {
        let disks = self.migration.order.storage.as_ref().map_or(0, |storage| storage.disks.len());
        let mirrored = if disks > 0 { Disks::Mirrored } else { Disks::Shared };
        levers::set(self.migration.levers, self.migration.source, mirrored)?;
        levers::set(self.migration.levers, self.migration.destination, mirrored)?;
        let destination = &mut *self.migration.destination;
        let uri = format!("tcp:{}:0", self.migration.address);
        destination.execute("migrate-incoming", json!({"uri": uri}))?;
        let status = MigrationStatus::of(destination)?;
        self.watch.port = status.port;
        if status.port.is_none() {
            return Err(destination.unexpected("query-migrate", &status.status.into()));
        }
        match &self.mirrors {
            Some(mirrors) if disks > 0 => mirrors.listen(destination, disks),
            _ => Ok(()),
        }
    }

    fn pull_lever(&mut self, command: LoopCommand) -> Result<(), QemuError> {
        let source = &mut *self.migration.source;
        match command {
            LoopCommand::Start => {
                let port = self.watch.port.unwrap_or_default();
                self.watch.started = true;
                let uri = format!("tcp:{}:{port}", self.migration.address);
                source.execute("migrate", json!({"uri": uri})).map(drop)
            }
            LoopCommand::StartPostCopy => source.execute("migrate-start-postcopy", json!({})).map(drop),
            LoopCommand::ForcePause => levers::tolerate_any_pause(source),
            LoopCommand::SwitchOver => match &mut self.mirrors {
                Some(mirrors) if mirrors.is_running() => mirrors.end(source, Ending::Whole),
                _ => self.go_on(),
            },
            LoopCommand::Resume => self.resume(),
        }
    }

    /// The disks have caught up: QEMU may hand over.
    pub(super) fn go_on(&mut self) -> Result<(), QemuError> {
        let state = json!({"state": "pre-switchover"});
        self.migration.source.execute("migrate-continue", state).map(drop)
    }

    /// Starts the guest at the destination, whose disks nobody else writes to any more.
    fn resume(&mut self) -> Result<(), QemuError> {
        self.watch.resuming = true;
        let destination = &mut *self.migration.destination;
        if self.mirrors.is_some() {
            destination.execute("nbd-server-stop", json!({}))?;
        }
        if let Some(at) = self.watch.ran_early {
            // It says so once.
            self.answers.push_back((at, Input::Loop(LoopInput::Resumed)));
            return Ok(());
        }
        destination.execute("cont", json!({})).map(drop)
    }

    fn end_mirrors(&mut self) -> Input {
        Input::MirrorEnded {
            written: self.mirrors.as_ref().map_or_else(Default::default, |mirrors| mirrors.written()),
        }
    }

    /// Ends the source; where it is gone already, that is as well.
    fn finish(&mut self) -> Input {
        let _ = self.migration.source.execute("quit", json!({}));
        self.standing = Some(Remedy::DestinationRuns);
        Input::Finished
    }
}
