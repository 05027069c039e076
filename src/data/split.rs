//! Part of the train set kept for validation, chosen by seed.

use super::error::DataError;
use super::random::{Random, shuffle};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many samples are kept for validation: `0.2` is a fraction, `10000` a count; 0 keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum ValSize {
    /// A fraction in `[0, 1)`, rounded to the nearest count.
    Fraction(f64),
    /// A count.
    Count(usize),
}

impl ValSize {
    /// Samples kept for validation out of `n`.
    ///
    /// # Errors
    /// [`DataError::Rule`] if the fraction is outside `[0, 1)`, or if nothing would be left to train on.
    pub fn of(self, n: usize) -> Result<usize, DataError> {
        let count = match self.checked()? {
            Self::Fraction(fraction) => (fraction * n as f64).round() as usize,
            Self::Count(count) => count,
        };
        if count > 0 && count >= n {
            let expected = format!("at most {} of {n} samples", n.saturating_sub(1));
            return Err(DataError::value(
                format!("split {self}"),
                "samples must be left to train on",
                expected,
                format!("{count} for validation"),
            ));
        }
        Ok(count)
    }

    /// Whether it asks for any; of few samples a small fraction rounds to none.
    #[must_use]
    pub fn is_some(self) -> bool {
        match self {
            Self::Fraction(fraction) => fraction > 0.0,
            Self::Count(count) => count > 0,
        }
    }

    /// The value itself, if it is a count or a fraction in `[0, 1)`.
    fn checked(self) -> Result<Self, DataError> {
        match self {
            Self::Fraction(fraction) if !(0.0..1.0).contains(&fraction) => Err(DataError::value(
                "split",
                "a fraction is at least 0 and below 1, a whole number is a count",
                "for example 0.2 or 10000",
                fraction,
            )),
            valid => Ok(valid),
        }
    }
}

impl FromStr for ValSize {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Count(count));
        }
        match text.parse() {
            Ok(fraction) => Self::Fraction(fraction).checked(),
            Err(_) => Err(DataError::value(
                "split",
                "a fraction or a count of the train set",
                "for example 0.2 or 10000",
                format!("{text:?}"),
            )),
        }
    }
}

impl fmt::Display for ValSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fraction(fraction) => write!(f, "{fraction:?}"), // 0.0, not 0, which would be a count
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// As a file holds it: a number, or the text of the flag.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a fraction as 0.2 or a count as 10000")]
enum Written {
    Count(usize),
    Fraction(f64),
    Text(String),
}

impl TryFrom<Written> for ValSize {
    type Error = DataError;

    fn try_from(written: Written) -> Result<Self, DataError> {
        match written {
            Written::Count(count) => Ok(Self::Count(count)),
            Written::Fraction(fraction) => Self::Fraction(fraction).checked(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<ValSize> for Written {
    fn from(size: ValSize) -> Self {
        match size {
            ValSize::Fraction(fraction) => Self::Fraction(fraction),
            ValSize::Count(count) => Self::Count(count),
        }
    }
}

/// Splits the samples `0..n` into train and validation, each in ascending order: a pure function of (n, size, seed).
///
/// # Errors
/// [`DataError::Rule`] if the size leaves nothing to train on, or if `n` does not fit in `u32`.
pub fn split(n: usize, size: ValSize, seed: u64) -> Result<(Vec<u32>, Vec<u32>), DataError> {
    let count = size.of(n)?;
    let end = u32::try_from(n)
        .map_err(|_| DataError::value("the train set", "samples are numbered in 32 bits", "at most 4294967295", n))?;
    let mut val: Vec<u32> = (0..end).collect();
    if count > 0 {
        shuffle(&mut Random::new(seed, "split", 0), &mut val);
    }
    let mut train = val.split_off(count);
    train.sort_unstable();
    val.sort_unstable();
    Ok((train, val))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers come from a second implementation, in Python.
    #[test]
    fn values_are_pinned() {
        let (train, val) = split(10, ValSize::Count(3), 1).unwrap();
        assert_eq!((train, val), (vec![0, 3, 4, 6, 7, 8, 9], vec![1, 2, 5]));
        let (train, val) = split(60_000, ValSize::Fraction(0.2), 1).unwrap();
        assert_eq!((train.len(), val.len()), (48_000, 12_000));
        assert_eq!(val[..8], [2, 9, 13, 48, 51, 59, 64, 72]);
    }

    #[test]
    fn texts_mean_what_they_say() {
        assert_eq!("0.2".parse::<ValSize>().unwrap(), ValSize::Fraction(0.2));
        assert_eq!("10000".parse::<ValSize>().unwrap(), ValSize::Count(10_000));
        assert_eq!("0".parse::<ValSize>().unwrap(), ValSize::Count(0));
        assert_eq!("1e-1".parse::<ValSize>().unwrap(), ValSize::Fraction(0.1));
        for text in ["", "-1", "1.0", "1.5", "-0.1", "nan", "inf", "half", "99999999999999999999999"] {
            let message = text.parse::<ValSize>().unwrap_err().to_string();
            assert!(message.starts_with("split: ") && message.contains("0.2 or 10000"), "{text}: {message}");
        }
    }

    #[test]
    fn something_must_be_left_to_train_on() {
        for size in [ValSize::Count(10), ValSize::Count(usize::MAX), ValSize::Fraction(0.96), ValSize::Fraction(2.0)] {
            assert!(split(10, size, 1).is_err(), "{size}");
        }
        let message = split(10, ValSize::Count(10), 1).unwrap_err().to_string();
        let expected =
            "split 10: samples must be left to train on: expected at most 9 of 10 samples, found 10 for validation";
        assert_eq!(message, expected);
        assert_eq!(split(0, ValSize::Count(0), 1).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn files_hold_a_number_or_a_text() {
        for (toml, size) in [
            ("split = 0.2", ValSize::Fraction(0.2)),
            ("split = 10000", ValSize::Count(10_000)),
            ("split = \"0.2\"", ValSize::Fraction(0.2)),
            ("split = 0.0", ValSize::Fraction(0.0)),
        ] {
            #[derive(Serialize, Deserialize)]
            struct File {
                split: ValSize,
            }
            let file: File = toml::from_str(toml).unwrap();
            assert_eq!(file.split, size);
            let again: File = toml::from_str(&toml::to_string(&file).unwrap()).unwrap();
            assert_eq!(again.split, size);
            assert!(toml::from_str::<File>("split = -5").is_err());
            assert!(toml::from_str::<File>("split = 1.5").is_err());
        }
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_half(n in 1usize..500, fraction in 0.0..1.0f64, seed: u64) {
            let size = ValSize::Fraction(fraction);
            prop_assert_eq!(size.to_string().parse::<ValSize>().unwrap(), size);
            if let Ok((train, val)) = split(n, size, seed) {
                prop_assert_eq!(split(n, size, seed).unwrap(), (train.clone(), val.clone()));
                prop_assert_eq!(val.len(), (fraction * n as f64).round() as usize);
                prop_assert!(train.is_sorted() && val.is_sorted());
                let mut all = [train, val].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..n as u32).collect::<Vec<_>>());
            }
        }
    }
}
