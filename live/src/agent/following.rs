//! Memory that follows its guest: post-copy, at the destination.
//!
//! ```text
//!  told what is missing ─▶ begun: those pages are gone ─▶ running ─▶ all there
//!                                                          │   ▲
//!                               the source is gone: waits  ▼   │ it is there again
//!                                                          broken
//! ```
//!
//! Pages come by two ways: pushed over the page streams, and over a connection of its own those that the guest
//! waits for. The first that comes of a page counts. What a page must be is part of the digest that the source gave
//! when it handed the guest over, so that in the end it is known whether every one came whole.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::clock::span;
use crate::connection::{Connection, HEARTBEAT, SILENCE, is_silence};
use crate::error::LiveError;
use crate::guest::{Guest, Table};
use crate::ledger::declined;
use crate::memory::{Memory, PAGE};
use crate::protocol::missing::{MOST_WANTED, ask, end, hear, tell};
use crate::protocol::pages::{Arrived, Decoder};
use crate::protocol::{Followed, ProtocolError, Reply};
use crate::stamp::{self, Found};
use crate::sync::lock;
use crate::tracking::missing::Missing;

/// Between two looks at whether all is there.
const LOOK: Duration = Duration::from_millis(20);

/// What is known of the memory that is still to come.
#[derive(Debug)]
pub(super) struct Following {
    memory: Arc<Memory>,
    table: Arc<Table>,
    state: Mutex<State>,
    changed: Condvar,
    /// The last connection that came, or the end: only that may still have the guest stand still or run. One that
    /// broke is noticed late, perhaps when the next has brought all that was missing. Taken before `state`.
    turn: Mutex<u64>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    missing: Bitmap,
    ground: Option<Arc<Missing>>,
    /// Of the pages that are here.
    digest: u64,
    expected: u64,
    /// Whether a connection asks for pages.
    served: bool,
    faults: u64,
    waited: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// All memory comes before the guest, as far as is known.
    Untold,
    /// It is known what will be missing.
    Told,
    /// Missing pages are gone, and wait to be put in.
    Begun,
    /// The guest runs.
    Running,
    /// It is over, well or badly.
    Ended,
}

impl Following {
    pub(super) fn new(memory: &Arc<Memory>, table: &Arc<Table>) -> Following {
        let state = State {
            stage: Stage::Untold,
            missing: Bitmap::none(memory.pages()),
            ground: None,
            digest: 0,
            expected: 0,
            served: false,
            faults: 0,
            waited: Duration::ZERO,
        };
        let (memory, table) = (Arc::clone(memory), Arc::clone(table));
        let (state, changed, turn) = (Mutex::new(state), Condvar::new(), Mutex::default());
        Following { memory, table, state, changed, turn }
    }

    /// Whether the guest runs, or is about to, or ran, before all of its memory is here.
    pub(super) fn is_early(&self) -> bool {
        matches!(lock(&self.state).stage, Stage::Begun | Stage::Running | Stage::Ended)
    }

    /// Whether the guest runs, and not all of its memory is here.
    pub(super) fn runs(&self) -> bool {
        self.stage() == Stage::Running
    }

    fn stage(&self) -> Stage {
        lock(&self.state).stage
    }

    fn enter(&self, stage: Stage) {
        lock(&self.state).stage = stage;
        self.changed.notify_all();
    }

    /// Waits until `reached`, no longer than `patience`; whether it came to that.
    fn wait(&self, patience: Duration, reached: impl Fn(&State) -> bool) -> bool {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, patience, |state| !reached(state));
        reached(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// All that comes before the guest is here; `missing` pages follow it.
    pub(super) fn begin(&self, missing: u64, expected: u64) -> Result<(), LiveError> {
        if !self.wait(SILENCE, |state| state.stage == Stage::Told) {
            return Err(declined("it was not told which pages are missing".into()));
        }
        let mut state = lock(&self.state);
        if state.missing.len() as u64 != missing {
            return Err(declined(format!(
                "{missing} pages are missing, and {} were told",
                state.missing.len()
            )));
        }
        state.ground = Some(Arc::new(Missing::begin(Arc::clone(&self.memory), &state.missing)?));
        state.digest = self.table.digest_without(&state.missing);
        (state.expected, state.stage) = (expected, Stage::Begun);
        Ok(())
    }

    /// The guest is about to run.
    pub(super) fn start(&self) {
        self.enter(Stage::Running);
    }

    /// From now on nobody who came before has a say; `guest` runs.
    fn take_turn(&self, guest: Option<&Guest>) -> u64 {
        let mut turn = lock(&self.turn);
        *turn += 1;
        guest.into_iter().for_each(Guest::resume);
        *turn
    }

    /// The connection of this turn begins to ask for pages.
    fn begin_to_serve(&self, mine: u64) {
        let turn = lock(&self.turn);
        if *turn == mine {
            lock(&self.state).served = true;
        }
    }

    /// The connection of this turn has come to its end. Without one, a guest stands still that lacks something.
    fn end_to_serve(&self, mine: u64, guest: Option<&Guest>) {
        let turn = lock(&self.turn);
        if *turn == mine {
            let mut state = lock(&self.state);
            state.served = false;
            let lacks = state.missing.len() > 0;
            drop(state);
            guest.into_iter().filter(|_| lacks).for_each(Guest::halt);
        }
        self.changed.notify_all();
    }

    /// All is here: `guest` runs, whatever is noticed late, and nobody waits for pages any more.
    pub(super) fn complete(&self, guest: Option<&Guest>) {
        self.take_turn(guest);
        self.end();
    }

    /// It is over: nobody waits for pages any more.
    pub(super) fn end(&self) {
        lock(&self.state).ground = None;
        self.enter(Stage::Ended);
    }

    /// Puts a page in place that came from the source, where none came before; `None` is one of zeros.
    pub(super) fn arrive(&self, page: usize, content: Option<&[u8]>) -> Result<(), LiveError> {
        let mut state = lock(&self.state);
        let Some(ground) = state.ground.clone().filter(|_| state.missing.contains(page)) else {
            return Ok(());
        };
        let found = content.map_or(Found::Zero, |bytes| stamp::read_bytes(bytes, page as u64));
        // Known before it is there: the guest looks at it at once.
        let value = self.table.note(page, found);
        state.digest = state.digest.wrapping_add(stamp::fingerprint(page as u64, value));
        match content {
            Some(bytes) => ground.fill(page, bytes)?,
            None => ground.fill_zero(page)?,
        }
        state.missing.remove(page);
        if state.missing.len() == 0 {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Asks for what the guest waits for over `connection`, until all is here. Where the connection
    /// breaks, the guest stands still.
    pub(super) fn serve(
        &self,
        mut connection: Connection,
        guest: impl Fn() -> Option<Arc<Guest>>,
        attended: impl Fn() -> bool,
    ) -> Result<(), LiveError> {
        let peer = connection.peer.clone();
        let turn = if self.stage() == Stage::Untold {
            let turn = self.take_turn(None);
            let missing = loop {
                match hear(&mut connection, &peer, self.memory.pages()) {
                    Ok(missing) => break missing,
                    // Nothing is told while memory is copied.
                    Err(ProtocolError::Lost { source, .. }) if is_silence(&source) && attended() => {}
                    // A migration that converges tells nothing, and closes the connection.
                    Err(_) => return Ok(()),
                }
            };
            lock(&self.state).missing = missing;
            self.enter(Stage::Told);
            while !self.wait(HEARTBEAT, |state| state.stage >= Stage::Running) {}
            turn
        } else {
            let missing = lock(&self.state).missing.clone();
            tell(&mut connection, &peer, &missing)?;
            self.take_turn(guest().as_deref())
        };
        self.begin_to_serve(turn);
        let result = self.ask_until_all_is_here(&mut connection, attended);
        if let Err(error) = &result {
            tracing::warn!(%error, "the source of missing memory is gone");
        }
        self.end_to_serve(turn, guest().as_deref());
        result
    }

    fn ask_until_all_is_here(
        &self,
        connection: &mut Connection,
        attended: impl Fn() -> bool,
    ) -> Result<(), LiveError> {
        let (peer, mut decoder) = (connection.peer.clone(), Decoder::default());
        loop {
            let ground = {
                let state = lock(&self.state);
                state.ground.clone().filter(|_| state.missing.len() > 0)
            };
            let Some(ground) = ground else {
                // The source may be gone already: it has nothing more to do.
                let _ = end(connection, &peer);
                return Ok(());
            };
            if !attended() {
                return Err(declined("its control connection is lost".into()));
            }
            let wanted = self.wanted(&ground, &ground.faults(LOOK)?)?;
            for wanted in wanted.chunks(MOST_WANTED) {
                let began = Instant::now();
                ask(connection, &peer, wanted)?;
                let mut came = 0;
                while came < wanted.len() {
                    came += self.take_answer(&mut decoder, connection, &peer)?;
                }
                let mut state = lock(&self.state);
                state.faults += wanted.len() as u64;
                state.waited += began.elapsed();
            }
        }
    }

    /// Of the pages that somebody waits for, those that are missing; the others are let go on.
    fn wanted(&self, ground: &Missing, faults: &[usize]) -> Result<Vec<u32>, LiveError> {
        let state = lock(&self.state);
        let mut wanted = Vec::new();
        for page in faults {
            if !state.missing.contains(*page) {
                ground.fill_zero(*page)?;
            } else if !wanted.contains(&(*page as u32)) {
                wanted.push(*page as u32);
            }
        }
        Ok(wanted)
    }

    /// Takes one frame of what was asked for; the pages in it.
    fn take_answer(
        &self,
        decoder: &mut Decoder,
        connection: &mut Connection,
        peer: &str,
    ) -> Result<usize, LiveError> {
        match decoder.read(connection, peer)? {
            Arrived::Pages { numbers, contents } => {
                for (number, content) in numbers.iter().zip(contents.chunks_exact(PAGE)) {
                    self.arrive(*number as usize, Some(content))?;
                }
                Ok(numbers.len().max(1))
            }
            Arrived::Zeros { numbers } => {
                numbers.iter().try_for_each(|number| self.arrive(*number as usize, None))?;
                Ok(numbers.len().max(1))
            }
            Arrived::Announced { .. } | Arrived::Barrier(_) => {
                Err(declined("the source does not send what was asked for".into()))
            }
        }
    }

    /// Waits until all is here, with heartbeats to `source`; what the guest went through until then.
    pub(super) fn wait_all(&self, source: &mut Connection) -> Result<Followed, LiveError> {
        let here = |state: &State| state.missing.len() == 0 && !state.served;
        while !self.wait(HEARTBEAT, |state| here(state) || state.stage == Stage::Ended) {
            source.send(&Reply::Heartbeat)?;
        }
        let state = lock(&self.state);
        if state.digest != state.expected || !here(&state) {
            return Err(declined("the memory that followed did not arrive as it was".into()));
        }
        Ok(Followed { faults: state.faults, waited: span(state.waited) })
    }
}

#[cfg(test)]
mod tests {
    use models::workload::Workload;
    use sim_core::{Bytes, Pages};

    use super::*;
    use crate::guest::GuestSpec;
    use crate::protocol::Activity;

    #[test]
    fn a_connection_that_is_late_noticed_to_be_gone_stops_nobody() {
        let guest = Guest::boot(GuestSpec::new("web", Bytes::from_mib(1), Workload::Idle)).expect("a guest");
        let memory = Arc::new(Memory::new(Pages::new(4)).expect("memory"));
        let following = Following::new(&memory, &Arc::new(Table::new(4)));
        lock(&following.state).missing.insert(1, 3);
        let first = following.take_turn(None);
        following.begin_to_serve(first);
        let second = following.take_turn(Some(&guest));
        following.begin_to_serve(second);
        following.end_to_serve(first, Some(&guest));
        assert_eq!((guest.activity(), lock(&following.state).served), (Activity::Running, true));
        following.end_to_serve(second, Some(&guest));
        assert_eq!((guest.activity(), lock(&following.state).served), (Activity::Paused, false));
        following.complete(Some(&guest));
        following.end_to_serve(second, Some(&guest));
        assert_eq!(guest.activity(), Activity::Running);
    }
}
