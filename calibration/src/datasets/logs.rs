//! Migration logs for people: Proxmox's task log, and what `virsh domjobinfo --completed` prints.
//!
//! Lines as `qemu-server` writes them (`PVE/QemuMigrate.pm`: "migration active, transferred …", "average
//! migration speed: … - downtime … ms", "migration finished successfully (duration …)"), and the fields of
//! libvirt's `tools/virsh-domain-monitor.c`. Other lines are passed over.

use super::query_migrate::LoggedMigration;
use super::{DataError, Source};

/// What a log says, `None` inside where its migration has not ended; `None` where it is none of the two.
///
/// # Errors
///
/// [`DataError`] at a value that is not what its line holds.
pub(super) fn read(source: &Source) -> Option<Result<Option<LoggedMigration>, DataError>> {
    let text = &source.text;
    if text.contains("Time elapsed:") && text.contains("Job type:") {
        return Some(libvirt(source));
    }
    let proxmox_lines = ["migration active, transferred", "migration status: active", "migration speed:"];
    proxmox_lines.iter().any(|line| text.contains(line)).then(|| proxmox(source))
}

/// Fields of one job, each on a line of its own.
struct Job<'a> {
    source: &'a Source,
}

impl Job<'_> {
    /// The last line that begins with this: its number, where its value begins, and the value.
    fn line(&self, name: &str) -> Option<(usize, usize, &str)> {
        let lines = self.source.text.lines().enumerate();
        let found =
            lines.filter_map(|(number, line)| Some((number, line, line.trim_start().strip_prefix(name)?)));
        let (number, line, value) = found.last()?;
        let value = value.trim();
        let column = line.find(value).unwrap_or(0);
        Some((number + 1, column + 1, value))
    }

    /// The value of a field; `None` where the job has none such.
    fn value(
        &self,
        name: &str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<f64>,
    ) -> Result<Option<f64>, DataError> {
        let Some((line, column, value)) = self.line(name) else {
            return Ok(None);
        };
        read(value).filter(|number| number.is_finite() && *number >= 0.0).map(Some).ok_or_else(|| {
            DataError::Value {
                file: self.source.name.clone(),
                line: line as u64,
                column: column as u64,
                name: name.trim_end_matches(':').to_string(),
                value: value.to_string(),
                expected,
            }
        })
    }

    fn bytes(&self, name: &str, otherwise: &str) -> Result<Option<f64>, DataError> {
        let expected = "a size such as 1.5 GiB";
        Ok(match self.value(name, expected, size)? {
            None => self.value(otherwise, expected, size)?,
            found => found,
        })
    }
}

fn libvirt(source: &Source) -> Result<Option<LoggedMigration>, DataError> {
    let job = Job { source };
    let time = "milliseconds such as 1200 ms";
    let total = job.value("Time elapsed:", time, milliseconds)?;
    let (memory, bytes) =
        (job.bytes("Memory total:", "Data total:")?, job.bytes("Memory processed:", "Data processed:")?);
    let is_whole = job.line("Job type:").is_some_and(|(.., kind)| kind == "Completed");
    let (Some(memory), Some(total), Some(bytes), true) = (memory, total, bytes, is_whole) else {
        return Ok(None);
    };
    if memory <= 0.0 || total <= 0.0 {
        return Ok(None);
    }
    let rate = |text: &str| size(text.strip_suffix("/s")?);
    Ok(Some(LoggedMigration {
        name: source.name.clone(),
        memory,
        total,
        downtime: job.value("Total downtime:", time, milliseconds)?,
        bytes,
        rate: job.value("Memory bandwidth:", "a rate such as 120.000 MiB/s", rate)?,
        dirty_rate: job
            .value("Dirty rate:", "a rate such as 4741 pages/s", pages_per_second)?
            .filter(|rate| *rate > 0.0),
        zero_bytes: job
            .value("Constant pages:", "a number of pages", |pages| pages.parse().ok())?
            .map(|pages| pages * 4096.0),
        downtime_limit: None,
    }))
}

/// The last line of progress, the line of the speed, and the duration.
fn proxmox(source: &Source) -> Result<Option<LoggedMigration>, DataError> {
    let mut found = Progress::default();
    for (number, line) in source.text.lines().enumerate() {
        found.see(line).map_err(|(name, value, expected)| DataError::Value {
            file: source.name.clone(),
            line: number as u64 + 1,
            column: line.find(value).unwrap_or(0) as u64 + 1,
            name: name.to_string(),
            value: value.to_string(),
            expected,
        })?;
    }
    let total = found.duration.or_else(|| found.rate.map(|rate| found.sent / rate));
    let total = total.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let Some(total) = total.filter(|_| found.memory > 0.0 && found.sent > 0.0) else {
        return Ok(None);
    };
    Ok(Some(LoggedMigration {
        name: source.name.clone(),
        memory: found.memory,
        total,
        downtime: found.downtime,
        bytes: found.sent,
        rate: found.rate,
        dirty_rate: None,
        zero_bytes: None,
        downtime_limit: found.downtime_limit,
    }))
}

/// What stands on a line, the value, and what was expected of it.
type Wrong<'a> = (&'static str, &'a str, &'static str);

#[derive(Default)]
struct Progress {
    memory: f64,
    sent: f64,
    rate: Option<f64>,
    downtime: Option<f64>,
    downtime_limit: Option<f64>,
    duration: Option<f64>,
}

impl Progress {
    fn see<'a>(&mut self, line: &'a str) -> Result<(), Wrong<'a>> {
        if let Some(rest) = after(line, "migration active, transferred ") {
            // "1.2 GiB of 8.0 GiB VM-state, 112.0 MiB/s"
            let wrong = ("transferred", rest, "sizes such as 1.2 GiB of 8.0 GiB VM-state");
            let (sent, total) = rest.split_once(" of ").ok_or(wrong)?;
            self.sent = size(sent).ok_or(wrong)?;
            self.memory = total.split(" VM-state").next().and_then(size).ok_or(wrong)?;
        } else if let Some(rest) = after(line, "migration status: active (transferred ") {
            // "123456, remaining 1234, total 8589934592)": bytes
            let wrong = ("transferred", rest, "bytes such as 123456, remaining 1234, total 8589934592");
            let number = |name: &str| {
                let digits = after(rest, name)?.split(|letter: char| !letter.is_ascii_digit()).next()?;
                digits.parse::<f64>().ok()
            };
            self.sent = number("").ok_or(wrong)?;
            self.memory = number("total ").ok_or(wrong)?;
        } else if let Some(rest) = after(line, "migration speed: ") {
            // "1.1 GiB/s - downtime 35 ms"
            let wrong = ("speed", rest, "a rate such as 112.0 MiB/s - downtime 35 ms");
            self.rate = Some(rest.split("/s").next().and_then(size).ok_or(wrong)?);
            self.downtime = after(rest, "downtime ").and_then(milliseconds);
        } else if let Some(rest) = after(line, "auto-increased downtime to continue migration: ") {
            self.downtime_limit =
                Some(milliseconds(rest).ok_or(("downtime", rest, "milliseconds such as 200 ms"))?);
        } else if let Some(rest) = after(line, "(duration ") {
            let duration = rest.trim_end().trim_end_matches(')');
            self.duration = Some(clock(duration).ok_or(("duration", duration, "a time such as 00:01:18"))?);
        }
        Ok(())
    }
}

fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.find(mark).map(|at| &line[at + mark.len()..])
}

/// "1.2 GiB", "112.0 MiB", "113.78 MB": both mean powers of 1024 in these logs.
fn size(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let number: f64 = text[..split].parse().ok()?;
    let unit = text[split..].split_whitespace().next()?;
    let power = match unit.chars().next()? {
        'B' => 0,
        'K' | 'k' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        _ => return None,
    };
    Some(number * 1024f64.powi(power))
}

/// "35 ms"
fn milliseconds(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse::<f64>().ok().map(|number| number * 1e-3)
}

/// "4741 pages/s" or "4741 MiB/s"
fn pages_per_second(text: &str) -> Option<f64> {
    let number: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(if text.contains("pages") { number * 4096.0 } else { size(text.strip_suffix("/s")?)? })
}

/// "00:01:18" in seconds.
fn clock(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |seconds, part| Some(seconds * 60.0 + part.parse::<f64>().ok()?))
}
