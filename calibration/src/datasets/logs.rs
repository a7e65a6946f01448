//! Migration logs for people: Proxmox's task log, and what `virsh domjobinfo --completed` prints.
//!
//! Lines as `qemu-server` writes them (`PVE/QemuMigrate.pm`: "migration active, transferred …", "average
//! migration speed: … - downtime … ms", "migration finished successfully (duration …)"), and the fields of
//! libvirt's `tools/virsh-domain-monitor.c`. Other lines are passed over.

use super::Source;
use super::query_migrate::LoggedMigration;

/// What a log says; `None` where it is none of the two.
pub(super) fn read(source: &Source) -> Option<Vec<LoggedMigration>> {
    let text = &source.text;
    if text.contains("Time elapsed:") && text.contains("Job type:") {
        return Some(libvirt(source).into_iter().collect());
    }
    let proxmox_lines = ["migration active, transferred", "migration status: active", "migration speed:"];
    proxmox_lines.iter().any(|line| text.contains(line)).then(|| proxmox(source).into_iter().collect())
}

/// Fields of one job, each on a line of its own.
fn libvirt(source: &Source) -> Option<LoggedMigration> {
    let field = |name: &str| {
        let lines = source.text.lines().map(str::trim);
        lines.filter_map(|line| line.strip_prefix(name)).next_back().map(str::trim)
    };
    let bytes = |name: &str| field(name).and_then(size);
    Some(LoggedMigration {
        name: source.name.clone(),
        memory: bytes("Memory total:").or_else(|| bytes("Data total:"))?,
        total: milliseconds(field("Time elapsed:")?).filter(|total| *total > 0.0)?,
        downtime: field("Total downtime:").and_then(milliseconds),
        bytes: bytes("Memory processed:").or_else(|| bytes("Data processed:"))?,
        rate: field("Memory bandwidth:").and_then(|rate| size(rate.strip_suffix("/s")?)),
        dirty_rate: field("Dirty rate:").and_then(pages_per_second),
        zero_bytes: field("Constant pages:").and_then(|pages| pages.parse::<f64>().ok()).map(|n| n * 4096.0),
        downtime_limit: None,
    })
}

/// The last line of progress, the line of the speed, and the duration.
fn proxmox(source: &Source) -> Option<LoggedMigration> {
    let mut found = Progress::default();
    for line in source.text.lines() {
        found.see(line);
    }
    let total = found.duration.or_else(|| found.rate.map(|rate| found.sent / rate))?;
    Some(LoggedMigration {
        name: source.name.clone(),
        memory: Some(found.memory).filter(|bytes| *bytes > 0.0)?,
        total: Some(total).filter(|seconds| *seconds > 0.0)?,
        downtime: found.downtime,
        bytes: Some(found.sent).filter(|bytes| *bytes > 0.0)?,
        rate: found.rate,
        dirty_rate: None,
        zero_bytes: None,
        downtime_limit: found.downtime_limit,
    })
}

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
    fn see(&mut self, line: &str) {
        if let Some(rest) = after(line, "migration active, transferred ") {
            // "1.2 GiB of 8.0 GiB VM-state, 112.0 MiB/s"
            let mut parts = rest.split(" of ");
            self.sent = parts.next().and_then(size).unwrap_or(self.sent);
            let total = parts.next().and_then(|part| part.split(" VM-state").next());
            self.memory = total.and_then(size).unwrap_or(self.memory);
        } else if let Some(rest) = after(line, "migration status: active (transferred ") {
            // "123456, remaining 1234, total 8589934592)": bytes
            let number = |name: &str| {
                let digits = after(rest, name)?.split(|letter: char| !letter.is_ascii_digit()).next()?;
                digits.parse::<f64>().ok()
            };
            self.sent = number("").unwrap_or(self.sent);
            self.memory = number("total ").unwrap_or(self.memory);
        } else if let Some(rest) = after(line, "migration speed: ") {
            // "1.1 GiB/s - downtime 35 ms"
            self.rate = rest.split("/s").next().and_then(size);
            self.downtime = after(rest, "downtime ").and_then(milliseconds);
        } else if let Some(rest) = after(line, "auto-increased downtime to continue migration: ") {
            self.downtime_limit = milliseconds(rest);
        } else if let Some(rest) = after(line, "(duration ") {
            self.duration = clock(rest.trim_end().trim_end_matches(')'));
        }
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
