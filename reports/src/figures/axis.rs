//! Axes: from values to a place between 0 and 1, with ticks at round numbers of a fitting unit.

/// One axis. Places run from 0 (left or bottom) to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
    /// Each tick's place and label.
    pub ticks: Vec<(f64, String)>,
    /// What the axis shows, and the unit.
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// A unit: its size in the base unit, and its name.
type Unit = (f64, &'static str);

const KIB: f64 = 1024.0;
const BYTES: [Unit; 5] =
    [(1.0, "B"), (KIB, "KiB"), (KIB * KIB, "MiB"), (KIB * KIB * KIB, "GiB"), (KIB * KIB * KIB * KIB, "TiB")];
const SPEEDS: [Unit; 4] = [(1.0, "bit/s"), (1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s")];
const TIMES: [Unit; 3] = [(1e-6, "µs"), (1e-3, "ms"), (1.0, "s")];
const CORES: [Unit; 1] = [(1.0, "cores")];
const OPERATIONS: [Unit; 3] = [(1.0, "a second"), (1e3, "thousand a second"), (1e6, "million a second")];

/// From how many seconds on minutes are the unit, as in the tables.
const MINUTES_FROM_S: f64 = 600.0;
/// From how many seconds on hours are the unit.
const HOURS_FROM_S: f64 = 3.0 * 3600.0;

/// About the most steps on a logarithmic axis.
const MOST_LOG_STEPS: i32 = 8;

impl Axis {
    /// Time from 0 to exactly `most_s` seconds.
    pub fn time(what: &str, most_s: f64) -> Axis {
        let most_s = positive_or(most_s, 1.0);
        let unit = match most_s {
            HOURS_FROM_S.. => (3600.0, "h"),
            MINUTES_FROM_S.. => (60.0, "min"),
            _ => unit_for(most_s, &TIMES, 2.0),
        };
        Axis::linear(what, most_s, unit, End::Exact)
    }

    /// Sizes from 0 to at least `most` bytes.
    pub fn bytes(what: &str, most: f64) -> Axis {
        let most = positive_or(most, 1.0);
        Axis::linear(what, most, unit_for(most, &BYTES, 1.0), End::Round)
    }

    /// Speeds from 0 to at least `most` bits per second.
    pub fn speed(what: &str, most: f64) -> Axis {
        let most = positive_or(most, 1.0);
        Axis::linear(what, most, unit_for(most, &SPEEDS, 1.0), End::Round)
    }

    /// Processors from 0 to at least `most` cores.
    pub fn cores(what: &str, most: f64) -> Axis {
        Axis::linear(what, positive_or(most, 1.0), CORES[0], End::Round)
    }

    /// Operations from 0 to at least `most` a second.
    pub fn operations(what: &str, most: f64) -> Axis {
        let most = positive_or(most, 1.0);
        Axis::linear(what, most, unit_for(most, &OPERATIONS, 1.0), End::Round)
    }

    /// Whole numbers from 1 to `most`, with half a step of room at both ends.
    pub fn numbers(what: &str, most: u32) -> Axis {
        let (low, high) = (0.5, f64::from(most.max(1)) + 0.5);
        let step = nice_step(high - low, 20.0).max(1.0);
        let mut axis = Axis { low, high, scale: Scale::Linear, ticks: Vec::new(), title: what.to_string() };
        let steps = 1..=(high / step) as u32;
        let first = (step > 1.0).then_some(1.0);
        let values = first.into_iter().chain(steps.map(|index| f64::from(index) * step));
        axis.ticks = values.map(|value| (axis.place(value), format!("{value}"))).collect();
        axis
    }

    /// Sizes by their logarithm, from at most `least` (above zero) to at least `most` bytes.
    pub fn bytes_logarithmic(what: &str, least: f64, most: f64) -> Axis {
        let least = positive_or(least, 1.0).max(1.0);
        let most = positive_or(most, 2.0).max(least * 2.0);
        let (from, to) = (least.log2(), most.log2());
        let span = (to - from).ceil() as i32;
        // Only powers of two that divide ten meet every unit: 1 KiB, 1 MiB, 1 GiB.
        let step = [1, 2, 5, 10].into_iter().find(|step| span / step < MOST_LOG_STEPS).unwrap_or(20);
        // A quarter of a step below the least leaves room for what stands for zero.
        let first = (from / f64::from(step) - 0.25).floor() as i32 * step;
        let last = (to / f64::from(step)).ceil() as i32 * step;
        let mut axis = Axis {
            low: f64::from(first),
            high: f64::from(last),
            scale: Scale::Logarithmic,
            ticks: Vec::new(),
            title: format!("{what} (logarithmic)"),
        };
        let powers = (first..=last).step_by(step as usize);
        axis.ticks = powers.map(|power| (axis.place(2f64.powi(power)), power_of_two(power))).collect();
        axis
    }

    /// An axis without ticks from 0 to `most`.
    pub fn bare(most: f64) -> Axis {
        let high = positive_or(most, 1.0);
        Axis { low: 0.0, high, scale: Scale::Linear, ticks: Vec::new(), title: String::new() }
    }

    /// Whether the axis has no zero.
    pub fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    /// Where `value` stands, kept within 0 and 1; what is no number stands at 0.
    pub fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log2(),
        };
        let place = (value - self.low) / (self.high - self.low);
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    fn linear(what: &str, most: f64, (size, name): Unit, end: End) -> Axis {
        let step = nice_step(most / size, 6.0);
        let steps = match end {
            End::Exact => (most / size / step + 1e-9).floor(),
            End::Round => (most / size / step - 1e-9).ceil(),
        };
        let high = if end == End::Exact { most } else { steps * step * size };
        let title = format!("{what} ({name})");
        let mut axis = Axis { low: 0.0, high, scale: Scale::Linear, ticks: Vec::new(), title };
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        axis.ticks = (0..=steps as u32)
            .map(|index| f64::from(index) * step)
            .map(|value| (axis.place(value * size), format!("{value:.decimals$}")))
            .collect();
        axis
    }
}

/// Whether an axis ends exactly at its greatest value, or at the next tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exact,
    Round,
}

/// The largest unit of which `value` has at least `least`.
fn unit_for(value: f64, units: &[Unit], least: f64) -> Unit {
    let fitting = units.iter().rev().find(|(size, _)| value >= size * least);
    *fitting.unwrap_or(&units[0])
}

/// 1, 2 or 5 times a power of ten, so that about `wanted` steps make up `range`.
fn nice_step(range: f64, wanted: f64) -> f64 {
    let raw = positive_or(range / wanted, 1.0);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= raw * 0.999).unwrap_or(10.0);
    step * power
}

fn power_of_two(power: i32) -> String {
    let unit = (power.max(0) / 10).min(BYTES.len() as i32 - 1);
    format!("{} {}", 2f64.powi(power - 10 * unit), BYTES[unit as usize].1)
}

fn positive_or(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() && value > 0.0 { value } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_of_a_fitting_unit() {
        let gantt = Axis::time("Time", 725.0);
        assert_eq!(gantt.title, "Time (min)");
        assert_eq!(labels(&gantt), ["0", "5", "10"]);
        let link = Axis::speed("Use", 9.4e9);
        assert_eq!(
            (link.title.as_str(), labels(&link)),
            ("Use (Gbit/s)", vec!["0", "2", "4", "6", "8", "10"])
        );
        assert_eq!(labels(&Axis::time("Time", 0.5)), ["0", "100", "200", "300", "400", "500"]);
    }

    #[test]
    fn logarithmic_ticks_meet_the_units() {
        let axis = Axis::bytes_logarithmic("Sent", 300e3, 8e9);
        assert_eq!(labels(&axis)[..3], ["64 KiB", "256 KiB", "1 MiB"]);
        assert_eq!(axis.place(2f64.powi(25)), 0.5);
        let wide = Axis::bytes_logarithmic("Sent", 4096.0, 1e12);
        assert_eq!(labels(&wide), ["1 KiB", "32 KiB", "1 MiB", "32 MiB", "1 GiB", "32 GiB", "1 TiB"]);
    }

    #[test]
    fn rounds_are_counted_from_one() {
        assert_eq!(labels(&Axis::numbers("Round", 3)), ["1", "2", "3"]);
        assert_eq!(labels(&Axis::numbers("Round", 100))[..3], ["1", "5", "10"]);
    }

    #[test]
    fn nonsense_gives_an_axis_all_the_same() {
        for most in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            for axis in
                [Axis::time("t", most), Axis::bytes("b", most), Axis::bytes_logarithmic("l", most, most)]
            {
                assert!((0.0..=1.0).contains(&axis.place(f64::NAN)));
                assert!(axis.ticks.len() < 50, "{most} gives {} ticks", axis.ticks.len());
            }
        }
    }
}
