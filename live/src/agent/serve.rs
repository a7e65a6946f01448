//! A control connection: one request after another, each answered.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};

use crate::connection::{Connection, HEARTBEAT, refused};
use crate::error::LiveError;
use crate::ledger::declined;
use crate::protocol::{MigrateRequest, ProtocolError, Reply, Request, Sending, VERSION};
use crate::source;
use crate::sync::lock;
use crate::token::Token;

use super::{Agent, probing};

/// Who commands may think for so long between two requests.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// Serves one control connection until it ends.
pub(super) fn control(agent: &Arc<Agent>, mut connection: Connection) -> Result<(), LiveError> {
    connection.send(&Reply::Welcome { version: VERSION, name: agent.name().to_string() })?;
    connection.patience(PATIENCE)?;
    let mut receiving = None;
    let ended = loop {
        let request = match connection.receive() {
            Ok(request) => request,
            Err(error) => break error,
        };
        if let Err(error) = answer(agent, &mut connection, request, &mut receiving) {
            break error;
        }
    };
    if let Some(token) = receiving {
        agent.source_left(&token);
    }
    tracing::debug!(peer = connection.peer, %ended, "control ended");
    Ok(())
}

/// Carries out a request and answers it. An error is one of the connection.
fn answer(
    agent: &Arc<Agent>,
    connection: &mut Connection,
    request: Request,
    receiving: &mut Option<Token>,
) -> Result<(), ProtocolError> {
    let request = match request {
        Request::Migrate(request) => return migrate(agent, connection, *request),
        Request::Probe(request) => return probing::probe(agent, connection, *request),
        other => other,
    };
    tracing::debug!(peer = connection.peer, ?request, "asked");
    match carry_out(agent, connection, request, receiving) {
        Ok(reply) => connection.send(&reply),
        Err(LiveError::Protocol(error @ ProtocolError::Lost { .. })) => Err(error),
        Err(error) => {
            tracing::info!(peer = connection.peer, %error, "refused");
            connection.send(&refused(&error))
        }
    }
}

fn carry_out(
    agent: &Arc<Agent>,
    connection: &mut Connection,
    request: Request,
    receiving: &mut Option<Token>,
) -> Result<Reply, LiveError> {
    let in_progress = || receiving.clone().ok_or_else(|| declined("no guest is on its way here".into()));
    match request {
        Request::Describe => return Ok(Reply::Description(Box::new(agent.describe()))),
        Request::Create(spec) => agent.create(spec)?,
        Request::Remove { guest } => agent.remove(&guest)?,
        Request::Verify { guest } => {
            let guest = agent.whole_guest(&guest)?;
            let (pages, writes) = (guest.memory().pages() as u64, guest.writes());
            let (disks, damage) = guest.verify_disks();
            let wrong = [guest.verify(), damage].concat();
            return Ok(Reply::Verified { pages, writes, disks, wrong });
        }
        Request::Cancel { guest, reason } => agent.cancel(&guest, reason)?,
        Request::Handovers => {
            let open = lock(&agent.ledger).open_handovers();
            return Ok(Reply::Handovers(agent.mark(open)));
        }
        Request::Ask { token } => {
            let known = lock(&agent.ledger).handover(&token);
            return Ok(Reply::Handovers(agent.mark(known.into_iter().collect())));
        }
        Request::Settle { token, resolution } => agent.settle(&token, resolution)?,
        Request::Receive(request) => {
            let token = request.token.clone();
            agent.receive(*request)?;
            *receiving = Some(token);
        }
        Request::Await { barrier } => agent.coming(&in_progress()?)?.wait(barrier, connection)?,
        Request::AwaitDisks { barrier } => {
            agent.coming(&in_progress()?)?.disks.wait(barrier, connection)?;
        }
        Request::Prepare { state, digest, missing } => {
            agent.prepare(&in_progress()?, *state, (digest, missing))?;
        }
        Request::AwaitMemory => return agent.memory_came(&in_progress()?, connection),
        Request::Rejoin { token } => {
            agent.coming(&token)?.rejoined();
            *receiving = Some(token);
        }
        Request::ReceiveProbe(request) => {
            let token = request.token.clone();
            agent.receive_probe(*request)?;
            *receiving = Some(token);
        }
        Request::Echo => {}
        Request::AccountProbe => return Ok(Reply::ProbeAccount(agent.account_probe(&in_progress()?)?)),
        Request::EndProbe => agent.end_probe(&in_progress()?),
        Request::Migrate(_) | Request::Probe(_) => return Err(declined("this is no simple request".into())),
    }
    Ok(Reply::Done)
}

/// Migrates a guest, in a thread of its own: when who asked for it is gone, it goes on.
fn migrate(
    agent: &Arc<Agent>,
    connection: &mut Connection,
    request: MigrateRequest,
) -> Result<(), ProtocolError> {
    let streams = request.sending.streams;
    if !(1..=Sending::MOST_STREAMS).contains(&streams) {
        let reason = format!("{streams} streams; 1 to {} are possible", Sending::MOST_STREAMS);
        return connection.send(&Reply::Refused { reason });
    }
    let (sender, receiver) = channel();
    let own = Arc::clone(agent);
    let thread = std::thread::Builder::new().name(format!("migrate {}", request.guest));
    let spawned = thread.spawn(move || {
        let reply = match source::migrate(&own, &request, |record| {
            // Nobody may listen any more; the journal has it all.
            let _ = sender.send(Reply::Record(Box::new(record)));
        }) {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(guest = request.guest, %error, "migration ended without an outcome");
                refused(&error)
            }
        };
        let _ = sender.send(reply);
    });
    if let Err(error) = spawned {
        return connection.send(&Reply::Refused { reason: format!("no thread for it: {error}") });
    }
    loop {
        match receiver.recv_timeout(HEARTBEAT) {
            Ok(reply) => {
                connection.send(&reply)?;
                if !matches!(reply, Reply::Record(_)) {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => connection.send(&Reply::Heartbeat)?,
            Err(RecvTimeoutError::Disconnected) => {
                return connection.send(&Reply::Refused { reason: "the migration broke".into() });
            }
        }
    }
}
