//! The grid of planned beside measured, and its summary in words.

use algorithms::measured::Quantity;

use super::{Grid, Tone, left, right};
use crate::compare::{Comparison, ErrorSummary, summarise};
use crate::report::LabelledComparisons;
use crate::{human, words};

/// One row for each measured value.
pub(crate) fn comparison(comparisons: &[Comparison]) -> Grid {
    labelled_comparison(&[(String::new(), comparisons.to_vec())])
}

/// One row for each measured value of each alternative, named where it has a name.
pub(crate) fn labelled_comparison(alternatives: &[LabelledComparisons]) -> Grid {
    let mut grid = Grid::new([
        left("alternative"),
        left("of"),
        left("quantity"),
        right("planned"),
        right("measured"),
        right("error"),
        left("note"),
    ]);
    for (label, each) in
        alternatives.iter().flat_map(|(label, all)| all.iter().map(move |each| (label, each)))
    {
        let tone = if each.planned.is_none() { Tone::Warning } else { Tone::Plain };
        grid.push(tone, cells(label, each));
    }
    grid.without_if_empty("alternative").without_if_empty("note")
}

/// The errors in sentences: predicted values first, calibrated ones apart.
pub(crate) fn summary_lines(comparisons: &[Comparison]) -> Vec<String> {
    let summary = summarise(comparisons);
    let predicted = line("Error over the values that were predicted", summary.predicted);
    let calibrated =
        line("Over those that a parameter was fitted to, which proves nothing", summary.calibrated);
    predicted.into_iter().chain(calibrated).collect()
}

fn cells(label: &str, each: &Comparison) -> Vec<String> {
    vec![
        label.to_string(),
        words::subject(&each.subject).to_string(),
        words::quantity(each.quantity).to_string(),
        each.planned.map_or(human::NOTHING.to_string(), |planned| shown(each.quantity, planned)),
        shown(each.quantity, each.measured),
        each.error_pct.map_or(human::NOTHING.to_string(), human::signed_percent),
        note(each),
    ]
}

fn note(each: &Comparison) -> String {
    let calibrated = each.calibrated.then(|| "calibrated".to_string());
    let notes: Vec<String> = calibrated.into_iter().chain(each.missing.clone()).collect();
    notes.join("; ")
}

fn shown(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Makespan | Quantity::Started | Quantity::Total => human::seconds(value),
        Quantity::Blackout => human::pause(value),
        Quantity::MemoryBytesSent | Quantity::StorageBytesSent => human::bytes(value),
        Quantity::Rounds => human::digits(value, 3),
    }
}

fn line(over: &str, errors: ErrorSummary) -> Option<String> {
    if errors.compared + errors.not_compared + errors.at_zero == 0 {
        return None;
    }
    let counted = |count: usize, what: &str| match count {
        0 => String::new(),
        count => format!(", {count} {what}"),
    };
    let left_out =
        counted(errors.not_compared, "without a counterpart") + &counted(errors.at_zero, "measured as zero");
    let (Some(mean), Some(worst)) = (errors.mean_absolute_pct, errors.worst_pct) else {
        return Some(format!("{over}: none could be compared{left_out}"));
    };
    Some(format!(
        "{over}: mean {}, worst {} ({} compared{left_out})",
        human::percent(mean),
        human::signed_percent(worst),
        errors.compared,
    ))
}
