//! Fluid sharing against a reference that solves everything from the definition, each time.

use proptest::prelude::*;
use sim_core::{ActivityId, Demand, Fluid, ResourceId, SimTime, Span};

/// An activity as the reference sees it.
#[derive(Debug, Clone)]
struct Flow {
    uses: Vec<(usize, f64)>,
    weight: f64,
    cap: f64,
}

/// Weighted max-min rates by progressive filling over everything, straight from the definition.
fn reference_rates(capacities: &[f64], flows: &[Flow]) -> Vec<f64> {
    let mut rates = vec![None; flows.len()];
    let mut left = capacities.to_vec();
    while rates.iter().any(Option::is_none) {
        let slope = |resource: usize| -> f64 {
            let rising = flows.iter().zip(&rates).filter(|(_, rate)| rate.is_none());
            rising
                .flat_map(|(flow, _)| {
                    flow.uses.iter().filter(|(r, _)| *r == resource).map(|(_, c)| c * flow.weight)
                })
                .sum()
        };
        let full: Vec<f64> = (0..left.len())
            .map(|r| if slope(r) > 0.0 { left[r].max(0.0) / slope(r) } else { f64::INFINITY })
            .collect();
        let stop_level =
            |flow: &Flow| flow.uses.iter().map(|(r, _)| full[*r]).fold(flow.cap / flow.weight, f64::min);
        let least = flows
            .iter()
            .zip(&rates)
            .filter(|(_, rate)| rate.is_none())
            .map(|(flow, _)| stop_level(flow))
            .fold(f64::INFINITY, f64::min);
        for (flow, rate) in flows.iter().zip(rates.iter_mut()).filter(|(_, rate)| rate.is_none()) {
            if stop_level(flow) <= least * (1.0 + 1e-12) {
                *rate = Some(least * flow.weight);
                for (resource, coefficient) in &flow.uses {
                    left[*resource] -= coefficient * least * flow.weight;
                }
            }
        }
    }
    rates.into_iter().flatten().collect()
}

#[derive(Debug, Clone)]
enum Step {
    Start {
        flow: Flow,
        work: f64,
    },
    Cancel(usize),
    SetCap(usize, f64),
    SetCapacity(usize, f64),
    Advance(u64),
    /// Nothing is asked, so that the next change falls on the same time and is solved with this.
    Batch(Vec<Step>),
}

const RESOURCES: usize = 6;

fn flow() -> impl Strategy<Value = Flow> {
    let uses = prop::collection::btree_map(0..RESOURCES, prop_oneof![Just(1.0), 0.1..3.0f64], 1..4);
    let cap = prop_oneof![3 => Just(f64::INFINITY), 1 => 0.5..50.0f64];
    (uses, prop_oneof![Just(1.0), 0.2..5.0f64], cap).prop_map(|(uses, weight, cap)| Flow {
        uses: uses.into_iter().collect(),
        weight,
        cap,
    })
}

fn single_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (flow(), 1.0..1000.0f64).prop_map(|(flow, work)| Step::Start { flow, work }),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => (any::<usize>(), 0.5..50.0f64).prop_map(|(which, cap)| Step::SetCap(which, cap)),
        1 => (0..RESOURCES, prop_oneof![Just(0.0), 1.0..200.0f64]).prop_map(|(which, capacity)| Step::SetCapacity(which, capacity)),
        3 => (0u64..5_000_000_000).prop_map(Step::Advance),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![4 => single_step(), 1 => prop::collection::vec(single_step(), 2..6).prop_map(Step::Batch)];
    prop::collection::vec(step, 1..40)
}

/// A [`Fluid`] and, beside it, what it should hold.
struct Pair {
    fluid: Fluid,
    resources: Vec<ResourceId>,
    capacities: Vec<f64>,
    flows: Vec<(ActivityId, Flow)>,
    now: SimTime,
}

impl Pair {
    fn new() -> Pair {
        let capacities: Vec<f64> = (0..RESOURCES).map(|r| 10.0 * (r + 1) as f64).collect();
        let mut fluid = Fluid::new();
        let resources = capacities.iter().map(|capacity| fluid.add_resource(*capacity)).collect();
        Pair { fluid, resources, capacities, flows: Vec::new(), now: SimTime::ZERO }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start { flow, work } => {
                let uses: Vec<_> = flow.uses.iter().map(|(r, c)| (self.resources[*r], *c)).collect();
                let demand = Demand { uses: &uses, weight: flow.weight, cap: flow.cap };
                let id = self.fluid.start(self.now, work, &demand);
                self.flows.push((id, flow));
            }
            Step::Cancel(which) if !self.flows.is_empty() => {
                let (id, _) = self.flows.swap_remove(which % self.flows.len());
                assert!(self.fluid.cancel(self.now, id).is_some());
            }
            Step::SetCap(which, cap) if !self.flows.is_empty() => {
                let index = which % self.flows.len();
                self.flows[index].1.cap = cap;
                assert!(self.fluid.set_cap(self.now, self.flows[index].0, cap));
            }
            Step::SetCapacity(which, capacity) => {
                self.capacities[which] = capacity;
                self.fluid.set_capacity(self.now, self.resources[which], capacity);
            }
            Step::Advance(nanos) => self.advance(self.now + Span::from_nanos(nanos)),
            Step::Batch(steps) => steps.into_iter().for_each(|step| self.take(step)),
            Step::Cancel(_) | Step::SetCap(..) => {}
        }
    }

    fn advance(&mut self, until: SimTime) {
        while let Some(time) = self.fluid.next_time().filter(|time| *time <= until) {
            self.now = time;
            while let Some(done) = self.fluid.pop_due(time) {
                self.flows.retain(|(id, _)| *id != done);
            }
        }
        self.now = until;
    }

    fn check(&mut self) {
        let flows: Vec<Flow> = self.flows.iter().map(|(_, flow)| flow.clone()).collect();
        let expected = reference_rates(&self.capacities, &flows);
        for ((id, flow), expected) in self.flows.iter().zip(expected) {
            let rate = self.fluid.rate(*id).expect("it is under way");
            assert!(
                (rate - expected).abs() <= 1e-6 * expected.max(1e-3),
                "{flow:?}: {rate}, expected {expected}"
            );
        }
        for (resource, capacity) in self.resources.iter().zip(&self.capacities) {
            let load = self.fluid.load(*resource);
            assert!(load <= capacity * (1.0 + 1e-9) + 1e-9, "{load} is more than {capacity}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// After any history of changes, partial solving gives the rates of solving everything.
    #[test]
    fn partial_solving_equals_solving_everything(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }

    /// All the work is done, and metered, to the last unit.
    #[test]
    fn work_is_conserved(work in prop::collection::vec((flow(), 1.0..1000.0f64), 1..30)) {
        let mut pair = Pair::new();
        for resource in pair.resources.clone() {
            pair.fluid.meter(resource, Span::from_millis(1));
        }
        let mut expected = [0.0; RESOURCES];
        for (flow, work) in work {
            for (resource, coefficient) in &flow.uses {
                expected[*resource] += coefficient * work;
            }
            pair.take(Step::Start { flow, work });
        }
        let mut end = SimTime::ZERO;
        while let Some(time) = pair.fluid.next_time() {
            end = time;
            pair.advance(time);
        }
        prop_assert_eq!(pair.fluid.active(), 0);
        for (resource, expected) in pair.resources.clone().into_iter().zip(expected) {
            let total = pair.fluid.meter_of(resource).expect("it is metered").total(end);
            prop_assert!((total - expected).abs() <= 1e-6 * expected.max(1.0), "{} of {}", total, expected);
        }
    }
}

#[test]
fn the_bottleneck_may_be_anything() {
    let mut fluid = Fluid::new();
    let (link, cpu) = (fluid.add_resource(1000.0), fluid.add_resource(2.0));
    let light =
        fluid.start(SimTime::ZERO, 1e6, &Demand { uses: &[(link, 1.0)], weight: 1.0, cap: f64::INFINITY });
    let heavy = fluid.start(
        SimTime::ZERO,
        1e6,
        &Demand { uses: &[(link, 1.0), (cpu, 0.01)], weight: 1.0, cap: f64::INFINITY },
    );
    assert_eq!(fluid.rate(heavy), Some(200.0), "2 cores at 0.01 core-seconds per unit");
    assert_eq!(fluid.rate(light), Some(800.0), "what is left of the link");
}

#[test]
fn completion_is_the_first_nanosecond_at_which_the_work_is_done() {
    let mut fluid = Fluid::new();
    let link = fluid.add_resource(3.0);
    fluid.start(SimTime::ZERO, 1.0, &Demand { uses: &[(link, 1.0)], weight: 1.0, cap: f64::INFINITY });
    assert_eq!(fluid.next_time(), Some(SimTime::from_nanos(333_333_334)));
}

#[test]
fn a_starved_activity_waits_and_one_without_end_never_completes() {
    let mut fluid = Fluid::new();
    let link = fluid.add_resource(0.0);
    let demand = Demand { uses: &[(link, 1.0)], weight: 1.0, cap: f64::INFINITY };
    let starved = fluid.start(SimTime::ZERO, 5.0, &demand);
    assert_eq!(fluid.next_time(), None);
    let second = SimTime::ZERO + Span::from_secs(1);
    fluid.set_capacity(second, link, 5.0);
    assert_eq!(fluid.next_time(), Some(second + Span::from_secs(1)));
    let endless = fluid.start(second, f64::INFINITY, &demand);
    assert_eq!(fluid.next_time(), Some(second + Span::from_secs(2)));
    assert_eq!(fluid.cancel(second, endless), Some(f64::INFINITY));
    assert!(!fluid.is_active(endless) && fluid.is_active(starved));
    assert_eq!(fluid.next_time(), Some(second + Span::from_secs(1)));
}
