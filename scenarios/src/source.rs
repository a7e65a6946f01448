//! The texts that a scenario was read from.

use std::sync::Arc;

use miette::NamedSource;
use serde::Deserialize;

use crate::error::Problem;
use crate::file::File;
use crate::nearest;
use crate::read::at::Place;
use crate::read::deserializer::{Document, NodeReader, ReadError, ReadProblem};
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

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a text and reads it.
    pub(crate) fn read(&mut self, name: String, text: &str) -> Result<File, Problem> {
        let file = self.0.len() as u32;
        let text: Arc<str> = text.into();
        let tree = parser::parse(&text);
        self.0.push(Source {
            name,
            text: Arc::clone(&text),
            tree: tree.as_ref().ok().cloned(),
        });
        let tree = tree.map_err(|error| syntax_problem(file, error))?;
        let document = Document { file, text: &text };
        let reader = NodeReader {
            document,
            node: &tree,
        };
        File::deserialize(reader).map_err(|error| read_problem(document, &tree, error))
    }
}

fn syntax_problem(file: u32, error: SyntaxError) -> Problem {
    let place = |stretch| Place { file, stretch };
    let (label, help) = match error.problem {
        SyntaxProblem::OpenComment => ("opened here", Some("close it with `*/`")),
        SyntaxProblem::OpenText => ("opened here", Some("close it with `\"`")),
        SyntaxProblem::Unexpected('\'') => ("here", Some("texts stand in double quotes: \"node1\"")),
        SyntaxProblem::Unexpected(',') => ("here", Some("one comma is enough between two values")),
        SyntaxProblem::Unexpected(')' | ']' | '}') => (
            "here",
            Some("a value, or a bracket of another kind, is missing before it"),
        ),
        SyntaxProblem::EndOfText => (
            "the text ends here",
            Some("close what is still open, or give a value"),
        ),
        SyntaxProblem::NoComma(_) => ("after this", None),
        SyntaxProblem::NoColon => (
            "after this",
            Some("fields are written `name: value`, separated by commas"),
        ),
        SyntaxProblem::Trailing => (
            "from here on",
            Some("a scenario is one pair of round brackets: ( … )"),
        ),
        SyntaxProblem::Unexpected(_) | SyntaxProblem::TooDeep | SyntaxProblem::TooMany => ("here", None),
    };
    let problem = Problem::at(place(error.stretch), error.problem.to_string(), label);
    let problem = problem.maybe_help(help.map(str::to_string));
    match error.opened {
        Some(opened) => problem.also(place(opened), "the bracket that it is in"),
        None => problem,
    }
}

fn read_problem(document: Document<'_>, tree: &Node, error: ReadError) -> Problem {
    let stretch = error.stretch.unwrap_or(tree.stretch);
    let place = Place {
        file: document.file,
        stretch: first_line_of(document.text, stretch),
    };
    let message = error.to_string();
    match error.problem {
        ReadProblem::Custom(reason) => match reason.split_once("; ") {
            Some((reason, help)) => Problem::at(place, reason, "this value").help(help),
            None => Problem::at(place, reason, "this value"),
        },
        ReadProblem::WrongType { expected, .. } => {
            Problem::at(place, message, format!("expected {expected}")).maybe_help(None)
        }
        ReadProblem::UnknownField { name, allowed } => {
            let problem = Problem::at(place, message, label_for(&name, allowed, "no such field"));
            problem.help(format!("fields here: {}", allowed.join(", ")))
        }
        ReadProblem::UnknownVariant { name, allowed } => {
            let problem = Problem::at(place, message, label_for(&name, allowed, "not one of them"));
            problem.help(format!("expected one of: {}", allowed.join(", ")))
        }
        ReadProblem::MissingField(name) => Problem::at(place, message, format!("has no `{name}`"))
            .help(format!("add `{name}: …` within these brackets")),
        ReadProblem::DuplicateField(_) => Problem::at(place, message, "given again in here"),
    }
}

fn label_for(name: &str, allowed: &[&str], otherwise: &str) -> String {
    nearest::word(name, allowed.iter().copied())
        .map_or(otherwise.to_string(), |word| format!("did you mean `{word}`?"))
}

/// Of a value that fills many lines, only its first line: the rest would bury what is wrong.
fn first_line_of(text: &str, stretch: Stretch) -> Stretch {
    let line = stretch.of(text).lines().next().unwrap_or("");
    Stretch {
        start: stretch.start,
        end: stretch.start + line.trim_end().len() as u32,
    }
}
