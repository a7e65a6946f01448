//! The `migtwin` command: reads the command line, calls the crates that do the work, and turns what
//! went wrong into messages and exit statuses. Data goes to standard output, all else to standard
//! error.

mod arguments;
mod calibrate;
mod check;
mod compare_runs;
mod events;
mod explain;
mod failure;
mod live;
mod measurements;
mod plan;
mod predict;
mod presets;
mod simulate;
mod terminal;
mod validate;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use arguments::{Arguments, Command, PlanWhat};
use failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Validate(arguments) => validate::run(arguments),
        Command::Calibrate(arguments) => calibrate::run(arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Plan { what: PlanWhat::Drain(arguments) } => plan::run(arguments),
        Command::CompareRuns(arguments) => compare_runs::run(arguments),
        Command::Events(arguments) => events::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Live(arguments) => live::run(arguments),
        Command::Presets { output } => presets::run(output.format),
        Command::Schema => schema(),
        Command::Completions { shell } => completions(*shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

fn schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&scenarios::schema()).map_err(std::io::Error::from)?;
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "migtwin", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
