//! The framed part of a figure: grid, ticks, and lines and markers in the axes' units.

use plotters::element::{Circle, DashedPathElement, PathElement};
use plotters::prelude::RGBColor;
use plotters::style::{Color, ShapeStyle};

use super::axis::Axis;
use super::canvas::{AXIS, Anchor, Canvas, DrawError, GRID, Lettering, WHITE, fill, write};

/// A framed area with two axes.
pub(crate) struct Plot<'c, 'a> {
    pub canvas: &'c Canvas<'a>,
    pub x: Axis,
    pub y: Axis,
    pub frame: Frame,
}

/// Where the plot stands on the canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    pub bottom: i32,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LineLook {
    pub colour: RGBColor,
    pub width: u32,
    pub stroke: Stroke,
}

/// A line without gaps, or with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    Solid,
    Dashed,
}

/// The shape of a marker; simulated values are filled, closed forms hollow and larger, so
/// that they still show where the two agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    HollowCircle,
    HollowSquare,
}

impl Plot<'_, '_> {
    /// Draws grid lines, ticks and titles; lines and markers come on top of it.
    pub fn draw_axes(&self) -> Result<(), DrawError> {
        let Frame { left, right, top, bottom } = self.frame;
        for (place, label) in &self.x.ticks {
            let x = self.column(*place);
            self.straight((x, top), (x, bottom), GRID)?;
            write(self.canvas, label, (x, bottom + 14), Lettering::TICK.anchor(Anchor::Middle))?;
        }
        for (place, label) in &self.y.ticks {
            let y = self.row(*place);
            self.straight((left, y), (right, y), GRID)?;
            write(self.canvas, label, (left - 8, y), Lettering::TICK.anchor(Anchor::End))?;
        }
        self.straight((left, top), (left, bottom), AXIS)?;
        self.straight((left, bottom), (right, bottom), AXIS)?;
        let middle = Lettering::LABEL.anchor(Anchor::Middle);
        write(self.canvas, &self.x.title, ((left + right) / 2, bottom + 36), middle)?;
        write(self.canvas, &self.y.title, (24, (top + bottom) / 2), middle.upwards())
    }

    /// The pixel of a point in the axes' units; outside the axes, the nearest on the frame.
    pub fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.column(self.x.place(x)), self.row(self.y.place(y)))
    }

    /// A line through points; points that are no numbers are left out.
    pub fn line(&self, points: &[(f64, f64)], look: LineLook) -> Result<(), DrawError> {
        let pixels: Vec<(i32, i32)> = points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|point| self.pixel(*point))
            .collect();
        if pixels.len() < 2 {
            return Ok(());
        }
        let style = ShapeStyle::from(&look.colour).stroke_width(look.width);
        match look.stroke {
            Stroke::Solid => self.canvas.draw(&PathElement::new(pixels, style)),
            Stroke::Dashed => self.canvas.draw(&DashedPathElement::new(pixels, 6, 4, style)),
        }
    }

    /// A marker on each point.
    pub fn markers(&self, points: &[(f64, f64)], marker: Marker, colour: RGBColor) -> Result<(), DrawError> {
        for point in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            draw_marker(self.canvas, self.pixel(*point), marker, colour)?;
        }
        Ok(())
    }

    fn column(&self, place: f64) -> i32 {
        self.frame.left + (place * f64::from(self.frame.right - self.frame.left)).round() as i32
    }

    fn row(&self, place: f64) -> i32 {
        self.frame.bottom - (place * f64::from(self.frame.bottom - self.frame.top)).round() as i32
    }

    fn straight(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<(), DrawError> {
        self.canvas.draw(&PathElement::new([from, to], colour.stroke_width(1)))
    }
}

/// Draws one marker around a pixel.
pub(crate) fn draw_marker(
    canvas: &Canvas,
    (x, y): (i32, i32),
    marker: Marker,
    colour: RGBColor,
) -> Result<(), DrawError> {
    match marker {
        Marker::Circle => canvas.draw(&Circle::new((x, y), 4, colour.filled())),
        Marker::Square => fill(canvas, (x - 4, y - 4), (x + 4, y + 4), colour),
        Marker::HollowCircle => {
            canvas.draw(&Circle::new((x, y), 6, WHITE.filled()))?;
            canvas.draw(&Circle::new((x, y), 6, colour.stroke_width(2)))
        }
        Marker::HollowSquare => {
            fill(canvas, (x - 7, y - 7), (x + 7, y + 7), colour)?;
            fill(canvas, (x - 5, y - 5), (x + 5, y + 5), WHITE)
        }
    }
}
