//! One migration of a run, on a thread of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use algorithms::controller::MigrationOrder;
use algorithms::orchestrator::{Assignment, DiskMove};
use algorithms::policy::Policy;
use algorithms::records::{MigrationKind, Outcome};
use algorithms::storage_mirror::{DiskOrder, StorageOrder, Switch};
use models::cluster::ClusterModel;

use super::guests::{Home, images};
use super::{News, RealMove, RunOptions};
use crate::error::LiveError;
use crate::journal::{Journal, Line};
use crate::qemu::QemuError;
use crate::qemu::attach;
use crate::qemu::disks::NbdAddress;
use crate::qemu::driver::{Ended, Migration, RunClock, migrate};
use crate::qemu::pages::verify;
use crate::qemu::process::{Machine, MachineSpec, Role};
use crate::qemu::qmp::{Notices, Side};
use crate::qemu::recover::MoveNote;
use crate::qemu::standing::Remedy;
use crate::qemu::storage_move::{Images, StorageMove, move_disks};

/// All machines are on this computer.
const ADDRESS: &str = "127.0.0.1";

/// What a thread is to do.
pub(super) struct Job<'a> {
    pub(super) model: &'a ClusterModel,
    pub(super) options: RunOptions<'a>,
    pub(super) clock: RunClock,
    pub(super) assignment: Assignment,
    pub(super) disks: Vec<DiskMove>,
    pub(super) tell: Sender<News>,
}

impl Job<'_> {
    /// Migrates the guest of `home`, says how it ended, proves its memory, and gives it back.
    pub(super) fn carry_out(self, mut home: Box<Home>) {
        let result = self.migrate(&mut home);
        // The run waits for all of its threads: it listens.
        match result {
            Ok(Moved { ended, destination, journal }) => {
                let Ended { outcome, records, standing } = ended;
                if outcome == Outcome::Completed {
                    self.note_places(&mut home);
                }
                let _ = self.tell.send(News::Ended(self.assignment, Ok((outcome, records))));
                let (home, seen) = self.look(home, destination, standing, journal);
                let _ = self.tell.send(News::Home(self.assignment, home, Some(seen)));
            }
            Err(error) => {
                let _ = self.tell.send(News::Ended(self.assignment, Err(error)));
                let _ = self.tell.send(News::Home(self.assignment, Some(home), None));
            }
        }
    }

    fn migrate(&self, home: &mut Home) -> Result<Moved, QemuError> {
        match self.assignment.kind {
            MigrationKind::Live | MigrationKind::SharedNothing => self.migrate_memory(home),
            MigrationKind::Storage => self.move_disks(home),
            kind => Err(QemuError::Scenario(format!("{kind:?} is nothing that QEMU machines do here yet"))),
        }
    }

    /// Its disks are elsewhere from now on.
    fn note_places(&self, home: &mut Home) {
        for moved in &self.disks {
            if let Some(place) = home.places.get_mut(moved.disk as usize) {
                *place = moved.to;
            }
        }
    }

    /// Disks only: the guest stays where it is.
    fn move_disks(&self, home: &mut Home) -> Result<Moved, QemuError> {
        let vm = self.assignment.vm;
        if home.guest.is_none() {
            let name = &self.model.guests[vm.index()].name;
            let words = format!("virtual machine `{name}` is attached to: its disks are not known here");
            return Err(QemuError::Scenario(words));
        }
        let mut places = home.places.clone();
        let from = images(self.model, &self.options, vm, &places)?;
        for moved in &self.disks {
            places[moved.disk as usize] = moved.to;
        }
        let to = images(self.model, &self.options, vm, &places)?;
        let images = self.disks.iter().map(|moved| {
            let disk = moved.disk as usize;
            (moved.disk, Images { from: from[disk].clone(), to: to[disk].clone() })
        });
        let (tell, notices) = channel();
        home.machine.reconnect(Side::Source, "source", tell)?;
        let (order, path) = (self.order(), self.journal_path());
        let note = MoveNote {
            vm: order.vm.to_string(),
            source: home.machine.socket().to_path_buf(),
            destination: None,
            journal: path.clone(),
        };
        note.keep(self.options.directory, self.assignment.migration.0)?;
        let mut keep = Keeper::new(self, path.clone());
        let ended = move_disks(StorageMove {
            order,
            images: images.collect(),
            machine: &mut home.machine.qmp,
            notices: &notices,
            clock: self.clock,
            cancel: self.options.cancel,
            journal: &mut |line| keep.line(line),
        })?;
        keep.end();
        Ok(Moved { ended, destination: None, journal: path })
    }

    fn journal_path(&self) -> PathBuf {
        self.options.directory.join(format!("{}.journal", self.assignment.migration.0))
    }

    fn migrate_memory(&self, home: &mut Home) -> Result<Moved, QemuError> {
        let (tell, notices) = channel();
        let mut destination = self.destination(home, tell.clone())?;
        home.machine.reconnect(Side::Source, "source", tell)?;
        let order = self.order();
        let path = self.journal_path();
        let file = |source: std::io::Error| QemuError::File { path: path.clone(), source };
        let nbd = order.storage.as_ref().map(|_| NbdAddress::free(ADDRESS)).transpose().map_err(file)?;
        let note = MoveNote {
            vm: order.vm.to_string(),
            source: home.machine.socket().to_path_buf(),
            destination: Some(destination.socket().to_path_buf()),
            journal: path.clone(),
        };
        // Before anything is begun: whoever mends a run that was cut short goes by it.
        note.keep(self.options.directory, self.assignment.migration.0)?;
        let mut keep = Keeper::new(self, path.clone());
        let ended = migrate(Migration {
            order,
            levers: self.options.levers,
            source: &mut home.machine.qmp,
            destination: &mut destination.qmp,
            notices: &notices,
            address: ADDRESS,
            nbd,
            clock: self.clock,
            cancel: self.options.cancel,
            journal: &mut |line| keep.line(line),
        })?;
        keep.end();
        Ok(Moved { ended, destination: Some(destination), journal: path })
    }

    fn destination(&self, home: &Home, tell: Notices) -> Result<Machine, QemuError> {
        let vm = self.assignment.vm;
        let guest = &self.model.guests[vm.index()];
        let Some(rom_guest) = &home.guest else {
            return self.destination_of_others(home, tell);
        };
        let mut at: BTreeMap<u32, _> = home.places.iter().copied().enumerate().map(as_place).collect();
        at.extend(self.disks.iter().map(|moved| (moved.disk, moved.to)));
        let places: Vec<_> = at.into_values().collect();
        let spec = MachineSpec {
            binary: self.options.binary,
            namespace: None,
            name: &format!("{}-{}", guest.name, home.generation + 1),
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
        let name = &self.model.guests[self.assignment.vm.index()].name;
        if self.assignment.kind != MigrationKind::Live {
            return Err(QemuError::Scenario(format!(
                "virtual machine `{name}` is attached to: its disks stay where both machines reach them"
            )));
        }
        let named = self.options.attached.iter().find(|attached| *attached.vm == **name);
        let incoming =
            named.and_then(|attached| attached.incoming.as_deref()).filter(|_| home.generation == 0);
        attach::destination(name, &home.machine, incoming, home.generation + 1, tell)
    }

    fn order(&self) -> MigrationOrder {
        let Assignment { migration, vm, source, destination, queued, .. } = self.assignment;
        let (guest, host) = (&self.model.guests[vm.index()], |id: algorithms::ids::HostId| {
            self.model.hosts[id.index()].name.clone()
        });
        let location = |id: algorithms::ids::StorageId| self.model.storage[id.index()].name.clone();
        let disks = self.disks.iter().map(|&DiskMove { disk, from, to, bytes }| DiskOrder {
            disk,
            name: guest.disks[disk as usize].name.clone(),
            bytes,
            from: location(from),
            to: location(to),
        });
        let disks: Vec<_> = disks.collect();
        let switch = match self.assignment.kind {
            MigrationKind::Storage => Switch::WhenCopied,
            _ => Switch::WithMemory,
        };
        MigrationOrder {
            migration,
            vm: guest.name.clone(),
            source: host(source),
            destination: host(destination),
            transport: self.model.transport.name.clone(),
            memory: guest.memory,
            policy: Policy::Qemu(self.options.levers.rules()),
            deadline: self.model.hypervisor.deadline,
            queued,
            storage: (!disks.is_empty()).then_some(StorageOrder { disks, switch }),
        }
    }

    /// Proves the memory of the guest where it is now; the other machine ends.
    fn look(
        &self,
        mut home: Box<Home>,
        destination: Option<Machine>,
        standing: Remedy,
        journal: PathBuf,
    ) -> (Option<Box<Home>>, RealMove) {
        if let (Remedy::DestinationRuns, Some(destination)) = (standing, destination) {
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
            (home.machine.socket().to_path_buf(), matches!(standing, Remedy::Lost | Remedy::InDoubt));
        ((!lost).then_some(home), RealMove { standing, pages, socket, journal })
    }

    /// One line for each thing worth telling.
    fn say(&self, line: &Line) {
        let vm = &self.model.guests[self.assignment.vm.index()].name;
        let words = match line {
            Line::Told(at, algorithms::controller::Input::Loop(input)) => format!("{vm} {at}: {input:?}"),
            Line::Ended(Outcome::Completed) => format!("{vm}: completed"),
            Line::Ended(outcome) => format!("{vm}: {outcome:?}"),
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

/// Keeps a journal, and tells what is worth it.
struct Keeper<'a> {
    job: &'a Job<'a>,
    path: PathBuf,
    journal: Option<Journal>,
    /// The first that could not be written.
    unwritten: Option<LiveError>,
}

impl<'a> Keeper<'a> {
    fn new(job: &'a Job<'a>, path: PathBuf) -> Keeper<'a> {
        Keeper { job, path, journal: None, unwritten: None }
    }

    fn line(&mut self, line: &Line) {
        self.job.say(line);
        let written = match &mut self.journal {
            None => Journal::begin_with(self.path.clone(), line).map(|begun| self.journal = Some(begun)),
            Some(journal) => journal.write(line),
        };
        self.unwritten = self.unwritten.take().or(written.err());
    }

    fn end(self) {
        if let Some(error) = self.unwritten {
            (self.job.options.progress)(&format!("warning: the journal is not whole: {error}"));
        }
    }
}

fn as_place<T>((number, place): (usize, T)) -> (u32, T) {
    (number as u32, place)
}
