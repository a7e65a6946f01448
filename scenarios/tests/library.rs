//! Every scenario of the library can be loaded and run, and shows what it promises.

use std::path::{Path, PathBuf};

use algorithms::records::{Outcome, RunRecords};
use models::world::{RunOptions, simulate};
use scenarios::{Scenario, ScenarioRun, load};

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("library")
}

fn scenario(name: &str) -> Scenario {
    match load(library().join(name).with_extension("ron")) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{name}: {:?}", miette::Report::new(error)),
    }
}

fn run(scenario: &Scenario, run: &ScenarioRun) -> RunRecords {
    let options = RunOptions {
        seed: scenario.seed,
        ..RunOptions::default()
    };
    match simulate(&run.model, &options) {
        Ok(records) => records,
        Err(error) => panic!("{}: {error}", scenario.name),
    }
}

/// Prints what was simulated beside what was measured; see it with `--nocapture`.
#[allow(clippy::print_stdout)]
fn print(run: &ScenarioRun, records: &RunRecords) {
    let name = run.alternative.as_deref().unwrap_or("");
    println!(
        "{} {name}: makespan {:.2} s",
        run.model.name,
        records.run.makespan.as_secs_f64()
    );
    for value in run.measured.iter().flat_map(|measured| &measured.values) {
        println!(
            "    measured {:?} {:?}: {}",
            value.subject, value.quantity, value.value
        );
    }
    for m in records.migrations.iter().take(20) {
        let started = m.started.map_or(f64::NAN, |at| at.as_secs_f64());
        println!(
            "    {} {} → {:?}: {:?}, start {started:.2} s, total {:.2} s, blackout {:.3} s, {} rounds, {}",
            m.vm,
            m.source,
            m.destination,
            m.outcome,
            m.total.as_secs_f64(),
            m.blackout.as_secs_f64(),
            m.rounds,
            m.reason
        );
    }
}

#[test]
fn every_scenario_loads_runs_and_describes_itself() {
    let files = std::fs::read_dir(library()).unwrap();
    let mut count = 0;
    for file in files.map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "ron") {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let scenario = scenario(stem);
            assert_eq!(&*scenario.name, stem);
            assert!(scenario.description.is_some(), "{stem}");
            for alternative in &scenario.runs {
                let records = run(&scenario, alternative);
                print(alternative, &records);
                assert!(!records.migrations.is_empty());
                let completed = |outcome| outcome == Outcome::Completed;
                assert!(records.migrations.iter().all(|m| completed(m.outcome)), "{stem}");
            }
            count += 1;
        }
    }
    assert!(count >= 6);
}
