//! A host made of two formulas, to drive a page loop by hand: it sends at a fixed rate and dirties at
//! a fixed rate, up to a working set.

#![allow(clippy::unwrap_used)]

use algorithms::ids::MigrationId;
use algorithms::machine::Output;
use algorithms::page_loop::{PageCommand, PageInput, PageLoop, PagesMoved};
use algorithms::policy::Policy;
use algorithms::records::{Record, RoundPhase, RoundRecord};
use sim_core::{Bandwidth, ByteRate, Bytes, SimTime, Span};

/// The host and its guest.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    pub memory: Bytes,
    pub link: Bandwidth,
    pub dirty_rate: ByteRate,
    pub working_set: Bytes,
}

/// A page loop on its host, between two steps.
#[derive(Debug, Clone)]
pub struct Drive {
    pub host: Host,
    pub pages: PageLoop,
    pub now: SimTime,
    pub rounds: Vec<RoundRecord>,
    last_count: SimTime,
}

impl Drive {
    pub fn new(host: Host, policy: Policy) -> Drive {
        let mut pages = PageLoop::new(MigrationId(0), policy, host.memory);
        pages.handle(SimTime::ZERO, PageInput::Begin).unwrap();
        Drive { host, pages, now: SimTime::ZERO, rounds: Vec::new(), last_count: SimTime::ZERO }
    }

    /// Goes on until the loop is done.
    pub fn finish(&mut self) -> PagesMoved {
        // No policy under test goes on for longer; a loop that does has failed.
        for _ in 0..10_000 {
            if let Some(moved) = self.step() {
                return moved;
            }
        }
        panic!("the page loop does not end: {:?}", self.pages);
    }

    /// Drains the loop's outputs and answers its command.
    pub fn step(&mut self) -> Option<PagesMoved> {
        let mut answer = None;
        loop {
            match self.pages.poll() {
                Output::Command(command) => answer = Some(self.carry_out(command)),
                Output::Record(Record::Round(round)) => self.rounds.push(round),
                Output::Record(other) => panic!("a page loop records rounds only: {other:?}"),
                Output::Done(moved) => return Some(moved),
                Output::Wait(_) => break,
            }
        }
        self.pages.handle(self.now, answer.expect("a loop that waits has asked for something")).unwrap();
        None
    }

    pub fn pre_copy_rounds(&self) -> usize {
        self.rounds.iter().filter(|round| round.phase == RoundPhase::PreCopy).count()
    }

    fn carry_out(&mut self, command: PageCommand) -> PageInput {
        match command {
            PageCommand::Send { bytes, limit, .. } => {
                let rate = limit.map_or(self.host.link, |limit| limit.min(self.host.link));
                self.now += rate.time_for(bytes);
                PageInput::RoundSent
            }
            PageCommand::Count { unsent } => {
                let span = self.now - self.last_count;
                self.last_count = self.now;
                let dirtied = self.host.dirty_rate.as_f64() * span.as_secs_f64();
                let dirty = unsent + Bytes::from_f64_floor(dirtied);
                PageInput::Counted { dirty: dirty.min(self.host.working_set.max(unsent)) }
            }
            PageCommand::Throttle { .. } => panic!("no policy under test throttles this guest"),
            PageCommand::Pause => PageInput::Paused,
            PageCommand::Resume => {
                self.now += Span::from_millis(5);
                PageInput::Resumed
            }
        }
    }
}
