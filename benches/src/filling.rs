//! The baseline of sharing: after each change, all rates from the definition.
//!
//! Progressive filling as a textbook has it (Bertsekas & Gallager, *Data Networks*, §6.5.2): find
//! the link that allows its unfrozen flows the least; these flows are frozen at that rate; take
//! them off their other links; repeat. For L links and F flows this takes O(L² + F) steps, and finding
//! the next completion O(F). It is written to be quick as far as that goes: flat arrays, nothing
//! allocated on the way, a link knows its flows, and a start and an end at one time are solved once.

use sim_core::{SimTime, Span};

use crate::churn::Sharing;

/// Links and flows whose rates are found afresh after each change.
pub struct FromDefinition {
    capacities: Vec<f64>,
    /// By link: the flows on it, in no order.
    members: Vec<Vec<usize>>,
    flows: Vec<Flow>,
    now: SimTime,
    changed: bool,
    left: Vec<f64>,
    unfrozen: Vec<usize>,
    /// The links with unfrozen flows.
    open: Vec<usize>,
}

struct Flow {
    links: [usize; 2],
    remaining: f64,
    rate: f64,
    frozen: bool,
}

impl Sharing for FromDefinition {
    fn new(capacities: &[f64]) -> FromDefinition {
        FromDefinition {
            capacities: capacities.to_vec(),
            members: vec![Vec::new(); capacities.len()],
            flows: Vec::new(),
            now: SimTime::ZERO,
            changed: false,
            left: Vec::new(),
            unfrozen: Vec::new(),
            open: Vec::new(),
        }
    }

    fn start(&mut self, now: SimTime, work: f64, links: [usize; 2]) {
        self.advance(now);
        for link in links {
            self.members[link].push(self.flows.len());
        }
        self.flows.push(Flow { links, remaining: work, rate: 0.0, frozen: false });
        self.changed = true;
    }

    fn finish_next(&mut self) -> SimTime {
        if self.changed {
            self.solve();
        }
        let seconds_left = |flow: &Flow| flow.remaining / flow.rate;
        let next = (0..self.flows.len())
            .min_by(|a, b| seconds_left(&self.flows[*a]).total_cmp(&seconds_left(&self.flows[*b])))
            .expect("there is a flow");
        self.advance(self.now + Span::from_secs_f64_ceil(seconds_left(&self.flows[next])));
        self.remove(next);
        self.now
    }
}

impl FromDefinition {
    fn advance(&mut self, now: SimTime) {
        let seconds = (now - self.now).as_secs_f64();
        if seconds > 0.0 {
            for flow in &mut self.flows {
                flow.remaining = (flow.remaining - flow.rate * seconds).max(0.0);
            }
        }
        self.now = now;
    }

    fn solve(&mut self) {
        self.left.clone_from(&self.capacities);
        self.unfrozen.clear();
        self.unfrozen.extend(self.members.iter().map(Vec::len));
        self.open.clear();
        self.open.extend(0..self.capacities.len());
        for flow in &mut self.flows {
            flow.frozen = false;
        }
        loop {
            self.open.retain(|link| self.unfrozen[*link] > 0);
            let Some((link, rate)) = self.bottleneck() else { break };
            self.freeze(link, rate);
        }
        self.changed = false;
    }

    /// The open link that allows its unfrozen flows the least, and how much.
    fn bottleneck(&self) -> Option<(usize, f64)> {
        let mut least: Option<(usize, f64)> = None;
        for link in &self.open {
            let rate = self.left[*link] / self.unfrozen[*link] as f64;
            if least.is_none_or(|(_, least)| rate < least) {
                least = Some((*link, rate));
            }
        }
        least
    }

    fn freeze(&mut self, bottleneck: usize, rate: f64) {
        for member in &self.members[bottleneck] {
            let flow = &mut self.flows[*member];
            if flow.frozen {
                continue;
            }
            flow.frozen = true;
            flow.rate = rate;
            for link in flow.links {
                self.left[link] -= rate;
                self.unfrozen[link] -= 1;
            }
        }
    }

    /// The last flow takes the place of the one that ends.
    fn remove(&mut self, index: usize) {
        let last = self.flows.len() - 1;
        for link in self.flows[index].links {
            self.members[link].retain(|member| *member != index);
        }
        if index != last {
            for link in self.flows[last].links {
                self.members[link]
                    .iter_mut()
                    .filter(|member| **member == last)
                    .for_each(|member| *member = index);
            }
        }
        self.flows.swap_remove(index);
        self.changed = true;
    }
}
