//! One migration of a run, on a thread of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use algorithms::controller::{Input, LoopOwner, MigrationOrder};
use algorithms::journal::{self, Journal};
use algorithms::orchestrator::{MigrationRules, MoveOrder};
use algorithms::policy::Policy;
use algorithms::records::{MigrationKind, Outcome};
use models::cluster::ClusterModel;

use super::guests::{Home, images};
use super::{News, RealMove, RunOptions};
use crate::clock::WallClock;
use crate::error::LiveError;
use crate::journal::{Entry, JournalFile};
use crate::qemu::QemuError;
use crate::qemu::attach;
use crate::qemu::disks::{Images, NbdAddress};
use crate::qemu::driver::{Ended, Migration, To, migrate};
use crate::qemu::pages::verify;
use crate::qemu::process::{Machine, MachineSpec, Role};
use crate::qemu::qmp::{Notices, Side};
use crate::qemu::recover::MoveNote;
use crate::qemu::resolution::WhoRuns;

/// All machines are on this computer.
const ADDRESS: &str = "127.0.0.1";

/// What a thread is to do.
pub(super) struct Job<'a> {
    pub(super) model: &'a ClusterModel,
    pub(super) options: RunOptions<'a>,
    pub(super) clock: WallClock,
    pub(super) order: Box<MoveOrder>,
    pub(super) tell: Sender<News>,
}

impl Job<'_> {
    /// Migrates the guest of `home`, says how it ended, proves its memory, and gives it back.
    pub(super) fn carry_out(self, mut home: Box<Home>) {
        let result = self.migrate(&mut home);
        let assignment = self.order.assignment;
        // The run waits for all of its threads: it listens.
        let tell = |news| drop(self.tell.send(news));
        let home = match result {
            Ok(Moved { ended, destination, journal }) => {
                let Ended { outcome, records, runs } = ended;
                if outcome == Outcome::Completed {
                    self.note_places(&mut home);
                }
                tell(News::Ended(self.order.clone(), Ok((outcome, records))));
                let (home, seen) = self.look(home, destination, runs, journal);
                tell(News::Seen(assignment.migration, seen));
                home
            }
            Err(error) => {
                tell(News::Ended(self.order.clone(), Err(error)));
                Some(home)
            }
        };
        tell(News::Home(assignment.vm, home));
    }

    fn migrate(&self, home: &mut Home) -> Result<Moved, QemuError> {
        match self.order.assignment.kind {
            MigrationKind::Storage => self.move_disks(home),
            _ => self.migrate_memory(home),
        }
    }

    /// Its disks are elsewhere from now on.
    fn note_places(&self, home: &mut Home) {
        for moved in &self.order.disks {
            if let Some(place) = home.places.get_mut(moved.disk as usize) {
                *place = moved.to;
            }
        }
    }

    /// Disks only: the guest stays where it is.
    fn move_disks(&self, home: &mut Home) -> Result<Moved, QemuError> {
        let vm = self.order.assignment.vm;
        if home.guest.is_none() {
            let words =
                format!("virtual machine `{}` is attached to: its disks are not known here", self.order.vm);
            return Err(QemuError::Scenario(words));
        }
        let mut places = home.places.clone();
        let from = images(self.model, &self.options, vm, &places)?;
        for moved in &self.order.disks {
            places[moved.disk as usize] = moved.to;
        }
        let to = images(self.model, &self.options, vm, &places)?;
        let images = self.order.disks.iter().map(|moved| {
            let disk = moved.disk as usize;
            (moved.disk, Images { from: from[disk].clone(), to: to[disk].clone() })
        });
        let (tell, notices) = channel();
        home.machine.reconnect(Side::Source, "source", tell)?;
        let journal = self.journal_path();
        let note = self.note(home, None, journal.clone());
        note.keep(self.options.directory, self.order.assignment.migration.0)?;
        let ended = migrate(Migration {
            order: self.migration(),
            source: &mut home.machine.qmp,
            to: To::Images(images.collect()),
            notices: &notices,
            clock: self.clock,
            cancel: self.options.cancel,
            journal: &mut Told { job: self, file: JournalFile::create(journal.clone())? },
        })?;
        Ok(Moved { ended, destination: None, journal })
    }

    fn note(&self, home: &Home, destination: Option<&Machine>, journal: PathBuf) -> MoveNote {
        MoveNote {
            vm: self.order.vm.to_string(),
            source: home.machine.socket().to_path_buf(),
            destination: destination.map(|machine| machine.socket().to_path_buf()),
            journal,
        }
    }

    fn journal_path(&self) -> PathBuf {
        self.options.directory.join(format!("{}.journal", self.order.assignment.migration.0))
    }

    fn migrate_memory(&self, home: &mut Home) -> Result<Moved, QemuError> {
        let (tell, notices) = channel();
        let mut destination = self.destination(home, tell.clone())?;
        home.machine.reconnect(Side::Source, "source", tell)?;
        let (order, journal) = (self.migration(), self.journal_path());
        let file = |source: std::io::Error| QemuError::File { path: journal.clone(), source };
        let nbd = order.storage.as_ref().map(|_| NbdAddress::free(ADDRESS)).transpose().map_err(file)?;
        // Before anything is begun: whoever mends a run that was cut short goes by it.
        let note = self.note(home, Some(&destination), journal.clone());
        note.keep(self.options.directory, self.order.assignment.migration.0)?;
        let levers = self.options.levers;
        let to = To::Machine { destination: &mut destination.qmp, levers, address: ADDRESS, nbd };
        let ended = migrate(Migration {
            order,
            source: &mut home.machine.qmp,
            to,
            notices: &notices,
            clock: self.clock,
            cancel: self.options.cancel,
            journal: &mut Told { job: self, file: JournalFile::create(journal.clone())? },
        })?;
        Ok(Moved { ended, destination: Some(destination), journal })
    }

    fn destination(&self, home: &Home, tell: Notices) -> Result<Machine, QemuError> {
        let vm = self.order.assignment.vm;
        let Some(rom_guest) = &home.guest else {
            return self.destination_of_others(home, tell);
        };
        let mut at: BTreeMap<u32, _> = home.places.iter().copied().enumerate().map(as_place).collect();
        at.extend(self.order.disks.iter().map(|moved| (moved.disk, moved.to)));
        let places: Vec<_> = at.into_values().collect();
        let spec = MachineSpec {
            binary: self.options.binary,
            namespace: None,
            name: &format!("{}-{}", self.order.vm, home.generation + 1),
            directory: self.options.directory,
            accelerator: self.options.accelerator.kind,
            memory_mib: rom_guest.memory.get() >> 20,
            rom: &self.options.directory.join("rom.bin"),
            arguments: &[],
            disks: &images(self.model, &self.options, vm, &places)?,
            role: Role::Receives,
        };
        Machine::start(&spec, tell)
    }

    /// Where a guest of somebody else's goes: the machine that was named for its first move, or one like its own.
    fn destination_of_others(&self, home: &Home, tell: Notices) -> Result<Machine, QemuError> {
        let name = &self.order.vm;
        if self.order.assignment.kind != MigrationKind::Live {
            return Err(QemuError::Scenario(format!(
                "virtual machine `{name}` is attached to: its disks stay where both machines reach them"
            )));
        }
        let named = self.options.attached.iter().find(|attached| *attached.vm == **name);
        let incoming =
            named.and_then(|attached| attached.incoming.as_deref()).filter(|_| home.generation == 0);
        attach::destination(name, &home.machine, incoming, home.generation + 1, tell)
    }

    fn migration(&self) -> MigrationOrder {
        self.order.migration(MigrationRules {
            transport: self.model.transport.name.clone(),
            policy: Policy::Qemu(self.options.levers.policy.clone()),
            deadline: self.model.hypervisor.deadline,
            page_loop: LoopOwner::Hypervisor,
        })
    }

    /// Proves the memory of the guest where it is now; the other machine ends.
    fn look(
        &self,
        mut home: Box<Home>,
        destination: Option<Machine>,
        runs: WhoRuns,
        journal: PathBuf,
    ) -> (Option<Box<Home>>, RealMove) {
        let there = matches!(runs, WhoRuns::Destination | WhoRuns::DestinationPaused);
        if let (true, Some(destination)) = (there, destination) {
            home.machine.quit();
            home.machine = destination;
            home.generation += 1;
            if home.guest.is_none() {
                // It is somebody else's, wherever it runs.
                home.machine.let_go();
            }
        }
        let Home { machine, guest, .. } = &mut *home;
        let verify = |guest| verify(&mut machine.qmp, guest, self.options.directory);
        let pages = guest.as_ref().map(verify);
        let (socket, lost) =
            (home.machine.socket().to_path_buf(), matches!(runs, WhoRuns::Lost | WhoRuns::InDoubt));
        ((!lost).then_some(home), RealMove { runs, pages, socket, journal })
    }

    /// One line for each thing worth telling.
    fn say(&self, entry: &Entry) {
        let vm = &self.order.vm;
        let words = match entry {
            journal::Entry::Told(at, Input::Loop(input)) => format!("{vm} {at}: {input:?}"),
            journal::Entry::Ended(Outcome::Completed) => format!("{vm}: completed"),
            journal::Entry::Ended(outcome) => format!("{vm}: {outcome:?}"),
            _ => return,
        };
        (self.options.progress)(&words);
    }
}

/// What a thread has done.
struct Moved {
    ended: Ended,
    /// The machine that was to take the guest in; none where only disks moved.
    destination: Option<Machine>,
    journal: PathBuf,
}

/// A journal's file, of which people are told what is worth it.
struct Told<'a> {
    job: &'a Job<'a>,
    file: JournalFile,
}

impl Journal<Entry> for Told<'_> {
    type Error = LiveError;

    fn write(&mut self, entry: &Entry) -> Result<(), LiveError> {
        self.job.say(entry);
        self.file.write(entry)
    }
}

fn as_place<T>((number, place): (usize, T)) -> (u32, T) {
    (number as u32, place)
}
