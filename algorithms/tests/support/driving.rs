//! A host made of two formulas, to drive a page loop by hand: it sends at a fixed rate and dirties at
//! a fixed rate, up to a working set.

use std::convert::Infallible;

use algorithms::ids::MigrationId;
use algorithms::machine::{Host, Settled, settle};
use algorithms::page_loop::{PageCommand, PageInput, PageLoop, PagesMoved};
use algorithms::policy::Policy;
use algorithms::records::{Record, RoundPhase, RoundRecord};
use sim_core::{Bandwidth, ByteRate, Bytes, SimTime, Span};

/// The host and its guest.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub memory: Bytes,
    pub link: Bandwidth,
    pub dirty_rate: ByteRate,
    pub working_set: Bytes,
}

/// A page loop on its host, between two steps.
#[derive(Debug, Clone)]
pub struct Drive {
    pub pages: PageLoop,
    pub host: Rates,
    pub now: SimTime,
    pub rounds: Vec<RoundRecord>,
    last_count: SimTime,
    /// What the loop is told next.
    answer: Option<PageInput>,
}

impl Drive {
    pub fn new(host: Rates, policy: Policy) -> Drive {
        let pages = PageLoop::new(MigrationId(0), policy, host.memory);
        let (now, last_count, answer) = (SimTime::ZERO, SimTime::ZERO, Some(PageInput::Begin));
        let mut drive = Drive { pages, host, now, rounds: Vec::new(), last_count, answer };
        assert_eq!(drive.step(), None);
        drive
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

    /// Tells the loop the answer to its command, and carries out the next.
    pub fn step(&mut self) -> Option<PagesMoved> {
        let answer = self.answer.take().expect("a loop that waits has asked for something");
        let (now, mut pages) = (self.now, self.pages.clone());
        let Ok(settled) = settle(&mut pages, now, answer, self);
        self.pages = pages;
        match settled {
            Settled::Done(moved) => Some(moved),
            Settled::Wait(_) => None,
        }
    }

    pub fn pre_copy_rounds(&self) -> usize {
        self.rounds.iter().filter(|round| round.phase == RoundPhase::PreCopy).count()
    }
}

impl Host<PageLoop> for Drive {
    type Error = Infallible;

    /// Answers when the time for it has come, which is the next step.
    fn carry_out(&mut self, _: SimTime, command: PageCommand) -> Result<Option<PageInput>, Infallible> {
        self.answer = Some(match command {
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
        });
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Round(round) => self.rounds.push(round),
            other => panic!("a page loop records rounds only: {other:?}"),
        }
    }
}
