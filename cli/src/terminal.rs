//! What the terminal is and can: width and colour of standard output and standard error.

use std::io::{IsTerminal, stderr, stdout};

use terminal_size::{Width, terminal_size_of};

/// The width of standard output, where that is a terminal.
pub fn output_width() -> Option<u16> {
    terminal_size_of(stdout()).map(|(Width(width), _)| width)
}

/// Whether to colour standard output: on a terminal, unless `NO_COLOR` is set.
pub fn output_has_colour() -> bool {
    stdout().is_terminal() && colour_is_wanted()
}

/// The width of standard error, where that is a terminal.
pub fn error_width() -> Option<u16> {
    terminal_size_of(stderr()).map(|(Width(width), _)| width)
}

/// Whether to colour standard error.
pub fn error_has_colour() -> bool {
    stderr().is_terminal() && colour_is_wanted()
}

/// See no-color.org: set to anything but nothing, it asks for plain text.
fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
