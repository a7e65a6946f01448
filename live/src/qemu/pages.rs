//! Proof that a guest's memory arrived: every page is what the guest's own counts say it must be.
//!
//! The guest numbers its writes, and which page a write goes to follows from its number. So from the
//! counts alone the last write of every page is known; a page that says another number has lost a write,
//! and one whose two ends differ was torn.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::QemuError;
use super::qmp::Qmp;
use super::rom::{Counters, FIRST_PAGE_AT, Pattern, RomGuest, WorkingSet, counters};

const PAGE: usize = 4096;

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Pages.
    pub pages: u64,
    /// Of these, pages that were written to since they were filled.
    pub written: u64,
    /// The counts that they were held against.
    pub counters: Counters,
}

/// Stops the guest of `qmp`, holds every page of it against its counts, and lets it go on if it ran.
/// `directory` takes a file as large as the guest for a while.
///
/// # Errors
///
/// Where a page is not as it must be, and where QEMU does not answer.
pub fn verify(qmp: &mut Qmp, guest: &RomGuest, directory: &Path) -> Result<Verified, QemuError> {
    let ran = qmp.run_state()? == "running";
    qmp.execute("stop", json!({}))?;
    let counters = counters(qmp, guest.sets.len())?;
    // Several guests may be looked at in one directory at once.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = directory.join(format!("memory-{}.bin", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let size = guest.pages() * PAGE as u64;
    qmp.execute("pmemsave", json!({"val": FIRST_PAGE_AT, "size": size, "filename": path}))?;
    let memory = std::fs::read(&path).map_err(|source| QemuError::File { path: path.clone(), source })?;
    std::fs::remove_file(&path).map_err(|source| QemuError::File { path: path.clone(), source })?;
    if ran {
        qmp.execute("cont", json!({}))?;
    }
    let written = check(&memory, guest, &counters).map_err(QemuError::Guest)?;
    Ok(Verified { pages: guest.pages(), written, counters })
}

/// Holds `memory`, from the guest's first page, against its counts; how many pages were written to.
fn check(memory: &[u8], guest: &RomGuest, counters: &Counters) -> Result<u64, String> {
    if memory.len() as u64 != guest.pages() * PAGE as u64 {
        return Err(format!("has {} bytes of memory instead of {} pages", memory.len(), guest.pages()));
    }
    let mut last = vec![0_u64; memory.len() / PAGE];
    let mut under_way = Vec::new();
    for (set, &writes) in guest.sets.iter().zip(&counters.writes) {
        for write in 0..writes {
            last[page_of(guest, set, write)] = write + 1;
        }
        under_way.push((page_of(guest, set, writes), writes + 1));
    }
    for (number, page) in memory.chunks_exact(PAGE).enumerate() {
        let may_be = under_way.iter().find(|(page, _)| *page == number).map(|(_, write)| *write);
        check_page(page, number, last[number], may_be, guest.random_words)?;
    }
    Ok(last.iter().filter(|&&write| write > 0).count() as u64)
}

/// The page to which a write goes, as the ROM has it.
fn page_of(guest: &RomGuest, set: &WorkingSet, write: u64) -> usize {
    let page = match set.pattern {
        Pattern::Sweep => set.first + write % set.pages,
        Pattern::Anywhere => {
            let mixed = mix(write + 1);
            let within = ((u128::from(mixed) * u128::from(set.pages)) >> 64) as u64;
            guest.scatter().page(set.first + within)
        }
    };
    page as usize
}

fn mix(value: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = value.wrapping_mul(FACTOR);
    (product ^ (product >> 29)).wrapping_mul(FACTOR)
}

/// `last` is the last write to the page; `may_be` one that was under way when the guest was stopped.
fn check_page(page: &[u8], number: usize, last: u64, may_be: Option<u64>, random: u64) -> Result<(), String> {
    let word = |index: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&page[index * 8..index * 8 + 8]);
        u64::from_le_bytes(bytes)
    };
    let stamp_is_right = |stamp| stamp == last || Some(stamp) == may_be;
    let (first, end) = (word(0), word(511));
    if !stamp_is_right(first) || !stamp_is_right(end) {
        return Err(format!(
            "lost a write: page {number} says write {first} at its beginning and {end} at its end instead of {last}"
        ));
    }
    if word(1) != number as u64 {
        return Err(format!("has page {} in the place of page {number}", word(1)));
    }
    for index in 2..511 {
        let filled =
            if (index as u64) < random { mix((number as u64) << 9 | index as u64) } else { number as u64 };
        if word(index) != filled {
            return Err(format!("has page {number} damaged: word {index} is not what was filled in"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sim_core::{Bytes, Span};

    use super::super::rom::GuestState;
    use super::*;

    fn guest() -> (RomGuest, Counters, Vec<u8>) {
        let set = |first, pages, pattern| WorkingSet { first, pages, writes_per_sec: 1.0, pattern };
        let guest = RomGuest {
            memory: Bytes::from_mib(4),
            random_words: 100,
            catch_up: Span::ZERO,
            sets: vec![set(0, 10, Pattern::Sweep), set(10, 50, Pattern::Anywhere)],
        };
        let counters = Counters { state: GuestState::Running, ticks: 0, writes: vec![25, 70] };
        let mut memory = vec![0; guest.pages() as usize * PAGE];
        let put = |memory: &mut [u8], page: usize, index: usize, value: u64| {
            let at = page * PAGE + index * 8;
            memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        for page in 0..guest.pages() as usize {
            put(&mut memory, page, 1, page as u64);
            for index in 2..511 {
                let value = if index < 100 { mix((page as u64) << 9 | index as u64) } else { page as u64 };
                put(&mut memory, page, index, value);
            }
        }
        for (set, writes) in guest.sets.iter().zip(&counters.writes) {
            for write in 0..*writes {
                put(&mut memory, page_of(&guest, set, write), 0, write + 1);
                put(&mut memory, page_of(&guest, set, write), 511, write + 1);
            }
        }
        (guest, counters, memory)
    }

    #[test]
    fn memory_as_the_guest_left_it_passes() {
        let (guest, counters, memory) = guest();
        let written = check(&memory, &guest, &counters).unwrap();
        assert!(written > 10 && written <= 60, "{written}");
    }

    #[test]
    fn a_write_under_way_may_be_there_or_not() {
        let (guest, counters, mut memory) = guest();
        memory[5 * PAGE..5 * PAGE + 8].copy_from_slice(&26_u64.to_le_bytes());
        check(&memory, &guest, &counters).unwrap();
    }

    #[test]
    fn a_lost_write_a_damaged_page_and_a_swapped_page_are_found() {
        let (guest, counters, memory) = guest();
        let broken = |at: usize, value: u64| {
            let mut memory = memory.clone();
            memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
            check(&memory, &guest, &counters).unwrap_err()
        };
        assert!(broken(4 * PAGE, 15).contains("lost a write: page 4"), "an older write");
        assert!(broken(4 * PAGE + 4088, 15).contains("lost a write: page 4"), "a torn write");
        assert!(broken(300 * PAGE + 8, 7).contains("in the place of page 300"));
        assert!(broken(300 * PAGE + 2400, 7).contains("page 300 damaged"));
    }

    #[test]
    fn writes_of_a_set_fall_on_its_pages_alike_and_on_no_others() {
        let set = WorkingSet { first: 100, pages: 7, writes_per_sec: 1.0, pattern: Pattern::Anywhere };
        let guest = RomGuest { sets: vec![set], ..guest().0 };
        let mut seen = vec![0; guest.pages() as usize];
        for write in 0..7_000 {
            seen[page_of(&guest, &set, write)] += 1;
        }
        let written: Vec<i32> = seen.into_iter().filter(|&count| count > 0).collect();
        assert_eq!(written.len(), 7);
        assert!(written.iter().all(|count| (900..1_100).contains(count)), "{written:?}");
    }
}
