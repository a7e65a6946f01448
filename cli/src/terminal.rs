//! What the terminal is and can: width and colour of standard output and standard error.

use std::io::{IsTerminal, stderr, stdout};

use indicatif::{ProgressBar, ProgressStyle};
use reports::{Colour, TableOptions};
use terminal_size::{Width, terminal_size_of};

/// Tables for standard output: as wide as a terminal is, coloured there unless `NO_COLOR` is set.
pub fn table_options() -> TableOptions {
    let colour = if stdout().is_terminal() && colour_is_wanted() { Colour::Always } else { Colour::Never };
    let width = terminal_size_of(stdout()).map(|(Width(width), _)| width);
    TableOptions { colour, width, ..TableOptions::default() }
}

/// The width of standard error, where that is a terminal.
pub fn error_width() -> Option<u16> {
    terminal_size_of(stderr()).map(|(Width(width), _)| width)
}

/// Whether to colour standard error.
pub fn error_has_colour() -> bool {
    stderr().is_terminal() && colour_is_wanted()
}

/// A bar on standard error, where that is a terminal.
pub fn progress(jobs: usize) -> ProgressBar {
    let bar = ProgressBar::new(jobs as u64);
    let template = "{elapsed_precise} {bar:40} {pos} of {len} runs, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// See no-color.org: set to anything but nothing, it asks for plain text.
fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
