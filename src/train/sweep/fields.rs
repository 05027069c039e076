//! The names that a struct is read from.

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
}
