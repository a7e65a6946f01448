//! Hosts and their network cards.

use algorithms::preflight::facts::HostSettings;
use models::hardware::{Host, TransferSettings};
use models::network::Duplex;
use models::storage::HostStorage;
use sim_core::{Bandwidth, Bytes};

use super::cards::{Card, STAND_IN_CARD, cards_of, usual_card};
use super::table::Table;
use super::transfer::transfer_settings;
use super::{Checker, missing, settings, storage};
use crate::error::Problem;
use crate::file::{DuplexFile, File, HostFile, Limit};
use crate::names;
use crate::nearest;
use crate::presets::{self, PresetKind};
use crate::read::at::{At, Place};

/// Hosts that one model may have.
const MAX_HOSTS: usize = 100_000;
/// Processor cores where a host gives none. Assumption.
const DEFAULT_CORES: u32 = 16;
/// Hyper-V's default, and so ours.
const DEFAULT_MIGRATION_LIMIT: u32 = 2;

/// The hosts, with what other checks need of them.
pub(crate) struct Hosts {
    pub(crate) hosts: Vec<Host>,
    /// By host: its cards, one or more.
    pub(crate) cards: Vec<Vec<Card>>,
    pub(crate) table: Table,
    /// By host: the storage that it names as its default.
    pub(crate) default_storage: Vec<Option<At<String>>>,
}

impl Checker {
    pub(crate) fn hosts(&mut self, file: &File, whole: Place) -> Hosts {
        let files = file.hosts.as_ref();
        let usual = usual_card(file.nic.as_ref());
        let usual = self.problems.take(usual).unwrap_or(STAND_IN_CARD);
        let table = Table::new("host", "hosts");
        let mut hosts = Hosts { hosts: Vec::new(), cards: Vec::new(), table, default_storage: Vec::new() };
        let example = "hosts: [(name: \"node{1..2}\", memory: \"256 GiB\")]";
        match files {
            None => self.problems.push(missing("hosts", whole, example)),
            Some(files) if files.is_empty() => {
                let problem = Problem::at(files.place, "the scenario has no hosts", "this list is empty");
                self.problems.push(problem.help(format!("for example: {example}")));
            }
            Some(files) => {
                files.iter().for_each(|file| self.host(file, usual, &mut hosts));
                self.delegations(files, &mut hosts);
            }
        }
        hosts
    }

    fn host(&mut self, file: &HostFile, usual: Card, hosts: &mut Hosts) {
        if self.problems.are_enough() {
            return;
        }
        let described = host_of(file);
        let cards = cards_of(file, usual);
        let (described, cards) = (self.problems.take(described), self.problems.take(cards));
        let cards = cards.unwrap_or_else(|| vec![STAND_IN_CARD]);
        let names = names::expand(&file.name, &mut self.budget);
        for name in self.problems.take(names).unwrap_or_default() {
            if hosts.hosts.len() == MAX_HOSTS {
                let message = format!("the scenario has more than {MAX_HOSTS} hosts");
                self.problems.push(Problem::at(
                    file.name.place,
                    message,
                    "too many, counted with all before",
                ));
                return;
            }
            let added = hosts.table.add(name.clone(), file.name.place);
            if self.problems.take(added).is_none() {
                continue;
            }
            // A host with mistakes is kept by name, so that its name is not reported as unknown.
            let host = described.clone().unwrap_or_else(stand_in);
            hosts.hosts.push(Host { name, ..host });
            hosts.cards.push(cards.clone());
            hosts.default_storage.push(file.default_storage.clone());
        }
    }
}

fn stand_in() -> Host {
    Host {
        name: "".into(),
        memory: Bytes::new(u64::MAX),
        cores: 1,
        migration_limit: None,
        transfer: TransferSettings::default(),
        settings: HostSettings::default(),
        storage: HostStorage::default(),
    }
}

fn host_of(file: &HostFile) -> Result<Host, Problem> {
    if file.memory.value == Bytes::ZERO {
        return Err(Problem::at(file.memory.place, "the host has no memory", "must be more than zero"));
    }
    Ok(Host {
        name: "".into(),
        memory: file.memory.value,
        cores: at_least_one(file.cores.as_ref(), "a host has at least one core")?.unwrap_or(DEFAULT_CORES),
        migration_limit: match settings::simultaneous(file)? {
            Some(limit) => Some(limit),
            None => migration_limit(file.migration_limit.as_ref())?,
        },
        settings: settings::settings(file)?,
        transfer: transfer_settings(file)?,
        storage: storage::host_storage(file)?,
    })
}

fn migration_limit(file: Option<&At<Limit<u32>>>) -> Result<Option<u32>, Problem> {
    let Some(given) = file else {
        return Ok(Some(DEFAULT_MIGRATION_LIMIT));
    };
    match given.value.limit() {
        Some(0) => Err(Problem::at(given.place, "the host allows no migration at all", "must be 1 or more")
            .help("Hyper-V's default is 2; for no limit write `Unlimited`")),
        limit => Ok(limit),
    }
}

/// The number, which must not be zero.
pub(crate) fn at_least_one(number: Option<&At<u32>>, otherwise: &str) -> Result<Option<u32>, Problem> {
    match number {
        Some(zero) if zero.value == 0 => Err(Problem::at(zero.place, otherwise, "must be 1 or more")),
        number => Ok(number.map(|number| number.value)),
    }
}

/// The bandwidth, which must not be zero.
pub(crate) fn some_bandwidth(bandwidth: &At<Bandwidth>, what: &str) -> Result<Bandwidth, Problem> {
    if bandwidth.bits_per_sec() == 0 {
        let message = format!("{what} carries nothing");
        return Err(
            Problem::at(bandwidth.place, message, "must be more than zero").help("for example \"10 Gbit/s\"")
        );
    }
    Ok(bandwidth.value)
}

pub(crate) fn duplex(file: Option<DuplexFile>) -> Duplex {
    match file {
        None | Some(DuplexFile::Full) => Duplex::Full,
        Some(DuplexFile::Half) => Duplex::Half,
    }
}

/// The problem that there is no preset of this name.
pub(crate) fn unknown_preset(name: &str, place: Place, kind: PresetKind) -> Problem {
    let names = presets::names_of(kind);
    let label = nearest::word(name, names.iter().copied())
        .map_or("unknown name".to_string(), |near| format!("did you mean \"{near}\"?"));
    Problem::at(place, format!("there is no {kind} preset `{name}`"), label)
        .help(format!("{kind} presets: {}", names.join(", ")))
}
