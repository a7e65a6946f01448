//! Traffic that is not ours: always on, or on and off for random times.

use sim_core::{ActivityId, Demand, Fluid, ResourceId, SimTime, Span, Streams, draw};

use crate::cluster::{BackgroundTraffic, TrafficPattern};

/// One flow of background traffic while it runs.
pub(super) struct Background {
    links: Vec<(ResourceId, f64)>,
    rate: f64,
    weight: f64,
    pattern: TrafficPattern,
    random: rand_pcg::Pcg64,
    flow: Option<ActivityId>,
}

impl Background {
    pub(super) fn new(traffic: &BackgroundTraffic, links: &[ResourceId], streams: &Streams) -> Background {
        Background {
            links: links.iter().map(|link| (*link, 1.0)).collect(),
            rate: traffic.rate.bytes_per_sec_f64(),
            weight: traffic.weight,
            pattern: traffic.pattern,
            random: streams.stream("background traffic", &traffic.name),
            flow: None,
        }
    }

    /// Begins, on or off; gives the time of the first change, if there is one.
    pub(super) fn begin(&mut self, fluid: &mut Fluid) -> Option<SimTime> {
        let begins_on = match self.pattern {
            TrafficPattern::Constant => true,
            TrafficPattern::OnOff { mean_on, mean_off } => {
                let (on, off) = (mean_on.as_secs_f64(), mean_off.as_secs_f64());
                rand::RngExt::random_bool(&mut self.random, on / (on + off))
            }
        };
        if begins_on {
            self.switch_on(SimTime::ZERO, fluid);
        }
        self.next_change(SimTime::ZERO)
    }

    /// Goes on or off at `now`; gives the time of the next change.
    pub(super) fn toggle(&mut self, now: SimTime, fluid: &mut Fluid) -> Option<SimTime> {
        match self.flow.take() {
            Some(flow) => {
                fluid.cancel(now, flow);
            }
            None => self.switch_on(now, fluid),
        }
        self.next_change(now)
    }

    fn switch_on(&mut self, now: SimTime, fluid: &mut Fluid) {
        let demand = Demand { uses: &self.links, weight: self.weight, cap: self.rate };
        self.flow = Some(fluid.start(now, f64::INFINITY, &demand));
    }

    fn next_change(&mut self, now: SimTime) -> Option<SimTime> {
        let TrafficPattern::OnOff { mean_on, mean_off } = self.pattern else {
            return None;
        };
        let mean = if self.flow.is_some() { mean_on } else { mean_off };
        let span = exponential(mean, &mut self.random);
        Some(now + span)
    }
}

/// A draw from the exponential distribution; at least a nanosecond, so that time goes on.
pub(super) fn exponential(mean: Span, random: &mut rand_pcg::Pcg64) -> Span {
    Span::from_secs_f64(mean.as_secs_f64() * draw::exponential(random)).max(Span::from_nanos(1))
}
