//! Probes: what migration between two agents would get, measured with memory that is no guest's.
//!
//! One at a time, as source or as destination, and none beside a migration: what either measured then
//! would say nothing. Memory and time are bounded here, whatever the other side says; who is not known
//! gets as far as with anything else, which is no further than the handshake.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::connection::{Connection, HEARTBEAT, refused};
use crate::error::LiveError;
use crate::ledger::declined;
use crate::machine::ProcessorTime;
use crate::protocol::probe::{LIFETIME, ProbeAccount, ProbeRequest, too_large};
use crate::protocol::{HandOverAt, ProtocolError, ReceiveRequest, Reply, Sending};
use crate::source;
use crate::sync::lock;
use crate::token::Token;

use super::Agent;
use super::incoming::Incoming;

/// A probe that goes on here.
#[derive(Debug)]
pub(super) struct Probing {
    /// Of one that comes here: what it is known by.
    token: Option<Token>,
    processors: ProcessorTime,
}

/// Ends the source's part when it goes out of scope.
struct Turn<'a>(&'a Agent);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.probing) = None;
    }
}

/// Measures, in a thread of its own, with heartbeats to who asked.
pub(super) fn probe(
    agent: &Arc<Agent>,
    connection: &mut Connection,
    request: ProbeRequest,
) -> Result<(), ProtocolError> {
    let (sender, receiver) = channel();
    let own = Arc::clone(agent);
    let measure = move || {
        let reply = match own.measure(&request) {
            Ok(reply) => reply,
            Err(error) => refused(&error),
        };
        // Nobody may listen any more.
        let _ = sender.send(reply);
    };
    if let Err(error) = std::thread::Builder::new().name("probe".into()).spawn(measure) {
        return connection.send(&Reply::Refused { reason: format!("no thread for it: {error}") });
    }
    loop {
        match receiver.recv_timeout(HEARTBEAT) {
            Ok(reply) => return connection.send(&reply),
            Err(RecvTimeoutError::Timeout) => connection.send(&Reply::Heartbeat)?,
            Err(RecvTimeoutError::Disconnected) => {
                return connection.send(&Reply::Refused { reason: "the probe broke".into() });
            }
        }
    }
}

impl Agent {
    fn measure(&self, request: &ProbeRequest) -> Result<Reply, LiveError> {
        if let Some(problem) = request.problem() {
            return Err(declined(problem));
        }
        let spec = source::probe_guest(request);
        self.check_room(&spec)?;
        self.begin_probing(None)?;
        let turn = Turn(self);
        let probed = source::probe(self, request, spec)?;
        drop(turn);
        Ok(Reply::Probed(Box::new(probed)))
    }

    fn begin_probing(&self, token: Option<Token>) -> Result<(), LiveError> {
        let mut probing = lock(&self.probing);
        if probing.is_some() {
            return Err(declined("another probe goes on here; wait until it has ended".into()));
        }
        if !lock(&self.outgoing).is_empty() || !lock(&self.incoming).is_empty() {
            return Err(declined(
                "a migration goes on here, beside which a probe says nothing; wait until it has ended".into(),
            ));
        }
        *probing = Some(Probing { token, processors: ProcessorTime::now() });
        Ok(())
    }

    /// Makes room for test memory.
    pub(super) fn receive_probe(&self, request: ReceiveRequest) -> Result<(), LiveError> {
        if let Some(problem) = request.spec.problem().or_else(|| too_large(request.spec.memory)) {
            return Err(declined(problem));
        }
        if !(1..=Sending::MOST_STREAMS).contains(&request.streams) {
            return Err(declined(format!("{} streams", request.streams)));
        }
        if !request.spec.disks.is_empty() || request.hand_over != HandOverAt::TheEnd {
            return Err(declined("a probe brings no disks, and nothing of it follows".into()));
        }
        self.check_room(&request.spec)?;
        let until = Instant::now() + Duration::from_nanos(LIFETIME.as_nanos());
        let incoming = Incoming::probe(&request, &self.storage, until)?;
        self.begin_probing(Some(request.token.clone()))?;
        tracing::info!(source = request.source, token = %request.token, "probed");
        lock(&self.incoming).insert(request.token, Arc::new(incoming));
        Ok(())
    }

    /// What the probe of this token has cost here.
    pub(super) fn account_probe(&self, token: &Token) -> Result<ProbeAccount, LiveError> {
        let core_seconds = self.coming(token)?.core_seconds();
        let probing = lock(&self.probing);
        let steal = probing.as_ref().map_or(0.0, |probing| probing.processors.steal_since());
        Ok(ProbeAccount { core_seconds, steal })
    }

    /// Forgets test memory; where there is none of this token, there is nothing to do.
    pub(super) fn end_probe(&self, token: &Token) {
        if !self.coming(token).is_ok_and(|incoming| incoming.is_probe()) {
            return;
        }
        lock(&self.incoming).remove(token);
        lock(&self.probing).take_if(|probing| probing.token.as_ref() == Some(token));
    }
}
