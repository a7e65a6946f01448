//! Forecasts of migrations under way: a controller is driven by a network and a guest that are known,
//! stopped at a moment, and forecast from what it had been told by then.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use algorithms::controller::{Command, Input, LoopOwner, MigrationController, MigrationOrder};
use algorithms::hypervisor_loop::LoopInput;
use algorithms::ids::MigrationId;
use algorithms::journal::{self, Journal, Journalled};
use algorithms::machine::{Host, WaitingHost, run};
use algorithms::page_loop::{PageCommand, PageInput};
use algorithms::policy::{HyperV, Policy, Qemu};
use algorithms::records::{MigrationRecord, Record, Whereabouts};
use models::forecast::{Forecast, ForecastError, Situation};
use sim_core::{Bytes, SimTime, Span};

/// What is real: bytes a second, bytes touched a second, and the set in which they fall.
#[derive(Clone, Copy)]
struct Reality {
    rate: f64,
    touched: f64,
    set: f64,
}

fn order(policy: Policy) -> MigrationOrder {
    MigrationOrder {
        migration: MigrationId(0),
        vm: "web".into(),
        source: "a".into(),
        destination: "b".into(),
        transport: "tcp".into(),
        memory: Bytes::from_gib(4),
        policy,
        deadline: None,
        queued: SimTime::ZERO,
        storage: None,
        page_loop: LoopOwner::Own,
        why: None,
    }
}

type Entry = journal::EntryOf<MigrationController>;

/// A journal that is kept in memory.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<Entry>>>);

impl Journal<Entry> for Notes {
    type Error = Infallible;

    fn write(&mut self, entry: &Entry) -> Result<(), Infallible> {
        self.0.borrow_mut().push(entry.clone());
        Ok(())
    }
}

impl Notes {
    /// The entries but the order.
    fn entries(&self) -> Vec<Entry> {
        self.0.borrow().iter().skip(1).cloned().collect()
    }
}

fn qemu() -> Policy {
    Policy::Qemu(Qemu { max_bandwidth: None, ..Qemu::default() })
}

/// Hosts in that reality.
struct Hosts {
    reality: Reality,
    now: SimTime,
    counted: SimTime,
    speed: f64,
    wanted: Option<Command>,
    /// Commands that are still carried out.
    left: usize,
    ended: Option<MigrationRecord>,
}

/// No more commands are carried out.
struct Enough;

impl Host<Journalled<MigrationController, Notes>> for Hosts {
    type Error = Enough;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Enough> {
        match command {
            Command::Page(PageCommand::Throttle { percent }) => self.speed = 1.0 - f64::from(percent) / 100.0,
            command => self.wanted = Some(command),
        }
        Ok(None)
    }

    fn record(&mut self, record: Record) {
        if let Record::Migration(record) = record {
            self.ended = Some(record);
        }
    }
}

impl WaitingHost<Journalled<MigrationController, Notes>> for Hosts {
    fn wait(&mut self, _: SimTime) -> Result<(SimTime, Input), Enough> {
        self.left = self.left.checked_sub(1).ok_or(Enough)?;
        let input = match self.wanted.take().unwrap() {
            Command::Prepare => {
                self.counted = self.now;
                Input::Prepared
            }
            Command::Page(PageCommand::Send { bytes, .. }) => {
                self.now += Span::from_secs_f64(bytes.as_f64() / self.reality.rate);
                Input::Page(PageInput::RoundSent)
            }
            Command::Page(PageCommand::Count { unsent }) => {
                let seconds = self.now.since(self.counted).as_secs_f64() * self.speed;
                self.counted = self.now;
                let Reality { touched, set, .. } = self.reality;
                let fresh = -set * sim_core::math::exp_m1(-touched * seconds / set);
                let fresh = fresh * (1.0 - (unsent.as_f64() / set).min(1.0));
                Input::Page(PageInput::Counted { dirty: unsent + Bytes::from_f64_floor(fresh) })
            }
            Command::Page(PageCommand::Pause) => Input::Page(PageInput::Paused),
            Command::Page(_) | Command::Commit => Input::Page(PageInput::Resumed),
            Command::Finish => Input::Finished,
            Command::Abort => Input::Aborted { sent: Bytes::ZERO, whereabouts: Whereabouts::AtSource },
            other => panic!("{other:?} is not for guests without disks"),
        };
        Ok((self.now, input))
    }
}

/// Drives a controller to its end, or for at most `most` commands, and keeps its journal.
fn live(policy: Policy, reality: Reality, most: usize) -> (Vec<Entry>, Option<MigrationRecord>) {
    let notes = Notes::default();
    let Ok(mut controller) = Journalled::<MigrationController, _>::begin(order(policy), notes.clone());
    let (now, counted) = (SimTime::ZERO, SimTime::ZERO);
    let mut hosts = Hosts { reality, now, counted, speed: 1.0, wanted: None, left: most, ended: None };
    let ended = run(&mut controller, (now, Input::Begin), &mut hosts);
    (notes.entries(), hosts.ended.filter(|_| ended.is_ok()))
}

fn forecast(policy: Policy, happenings: &[Entry], at: f64) -> Result<Forecast, ForecastError> {
    let at = SimTime::ZERO + Span::from_secs_f64(at);
    Situation::of(order(policy), happenings, at)?.forecast(7, 200)
}

fn line<'a>(forecast: &'a Forecast, lever: &str) -> &'a models::forecast::Odds {
    forecast.lines.iter().find(|line| line.lever.to_string() == lever).unwrap()
}

#[test]
fn a_migration_that_converges_is_forecast_from_its_third_round_on() {
    let reality = Reality { rate: 200e6, touched: 60e6, set: 1e9 };
    let (happenings, record) = live(qemu(), reality, 10_000);
    let record = record.unwrap();
    let end = record.total.as_secs_f64();
    for share in [0.85, 0.95] {
        let forecast = forecast(qemu(), &happenings, share * end).unwrap();
        let odds = line(&forecast, "leave it alone");
        assert_eq!((odds.completes, odds.converges), (1.0, 1.0), "{forecast:?}");
        let finish = odds.finish_s.unwrap();
        assert!((finish.p50 - end).abs() < 0.03 * end, "{share}: {} for {end}", finish.p50);
        assert!(finish.p95 >= finish.p50 && finish.p95 > share * end);
    }
    let seen = &forecast(qemu(), &happenings, 0.99 * end).unwrap().evidence;
    assert!((seen.bytes_per_s / reality.rate - 1.0).abs() < 0.01, "{seen:?}");
    assert!((seen.dirtied_bytes_per_s / reality.touched - 1.0).abs() < 0.15, "{seen:?}");
}

#[test]
fn what_does_not_converge_is_said_so_and_levers_say_what_would_help() {
    let reality = Reality { rate: 100e6, touched: 400e6, set: 3e9 };
    let (happenings, record) = live(qemu(), reality, 2_000);
    assert!(record.is_none(), "it goes on for ever");
    let forecast = forecast(qemu(), &happenings, 120.0).unwrap();
    assert_eq!(line(&forecast, "leave it alone").completes, 0.0);
    for lever in ["auto-converge", "post-copy after this pass", "pause after this round"] {
        assert!(line(&forecast, lever).completes > 0.9, "{lever}: {forecast:?}");
    }
    let paused = line(&forecast, "pause after this round").blackout_s.unwrap();
    let switched = line(&forecast, "post-copy after this pass").blackout_s.unwrap();
    assert!(paused.p50 > 5.0, "two gigabytes and more at 100 MB/s");
    assert!(switched.p50 < 0.1, "only the devices");
}

#[test]
fn ten_passes_of_hyper_v_end_in_a_long_blackout_that_is_foreseen() {
    let policy = Policy::HyperV(HyperV::default());
    let reality = Reality { rate: 300e6, touched: 500e6, set: 2e9 };
    let (happenings, record) = live(policy.clone(), reality, 1_000);
    let record = record.unwrap();
    let at = 0.6 * record.total.as_secs_f64();
    let forecast = forecast(policy, &happenings, at).unwrap();
    let odds = line(&forecast, "leave it alone");
    assert_eq!((odds.completes, odds.converges), (1.0, 0.0));
    let (foreseen, was) = (odds.blackout_s.unwrap().p50, record.blackout.as_secs_f64());
    assert!((foreseen / was - 1.0).abs() < 0.15, "{foreseen} for {was}");
    let slower = line(&forecast, "guest at half its speed").blackout_s.unwrap().p50;
    assert!(slower < 0.7 * foreseen);
}

#[test]
fn the_same_journal_and_seed_give_the_same_forecast_and_the_journal_is_not_changed() {
    let reality = Reality { rate: 200e6, touched: 60e6, set: 1e9 };
    let (happenings, _) = live(qemu(), reality, 10_000);
    let once = forecast(qemu(), &happenings, 15.0).unwrap();
    assert_eq!(once, forecast(qemu(), &happenings, 15.0).unwrap());
}

#[test]
fn where_there_is_nothing_to_go_by_it_says_why() {
    let reality = Reality { rate: 200e6, touched: 60e6, set: 1e9 };
    let (happenings, record) = live(qemu(), reality, 10_000);
    assert_eq!(forecast(qemu(), &happenings[..2], 0.0), Err(ForecastError::NothingSent));
    let end = record.unwrap().total.as_secs_f64();
    assert_eq!(forecast(qemu(), &happenings, end + 1.0), Err(ForecastError::Ended));
    let wrong = [Entry::Told(SimTime::ZERO, Input::Finished)];
    assert!(matches!(forecast(qemu(), &wrong, 1.0), Err(ForecastError::NotReplayed { entry: 2, .. })));
}

/// A hypervisor's own loop in the same reality: by QEMU's rules, in steps of 50 ms, and told by its counts
/// only, as a real one is.
fn hypervisor(rules: &Qemu, reality: Reality, most_passes: usize) -> (Vec<Entry>, Option<f64>) {
    let mut happenings = Vec::new();
    let mut tell = |seconds: f64, input: Input| {
        happenings.push(Entry::Told(SimTime::ZERO + Span::from_secs_f64(seconds), input));
    };
    tell(0.0, Input::Begin);
    tell(0.0, Input::Prepared);
    let (mut now, mut sent, mut pending) = (0.0, 0.0, Bytes::from_gib(4).as_f64());
    let threshold = reality.rate * rules.downtime_limit.as_secs_f64();
    for _ in 0..most_passes {
        let began = now;
        let mut unsent_of = reality.set;
        if sent == 0.0 {
            unsent_of = Bytes::from_gib(4).as_f64();
        }
        while pending >= threshold {
            pending -= reality.rate * 0.05;
            (now, sent) = (now + 0.05, sent + reality.rate * 0.05 * 4104.0 / 4096.0);
        }
        pending = pending.max(0.0);
        let fresh = -reality.set * sim_core::math::exp_m1(-reality.touched * (now - began) / reality.set);
        pending += fresh * (1.0 - (pending / unsent_of).min(1.0));
        if pending < threshold {
            tell(now, Input::Loop(LoopInput::Stopped));
            return (happenings, Some(now + pending / reality.rate));
        }
        let (sent, dirty) = (Bytes::from_f64_floor(sent), Bytes::from_f64_floor(pending));
        tell(now, Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent: 0 }));
    }
    (happenings, None)
}

fn forecast_watched(rules: &Qemu, happenings: &[Entry], at: f64) -> Result<Forecast, ForecastError> {
    let at = SimTime::ZERO + Span::from_secs_f64(at);
    let order = MigrationOrder { page_loop: LoopOwner::Hypervisor, ..order(Policy::Qemu(rules.clone())) };
    Situation::of(order, happenings, at)?.forecast(7, 200)
}

#[test]
fn a_hypervisors_own_loop_is_forecast_from_its_first_passes() {
    let rules = Qemu { max_bandwidth: None, ..Qemu::default() };
    let reality = Reality { rate: 200e6, touched: 60e6, set: 1e9 };
    let (happenings, end) = hypervisor(&rules, reality, 1_000);
    let end = end.unwrap();
    let passes: Vec<f64> = happenings
        .iter()
        .filter_map(|happening| match happening {
            Entry::Told(time, Input::Loop(LoopInput::Pass { .. })) => Some(time.as_secs_f64()),
            _ => None,
        })
        .collect();
    assert!(passes.len() >= 3, "{passes:?}");
    for (at, most_off) in [(passes[1], 0.05), (passes[2], 0.03), ((passes[1] + passes[2]) / 2.0, 0.05)] {
        let forecast = forecast_watched(&rules, &happenings, at).unwrap();
        let odds = line(&forecast, "leave it alone");
        assert!(odds.completes > 0.99 && odds.converges > 0.99, "{at}: {odds:?}");
        let finish = odds.finish_s.unwrap();
        assert!((finish.p50 / end - 1.0).abs() < most_off, "at {at}: {} for {end}", finish.p50);
        let blackout = odds.blackout_s.unwrap().p50;
        assert!(blackout <= 0.31, "no more than the downtime limit: {blackout}");
    }
    let seen = forecast_watched(&rules, &happenings, passes[2]).unwrap().evidence;
    assert!((seen.bytes_per_s / reality.rate - 1.0).abs() < 0.01, "{seen:?}");
    assert!((seen.dirtied_bytes_per_s / reality.touched - 1.0).abs() < 0.1, "{seen:?}");
    // Before a pass has ended nothing is known, and when the guest stands still there is nothing to ask.
    assert_eq!(forecast_watched(&rules, &happenings, 0.5 * passes[0]), Err(ForecastError::NoPass));
    assert_eq!(forecast_watched(&rules, &happenings, end), Err(ForecastError::StoodStill));
}

#[test]
fn a_hypervisor_that_does_not_converge_has_levers_too() {
    let rules = Qemu { max_bandwidth: None, ..Qemu::default() };
    let reality = Reality { rate: 100e6, touched: 400e6, set: 3e9 };
    let (happenings, end) = hypervisor(&rules, reality, 4);
    assert_eq!(end, None);
    let forecast = forecast_watched(&rules, &happenings, 100.0).unwrap();
    // A set that is dirty all over says little of how fast it is written.
    assert!(line(&forecast, "leave it alone").completes < 0.02, "{forecast:?}");
    for lever in ["auto-converge", "post-copy now", "any pause is tolerated"] {
        assert!(line(&forecast, lever).completes > 0.9, "{lever}: {forecast:?}");
    }
    assert!(line(&forecast, "any pause is tolerated").blackout_s.unwrap().p50 > 5.0);
    let now = line(&forecast, "post-copy now");
    assert!(now.blackout_s.unwrap().p50 < 0.1, "only the devices: {now:?}");
    assert!(forecast.lines.iter().all(|line| line.lever.to_string() != "pause after this round"));
}

#[test]
fn a_short_pass_is_not_taken_for_a_faster_network_than_the_limit_allows() {
    let limit = sim_core::Bandwidth::from_mbit(400);
    let rules = Qemu { max_bandwidth: Some(limit), ..Qemu::default() };
    let (sent, dirty) = (Bytes::new(20_000_000), Bytes::new(16_000_000));
    let pass = Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent: 0 });
    // Four windows of 5 MB, of which the last was sent at once and not slept out.
    let at = |seconds: f64, input| Entry::Told(SimTime::ZERO + Span::from_secs_f64(seconds), input);
    let happenings = [at(0.0, Input::Begin), at(0.0, Input::Prepared), at(0.3, pass)];
    let seen = forecast_watched(&rules, &happenings, 0.3).unwrap().evidence;
    assert!(seen.bytes_per_s <= 50e6 && seen.bytes_per_s > 49e6, "{seen:?}");
}

#[test]
fn what_a_throttled_guest_writes_is_reckoned_as_of_a_guest_at_full_speed() {
    let rules = Qemu { max_bandwidth: None, ..Qemu::default() };
    let told = |throttle_percent: u32| {
        let pass = |seconds: u64, sent: u64, dirty: u64, throttle_percent| {
            let (sent, dirty) = (Bytes::new(sent), Bytes::new(dirty));
            let input = Input::Loop(LoopInput::Pass { sent, dirty, throttle_percent });
            Entry::Told(SimTime::ZERO + Span::from_secs(seconds), input)
        };
        let begin = [Input::Begin, Input::Prepared].map(|input| Entry::Told(SimTime::ZERO, input));
        let passes = [
            pass(20, 4_000_000_000, 1_000_000_000, throttle_percent),
            pass(25, 5_000_000_000, 300_000_000, throttle_percent),
        ];
        [&begin[..], &passes[..]].concat()
    };
    let rate = |throttle: u32| {
        let seen = forecast_watched(&rules, &told(throttle), 26.0).unwrap().evidence;
        (seen.dirtied_bytes_per_s, seen.speed)
    };
    let ((free, whole), (held, half)) = (rate(0), rate(50));
    assert_eq!((whole, half), (1.0, 0.5));
    assert!(held > 1.1 * free, "the second pass was half as long for the guest: {held}, {free}");
}
