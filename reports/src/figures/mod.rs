//! Figures as SVG text: alternatives side by side, rounds of a migration, a plan over time, use of links and processors.
//!
//! Drawn by plotters in whole pixels of a fixed size that a page may scale. Colours are those of
//! Okabe and Ito, which stay apart for the colour-blind; no meaning hangs on colour alone. Without
//! a font library text cannot be measured, so that layouts leave room for wide letters.

mod alternatives;
mod axis;
mod canvas;
mod convergence;
mod gantt;
mod legend;
mod plot;
mod rounds;
mod usage;

pub use alternatives::alternatives_figure;
pub use convergence::convergence_figure;
pub use gantt::gantt_figure;
pub use rounds::rounds_figure;
pub use usage::usage_figure;
