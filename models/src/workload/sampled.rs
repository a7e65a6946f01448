//! Draws of D(t): how many pages of each group happen to be written.

use rand::RngExt;
use rand_pcg::Pcg64;
use sim_core::{Bytes, PAGE_SIZE, Span, draw};

use super::Workload;
use super::groups::{Groups, Writes};
use super::tempo::Tempo;

impl Workload {
    /// Distinct bytes dirtied within `span` of a count that falls at some time, in whole pages: a draw
    /// whose mean is [`Workload::dirtied`].
    pub fn sampled(&self, span: Span, speed: f64, random: &mut Pcg64) -> Bytes {
        let seconds = span.as_secs_f64();
        // A cycle begins anywhere; bursts have no memory of when the run began.
        let (mut tempo, begin) = (Tempo::new(self, || random.clone()), self.somewhere(random));
        let work = tempo.between(begin, begin + seconds) * speed;
        let groups = Groups::of(self);
        let page = PAGE_SIZE as f64;
        let drawn = groups.groups.iter().enumerate().map(|(index, group)| {
            let (pages, share) = ((group.size / page).round(), groups.written(index, 0.0, work));
            match group.writes {
                // Which pages these are is known, not drawn.
                Writes::Arc { .. } | Writes::Never => (pages * share).round() as u64,
                _ => draw::binomial(pages as u64, share.clamp(0.0, 1.0), random),
            }
        });
        Bytes::new(drawn.sum::<u64>() * PAGE_SIZE)
    }

    fn somewhere(&self, random: &mut Pcg64) -> f64 {
        match self {
            Workload::Trace { every, dirtied, .. } => {
                random.random_range(0.0..1.0) * every.as_secs_f64() * dirtied.len() as f64
            }
            _ => {
                // The tempo took its draws from a copy: these must be others.
                let _: u64 = random.random();
                0.0
            }
        }
    }
}
