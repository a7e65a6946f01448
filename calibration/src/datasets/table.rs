//! A CSV whose values know where they stand.

use csv::{ReaderBuilder, StringRecord};

use super::{DataError, MOST_ROWS, Source};

/// A table with a header.
pub(super) struct Table {
    file: String,
    header: StringRecord,
    rows: Vec<StringRecord>,
}

/// A row of a [`Table`].
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    table: &'a Table,
    record: &'a StringRecord,
}

impl Table {
    /// Reads all of a source. Every row must have as many values as the header.
    pub(super) fn read(source: &Source) -> Result<Table, DataError> {
        let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.text.as_bytes());
        let syntax = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            let (file, what) = (source.name.clone(), error.to_string());
            DataError::Syntax { file, line, column: 1, what }
        };
        let header = reader.headers().map_err(syntax)?.clone();
        let mut rows = Vec::new();
        for record in reader.records() {
            if rows.len() >= MOST_ROWS {
                return Err(DataError::TooManyRows { file: source.name.clone() });
            }
            rows.push(record.map_err(syntax)?);
        }
        Ok(Table { file: source.name.clone(), header, rows })
    }

    /// Whether it has all of these columns.
    pub(super) fn has(&self, columns: &[&str]) -> bool {
        columns.iter().all(|column| self.header.iter().any(|name| name == *column))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|record| Row { table: self, record })
    }
}

impl<'a> Row<'a> {
    /// The text in a column; empty where there is no such column.
    pub(super) fn text(&self, column: &str) -> &'a str {
        self.index(column).and_then(|index| self.record.get(index)).unwrap_or("")
    }

    /// A number of zero or more in a column.
    pub(super) fn number(&self, column: &str) -> Result<f64, DataError> {
        let number = self.text(column).parse::<f64>().ok();
        number
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| self.wrong(column, "a number, zero or more"))
    }

    /// The same, or `default` where the column is absent or empty.
    pub(super) fn number_or(&self, column: &str, default: f64) -> Result<f64, DataError> {
        if self.text(column).is_empty() { Ok(default) } else { self.number(column) }
    }

    /// A number above zero.
    pub(super) fn positive(&self, column: &str) -> Result<f64, DataError> {
        let number = self.number(column)?;
        if number > 0.0 { Ok(number) } else { Err(self.wrong(column, "a number above zero")) }
    }

    /// A whole number that fits 32 bits.
    pub(super) fn count(&self, column: &str) -> Result<u32, DataError> {
        self.text(column).parse().map_err(|_| self.wrong(column, "a whole number"))
    }

    /// The line on which the row begins.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The row as a whole is wrong.
    pub(super) fn problem(&self, what: String) -> DataError {
        DataError::Row { file: self.table.file.clone(), line: self.line(), what }
    }

    fn index(&self, column: &str) -> Option<usize> {
        self.table.header.iter().position(|name| name == column)
    }

    fn wrong(&self, column: &str, expected: &'static str) -> DataError {
        let before = self.record.iter().take(self.index(column).unwrap_or(0));
        let place: usize = before.map(|value| value.chars().count() + 1).sum();
        DataError::Value {
            file: self.table.file.clone(),
            line: self.line(),
            column: place as u64 + 1,
            name: column.to_string(),
            value: self.text(column).to_string(),
            expected,
        }
    }
}
