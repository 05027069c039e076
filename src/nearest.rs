//! What somebody may have meant: the known name that is nearest to one that is not known.

/// The nearest of `known` to `name` by insertions, deletions and substitutions of letters; none if all are too far to be a slip.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |known: &'a str| (distance(name, known), known);
    let (distance, known) = known.into_iter().map(near).min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.chars().count().max(known.chars().count()) / 3).then_some(known)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!([distance("", "abc"), distance("kitten", "sitting"), distance("lr", "lr")], [3, 3, 0]);
        let keys = ["lr", "batch", "epochs", "momentum"];
        assert_eq!(nearest("epoch", keys), Some("epochs"));
        assert_eq!(nearest("batchs", keys), Some("batch"));
        assert_eq!(nearest("quantization", keys), None);
        assert_eq!(nearest("x", []), None);
    }
}
