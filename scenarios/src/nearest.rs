//! The word that was probably meant.

/// The one of `words` that is nearest to `wrong`, if any is near at all: a few letters differ, or
/// one begins with the other.
pub(crate) fn word<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = wrong.chars().count() / 3 + 1;
    let folded = wrong.to_lowercase();
    let near = words.into_iter().filter_map(|word| {
        let lower = word.to_lowercase();
        let begins = folded.len() >= 3 && (lower.starts_with(&folded) || folded.starts_with(&lower));
        // Measuring takes time with the product of the lengths: not for what cannot be near.
        let distance = match word.len().abs_diff(wrong.len()) {
            far if far > 4 * allowed => usize::MAX,
            _ => strsim::damerau_levenshtein(&folded, &lower),
        };
        let distance = if begins { distance.min(allowed) } else { distance };
        (distance <= allowed).then_some((distance, word))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn finds_the_nearest_and_nothing_far() {
        assert_eq!(word("memroy", ["name", "memory", "cores"]), Some("memory"));
        assert_eq!(word("NODE01", ["node02", "node01"]), Some("node01"));
        assert_eq!(word("hyper-v", ["xen", "hyper-v-2022"]), Some("hyper-v-2022"));
        assert_eq!(word("zebra", ["name", "memory"]), None);
    }
}
