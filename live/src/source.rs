//! Moving a guest away from here: the agent's host side of the live driver.
//!
//! ```text
//!  drive ── Command ──▶ Outgoing ── channel ──▶ Worker ──▶ control connection, streams, tracker
//!    ▲                                            │
//!    └───────────────── Answer ◀──────────────────┘
//! ```
//!
//! [`Outgoing`] is called by the driver and does at once what must not wait: it writes the decision to
//! commit to disk, before any later cancel is looked at, and stops streams when the migration is given
//! up. All else is done by the [`Worker`] in its own thread, one command after another.

mod decide;
mod disks;
pub(crate) mod following;
mod pacer;
mod probing;
mod streams;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use algorithms::controller::{Command, Input, LoopOwner, MigrationOrder};
use algorithms::handover::SourceStep;
use algorithms::ids::MigrationId;
use algorithms::page_loop::PageCommand;
use algorithms::records::Record;
use sim_core::SimTime;

use crate::agent::Agent;
use crate::clock::WallClock;
use crate::drive::{Answer, Controller, drive};
use crate::error::LiveError;
use crate::guest::Guest;
use crate::journal::JournalFile;
use crate::ledger::declined;
use crate::machine::ProcessorTime;
use crate::protocol::{Compression, Encryption, MigrateRequest, Reply};
use crate::steps::Step;
use crate::sync::lock;
use crate::token::Token;
use disks::DiskSide;
use following::FollowSide;
pub(crate) use probing::{probe, probe_guest};
use worker::Worker;

/// Migrates a guest away from `agent`, and hands every record to `keep`.
///
/// # Errors
///
/// [`LiveError`] where it cannot begin, or ends in doubt. A migration that fails otherwise has an outcome.
pub(crate) fn migrate(
    agent: &Arc<Agent>,
    request: &MigrateRequest,
    keep: impl FnMut(Record),
) -> Result<Reply, LiveError> {
    let guest = agent.guest(&request.guest)?;
    if let Some(problem) = disks::problem(request, &guest) {
        return Err(declined(problem));
    }
    let (answers, inbox) = channel();
    agent.note_outgoing(&request.guest, answers.clone())?;
    let result = follow(agent, request, &guest, answers, &inbox, keep);
    agent.forget_outgoing(&request.guest);
    result
}

fn follow(
    agent: &Arc<Agent>,
    request: &MigrateRequest,
    guest: &Arc<Guest>,
    answers: Sender<Answer>,
    inbox: &Receiver<Answer>,
    keep: impl FnMut(Record),
) -> Result<Reply, LiveError> {
    let token = Token::new()?;
    let order = order(agent, request, guest);
    let journal = JournalFile::create(journal_path(agent, request, &token))?;
    let path = journal.path().display().to_string();
    let controller = Controller::begin(order, journal)?;
    agent.collect(&request.guest);
    if !disks::stays(request) {
        let (token, leaving) = (token.clone(), disks::leaving(request, guest));
        lock(&agent.ledger).begin_outgoing(&request.guest, token, request.address.clone(), leaving)?;
    }
    agent.reached(Step::Begun);
    let processors = ProcessorTime::now();
    let outgoing = Outgoing::start(agent, request, guest, token.clone(), answers)?;
    let result = drive(controller, WallClock::start(), inbox, |command| outgoing.carry_out(command), keep);
    outgoing.end();
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) if disks::stays(request) => {
            agent.collect(&request.guest);
            return Err(error);
        }
        Err(error) => return Err(keep_running(agent, guest, &token, error)),
    };
    Ok(Reply::Migrated { outcome, journal: path, steal: processors.steal_since() })
}

/// What the machine cannot do: its driver ended before it, since the worker has died or nobody can know where the guest
/// is. It goes on here, unless it was given away.
fn keep_running(agent: &Agent, guest: &Guest, token: &Token, error: LiveError) -> LiveError {
    let name = &guest.spec().name;
    if agent.is_given_away(name) {
        return match error {
            LiveError::InDoubt { .. } => error,
            other => LiveError::InDoubt { guest: name.clone(), reason: other.to_string() },
        };
    }
    tracing::error!(guest = name, %error, "the migration broke; the guest goes on here");
    if let Err(error) = lock(&agent.ledger).source_step(token, SourceStep::TakeBack) {
        // It is undecided on disk then, which says the same.
        tracing::error!(%error, "cannot note that the guest stays");
    }
    guest.resume();
    error
}

fn order(agent: &Agent, request: &MigrateRequest, guest: &Guest) -> MigrationOrder {
    MigrationOrder {
        migration: MigrationId(0),
        vm: guest.spec().name.as_str().into(),
        source: agent.name().into(),
        destination: if disks::stays(request) { agent.name() } else { &*request.destination }.into(),
        transport: transport(request).into(),
        memory: guest.memory().size(),
        policy: request.policy.clone(),
        deadline: request.deadline,
        queued: SimTime::ZERO,
        storage: disks::order(request, guest),
        page_loop: LoopOwner::Own,
        why: None,
    }
}

/// How memory is sent, in a word or two, as records name it.
fn transport(request: &MigrateRequest) -> String {
    let encryption = match request.sending.encryption {
        Encryption::Tls => "tls",
        Encryption::None => "tcp",
    };
    let compression = match request.sending.compression {
        Compression::None => "",
        Compression::Lz4 => "+lz4",
        Compression::Zstd => "+zstd",
    };
    format!("{encryption}{compression}")
}

fn journal_path(agent: &Agent, request: &MigrateRequest, token: &Token) -> PathBuf {
    agent.directory.join("journals").join(format!("{}-{token}.jsonl", request.guest))
}

/// What the driver hands commands to.
struct Outgoing {
    agent: Arc<Agent>,
    token: Token,
    answers: Sender<Answer>,
    commands: Sender<Command>,
    /// Set when the migration is given up: streams send no more.
    stop: Arc<AtomicBool>,
    /// Whether the last thing wanted was that memory be sent.
    sending: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

impl Outgoing {
    fn start(
        agent: &Arc<Agent>,
        request: &MigrateRequest,
        guest: &Arc<Guest>,
        token: Token,
        answers: Sender<Answer>,
    ) -> Result<Outgoing, LiveError> {
        let (commands, inbox) = channel();
        let (stop, sending) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut worker = Worker {
            agent: Arc::clone(agent),
            request: request.clone(),
            guest: Arc::clone(guest),
            token: token.clone(),
            answers: answers.clone(),
            stop: Arc::clone(&stop),
            sending: Arc::clone(&sending),
            link: None,
            disks: DiskSide::default(),
            follow: FollowSide::default(),
        };
        let thread = std::thread::Builder::new().name(format!("send {}", request.guest));
        let worker = thread.spawn(move || worker.work(&inbox));
        let worker = worker.map_err(LiveError::system("start a thread of a migration"))?;
        Ok(Outgoing { agent: Arc::clone(agent), token, answers, commands, stop, sending, worker })
    }

    fn carry_out(&self, command: Command) -> Result<(), LiveError> {
        if !matches!(command, Command::Abort | Command::EndMirror) {
            let sending = matches!(command, Command::Page(PageCommand::Send { .. }));
            self.sending.store(sending, Ordering::SeqCst);
        }
        match command {
            Command::Commit => {
                if let Err(error) = self.decide() {
                    let reason = format!("the decision could not be kept: {error}");
                    return self.answer(Answer::Input(Input::Failed { reason }));
                }
            }
            // Mirrors end before all is undone, or when nothing is sent any more.
            Command::Abort | Command::EndMirror => self.stop.store(true, Ordering::SeqCst),
            Command::Prepare | Command::Page(_) | Command::Storage(_) | Command::Finish => {}
            Command::Loop(_) => {
                let reason = "an agent's page loop is our own".into();
                return self.answer(Answer::Input(Input::Failed { reason }));
            }
        }
        let ended = |_| std::io::Error::other("its thread has ended");
        self.commands.send(command).map_err(ended).map_err(LiveError::system("go on with a migration"))
    }

    fn answer(&self, answer: Answer) -> Result<(), LiveError> {
        let gone = |_| std::io::Error::other("the driver has ended");
        self.answers.send(answer).map_err(gone).map_err(LiveError::system("answer the driver"))
    }

    fn decide(&self) -> Result<(), LiveError> {
        lock(&self.agent.ledger).source_step(&self.token, SourceStep::Commit)?;
        self.agent.reached(Step::Committed);
        Ok(())
    }

    fn end(self) {
        drop(self.commands);
        // One that panicked has said so.
        let _ = self.worker.join();
    }
}
