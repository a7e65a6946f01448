//! Carries out a controller's commands: connects, sends pages, counts, pauses, hands over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use algorithms::controller::{Command, Input};
use algorithms::failures::Breakage;
use algorithms::handover::{Resolution, SourceStep};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use algorithms::policy::PreCopyPolicy;
use algorithms::records::Whereabouts;
use sim_core::{Bandwidth, Bytes, Pages};

use super::decide;
use super::disks::{self, DiskSide};
use super::following::FollowSide;
use super::streams::{Route, Streams};
use crate::agent::Agent;
use crate::bitmap::Bitmap;
use crate::connection::Connection;
use crate::drive::Answer;
use crate::error::LiveError;
use crate::guest::Guest;
use crate::memory::PAGE;
use crate::protocol::{HandOverAt, MigrateRequest, ReceiveRequest, Request};
use crate::steps::Step;
use crate::sync::lock;
use crate::token::Token;
use crate::tracking::Tracker;

/// The host side of one migration away from here.
pub(super) struct Worker {
    pub(super) agent: Arc<Agent>,
    pub(super) request: MigrateRequest,
    pub(super) guest: Arc<Guest>,
    pub(super) token: Token,
    pub(super) answers: Sender<Answer>,
    pub(super) stop: Arc<AtomicBool>,
    /// Whether the last thing that the controller wanted, before it gave up, was that memory be sent.
    pub(super) sending: Arc<AtomicBool>,
    pub(super) link: Option<Link>,
    pub(super) disks: DiskSide,
    pub(super) follow: FollowSide,
}

/// What there is once the destination has made room.
pub(super) struct Link {
    control: Connection,
    streams: Streams,
    tracker: Tracker,
    barrier: u64,
    /// What the controller wanted sent in this round, and what of it was: it counts bytes, and
    /// pages are whole.
    wanted: Bytes,
    given: Pages,
}

impl Worker {
    /// Carries out commands until there are no more.
    pub(super) fn work(&mut self, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            if let Command::Page(PageCommand::Throttle { percent }) = command {
                self.guest.throttle(percent);
                self.follow.throttle_max = self.follow.throttle_max.max(percent);
                continue;
            }
            let answer = match self.carry_out(command) {
                Ok(answer) => answer,
                // What was under way when the migration is given up may fail; only the end of that counts.
                Err(_) if self.stop.load(Ordering::SeqCst) && !is_undoing(command) => continue,
                Err(LiveError::InDoubt { reason, .. }) => Answer::InDoubt(reason),
                Err(LiveError::Full { storage, reason }) => {
                    tracing::warn!(storage, reason, "no space for a copy");
                    Answer::Input(Input::Broke(Breakage::Space { storage: storage.as_str().into() }))
                }
                Err(error) => Answer::Input(Input::Failed { reason: error.to_string() }),
            };
            if self.answers.send(answer).is_err() {
                return;
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<Answer, LiveError> {
        let input = match command {
            Command::Prepare => {
                self.prepare()?;
                Input::Prepared
            }
            Command::Page(PageCommand::Send { bytes, limit, opening }) => {
                self.send(bytes, limit, opening)?;
                Input::Page(PageInput::RoundSent)
            }
            Command::Page(PageCommand::Count { unsent }) => {
                Input::Page(PageInput::Counted { dirty: self.count()?.max(unsent) })
            }
            Command::Page(PageCommand::Pause) => {
                self.guest.pause();
                self.note_pause();
                self.agent.reached(Step::Paused);
                Input::Page(PageInput::Paused)
            }
            Command::Page(PageCommand::Resume) => {
                self.hand_over()?;
                Input::Ready
            }
            Command::Commit => {
                self.commit()?;
                Input::Page(PageInput::Resumed)
            }
            Command::Storage(command) => self.storage(command)?,
            Command::EndMirror => Input::MirrorEnded { written: self.end_mirrors() },
            Command::Finish => {
                self.link = None;
                if !disks::stays(&self.request) {
                    self.agent.let_go(&self.request.guest);
                }
                self.agent.collect(&self.request.guest);
                Input::Finished
            }
            Command::Abort => self.abort()?,
            // The driver's side has answered these, or they have no answer.
            Command::Loop(_) | Command::Page(PageCommand::Throttle { .. }) => {
                return Ok(Answer::Input(Input::Tick));
            }
        };
        Ok(Answer::Input(input))
    }

    fn prepare(&mut self) -> Result<(), LiveError> {
        if disks::stays(&self.request) {
            return disks::begin_copies(&self.agent, &self.request, &self.guest, &self.token);
        }
        let credentials = &self.agent.credentials;
        let mut control = Connection::control(&self.request.address, credentials)?;
        let receive = ReceiveRequest {
            token: self.token.clone(),
            spec: disks::wanted(&self.request, &self.guest, &self.token),
            moved: disks::moved(&self.request),
            source: self.agent.name().to_string(),
            source_address: self.agent.address.clone(),
            streams: self.request.sending.streams,
            hand_over: if self.may_follow() { HandOverAt::AnyTime } else { HandOverAt::TheEnd },
        };
        control.order(&Request::Receive(Box::new(receive)))?;
        let (address, sending) = (&*self.request.address, &self.request.sending);
        let route = Route { credentials, address, sending, token: &self.token };
        let all = Bitmap::all(self.guest.memory().pages());
        let streams = Streams::open(&route, &self.guest, all, &self.stop, &control)?;
        let tracker = Tracker::begin(self.agent.tracking, self.guest.memory())?;
        self.link =
            Some(Link { control, streams, tracker, barrier: 0, wanted: Bytes::ZERO, given: Pages::new(0) });
        self.connect_disks()?;
        self.connect_faults()?;
        self.agent.reached(Step::Connected);
        Ok(())
    }

    /// The control connection to the destination.
    pub(super) fn control(&mut self) -> Result<&mut Connection, LiveError> {
        Ok(&mut self.link()?.control)
    }

    /// Whether the guest may be handed over before all of its memory.
    pub(super) fn may_follow(&self) -> bool {
        self.request.policy.may_post_copy()
    }

    /// The streams of pages.
    pub(super) fn streams(&mut self) -> Result<&Streams, LiveError> {
        Ok(&self.link()?.streams)
    }

    /// The control connection and the streams of pages.
    pub(super) fn parts(&mut self) -> Result<(&mut Connection, &Streams), LiveError> {
        let link = self.link()?;
        Ok((&mut link.control, &link.streams))
    }

    fn link(&mut self) -> Result<&mut Link, LiveError> {
        let missing = || std::io::Error::other("there is no connection to the destination");
        self.link.as_mut().ok_or_else(|| LiveError::system("send memory")(missing()))
    }

    fn send(&mut self, bytes: Bytes, limit: Option<Bandwidth>, opening: Opening) -> Result<(), LiveError> {
        self.check_mirrors()?;
        let limit = [limit, self.request.sending.limit].into_iter().flatten().min();
        if opening == Opening::PostCopy {
            return self.send_rest(limit);
        }
        let link = self.link()?;
        if opening == Opening::Round {
            (link.wanted, link.given) = (Bytes::ZERO, Pages::new(0));
        }
        link.wanted += bytes;
        // Whole pages only: what is left of one is sent with the next slice.
        let pages = Pages::new(link.wanted.get() / PAGE as u64 - link.given.get());
        link.given = Pages::new(link.given.get() + pages.get());
        link.barrier += 1;
        link.streams.begin(pages, link.barrier, limit);
        link.control.order(&Request::Await { barrier: link.barrier })?;
        self.agent.reached(Step::RoundSent);
        Ok(())
    }

    fn count(&mut self) -> Result<Bytes, LiveError> {
        let guest = Arc::clone(&self.guest);
        let link = self.link()?;
        let tracker = &mut link.tracker;
        link.streams.pending(|pending| {
            tracker.scan(guest.memory(), pending)?;
            Ok(pending.bytes())
        })
    }

    /// Has the destination prepare: all memory is there.
    fn hand_over(&mut self) -> Result<(), LiveError> {
        let (state, digest) = (Box::new(self.guest.pause()), self.guest.digest());
        self.check_mirrors()?;
        self.await_disks()?;
        let missing = self.tell_missing()?;
        self.link()?.control.order(&Request::Prepare { state, digest, missing })?;
        self.agent.reached(Step::Ready);
        Ok(())
    }

    /// The decision is on disk: tells the destination, however long it takes to reach it.
    fn commit(&mut self) -> Result<(), LiveError> {
        let token = self.token.clone();
        let commit = Request::Settle { token: token.clone(), resolution: Resolution::Commit };
        if self.link()?.control.order(&commit).is_err() {
            decide::find_out(&self.agent, &self.request, &token)?;
        }
        if self.follows() {
            return Ok(());
        }
        lock(&self.agent.ledger).source_step(&token, SourceStep::DestinationRuns)?;
        self.agent.reached(Step::Released);
        Ok(())
    }

    /// Undoes: the guest goes on here, unless this host's disk says that it is the destination's. Says where it is, and
    /// what was sent that was not answered.
    fn abort(&mut self) -> Result<Input, LiveError> {
        let here = |sent| Input::Aborted { sent, whereabouts: Whereabouts::AtSource };
        if disks::stays(&self.request) {
            self.agent.collect(&self.request.guest);
            return Ok(here(self.partly_copied()));
        }
        if self.agent.has_released(&self.request.guest) {
            // It was lost in post-copy, and started anew at the destination.
            self.link = None;
            self.agent.let_go(&self.request.guest);
            self.agent.collect(&self.request.guest);
            return Ok(Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtDestination });
        }
        let noted = lock(&self.agent.ledger).source_step(&self.token, SourceStep::TakeBack);
        if let Err(error) = noted {
            // Undecided on disk says the same; what is decided must not be undone.
            if self.agent.is_given_away(&self.request.guest) {
                let guest = self.request.guest.clone();
                return Err(LiveError::InDoubt { guest, reason: error.to_string() });
            }
            tracing::error!(%error, "cannot note that the guest stays");
        }
        self.guest.throttle(0);
        self.guest.resume();
        let Some(mut link) = self.link.take() else {
            return Ok(here(Bytes::ZERO));
        };
        let renounce = Request::Settle { token: self.token.clone(), resolution: Resolution::Renounce };
        if let Err(error) = link.control.order(&renounce) {
            // It will be told when it asks, or by `live recover`.
            tracing::warn!(%error, token = %self.token, "the destination could not be told to give up");
        }
        let unanswered = self.sending.load(Ordering::SeqCst);
        Ok(here(if unanswered { link.streams.sent().bytes() } else { self.partly_copied() }))
    }
}

/// Whether a command ends a migration that was given up, or all that is left of one that was not.
fn is_undoing(command: Command) -> bool {
    matches!(command, Command::Abort | Command::EndMirror | Command::Finish)
}
