//! The sheet on which a figure is drawn: its colours, its text, and the way to SVG.

use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, DrawingAreaErrorKind, FontStyle, IntoDrawingArea, IntoTextStyle, RGBColor, Rectangle,
    SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform};

use crate::error::ReportError;

pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// The width of every figure, in pixels.
pub(crate) const WIDTH: i32 = 960;

pub(crate) const WHITE: RGBColor = RGBColor(255, 255, 255);
pub(crate) const INK: RGBColor = RGBColor(31, 41, 55);
pub(crate) const FAINT_INK: RGBColor = RGBColor(85, 95, 110);
pub(crate) const AXIS: RGBColor = RGBColor(120, 128, 140);
pub(crate) const GRID: RGBColor = RGBColor(228, 231, 236);
pub(crate) const BAND: RGBColor = RGBColor(243, 244, 246);
pub(crate) const GREY: RGBColor = RGBColor(160, 166, 175);
pub(crate) const PALE_GREY: RGBColor = RGBColor(214, 218, 224);

// Okabe and Ito, "Color Universal Design", 2008; yellow left out, since it vanishes on white.
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(crate) const VERMILLION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const PURPLE: RGBColor = RGBColor(204, 121, 167);
pub(crate) const BROWN: RGBColor = RGBColor(122, 85, 40);

/// How a piece of text is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lettering {
    pub size: f64,
    pub colour: RGBColor,
    pub weight: Weight,
    pub anchor: Anchor,
    pub direction: Direction,
}

/// How heavy letters are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weight {
    Normal,
    Bold,
}

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Which way a text runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Across,
    Upwards,
}

impl Lettering {
    pub const TITLE: Lettering = Lettering::new(17.0, INK, Weight::Bold);
    pub const SUBTITLE: Lettering = Lettering::new(13.0, FAINT_INK, Weight::Normal);
    pub const LABEL: Lettering = Lettering::new(12.0, INK, Weight::Normal);
    pub const TICK: Lettering = Lettering::new(12.0, FAINT_INK, Weight::Normal);

    const fn new(size: f64, colour: RGBColor, weight: Weight) -> Lettering {
        Lettering { size, colour, weight, anchor: Anchor::Start, direction: Direction::Across }
    }

    pub const fn anchor(self, anchor: Anchor) -> Lettering {
        Lettering { anchor, ..self }
    }

    pub const fn size(self, size: f64) -> Lettering {
        Lettering { size, ..self }
    }

    pub const fn upwards(self) -> Lettering {
        Lettering { direction: Direction::Upwards, ..self }
    }
}

/// Draws a figure of `height` pixels. `description` is what a screen reader says of it.
pub(crate) fn draw(
    figure: &'static str,
    description: &str,
    height: i32,
    paint: impl FnOnce(&Canvas) -> Result<(), DrawError>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
    let drawn = canvas.fill(&WHITE).and_then(|()| paint(&canvas)).and_then(|()| canvas.present());
    drop(canvas);
    drawn.map_err(|error| ReportError::Figure { figure, message: error.to_string() })?;
    let label = format!("<svg role=\"img\" aria-label=\"{}\" ", crate::page::escape(&printable(description)));
    Ok(svg.replacen("<svg ", &label, 1))
}

/// Writes `text` with its middle line at `at.1`.
pub(crate) fn write(canvas: &Canvas, text: &str, at: (i32, i32), look: Lettering) -> Result<(), DrawError> {
    // The backend divides every size by 1.24.
    let weight = match look.weight {
        Weight::Normal => FontStyle::Normal,
        Weight::Bold => FontStyle::Bold,
    };
    let across = match look.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let turn = match look.direction {
        Direction::Across => FontTransform::None,
        Direction::Upwards => FontTransform::Rotate270,
    };
    let style = ("sans-serif", look.size * 1.24, weight).into_text_style(canvas);
    let style = style.color(&look.colour).pos(Pos::new(across, VPos::Center)).transform(turn);
    canvas.draw(&Text::new(printable(text), at, style))
}

/// Fills the rectangle between two corners.
pub(crate) fn fill(
    canvas: &Canvas,
    from: (i32, i32),
    to: (i32, i32),
    colour: RGBColor,
) -> Result<(), DrawError> {
    canvas.draw(&Rectangle::new([from, to], colour.filled()))
}

/// The title and the line under it; figures go on below [`HEADING_HEIGHT`].
pub(crate) fn heading(canvas: &Canvas, title: &str, subtitle: &str) -> Result<(), DrawError> {
    write(canvas, &crate::human::shortened(title, 92), (24, 24), Lettering::TITLE)?;
    write(canvas, &crate::human::shortened(subtitle, 130), (24, 46), Lettering::SUBTITLE)
}

/// Where the heading ends, in pixels from the top.
pub(crate) const HEADING_HEIGHT: i32 = 60;

/// A careful guess at the width of `text` in pixels, rather too wide than too narrow.
pub(crate) fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * 0.55).ceil() as i32
}

/// `text` without the characters that XML forbids even when escaped.
fn printable(text: &str) -> String {
    let allowed = |letter: char| !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|letter| if allowed(letter) { letter } else { '\u{fffd}' }).collect()
}
