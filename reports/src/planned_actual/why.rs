//! Why a migration took longer, or less long, than planned.
//!
//! A completed migration is taken apart into the time in which its rounds sent memory and the rest, its
//! *overheads*. The rounds are then told again with one thing exchanged at a time:
//!
//! ```text
//!   planned guest, planned network ──▶ planned guest, actual network ──▶ actual guest, actual network
//!                                 bandwidth                        dirty rate
//! ```
//!
//! A network is its mean rate over the migration; a guest is what it had dirtied by the end of each of
//! its rounds, straight between these points. The retelling is not the run: rates change while a
//! migration goes on, and rounds end for other reasons than the plan's. What it leaves unexplained is
//! said so, as *rest*; all five add up to the difference. Waiting in the queue comes before, and counts apart.

use algorithms::records::{MigrationRecord, RoundPhase, RoundRecord};
use serde::Serialize;

/// The difference of a migration, actual − planned, in seconds, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Why {
    /// The difference of the total times: the sum of the next four.
    pub total_s: f64,
    /// Since the network was slower or faster, all that was dirtied meanwhile included.
    pub bandwidth_s: f64,
    /// Since the guest dirtied more or less.
    pub dirty_rate_s: f64,
    /// Preparing, pausing, resuming, finishing, copying disks: all that is no round.
    pub overheads_s: f64,
    /// Not explained by these.
    pub rest_s: f64,
    /// Before it: the difference of the times in the queue.
    pub queueing_s: f64,
}

/// A completed migration and its rounds in order.
#[derive(Debug, Clone)]
pub(crate) struct Timing<'a> {
    pub record: &'a MigrationRecord,
    pub rounds: Vec<&'a RoundRecord>,
}

/// The causes; `None` where a side sent nothing in rounds.
pub(crate) fn why(planned: &Timing, actual: &Timing) -> Option<Why> {
    let (plan, happened) = (Retold::of(planned)?, Retold::of(actual)?);
    let most_rounds = planned.rounds.len().max(actual.rounds.len());
    let as_planned = plan.seconds(plan.rate, most_rounds);
    let other_network = plan.seconds(happened.rate, most_rounds);
    let as_it_was = happened.seconds(happened.rate, most_rounds);
    let total = |timing: &Timing| timing.record.total.as_secs_f64();
    let total_s = total(actual) - total(planned);
    let (bandwidth_s, dirty_rate_s) = (other_network - as_planned, as_it_was - other_network);
    let overheads_s = happened.overheads - plan.overheads;
    let rest_s = total_s - bandwidth_s - dirty_rate_s - overheads_s;
    let queueing_s = queued(actual) - queued(planned);
    Some(Why { total_s, bandwidth_s, dirty_rate_s, overheads_s, rest_s, queueing_s })
}

fn queued(timing: &Timing) -> f64 {
    let MigrationRecord { queued, started, .. } = *timing.record;
    started.map_or(0.0, |started| started.as_secs_f64() - queued.as_secs_f64())
}

/// A migration as guest and network.
struct Retold {
    /// Sent in the first round.
    first: f64,
    /// Once so little was left, it stopped.
    last: f64,
    /// Seconds since a count and the bytes dirtied by then, both growing.
    dirtied: Vec<(f64, f64)>,
    /// Mean bytes a second.
    rate: f64,
    /// Seconds outside of rounds.
    overheads: f64,
}

impl Retold {
    fn of(timing: &Timing) -> Option<Retold> {
        let rounds = &timing.rounds;
        let seconds: f64 = rounds.iter().map(|round| round.duration.as_secs_f64()).sum();
        let bytes: f64 = rounds.iter().map(|round| round.bytes_sent.as_f64()).sum();
        if seconds <= 0.0 || bytes <= 0.0 {
            return None;
        }
        let running = rounds.iter().filter(|round| round.phase != RoundPhase::StopAndCopy);
        let mut dirtied: Vec<(f64, f64)> =
            running.map(|round| (round.duration.as_secs_f64(), round.dirty_bytes_left.as_f64())).collect();
        dirtied.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut most = 0.0f64;
        for point in &mut dirtied {
            most = most.max(point.1);
            point.1 = most;
        }
        let (first, last) = (rounds.first()?.bytes_sent.as_f64(), rounds.last()?.bytes_sent.as_f64());
        let overheads = timing.record.total.as_secs_f64() - seconds;
        Some(Retold { first, last, dirtied, rate: bytes / seconds, overheads })
    }

    /// The seconds that all rounds take over a network of `rate`.
    fn seconds(&self, rate: f64, most_rounds: usize) -> f64 {
        let (mut left, mut seconds) = (self.first, 0.0);
        for round in 1..=most_rounds {
            let took = left / rate;
            seconds += took;
            // A hair above the last: where nothing was exchanged, rounding must not add a round.
            if round > 1 && left <= self.last * 1.001 {
                break;
            }
            left = self.dirtied_after(took);
        }
        seconds
    }

    /// Dirty bytes after `seconds`: straight between the points, and on at the last one's mean rate.
    fn dirtied_after(&self, seconds: f64) -> f64 {
        let mut before = (0.0, 0.0);
        for &here in &self.dirtied {
            if seconds < here.0 {
                return before.1 + (seconds - before.0) / (here.0 - before.0) * (here.1 - before.1);
            }
            before = here;
        }
        let beyond = if before.0 > 0.0 { before.1 / before.0 * seconds } else { before.1 };
        beyond.min(self.first)
    }
}
