//! Numbers as people read them: three or four digits and a unit that fits.
//!
//! Only for tables, figures and pages. Files for programs (frames, JSON) keep base units and every
//! digit. What is not finite is shown as [`NOTHING`].

/// Stands where there is no number.
pub(crate) const NOTHING: &str = "–";

const BINARY: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL: [&str; 5] = ["", "k", "M", "G", "T"];

/// A length of time or a point in it, in seconds: `"840 µs"`, `"12.3 ms"`, `"16.38 s"`,
/// `"12 min 05 s"`, `"18 h 28 min"`.
pub(crate) fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    if !seconds.is_finite() {
        return NOTHING.to_string();
    }
    if size == 0.0 {
        return "0 s".to_string();
    }
    if size < 0.999_5e-3 {
        return format!("{} µs", digits(seconds * 1e6, 3));
    }
    if size < 0.999_5 {
        return format!("{} ms", digits(seconds * 1e3, 3));
    }
    if size < 599.95 {
        return format!("{} s", digits(seconds, 4));
    }
    clock(seconds)
}

/// A pause in milliseconds: `"12.2 ms"`, `"1240 ms"`; in seconds from ten on.
pub(crate) fn pause(pause_s: f64) -> String {
    if pause_s == 0.0 {
        return "0 ms".to_string();
    }
    if (0.999_5..9.999_5).contains(&pause_s) {
        return format!("{:.0} ms", pause_s * 1e3);
    }
    seconds(pause_s)
}

/// A size in binary units: `"512 MiB"`, `"3.25 GiB"`.
pub(crate) fn bytes(bytes: f64) -> String {
    if !bytes.is_finite() {
        return NOTHING.to_string();
    }
    let power = power_of(bytes, 1024.0, BINARY.len());
    format!("{} {}", digits(bytes / 1024f64.powi(power as i32), 3), BINARY[power])
}

/// A speed: `"9.42 Gbit/s"`. One that is whole up to a bit or two per second is shown as whole.
pub(crate) fn bits_per_second(bits: f64) -> String {
    if !bits.is_finite() {
        return NOTHING.to_string();
    }
    let power = power_of(bits, 1000.0, DECIMAL.len());
    let shown = digits(bits / 1000f64.powi(power as i32), 3);
    let shown = shown.strip_suffix(".00").or(shown.strip_suffix(".0")).unwrap_or(&shown);
    format!("{shown} {}bit/s", DECIMAL[power])
}

/// A size of an error in percent, without sign: `"8.5 %"`.
pub(crate) fn percent(percent: f64) -> String {
    if !percent.is_finite() {
        return NOTHING.to_string();
    }
    format!("{percent:.1} %")
}

/// A signed difference in percent: `"+3.2 %"`.
pub(crate) fn signed_percent(percent: f64) -> String {
    if !percent.is_finite() {
        return NOTHING.to_string();
    }
    if percent.abs() >= 999.5 {
        return format!("{percent:+.0} %");
    }
    // Adding zero turns −0.0 into 0.0, so that nothing is shown as "-0.0 %".
    format!("{:+.1} %", (percent * 10.0).round() / 10.0 + 0.0)
}

/// A share of a whole, from 0 to 1, in percent: `"12.5 %"`.
pub(crate) fn share(share: f64) -> String {
    if !share.is_finite() {
        return NOTHING.to_string();
    }
    format!("{} %", digits(share * 100.0, 3))
}

/// `value` to `wanted` significant digits, never rounding away digits before the point. Only whole
/// values lose their zeros: a measured 16.04 ms stays "16.0 ms" beside "13.9 ms".
pub(crate) fn digits(value: f64, wanted: usize) -> String {
    let whole = (value - value.round()).abs() <= value.abs() * 1e-12;
    if whole && value.abs() < 10f64.powi(wanted as i32) {
        return format!("{value:.0}");
    }
    let before = if value.abs() < 1.0 { 1 } else { value.abs().log10().floor() as usize + 1 };
    format!("{value:.*}", wanted.saturating_sub(before))
}

/// `text` with its middle replaced by `…` where it is longer than `most` characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_string();
    }
    // The end of a name (a number, mostly) tells more than its middle.
    let end = most.saturating_sub(1) / 2;
    let start = most.saturating_sub(1) - end;
    let head: String = letters[..start].iter().collect();
    let tail: String = letters[letters.len() - end..].iter().collect();
    format!("{head}…{tail}")
}

fn clock(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs().round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{sign}{minutes} min {rest:02} s"),
        1..100 => format!("{sign}{hours} h {minutes:02} min"),
        _ => format!("{sign}{} d {:02} h", hours / 24, hours % 24),
    }
}

fn power_of(value: f64, base: f64, units: usize) -> usize {
    let mut power = 0;
    // 999.5 would be shown as 1000, so the next unit begins there.
    while power + 1 < units && value.abs() >= 0.999_5 * base.powi(power as i32 + 1) {
        power += 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well_at_every_size() {
        let shown: Vec<String> =
            [0.0, 8.4e-5, 0.0123, 0.3, 0.9999, 16.3812, 115.642, 599.99, 725.0, 66539.4, 4e6, f64::NAN]
                .map(seconds)
                .to_vec();
        let expected = [
            "0 s",
            "84 µs",
            "12.3 ms",
            "300 ms",
            "1.000 s",
            "16.38 s",
            "115.6 s",
            "10 min 00 s",
            "12 min 05 s",
            "18 h 28 min",
            "46 d 07 h",
            "–",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn sizes_and_speeds_change_unit_in_time() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(1023.9), "1.00 KiB");
        assert_eq!(bytes(512.0 * 1024.0 * 1024.0), "512 MiB");
        assert_eq!(bytes(3.25 * 1024f64.powi(3)), "3.25 GiB");
        assert_eq!(bytes(f64::INFINITY), NOTHING);
        assert_eq!(bits_per_second(9.42e9), "9.42 Gbit/s");
        assert_eq!(bits_per_second(1e10), "10 Gbit/s");
    }

    #[test]
    fn pauses_stay_in_milliseconds() {
        assert_eq!(pause(0.0), "0 ms");
        assert_eq!(pause(1.24), "1240 ms");
        assert_eq!(pause(25.5), "25.50 s");
    }

    #[test]
    fn differences_carry_their_sign_and_nothing_is_minus_nothing() {
        assert_eq!(signed_percent(3.21), "+3.2 %");
        assert_eq!(signed_percent(-0.01), "+0.0 %");
        assert_eq!(signed_percent(-12345.0), "-12345 %");
        assert_eq!(signed_percent(f64::NAN), NOTHING);
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("web01", 8), "web01");
        assert_eq!(shortened("a-very-long-name-042", 9), "a-ve…-042");
    }
}
