//! The names that a struct is read from, and which of them is spelled most like another word.

use serde::de::value::Error;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

/// A source of nothing that takes note of which keys a struct asks for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names were wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The keys that `T` is read from, in the order of its fields; none if it is no struct.
pub(super) fn field_names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Asked(&mut names)); // always an error: only what was asked for matters
    names
}

/// The name that is the fewest changes away from `word`, the first of several.
pub(super) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().min_by_key(|name| distance(word, name))
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
    use crate::train::Config;

    #[test]
    fn the_names_are_the_configurations_own() {
        let names = field_names::<Config>();
        let written: toml::Table = toml::from_str(&Config::default().to_toml().unwrap()).unwrap();
        assert!(written.keys().all(|key| names.contains(&key.as_str())), "{names:?}");
        assert!(["model", "split", "patience", "init", "isa", "dataset"].iter().all(|key| names.contains(key)));
        assert!(field_names::<u32>().is_empty());
    }

    #[test]
    fn changes_are_counted() {
        let cases = [("", "", 0), ("lr", "lr", 0), ("lr", "rl", 1), ("bach", "batch", 1), ("epoch", "epochs", 1)];
        for (a, b, want) in cases.into_iter().chain([("kitten", "sitting", 3), ("", "seed", 4), ("seed", "", 4)]) {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let names = field_names::<Config>();
        let cases = [("weight-decay", "weight_decay"), ("batchsize", "batch"), ("epoch", "epochs"), ("sede", "seed")];
        for (word, want) in cases {
            assert_eq!(nearest(word, names), Some(want));
        }
        assert_eq!(nearest("x", &[]), None);
    }
}
