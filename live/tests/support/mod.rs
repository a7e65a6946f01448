//! Agents on the loopback interface, and guests for them.

#![allow(dead_code, clippy::print_stdout, clippy::unwrap_used)]

pub mod process;

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use algorithms::controller::MigrationController;
use algorithms::journal::Replayed;
use algorithms::policy::{HyperV, Policy};
use algorithms::records::Record;
use algorithms::storage_mirror::Switch;
use live::client::{Client, Migrated};
use live::disk::DiskSpec;
use live::guest::GuestSpec;
use live::identity::Authority;
use live::journal;
use live::protocol::{DiskTarget, MigrateRequest, Sending, StorageRequest};
use live::steps::{self, Step, Watch};
use live::storage::StorageOptions;
use live::tls::Credentials;
use live::tracking::Method;
use live::{Agent, AgentOptions, LiveError};
use models::workload::Workload;
use sim_core::{ByteRate, Bytes};

/// Everything that agents of one test share.
pub struct Bench {
    pub authority: Authority,
    pub directory: tempfile::TempDir,
    pub operator: Credentials,
}

/// Cancels a guest's move at a step of its source, which it has to be told of.
#[derive(Clone)]
pub struct Canceller {
    operator: Credentials,
    source: Arc<Mutex<Option<String>>>,
}

impl Canceller {
    /// What is to watch the source.
    pub fn at(&self, step: Step, guest: &'static str) -> Watch {
        let own = self.clone();
        Arc::new(move |reached| {
            if reached == step {
                let Some(address) = own.source.lock().unwrap().take() else { return };
                let mut client = Client::connect(&address, &own.operator).unwrap();
                client.cancel(guest, "changed my mind").unwrap();
            }
        })
    }

    /// Who the source is.
    pub fn of(&self, source: &Host) {
        *self.source.lock().unwrap() = Some(source.address.clone());
    }
}

/// An agent in this process.
pub struct Host {
    pub agent: Arc<Agent>,
    pub address: String,
}

impl Bench {
    pub fn new() -> Bench {
        let authority = Authority::new().unwrap();
        let operator = Credentials::new(&authority.issue("operator").unwrap()).unwrap();
        Bench { authority, directory: tempfile::tempdir().unwrap(), operator }
    }

    pub fn canceller(&self) -> Canceller {
        Canceller { operator: self.operator.clone(), source: Arc::default() }
    }

    pub fn options(&self, name: &str) -> AgentOptions {
        AgentOptions {
            identity: self.authority.issue(name).unwrap(),
            directory: self.directory.path().join(name),
            advertised: None,
            memory: Some(Bytes::from_mib(512)),
            tracking: None,
            storage: StorageOptions::default(),
            watch: steps::log(),
        }
    }

    pub fn host(&self, name: &str) -> Host {
        start(self.options(name))
    }

    pub fn tracking_by(&self, name: &str, method: Method) -> Host {
        start(AgentOptions { tracking: Some(method), ..self.options(name) })
    }

    pub fn watched(&self, name: &str, watch: Watch) -> Host {
        start(AgentOptions { watch, ..self.options(name) })
    }

    pub fn client(&self, address: &str) -> Client {
        Client::connect(address, &self.operator).unwrap()
    }
}

pub fn start(options: AgentOptions) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::fs::create_dir_all(&options.directory).unwrap();
    let agent = Agent::start(&listener, options).unwrap();
    let serving = Arc::clone(&agent);
    std::thread::spawn(move || serving.serve(&listener));
    Host { agent, address }
}

/// A guest of 24 MiB that writes 6 of them.
pub fn busy(name: &str) -> GuestSpec {
    let workload = Workload::Uniform { rate: ByteRate::from_mb(20), working_set: Bytes::from_mib(6) };
    GuestSpec::new(name, Bytes::from_mib(24), workload)
}

pub fn request(guest: &str, to: &Host, sending: Sending) -> MigrateRequest {
    MigrateRequest {
        guest: guest.into(),
        destination: to.agent.name().into(),
        address: to.address.clone(),
        policy: Policy::HyperV(HyperV { max_passes: 5, stop_below: Bytes::from_mib(1) }),
        deadline: None,
        sending,
        storage: None,
    }
}

/// A guest as [`busy`], with disks of 4 and 2 MiB on `fast` that it reads and writes.
pub fn with_disks(name: &str) -> GuestSpec {
    let disk = |name: &str, mib, write| DiskSpec {
        name: name.into(),
        on: "fast".into(),
        file: String::new(),
        bytes: Bytes::from_mib(mib),
        used: Bytes::from_mib(mib),
        read: ByteRate::from_mb(1),
        write: ByteRate::from_mb(write),
        block: Bytes::new(8192),
    };
    GuestSpec { disks: vec![disk("os", 4, 1), disk("data", 2, 4)], ..busy(name) }
}

/// Has both disks of [`with_disks`] go to `place`.
pub fn both_disks(to: &str, switch: Switch) -> Option<StorageRequest> {
    let target = |disk| DiskTarget { disk, to: to.into() };
    Some(StorageRequest { disks: vec![target(0), target(1)], switch })
}

impl Drop for Host {
    /// Its guests would write on, and slow down the tests that come after.
    fn drop(&mut self) {
        self.agent.halt();
    }
}

/// Every file of a disk below `directory`.
pub fn disk_files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(disk_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "disk") {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

/// Migrates, and replays the journal that this leaves.
pub fn migrate(client: &mut Client, request: MigrateRequest) -> Result<(Migrated, Vec<Record>), LiveError> {
    let mut records = Vec::new();
    let migrated = client.migrate(request, |record| records.push(record))?;
    let replayed = replay(&migrated.journal);
    assert_eq!(replayed.outcome, Some(migrated.outcome));
    assert_eq!(replayed.records, records, "the replay leaves the records that the run left");
    Ok((migrated, records))
}

/// Replays a journal: the same commands and the same inputs refused, or it panics.
pub fn replay(path: impl AsRef<Path>) -> Replayed<MigrationController> {
    let lines = journal::read(path.as_ref()).unwrap();
    journal::replay(path.as_ref(), &lines).unwrap()
}

/// Where a guest runs or stands still, of these agents.
pub fn holders<'a>(hosts: &[&'a Host], guest: &str) -> Vec<&'a str> {
    let holds = |host: &&&Host| {
        let guests = host.agent.describe().guests;
        guests
            .iter()
            .any(|held| held.spec.name == guest && held.activity == live::protocol::Activity::Running)
    };
    hosts.iter().filter(holds).map(|host| host.agent.name()).collect()
}
