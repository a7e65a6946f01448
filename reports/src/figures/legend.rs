//! Legends: in rows between heading and plot, where they cannot cover data.

use plotters::prelude::RGBColor;

use plotters::element::{DashedPathElement, PathElement};
use plotters::style::{Color, ShapeStyle};

use super::canvas::{Canvas, DrawError, Lettering, WIDTH, fill, text_width, write};
use super::plot::{Marker, Stroke, draw_marker};

/// One entry: a sample of the look, and what it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub sample: Sample,
    pub colour: RGBColor,
    pub text: String,
}

/// What is shown beside an entry's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Line(Stroke, Option<Marker>),
    Thick,
    Thin,
    Tick,
    Cross,
}

const LEFT: i32 = 24;
const ROW_HEIGHT: i32 = 20;
const SAMPLE_WIDTH: i32 = 28;
const GAP: i32 = 22;

/// The height that a legend takes, in pixels.
pub(crate) fn height(entries: &[Entry]) -> i32 {
    places(entries).last().map_or(0, |(_, row)| (row + 1) * ROW_HEIGHT + 6)
}

/// Draws a legend whose first row begins at `top`.
pub(crate) fn draw(canvas: &Canvas, entries: &[Entry], top: i32) -> Result<(), DrawError> {
    for (entry, (x, row)) in entries.iter().zip(places(entries)) {
        let y = top + row * ROW_HEIGHT + ROW_HEIGHT / 2;
        draw_sample(canvas, entry, (x, y))?;
        write(canvas, &entry.text, (x + SAMPLE_WIDTH + 6, y), Lettering::LABEL)?;
    }
    Ok(())
}

/// Each entry's left edge and row: as many to a row as fit.
fn places(entries: &[Entry]) -> Vec<(i32, i32)> {
    let (mut x, mut row) = (LEFT, 0);
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let width = SAMPLE_WIDTH + 6 + text_width(&entry.text, Lettering::LABEL.size);
        if x > LEFT && x + width > WIDTH - LEFT {
            (x, row) = (LEFT, row + 1);
        }
        places.push((x, row));
        x += width + GAP;
    }
    places
}

fn draw_sample(canvas: &Canvas, entry: &Entry, (x, y): (i32, i32)) -> Result<(), DrawError> {
    let (end, middle) = (x + SAMPLE_WIDTH, x + SAMPLE_WIDTH / 2);
    let style = ShapeStyle::from(&entry.colour).stroke_width(2);
    match entry.sample {
        Sample::Line(stroke, marker) => {
            match stroke {
                Stroke::Solid => canvas.draw(&PathElement::new([(x, y), (end, y)], style))?,
                Stroke::Dashed => canvas.draw(&DashedPathElement::new([(x, y), (end, y)], 6, 4, style))?,
            }
            marker.map_or(Ok(()), |marker| draw_marker(canvas, (middle, y), marker, entry.colour))
        }
        Sample::Thick => fill(canvas, (x, y - 5), (end, y + 5), entry.colour),
        Sample::Thin => fill(canvas, (x, y - 1), (end, y + 1), entry.colour),
        Sample::Tick => fill(canvas, (middle - 2, y - 7), (middle + 2, y + 7), entry.colour),
        Sample::Cross => draw_cross(canvas, (middle, y), 4, entry.colour),
    }
}

/// Draws a cross whose arms reach `arm` pixels.
pub(crate) fn draw_cross(
    canvas: &Canvas,
    (x, y): (i32, i32),
    arm: i32,
    colour: RGBColor,
) -> Result<(), DrawError> {
    let style = colour.stroke_width(2);
    canvas.draw(&PathElement::new([(x - arm, y - arm), (x + arm, y + arm)], style))?;
    canvas.draw(&PathElement::new([(x - arm, y + arm), (x + arm, y - arm)], style))
}
