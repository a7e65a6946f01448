//! Commands to an agent, and what a migration leaves.

use algorithms::ids::{MigrationId, Name};
use algorithms::records::{Origin, Outcome, Record, RecordCollector, RunRecord, RunRecords};

use crate::connection::Connection;
use crate::disk::DiskProof;
use crate::error::LiveError;
use crate::guest::GuestSpec;
use crate::protocol::probe::{ProbeRequest, Probed};
use crate::protocol::{Description, Handover, MigrateRequest, ProtocolError, Reply, Request};
use crate::tls::Credentials;
use crate::token::Token;

/// A connection by which an agent is commanded.
pub struct Client(Connection);

/// How a migration ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrated {
    /// Where the guest is.
    pub outcome: Outcome,
    /// Where the source keeps the journal.
    pub journal: String,
    /// The share of the source's processor time that other machines took meanwhile, 0 to 1.
    pub steal: f64,
}

/// What [`Client::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Pages looked at.
    pub pages: u64,
    /// Writes that the guest has made.
    pub writes: u64,
    /// The same of its disks.
    pub disks: DiskProof,
    /// What is wrong; nothing, if all is well.
    pub wrong: Vec<String>,
}

impl Client {
    /// Connects to the agent at `address`.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where none answers that trusts these credentials and is trusted by them.
    pub fn connect(address: &str, credentials: &Credentials) -> Result<Client, LiveError> {
        Connection::control(address, credentials).map(Client)
    }

    /// The agent's name.
    pub fn name(&self) -> &str {
        &self.0.peer
    }

    /// What the agent is and holds.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it does not answer.
    pub fn describe(&mut self) -> Result<Description, LiveError> {
        match self.0.ask(&Request::Describe)? {
            Reply::Description(description) => Ok(*description),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a guest and starts it.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the agent refuses.
    pub fn create(&mut self, spec: GuestSpec) -> Result<(), LiveError> {
        self.patiently(&Request::Create(spec))
    }

    /// Stops a guest and has it forgotten.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the agent refuses.
    pub fn remove(&mut self, guest: &str) -> Result<(), LiveError> {
        self.patiently(&Request::Remove { guest: guest.into() })
    }

    /// Has every page of a guest looked at, while it runs.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the agent has no such guest.
    pub fn verify(&mut self, guest: &str) -> Result<Verified, LiveError> {
        self.0.patience(LONG)?;
        match self.0.ask(&Request::Verify { guest: guest.into() })? {
            Reply::Verified { pages, writes, disks, wrong } => Ok(Verified { pages, writes, disks, wrong }),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives up the migration of a guest away from this agent.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where there is none.
    pub fn cancel(&mut self, guest: &str, reason: &str) -> Result<(), LiveError> {
        self.0.order(&Request::Cancel { guest: guest.into(), reason: reason.into() })
    }

    /// Moves a guest from this agent to another; each record is handed to `keep` as it comes.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the agent refuses, is lost, or the migration ends in doubt. A migration that
    /// was given up is no error: its outcome says so.
    pub fn migrate(
        &mut self,
        request: MigrateRequest,
        mut keep: impl FnMut(Record),
    ) -> Result<Migrated, LiveError> {
        self.0.send(&Request::Migrate(Box::new(request)))?;
        let mut ended = false;
        loop {
            match self.0.answer()? {
                Reply::Record(record) => {
                    check(&record, &mut ended)?;
                    keep(*record);
                }
                Reply::Migrated { outcome, journal, steal } => {
                    return Ok(Migrated { outcome, journal, steal });
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Measures what migration from this agent to another would get, one way of sending.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where either agent refuses or is lost.
    pub fn probe(&mut self, request: ProbeRequest) -> Result<Probed, LiveError> {
        match self.0.ask(&Request::Probe(Box::new(request)))? {
            Reply::Probed(probed) => Ok(*probed),
            other => Err(unexpected(&other)),
        }
    }

    /// The hand-overs that have begun and not ended.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the agent does not answer.
    pub fn handovers(&mut self) -> Result<Vec<Handover>, LiveError> {
        match self.0.ask(&Request::Handovers)? {
            Reply::Handovers(handovers) => Ok(handovers),
            other => Err(unexpected(&other)),
        }
    }

    /// What the agent knows of one hand-over.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it does not answer.
    pub fn handover(&mut self, token: &Token) -> Result<Option<Handover>, LiveError> {
        match self.0.ask(&Request::Ask { token: token.clone() })? {
            Reply::Handovers(handovers) => Ok(handovers.into_iter().next()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn order(&mut self, request: &Request) -> Result<(), LiveError> {
        self.patiently(request)
    }

    /// Asks for what may take the agent long, and is not interrupted by heartbeats.
    fn patiently(&mut self, request: &Request) -> Result<(), LiveError> {
        self.0.patience(LONG)?;
        self.0.order(request)
    }
}

/// Filling or checking the memory of a large guest.
const LONG: std::time::Duration = std::time::Duration::from_secs(300);

fn unexpected(reply: &Reply) -> LiveError {
    ProtocolError::Unexpected(format!("{reply:?}")).into()
}

/// An agent tells of one migration, which is its first, and of its end once.
fn check(record: &Record, ended: &mut bool) -> Result<(), ProtocolError> {
    let of = match record {
        Record::Round(round) => Some(round.migration),
        Record::Migration(migration) => Some(migration.migration),
        Record::Event(event) => event.migration,
        Record::Resource(_) => None,
    };
    if let Some(other) = of.filter(|of| *of != MigrationId(0)) {
        return Err(ProtocolError::Unexpected(format!("a record of migration {}", other.0)));
    }
    let ends = matches!(record, Record::Migration(_));
    if ends && std::mem::replace(ended, true) {
        return Err(ProtocolError::Unexpected("a second end of a migration".into()));
    }
    Ok(())
}

/// What was collected on real hosts as the records of a run.
pub fn actual_run(scenario: Name, records: RecordCollector) -> RunRecords {
    let (origin, makespan) = (Origin::Actual, records.makespan());
    let run = RunRecord { scenario, alternative: None, seed: 0, replication: 0, origin, makespan };
    records.finish(run, vec![])
}
