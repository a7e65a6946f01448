//! What will become of a migration that is under way: its very state machine, carried on into many
//! simulated futures.
//!
//! ```text
//!  happenings ──▶ Situation ─┬─ controller, as it stands ─┐
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

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::hypervisor_loop::{LoopCommand, LoopInput, PostCopy};
use algorithms::machine::{Output, Refused};
use algorithms::policy::{Policy, StopReason};
use algorithms::records::{MigrationRecord, Outcome, Record};
use serde::Serialize;
use sim_core::{Quantiles, SimTime, Streams, replicate};

pub use evidence::Evidence;
pub use lever::Lever;
use watched::Watched;

/// What a controller was told or wanted, in order: a journal's lines.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// It was told this at this time.
    Told(SimTime, Input),
    /// It wanted this done.
    Wanted(Command),
}

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
    /// The happenings are not those of such a migration.
    #[error("line {line}: {why}")]
    NotReplayed {
        /// Which happening, from 1.
        line: usize,
        /// What the controller said.
        why: Refused,
    },
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
    /// The migration of `order` after everything that had happened up to `at`.
    ///
    /// # Errors
    ///
    /// [`ForecastError::NotReplayed`] where the controller refuses what it is said to have been told.
    pub fn of(
        order: MigrationOrder,
        happenings: &[Happening],
        at: SimTime,
    ) -> Result<Situation, ForecastError> {
        Situation::after(MigrationController::new(order), None, happenings, at)
    }

    /// The same, of a migration whose page loop is the hypervisor's own, which was to go over to post-copy
    /// `post_copy`. What it does next follows from the order's rules, which must be QEMU's.
    ///
    /// # Errors
    ///
    /// As [`Situation::of`], and [`ForecastError::NotOurLoop`] for other rules than QEMU's.
    pub fn of_hypervisor(
        order: MigrationOrder,
        post_copy: PostCopy,
        happenings: &[Happening],
        at: SimTime,
    ) -> Result<Situation, ForecastError> {
        let watched = Watched::new(&order.policy, order.memory).ok_or(ForecastError::NotOurLoop)?;
        let controller = MigrationController::of_hypervisor(order, post_copy);
        Situation::after(controller, Some(watched), happenings, at)
    }

    fn after(
        controller: MigrationController,
        watched: Option<Watched>,
        happenings: &[Happening],
        at: SimTime,
    ) -> Result<Situation, ForecastError> {
        let (now, evidence) = (SimTime::ZERO, Evidence::default());
        let mut situation = Situation { controller, now, asked: None, evidence, watched, ended: None };
        for (happening, line) in happenings.iter().zip(1..) {
            match happening {
                Happening::Told(time, _) if *time > at => break,
                Happening::Told(time, input) => {
                    let refused = |why| ForecastError::NotReplayed { line, why };
                    situation.told(*time, input.clone()).map_err(refused)?;
                }
                // The controller says the same by itself.
                Happening::Wanted(_) => {}
            }
        }
        if at < SimTime::MAX {
            situation.now = situation.now.max(at);
        }
        Ok(situation)
    }

    fn told(&mut self, time: SimTime, input: Input) -> Result<(), Refused> {
        if let Some((command, since)) = &self.asked {
            self.evidence.answered(command, &input, *since, time);
        }
        let answered = !matches!(input, Input::Tick | Input::Cancel { .. });
        let pass = match &input {
            Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent }) => {
                Some((*sent, *dirty, *throttle_percent))
            }
            _ => None,
        };
        self.controller.handle(time, input)?;
        self.now = time;
        if let (Some(watched), Some(pass)) = (&mut self.watched, pass) {
            watched.pass(time, pass, &mut self.evidence);
        }
        if answered {
            self.asked = None;
        }
        loop {
            match self.controller.poll() {
                Output::Command(command) => {
                    self.evidence.asked(&command);
                    if let (Some(watched), Command::Loop(LoopCommand::Start)) = (&mut self.watched, command) {
                        watched.begin(time);
                    }
                    if future::is_answered(&command) {
                        self.asked = Some((command, time));
                    }
                }
                Output::Record(_) => {}
                Output::Wait(_) => return Ok(()),
                Output::Done(outcome) => {
                    self.ended = Some(outcome);
                    return Ok(());
                }
            }
        }
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
        let lines = levers.into_iter().map(|lever| self.odds(lever, seed, futures.max(1))).collect();
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
    fn odds(&self, lever: Lever, seed: u64, futures: u32) -> Odds {
        let one = |number| future::run(self, &lever, &self.evidence.draw(Streams::new(seed, number)));
        let ends = replicate(futures, one, |_| ());
        let completed: Vec<&MigrationRecord> =
            ends.iter().flatten().filter(|record| record.outcome == Outcome::Completed).collect();
        let by_itself = StopReason::Converged.to_string();
        let converged = completed.iter().filter(|record| record.reason == by_itself).count();
        let share = |count: usize| count as f64 / f64::from(futures);
        let end = |record: &&MigrationRecord| {
            record.started.map_or(0.0, SimTime::as_secs_f64) + record.total.as_secs_f64()
        };
        Odds {
            completes: share(completed.len()),
            converges: share(converged),
            finish_s: band(completed.iter().map(end)),
            blackout_s: band(completed.iter().map(|record| record.blackout.as_secs_f64())),
            lever,
        }
    }
}

fn band(values: impl Iterator<Item = f64>) -> Option<Band> {
    Quantiles::of(values).map(|all| Band { p50: all.p50, p95: all.p95 })
}

/// The migration's own record among what it left.
fn record_of(record: Record) -> Option<MigrationRecord> {
    match record {
        Record::Migration(migration) => Some(migration),
        _ => None,
    }
}
