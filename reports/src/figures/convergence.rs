//! The convergence map: bandwidth across, dirty rate or downtime limit upwards, passes in each cell.

use algorithms::closed_form::convergence::Explanation;
use algorithms::closed_form::map::{Against, ConvergenceMap};
use plotters::element::PathElement;
use plotters::prelude::RGBColor;
use plotters::style::Color;

use super::canvas::{
    self, Anchor, Canvas, DrawError, HEADING_HEIGHT, INK, Lettering, PALE_GREY, VERMILLION, WHITE, WIDTH,
    fill, write,
};
use crate::convergence::{column_label, row_label};
use crate::error::ReportError;
use crate::human;

const LEFT: i32 = 120;
const TOP: i32 = HEADING_HEIGHT + 16;
const CELL: (i32, i32) = (47, 24);
/// Passes that are shown in the darkest colour; more are no different to the eye.
const MANY_PASSES: f64 = 40.0;

/// The map of a guest as SVG text. A cell holds the passes until pre-copy converges, and a dash where it
/// does not; the guest as it is has a frame.
pub fn convergence_figure(explanation: &Explanation, map: &ConvergenceMap) -> Result<String, ReportError> {
    let title = format!("Where pre-copy of {} converges", explanation.vm);
    let subtitle = format!(
        "{} to {} · {} over {} · passes in each cell, – where it does not converge",
        explanation.source,
        explanation.destination,
        human::bytes(explanation.memory_bytes),
        human::bits_per_second(explanation.rate * 8.0),
    );
    let height = TOP + CELL.1 * map.rows.len() as i32 + 64;
    canvas::draw("the convergence map", &title, height, |canvas| {
        canvas::heading(canvas, &title, &subtitle)?;
        paint(canvas, map)
    })
}

fn paint(canvas: &Canvas, map: &ConvergenceMap) -> Result<(), DrawError> {
    let bottom = TOP + CELL.1 * map.rows.len() as i32;
    for (row, cells) in map.passes.iter().enumerate() {
        let top = bottom - CELL.1 * (row as i32 + 1);
        for (column, passes) in cells.iter().enumerate() {
            paint_cell(canvas, (LEFT + CELL.0 * column as i32, top), *passes)?;
        }
        let at = (LEFT - 10, top + CELL.1 / 2);
        write(canvas, &row_label(map, row), at, Lettering::TICK.anchor(Anchor::End))?;
    }
    // Every second column has room for its label.
    for column in (0..map.rates.len()).step_by(2) {
        let at = (LEFT + CELL.0 * column as i32 + CELL.0 / 2, bottom + 14);
        write(canvas, &column_label(map, column), at, Lettering::TICK.size(10.0).anchor(Anchor::Middle))?;
    }
    paint_here(canvas, map, bottom)?;
    let middle = Lettering::LABEL.anchor(Anchor::Middle);
    write(canvas, "Bandwidth", ((LEFT + WIDTH - 40) / 2, bottom + 38), middle)?;
    let upwards = match map.against {
        Against::DirtyRate => "Dirty rate, times as it is",
        Against::DowntimeLimit => "Downtime limit",
    };
    write(canvas, upwards, (24, (TOP + bottom) / 2), middle.upwards())
}

fn paint_cell(canvas: &Canvas, (left, top): (i32, i32), passes: Option<u32>) -> Result<(), DrawError> {
    let corner = (left + CELL.0 - 1, top + CELL.1 - 1);
    let middle = (left + CELL.0 / 2, top + CELL.1 / 2);
    let Some(passes) = passes else {
        fill(canvas, (left, top), corner, PALE_GREY)?;
        return write(canvas, "–", middle, Lettering::TICK.anchor(Anchor::Middle));
    };
    let share = (f64::from(passes.max(1)).ln() / MANY_PASSES.ln()).min(1.0);
    let mix = |light: u8, dark: u8| (f64::from(light) + (f64::from(dark) - f64::from(light)) * share) as u8;
    fill(canvas, (left, top), corner, RGBColor(mix(214, 0), mix(233, 90), mix(248, 150)))?;
    let colour = if share > 0.6 { WHITE } else { INK };
    let look = Lettering { colour, ..Lettering::TICK }.anchor(Anchor::Middle);
    write(canvas, &passes.to_string(), middle, look)
}

fn paint_here(canvas: &Canvas, map: &ConvergenceMap, bottom: i32) -> Result<(), DrawError> {
    let (column, row) = map.here;
    let (left, low) = (LEFT + CELL.0 * column as i32, bottom - CELL.1 * row as i32);
    let (right, high) = (left + CELL.0 - 1, low - CELL.1);
    let frame = vec![(left, low - 1), (right, low - 1), (right, high), (left, high), (left, low - 1)];
    canvas.draw(&PathElement::new(frame, VERMILLION.stroke_width(3)))
}
