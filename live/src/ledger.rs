//! What an agent's disk says of its guests: which are its own, and how far each hand-over is.
//!
//! One file for each guest, `guests/NAME.json` in the agent's directory. The rules are
//! [`algorithms::handover`]'s; this keeps them on disk, each step before anybody acts on it. Which files of
//! disks belong to a guest, and which are to be removed, is `ledger/disks.rs`.

mod disks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use algorithms::handover::{DestinationPhase, DestinationStep, SourcePhase, SourceStep};
use serde::{Deserialize, Serialize};

use crate::disk::DiskPlace;
use crate::error::LiveError;
use crate::files;
use crate::guest::GuestSpec;
use crate::protocol::{Handover, Side};
use crate::token::Token;

/// Hand-overs that an entry remembers; a guest that has moved on more often since then was not
/// forgotten by its source for so long.
const MOST_REMEMBERED: usize = 256;

/// A guest, as the disk knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub spec: GuestSpec,
    /// Whose it is.
    pub standing: Standing,
    /// Hand-overs by which it came to run here, the last at the end.
    pub arrived: Vec<Token>,
    /// The hand-over, if any, by which it came here without all of its memory: it was started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Token>,
    /// Files that are being written and do not count yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<DiskPlace>,
    /// Files that do not count any more when the move under way has ended well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<DiskPlace>,
}

/// Whose a guest is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Standing {
    /// This agent's, and no hand-over of it has begun.
    Own,
    /// Being handed over to another.
    Outgoing {
        /// Which hand-over.
        token: Token,
        /// The destination's address.
        peer: String,
        /// How far it is.
        phase: SourcePhase,
    },
    /// Being handed over to this agent.
    Incoming {
        /// Which hand-over.
        token: Token,
        /// The source's address.
        peer: String,
        /// How far it is.
        phase: DestinationPhase,
    },
}

impl Standing {
    /// Whether the guest is this agent's to run.
    pub fn owns(&self) -> bool {
        match self {
            Standing::Own => true,
            Standing::Outgoing { phase, .. } => phase.owns(),
            Standing::Incoming { phase, .. } => phase.owns(),
        }
    }

    /// Whether a hand-over of it has begun and not ended.
    pub fn is_open(&self) -> bool {
        match self {
            Standing::Own => false,
            Standing::Outgoing { phase, .. } => {
                matches!(phase, SourcePhase::Undecided | SourcePhase::Committed)
            }
            Standing::Incoming { phase, .. } => {
                use DestinationPhase as Phase;
                matches!(phase, Phase::Receiving | Phase::Prepared | Phase::PostCopying)
            }
        }
    }

    fn restarted(&mut self) {
        match self {
            Standing::Own => {}
            Standing::Outgoing { phase, .. } => *phase = phase.restarted(),
            Standing::Incoming { phase, .. } => *phase = phase.restarted(),
        }
    }
}

/// All entries, in memory and on disk.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Ledger {
    /// Reads what is in `directory`, or begins there. What was going on when the agent was killed is
    /// decided as [`algorithms::handover`] says, and written.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be read or written.
    pub fn open(directory: &Path) -> Result<Ledger, LiveError> {
        let directory = directory.join("guests");
        std::fs::create_dir_all(&directory).map_err(LiveError::file("make", &directory))?;
        let mut ledger = Ledger { directory, entries: BTreeMap::new() };
        let files =
            std::fs::read_dir(&ledger.directory).map_err(LiveError::file("read", &ledger.directory))?;
        for file in files {
            let path = file.map_err(LiveError::file("read", &ledger.directory))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let mut entry: Entry = files::read(&path)?;
                let before = entry.standing.clone();
                entry.standing.restarted();
                if let Standing::Incoming { token, phase: DestinationPhase::PostCopying, .. } = &before {
                    entry.lost = Some(token.clone());
                }
                if entry.standing != before {
                    entry.forget_leaving();
                    files::replace(&path, &entry)?;
                }
                ledger.entries.insert(entry.spec.name.clone(), entry);
            }
        }
        Ok(ledger)
    }

    /// All entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry of a guest.
    pub fn get(&self, guest: &str) -> Option<&Entry> {
        self.entries.get(guest)
    }

    /// Notes a guest that is this agent's from now on. Its disks are still to be made.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn create(&mut self, spec: GuestSpec) -> Result<(), LiveError> {
        let copies = spec.disks.iter().map(|disk| disk.place()).collect();
        self.write(Entry {
            spec,
            standing: Standing::Own,
            arrived: vec![],
            lost: None,
            copies,
            leaving: vec![],
        })
    }

    /// Forgets a guest.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the disk cannot be written.
    pub fn remove(&mut self, guest: &str) -> Result<(), LiveError> {
        files::remove(&self.path(guest))?;
        self.entries.remove(guest);
        Ok(())
    }

    /// A hand-over of an own guest begins; these files are not needed any more after it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the guest is not this agent's, or the disk cannot be written.
    pub fn begin_outgoing(
        &mut self,
        guest: &str,
        token: Token,
        peer: String,
        leaving: Vec<DiskPlace>,
    ) -> Result<(), LiveError> {
        let mut entry = self.known(guest)?.clone();
        if !entry.standing.owns() || entry.standing.is_open() {
            return Err(declined(format!("{guest} is being handed over, or is not this host's")));
        }
        entry.standing = Standing::Outgoing { token, peer, phase: SourcePhase::Undecided };
        entry.leaving = leaving;
        self.write(entry)
    }

    /// A hand-over to this agent begins, with disks that are copied to these files.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the guest is this agent's or may be, or the disk cannot be written.
    pub fn begin_incoming(
        &mut self,
        spec: GuestSpec,
        token: Token,
        peer: String,
        copies: Vec<DiskPlace>,
    ) -> Result<(), LiveError> {
        let mut arrived = Vec::new();
        if let Some(entry) = self.entries.get(&spec.name) {
            if entry.standing.owns() || entry.standing.is_open() {
                let name = &spec.name;
                return Err(declined(format!(
                    "{name} is here already, or was and its hand-over is in doubt"
                )));
            }
            arrived.clone_from(&entry.arrived);
        }
        let standing = Standing::Incoming { token, peer, phase: DestinationPhase::Receiving };
        self.write(Entry { spec, standing, arrived, lost: None, copies, leaving: vec![] })
    }

    /// Takes a step of a hand-over from here; the phase in which it is then, on disk too.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it is not known or may not be taken, or the disk cannot be written.
    pub fn source_step(&mut self, token: &Token, step: SourceStep) -> Result<SourcePhase, LiveError> {
        let mut entry = self.of(token)?.clone();
        let Standing::Outgoing { phase, .. } = &mut entry.standing else {
            return Err(declined(format!("{token} is not a hand-over from here")));
        };
        *phase = phase.after(step)?;
        let phase = *phase;
        if phase == SourcePhase::TakenBack {
            entry.leaving.clear();
        }
        self.write(entry)?;
        Ok(phase)
    }

    /// Takes a step of a hand-over to here; the phase in which it is then, on disk too.
    ///
    /// # Errors
    ///
    /// As [`Ledger::source_step`].
    pub fn destination_step(
        &mut self,
        token: &Token,
        step: DestinationStep,
    ) -> Result<DestinationPhase, LiveError> {
        let mut entry = self.of(token)?.clone();
        let Standing::Incoming { phase, .. } = &mut entry.standing else {
            return Err(declined(format!("{token} is not a hand-over to here")));
        };
        let before = *phase;
        *phase = phase.after(step)?;
        let phase = *phase;
        if step == DestinationStep::MemoryLost {
            entry.lost = Some(token.clone());
        }
        if phase.owns() && !before.owns() {
            entry.arrived.push(token.clone());
            let surplus = entry.arrived.len().saturating_sub(MOST_REMEMBERED);
            entry.arrived.drain(..surplus);
            entry.copies.clear();
        }
        self.write(entry)?;
        Ok(phase)
    }

    /// What is known of a hand-over.
    pub fn handover(&self, token: &Token) -> Option<Handover> {
        let entry = self.entries.values().find(|entry| entry.is_about(token))?;
        let current = handover(entry).filter(|handover| handover.token == *token);
        // It ran here, and has moved on since.
        let side = Side::Destination(DestinationPhase::Running);
        let (guest, peer, memory_lost) = (entry.spec.name.clone(), String::new(), entry.has_lost(token));
        current.or(Some(Handover { token: token.clone(), guest, peer, side, under_way: false, memory_lost }))
    }

    /// The hand-overs that have begun and not ended.
    pub fn open_handovers(&self) -> Vec<Handover> {
        let open = self.entries.values().filter(|entry| entry.standing.is_open());
        open.filter_map(handover).collect()
    }

    fn known(&self, guest: &str) -> Result<&Entry, LiveError> {
        self.entries.get(guest).ok_or_else(|| declined(format!("there is no guest `{guest}` here")))
    }

    fn of(&self, token: &Token) -> Result<&Entry, LiveError> {
        let current = |entry: &&Entry| handover(entry).is_some_and(|handover| handover.token == *token);
        let unknown = || declined(format!("nothing is known of the hand-over {token}"));
        self.entries.values().find(current).ok_or_else(unknown)
    }

    fn write(&mut self, entry: Entry) -> Result<(), LiveError> {
        files::replace(&self.path(&entry.spec.name), &entry)?;
        self.entries.insert(entry.spec.name.clone(), entry);
        Ok(())
    }

    fn path(&self, guest: &str) -> PathBuf {
        self.directory.join(format!("{guest}.json"))
    }
}

impl Entry {
    /// Whether this hand-over lost memory, and the guest was started anew.
    fn has_lost(&self, token: &Token) -> bool {
        self.lost.as_ref() == Some(token)
    }

    fn is_about(&self, token: &Token) -> bool {
        let current = handover(self).is_some_and(|handover| handover.token == *token);
        current || self.arrived.contains(token)
    }
}

fn handover(entry: &Entry) -> Option<Handover> {
    let (token, peer, side) = match &entry.standing {
        Standing::Own => return None,
        Standing::Outgoing { token, peer, phase } => (token, peer, Side::Source(*phase)),
        Standing::Incoming { token, peer, phase } => (token, peer, Side::Destination(*phase)),
    };
    let (guest, memory_lost) = (entry.spec.name.clone(), entry.has_lost(token));
    Some(Handover { token: token.clone(), guest, peer: peer.clone(), side, under_way: false, memory_lost })
}

/// What this agent does not do, and why.
pub(crate) fn declined(reason: String) -> LiveError {
    LiveError::Declined { agent: "this host".into(), reason }
}
