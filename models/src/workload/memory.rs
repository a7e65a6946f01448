//! A guest's memory while it is sent: of every group of pages, what waits to be sent and what was
//! written again, as a hypervisor's dirty log sees it.
//!
//! ```text
//!           next(bytes)              sent(from, to)            count(at)
//!  unsent ──────────────▶ on its way ──────────────▶ sent ───────────────▶ unsent again, where it was
//!                                                                           written after its log was cleared
//! ```
//!
//! The state is a mean: of each group in each segment of memory, how many bytes are where. Pages go in
//! the order of their addresses, from where the last pass stopped and round again. Within a group and a
//! segment they are alike, so that which of them wait and which were written does not depend on one
//! another; between groups it does, which is what makes hot memory different from cold.
//!
//! Times are seconds of the workload's own time since the last count.

use algorithms::policy::{PageCosts, Tracking};
use sim_core::Bytes;

use super::Workload;
use super::groups::{Group, Groups, Writes};

/// Pieces that a guest's dirty log is cleared in at most; those of larger guests are larger.
const MOST_CHUNKS: u64 = 256;
/// Segments that a guest is divided into at least, where passes leave something over: what is left is
/// what the next pass begins with.
const SEGMENTS: usize = 32;

/// The memory of a guest under migration.
#[derive(Debug, Clone)]
pub struct GuestMemory {
    workload: Workload,
    groups: Groups,
    /// The last two groups: content that is never written, and zeros.
    tracking: Tracking,
    segments: usize,
    /// Segments of a piece of the dirty log that is cleared at once.
    chunk: usize,
    cells: Vec<Cell>,
    /// The segment whose pages are next.
    cursor: usize,
    /// The workload's own time at the last count, for writes that follow an order.
    base: f64,
    /// Segments whose first page of this pass is in the batch on its way, with how much of its bytes go
    /// before, from 0 to 1.
    entered: Vec<(usize, f64)>,
    resent: Resent,
}

/// Whether pages have been sent before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Resent {
    /// The first pass: all are new at the destination.
    No,
    Yes,
}

/// Pages of one group in one segment, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    size: f64,
    /// Dirty at the last count, or never sent, and waiting.
    unsent: f64,
    /// Sent since the last count.
    sent: f64,
    /// Skipped, or seen to be written again after they were sent: dirty at the next count.
    again: f64,
    /// When the log of what was sent was cleared.
    since: f64,
}

/// What is next in order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Batch {
    /// What was asked for.
    pub asked: Bytes,
    /// Bytes of pages of zeros that are sent.
    pub zeros: f64,
    /// Bytes of pages that were written again before their turn, and are left to the next round.
    pub skipped: f64,
}

impl Batch {
    /// Guest memory that is sent.
    pub fn memory(&self) -> Bytes {
        self.asked.saturating_sub(Bytes::from_f64_floor(self.skipped.round()))
    }

    /// What it takes on the stream, where content that was there before costs `resent_share` of itself.
    pub fn transferred(&self, costs: PageCosts, resent_share: f64) -> Bytes {
        let content = (self.asked.as_f64() - self.zeros - self.skipped).max(0.0);
        Bytes::from_f64_floor(costs.transferred(content * resent_share, self.zeros).round())
    }
}

impl GuestMemory {
    /// `memory` bytes, `zeros` of them in pages of zeros, all of it to be sent.
    pub fn new(workload: &Workload, memory: Bytes, zeros: Bytes, tracking: Tracking) -> GuestMemory {
        let mut groups = Groups::of(workload);
        let written: f64 = groups.groups.iter().map(|group| group.size).sum();
        let never = |size: f64| Group { size: size.max(0.0), writes: Writes::Never };
        let zeros = zeros.as_f64();
        groups.groups.extend([never(memory.as_f64() - written - zeros), never(zeros)]);
        let (segments, chunk) = match tracking {
            Tracking::Chunks(chunk) if chunk > Bytes::ZERO => {
                let chunks = memory.get().div_ceil(chunk.get()).clamp(1, MOST_CHUNKS) as usize;
                let segments = SEGMENTS.div_ceil(chunks);
                (chunks * segments, segments)
            }
            _ => (1, 1),
        };
        let cells = Vec::new();
        let (cursor, base, entered, resent) = (0, 0.0, Vec::new(), Resent::No);
        let workload = workload.clone();
        let mut guest =
            GuestMemory { workload, groups, tracking, segments, chunk, cells, cursor, base, entered, resent };
        guest.cells = guest
            .groups
            .groups
            .iter()
            .map(|group| Cell { size: group.size, unsent: group.size, ..Cell::default() })
            .collect();
        guest.split(segments);
        guest
    }

    /// Divides a memory of one segment into so many.
    fn split(&mut self, segments: usize) {
        let share = 1.0 / segments as f64;
        let part = |cell: &Cell| Cell {
            size: cell.size * share,
            unsent: cell.unsent * share,
            sent: cell.sent * share,
            again: cell.again * share,
            since: cell.since,
        };
        let parts: Vec<Cell> = self.cells.iter().map(part).collect();
        self.cells = parts.repeat(segments);
        self.segments = segments;
    }

    /// Whether what is on its way was sent before, in part at least.
    pub fn is_resent(&self) -> bool {
        self.resent == Resent::Yes
    }

    /// Takes the next `bytes` of what waits, at a point of the workload's time since the last count.
    pub fn next(&mut self, bytes: Bytes, at: f64) -> Batch {
        if self.tracking == Tracking::Skipping {
            self.notice_writes(at);
        }
        let (mut batch, mut left) = (Batch { asked: bytes, ..Batch::default() }, bytes.as_f64());
        self.entered.clear();
        let whole = left;
        if self.segments == 1 && self.tracking == Tracking::AtCount && self.waiting(0) - left >= 1.0 {
            self.split(SEGMENTS);
        }
        for _ in 0..=self.segments {
            if left <= 0.0 {
                break;
            }
            let waiting = self.waiting(self.cursor);
            let share = if waiting > left { left / waiting } else { 1.0 };
            if waiting > 0.0 {
                self.entered.push((self.cursor, (whole - left) / whole));
                self.take(self.cursor, share, at, &mut batch);
            }
            left -= waiting * share;
            if share == 1.0 && self.segments > 1 {
                self.cursor = (self.cursor + 1) % self.segments;
            }
        }
        batch
    }

    /// What `next` gave went on its way between these two points of the workload's time.
    pub fn sent(&mut self, from: f64, to: f64) {
        if !matches!(self.tracking, Tracking::Chunks(_)) {
            return;
        }
        let groups = self.groups.groups.len();
        for (segment, share) in self.entered.drain(..) {
            let first = segment / self.chunk * self.chunk;
            for cell in &mut self.cells[first * groups..(first + self.chunk) * groups] {
                if cell.since == 0.0 {
                    cell.since = from + (to - from) * share;
                }
            }
        }
    }

    /// The log is read at a point of the workload's time: gives all that is dirty then, in bytes.
    pub fn count(&mut self, at: f64) -> f64 {
        let groups = self.groups.groups.len();
        let left = self.cells.iter().any(|cell| cell.unsent > 0.0);
        let simple = self.tracking == Tracking::AtCount && !left;
        let mut dirty = 0.0;
        for index in 0..self.cells.len() {
            let cell = self.cells[index];
            let untouched = cell.size - cell.unsent - cell.sent - cell.again;
            let untouched = untouched * self.written(index % groups, 0.0, at);
            let again = cell.again + untouched + cell.sent * self.written_again(index, at);
            let unsent = (cell.unsent + again).min(cell.size);
            self.cells[index] = Cell { size: cell.size, unsent, ..Cell::default() };
            dirty += unsent;
        }
        self.base += at;
        self.resent = Resent::Yes;
        // With nothing left over the closed form is the same, to the last bit of it.
        if simple { self.closed_form(at, dirty) } else { dirty }
    }

    fn written(&self, group: usize, from: f64, to: f64) -> f64 {
        self.groups.written(group, self.base + from, self.base + to)
    }

    /// The share of a cell's sent pages that is written between the clearing of their log and `at`. What
    /// skips dirty pages sends only such as were not written before.
    fn written_again(&self, index: usize, at: f64) -> f64 {
        let (group, since) = (index % self.groups.groups.len(), self.cells[index].since);
        if self.tracking != Tracking::Skipping {
            return self.written(group, since, at);
        }
        let before = self.written(group, 0.0, since);
        if before < 1.0 { (self.written(group, 0.0, at) - before) / (1.0 - before) } else { 1.0 }
    }

    /// The groups with the bytes of each that wait, never-written content and zeros last.
    pub fn waiting_by_group(&self) -> Vec<(Group, f64)> {
        let groups = self.groups.groups.len();
        let waiting =
            |group: usize| self.cells.iter().skip(group).step_by(groups).map(|cell| cell.unsent).sum();
        self.groups.groups.iter().enumerate().map(|(index, group)| (*group, waiting(index))).collect()
    }

    fn closed_form(&self, at: f64, dirty: f64) -> f64 {
        match self.workload {
            Workload::Phases { .. } | Workload::Bursts { .. } | Workload::Trace { .. } => dirty,
            _ => self.workload.distinct(at),
        }
    }

    fn waiting(&self, segment: usize) -> f64 {
        let groups = self.groups.groups.len();
        self.cells[segment * groups..(segment + 1) * groups].iter().map(|cell| cell.unsent).sum()
    }

    fn take(&mut self, segment: usize, share: f64, at: f64, batch: &mut Batch) {
        let groups = self.groups.groups.len();
        for group in 0..groups {
            let again = match self.tracking {
                Tracking::Skipping => self.written(group, 0.0, at),
                _ => 0.0,
            };
            let cell = &mut self.cells[segment * groups + group];
            let taken = cell.unsent * share;
            let skipped = taken * again;
            cell.unsent = if share == 1.0 { 0.0 } else { cell.unsent - taken };
            cell.sent += taken - skipped;
            cell.again += skipped;
            batch.skipped += skipped;
            if group + 1 == groups {
                batch.zeros += taken - skipped;
            }
        }
    }

    /// What was sent and is written again by now is dirty, whenever it is looked at.
    fn notice_writes(&mut self, at: f64) {
        for index in 0..self.cells.len() {
            let again = self.cells[index].sent * self.written_again(index, at);
            let cell = &mut self.cells[index];
            cell.again += again;
            cell.sent -= again;
            cell.since = at;
        }
    }
}
