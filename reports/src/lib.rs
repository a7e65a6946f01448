//! Tables, figures and pages from the records that runs leave behind.
//!
//! A run, planned or actual, leaves [`RunRecords`]; this crate reads those and nothing else.
//! Beside them may stand what others [measured](algorithms::measured) and what a
//! [closed form](algorithms::closed_form) predicts.
//!
//! ```text
//!                        ┌─ frames  ─ export    Parquet and CSV, for programs and spreadsheets
//!  records ──────────────┼─ json                one object, version 2, for programs; and read back
//!                        ├─ planned_actual      a run beside its plan, and why they differ
//!   + measured ─ compare ┼─ grid ─┬─ table      text for the terminal
//!   + closed forms       │        └─ page ──┐   one HTML file
//!                        └─ figures ────────┘   SVG
//! ```
//!
//! Files for programs keep base units (bytes, seconds, bits per second) and every digit; what people
//! read is rounded and has its units. Terminal and page show the same grids, so that they cannot
//! disagree. Nothing here decides, simulates or measures.
//!
//! # First use
//!
//! ```
//! use std::sync::Arc;
//! use algorithms::records::{Origin, RunRecord, RunRecords};
//! use reports::{ReportInput, TableOptions, report_text, write_report};
//! use sim_core::Span;
//!
//! // A run comes from a driver; here is one in which nothing happened.
//! let run = RunRecord {
//!     scenario: Arc::from("precopy-101"),
//!     alternative: None,
//!     seed: 42,
//!     replication: 0,
//!     origin: Origin::Planned,
//!     makespan: Span::from_millis(16_381),
//! };
//! let records =
//!     RunRecords { run, migrations: vec![], rounds: vec![], resources: vec![], events: vec![], guests: vec![] };
//! let input = ReportInput { runs: vec![records], version: "0.1.0".into(), ..Default::default() };
//!
//! let text = report_text(&input, TableOptions::default());
//! assert!(text.contains("makespan      16.38 s"));
//!
//! let directory = std::env::temp_dir().join("migtwin-reports-first-use");
//! let written = write_report(&directory, &input)?;
//! assert!(written[0].ends_with("report.html"));
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`RunRecords`]: algorithms::records::RunRecords

#![allow(clippy::disallowed_methods, reason = "figures and rounded numbers for people are no records")]

pub mod compare;
mod convergence;
mod drain_plan;
mod error;
mod export;
mod failures;
mod figures;
pub mod frames;
mod grid;
mod human;
mod import;
pub mod json;
mod page;
pub mod planned_actual;
mod report;
mod sending;
mod summary;
mod table;
mod words;

pub use compare::{Comparison, ComparisonSummary, ErrorSummary, compare, summarise};
pub use convergence::{explanation_text, map_text, write_convergence};
pub use drain_plan::drain_plan_text;
pub use error::ReportError;
pub use export::{write_frames, write_text};
pub use failures::failures_text;
pub use figures::{alternatives_figure, convergence_figure, gantt_figure, rounds_figure, usage_figure};
pub use import::read_parquet;
pub use json::{RunJson, are_records, read_runs, run_json};
pub use page::page;
pub use planned_actual::{comparison_page, comparison_text, planned_actual};
pub use report::{ReportInput, report_json, write_report};
pub use sending::SendingSummary;
pub use summary::{Alternative, RunSummary, alternatives};
pub use table::{
    Colour, TableOptions, alternatives_table, comparison_table, migrations_table, plain_table,
    replications_table, report_text, rounds_tables, summary_text,
};
