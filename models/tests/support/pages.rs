//! A guest page by page: when each page is written, which bit of which log is set, which page is sent
//! when. Slow and plain, to hold the models of means against.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "compared within statistical error")]

use algorithms::policy::Tracking;
use models::workload::Workload;
use rand::RngExt;
use rand_distr::{Distribution, Exp};
use rand_pcg::Pcg64;
use sim_core::{PAGE_SIZE, Streams};

/// The times at which every page of a guest is written, up to a horizon.
pub struct Writes {
    times: Vec<Vec<f64>>,
}

impl Writes {
    /// Realises a workload that has no phases, in a guest of `pages`; its pages lie anywhere.
    pub fn draw(workload: &Workload, pages: usize, horizon: f64, seed: u64) -> Writes {
        let mut random = Streams::new(seed, 0).stream("test", "writes");
        let mut places: Vec<usize> = (0..pages).collect();
        for last in (1..pages).rev() {
            places.swap(last, random.random_range(0..=last));
        }
        let mut times = vec![Vec::new(); pages];
        for (index, process) in processes(workload, &mut random).into_iter().enumerate() {
            times[places[index]] = process.times(horizon, &mut random);
        }
        Writes { times }
    }

    /// Whether a page is written after `from`, and no later than `to`.
    pub fn written(&self, page: usize, from: f64, to: f64) -> bool {
        let times = &self.times[page];
        let next = times.partition_point(|time| *time <= from);
        times.get(next).is_some_and(|time| *time <= to)
    }

    /// Distinct pages written between two points in time.
    pub fn distinct(&self, from: f64, to: f64) -> usize {
        (0..self.times.len()).filter(|page| self.written(*page, from, to)).count()
    }
}

/// When one page is written.
enum Process {
    Random(f64),
    Periodic { phase: f64, period: f64 },
}

impl Process {
    fn times(&self, horizon: f64, random: &mut Pcg64) -> Vec<f64> {
        let mut times = Vec::new();
        match *self {
            Process::Random(per_second) if per_second > 0.0 => {
                let pause = Exp::new(per_second).unwrap();
                let mut time = pause.sample(random);
                while time <= horizon {
                    times.push(time);
                    time += pause.sample(random);
                }
            }
            Process::Random(_) => {}
            Process::Periodic { phase, period } => {
                let mut time = phase;
                while time <= horizon {
                    times.push(time);
                    time += period;
                }
            }
        }
        times
    }
}

fn in_pages(bytes: f64) -> usize {
    (bytes / PAGE_SIZE as f64).round() as usize
}

fn processes(workload: &Workload, random: &mut Pcg64) -> Vec<Process> {
    let uniform = |rate: f64, size: f64| (0..in_pages(size)).map(move |_| Process::Random(rate / size));
    match workload {
        Workload::Idle => Vec::new(),
        Workload::Uniform { rate, working_set } => uniform(rate.as_f64(), working_set.as_f64()).collect(),
        Workload::Classes(classes) => {
            classes.iter().flat_map(|class| uniform(class.rate.as_f64(), class.size.as_f64())).collect()
        }
        Workload::Zipf { rate, working_set, exponent } => {
            let pages = in_pages(working_set.as_f64());
            let weights: Vec<f64> = (1..=pages).map(|rank| (rank as f64).powf(-exponent)).collect();
            let scale = rate.as_f64() / PAGE_SIZE as f64 / weights.iter().sum::<f64>();
            weights.into_iter().map(|weight| Process::Random(weight * scale)).collect()
        }
        Workload::Sweep { rate, working_set } => {
            let (pages, period) = (in_pages(working_set.as_f64()), working_set.as_f64() / rate.as_f64());
            let page = |place: usize| Process::Periodic {
                phase: (place as f64 + 0.5) / pages as f64 * period,
                period,
            };
            (0..pages).map(page).collect()
        }
        Workload::Linear { rate, working_set } => {
            let (pages, period) = (in_pages(working_set.as_f64()), working_set.as_f64() / rate.as_f64());
            (0..pages)
                .map(|_| Process::Periodic { phase: random.random_range(0.0..period), period })
                .collect()
        }
        // A set whose pages are each written once in T for each bend of the (concave) curve.
        Workload::Curve(points) => {
            let mut all = Vec::new();
            let at = |index: usize| (points[index].after.as_secs_f64(), points[index].dirty.as_f64());
            let slope = |index: usize| {
                let (before, here) = (if index == 0 { (0.0, 0.0) } else { at(index - 1) }, at(index));
                (here.1 - before.1) / (here.0 - before.0)
            };
            for index in 0..points.len() {
                let next = if index + 1 < points.len() { slope(index + 1) } else { 0.0 };
                let period = at(index).0;
                let set = in_pages((slope(index) - next) * period);
                all.extend(
                    (0..set).map(|_| Process::Periodic { phase: random.random_range(0.0..period), period }),
                );
            }
            all
        }
        other => panic!("{other:?} has a tempo; the reference for it is another"),
    }
}

/// A pre-copy, page by page: `passes` of them, each until no more than `leave` pages wait.
pub struct PreCopy {
    pub pages: usize,
    pub pages_per_second: f64,
    pub leave: usize,
    pub tracking: Tracking,
}

impl PreCopy {
    /// Dirty pages after each pass.
    pub fn run(&self, writes: &Writes, passes: usize) -> Vec<usize> {
        let chunk = match self.tracking {
            Tracking::Chunks(bytes) => (bytes.get() / PAGE_SIZE) as usize,
            Tracking::AtCount | Tracking::Skipping => self.pages,
        };
        let mut now = 0.0;
        let mut waiting = vec![true; self.pages];
        // The kernel's bit of a page is set where it was written after this.
        let mut cleared_at = vec![0.0; self.pages];
        let mut read = vec![true; self.pages];
        let (mut cursor, mut counts) = (0, Vec::new());
        for _ in 0..passes {
            let mut clear_pending = vec![true; self.pages.div_ceil(chunk)];
            let mut pending = waiting.iter().filter(|waiting| **waiting).count();
            while pending > self.leave {
                let page = cursor;
                cursor = (cursor + 1) % self.pages;
                if !waiting[page] {
                    continue;
                }
                if matches!(self.tracking, Tracking::Chunks(_))
                    && std::mem::take(&mut clear_pending[page / chunk])
                {
                    let first = page / chunk * chunk;
                    for other in first..(first + chunk).min(self.pages) {
                        if read[other] {
                            cleared_at[other] = now;
                        }
                    }
                }
                (waiting[page], pending) = (false, pending - 1);
                let again = writes.written(page, cleared_at[page], now);
                if self.tracking == Tracking::Skipping && again {
                    continue;
                }
                now += 1.0 / self.pages_per_second;
            }
            for page in 0..self.pages {
                read[page] = writes.written(page, cleared_at[page], now);
                waiting[page] |= read[page];
                if !matches!(self.tracking, Tracking::Chunks(_)) {
                    cleared_at[page] = now;
                }
            }
            counts.push(waiting.iter().filter(|waiting| **waiting).count());
        }
        counts
    }
}
