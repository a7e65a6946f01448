//! Hosts drained by `OpenStack`: whole drains, and the guests in them.
//!
//! Source: osic/benchmarking_live-migration. The flavours are those of its `setup_lvm_environment.sh`;
//! the file's name says whether the disk is shared or goes along (`block`).

use std::collections::BTreeMap;
use std::fmt;

use super::DataError;
use super::table::{Row, Table};

/// A guest's size: 4, 8 or 16 GB of memory with 40, 80 or 160 GB of disk, half of it full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavor {
    /// 4 GB.
    Small,
    /// 8 GB.
    Medium,
    /// 16 GB.
    Large,
}

impl Flavor {
    /// Its memory in bytes.
    pub fn memory(self) -> u64 {
        match self {
            Flavor::Small => 4096 << 20,
            Flavor::Medium => 8192 << 20,
            Flavor::Large => 16384 << 20,
        }
    }

    /// Its disk in bytes.
    pub fn disk(self) -> u64 {
        match self {
            Flavor::Small => 40 << 30,
            Flavor::Medium => 80 << 30,
            Flavor::Large => 160 << 30,
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Flavor::Small => "small",
            Flavor::Medium => "medium",
            Flavor::Large => "large",
        })
    }
}

/// A drain of a host, with its guests.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// The log that it stands in.
    pub file: String,
    /// Whether memory went through libvirt's tunnel.
    pub tunnelled: bool,
    /// Whether disks went along.
    pub with_disks: bool,
    /// The guests' size.
    pub flavor: Flavor,
    /// Guests moved at a time.
    pub parallel: u32,
    /// Its number within the log.
    pub number: u32,
    /// From its beginning to its end in seconds; `None` where only guests were listed.
    pub seconds: Option<f64>,
    /// Each guest's time in seconds, where they were listed.
    pub guests: Vec<f64>,
}

/// Adds the rows of a table: one for each drain, or one for each guest.
pub(super) fn add(table: &Table, drains: &mut Vec<Drain>) -> Result<(), DataError> {
    let per_guest = table.has(&["vm"]);
    let key = |drain: &Drain| (drain.file.clone(), drain.number, drain.parallel);
    let mut known: BTreeMap<_, usize> = drains.iter().map(key).zip(0..).collect();
    for row in table.rows() {
        let seconds = row.positive("seconds")?;
        let new = drain_of(&row)?;
        let index = *known.entry(key(&new)).or_insert(drains.len());
        if index == drains.len() {
            drains.push(new);
        }
        if per_guest {
            drains[index].guests.push(seconds);
        } else {
            drains[index].seconds = Some(seconds);
        }
    }
    Ok(())
}

fn drain_of(row: &Row<'_>) -> Result<Drain, DataError> {
    Ok(Drain {
        file: row.text("file").to_string(),
        tunnelled: tunnelled(row)?,
        with_disks: row.text("file").contains("block"),
        flavor: flavor(row)?,
        parallel: row.count("parallel")?.max(1),
        number: row.count("evac")?,
        seconds: None,
        guests: Vec::new(),
    })
}

fn tunnelled(row: &Row<'_>) -> Result<bool, DataError> {
    match row.text("tunnel") {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(row.problem(format!("`tunnel` is `{other}`, where `on` or `off` was expected"))),
    }
}

fn flavor(row: &Row<'_>) -> Result<Flavor, DataError> {
    match row.text("flavor").to_ascii_lowercase().as_str() {
        "small" => Ok(Flavor::Small),
        "medium" => Ok(Flavor::Medium),
        "large" => Ok(Flavor::Large),
        other => Err(row.problem(format!("there is no flavor `{other}`; there are small, medium and large"))),
    }
}
