//! How links or processors were used over time: the busiest, with their capacity.

use algorithms::records::{ResourceKind, ResourceRecord, RunRecords};
use plotters::prelude::RGBColor;

use super::axis::Axis;
use super::canvas::{
    self, AXIS, Anchor, BLUE, BROWN, Canvas, DrawError, GREEN, HEADING_HEIGHT, INK, Lettering, ORANGE,
    PURPLE, SKY, VERMILLION, WIDTH, write,
};
use super::legend::{self, Entry, Sample};
use super::plot::{Frame, LineLook, Plot, Stroke};
use crate::error::ReportError;
use crate::human;

const HEIGHT: i32 = 400;
const COLOURS: [RGBColor; 8] = [BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, BROWN, INK];
/// How many points a line has at most; of more, neighbours are merged into their mean.
const MOST_POINTS: usize = 600;
/// A capacity more than this many times the greatest use would press the lines to the ground.
const MOST_HEADROOM: f64 = 8.0;
const LONGEST_NAME: usize = 34;

/// The use of the up to eight busiest resources of `kind` over time, as SVG text.
pub fn usage_figure(run: &RunRecords, kind: ResourceKind) -> Result<String, ReportError> {
    let all: Vec<&ResourceRecord> = run.resources.iter().filter(|each| each.kind == kind).collect();
    let shown = busiest(&all);
    let (title, subtitle) = (title_of(kind), subtitle_of(&shown, all.len()));
    canvas::draw("the use of resources", title, HEIGHT, |canvas| {
        canvas::heading(canvas, title, &subtitle)?;
        paint(canvas, kind, &shown)
    })
}

fn paint(canvas: &Canvas, kind: ResourceKind, shown: &[&ResourceRecord]) -> Result<(), DrawError> {
    if shown.is_empty() {
        let middle = Lettering::SUBTITLE.anchor(Anchor::Middle);
        return write(canvas, "nothing was used, or metering was off", (WIDTH / 2, HEIGHT / 2), middle);
    }
    let most_used = shown.iter().flat_map(|each| finite(&each.used)).fold(0.0, f64::max);
    let capacities = capacities_in_view(shown, most_used);
    let entries = entries_of(kind, shown, &capacities);
    legend::draw(canvas, &entries, HEADING_HEIGHT)?;
    let top = HEADING_HEIGHT + legend::height(&entries) + 8;
    let frame = Frame { left: 92, right: WIDTH - 32, top, bottom: HEIGHT - 56 };
    let most = capacities.iter().copied().fold(most_used, f64::max);
    let end_s = shown.iter().map(|each| end_of(each)).fold(0.0, f64::max);
    let plot =
        Plot { canvas, x: Axis::time("Time since the run began", end_s), y: axis_of(kind, most), frame };
    plot.draw_axes()?;
    for capacity in &capacities {
        plot.line(&[(0.0, *capacity), (end_s, *capacity)], capacity_look())?;
    }
    // The busiest is drawn last, on top.
    for (index, resource) in shown.iter().enumerate().rev() {
        let look = LineLook { colour: COLOURS[index], width: 2, stroke: Stroke::Solid };
        plot.line(&steps(resource), look)?;
    }
    Ok(())
}

/// The resources with the greatest use over the whole run, busiest first.
fn busiest<'a>(all: &[&'a ResourceRecord]) -> Vec<&'a ResourceRecord> {
    let total = |each: &ResourceRecord| finite(&each.used).sum::<f64>();
    let mut used: Vec<(f64, &ResourceRecord)> = all.iter().map(|each| (total(each), *each)).collect();
    used.retain(|(total, _)| *total > 0.0);
    used.sort_by(|left, right| {
        right.0.total_cmp(&left.0).then_with(|| left.1.resource.cmp(&right.1.resource))
    });
    used.into_iter().take(COLOURS.len()).map(|(_, each)| each).collect()
}

/// The corners of the staircase that means over intervals are.
fn steps(resource: &ResourceRecord) -> Vec<(f64, f64)> {
    let merged = resource.used.len().div_ceil(MOST_POINTS).max(1);
    let width_s = resource.interval.as_secs_f64();
    let mut corners = Vec::new();
    for (index, samples) in resource.used.chunks(merged).enumerate() {
        let from_s = (index * merged) as f64 * width_s;
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        corners.push((from_s, mean));
        corners.push((from_s + samples.len() as f64 * width_s, mean));
    }
    corners
}

/// The capacities worth a line: each once, and none that is far above every use.
fn capacities_in_view(shown: &[&ResourceRecord], most_used: f64) -> Vec<f64> {
    let mut capacities: Vec<f64> = finite_of(shown.iter().map(|each| each.capacity)).collect();
    capacities.retain(|capacity| *capacity <= most_used * MOST_HEADROOM);
    capacities.sort_by(f64::total_cmp);
    capacities.dedup();
    capacities
}

fn entries_of(kind: ResourceKind, shown: &[&ResourceRecord], capacities: &[f64]) -> Vec<Entry> {
    let line = |stroke, colour, text| Entry { sample: Sample::Line(stroke, None), colour, text };
    let resources = shown
        .iter()
        .zip(COLOURS)
        .map(|(each, colour)| line(Stroke::Solid, colour, human::shortened(&each.resource, LONGEST_NAME)));
    let names: Vec<String> = capacities.iter().map(|capacity| amount(kind, *capacity)).collect();
    let capacity = (!names.is_empty())
        .then(|| line(Stroke::Dashed, AXIS, human::shortened(&format!("capacity {}", names.join(", ")), 60)));
    resources.chain(capacity).collect()
}

fn axis_of(kind: ResourceKind, most: f64) -> Axis {
    match kind {
        ResourceKind::Link => Axis::speed("Mean use", most),
        ResourceKind::Cpu => Axis::cores("Mean use", most),
        ResourceKind::Disk => Axis::bytes("Mean use each second", most),
        ResourceKind::Iops => Axis::operations("Mean operations", most),
    }
}

fn amount(kind: ResourceKind, value: f64) -> String {
    match kind {
        ResourceKind::Link => human::bits_per_second(value),
        ResourceKind::Cpu => format!("{} cores", human::digits(value, 3)),
        ResourceKind::Disk => format!("{}/s", human::bytes(value)),
        ResourceKind::Iops => format!("{} a second", human::digits(value, 3)),
    }
}

const fn title_of(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Link => "Link use over time",
        ResourceKind::Cpu => "Processor use by migration over time",
        ResourceKind::Disk => "Storage throughput over time",
        ResourceKind::Iops => "Storage operations over time",
    }
}

fn subtitle_of(shown: &[&ResourceRecord], all: usize) -> String {
    let Some(first) = shown.first() else {
        return String::new();
    };
    let interval = human::seconds(first.interval.as_secs_f64());
    let mut text = format!("means over {interval} · busiest {} of {all}", shown.len());
    let most_used = shown.iter().flat_map(|each| finite(&each.used)).fold(0.0, f64::max);
    let greatest = finite_of(shown.iter().map(|each| each.capacity)).fold(0.0, f64::max);
    if greatest > most_used * MOST_HEADROOM {
        text.push_str(&format!(" · capacity {} lies above the figure", amount(first.kind, greatest)));
    }
    text
}

const fn capacity_look() -> LineLook {
    LineLook { colour: AXIS, width: 2, stroke: Stroke::Dashed }
}

fn end_of(resource: &ResourceRecord) -> f64 {
    resource.used.len() as f64 * resource.interval.as_secs_f64()
}

fn finite(values: &[f64]) -> impl Iterator<Item = f64> {
    finite_of(values.iter().copied())
}

fn finite_of(values: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.filter(|value| value.is_finite())
}
