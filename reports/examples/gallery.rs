//! Writes one report of every kind into a directory, to be looked at after a change of figures or
//! page: `cargo run -p reports --example gallery -- /tmp/gallery`.

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

use std::path::Path;

use algorithms::ids::MigrationId;
use reports::{ReportError, ReportInput, TableOptions, report_text, write_report};

fn main() -> Result<(), ReportError> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "/tmp/migtwin-gallery".to_string());
    let kinds = [
        ("small", small()),
        ("drain-320", of_runs(vec![fixtures::drain(320)])),
        ("drain-30", of_runs(vec![fixtures::drain(30)])),
        ("drain-1", of_runs(vec![fixtures::drain(1)])),
        ("drain-2000", of_runs(vec![fixtures::drain(2000)])),
        ("alternatives", alternatives()),
        ("nothing", of_runs(vec![fixtures::empty("nothing")])),
    ];
    for (name, input) in kinds {
        let directory = Path::new(&directory).join(name);
        let written = write_report(&directory, &input)?;
        let text = report_text(&input, TableOptions::default());
        std::fs::write(directory.join("terminal.txt"), text)
            .map_err(|source| ReportError::Write { path: directory.clone(), source })?;
        eprintln!("{name}: {} files in {}", written.len(), directory.display());
    }
    Ok(())
}

fn of_runs(runs: Vec<algorithms::records::RunRecords>) -> ReportInput {
    ReportInput { runs, version: "0.1.0".into(), ..Default::default() }
}

fn small() -> ReportInput {
    let mut input = of_runs(vec![fixtures::small()]);
    input.measured.insert(0, fixtures::measured());
    input.closed_forms.insert((0, MigrationId(0)), fixtures::closed_form(8, 50));
    input.closed_forms.insert((0, MigrationId(1)), fixtures::closed_form(64, 600));
    input.command = Some("migtwin simulate precopy-101.ron --seed 42 --out report".into());
    input
}

/// Two alternatives of twelve replications, the second without failures.
fn alternatives() -> ReportInput {
    let mut runs = Vec::new();
    for replication in 0..12 {
        for alternative in ["10 GbE", "2 × 10 GbE, RDMA"] {
            let mut run = fixtures::drain(24 + replication);
            run.run.alternative = Some(fixtures::name(alternative));
            run.run.replication = replication;
            if alternative != "10 GbE" {
                run.migrations.retain(|each| each.migration.0 != 17);
            }
            runs.push(run);
        }
    }
    of_runs(runs)
}
