//! The texts that a scenario was read from.

use std::sync::Arc;

use miette::NamedSource;
use serde::Deserialize;

use crate::error::Problem;
use crate::file::File;
use crate::nearest;
use crate::presets::presets;
use crate::read::at::Place;
use crate::read::deserializer::{Document, NodeReader};
use crate::read::error::{ReadError, ReadProblem};
use crate::read::parser::{self, SyntaxError, SyntaxProblem};
use crate::read::tree::{Node, Stretch};

/// A text with its name.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    text: Arc<str>,
    tree: Option<Node>,
}

impl Source {
    pub(crate) fn named(&self) -> NamedSource<Arc<str>> {
        NamedSource::new(&self.name, Arc::clone(&self.text))
    }

    /// The path of the value at a place, as people write it.
    pub(crate) fn path_of(&self, place: Place) -> Option<String> {
        let path = self.tree.as_ref()?.path_to(&self.text, place.stretch);
        (!path.is_empty()).then_some(path)
    }

    /// A stretch for showing: of a value that fills many lines only the first, since the rest would
    /// bury what is wrong.
    pub(crate) fn first_line_of(&self, stretch: Stretch) -> Stretch {
        let line = stretch.of(&self.text).lines().next().unwrap_or("");
        Stretch { start: stretch.start, end: stretch.start + line.trim_end().len() as u32 }
    }

    /// The number of the line that `offset` is in, from 1.
    pub(crate) fn line_of(&self, offset: u32) -> usize {
        let before = self.text.get(..offset as usize).unwrap_or("");
        before.matches('\n').count() + 1
    }
}

/// All texts of a scenario, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    pub(crate) fn get(&self, place: Place) -> Option<&Source> {
        self.0.get(place.file as usize)
    }

    /// The opening bracket of the first text.
    pub(crate) fn opening(&self) -> Place {
        let tree = self.0.first().and_then(|source| source.tree.as_ref());
        let start = tree.map_or(0, |tree| tree.stretch.start);
        Place { file: 0, stretch: Stretch { start, end: start + 1 } }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a text and reads it.
    pub(crate) fn read(&mut self, name: String, text: &str) -> Result<File, Problem> {
        let file = self.0.len() as u32;
        let text: Arc<str> = text.into();
        let document = Document { file, text: &text };
        let (tree, read) = match parser::parse(&text) {
            Ok(node) => {
                let reader = NodeReader { document, node: &node };
                let read = File::deserialize(reader).map_err(|error| read_problem(document, &node, error));
                (Some(node), read)
            }
            Err(error) => (None, Err(syntax_problem(file, error))),
        };
        // Kept even where it could not be read: the problem is shown in it.
        self.0.push(Source { name, text: Arc::clone(&text), tree });
        read
    }
}

/// The problem that a text is not RON.
fn syntax_problem(file: u32, error: SyntaxError) -> Problem {
    let place = |stretch| Place { file, stretch };
    let (label, help) = words_for(error.problem, error.opened.is_some());
    let problem = Problem::at(place(error.stretch), error.problem.to_string(), label);
    let problem = problem.maybe_help(help.map(str::to_string));
    match error.opened {
        Some(opened) => problem.also(place(opened), "this bracket is still open"),
        None => problem,
    }
}

/// What to write beside the place, and what would be right.
fn words_for(problem: SyntaxProblem, within_brackets: bool) -> (&'static str, Option<&'static str>) {
    match problem {
        SyntaxProblem::OpenComment => ("opened here", Some("close it with `*/`")),
        SyntaxProblem::OpenText => ("opened here", Some("close it with `\"`")),
        SyntaxProblem::Unexpected('\'') => ("here", Some("texts stand in double quotes: \"node1\"")),
        SyntaxProblem::Unexpected(',') => ("here", Some("one comma is enough between two values")),
        SyntaxProblem::Unexpected(')' | ']' | '}') => {
            ("here", Some("a value, or a bracket of another kind, is missing before it"))
        }
        SyntaxProblem::EndOfText if within_brackets => {
            ("the text ends here", Some("close what is still open, or give a value"))
        }
        SyntaxProblem::EndOfText => {
            ("nothing is here", Some("the shortest scenario has (hosts: […], vms: […], plan: […])"))
        }
        SyntaxProblem::FieldInList => ("this is a field", Some("is a `]` missing before it?")),
        SyntaxProblem::NoColon => {
            ("after this", Some("fields are written `name: value`, with commas between"))
        }
        SyntaxProblem::Trailing => ("from here on", Some("a scenario is one pair of round brackets: ( … )")),
        SyntaxProblem::NoComma(_) => ("after this", None),
        SyntaxProblem::Unexpected(_) | SyntaxProblem::TooDeep | SyntaxProblem::TooMany => ("here", None),
    }
}

/// The problem that a text is RON, but not of the right form.
fn read_problem(document: Document<'_>, tree: &Node, error: ReadError) -> Problem {
    let place = Place { file: document.file, stretch: error.stretch.unwrap_or(tree.stretch) };
    let message = error.to_string();
    match error.problem {
        ReadProblem::Custom(reason) => match reason.split_once("; ") {
            Some((reason, help)) => Problem::at(place, reason, meant_unit(reason, help)).help(help),
            None => Problem::at(place, reason, "here"),
        },
        ReadProblem::WrongType { found, expected } => {
            Problem::at(place, format!("found {found}"), format!("expected {expected}"))
        }
        ReadProblem::UnknownField { name, allowed } => {
            let otherwise = match name.as_str() {
                "count" | "number" | "replicas" => "several are written `name: \"vm{1..20}\"`",
                _ => "no such field",
            };
            let problem = Problem::at(place, message, meant(&name, allowed, otherwise));
            problem.help(format!("fields here: {}", allowed.join(", ")))
        }
        ReadProblem::UnknownVariant { name, allowed } => {
            let is_preset = presets().iter().any(|preset| preset.name == name);
            let label = if is_preset {
                format!("the name of a preset stands in quotes: \"{name}\"")
            } else {
                meant(&name, allowed, "not one of them")
            };
            Problem::at(place, message, label).help(format!("expected one of: {}", allowed.join(", ")))
        }
        ReadProblem::MissingField(name) => Problem::at(place, message, format!("has no `{name}`"))
            .help(format!("add `{name}: …` within these brackets")),
        ReadProblem::DuplicateField(_) => Problem::at(place, message, "the second time"),
    }
}

fn meant(name: &str, allowed: &[&str], otherwise: &str) -> String {
    nearest::word(name, allowed.iter().copied())
        .map_or(otherwise.to_string(), |word| format!("did you mean `{word}`?"))
}

/// The unit that was probably meant. serde hands an error of [`sim_core::QuantityError`] on as text:
/// "`8 Gib` has the unknown unit `Gib`", "a size is written in GiB, MiB, like …".
fn meant_unit(reason: &str, help: &str) -> String {
    let guess = || {
        let (_, unit) = reason.split_once("unknown unit `")?;
        let (_, units) = help.split_once("written in ")?;
        let (units, _) = units.split_once(", like")?;
        let meant = nearest::word(unit.trim_end_matches('`'), units.split(", "))?;
        Some(format!("did you mean `{meant}`?"))
    };
    guess().unwrap_or("here".to_string())
}
