//! Forecasts of migrations under way: a controller is driven by a network and a guest that are known,
//! stopped at a moment, and forecast from what it had been told by then.

#![allow(clippy::unwrap_used, reason = "tests")]

use algorithms::controller::{Command, Input, MigrationController, MigrationOrder};
use algorithms::ids::MigrationId;
use algorithms::machine::Output;
use algorithms::page_loop::{PageCommand, PageInput};
use algorithms::policy::{HyperV, Policy, Qemu};
use algorithms::records::{MigrationRecord, Record};
use models::forecast::{Forecast, ForecastError, Happening, Situation};
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
    }
}

fn qemu() -> Policy {
    Policy::Qemu(Qemu { max_bandwidth: None, ..Qemu::default() })
}

/// Drives a controller to its end, or for at most `most` commands, and keeps what happened.
fn live(policy: Policy, reality: Reality, most: usize) -> (Vec<Happening>, Option<MigrationRecord>) {
    let mut controller = MigrationController::new(order(policy));
    let (mut now, mut counted, mut speed) = (SimTime::ZERO, SimTime::ZERO, 1.0);
    let (mut happenings, mut input) = (Vec::new(), Input::Begin);
    for _ in 0..most {
        happenings.push(Happening::Told(now, input.clone()));
        controller.handle(now, input).unwrap();
        let mut next = None;
        let mut ended = None;
        loop {
            match controller.poll() {
                Output::Command(command) => {
                    happenings.push(Happening::Wanted(command));
                    if let Command::Page(PageCommand::Throttle { percent }) = command {
                        speed = 1.0 - f64::from(percent) / 100.0;
                    } else {
                        next = Some(command);
                    }
                }
                Output::Record(Record::Migration(record)) => ended = Some(record),
                Output::Record(_) => {}
                Output::Wait(_) => break,
                Output::Done(_) => return (happenings, ended),
            }
        }
        input = match next.unwrap() {
            Command::Prepare => {
                counted = now;
                Input::Prepared
            }
            Command::Page(PageCommand::Send { bytes, .. }) => {
                now += Span::from_secs_f64(bytes.as_f64() / reality.rate);
                Input::Page(PageInput::RoundSent)
            }
            Command::Page(PageCommand::Count { unsent }) => {
                let seconds = now.since(counted).as_secs_f64() * speed;
                counted = now;
                let fresh = -reality.set * (-reality.touched * seconds / reality.set).exp_m1();
                let fresh = fresh * (1.0 - (unsent.as_f64() / reality.set).min(1.0));
                Input::Page(PageInput::Counted { dirty: unsent + Bytes::from_f64_floor(fresh) })
            }
            Command::Page(PageCommand::Pause) => Input::Page(PageInput::Paused),
            Command::Page(_) | Command::Commit => Input::Page(PageInput::Resumed),
            Command::Finish => Input::Finished,
            Command::Abort => Input::Aborted { sent: Bytes::ZERO },
            other => panic!("{other:?} is not for guests without disks"),
        };
    }
    (happenings, None)
}

fn forecast(policy: Policy, happenings: &[Happening], at: f64) -> Result<Forecast, ForecastError> {
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
    let wrong = [Happening::Told(SimTime::ZERO, Input::Finished)];
    assert!(matches!(forecast(qemu(), &wrong, 1.0), Err(ForecastError::NotReplayed { line: 1, .. })));
}
