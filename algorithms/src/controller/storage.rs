//! The controller's part in moving disks: before the memory, and with it in the end.
//!
//! ```text
//!  Preparing ─▶ CopyingDisks ─▶ Copying ─▶ EndingMirror ─▶ Finishing     disks and memory
//!                    └─────────────────────────▲                         disks only
//! ```
//!
//! [`StorageMirror`] has the rules of the copying; this passes its inputs and commands through.

use sim_core::{Bytes, SimTime};

use super::failing::Connection;
use super::{Command, MigrationController, MigrationOrder, State};
use crate::machine::{Refused, Settled, settle_inner};
use crate::page_loop::PagesMoved;
use crate::policy::StopReason;
use crate::records::MigrationKind;
use crate::storage_mirror::{MirrorInput, StorageMirror, StorageOrder, Switch};

/// The machine that moves the disks of `order`, if it has any.
pub(super) fn mirror(order: &MigrationOrder) -> Option<StorageMirror> {
    let storage = order.storage.clone()?;
    Some(StorageMirror::new(order.migration, order.vm.clone(), order.source.clone(), storage))
}

impl MigrationController {
    pub(super) fn begin_disks(&mut self, now: SimTime) -> Result<(), Refused> {
        self.state = State::CopyingDisks;
        self.mirror_input(now, MirrorInput::Begin)
    }

    pub(super) fn mirror_input(&mut self, now: SimTime, input: MirrorInput) -> Result<(), Refused> {
        let Some(mirror) = &mut self.mirror else {
            return Err(Refused { input: format!("{input:?}"), state: "no disks move".into() });
        };
        let settled = settle_inner(mirror, now, input, &mut self.outbox, Command::Storage)?;
        let (Settled::Done(()), switch) = (settled, mirror.switch()) else { return Ok(()) };
        match switch {
            Switch::WithMemory => {
                self.state = State::Copying;
                self.begin_memory(now)?;
            }
            Switch::WhenCopied => {
                self.moved(PagesMoved { reason: StopReason::DisksCopied, paused: now, resumed: now });
            }
        }
        Ok(())
    }

    /// All that was to be moved is.
    pub(super) fn moved(&mut self, moved: PagesMoved) {
        self.deadline = SimTime::MAX;
        self.connection = Connection::default();
        if self.mirror.is_some() {
            self.state = State::EndingMirror(moved);
            self.outbox.command(Command::EndMirror);
        } else {
            self.finish(moved);
        }
    }

    pub(super) fn finish(&mut self, moved: PagesMoved) {
        self.state = State::Finishing(moved);
        self.outbox.command(Command::Finish);
    }

    /// Whether the guest is about to use the copies of its disks: it may already.
    pub(super) fn is_switching_over(&self) -> bool {
        self.mirror.as_ref().is_some_and(StorageMirror::is_switching_over)
    }

    /// Notes what of the round or the disk under way was sent when it was given up.
    pub(super) fn note_partly_sent(&mut self, sent: Bytes) {
        if self.mirror.as_ref().is_some_and(StorageMirror::is_copying) {
            self.disk_partly_sent = sent;
        } else {
            self.partly_sent = sent;
        }
    }

    /// Disk content written at the destination, copied and mirrored.
    pub(super) fn storage_sent(&self) -> Bytes {
        let copied = self.mirror.as_ref().map_or(Bytes::ZERO, StorageMirror::copied);
        copied + self.disk_partly_sent + self.mirrored
    }

    pub(super) fn kind(&self) -> MigrationKind {
        MigrationKind::of(self.order.storage.as_ref())
    }

    /// What this migration is, as the log says it.
    pub(super) fn what(&self) -> String {
        match self.kind() {
            MigrationKind::Live => format!("migration to {}", self.order.destination),
            MigrationKind::Storage => format!("storage migration on {}", self.order.source),
            MigrationKind::SharedNothing => {
                format!("migration with storage to {}", self.order.destination)
            }
            // Never this machine's: see `quick_migration`.
            kind @ (MigrationKind::Quick | MigrationKind::Stop | MigrationKind::Start) => {
                format!("{kind:?} at {}", self.order.destination)
            }
        }
    }
}

impl MigrationKind {
    /// The kind of a migration with these disks.
    pub fn of(storage: Option<&StorageOrder>) -> MigrationKind {
        match storage.map(|order| order.switch) {
            None => MigrationKind::Live,
            Some(Switch::WhenCopied) => MigrationKind::Storage,
            Some(Switch::WithMemory) => MigrationKind::SharedNothing,
        }
    }
}
