//! Moving the disks of a running guest: one pass of copying, with the guest's writes mirrored
//! meanwhile, then the switch-over.
//!
//! ```text
//!          ┌──── the next disk ────┐
//!          ▼                       │
//!  Idle ─▶ Copying(disk) ─ Copied ─┴─▶ SwitchingOver ─ SwitchedOver ─▶ Done     on the same host
//!                                 └──▶ Done: all disks are mirrored             with memory
//! ```
//!
//! Hyper-V's rule, in one of two accounts: a new virtual disk is created at the destination; from then
//! on the guest reads from the source, and every write goes to both; meanwhile one pass copies the
//! source; then the guest is switched to the new disk, and only after that the old one is deleted, so
//! that any failure leaves the guest on its old disk (M. Nogueira, "How does a storage migration of a
//! running virtual machine in Windows Server 2012 actually work?", azurecentric.com, July 2012; a book
//! excerpt at issuhub.com/view/index?id=6089&pageIndex=504 agrees). The other account mirrors only
//! after the first copy, and then sends what has changed since (Nogueira, "Share nothing live
//! migration with Hyper-V 2012", October 2012). We follow the first, which says how it is done in
//! more detail; the second sends less by what was written during the copy more than once.
//! In a shared-nothing migration the disks stay mirrored until the guest runs at its destination;
//! its memory begins to move when the last disk is copied (so the October account).
//!
//! Assumptions, for nothing is published: several disks are copied one after another, in their order;
//! switching over takes no time that counts. Hyper-V leaves out blocks that a mirrored write has
//! replaced before the pass comes to them; the size of such a block is not published, and
//! nothing is left out here, which makes the copy a little too long.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use crate::ids::{MigrationId, Name};
use crate::machine::{Machine, Outbox, Output, Refused};
use crate::records::{EventKind, EventRecord, Record};

/// The disks of a guest to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageOrder {
    /// In the order in which they are copied; at least one.
    pub disks: Vec<DiskOrder>,
    /// When the guest begins to use the copies.
    pub switch: Switch,
}

/// One disk to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskOrder {
    /// By its place among the guest's disks.
    pub disk: u32,
    /// Its name.
    pub name: Name,
    /// The size of its file, all of which is copied.
    pub bytes: Bytes,
    /// The storage location where it is.
    pub from: Name,
    /// The storage location where it goes.
    pub to: Name,
}

/// When the guest begins to use the copies of its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// As soon as all are copied; the guest stays on its host.
    WhenCopied,
    /// When its memory has followed: the copies are at another host.
    WithMemory,
}

/// What the machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorInput {
    /// Begin with the first disk.
    Begin,
    /// All of the disk is across.
    Copied,
    /// The guest uses the copies.
    SwitchedOver,
}

/// What the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorCommand {
    /// From now on write whatever the guest writes to `disk` to both sides, and copy the whole disk;
    /// answer [`MirrorInput::Copied`] when the copy is done. The mirroring goes on.
    Copy {
        /// By its place among the guest's disks.
        disk: u32,
        /// How much.
        bytes: Bytes,
    },
    /// Let the guest use the copies; answer [`MirrorInput::SwitchedOver`].
    SwitchOver,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StorageMirror {
    migration: MigrationId,
    vm: Name,
    host: Name,
    order: StorageOrder,
    copied: Bytes,
    state: State,
    outbox: Outbox<MirrorCommand, ()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    /// By its place in the order.
    Copying(usize),
    SwitchingOver,
    Done,
}

impl Machine for StorageMirror {
    type Input = MirrorInput;
    type Command = MirrorCommand;
    type Done = ();

    fn handle(&mut self, now: SimTime, input: MirrorInput) -> Result<(), Refused> {
        self.state = match (self.state, input) {
            (State::Idle, MirrorInput::Begin) => self.next_disk(now, 0),
            (State::Copying(index), MirrorInput::Copied) => {
                self.copied += self.order.disks[index].bytes;
                self.next_disk(now, index + 1)
            }
            (State::SwitchingOver, MirrorInput::SwitchedOver) => {
                self.log(now, "storage: the guest uses its disks at the new place".into());
                State::Done
            }
            (state, input) => return Err(Refused::of(&input, &state)),
        };
        Ok(())
    }

    fn poll(&mut self) -> Output<MirrorCommand, ()> {
        match (self.outbox.pop(), self.state) {
            (Some(output), _) => output,
            (None, State::Done) => Output::Done(()),
            (None, _) => Output::Wait(SimTime::MAX),
        }
    }
}

impl StorageMirror {
    /// A machine that will move the disks of `order` for `vm`, which runs on `host`.
    pub fn new(migration: MigrationId, vm: Name, host: Name, order: StorageOrder) -> StorageMirror {
        let (state, outbox) = (State::Idle, Outbox::new());
        StorageMirror { migration, vm, host, order, copied: Bytes::ZERO, state, outbox }
    }

    /// Of the disks that are copied whole.
    pub fn copied(&self) -> Bytes {
        self.copied
    }

    /// Whether a disk is being copied.
    pub fn is_copying(&self) -> bool {
        matches!(self.state, State::Copying(_))
    }

    /// Whether the guest is about to use the copies: too late to give up.
    pub fn is_switching_over(&self) -> bool {
        self.state == State::SwitchingOver
    }

    /// When the guest begins to use the copies.
    pub fn switch(&self) -> Switch {
        self.order.switch
    }

    fn next_disk(&mut self, now: SimTime, index: usize) -> State {
        let percent = self.percent();
        match (self.order.disks.get(index), self.order.switch) {
            (Some(disk), _) => {
                let DiskOrder { name, from, to, bytes, .. } = disk;
                let message = format!(
                    "storage {percent} %: copying disk `{name}`, {bytes}, from `{from}` to `{to}`; its writes go to both"
                );
                self.outbox.command(MirrorCommand::Copy { disk: disk.disk, bytes: *bytes });
                self.log(now, message);
                State::Copying(index)
            }
            (None, Switch::WhenCopied) => {
                self.log(now, format!("storage {percent} %: all disks are copied, switching over"));
                self.outbox.command(MirrorCommand::SwitchOver);
                State::SwitchingOver
            }
            (None, Switch::WithMemory) => {
                let message =
                    format!("storage {percent} %: all disks are copied and mirrored, memory follows");
                self.log(now, message);
                State::Done
            }
        }
    }

    /// Of all bytes to copy, the share that is copied.
    fn percent(&self) -> u64 {
        let all: Bytes = self.order.disks.iter().map(|disk| disk.bytes).sum();
        if all == Bytes::ZERO { 100 } else { (self.copied.as_f64() / all.as_f64() * 100.0).floor() as u64 }
    }

    fn log(&mut self, time: SimTime, message: String) {
        let event = EventRecord::information(time, message).of_kind(EventKind::DiskProgress);
        self.outbox.record(Record::Event(event.of(self.migration, &self.vm).at(&self.host)));
    }
}
