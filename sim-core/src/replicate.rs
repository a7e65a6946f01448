//! Running many replications on all processors, with a result that does not depend on how many.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

/// Runs `run(0)` to `run(count - 1)` in parallel and gives the results in that order.
///
/// `run` must depend on its argument only (draw from [`Streams`](crate::Streams) of that
/// replication); then the result is the same on any number of threads. `done` is called after each
/// with the number finished so far, from whichever thread finished it.
pub fn replicate<T: Send>(count: u32, run: impl Fn(u32) -> T + Sync, done: impl Fn(u32) + Sync) -> Vec<T> {
    let finished = AtomicU32::new(0);
    (0..count)
        .into_par_iter()
        .map(|replication| {
            let result = run(replication);
            done(finished.fetch_add(1, Ordering::Relaxed) + 1);
            result
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::replicate;
    use crate::random::Streams;

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let draws = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| replicate(500, |r| Streams::new(1, r).stream("x", "y").next_u64(), |_| ()))
        };
        assert_eq!(draws(1), draws(2));
    }
}
