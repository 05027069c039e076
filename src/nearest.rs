//! What somebody may have meant: the known name that is nearest to one that is not known.

/// The one of `known` that is the fewest changes away from `word`, the first of several.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|known| distance(word, known))
}

/// The [`nearest`] of `known` to `word`, if it is so near that the one may be a slip of the other.
#[cfg(feature = "train")]
pub(crate) fn slip<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |name: &str| name.chars().count();
    nearest(word, known).filter(|known| distance(word, known) <= 1 + letters(word).max(letters(known)) / 3)
}

/// Letters to insert, remove or replace, or neighbours to exchange (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        let cases = [("", "", 0), ("lr", "lr", 0), ("lr", "rl", 1), ("bach", "batch", 1), ("epoch", "epochs", 1)];
        for (a, b, want) in cases.into_iter().chain([("kitten", "sitting", 3), ("", "seed", 4), ("seed", "", 4)]) {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let keys = ["lr", "batch", "epochs", "momentum", "weight_decay", "seed"];
        let cases = [("weight-decay", "weight_decay"), ("batchsize", "batch"), ("epoch", "epochs"), ("sede", "seed")];
        for (word, want) in cases {
            assert_eq!(nearest(word, keys), Some(want));
        }
        assert_eq!(nearest("x", []), None);
        #[cfg(feature = "train")]
        assert_eq!([slip("epoch", keys), slip("quantization", keys), slip("x", [])], [Some("epochs"), None, None]);
    }
}
