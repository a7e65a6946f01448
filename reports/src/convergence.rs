//! Whether and why guests converge, as text.

use std::path::{Path, PathBuf};

use algorithms::closed_form::convergence::{Explanation, StopAt};
use algorithms::closed_form::map::{Against, ConvergenceMap};

use crate::error::ReportError;
use crate::export::{make_directory, write_text};
use crate::figures::convergence_figure;
use crate::human;

/// From so many bytes per second on, no bandwidth is enough.
const NO_BANDWIDTH: f64 = 1e14;

/// What there is to say of one guest, in a few lines.
pub fn explanation_text(explanation: &Explanation) -> String {
    let Explanation { vm, source, destination, convergence, .. } = explanation;
    let mut text = format!("{vm} · {source} → {destination} · {}\n", verdict(explanation));
    let mut line = |what: &str, says: String| text.push_str(&format!("  {what:<12}  {says}\n"));
    line(
        "link",
        format!(
            "{}, as far as {} allows",
            human::bits_per_second(explanation.rate * 8.0),
            explanation.limited_by
        ),
    );
    line(
        "λ",
        format!(
            "{} in the first pass ({} in {}), {} at the stop ({})",
            ratio(convergence.lambda_first),
            human::bytes(explanation.first_pass_bytes),
            human::seconds(explanation.first_pass_bytes / explanation.rate),
            ratio(convergence.lambda_at_stop),
            human::bytes(convergence.threshold_bytes),
        ),
    );
    line("fixed point", fixed_point(explanation));
    line("bandwidth", bandwidth(explanation));
    if let StopAt::Seconds(has) = explanation.stop {
        line("downtime", downtime(convergence.seconds_needed, has));
    }
    text
}

/// The map in characters: `#` where pre-copy converges, `.` where it does not, `@` or `o` the guest as it
/// is, where it does and where it does not.
pub fn map_text(map: &ConvergenceMap) -> String {
    let mut text = match map.against {
        Against::DirtyRate => "  dirty rate, times as it is\n".to_string(),
        Against::DowntimeLimit => "  downtime limit\n".to_string(),
    };
    for row in (0..map.rows.len()).rev() {
        let cell = |column: usize| match (map.passes[row][column], (column, row) == map.here) {
            (Some(_), true) => " @",
            (None, true) => " o",
            (Some(_), false) => " #",
            (None, false) => " .",
        };
        let cells: String = (0..map.rates.len()).map(cell).collect();
        text.push_str(&format!("  {:>8} {cells}\n", row_label(map, row)));
    }
    let (first, last) = (column_label(map, 0), column_label(map, map.rates.len() - 1));
    let room = (2 * map.rates.len()).saturating_sub(first.chars().count() + last.chars().count());
    text.push_str(&format!("  {:>8}  {first}{}{last}\n", "", " ".repeat(room.saturating_sub(1))));
    text
}

/// Writes the map of each guest into `directory`, which is created where it is missing; gives what was
/// written.
pub fn write_convergence<'a>(
    directory: &Path,
    maps: impl Iterator<Item = (&'a Explanation, &'a ConvergenceMap)>,
) -> Result<Vec<PathBuf>, ReportError> {
    make_directory(directory)?;
    let mut written = Vec::new();
    for (index, (explanation, map)) in maps.enumerate() {
        let path = directory.join(format!("convergence-{:03}.svg", index + 1));
        written.push(write_text(path, &convergence_figure(explanation, map)?)?);
    }
    Ok(written)
}

pub(crate) fn row_label(map: &ConvergenceMap, row: usize) -> String {
    match map.against {
        Against::DirtyRate => format!("{}×", human::digits(map.rows[row], 3)),
        Against::DowntimeLimit => human::seconds(map.rows[row]),
    }
}

pub(crate) fn column_label(map: &ConvergenceMap, column: usize) -> String {
    human::bits_per_second(map.rates[column] * 8.0)
}

fn verdict(explanation: &Explanation) -> String {
    match (explanation.convergence.passes, explanation.most_passes) {
        (Some(passes), Some(most)) if passes > most => {
            format!("stops after {most} passes, would converge in {passes}")
        }
        (Some(1), _) => "converges in 1 pass".to_string(),
        (Some(passes), _) => format!("converges in {passes} passes"),
        (None, Some(most)) => format!("does not converge, stops after {most} passes"),
        (None, None) => "does not converge".to_string(),
    }
}

fn fixed_point(explanation: &Explanation) -> String {
    let (at, stop) = (explanation.convergence.fixed_point_bytes, explanation.convergence.threshold_bytes);
    let each = human::seconds(at / explanation.rate);
    if at < 1.0 {
        "none: every pass is shorter than the one before".to_string()
    } else if at <= stop {
        format!("{}, below the stop: passes get there", human::bytes(at))
    } else {
        format!("{}: while a pass sends it, in {each}, as much is dirtied", human::bytes(at))
    }
}

fn bandwidth(explanation: &Explanation) -> String {
    let needed = explanation.convergence.rate_needed;
    if needed > NO_BANDWIDTH {
        return "none is enough".to_string();
    }
    format!("converges from {} on", human::bits_per_second(needed * 8.0))
}

fn downtime(needed: f64, has: f64) -> String {
    let has = human::pause(has);
    if needed <= 0.0 {
        return format!("converges with any limit; has {has}");
    }
    format!("converges with a limit above {}; has {has}", human::pause(needed))
}

fn ratio(lambda: f64) -> String {
    if lambda.is_finite() { human::digits(lambda, 3) } else { human::NOTHING.to_string() }
}
