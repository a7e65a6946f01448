//! The word that was probably meant.

/// The one of `words` that is nearest to `wrong`, if any is near at all.
pub(crate) fn word<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = wrong.chars().count() / 3 + 1;
    let folded = wrong.to_lowercase();
    let near = words.into_iter().filter_map(|word| {
        if word.len().abs_diff(wrong.len()) > 4 * allowed {
            return None;
        }
        let distance = strsim::damerau_levenshtein(&folded, &word.to_lowercase());
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
        assert_eq!(word("zebra", ["name", "memory"]), None);
    }
}
