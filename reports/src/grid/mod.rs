//! Tables without a look: what stands in which cell.
//!
//! The terminal and the page show the same grids, so that they cannot disagree.

mod comparison;
mod failures;
mod migrations;
mod overview;

pub(crate) use comparison::{comparison, labelled_comparison, summary_lines};
pub(crate) use failures::failures;
pub(crate) use migrations::{events, migrations, migrations_in_full, rounds};
pub(crate) use overview::{alternatives, replications, sending, summary};

/// A table without a look.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Grid {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

/// A column's heading and side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Column {
    pub heading: &'static str,
    pub side: Side,
}

/// To which side a column's cells go: text left, numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub cells: Vec<String>,
    pub tone: Tone,
}

/// How much a row wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Warning,
    Bad,
}

impl Grid {
    /// A grid of these columns, without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Grid {
        Grid { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, tone: Tone, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for every column");
        self.rows.push(Row { cells, tone });
    }

    /// Drops the column `heading` where no row has anything in it.
    pub fn without_if_empty(mut self, heading: &str) -> Grid {
        let place = self.place_of(heading);
        if place.is_some_and(|place| self.rows.iter().all(|row| row.cells[place].is_empty())) {
            self.take_column(heading);
        }
        self
    }

    /// Takes the column `heading` out and gives its cells; none where there is no such column.
    pub fn take_column(&mut self, heading: &str) -> Vec<String> {
        let Some(place) = self.place_of(heading) else {
            return Vec::new();
        };
        self.columns.remove(place);
        self.rows.iter_mut().map(|row| row.cells.remove(place)).collect()
    }

    /// The letters of the widest cell in each column, heading included.
    pub fn widths(&self) -> Vec<usize> {
        let letters = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let widest = |place: usize| self.rows.iter().map(|row| letters(&row.cells[place])).max();
        let columns = self.columns.iter().enumerate();
        columns.map(|(place, column)| letters(column.heading).max(widest(place).unwrap_or(0))).collect()
    }

    fn place_of(&self, heading: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.heading == heading)
    }
}

/// A column of text.
pub(crate) const fn left(heading: &'static str) -> Column {
    Column { heading, side: Side::Left }
}

/// A column of numbers.
pub(crate) const fn right(heading: &'static str) -> Column {
    Column { heading, side: Side::Right }
}
