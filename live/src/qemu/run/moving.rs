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
            Ok((ended, destination, journal)) => {
                let Ended { outcome, records, standing } = ended;
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

    fn migrate(&self, home: &mut Home) -> Result<(Ended, Machine, PathBuf), QemuError> {
        let kind = self.assignment.kind;
        if !matches!(kind, MigrationKind::Live | MigrationKind::SharedNothing) {
            return Err(QemuError::Scenario(format!("{kind:?} is nothing that QEMU machines do here yet")));
        }
        let (tell, notices) = channel();
        let mut destination = self.destination(home, tell.clone())?;
        home.machine.reconnect(Side::Source, "source", tell)?;
        let order = self.order();
        let path = self.options.directory.join(format!("{}.journal", self.assignment.migration.0));
        let file = |source: std::io::Error| QemuError::File { path: path.clone(), source };
        let nbd = order.storage.as_ref().map(|_| NbdAddress::free(ADDRESS)).transpose().map_err(file)?;
        let note = MoveNote {
            vm: order.vm.to_string(),
            source: home.machine.socket().to_path_buf(),
            destination: destination.socket().to_path_buf(),
            journal: path.clone(),
        };
        // Before anything is begun: whoever mends a run that was cut short goes by it.
        note.keep(self.options.directory, self.assignment.migration.0)?;
        let mut journal = None;
        let mut unwritten = None;
        let mut keep = |line: &Line| {
            self.say(line);
            let written = match &mut journal {
                None => Journal::begin_with(path.clone(), line).map(|begun| journal = Some(begun)),
                Some(journal) => journal.write(line),
            };
            unwritten = unwritten.take().or(written.err());
        };
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
            journal: &mut keep,
        })?;
        if let Some(error) = unwritten {
            (self.options.progress)(&format!("warning: the journal is not whole: {error}"));
        }
        Ok((ended, destination, path))
    }

    fn destination(&self, home: &Home, tell: Notices) -> Result<Machine, QemuError> {
        let vm = self.assignment.vm;
        let guest = &self.model.guests[vm.index()];
        let Some(rom_guest) = &home.guest else {
            return self.destination_of_others(home, tell);
        };
        let mut at: BTreeMap<u32, _> =
            guest.disks.iter().map(|disk| disk.on).enumerate().map(as_place).collect();
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
            storage: (!disks.is_empty()).then_some(StorageOrder { disks, switch: Switch::WithMemory }),
        }
    }

    /// Proves the memory of the guest where it is now; the other machine ends.
    fn look(
        &self,
        mut home: Box<Home>,
        destination: Machine,
        standing: Remedy,
        journal: PathBuf,
    ) -> (Option<Box<Home>>, RealMove) {
        if standing == Remedy::DestinationRuns {
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

fn as_place<T>((number, place): (usize, T)) -> (u32, T) {
    (number as u32, place)
}
