//! The test guest: a ROM of our own that needs no operating system, and what it is told.
//!
//! Its source is `live/guest/rom.S`, which is part of this program and is assembled when it is needed, in
//! milliseconds, by GNU `as` and `ld` (Debian: binutils). It runs the workloads of scenarios: each
//! working set is written at the rate asked for, page by page in turn ([`Workload::Linear`]) or
//! anywhere ([`Workload::Uniform`], [`Workload::Classes`]).
//!
//! The rate is kept by the time-stamp counter, in batches of a millisecond. A guest that is held back for
//! longer than [`RomGuest::catch_up`] gives up what it has missed, as a real one would, so that
//! auto-converge slows it.
//!
//! The ROM reloads CR3 before each write. QEMU before 9.0 clears the dirty log under its translator without
//! telling the translator's own tables of it: a page that the guest goes on writing through a translation
//! from before the count is not counted again, and is lost (mended by "physmem: Fix migration dirty bitmap
//! coherency with TCG memory access", qemu-devel, March 2024; our proof of pages finds it within seconds
//! on 7.2). With the translations forgotten every write is seen. Under KVM it costs next to nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use models::workload::{Class, Workload};
use sim_core::{Bytes, Span};

use super::QemuError;
use super::qmp::Qmp;
use crate::scatter::Scatter;

/// Size of the ROM, as QEMU's `-bios` wants it: it ends at 4 GiB and at 1 MiB.
pub const ROM_BYTES: u64 = 64 << 10;

/// The first page that the guest fills and writes; what is below belongs to the ROM.
pub const FIRST_PAGE_AT: u64 = 0x20_0000;

/// Most that a guest may have: the ROM sees 4 GiB, of which QEMU's `pc` maps 3 GiB in one piece.
pub const MOST_MEMORY: Bytes = Bytes::from_gib(2);

/// Most working sets of a guest.
pub const MOST_SETS: usize = 8;

const PARAMETERS: u64 = 0x6000;
const STATE: u64 = 0x6100;
const SETS: u64 = 0x6200;
const SET_BYTES: u64 = 64;
const SOURCE: &str = include_str!("../../guest/rom.S");

/// What a guest is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct RomGuest {
    /// Its memory.
    pub memory: Bytes,
    /// Words of a page, 2 to 511 of 512, that look random; the others repeat.
    pub random_words: u64,
    /// How far it may lag behind before it gives up what it has missed.
    pub catch_up: Span,
    /// What it writes, at most [`MOST_SETS`]; they do not overlap.
    pub sets: Vec<WorkingSet>,
}

/// Pages that are written at a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkingSet {
    /// Its first page, from the first that the guest fills; of a set that lies scattered, the first in that order.
    pub first: u64,
    /// How many.
    pub pages: u64,
    /// Writes per second, each to one page.
    pub writes_per_sec: f64,
    /// Which page is next.
    pub pattern: Pattern,
}

/// Which page is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// One after the other, round and round.
    Sweep,
    /// Anywhere in the set, as a hash of the write's number has it. The set lies scattered over all pages.
    Anywhere,
}

/// What a guest says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// What it is at.
    pub state: GuestState,
    /// The time-stamp counter, when it last looked.
    pub ticks: u64,
    /// Writes done, for each set.
    pub writes: Vec<u64>,
}

/// What a guest is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// On its way to 64-bit mode.
    Booting,
    /// Filling its memory.
    Filling,
    /// Writing.
    Running,
    /// Ended by an exception of this number.
    Dead(u8),
}

impl RomGuest {
    /// A guest that does as `workload` says.
    ///
    /// # Errors
    ///
    /// Where the ROM cannot: more memory than [`MOST_MEMORY`], a measured curve, too many classes.
    pub fn of(memory: Bytes, workload: &Workload) -> Result<RomGuest, QemuError> {
        let wrong = |words: String| Err(QemuError::Scenario(words));
        if memory > MOST_MEMORY || !memory.get().is_multiple_of(1 << 20) || memory < Bytes::from_mib(4) {
            return wrong(format!("a QEMU guest has whole MiB, from 4 MiB to {MOST_MEMORY}, not {memory}"));
        }
        let mut sets = SetsOf { next: 0, last: fillable(memory), sets: Vec::new() };
        match workload {
            Workload::Idle => {}
            Workload::Linear { rate, working_set } => sets.add(rate.as_f64(), *working_set, Pattern::Sweep),
            Workload::Uniform { rate, working_set } => {
                sets.add(rate.as_f64(), *working_set, Pattern::Anywhere);
            }
            Workload::Classes(classes) if classes.len() <= MOST_SETS => {
                for Class { rate, size } in classes {
                    sets.add(rate.as_f64(), *size, Pattern::Anywhere);
                }
            }
            other => {
                return wrong(format!(
                    "the QEMU guest runs Idle, Linear, Uniform and up to {MOST_SETS} Classes, not {other:?}"
                ));
            }
        }
        Ok(RomGuest { memory, random_words: 256, catch_up: Span::from_millis(50), sets: sets.sets })
    }

    /// Pages that it fills.
    pub fn pages(&self) -> u64 {
        fillable(self.memory)
    }

    /// Where the pages of its scattered sets lie.
    pub(crate) fn scatter(&self) -> Scatter {
        Scatter::over(self.pages().max(1))
    }

    /// QEMU's arguments that put this into the guest's memory, where its time-stamp counter runs at
    /// `ticks_per_sec`.
    pub fn loader_arguments(&self, ticks_per_sec: f64) -> Vec<String> {
        let ticks = |seconds: f64| (seconds * ticks_per_sec) as u64;
        let mut values = vec![
            (PARAMETERS, self.pages()),
            (PARAMETERS + 8, self.random_words.clamp(2, 511)),
            (PARAMETERS + 16, self.sets.len() as u64),
            (PARAMETERS + 24, ticks(self.catch_up.as_secs_f64())),
            (PARAMETERS + 32, self.scatter().step),
        ];
        for (at, set) in (SETS..).step_by(SET_BYTES as usize).zip(&self.sets) {
            let every = if set.writes_per_sec > 0.0 { ticks(1.0 / set.writes_per_sec).max(1) } else { 0 };
            let pattern = u64::from(set.pattern == Pattern::Anywhere);
            values.extend([(at, set.first), (at + 8, set.pages), (at + 16, every), (at + 24, pattern)]);
        }
        let argument = |(address, value): (u64, u64)| {
            ["-device".into(), format!("loader,addr={address:#x},data={value:#x},data-len=8")]
        };
        values.into_iter().flat_map(argument).collect()
    }
}

/// Lays sets out one after the other.
struct SetsOf {
    next: u64,
    last: u64,
    sets: Vec<WorkingSet>,
}

impl SetsOf {
    /// A set that ends with the guest's memory is shorter by what the ROM needs for itself.
    fn add(&mut self, bytes_per_sec: f64, size: Bytes, pattern: Pattern) {
        let pages = size.pages().get().min(self.last - self.next);
        if pages > 0 {
            let writes_per_sec = bytes_per_sec / 4096.0;
            self.sets.push(WorkingSet { first: self.next, pages, writes_per_sec, pattern });
        }
        self.next += pages;
    }
}

fn fillable(memory: Bytes) -> u64 {
    (memory.get() - FIRST_PAGE_AT) / 4096
}

/// Assembles the ROM in `directory`; the file to give to `-bios`.
///
/// # Errors
///
/// Where `as` or `ld` is missing or fails, or the directory cannot be written.
pub fn build(directory: &Path) -> Result<PathBuf, QemuError> {
    let (object, rom) = (directory.join("rom.o"), directory.join("rom.bin"));
    run(Command::new("as").args(["--64", "-o"]).arg(&object).arg("-"), SOURCE)?;
    let linked = ["-m", "elf_x86_64", "--oformat", "binary", "-Ttext", "0xf0000", "-e", "0xf0000", "-o"];
    run(Command::new("ld").args(linked).arg(&rom).arg(&object), "")?;
    let length =
        std::fs::metadata(&rom).map_err(|source| QemuError::File { path: rom.clone(), source })?.len();
    if length != ROM_BYTES {
        let words = format!("the ROM has {length} bytes instead of {ROM_BYTES}");
        return Err(QemuError::Program { program: "ld".into(), words });
    }
    Ok(rom)
}

fn run(command: &mut Command, input: &str) -> Result<(), QemuError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let missing = |source| QemuError::Missing { program: program.clone(), package: "binutils", source };
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it does not read, it says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(QemuError::Program { program: program.clone(), words })
}

/// Asks the guest of `qmp`, of so many working sets, how far it is. It need not be stopped.
///
/// # Errors
///
/// As [`Qmp::execute`], and where QEMU's answer is no list of numbers.
pub fn counters(qmp: &mut Qmp, sets: usize) -> Result<Counters, QemuError> {
    let head = words(qmp, STATE, 2)?;
    let mut writes = Vec::with_capacity(sets);
    for at in (SETS + 32..).step_by(SET_BYTES as usize).take(sets) {
        writes.push(words(qmp, at, 1)?[0]);
    }
    let state = match head[0] {
        0 => GuestState::Booting,
        1 => GuestState::Filling,
        2 => GuestState::Running,
        other => GuestState::Dead(other as u8),
    };
    Ok(Counters { state, ticks: head[1], writes })
}

/// `count` words of the guest's memory.
fn words(qmp: &mut Qmp, address: u64, count: usize) -> Result<Vec<u64>, QemuError> {
    let line = format!("xp /{count}gx {address:#x}");
    let answer = qmp.monitor(&line)?;
    let words = dumped(&answer);
    if words.len() == count { Ok(words) } else { Err(qmp.unexpected(&line, &answer.into())) }
}

/// The numbers of a dump such as `0000000000006100: 0x02 0x10`, of any number of lines.
fn dumped(text: &str) -> Vec<u64> {
    let numbers =
        text.lines().filter_map(|line| line.split_once(':')).flat_map(|(_, rest)| rest.split_whitespace());
    numbers.filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use sim_core::ByteRate;

    use super::*;

    #[test]
    fn workloads_become_working_sets_that_do_not_overlap() {
        let class =
            |rate, mib| Class { rate: ByteRate::from_bytes_per_sec(rate), size: Bytes::from_mib(mib) };
        let hot_and_cold = Workload::Classes(vec![class(409_600, 8), class(4096, 120)]);
        let guest = RomGuest::of(Bytes::from_mib(128), &hot_and_cold).unwrap();
        assert_eq!((guest.sets[0].first, guest.sets[0].pages), (0, 2048));
        assert_eq!(
            (guest.sets[1].first, guest.sets[1].pages),
            (2048, 126 * 256 - 2048),
            "the ROM's share is left out"
        );
        assert_eq!(guest.sets[0].writes_per_sec, 100.0);
        let arguments = guest.loader_arguments(1e9).join(" ");
        assert!(
            arguments.contains("addr=0x6210,data=0x989680"),
            "10 ms of ticks from write to write: {arguments}"
        );
    }

    #[test]
    fn what_the_rom_cannot_do_is_refused_with_what_it_can() {
        let error = RomGuest::of(Bytes::from_gib(64), &Workload::Idle).unwrap_err();
        assert!(error.to_string().contains("2 GiB"), "{error}");
        let error = RomGuest::of(Bytes::from_mib(64), &Workload::Curve(vec![])).unwrap_err();
        assert!(error.to_string().contains("Uniform"), "{error}");
    }

    #[test]
    fn dumps_of_the_monitor_are_read_and_other_words_are_not() {
        assert_eq!(dumped("0000000000006100: 0x0000000000000002 0x00000000c23ee816\r\n"), [2, 0xc23e_e816]);
        assert_eq!(dumped("Cannot access memory"), [0; 0]);
    }
}
