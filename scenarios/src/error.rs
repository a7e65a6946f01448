//! What is wrong with a scenario: where it stands, what was expected, what would be right.
//!
//! Checks collect [`Problem`]s, which know places by number; a [`ScenarioError`] carries the texts
//! too, so that it can be shown when everything else is gone.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::read::at::Place;
use crate::read::tree::Stretch;
use crate::source::{Source, Sources};

/// So many problems of one scenario are told; more would only push the first off the screen.
const MAX_PROBLEMS: usize = 12;

/// A scenario that cannot be run, with every reason that was found.
///
/// It is a [`miette::Diagnostic`]: its labels underline the values in question, and further
/// problems of the same scenario are its related diagnostics.
#[derive(Debug, Clone)]
pub struct ScenarioError(Box<Report>);

#[derive(Debug, Clone)]
struct Report {
    message: String,
    path: Option<String>,
    source: Option<NamedSource<Arc<str>>>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    related: Vec<ScenarioError>,
}

impl ScenarioError {
    /// The path of the value in question, such as `hosts[1].memory`.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// What is wrong, without the path.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// This problem and all others that were found, in the order in which to mend them.
    pub fn all(&self) -> impl Iterator<Item = &ScenarioError> {
        std::iter::once(self).chain(&self.0.related)
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.path {
            Some(path) => write!(f, "{path}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl Error for ScenarioError {}

impl Diagnostic for ScenarioError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.0.help.as_deref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.0.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let related = &self.0.related;
        (!related.is_empty()).then(|| {
            Box::new(related.iter().map(|error| error as &dyn Diagnostic)) as Box<dyn Iterator<Item = _>>
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem(Box<Details>);

#[derive(Debug, Clone, PartialEq, Default)]
struct Details {
    message: String,
    place: Option<Place>,
    label: String,
    help: Option<String>,
    also: Option<(Place, String)>,
}

impl Problem {
    /// Something wrong with the value at `place`; `label` says briefly what, beside the value.
    pub(crate) fn at(place: Place, message: impl Into<String>, label: impl Into<String>) -> Problem {
        let mut problem = Problem::nowhere(message);
        problem.0.place = Some(place);
        problem.0.label = label.into();
        problem
    }

    /// Something wrong that no text shows.
    pub(crate) fn nowhere(message: impl Into<String>) -> Problem {
        Problem(Box::new(Details { message: message.into(), ..Details::default() }))
    }

    /// What would be right.
    pub(crate) fn help(self, help: impl Into<String>) -> Problem {
        self.maybe_help(Some(help.into()))
    }

    /// What would be right, if there is something to say.
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Problem {
        self.0.help = help.or(self.0.help);
        self
    }

    /// Another place that has to do with it.
    pub(crate) fn also(mut self, place: Place, label: impl Into<String>) -> Problem {
        self.0.also = Some((place, label.into()));
        self
    }

    fn into_report(self, sources: &Sources) -> ScenarioError {
        let Details { message, place, label, help, also } = *self.0;
        let source = place.and_then(|place| sources.get(place));
        let shown = |place: Place| source.map_or(place.stretch, |source| source.first_line_of(place.stretch));
        let first = place.map(|place| labelled(shown(place), &label, true));
        let mut labels: Vec<LabeledSpan> = first.into_iter().collect();
        let mut help = help;
        if let Some((other, text)) = also {
            if place.is_some_and(|place| place.file == other.file) {
                labels.push(labelled(shown(other), &text, false));
            } else if let Some(source) = sources.get(other) {
                let line = source.line_of(other.stretch.start);
                let note = format!("{text}: line {line} of {}", source.name);
                help = Some(help.map_or(note.clone(), |help| format!("{help}\n{note}")));
            }
        }
        ScenarioError(Box::new(Report {
            message,
            path: place.and_then(|place| source?.path_of(place)),
            source: source.map(Source::named),
            labels,
            help,
            related: Vec::new(),
        }))
    }
}

fn labelled(stretch: Stretch, text: &str, primary: bool) -> LabeledSpan {
    let text = (!text.is_empty()).then(|| text.to_string());
    let bytes = stretch.start as usize..stretch.end as usize;
    if primary {
        LabeledSpan::new_primary_with_span(text, bytes)
    } else {
        LabeledSpan::new_with_span(text, bytes)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem, unless it is known or there are enough.
    pub(crate) fn push(&mut self, problem: Problem) {
        if !self.are_enough() && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Notes what went wrong, if something did.
    pub(crate) fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Whether looking for more is a waste of time.
    pub(crate) fn are_enough(&self) -> bool {
        self.0.len() >= MAX_PROBLEMS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The error that tells them all.
    pub(crate) fn into_error(self, sources: &Sources) -> ScenarioError {
        let mut problems = self.0.into_iter();
        let first = problems.next();
        let first = first.unwrap_or_else(|| Problem::nowhere("the scenario could not be checked"));
        let mut error = first.into_report(sources);
        error.0.related = problems.map(|problem| problem.into_report(sources)).collect();
        error
    }
}
