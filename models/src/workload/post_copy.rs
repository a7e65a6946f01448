//! Post-copy: the guest runs at the destination, and waits for every page that it touches and that is
//! not there yet.
//!
//! The rest is pushed in order while pages that are asked for overtake it. In each group the share
//! that is missing, m, falls by the push and by the faults of the guest, which runs at the speed s:
//!
//! ```text
//!   dm/dt = −push·m − s·λ·m        faults = Σ pages·s·λ·m        s = 1 ÷ (1 + faults at full speed × wait)
//! ```
//!
//! λ: touches of each page in a second. Assumption: a guest touches the pages that it writes, as often
//! as it writes them, and no others; one that reads a lot faults more. `wait`: a trip there and back, the
//! page on the wire, and the handling of the fault at both ends.

use sim_core::{PAGE_SIZE, Span, math};

use super::groups::Group;

/// Handling of a fault by the kernel and by both processes. Assumption; QEMU's own measurements of
/// post-copy have faults at some 0.5 to 1 ms on 10 GbE, most of it spent behind what is on its way.
const HANDLING: Span = Span::from_micros(150);
/// Steps of the integration.
const STEPS: u32 = 400;

/// What a guest goes through after it was handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Missing {
    /// Pages that it touched before they were there.
    pub faults: f64,
    /// Seconds that it waited for them.
    pub waited: f64,
}

/// Follows a guest that misses `waiting` bytes of each group, all of which come within `duration`.
///
/// `trip` is the time of a message to the source and back; `touches` is how fast the guest touches pages,
/// 1 as its workload was described.
pub fn follow(waiting: &[(Group, f64)], duration: Span, trip: Span, touches: f64) -> Missing {
    let whole: f64 = waiting.iter().map(|(_, bytes)| bytes).sum();
    let mut result = Missing::default();
    if whole <= 0.0 || duration == Span::ZERO {
        return result;
    }
    let step = duration.as_secs_f64() / f64::from(STEPS);
    let page_time = duration.as_secs_f64() * PAGE_SIZE as f64 / whole;
    let wait = trip.as_secs_f64() + page_time + HANDLING.as_secs_f64();
    let mut missing: Vec<f64> = waiting.iter().map(|(_, bytes)| *bytes).collect();
    for index in 0..STEPS {
        // Per second at full speed, over the mean of the step.
        let wanted = |(bytes, (group, _)): (&f64, &(Group, f64))| {
            let touched = -math::exp_m1(-group.writes.per_second() * touches * step) / step;
            bytes / PAGE_SIZE as f64 * touched
        };
        let faults: f64 = missing.iter().zip(waiting).map(wanted).sum();
        let speed = 1.0 / (1.0 + faults * wait);
        result.faults += faults * speed * step;
        result.waited += (1.0 - speed) * step;
        let left: f64 = missing.iter().sum();
        // What the link carries besides the faults is pushed in order, of all groups alike.
        let carried = whole / f64::from(STEPS);
        let fetched: f64 = (faults * speed * step * PAGE_SIZE as f64).min(carried);
        let end = (left - (carried - fetched)).max(0.0) / left.max(f64::MIN_POSITIVE);
        let last = index + 1 == STEPS;
        for (bytes, (group, _)) in missing.iter_mut().zip(waiting) {
            let untouched = math::exp(-group.writes.per_second() * touches * speed * step);
            *bytes = if last { 0.0 } else { *bytes * untouched * end };
        }
    }
    result
}
