//! A migration round by round: bytes sent and dirty bytes left, simulated and in closed form.

use algorithms::closed_form::ClosedFormRound;
use algorithms::ids::MigrationId;
use algorithms::records::{MigrationRecord, RoundPhase, RoundRecord, RunRecords};
use plotters::prelude::RGBColor;

use super::axis::Axis;
use super::canvas::{
    self, Anchor, BAND, BLUE, Canvas, DrawError, FAINT_INK, HEADING_HEIGHT, Lettering, VERMILLION, WIDTH,
    fill, write,
};
use super::legend::{self, Entry, Sample};
use super::plot::{Frame, LineLook, Marker, Plot, Stroke};
use crate::error::ReportError;
use crate::{human, words};

const HEIGHT: i32 = 420;

/// How far apart values may lie on a linear axis, as a ratio: two decades.
const MOST_LINEAR_RATIO: f64 = 100.0;

/// The rounds of `migration` as SVG text, with the closed form beside them (or an empty slice).
///
/// Sizes are on a logarithmic axis where they span more than two decades; a size of zero then
/// stands on the lower edge. The stop-and-copy round is shaded.
pub fn rounds_figure(
    run: &RunRecords,
    migration: MigrationId,
    closed_form: &[ClosedFormRound],
) -> Result<String, ReportError> {
    let rounds: Vec<&RoundRecord> = run.rounds.iter().filter(|each| each.migration == migration).collect();
    let record = run.migrations.iter().find(|each| each.migration == migration);
    let lines = lines_of(&rounds, closed_form);
    let title = record.map_or("Rounds".to_string(), |record| format!("Rounds of {}", record.vm));
    let subtitle = record.map_or(String::new(), subtitle_of);
    canvas::draw("the rounds of a migration", &title, HEIGHT, |canvas| {
        canvas::heading(canvas, &title, &subtitle)?;
        paint(canvas, &rounds, &lines)
    })
}

/// One line of the figure: round numbers and bytes.
struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    stroke: Stroke,
    marker: Marker,
}

fn lines_of(rounds: &[&RoundRecord], closed_form: &[ClosedFormRound]) -> Vec<Line> {
    let simulated = |bytes: fn(&RoundRecord) -> f64| {
        rounds.iter().map(|round| (f64::from(round.round), bytes(round))).collect::<Vec<_>>()
    };
    let predicted = |bytes: fn(&ClosedFormRound) -> f64| {
        closed_form.iter().map(|round| (f64::from(round.round), bytes(round))).collect::<Vec<_>>()
    };
    let line = |name, points, colour, stroke, marker| Line { name, points, colour, stroke, marker };
    // The closed form comes first, so that what happened lies on top of what was predicted.
    let lines = [
        line(
            "sent, closed form",
            predicted(|round| round.bytes_sent),
            BLUE,
            Stroke::Dashed,
            Marker::HollowCircle,
        ),
        line(
            "dirty left, closed form",
            predicted(|round| round.dirty_bytes_left),
            VERMILLION,
            Stroke::Dashed,
            Marker::HollowSquare,
        ),
        line(
            "sent in the round",
            simulated(|round| round.bytes_sent.as_f64()),
            BLUE,
            Stroke::Solid,
            Marker::Circle,
        ),
        line(
            "dirty when it ended",
            simulated(|round| round.dirty_bytes_left.as_f64()),
            VERMILLION,
            Stroke::Solid,
            Marker::Square,
        ),
    ];
    lines.into_iter().filter(|line| !line.points.is_empty()).collect()
}

fn paint(canvas: &Canvas, rounds: &[&RoundRecord], lines: &[Line]) -> Result<(), DrawError> {
    // Drawn last, read first: what happened, then what was predicted.
    let simulated = lines.iter().filter(|line| line.stroke == Stroke::Solid);
    let predicted = lines.iter().filter(|line| line.stroke == Stroke::Dashed);
    let entries: Vec<Entry> = simulated.chain(predicted).map(entry_of).collect();
    legend::draw(canvas, &entries, HEADING_HEIGHT)?;
    let top = HEADING_HEIGHT + legend::height(&entries) + 8;
    let frame = Frame { left: 112, right: WIDTH - 32, top, bottom: HEIGHT - 56 };
    let last = lines.iter().flat_map(|line| &line.points).map(|(round, _)| *round as u32).max();
    let Some(last) = last else {
        let middle = Lettering::SUBTITLE.anchor(Anchor::Middle);
        return write(canvas, "no rounds: nothing was sent", (WIDTH / 2, HEIGHT / 2), middle);
    };
    let plot = Plot { canvas, x: Axis::numbers("Round", last), y: size_axis(lines), frame };
    shade_stop_and_copy(&plot, rounds)?;
    plot.draw_axes()?;
    for line in lines {
        draw_line(&plot, line)?;
    }
    Ok(())
}

/// Draws a line and its markers. A logarithmic axis has no zero: a marker on the lower edge that
/// says so stands for it, and the line does not lead there.
fn draw_line(plot: &Plot, line: &Line) -> Result<(), DrawError> {
    let look = LineLook { colour: line.colour, width: 2, stroke: line.stroke };
    let reachable = |bytes: f64| bytes > 0.0 || !plot.y.is_logarithmic();
    let drawn: Vec<(f64, f64)> = line.points.iter().copied().filter(|(_, bytes)| reachable(*bytes)).collect();
    plot.line(&drawn, look)?;
    plot.markers(&line.points, line.marker, line.colour)?;
    for point in line.points.iter().filter(|(_, bytes)| !reachable(*bytes)) {
        let (x, y) = plot.pixel(*point);
        write(plot.canvas, "0 B", (x + 10, y - 10), Lettering { colour: line.colour, ..Lettering::TICK })?;
    }
    Ok(())
}

fn size_axis(lines: &[Line]) -> Axis {
    let sizes =
        || lines.iter().flat_map(|line| &line.points).map(|(_, bytes)| *bytes).filter(|bytes| *bytes > 0.0);
    let most = sizes().fold(0.0, f64::max);
    let least = sizes().fold(f64::INFINITY, f64::min);
    if most / least > MOST_LINEAR_RATIO {
        return Axis::bytes_logarithmic("Bytes", least, most);
    }
    Axis::bytes("Bytes", most)
}

fn shade_stop_and_copy(plot: &Plot, rounds: &[&RoundRecord]) -> Result<(), DrawError> {
    let Some(pause) = rounds.iter().find(|round| round.phase == RoundPhase::StopAndCopy) else {
        return Ok(());
    };
    let number = f64::from(pause.round);
    let (left, _) = plot.pixel((number - 0.5, 0.0));
    let (right, _) = plot.pixel((number + 0.5, 0.0));
    fill(plot.canvas, (left, plot.frame.top), (right, plot.frame.bottom), BAND)?;
    let look = Lettering { colour: FAINT_INK, ..Lettering::TICK }.anchor(Anchor::End);
    write(plot.canvas, "guest paused", (right - 6, plot.frame.top + 12), look)
}

fn entry_of(line: &Line) -> Entry {
    Entry {
        sample: Sample::Line(line.stroke, Some(line.marker)),
        colour: line.colour,
        text: line.name.to_string(),
    }
}

fn subtitle_of(record: &MigrationRecord) -> String {
    format!(
        "{} → {} · {} in {} · blackout {} · {} rounds · {}",
        record.source,
        record.destination.as_deref().unwrap_or(human::NOTHING),
        words::spoken(words::outcome(record.outcome)),
        human::seconds(record.total.as_secs_f64()),
        human::pause(record.blackout.as_secs_f64()),
        record.rounds,
        record.reason,
    )
}
