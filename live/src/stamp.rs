//! What a synthetic guest writes: pages that say what they are, so that a lost or torn write shows.
//!
//! ```text
//!  word 0        1         2 … 510                                511
//!  page number   sequence  a body that follows from the two       checksum of all before it
//! ```
//!
//! The sequence counts the writes of the page. Part of the body looks random and the rest is one word
//! over and over, so that the page can be compressed about as far as the guest's memory is said to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory::WORDS;

const BODY: usize = 2;
const CHECKSUM: usize = WORDS - 1;

/// What a page turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Never written.
    Zero,
    /// Written whole, as often as this.
    Whole {
        /// How often, the last time included.
        sequence: u64,
    },
    /// Another page's content, or parts of several writes.
    Torn,
}

/// Writes the content of page `page` after its `sequence`-th write; `random` of its words look random.
pub fn write(words: &[AtomicU64; WORDS], page: u64, sequence: u64, random: usize) {
    let seed = mix(page.rotate_left(32) ^ sequence);
    let put = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
    put(0, page);
    put(1, sequence);
    let random = (BODY + random).min(CHECKSUM);
    for at in BODY..random {
        put(at, mix(seed.wrapping_add(at as u64)));
    }
    for at in random..CHECKSUM {
        put(at, seed);
    }
    put(CHECKSUM, checksum(words));
}

/// Says what page `page` holds.
pub fn read(words: &[AtomicU64; WORDS], page: u64) -> Found {
    let word = |at: usize| words[at].load(Ordering::Relaxed);
    let is_whole = checksum(words) == word(CHECKSUM);
    if is_whole && word(0) == page {
        return Found::Whole { sequence: word(1) };
    }
    if (0..WORDS).all(|at| word(at) == 0) { Found::Zero } else { Found::Torn }
}

/// How many words of a body look random where memory shrinks to one `ratio`-th by compression.
pub fn random_words(ratio: f64) -> usize {
    let words = (CHECKSUM - BODY) as f64 / ratio.max(1.0);
    words.round() as usize
}

/// A word that tells a page and its sequence from all others; see [`crate::guest::digest`].
pub fn fingerprint(page: u64, sequence: u64) -> u64 {
    mix(mix(page).wrapping_add(sequence))
}

/// The checksum of all words before it. Finds what goes wrong by accident; it is no defence against intent.
///
/// Every page that arrives is looked at, which takes a receiver's time. So two words go into one
/// multiplication, as in wyhash, and four sums stand side by side, for the processor to work at all at once.
fn checksum(words: &[AtomicU64; WORDS]) -> u64 {
    let mut lanes = [1_u64, 2, 3, 4];
    let mut take_in = |eight: &[AtomicU64]| {
        for (lane, pair) in lanes.iter_mut().zip(eight.chunks(2)) {
            let one = pair[0].load(Ordering::Relaxed);
            let other = pair.get(1).map_or(0, |word| word.load(Ordering::Relaxed));
            let product = u128::from(one ^ *lane) * u128::from(other ^ 0x9E37_79B9_7F4A_7C15);
            *lane = product as u64 ^ (product >> 64) as u64;
        }
    };
    let eights = words[..CHECKSUM].chunks_exact(8);
    let rest = eights.remainder();
    eights.for_each(&mut take_in);
    take_in(rest);
    lanes.iter().fold(0, |sum, lane| mix(sum ^ lane))
}

/// SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014).
#[inline]
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Found, WORDS, random_words, read, write};

    fn page() -> [AtomicU64; WORDS] {
        std::array::from_fn(|_| AtomicU64::new(0))
    }

    #[test]
    fn a_page_says_what_it_is_and_any_changed_word_shows() {
        let words = page();
        assert_eq!(read(&words, 7), Found::Zero);
        write(&words, 7, 3, random_words(2.0));
        assert_eq!(read(&words, 7), Found::Whole { sequence: 3 });
        assert_eq!(read(&words, 8), Found::Torn, "another page's content");
        for word in &words {
            word.fetch_xor(1 << 17, Ordering::Relaxed);
            assert_eq!(read(&words, 7), Found::Torn);
            word.fetch_xor(1 << 17, Ordering::Relaxed);
        }
    }

    #[test]
    fn half_a_write_shows_wherever_it_ends() {
        let (old, new) = (page(), page());
        write(&old, 7, 3, random_words(1.0));
        write(&new, 7, 4, random_words(1.0));
        for end in 2..WORDS {
            let torn = page();
            for at in 0..WORDS {
                let from = if at < end { &new } else { &old };
                torn[at].store(from[at].load(Ordering::Relaxed), Ordering::Relaxed);
            }
            assert_eq!(read(&torn, 7), Found::Torn, "torn at {end}");
        }
    }

    #[test]
    fn pages_can_be_compressed_about_as_far_as_they_are_said_to() {
        let words = page();
        for ratio in [1.0, 2.3, 8.0] {
            write(&words, 1, 1, random_words(ratio));
            let bytes: Vec<u8> =
                words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
            let packed = lz4_flex::block::compress(&bytes).len() as f64;
            let reached = bytes.len() as f64 / packed;
            assert!((reached / ratio - 1.0).abs() < 0.12, "{reached} for {ratio}");
        }
    }
}
