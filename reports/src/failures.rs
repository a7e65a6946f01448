//! What went wrong in a run, as text: a paragraph for each kind, with its likely cause and the command
//! that helps. A command may be longer than any line; it stands alone, so that it can be copied.

use algorithms::records::RunRecords;

use crate::grid;

/// So many kinds of failures are told in the terminal.
const KINDS_TOLD: usize = 8;

/// What went wrong; empty where nothing did.
pub fn failures_text(run: &RunRecords) -> String {
    let grid = grid::failures(run);
    let place = |heading: &str| grid.columns.iter().position(|column| column.heading == heading);
    let mut text = String::new();
    for row in grid.rows.iter().take(KINDS_TOLD) {
        let cell = |heading: &str| place(heading).map_or("", |place| row.cells[place].as_str());
        let event = match cell("event id") {
            "" => String::new(),
            id => format!(", event {id}"),
        };
        let times = if cell("times") == "1" { String::new() } else { format!(", {} times", cell("times")) };
        text.push_str(&format!(
            "  {}{event}{times}: {}: {}\n    likely: {}\n    try: {}\n",
            cell("kind"),
            cell("whom"),
            cell("what"),
            cell("likely cause"),
            cell("what helps"),
        ));
    }
    match grid.rows.len() {
        0 => text,
        kinds if kinds > KINDS_TOLD => {
            format!("What went wrong\n{text}  and {} more kinds of failures\n", kinds - KINDS_TOLD)
        }
        _ => format!("What went wrong\n{text}"),
    }
}
