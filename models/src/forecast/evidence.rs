//! What a migration has shown so far: how fast its memory is sent, and how its guest dirties it.

use algorithms::controller::{Command, Input};
use algorithms::page_loop::{Opening, PageCommand, PageInput};
use rand_distr::{Distribution, LogNormal};
use serde::Serialize;
use sim_core::{Bytes, SimTime, Span, Streams};

/// With fewer samples than this, how much they vary is not known.
const FEW: usize = 3;

/// Assumed coefficient of variation where it is not known.
const UNKNOWN_SPREAD: f64 = 0.10;

/// Even what did not vary so far can: the least coefficient of variation.
const LEAST_SPREAD: f64 = 0.01;

/// Seconds over which a rate is taken.
const STRETCH: f64 = 0.5;

/// Sizes of working set that are tried, from the largest count to all memory.
const SETS_TRIED: u32 = 200;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evidence {
    /// Guest memory sent a second, by slice: seconds and bytes.
    #[serde(skip)]
    sent: Vec<(f64, f64)>,
    /// Distinct bytes dirtied by the seconds since the last count.
    #[serde(skip)]
    dirtied: Vec<(f64, f64)>,
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
                    self.dirtied.push((seconds, fresh));
                }
            }
            _ => {}
        }
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
        let largest = self.dirtied.iter().map(|point| point.1).fold(0.0, f64::max);
        if largest == 0.0 {
            (self.dirtied_bytes_per_s, self.working_set_bytes) = (0.0, 0.0);
            return;
        }
        let ratio = (self.memory / largest).max(1.001);
        // A little above the largest count, where the rate would be infinite.
        let sets = (1..=SETS_TRIED)
            .map(|step| largest * 1.001 * ratio.powf(f64::from(step) / f64::from(SETS_TRIED)));
        let rates = |set: f64| -> Vec<f64> {
            self.dirtied.iter().map(|(seconds, dirty)| -set * (-dirty / set).ln_1p() / seconds).collect()
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
        let factor = |purpose: &str, spread: f64| {
            let mut stream = streams.stream(purpose, "");
            LogNormal::from_mean_cv(1.0, spread).map_or(1.0, |law| law.sample(&mut stream))
        };
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
        let fresh = -self.set * (-self.touched * self.speed * span.as_secs_f64() / self.set).exp_m1();
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
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
    (variance.sqrt() / mean).max(LEAST_SPREAD)
}
