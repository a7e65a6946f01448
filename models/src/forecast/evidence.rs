//! What a migration has shown so far: how fast its memory is sent, and how its guest dirties it.

use algorithms::controller::{Command, Input};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use serde::Serialize;
use sim_core::{Bytes, SimTime, Span, Streams, draw, math};

/// With fewer samples than this, how much they vary is not known.
const FEW: usize = 3;

/// Assumed coefficient of variation where it is not known.
const UNKNOWN_SPREAD: f64 = 0.10;

/// Even what did not vary so far can: the least coefficient of variation.
const LEAST_SPREAD: f64 = 0.01;

/// Seconds over which a rate is taken.
const STRETCH: f64 = 0.5;

/// Of a working set that is dirty already, this much at most, and when it is dirtied anew: beyond it a
/// count says nothing of the rate.
const MOST_COVERED: f64 = 0.9;
const FULLEST: f64 = 0.999;

/// Sizes of working set that are tried, from the largest count to all memory.
const SETS_TRIED: u32 = 200;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evidence {
    /// Guest memory sent a second, by slice: seconds and bytes.
    #[serde(skip)]
    sent: Vec<(f64, f64)>,
    /// What was counted.
    #[serde(skip)]
    dirtied: Vec<Count>,
    #[serde(skip)]
    memory: f64,
    #[serde(skip)]
    counted: SimTime,
    /// Bytes on the stream, and bytes of guest memory that these were.
    #[serde(skip)]
    stream: (f64, f64),
    /// The guest's speed after throttling, 1 for none.
    pub speed: f64,
    /// Guest memory a second.
    pub bytes_per_s: f64,
    /// Its coefficient of variation.
    pub bytes_per_s_spread: f64,
    /// Bytes that the guest touches a second, as uniform writes in its working set.
    pub dirtied_bytes_per_s: f64,
    /// Its coefficient of variation.
    pub dirtied_spread: f64,
    /// The working set that fits what was counted.
    pub working_set_bytes: f64,
}

/// What a count found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Count {
    /// Since the last one, as long as the guest ran in them.
    seconds: f64,
    /// Distinct bytes dirtied that were not dirty already.
    fresh: f64,
    /// What was dirty already, whose writes do not show.
    unsent: f64,
    /// What that is a part of; the working set where `None`.
    unsent_of: Option<f64>,
}

impl Count {
    /// What would have been dirtied had nothing been dirty already, with a working set of `set`.
    fn dirtied(&self, set: f64) -> f64 {
        let covered = (self.unsent / self.unsent_of.unwrap_or(set)).min(MOST_COVERED);
        (self.fresh / (1.0 - covered)).min(set * FULLEST)
    }
}

/// A pass of a hypervisor's own loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// How long it took.
    pub(super) seconds: f64,
    /// How long what it sent takes at the rate that can be kept up.
    pub(super) sending: f64,
    /// What it sent, on the stream and of guest memory.
    pub(super) stream: f64,
    pub(super) memory: f64,
    /// What was dirty at its end, and what of that it had left unsent.
    pub(super) dirty: f64,
    pub(super) unsent: f64,
    pub(super) unsent_of: Option<f64>,
    /// How the guest was held back in it, and is after it, in percent.
    pub(super) throttled_percent: u32,
    pub(super) throttle_percent: u32,
}

/// One future's network and guest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    /// Guest memory sent a second.
    pub rate: f64,
    /// Bytes touched a second.
    pub touched: f64,
    /// The working set in bytes.
    pub set: f64,
    /// Bytes on the stream for each of guest memory.
    pub stream_share: f64,
    /// The last count.
    pub counted: SimTime,
    /// The guest's speed after throttling.
    pub speed: f64,
}

impl Evidence {
    /// Notes what was wanted.
    pub(super) fn asked(&mut self, command: &Command) {
        if let Command::Page(PageCommand::Throttle { percent }) = command {
            self.speed = 1.0 - f64::from(*percent) / 100.0;
        }
    }

    /// Notes how long what was wanted took, and what came of it.
    pub(super) fn answered(&mut self, command: &Command, input: &Input, since: SimTime, now: SimTime) {
        let (Command::Page(command), Input::Page(input)) = (command, input) else {
            if matches!(input, Input::Prepared) {
                (self.counted, self.speed) = (now, 1.0);
            }
            return;
        };
        let took = now.since(since.min(now)).as_secs_f64();
        match (command, input) {
            (PageCommand::Send { bytes, opening, .. }, PageInput::RoundSent) => {
                self.slice(*bytes, *bytes, took, *opening);
            }
            (PageCommand::Send { opening, .. }, PageInput::Sent { memory, transferred }) => {
                self.slice(*memory, *transferred, took, *opening);
            }
            (PageCommand::Count { unsent }, PageInput::Counted { dirty }) => {
                let seconds = now.since(self.counted.min(now)).as_secs_f64() * self.speed;
                let fresh = dirty.saturating_sub(*unsent).as_f64();
                self.counted = now;
                if seconds > 0.0 {
                    let unsent = unsent.as_f64();
                    self.dirtied.push(Count { seconds, fresh, unsent, unsent_of: None });
                }
            }
            _ => {}
        }
        self.fit();
    }

    /// Notes a pass of a hypervisor's own loop, which ended at `now`.
    pub(super) fn passed(&mut self, pass: &Pass, now: SimTime) {
        self.memory = self.memory.max(pass.unsent_of.unwrap_or(pass.memory));
        self.sent.push((pass.sending, pass.memory));
        self.stream.0 += pass.stream;
        self.stream.1 += pass.memory;
        let speed = 1.0 - f64::from(pass.throttled_percent.min(99)) / 100.0;
        self.dirtied.push(Count {
            seconds: pass.seconds * speed,
            fresh: pass.dirty - pass.unsent,
            unsent: pass.unsent,
            unsent_of: pass.unsent_of,
        });
        self.speed = 1.0 - f64::from(pass.throttle_percent.min(99)) / 100.0;
        self.counted = now;
        self.fit();
    }

    fn slice(&mut self, memory: Bytes, transferred: Bytes, took: f64, opening: Opening) {
        // The first round is the largest, whatever comes later.
        self.memory = self.memory.max(memory.as_f64());
        if took > 0.0 && memory > Bytes::ZERO && opening != Opening::PostCopy {
            self.sent.push((took, memory.as_f64()));
            self.stream.0 += transferred.as_f64();
            self.stream.1 += memory.as_f64();
        }
    }

    /// Whether a rate is known.
    pub(super) fn is_enough(&self) -> bool {
        self.bytes_per_s > 0.0
    }

    fn fit(&mut self) {
        let (seconds, bytes) =
            self.sent.iter().fold((0.0, 0.0), |sum, slice| (sum.0 + slice.0, sum.1 + slice.1));
        if seconds > 0.0 {
            self.bytes_per_s = bytes / seconds;
            self.bytes_per_s_spread = spread(&self.rates());
        }
        self.fit_working_set();
    }

    /// The rate over stretches of [`STRETCH`]: slices vary more than what they add up to.
    fn rates(&self) -> Vec<f64> {
        let (mut rates, mut stretch) = (Vec::new(), (0.0, 0.0));
        for (took, bytes) in &self.sent {
            stretch = (stretch.0 + took, stretch.1 + bytes);
            if stretch.0 >= STRETCH {
                rates.push(stretch.1 / stretch.0);
                stretch = (0.0, 0.0);
            }
        }
        rates
    }

    /// Uniform writes at rate r in a set W dirty W·(1 − e^(−r·t ÷ W)) within t. Each count gives r for a W;
    /// the W for which the counts agree best is taken, and their mean r.
    fn fit_working_set(&mut self) {
        let largest = self.dirtied.iter().map(|count| count.fresh).fold(0.0, f64::max);
        if largest == 0.0 {
            (self.dirtied_bytes_per_s, self.working_set_bytes) = (0.0, 0.0);
            return;
        }
        let ratio = (self.memory / largest).max(1.001);
        // A little above the largest count, where the rate would be infinite.
        let sets = (1..=SETS_TRIED)
            .map(|step| largest * 1.001 * math::powf(ratio, f64::from(step) / f64::from(SETS_TRIED)));
        let rates = |set: f64| -> Vec<f64> {
            let rate = |count: &Count| -set * math::ln_1p(-count.dirtied(set) / set) / count.seconds;
            self.dirtied.iter().map(rate).collect()
        };
        // Of equals the largest: with one count, nothing says that the set has an end.
        let best = sets.min_by(|one, other| {
            spread(&rates(*one)).total_cmp(&spread(&rates(*other))).then(other.total_cmp(one))
        });
        let set = best.unwrap_or(largest);
        let rates = rates(set);
        self.working_set_bytes = set;
        self.dirtied_bytes_per_s = mean(&rates);
        self.dirtied_spread = spread(&rates);
    }

    /// A network and a guest like those that were seen.
    pub(super) fn draw(&self, streams: Streams) -> Draw {
        let factor = |purpose: &str, spread: f64| draw::log_normal(spread, &mut streams.stream(purpose, ""));
        Draw {
            rate: self.bytes_per_s * factor("forecast: rate", self.bytes_per_s_spread),
            touched: self.dirtied_bytes_per_s * factor("forecast: dirtying", self.dirtied_spread),
            set: self.working_set_bytes,
            stream_share: if self.stream.1 > 0.0 { self.stream.0 / self.stream.1 } else { 1.0 },
            counted: self.counted,
            speed: self.speed,
        }
    }
}

impl Draw {
    /// What is dirty after `span` more, of which `unsent` was before.
    pub fn dirty_after(&self, unsent: Bytes, span: Span, most: Bytes) -> Bytes {
        if self.set <= 0.0 {
            return unsent;
        }
        let fresh = -self.set * math::exp_m1(-self.touched * self.speed * span.as_secs_f64() / self.set);
        let elsewhere = 1.0 - (unsent.as_f64() / self.set).min(1.0);
        (unsent + Bytes::from_f64_floor(fresh * elsewhere)).min(most).max(unsent)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The coefficient of variation.
fn spread(values: &[f64]) -> f64 {
    let mean = mean(values);
    if values.len() < FEW || mean <= 0.0 {
        return UNKNOWN_SPREAD;
    }
    let variance =
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (values.len() - 1) as f64;
    (variance.sqrt() / mean).max(LEAST_SPREAD)
}
