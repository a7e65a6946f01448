//! How a command fails, and with which exit status.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use live::LiveError;
use live::qemu::QemuError;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use models::world::ModelError;
use reports::ReportError;
use scenarios::ScenarioError;
use thiserror::Error;

use crate::terminal;

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// A scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A model does not fit together, though its scenario was accepted.
    #[error("scenario `{scenario}` cannot be run: {source}")]
    Model { scenario: String, source: ModelError },
    /// A name that no scenario has.
    #[error("there is no {what} `{name}` in {scenario}; there are {known}")]
    Unknown { what: &'static str, name: String, scenario: String, known: String },
    /// A scenario has alternatives, and one must be chosen.
    #[error("{scenario} has several alternatives; name one by --alternative: {known}")]
    SeveralAlternatives { scenario: String, known: String },
    /// Plans were checked, and what was found has been told.
    #[error("{0}")]
    CannotRun(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    /// Measurements are wrong, or say too little.
    #[error("{0}")]
    Measurements(String),
    /// Something went wrong on real hosts.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Something went wrong with QEMU's machines, or a scenario asks for what they do not do.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// A migration of real hosts has ended, other than it should.
    #[error("{0}")]
    NotMoved(String),
    /// A report cannot be made or written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A file of records cannot be used.
    #[error("cannot compare `{}`: {what}", path.display())]
    NoRecords { path: PathBuf, what: String },
    /// A plan cannot be carried out.
    #[error("the plan `{}` cannot be used: {what}", path.display())]
    NoPlan { path: PathBuf, what: String },
    /// There is no forecast of a migration.
    #[error("no forecast from `{}`: {what}", path.display())]
    NoForecast { path: PathBuf, what: String },
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// Told to stop by Ctrl-C, before anything was done or after some was reported.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Tells the user on standard error.
    pub fn tell(&self) {
        match self {
            // `migtwin … | head` has what it wanted.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Failure::Scenario(error) => eprint!("Error: \n{}", diagnostic(error)),
            Failure::CannotRun(what) | Failure::NotMoved(what) => eprintln!("{what}"),
            other => {
                eprintln!("error: {other}");
                let mut cause = std::error::Error::source(other);
                while let Some(error) = cause {
                    eprintln!("  because: {error}");
                    cause = error.source();
                }
            }
        }
    }

    /// 1 for plans that cannot run, 2 for bad input, 3 for failures of real hosts, 130 for Ctrl-C.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Failure::Interrupted => ExitCode::from(130),
            Failure::CannotRun(_) => ExitCode::FAILURE,
            Failure::Qemu(QemuError::Scenario(_)) => ExitCode::from(2),
            Failure::Live(_) | Failure::Qemu(_) | Failure::NotMoved(_) => ExitCode::from(3),
            _ => ExitCode::from(2),
        }
    }
}

fn diagnostic(error: &dyn Diagnostic) -> String {
    let theme = if terminal::error_has_colour() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let width = terminal::error_width().unwrap_or(100);
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(usize::from(width));
    match handler.render_report(&mut text, error) {
        Ok(()) => text,
        Err(_) => format!("error: {error}\n"),
    }
}
