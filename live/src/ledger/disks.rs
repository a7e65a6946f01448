//! Which files of disks belong to a guest, and which are to be removed.
//!
//! ```text
//!                     made, or copied to here        moved from here
//!  under way          copies: not yet                leaving: still
//!  ended well         spec: the guest's              leaving: to be removed
//!  ended badly        copies: to be removed          spec: the guest's
//! ```
//!
//! A file is noted before it is made, and forgotten after it was removed: so none is left over, wherever
//! an agent is killed. No two files have one name, so that none is removed that another move has made.

use algorithms::handover::{DestinationPhase, SourcePhase};

use super::{Entry, Ledger, Standing};
use crate::disk::{DiskPlace, DiskSpec};
use crate::error::LiveError;

impl Ledger {
    /// The disks of a new guest are made: it exists from now on.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it is not known, or the disk cannot be written.
    pub fn created(&mut self, guest: &str) -> Result<(), LiveError> {
        let mut entry = self.known(guest)?.clone();
        entry.copies.clear();
        self.write(entry)
    }

    /// Disks of an own guest are about to be copied to these files, on this host.
    ///
    /// # Errors
    ///
    /// As [`Ledger::created`].
    pub fn begin_copies(&mut self, guest: &str, copies: Vec<DiskPlace>) -> Result<(), LiveError> {
        let mut entry = self.known(guest)?.clone();
        entry.copies = copies;
        self.write(entry)
    }

    /// The guest uses these disks from now on, and the files that it used before no more.
    ///
    /// # Errors
    ///
    /// As [`Ledger::created`].
    pub fn switch_disks(&mut self, guest: &str, disks: Vec<DiskSpec>) -> Result<(), LiveError> {
        let mut entry = self.known(guest)?.clone();
        let before = entry.spec.disks.iter().map(DiskSpec::place);
        entry.leaving = before.filter(|place| !disks.iter().any(|disk| disk.place() == *place)).collect();
        entry.spec.disks = disks;
        entry.copies.clear();
        self.write(entry)
    }

    /// Files of a guest that are to be removed, where no move of it is under way.
    pub fn garbage(&self, guest: &str) -> Vec<DiskPlace> {
        self.get(guest).map_or(vec![], Entry::garbage)
    }

    /// Files that were to be removed are.
    ///
    /// # Errors
    ///
    /// As [`Ledger::created`].
    pub fn removed(&mut self, guest: &str) -> Result<(), LiveError> {
        let mut entry = self.known(guest)?.clone();
        if !entry.garbage().is_empty() {
            (entry.copies, entry.leaving) = (vec![], vec![]);
            self.write(entry)?;
        }
        Ok(())
    }
}

impl Entry {
    /// Whether making the guest was cut short before all of its disks were there.
    pub fn is_unborn(&self) -> bool {
        let own = |disk: &DiskSpec| self.copies.contains(&disk.place());
        self.standing == Standing::Own && self.spec.disks.iter().any(own)
    }

    fn garbage(&self) -> Vec<DiskPlace> {
        match &self.standing {
            // A hand-over under way needs both yet.
            Standing::Outgoing { phase: SourcePhase::Undecided, .. } => vec![],
            standing if standing.owns() => [&self.copies[..], &self.leaving[..]].concat(),
            Standing::Incoming { phase: DestinationPhase::Renounced, .. } => self.copies.clone(),
            Standing::Outgoing { phase: SourcePhase::Released, .. } => self.leaving.clone(),
            _ => vec![],
        }
    }

    /// A hand-over from here was decided against while the agent was down: its files stay.
    pub(super) fn forget_leaving(&mut self) {
        if matches!(&self.standing, Standing::Outgoing { phase: SourcePhase::TakenBack, .. }) {
            self.leaving.clear();
        }
    }
}
