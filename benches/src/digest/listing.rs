//! The file of digests: a line for each run of each scenario, and how two such files differ.
//!
//! ```text
//! # comment
//! DIGEST DIGEST DIGEST DIGEST DIGEST DIGEST  library/wan-window.ron | window 64 KiB
//! not run: there is no plan                  library/parts.ron
//! ```
//!
//! The name of a run is the file's path below `scenarios` and, where it has alternatives, the name of one.

use std::collections::BTreeMap;
use std::fmt;

use super::row::escaped;
use super::{COLUMNS, Digests};

/// A name separated from what is before it by this much.
const GAP: &str = "  ";
const NOT_RUN: &str = "not run: ";

/// One line: a run and its digests, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run.
    pub name: String,
    /// What it left; why it could not be run otherwise.
    pub result: Result<Digests, String>,
}

impl Entry {
    /// Names a run by its file below `scenarios` and its alternative.
    pub fn new(file: &str, alternative: Option<&str>, result: Result<Digests, String>) -> Entry {
        let file = escaped(file);
        let name = match alternative {
            Some(alternative) => format!("{file} | {}", escaped(alternative)),
            None => file,
        };
        Entry { name, result }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(digests) => write!(f, "{digests}{GAP}{}", self.name),
            // The reason last: it may hold anything but the end of the line.
            Err(reason) => write!(f, "{NOT_RUN}{}: {}", self.name, escaped(reason)),
        }
    }
}

/// Returns the text of a file of digests.
pub fn text(entries: &[Entry]) -> String {
    let mut text = String::from(
        "# Digests of what each scenario of the library and of the validation leaves: all alternatives, seed 1.\n\
         # A change that alters one says why in its commit. `cargo run --release -p benches --bin digests -- --help`\n\
         # tells how to write this file and how to see the texts that are digested.\n",
    );
    text.push_str(&format!("# {}{GAP}run of\n", COLUMNS.map(|column| format!("{column:16}")).join(" ")));
    for entry in entries {
        text.push_str(&format!("{entry}\n"));
    }
    text
}

/// Returns what differs between two files of digests, run by run, each with its old and its new line; empty
/// where nothing does.
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (by_name(old), by_name(new));
    let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let differing = names.into_iter().filter(|name| old.get(name) != new.get(name));
    differing
        .map(|name| {
            let what = match (old.get(name), new.get(name)) {
                (Some(old), Some(new)) => what_differs(old, new),
                (Some(_), None) => "is not run any more".to_owned(),
                _ => "is not in the file".to_owned(),
            };
            let line = |lines: &BTreeMap<&str, &str>| lines.get(name).map_or("none", |line| line).to_owned();
            format!("{name}: {what}\n  old {}\n  new {}", line(&old), line(&new))
        })
        .collect()
}

/// The lines of a file by the name of their run.
fn by_name(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| (name_of(line), line)).collect()
}

fn name_of(line: &str) -> &str {
    if let Some(rest) = line.strip_prefix(NOT_RUN) {
        return rest.split_once(": ").map_or(rest, |(name, _)| name);
    }
    // Each digest has 16 places and a space after it; a line that somebody shortened is its own name.
    line.get(17 * COLUMNS.len() - 1..).map_or(line, str::trim_start)
}

/// Says which digests of two lines of the same run are different.
fn what_differs(old: &str, new: &str) -> String {
    if old.starts_with(NOT_RUN) || new.starts_with(NOT_RUN) {
        return "differs in whether or why it can be run".to_owned();
    }
    let pairs = old.split_whitespace().zip(new.split_whitespace()).zip(COLUMNS);
    let columns: Vec<&str> = pairs.filter(|((old, new), _)| old != new).map(|(_, column)| column).collect();
    format!("differs in {}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, digests: [u64; COLUMNS.len()]) -> Entry {
        Entry::new(name, Some("25 GbE"), Ok(Digests(digests.map(|digest| (digest != 0).then_some(digest)))))
    }

    #[test]
    fn files_alike_have_no_differences() {
        let entries = [
            entry("a.ron", [1, 2, 3, 4, 5, 0]),
            Entry::new("b.ron", None, Err("there is no plan: give one\nin it".to_owned())),
        ];
        let text = text(&entries);
        assert_eq!(differences(&text, &text), Vec::<String>::new());
        assert_eq!(text.lines().count(), 6, "{text}");
        assert_eq!(by_name(&text).into_keys().collect::<Vec<_>>(), ["a.ron | 25 GbE", "b.ron"]);
    }

    #[test]
    fn a_difference_names_the_run_the_columns_and_both_lines() {
        let old = text(&[entry("a.ron", [1, 2, 3, 4, 5, 0]), entry("b.ron", [1; 6])]);
        let new = text(&[entry("a.ron", [1, 2, 3, 4, 6, 7]), entry("b.ron", [1; 6])]);
        let found = differences(&old, &new);
        let [difference] = found.as_slice() else { panic!("{found:?}") };
        assert!(
            difference.starts_with("a.ron | 25 GbE: differs in events, guests\n  old 0000"),
            "{difference}"
        );
        assert!(difference.contains("\n  new 0000"), "{difference}");
    }

    #[test]
    fn runs_that_come_or_go_are_differences() {
        let (one, none) = (text(&[entry("a.ron", [1; 6])]), text(&[]));
        assert!(differences(&one, &none)[0].contains("is not run any more"));
        assert!(differences(&none, &one)[0].contains("is not in the file"));
        let cannot = text(&[Entry::new("a.ron", Some("25 GbE"), Err("no plan".into()))]);
        assert!(differences(&one, &cannot)[0].contains("whether or why"));
    }
}
