//! The daemon on a host: holds synthetic guests, sends them to other agents and takes them in.
//!
//! ```text
//!   control connection ──▶ serve ──┬─▶ guests, ledger
//!                                  ├─▶ source: drives a migration away from here
//!   page connection ────▶ incoming ┴── destination of one
//! ```
//!
//! A thread for each connection, blocking: an agent has a handful, and memory goes as fast as the
//! kernel can take it. Who is not known by its certificate gets no further than the handshake.

mod disks;
mod following;
mod heartbeats;
mod incoming;
mod post_copy;
mod probing;
mod serve;
mod settle;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use algorithms::controller::Input;
use algorithms::handover::SourcePhase;
use sim_core::Bytes;

use crate::connection::Connection;
use crate::disk::DiskSpec;
use crate::drive::Answer;
use crate::error::LiveError;
use crate::guest::{Guest, GuestSpec};
use crate::identity::Identity;
use crate::ledger::{Ledger, Standing, declined};
use crate::protocol::{Activity, Description, GuestDescription, Handover, Purpose, Side};
use crate::steps::{Step, Watch};
use crate::storage::{Storage, StorageOptions, file_name, room};
use crate::sync::lock;
use crate::tls::Credentials;
use crate::token::Token;
use crate::tracking::{Method, best_method};
use incoming::Incoming;

/// Connections that an agent has at a time; further ones are closed.
const MOST_CONNECTIONS: usize = 256;

/// Guests of one agent.
const MOST_GUESTS: usize = 1024;

/// How an agent is set up.
#[derive(Clone)]
pub struct AgentOptions {
    /// Who it is.
    pub identity: Identity,
    /// Where it keeps its ledger and journals.
    pub directory: PathBuf,
    /// The address at which others reach it, where that is not the one it listens on.
    pub advertised: Option<String>,
    /// Memory that guests may have; what the machine has available where `None`.
    pub memory: Option<Bytes>,
    /// How dirty memory is found; the best that the machine has where `None`.
    pub tracking: Option<Method>,
    /// Where disks are.
    pub storage: StorageOptions,
    /// Is told the moments of migrations.
    pub watch: Watch,
}

/// An agent.
pub struct Agent {
    pub(crate) credentials: Credentials,
    pub(crate) directory: PathBuf,
    pub(crate) address: String,
    pub(crate) tracking: Method,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) storage: Storage,
    memory: Bytes,
    watch: Watch,
    guests: Mutex<BTreeMap<String, Arc<Guest>>>,
    incoming: Mutex<BTreeMap<Token, Arc<Incoming>>>,
    /// Where the controller of each migration away from here can be told something.
    outgoing: Mutex<BTreeMap<String, Sender<Answer>>>,
    connections: AtomicUsize,
    /// Set while a probe goes on here, as source or destination: one at a time.
    probing: Mutex<Option<probing::Probing>>,
}

impl Agent {
    /// Reads the ledger and starts the guests that are this agent's: what was killed with it starts anew,
    /// as after a power cut.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the directory or the identity cannot be used.
    pub fn start(listener: &TcpListener, options: AgentOptions) -> Result<Arc<Agent>, LiveError> {
        let local = listener.local_addr().map_err(LiveError::system("say where it listens"))?;
        let credentials = Credentials::new(&options.identity)?;
        let journals = options.directory.join("journals");
        std::fs::create_dir_all(&journals).map_err(LiveError::file("make", &journals))?;
        let agent = Agent {
            credentials,
            ledger: Mutex::new(Ledger::open(&options.directory)?),
            storage: Storage::new(&options.directory, options.storage),
            directory: options.directory,
            address: options.advertised.unwrap_or_else(|| local.to_string()),
            tracking: options.tracking.unwrap_or_else(best_method),
            memory: options.memory.unwrap_or_else(crate::machine::available_memory),
            watch: options.watch,
            guests: Mutex::default(),
            incoming: Mutex::default(),
            outgoing: Mutex::default(),
            connections: AtomicUsize::new(0),
            probing: Mutex::default(),
        };
        agent.collect_all()?;
        agent.boot_own()?;
        tracing::info!(name = agent.name(), address = agent.address, tracking = %agent.tracking, "agent started");
        Ok(Arc::new(agent))
    }

    fn boot_own(&self) -> Result<(), LiveError> {
        let own: Vec<GuestSpec> = lock(&self.ledger)
            .entries()
            .filter(|entry| entry.standing.owns())
            .map(|entry| entry.spec.clone())
            .collect();
        for spec in own {
            tracing::warn!(guest = spec.name, "started anew: it was lost with the agent that held it");
            let disks = self.storage.open(&spec)?;
            let guest = Arc::new(Guest::boot_with(spec, disks)?);
            lock(&self.guests).insert(guest.spec().name.clone(), guest);
        }
        Ok(())
    }

    /// Takes connections until the listener fails.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where the listener fails.
    pub fn serve(self: &Arc<Agent>, listener: &TcpListener) -> Result<(), LiveError> {
        loop {
            match listener.accept() {
                Ok((socket, _)) => self.take(socket),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // Out of descriptors, most likely: others will be closed.
                Err(error) => {
                    tracing::error!(%error, "cannot take a connection");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn take(self: &Arc<Agent>, socket: TcpStream) {
        if self.connections.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!("closed a connection: there are {MOST_CONNECTIONS} already");
            return;
        }
        let agent = Arc::clone(self);
        let thread = std::thread::Builder::new().name("connection".into());
        let spawned = thread.spawn(move || {
            if let Err(error) = agent.converse(socket) {
                tracing::info!(%error, "connection ended");
            }
            agent.connections.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = spawned {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            tracing::error!(%error, "cannot serve a connection");
        }
    }

    fn converse(self: &Arc<Agent>, socket: TcpStream) -> Result<(), LiveError> {
        let (connection, hello) = Connection::accept(socket, &self.credentials)?;
        match hello.purpose {
            Purpose::Control => serve::control(self, connection),
            Purpose::Pages { token } => {
                let incoming = lock(&self.incoming).get(&token).cloned();
                let unknown = || declined(format!("pages of an unknown hand-over came from {}", hello.name));
                incoming.ok_or_else(unknown)?.take_pages(connection, &self.watch)
            }
            Purpose::Faults { token } => self.coming(&token)?.serve_faults(connection),
            Purpose::Disks { token } => {
                let incoming = self.coming(&token)?;
                incoming.disks.take_blocks(&incoming, connection, &self.watch)
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.credentials.name()
    }

    pub(crate) fn reached(&self, step: Step) {
        (self.watch)(step);
    }

    /// What it is and holds.
    pub fn describe(&self) -> Description {
        let describe = |guest: &Arc<Guest>| GuestDescription {
            spec: guest.spec_now(),
            activity: guest.activity(),
            writes: guest.writes(),
        };
        let mut guests: Vec<GuestDescription> = lock(&self.guests).values().map(describe).collect();
        let coming = |incoming: &Arc<Incoming>| GuestDescription {
            spec: incoming.spec.clone(),
            activity: Activity::Incoming,
            writes: 0,
        };
        // One that runs before its memory is among the guests.
        guests.extend(lock(&self.incoming).values().filter(|coming| !coming.runs()).map(coming));
        Description {
            name: self.name().to_string(),
            tracking: self.tracking.to_string(),
            memory: self.memory,
            used: guests.iter().map(|guest| guest.spec.memory).sum(),
            guests,
        }
    }

    /// Whether there is room for another guest of this size.
    fn check_room(&self, spec: &GuestSpec) -> Result<(), LiveError> {
        let description = self.describe();
        if description.guests.len() >= MOST_GUESTS {
            return Err(declined(format!("there are {MOST_GUESTS} guests already")));
        }
        let left = self.memory.saturating_sub(description.used);
        if spec.memory > left {
            let (name, memory) = (&spec.name, spec.memory);
            return Err(declined(format!("{name} has {memory} of memory, and {left} are left here")));
        }
        Ok(())
    }

    /// Whether there is room for these disks.
    pub(crate) fn check_disk_room(&self, disks: &[&DiskSpec]) -> Result<(), LiveError> {
        let wanted: Vec<(&str, Bytes)> = disks.iter().map(|disk| (&*disk.on, room(disk))).collect();
        self.storage.check_room(lock(&self.ledger).entries(), &wanted)
    }

    fn create(&self, mut spec: GuestSpec) -> Result<(), LiveError> {
        self.check_room(&spec)?;
        if let Some(problem) = spec.problem() {
            return Err(declined(problem));
        }
        self.check_disk_room(&spec.disks.iter().collect::<Vec<_>>())?;
        self.collect_of_others(&spec.name);
        let token = Token::new()?;
        for disk in &mut spec.disks {
            disk.file = file_name(&spec.name, disk, &token);
        }
        {
            let mut ledger = lock(&self.ledger);
            if ledger.get(&spec.name).is_some_and(|entry| entry.standing.owns() || entry.standing.is_open()) {
                return Err(declined(format!("there is a guest `{}` already", spec.name)));
            }
            ledger.create(spec.clone())?;
        }
        let made = self.make(&spec);
        let guest = made.inspect_err(|_| self.undo_create(&spec.name))?;
        lock(&self.guests).insert(guest.spec().name.clone(), guest);
        Ok(())
    }

    fn make(&self, spec: &GuestSpec) -> Result<Arc<Guest>, LiveError> {
        let disks = self.storage.create(spec)?;
        let guest = Guest::boot_with(spec.clone(), disks)?;
        lock(&self.ledger).created(&spec.name)?;
        Ok(Arc::new(guest))
    }

    fn remove(&self, name: &str) -> Result<(), LiveError> {
        let guest = self.guest(name)?;
        {
            let mut ledger = lock(&self.ledger);
            if ledger.get(name).is_some_and(|entry| entry.standing.is_open()) {
                return Err(declined(format!("{name} is being handed over; cancel that first")));
            }
            ledger.remove(name)?;
        }
        lock(&self.guests).remove(name);
        let disks = guest.spec_now().disks;
        drop(guest);
        disks.iter().try_for_each(|disk| self.storage.remove(&disk.place()))
    }

    /// The guest of this name that is held here.
    pub(crate) fn guest(&self, name: &str) -> Result<Arc<Guest>, LiveError> {
        let guest = lock(&self.guests).get(name).cloned();
        guest.ok_or_else(|| declined(format!("there is no guest `{name}` here")))
    }

    /// Has all guests stand still: the end of an agent that is not a process of its own.
    pub fn halt(&self) {
        lock(&self.guests).values().for_each(|guest| guest.halt());
    }

    /// Lets go of a guest that runs elsewhere.
    pub(crate) fn let_go(&self, name: &str) {
        lock(&self.guests).remove(name);
    }

    fn cancel(&self, guest: &str, reason: String) -> Result<(), LiveError> {
        let sender = lock(&self.outgoing).get(guest).cloned();
        let none = || declined(format!("{guest} is not being migrated from here"));
        sender.ok_or_else(none)?.send(Answer::Input(Input::Cancel { reason })).map_err(|_| none())
    }

    /// Notes where the controller of a guest's migration can be told something.
    pub(crate) fn note_outgoing(&self, guest: &str, answers: Sender<Answer>) -> Result<(), LiveError> {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.contains_key(guest) {
            return Err(declined(format!("{guest} is being migrated already")));
        }
        outgoing.insert(guest.to_string(), answers);
        Ok(())
    }

    pub(crate) fn forget_outgoing(&self, guest: &str) {
        lock(&self.outgoing).remove(guest);
    }

    /// Marks the hand-overs that end by themselves.
    fn mark(&self, mut handovers: Vec<Handover>) -> Vec<Handover> {
        for handover in &mut handovers {
            handover.under_way = match handover.side {
                Side::Source(_) => lock(&self.outgoing).contains_key(&handover.guest),
                Side::Destination(_) => {
                    let incoming = lock(&self.incoming).get(&handover.token).cloned();
                    incoming.is_some_and(|incoming| incoming.is_attended())
                }
            };
        }
        handovers
    }

    /// Whether this agent's disk says that the guest runs elsewhere.
    pub(crate) fn has_released(&self, guest: &str) -> bool {
        lock(&self.ledger).get(guest).is_some_and(|entry| {
            matches!(&entry.standing, Standing::Outgoing { phase: SourcePhase::Released, .. })
        })
    }

    /// Whether this agent's disk gives the guest of a hand-over away for good, or may.
    pub(crate) fn is_given_away(&self, guest: &str) -> bool {
        lock(&self.ledger).get(guest).is_some_and(|entry| {
            matches!(
                &entry.standing,
                Standing::Outgoing { phase: SourcePhase::Committed | SourcePhase::Released, .. }
            )
        })
    }
}
