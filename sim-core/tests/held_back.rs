//! What held an activity back, for how long: its cap or the resource that was full.

use sim_core::{Demand, Fluid, HeldBy, SimTime, Span};

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + Span::from_secs(seconds)
}

#[test]
fn the_cap_holds_back_until_another_fills_the_resource() {
    let mut fluid = Fluid::new();
    fluid.keep_what_holds_back();
    let wide = fluid.add_resource(1000.0);
    let link = fluid.add_resource(10.0);
    let uses = [(wide, 1.0), (link, 1.0)];
    let first = fluid.start(at(0), 100.0, &Demand { uses: &uses, weight: 1.0, cap: 6.0 });
    assert_eq!(fluid.rate(first), Some(6.0));
    let second = fluid.start(at(5), 1000.0, &Demand { uses: &uses, weight: 1.0, cap: 8.0 });
    assert_eq!(fluid.rate(second), Some(5.0));
    // 30 units in 5 s, then 5 a second.
    let end = fluid.next_time().unwrap_or_default();
    assert_eq!(end, at(19));
    assert_eq!(fluid.pop_due(end), Some(first));
    let seconds = Span::from_secs;
    let expected = [(HeldBy::Cap, seconds(5)), (HeldBy::Resource(link), seconds(14))];
    assert_eq!(fluid.held_back(end, first), expected);
    // Alone again, the second is held back by its own cap.
    let later = at(21);
    let expected = [(HeldBy::Resource(link), seconds(14)), (HeldBy::Cap, seconds(2))];
    assert_eq!(fluid.held_back(later, second), expected);
}

#[test]
fn nothing_is_kept_for_those_who_do_not_ask() {
    let mut fluid = Fluid::new();
    let link = fluid.add_resource(10.0);
    let flow = fluid.start(at(0), 100.0, &Demand { uses: &[(link, 1.0)], weight: 1.0, cap: 6.0 });
    assert_eq!(fluid.held_back(at(3), flow), []);
}
