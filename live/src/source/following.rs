//! Memory that follows its guest: post-copy, at the source.
//!
//! The guest runs at the destination and stands still here, so that memory here does not change any more. What
//! is pending is pushed over the page streams; what the guest waits for is asked for over a connection of its own, is
//! answered at once, and is pending no more. Where connections break, they are made anew, and the destination says
//! what it still misses: only this host has it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use algorithms::controller::Input;
use algorithms::handover::{DestinationPhase, SourceStep};
use algorithms::records::{ImpactRecord, PostCopyRecord};
use sim_core::{Bandwidth, Pages};

use super::decide::{self, LONGEST, PAUSE};
use super::streams::{Route, Shared, Streams};
use super::worker::Worker;
use crate::agent::Agent;
use crate::clock::span;
use crate::connection::{Connection, is_silence};
use crate::drive::Answer;
use crate::error::LiveError;
use crate::guest::Guest;
use crate::ledger::declined;
use crate::memory::PAGE;
use crate::protocol::missing::{hear, tell, wanted};
use crate::protocol::pages::Encoder;
use crate::protocol::{Compression, Followed, ProtocolError, Purpose, Reply, Request, Sending};
use crate::steps::Step;
use crate::sync::lock;
use crate::token::Token;

/// What the worker knows of memory that follows.
#[derive(Default)]
pub(super) struct FollowSide {
    /// Over which it is told what is missing, and asks for it.
    faults: Option<Connection>,
    /// Pages that the guest misses at the destination.
    missing: u64,
    /// When copying began, and the guest's writes made and due then.
    began: Option<(Instant, u64, f64)>,
    /// The share of its speed that it had lost when it was paused, how long copying took, and when that was.
    paused: Option<(f64, Duration, Instant)>,
    pub(super) throttle_max: u32,
}

impl Worker {
    /// Opens the connection for what the guest will wait for, if it may come to that.
    pub(super) fn connect_faults(&mut self) -> Result<(), LiveError> {
        self.follow.began = Some((Instant::now(), self.guest.writes(), self.guest.due()));
        if self.may_follow() {
            let credentials = &self.agent.credentials;
            let purpose = Purpose::Faults { token: self.token.clone() };
            let (address, encryption) = (&self.request.address, self.request.sending.encryption);
            self.follow.faults = Some(Connection::pages(address, credentials, encryption, purpose)?);
        }
        Ok(())
    }

    /// The guest stands still: how slow it was until now.
    pub(super) fn note_pause(&mut self) {
        if let Some((began, writes, due)) = self.follow.began {
            let (made, due) = ((self.guest.writes() - writes) as f64, self.guest.due() - due);
            let slow_down = if due >= 1.0 { (1.0 - made / due).clamp(0.0, 1.0) } else { 0.0 };
            self.follow.paused = Some((slow_down, began.elapsed(), Instant::now()));
        }
    }

    /// Tells the destination which pages follow, if any do; how many.
    pub(super) fn tell_missing(&mut self) -> Result<u64, LiveError> {
        let missing = self.streams()?.pending(|pending| pending.clone());
        self.follow.missing = missing.len() as u64;
        if self.follow.missing > 0 {
            let unready = || declined("this migration was not prepared for post-copy".into());
            let faults = self.follow.faults.as_mut().ok_or_else(unready)?;
            let peer = faults.peer.clone();
            tell(faults, &peer, &missing)?;
        }
        Ok(self.follow.missing)
    }

    /// Whether memory follows the guest that was handed over.
    pub(super) fn follows(&self) -> bool {
        self.follow.missing > 0
    }

    /// Sends what is missing, however often connections break meanwhile.
    pub(super) fn send_rest(&mut self, limit: Option<Bandwidth>) -> Result<(), LiveError> {
        if !self.follows() {
            return Ok(());
        }
        let resumed = Instant::now();
        self.agent.reached(Step::Following);
        let followed = match self.send_first(limit) {
            Ok(followed) => followed,
            Err(error) => self.send_again(&error)?,
        };
        lock(&self.agent.ledger).source_step(&self.token, SourceStep::DestinationRuns)?;
        self.agent.reached(Step::Released);
        let impact = Input::Impact(self.impact(followed, resumed));
        let gone = |_| std::io::Error::other("the driver has ended");
        self.answers.send(Answer::Input(impact)).map_err(gone).map_err(LiveError::system("answer the driver"))
    }

    fn send_first(&mut self, limit: Option<Bandwidth>) -> Result<Followed, LiveError> {
        let faults = self.follow.faults.take();
        let faults = faults.ok_or_else(|| declined("nobody asks for what is missing".into()))?;
        let (control, streams) = self.parts()?;
        send(control, streams, faults, limit)
    }

    /// Tries for as long as a destination is tried that does not answer.
    fn send_again(&mut self, first: &LiveError) -> Result<Followed, LiveError> {
        tracing::warn!(error = %first, guest = self.request.guest, "missing memory could not be sent");
        let pending = self.streams()?.pending(|pending| pending.len());
        let began = Instant::now();
        loop {
            let (address, sending) = (&self.request.address, &self.request.sending);
            match deliver(&self.agent, &self.guest, &self.token, (address, sending)) {
                Ok(Delivered::All(followed)) => return Ok(followed),
                // All was sent: only its answer was lost.
                Ok(Delivered::NotNeeded) if pending == 0 => return Ok(Followed::default()),
                Ok(Delivered::NotNeeded) => {
                    lock(&self.agent.ledger).source_step(&self.token, SourceStep::DestinationRuns)?;
                    let reason = "it lost the memory that had come, and started the guest anew".into();
                    return Err(LiveError::Declined { agent: self.request.destination.clone(), reason });
                }
                Err(error) if began.elapsed() > LONGEST => {
                    let reason = format!("memory that it misses at the destination is here: {error}");
                    return Err(LiveError::InDoubt { guest: self.request.guest.clone(), reason });
                }
                Err(error) => {
                    tracing::warn!(%error, guest = self.request.guest, "trying to send missing memory again");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn impact(&self, followed: Followed, resumed: Instant) -> ImpactRecord {
        let (slow_down, brownout, paused) = self.follow.paused.unwrap_or((0.0, Duration::ZERO, resumed));
        let blackout = resumed.saturating_duration_since(paused);
        let lost = brownout.mul_f64(slow_down) + blackout;
        let post_copy = PostCopyRecord {
            duration: span(resumed.elapsed()),
            faults: followed.faults,
            waited: followed.waited,
        };
        ImpactRecord {
            slow_down,
            throttle_max_percent: self.follow.throttle_max,
            lost: span(lost) + followed.waited,
            post_copy: Some(post_copy),
        }
    }
}

/// What became of missing memory.
pub(crate) enum Delivered {
    /// All of it is there.
    All(Followed),
    /// The destination misses nothing: it has all, or it has lost all and started the guest anew.
    NotNeeded,
}

/// Sends what the destination says that it misses, over new connections.
///
/// # Errors
///
/// [`LiveError`] where it cannot be reached, or never asked for that.
pub(crate) fn deliver(
    agent: &Agent,
    guest: &Arc<Guest>,
    token: &Token,
    (address, sending): (&str, &Sending),
) -> Result<Delivered, LiveError> {
    let credentials = &agent.credentials;
    let mut control = Connection::control(address, credentials)?;
    match decide::phase(&mut control, token)? {
        Some(DestinationPhase::PostCopying) => {}
        Some(DestinationPhase::Running) => return Ok(Delivered::NotNeeded),
        phase => return Err(ProtocolError::Unexpected(format!("the phase {phase:?}")).into()),
    }
    control.order(&Request::Rejoin { token: token.clone() })?;
    let purpose = Purpose::Faults { token: token.clone() };
    let mut faults = Connection::pages(address, credentials, sending.encryption, purpose)?;
    let peer = faults.peer.clone();
    let missing = hear(&mut faults, &peer, guest.memory().pages())?;
    let stop = Arc::new(AtomicBool::new(false));
    let route = Route { credentials, address, sending, token };
    let streams = Streams::open(&route, guest, missing, &stop, &control)?;
    send(&mut control, &streams, faults, None).map(Delivered::All)
}

/// Pushes what is pending and answers what is asked for, until the destination has all.
fn send(
    control: &mut Connection,
    streams: &Streams,
    faults: Connection,
    limit: Option<Bandwidth>,
) -> Result<Followed, LiveError> {
    let pages = streams.pending(|pending| pending.len()) as u64;
    let (shared, cutter) = (streams.shared(), faults.cutter()?);
    let thread = std::thread::Builder::new().name("missing pages".into());
    let server = thread.spawn(move || {
        if let Err(error) = serve(&shared, faults) {
            tracing::warn!(%error, "missing pages are asked for no more");
        }
    });
    let server = server.map_err(LiveError::system("start a thread for missing pages"))?;
    streams.begin(Pages::new(pages), u64::MAX, limit);
    let answer = control.ask(&Request::AwaitMemory);
    if answer.is_err() {
        cutter.cut();
    }
    // The destination has told it to end, or it was cut off.
    let _ = server.join();
    match answer? {
        Reply::Followed(followed) => Ok(followed),
        other => Err(ProtocolError::Unexpected(format!("{other:?}")).into()),
    }
}

/// Answers what is asked for, until nothing more is.
fn serve(shared: &Shared, mut connection: Connection) -> Result<(), LiveError> {
    let (peer, mut encoder) = (connection.peer.clone(), Encoder::new(Compression::None));
    let lost = |error| LiveError::system("send pages")(error);
    loop {
        let pages = match wanted(&mut connection, &peer) {
            Ok(Some(pages)) => pages,
            Ok(None) => return Ok(()),
            // A guest may wait for nothing for long; when all is over, the connection is closed.
            Err(ProtocolError::Lost { source, .. }) if is_silence(&source) => continue,
            Err(error) => return Err(error.into()),
        };
        for page in pages {
            if page as usize >= shared.guest.memory().pages() {
                return Err(declined(format!(
                    "page {page} was asked for, of {}",
                    shared.guest.memory().pages()
                )));
            }
            shared.take_out(page as usize);
            let mut content = [0; PAGE];
            shared.guest.memory().read_page(page as usize, &mut content);
            let frame = match content.iter().all(|byte| *byte == 0) {
                true => encoder.zeros(&[page]),
                false => encoder.pages(&[page], &content)?,
            };
            connection.write_all(frame).map_err(lost)?;
        }
        connection.flush().map_err(lost)?;
    }
}
