//! Storage, disks on it, and where disks are to go.

use algorithms::ids::{HostId, Name, StorageId};
use algorithms::plan::{DiskTarget, StorageMove};
use models::storage::{Disk, DiskFormat, DiskIo, HostStorage, StorageKind, StorageLocation, Throughput};
use sim_core::{ByteRate, Bytes};

use super::Checker;
use super::hosts::{Hosts, at_least_one};
use super::table::Table;
use crate::error::Problem;
use crate::file::{
    DiskFile, DiskFormatFile, DiskIoFile, HostFile, IncludeFile, Named, OrPreset, StorageFile,
    StorageKindFile,
};
use crate::names;
use crate::nearest;
use crate::read::at::{At, Place};

/// Storage locations that one model may have.
const MAX_LOCATIONS: usize = 100_000;
/// The most that a guest writes to one disk: what a run counts exactly has an end.
const MOST_WRITES: ByteRate = ByteRate::from_mb(10_000);

/// The storage locations, with what other checks need of them.
pub(crate) struct Storages {
    pub(crate) locations: Vec<StorageLocation>,
    pub(crate) table: Table,
}

impl Checker {
    /// The storage locations; also gives every host its default.
    pub(crate) fn storage(&mut self, files: &[At<StorageFile>], hosts: &mut Hosts) -> Storages {
        let table = Table::new("storage", "storage locations");
        let mut storages = Storages { locations: Vec::new(), table };
        for file in files {
            if self.problems.are_enough() {
                break;
            }
            let added = self.locations(file, hosts, &mut storages);
            self.problems.take(added);
        }
        for index in 0..hosts.hosts.len() {
            let default = storages.default_of(index, hosts);
            hosts.hosts[index].storage.default = self.problems.take(default).flatten();
        }
        storages
    }

    fn locations(
        &mut self,
        file: &StorageFile,
        hosts: &Hosts,
        storages: &mut Storages,
    ) -> Result<(), Problem> {
        let names = names::expand(&file.name, &mut self.budget)?;
        if storages.locations.len() + names.len() > MAX_LOCATIONS {
            let message = format!("the scenario has more than {MAX_LOCATIONS} storage locations");
            return Err(Problem::at(file.name.place, message, "too many, counted with all before"));
        }
        let described = location_of(file)?;
        let reached = self.reached_by(file, names.len(), hosts)?;
        self.budget.spend(reached.len().saturating_mul(names.len()), &file.name)?;
        for (index, name) in names.into_iter().enumerate() {
            storages.table.add(name.clone(), file.name.place)?;
            let hosts = match file.on {
                Some(_) => vec![reached[index % reached.len()]],
                None => reached.clone(),
            };
            storages.locations.push(StorageLocation { name, hosts, ..described.clone() });
        }
        Ok(())
    }

    fn reached_by(
        &mut self,
        file: &StorageFile,
        names: usize,
        hosts: &Hosts,
    ) -> Result<Vec<HostId>, Problem> {
        let found = match (&file.on, &file.shared) {
            (Some(on), None) => {
                let found = hosts.table.all(on, &mut self.budget)?;
                if found.len() > names {
                    let message =
                        format!("{} hosts have {names} storage locations of their own", found.len());
                    return Err(Problem::at(on.place, message, "more hosts than names")
                        .also(file.name.place, "the names")
                        .help(
                            "name one for each host, like \"nvme{1..4}\", or write `shared` instead of `on`",
                        ));
                }
                found
            }
            (None, Some(shared)) => {
                let mut found = Vec::new();
                for pattern in &shared.value {
                    found.extend(hosts.table.all(pattern, &mut self.budget)?);
                }
                found.sort_unstable();
                found.dedup();
                found
            }
            (Some(on), Some(shared)) => {
                return Err(Problem::at(
                    on.place,
                    "storage is either a host's own or shared",
                    "this says one",
                )
                .also(shared.place, "this the other"));
            }
            (None, None) => Vec::new(),
        };
        if found.is_empty() {
            let message = "no host reaches this storage";
            return Err(Problem::at(file.name.place, message, "needs `on` or `shared`")
                .help("`on: \"node1\"` for a disk of one host, `shared: [\"*\"]` for a SAN, share or CSV"));
        }
        Ok(found.into_iter().map(HostId).collect())
    }
}

impl Storages {
    /// Where disks go on a host by default: as it says, or to the first that is its own, or else to
    /// the first that it reaches.
    fn default_of(&self, index: usize, hosts: &Hosts) -> Result<Option<StorageId>, Problem> {
        let host = HostId(index as u32);
        if let Some(given) = hosts.default_storage.get(index).and_then(Option::as_ref) {
            let id = self.table.one(given)?;
            if !self.reaches(host, id) {
                let message = format!("`{}` does not reach `{}`", hosts.table.name(host.0), given.value);
                return Err(Problem::at(given.place, message, "cannot be its default storage")
                    .also(self.table.place(id), "this storage"));
            }
            return Ok(Some(StorageId(id)));
        }
        let own = |location: &StorageLocation| location.hosts == [host];
        let first = self.locations.iter().position(own);
        let reached = || self.locations.iter().position(|location| location.hosts.contains(&host));
        Ok(first.or_else(reached).map(|index| StorageId(index as u32)))
    }

    fn reaches(&self, host: HostId, location: u32) -> bool {
        self.locations.get(location as usize).is_some_and(|location| location.hosts.contains(&host))
    }

    /// The disks of a guest that starts on `host`.
    pub(super) fn disks(
        &self,
        files: &[At<DiskFile>],
        host: HostId,
        hosts: &Hosts,
    ) -> Result<Vec<Disk>, Problem> {
        let mut disks: Vec<Disk> = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let on = self.on(file, host, hosts)?;
            let name: Name = match &file.name {
                Some(name) => name.value.as_str().into(),
                None => format!("disk{}", index + 1).into(),
            };
            if disks.iter().any(|other| other.name == name) {
                let place = file.name.as_ref().map_or(file.place, |name| name.place);
                return Err(Problem::at(
                    place,
                    format!("there are two disks with the name `{name}`"),
                    "the second one",
                ));
            }
            disks.push(disk_of(file, name, on)?);
        }
        Ok(disks)
    }

    fn on(&self, file: &At<DiskFile>, host: HostId, hosts: &Hosts) -> Result<StorageId, Problem> {
        let name = hosts.table.name(host.0);
        let Some(on) = &file.on else {
            let default = hosts.hosts.get(host.index()).and_then(|host| host.storage.default);
            return default.ok_or_else(|| {
                let message = format!("`{name}` has no storage for this disk");
                Problem::at(file.place, message, "is on no storage").help(format!(
                    "give the host some, for example storage: [(name: \"disk-{name}\", on: \"{name}\")]"
                ))
            });
        };
        let id = self.table.one(on)?;
        if !self.reaches(host, id) {
            let message = format!("`{name}`, where the guest starts, does not reach `{}`", on.value);
            return Err(Problem::at(on.place, message, "cannot be here")
                .also(self.table.place(id), "this storage")
                .help("leave `on` out for the default storage of each guest's host"));
        }
        Ok(StorageId(id))
    }

    /// Every location must hold what is on it at first.
    pub(super) fn check_space(
        &self,
        guests: &[models::cluster::Guest],
        places: impl Fn(u32) -> Place,
    ) -> Result<(), Problem> {
        let mut taken = vec![Bytes::ZERO; self.locations.len()];
        for (index, guest) in (0u32..).zip(guests) {
            for disk in &guest.disks {
                let at = disk.on.index();
                taken[at] = Bytes::new(taken[at].get().saturating_add(disk.file().get()));
                let location = &self.locations[at];
                if location.capacity.is_some_and(|capacity| taken[at] > capacity) {
                    let message = format!(
                        "disk `{}` of `{}` does not fit on `{}`: with it, {} are needed",
                        disk.name, guest.name, location.name, taken[at]
                    );
                    return Err(Problem::at(places(index), message, "the first that does not fit")
                        .also(self.table.place(disk.on.0), "on this storage"));
                }
            }
        }
        Ok(())
    }

    /// What a move does with the disks of a guest.
    pub(super) fn include(
        &self,
        file: Option<&At<OrPreset<IncludeFile>>>,
        guest: &models::cluster::Guest,
    ) -> Result<StorageMove, Problem> {
        let Some(file) = file else { return Ok(StorageMove::Stays) };
        match &file.value {
            OrPreset::Given(IncludeFile::Excluded) => Ok(StorageMove::Stays),
            OrPreset::Given(IncludeFile::Default) => Ok(StorageMove::Default),
            OrPreset::Preset(name) => {
                let to = self.table.one(&At { value: name.clone(), place: file.place })?;
                Ok(StorageMove::To(all_disks(guest, StorageId(to))))
            }
            OrPreset::Given(IncludeFile::Disks(targets)) => self.targets(targets, guest).map(StorageMove::To),
        }
    }

    fn targets(
        &self,
        files: &Named<String>,
        guest: &models::cluster::Guest,
    ) -> Result<Vec<DiskTarget>, Problem> {
        let each = files.0.iter().map(|(disk, to)| {
            Ok(DiskTarget { disk: disk_named(disk, guest)?, to: StorageId(self.table.one(to)?) })
        });
        each.collect()
    }

    /// The disks of a guest that go to `to`.
    pub(super) fn only(
        &self,
        to: &At<String>,
        disks: Option<&[At<String>]>,
        guest: &models::cluster::Guest,
        vm: &At<String>,
    ) -> Result<StorageMove, Problem> {
        let to = StorageId(self.table.one(to)?);
        if guest.disks.is_empty() {
            return Err(Problem::at(vm.place, format!("`{}` has no disks", guest.name), "nothing to move")
                .help("give it some: disks: [(size: \"127 GiB\", used: \"40 GiB\")]"));
        }
        let Some(disks) = disks else {
            return Ok(StorageMove::Only(all_disks(guest, to)));
        };
        let each = disks.iter().map(|disk| Ok(DiskTarget { disk: disk_named(disk, guest)?, to }));
        each.collect::<Result<_, _>>().map(StorageMove::Only)
    }
}

fn all_disks(guest: &models::cluster::Guest, to: StorageId) -> Vec<DiskTarget> {
    (0..guest.disks.len() as u32).map(|disk| DiskTarget { disk, to }).collect()
}

fn disk_named(name: &At<String>, guest: &models::cluster::Guest) -> Result<u32, Problem> {
    let found = guest.disks.iter().position(|disk| *disk.name == *name.value);
    found.map(|index| index as u32).ok_or_else(|| {
        let names = guest.disks.iter().map(|disk| &*disk.name);
        let near = nearest::word(&name.value, names.clone());
        let label = near.map_or("unknown name".to_string(), |near| format!("did you mean `{near}`?"));
        let message = format!("`{}` has no disk `{}`", guest.name, name.value);
        let known: Vec<&str> = names.take(8).collect();
        let known =
            if known.is_empty() { "it has none".into() } else { format!("its disks: {}", known.join(", ")) };
        Problem::at(name.place, message, label).help(known)
    })
}

fn location_of(file: &StorageFile) -> Result<StorageLocation, Problem> {
    let kind = match file.kind {
        Some(StorageKindFile::Local) => StorageKind::Local,
        Some(StorageKindFile::San) => StorageKind::San,
        Some(StorageKindFile::Smb) => StorageKind::Smb,
        Some(StorageKindFile::Csv) => StorageKind::Csv,
        None if file.shared.is_some() => StorageKind::San,
        None => StorageKind::Local,
    };
    Ok(StorageLocation {
        name: "".into(),
        path: file.path.clone(),
        kind,
        hosts: Vec::new(),
        capacity: file.capacity.as_ref().map(|capacity| capacity.value),
        throughput: throughput(file)?,
        iops: at_least_one(file.iops.as_ref(), "the storage does no operation at all")?,
    })
}

fn throughput(file: &StorageFile) -> Result<Throughput, Problem> {
    let rate = |given: &At<ByteRate>| {
        if given.value.bytes_per_sec() == 0 {
            let problem = Problem::at(given.place, "nothing could be copied", "must be more than zero");
            return Err(problem.help("for example \"500 MB/s\""));
        }
        Ok(given.value)
    };
    match (&file.throughput, file.read.as_ref(), file.write.as_ref()) {
        (None, None, None) => Ok(Throughput::Unlimited),
        (Some(common), None, None) => rate(common).map(Throughput::Common),
        (None, Some(one), None) | (None, None, Some(one)) => {
            Ok(Throughput::Separate { read: rate(one)?, write: rate(one)? })
        }
        (None, Some(read), Some(write)) => {
            Ok(Throughput::Separate { read: rate(read)?, write: rate(write)? })
        }
        (Some(common), Some(other), _) | (Some(common), _, Some(other)) => {
            let message = "reads and writes either share a throughput or have their own";
            Err(Problem::at(common.place, message, "shared").also(other.place, "its own"))
        }
    }
}

fn disk_of(file: &At<DiskFile>, name: Name, on: StorageId) -> Result<Disk, Problem> {
    let size = file.size.value;
    if size == Bytes::ZERO {
        return Err(Problem::at(file.size.place, "the disk holds nothing", "must be more than zero"));
    }
    let used = file.used.as_ref().map_or(size, |used| used.value.of(size));
    if let Some(given) = file.used.as_ref().filter(|_| used > size) {
        let message = format!("{used} is more than the disk holds, {size}");
        return Err(Problem::at(given.place, message, format!("at most \"{size}\"")));
    }
    let format = match file.format {
        None | Some(DiskFormatFile::Dynamic) => DiskFormat::Dynamic,
        Some(DiskFormatFile::Fixed) => DiskFormat::Fixed,
    };
    Ok(Disk { name, on, size, used, format, io: io(file.io.as_ref())? })
}

fn io(file: Option<&DiskIoFile>) -> Result<DiskIo, Problem> {
    let default = DiskIo::default();
    let Some(file) = file else { return Ok(default) };
    if let Some(write) = file.write.as_ref().filter(|write| write.value > MOST_WRITES) {
        let label = format!("at most \"{MOST_WRITES}\"");
        return Err(Problem::at(write.place, "no disk is written so fast", label));
    }
    if let Some(zero) = file.block.as_ref().filter(|block| block.value == Bytes::ZERO) {
        return Err(Problem::at(zero.place, "an operation has no bytes", "must be more than zero"));
    }
    if let Some(weight) = &file.weight
        && !(1e-6..=1e6).contains(&weight.value)
    {
        let message = format!("{} is no weight", weight.value);
        return Err(Problem::at(weight.place, message, "must be above zero, and no more than 1000000"));
    }
    Ok(DiskIo {
        read: file.read.unwrap_or(default.read),
        write: file.write.as_ref().map_or(default.write, |write| write.value),
        block: file.block.as_ref().map_or(default.block, |block| block.value),
        weight: file.weight.as_ref().map_or(default.weight, |weight| weight.value),
    })
}

/// What a host's entry says of its storage; the default location is found later.
pub(super) fn host_storage(file: &HostFile) -> Result<HostStorage, Problem> {
    let default = HostStorage::default();
    let migration_limit =
        match file.storage_migration_limit.as_ref().map(|given| (given.value.limit(), given.place)) {
            None => default.migration_limit,
            Some((Some(0), place)) => {
                let message = "the host allows no storage migration at all";
                return Err(Problem::at(place, message, "must be 1 or more")
                    .help("Hyper-V's default is 2; for no limit write `Unlimited`"));
            }
            Some((limit, _)) => limit,
        };
    Ok(HostStorage { migration_limit, default: None })
}
