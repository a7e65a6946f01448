//! Named random streams: one generator for each (seed, replication, purpose).
//!
//! A stream depends on its own name only. Adding an entity, or drawing more often from one stream,
//! shifts no draw of another; alternatives compared under the same seed see the same luck (common
//! random numbers). The generator is PCG-64, whose output does not change between versions of the
//! `rand` crate.

use rand_pcg::Pcg64;

/// All the streams of one replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
    replication: u32,
}

impl Streams {
    /// The streams of replication number `replication` under `seed`.
    pub fn new(seed: u64, replication: u32) -> Streams {
        Streams { seed, replication }
    }

    /// The stream for `purpose` and `entity`, such as `("dirty rate", "vm17")`.
    pub fn stream(&self, purpose: &str, entity: &str) -> Pcg64 {
        let mut hash = Fnv128::new();
        hash.write(&self.seed.to_le_bytes());
        hash.write(&self.replication.to_le_bytes());
        hash.write(&(purpose.len() as u64).to_le_bytes());
        hash.write(purpose.as_bytes());
        hash.write(entity.as_bytes());
        let state = hash.finish();
        hash.write(b"increment");
        Pcg64::new(state, hash.finish())
    }
}

/// FNV-1a over 128 bits: stable, and good enough to tell names apart. The standard library's
/// hashers promise no stability between versions.
struct Fnv128(u128);

impl Fnv128 {
    fn new() -> Fnv128 {
        Fnv128(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u128::from(*byte);
            self.0 = self.0.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    fn finish(&self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::Streams;

    #[test]
    fn a_stream_repeats_and_depends_on_every_part_of_its_name() {
        let draw = |seed, replication, purpose, entity| {
            Streams::new(seed, replication).stream(purpose, entity).next_u64()
        };
        let reference = draw(1, 0, "dirty rate", "vm1");
        assert_eq!(reference, draw(1, 0, "dirty rate", "vm1"));
        let others = [
            draw(2, 0, "dirty rate", "vm1"),
            draw(1, 1, "dirty rate", "vm1"),
            draw(1, 0, "traffic", "vm1"),
            draw(1, 0, "dirty rate", "vm2"),
            draw(1, 0, "dirty ratev", "m1"),
        ];
        assert!(others.iter().all(|other| *other != reference), "{others:?}");
    }

    #[test]
    fn output_is_pinned_so_that_old_results_can_be_repeated() {
        let mut stream = Streams::new(42, 7).stream("dirty rate", "vm17");
        assert_eq!([stream.next_u64(), stream.next_u64()], [13212232584938522029, 16181593144418308985]);
    }
}
