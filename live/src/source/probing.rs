//! The source's part of a probe: test memory, sent over and over by the streams of a migration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use models::workload::Workload;
use sim_core::{Pages, Span};

use super::streams::{Route, Streams};
use crate::agent::Agent;
use crate::bitmap::Bitmap;
use crate::clock::span;
use crate::connection::Connection;
use crate::error::LiveError;
use crate::guest::{Guest, GuestSpec};
use crate::ledger::declined;
use crate::machine::ProcessorTime;
use crate::protocol::probe::{ProbeAccount, ProbeRequest, Probed};
use crate::protocol::{HandOverAt, ProtocolError, ReceiveRequest, Reply, Request};
use crate::token::Token;

/// Round trips that are timed.
const ECHOES: u32 = 20;

/// The share of the time measured that is spent before it, for windows to open and caches to fill.
const WARM_UP: f64 = 0.2;

/// The guest that test memory is taken from: it stands still.
pub(crate) fn probe_guest(request: &ProbeRequest) -> GuestSpec {
    GuestSpec {
        compression_ratio: request.compression_ratio,
        zero_share: request.zero_share,
        ..GuestSpec::new("probe", request.memory, Workload::Idle)
    }
}

/// Measures one way of sending to another agent.
///
/// # Errors
///
/// [`LiveError`] where there is no memory for it, or the destination refuses or is lost.
pub(crate) fn probe(agent: &Agent, request: &ProbeRequest, spec: GuestSpec) -> Result<Probed, LiveError> {
    let guest = Arc::new(Guest::boot(spec)?);
    let mut control = Connection::control(&request.address, &agent.credentials)?;
    if control.peer != request.destination {
        let (wanted, found) = (&request.destination, &control.peer);
        return Err(declined(format!("at {} is {found}, and not {wanted}", request.address)));
    }
    let round_trip = round_trip(&mut control)?;
    let token = Token::new()?;
    let receive = ReceiveRequest {
        token: token.clone(),
        spec: guest.spec().clone(),
        source: agent.name().to_string(),
        source_address: agent.address.clone(),
        streams: request.sending.streams,
        moved: vec![],
        hand_over: HandOverAt::TheEnd,
    };
    control.order(&Request::ReceiveProbe(Box::new(receive)))?;
    let stop = Arc::new(AtomicBool::new(false));
    let all = Bitmap::all(guest.memory().pages());
    let streams = Streams::open(&route(agent, request, &token), &guest, all, &stop, &control)?;
    let mut run = Run { control, streams, stop, pages: guest.memory().pages(), barrier: 0, request };
    let probed = run.measure(round_trip)?;
    run.control.order(&Request::EndProbe)?;
    Ok(probed)
}

/// Where pages go, and how: as a migration's do.
fn route<'a>(agent: &'a Agent, request: &'a ProbeRequest, token: &'a Token) -> Route<'a> {
    Route { credentials: &agent.credentials, address: &request.address, sending: &request.sending, token }
}

fn round_trip(control: &mut Connection) -> Result<Span, LiveError> {
    let mut shortest = Duration::MAX;
    for _ in 0..ECHOES {
        let began = Instant::now();
        control.order(&Request::Echo)?;
        shortest = shortest.min(began.elapsed());
    }
    Ok(span(shortest))
}

struct Run<'a> {
    control: Connection,
    streams: Streams,
    /// Ends what is being sent.
    stop: Arc<AtomicBool>,
    pages: usize,
    barrier: u64,
    request: &'a ProbeRequest,
}

impl Run<'_> {
    fn measure(&mut self, round_trip: Span) -> Result<Probed, LiveError> {
        let measure_for = Duration::from_nanos(self.request.measure_for.as_nanos());
        self.send_for(measure_for.mul_f64(WARM_UP))?;
        let (spent, account, processors) = (self.streams.spent(), self.account()?, ProcessorTime::now());
        let began = Instant::now();
        let pages = self.send_for(measure_for)?;
        let took = span(began.elapsed());
        let (spent_now, account_now) = (self.streams.spent(), self.account()?);
        Ok(Probed {
            memory: pages.bytes(),
            stream: spent_now.bytes.saturating_sub(spent.bytes),
            took,
            source_core_seconds: spent_now.core_seconds - spent.core_seconds,
            destination_core_seconds: account_now.core_seconds - account.core_seconds,
            round_trip,
            source_steal: processors.steal_since(),
            destination_steal: account_now.steal,
        })
    }

    /// Sends the memory, again and again, until the time is over; what has arrived then.
    fn send_for(&mut self, time: Duration) -> Result<Pages, LiveError> {
        let stop = Arc::clone(&self.stop);
        std::thread::scope(|scope| {
            let (ended, end) = channel::<()>();
            let alarm = Arc::clone(&stop);
            scope.spawn(move || {
                if end.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                    alarm.store(true, Ordering::SeqCst);
                }
            });
            let sent = self.send_until_stopped();
            drop(ended);
            sent
        })
        .inspect(|_| stop.store(false, Ordering::SeqCst))
    }

    fn send_until_stopped(&mut self) -> Result<Pages, LiveError> {
        let mut sent = 0;
        while !self.stop.load(Ordering::SeqCst) {
            self.streams.pending(|pending| pending.insert(0, self.pages));
            self.barrier += 1;
            self.streams.begin(Pages::new(self.pages as u64), self.barrier, self.request.sending.limit);
            self.control.order(&Request::Await { barrier: self.barrier })?;
            sent += self.streams.sent().get();
        }
        Ok(Pages::new(sent))
    }

    fn account(&mut self) -> Result<ProbeAccount, LiveError> {
        match self.control.ask(&Request::AccountProbe)? {
            Reply::ProbeAccount(account) => Ok(account),
            other => Err(ProtocolError::Unexpected(format!("{other:?}")).into()),
        }
    }
}
