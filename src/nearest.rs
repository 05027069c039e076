//! What somebody may have meant: the known name that is nearest to one that is not known, in letters to insert, remove or replace, or
//! neighbours to exchange (optimal string alignment).

use strsim::osa_distance;

/// The one of `known` that is the fewest changes away from `word`, the first of several.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|known| osa_distance(word, known))
}

/// The [`nearest`] of `known` to `word`, if it is so near that the one may be a slip of the other.
#[cfg(feature = "train")]
pub(crate) fn slip<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |name: &str| name.chars().count();
    nearest(word, known).filter(|known| osa_distance(word, known) <= 1 + letters(word).max(letters(known)) / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let keys = ["lr", "batch", "epochs", "momentum", "weight_decay", "seed"];
        let cases = [
            ("weight-decay", "weight_decay"),
            ("batchsize", "batch"),
            ("epoch", "epochs"),
            ("sede", "seed"),
            ("rl", "lr"),
        ];
        for (word, want) in cases {
            assert_eq!(nearest(word, keys), Some(want));
        }
        assert_eq!(nearest("x", []), None);
        #[cfg(feature = "train")]
        assert_eq!([slip("epoch", keys), slip("quantization", keys), slip("x", [])], [Some("epochs"), None, None]);
    }
}
