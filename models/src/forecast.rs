//! What will become of a migration that is under way: its very state machine, carried on into many
//! simulated futures.
//!
//! ```text
//!  journal ─────▶ Situation ─┬─ controller, as it stands ─┐
//!                            └─ Evidence: rate, dirtying ─┴─▶ N futures ──▶ odds, for every lever
//! ```
//!
//! The network goes on as fast, and the guest dirties as much, as was seen so far, give or take as much as
//! that varied. What was never seen (pausing, resuming, cleaning up) is taken to last no time, so that
//! blackouts are those of sending memory; the hypervisor's own steps come on top.
//!
//! Where the page loop is QEMU's own, its counts say how far it has come (`watched.rs`), and our page loop goes on
//! from there by QEMU's rules.

mod evidence;
mod future;
mod lever;
mod watched;

use std::convert::Infallible;

use algorithms::controller::{Command, Input, LoopOwner, MigrationController, MigrationOrder};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput};
use algorithms::journal::{Entry, EntryOf};
use algorithms::machine::{Host, Refused, Settled, settle};
use algorithms::policy::{Policy, StopReason};
use algorithms::records::{MigrationRecord, Outcome, Record};
use serde::Serialize;
use sim_core::{Quantiles, SimTime, Streams, replicate};

pub use evidence::Evidence;
pub use lever::Lever;
use watched::Watched;

/// A migration at a moment.
#[derive(Debug, Clone)]
pub struct Situation {
    controller: MigrationController,
    now: SimTime,
    /// What it waits for, and since when.
    asked: Option<(Command, SimTime)>,
    evidence: Evidence,
    /// Where the page loop is a hypervisor's own.
    watched: Option<Watched>,
    ended: Option<Outcome>,
}

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// The journal is not that of such a migration.
    #[error("entry {entry} of the journal: {why}")]
    NotReplayed {
        /// Which, from 1; the order is the first.
        entry: usize,
        /// What the controller said.
        why: Refused,
    },
    /// The controller refused what a simulated host said: a fault of this program.
    #[error("a simulated future went wrong: {0}; please report this with the journal")]
    Refused(Refused),
    /// It is over.
    #[error("the migration had ended by then: nothing is left to forecast; ask for an earlier time by --at")]
    Ended,
    /// There is nothing to go by.
    #[error("no memory had been sent by then, so its rate is not known; ask for a later time by --at")]
    NothingSent,
    /// Its pages are a hypervisor's business, whose rules are not known.
    #[error(
        "its page loop is the hypervisor's own, and by other rules than QEMU's: simulate its scenario instead"
    )]
    NotOurLoop,
    /// A hypervisor's own loop tells of itself when a pass ends, and none has.
    #[error("no pass had ended by then, so nothing was known of the guest; ask for a later time by --at")]
    NoPass,
    /// The hypervisor was about to hand over.
    #[error("the guest stood still then: it is as good as handed over; ask for an earlier time by --at")]
    StoodStill,
    /// Disks are still being copied.
    #[error("disks were being copied then, of which no forecast is made; ask for a later time by --at")]
    Disks,
}

/// A forecast: the odds as things stand, and with each lever pulled now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The version of this JSON.
    pub schema: u32,
    /// The guest.
    pub vm: String,
    /// The moment, in seconds since the migration began.
    pub at_s: f64,
    /// Futures that were simulated for each line.
    pub futures: u32,
    /// What was seen by then.
    pub evidence: Evidence,
    /// One line for each lever; the first is to leave it alone.
    pub lines: Vec<Odds>,
}

/// What became of it in all futures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Odds {
    /// What is done now.
    pub lever: Lever,
    /// The share in which the guest ends at the destination, from 0 to 1: what has not after ten times as
    /// long as it has gone on does not count.
    pub completes: f64,
    /// The share in which pre-copy converges by itself.
    pub converges: f64,
    /// When it ends, in seconds since the migration began, where it completes.
    pub finish_s: Option<Band>,
    /// The blackout in seconds, where it completes.
    pub blackout_s: Option<Band>,
}

/// Median and 95th percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    /// Half of the futures stay below.
    pub p50: f64,
    /// 95 in 100 stay below.
    pub p95: f64,
}

impl Situation {
    /// The migration of `order` after everything that its journal's `entries` say of the time up to `at`. What the
    /// controller wanted it says again by itself.
    ///
    /// # Errors
    ///
    /// [`ForecastError::NotReplayed`] where the controller refuses what it took in then;
    /// [`ForecastError::NotOurLoop`] where the page loop is the hypervisor's, by other rules than QEMU's.
    pub fn of(
        order: MigrationOrder,
        entries: &[EntryOf<MigrationController>],
        at: SimTime,
    ) -> Result<Situation, ForecastError> {
        let watched = match order.page_loop {
            LoopOwner::Own => None,
            LoopOwner::Hypervisor => {
                Some(Watched::new(&order.policy, order.memory).ok_or(ForecastError::NotOurLoop)?)
            }
        };
        let (controller, now) = (MigrationController::new(order), SimTime::ZERO);
        let evidence = Evidence::default();
        let mut situation = Situation { controller, now, asked: None, evidence, watched, ended: None };
        for (place, entry) in entries.iter().enumerate() {
            let Entry::Told(time, input) = entry else { continue };
            if *time > at {
                break;
            }
            let refused = situation.told(*time, input);
            let was_refused = matches!(entries.get(place + 1), Some(Entry::Refused(_)));
            if let Some(why) = refused.filter(|_| !was_refused) {
                return Err(ForecastError::NotReplayed { entry: place + 2, why });
            }
        }
        if at < SimTime::MAX {
            situation.now = situation.now.max(at);
        }
        Ok(situation)
    }

    /// Tells the controller, and learns from what that comes to; why it was refused, if it was.
    fn told(&mut self, time: SimTime, input: &Input) -> Option<Refused> {
        let mut look = Look::default();
        let Ok(settled) = settle(&mut self.controller, time, input.clone(), &mut look);
        if look.refused.is_some() {
            return look.refused;
        }
        self.now = time;
        if let Some((command, since)) = &self.asked {
            self.evidence.answered(command, input, *since, time);
        }
        if let (Some(watched), Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent })) =
            (&mut self.watched, input)
        {
            watched.pass(time, (*sent, *dirty, *throttle_percent), &mut self.evidence);
        }
        if !matches!(input, Input::Tick | Input::Cancel { .. }) {
            self.asked = None;
        }
        for command in look.commands {
            self.evidence.asked(&command);
            if let (Some(watched), Command::Loop(LoopCommand::Start)) = (&mut self.watched, command) {
                watched.begin(time);
            }
            if future::is_answered(&command) {
                self.asked = Some((command, time));
            }
        }
        if let Settled::Done(outcome) = settled {
            self.ended = Some(outcome);
        }
        None
    }

    /// Simulates `futures` futures for each lever that the migration has.
    ///
    /// # Errors
    ///
    /// [`ForecastError`] where there is nothing to forecast, or nothing to go by.
    pub fn forecast(&self, seed: u64, futures: u32) -> Result<Forecast, ForecastError> {
        if self.ended.is_some() {
            return Err(ForecastError::Ended);
        }
        if matches!(self.asked, Some((Command::Storage(_), _))) {
            return Err(ForecastError::Disks);
        }
        if self.watched.as_ref().is_some_and(|watched| !watched.is_known()) {
            return Err(ForecastError::NoPass);
        }
        if !self.evidence.is_enough() {
            return Err(ForecastError::NothingSent);
        }
        if self.watched.is_some() && self.stand_in(&self.controller.order().policy).is_err() {
            return Err(ForecastError::StoodStill);
        }
        let levers = match self.watched {
            Some(_) => lever::of_hypervisor(self.controller.order()),
            None => lever::levers(self.controller.order()),
        };
        let lines = levers.into_iter().map(|lever| self.odds(lever, seed, futures.max(1)));
        let lines = lines.collect::<Result<Vec<Odds>, ForecastError>>()?;
        Ok(Forecast {
            schema: 1,
            vm: self.controller.order().vm.to_string(),
            at_s: self.now.as_secs_f64(),
            futures: futures.max(1),
            evidence: self.evidence.clone(),
            lines,
        })
    }

    /// What was seen so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The controller that is carried on by `policy`: this one's own, or one in its hypervisor's place.
    fn stand_in(&self, policy: &Policy) -> Result<MigrationController, Refused> {
        let Some(watched) = &self.watched else { return Ok(self.controller.clone()) };
        let so_far = watched.under_way(self.now, self.evidence.bytes_per_s);
        self.controller.stand_in(policy.clone(), &so_far, self.now)
    }

    /// The odds with `lever` pulled now. Every lever meets the same luck.
    fn odds(&self, lever: Lever, seed: u64, futures: u32) -> Result<Odds, ForecastError> {
        let one = |number| future::run(self, &lever, &self.evidence.draw(Streams::new(seed, number)));
        let ends = replicate(futures, one, |_| ());
        let ends = ends.into_iter().collect::<Result<Vec<Option<MigrationRecord>>, Refused>>();
        let ends = ends.map_err(ForecastError::Refused)?;
        let completed: Vec<&MigrationRecord> =
            ends.iter().flatten().filter(|record| record.outcome == Outcome::Completed).collect();
        let converged = completed.iter().filter(|record| record.stop == Some(StopReason::Converged)).count();
        let share = |count: usize| count as f64 / f64::from(futures);
        let end = |record: &&MigrationRecord| {
            record.started.map_or(0.0, SimTime::as_secs_f64) + record.total.as_secs_f64()
        };
        Ok(Odds {
            completes: share(completed.len()),
            converges: share(converged),
            finish_s: band(completed.iter().map(end)),
            blackout_s: band(completed.iter().map(|record| record.blackout.as_secs_f64())),
            lever,
        })
    }
}

/// A host that only notes what is wanted, and what was refused.
#[derive(Default)]
struct Look {
    commands: Vec<Command>,
    refused: Option<Refused>,
}

impl Host<MigrationController> for Look {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        self.commands.push(command);
        Ok(None)
    }

    fn record(&mut self, _: Record) {}

    fn refused(&mut self, _: SimTime, refused: Refused) {
        self.refused = Some(refused);
    }
}

fn band(values: impl Iterator<Item = f64>) -> Option<Band> {
    Quantiles::of(values).map(|all| Band { p50: all.p50, p95: all.p95 })
}
