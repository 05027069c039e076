//! Augmentation: training images turned, moved, stretched, bent and partly erased at random, anew in every epoch.
//!
//! [`Augment`] says how much, as a person writes it; [`Augmenter`] does it: what becomes of an image is a pure function of
//! (seed, epoch, sample index).

mod augmenter;
mod elastic;

use super::error::DataError;
use crate::nearest::nearest;
pub use augmenter::{Augmenter, Epoch, Scratch};
use std::fmt;
use std::str::FromStr;

/// Largest alpha and sigma of an elastic distortion, in pixels.
const MAX_ELASTIC: f64 = 1000.0;

/// How much images are changed: `rotate=10,translate=0.1,scale=0.1,shear=5,elastic=6:2,erase=0.5:0.2`, or `none`.
///
/// Made from text alone, so that every value obeys its rule; a value of 0 is the same as none.
///
/// | key | what is drawn for each image |
/// |---|---|
/// | `rotate=A` | an angle, uniform within ±A degrees; 0 to 180 |
/// | `translate=F` | a move, uniform within ±F of the width along rows, ±F of the height along columns; 0 to below 1 |
/// | `scale=S` | a factor for both sides, uniform within 1 ± S; 0 to below 1 |
/// | `shear=A` | a slant of columns, uniform within ±A degrees; 0 to below 90 |
/// | `elastic=ALPHA:SIGMA` | a displacement of every pixel: ALPHA times noise in (−1, 1), smoothed by a Gaussian of SIGMA pixels |
/// | `erase=P:F` | with probability P a rectangle of zeros, whose area is uniform in 0 to F of the image's; both 0 to 1 |
///
/// The first four are those of torchvision's `RandomAffine`, but for translations, which need not be whole pixels. `elastic` is that of
/// Simard, Steinkraus and Platt, *Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis* (2003), without
/// bringing the smoothed noise to norm 1: displacements are at most ALPHA pixels, and their root mean square is about
/// `ALPHA / (6.14·SIGMA)`, a third of a pixel for 4:2 and 1.4 for their 34:4. Noise beyond the image counts as 0, so they are smaller near
/// the edges.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    rotate: f64,
    translate: f64,
    scale: f64,
    shear: f64,
    elastic: Option<Elastic>,
    erase: Option<Erase>,
}

/// An elastic distortion, in pixels; neither number is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Elastic {
    alpha: f64,
    sigma: f64,
}

/// A random erasing; neither number is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Erase {
    probability: f64,
    area: f64,
}

impl Augment {
    /// Images as they are.
    pub const NONE: Self = Self { rotate: 0.0, translate: 0.0, scale: 0.0, shear: 0.0, elastic: None, erase: None };

    /// Whether images stay as they are.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether pixels come from other places.
    fn moves(&self) -> bool {
        let Self { rotate, translate, scale, shear, .. } = *self;
        self.elastic.is_some() || [rotate, translate, scale, shear] != [0.0; 4]
    }
}

/// A key with what its values must be.
struct Key {
    name: &'static str,
    rule: &'static str,
    example: &'static str,
}

const KEYS: [Key; 6] = [
    Key { name: "rotate", rule: "degrees are 0 to 180", example: "10" },
    Key { name: "translate", rule: "a fraction of each side is at least 0 and below 1", example: "0.1" },
    Key { name: "scale", rule: "a change of size is at least 0 and below 1", example: "0.1" },
    Key { name: "shear", rule: "degrees are at least 0 and below 90", example: "5" },
    Key {
        name: "elastic",
        rule: "alpha:sigma are pixels, alpha 0 to 1000, sigma above 0 and at most 1000",
        example: "6:2",
    },
    Key { name: "erase", rule: "probability:area are 0 to 1", example: "0.5:0.2" },
];

impl Key {
    /// The error for a value that breaks the rule.
    fn refuse(&self, value: &str) -> DataError {
        let expected = format!("for example {}={}", self.name, self.example);
        DataError::value(format_args!("augment {}", self.name), self.rule, expected, format!("{value:?}"))
    }

    /// The number in `text`, a part of `value` or all of it, if it is good.
    fn number(&self, text: &str, value: &str, good: impl Fn(f64) -> bool) -> Result<f64, DataError> {
        // Adding 0 makes 0 of −0. Comparisons with NaN are false.
        text.trim().parse().ok().filter(|&x| good(x)).map(|x| x + 0.0).ok_or_else(|| self.refuse(value))
    }

    /// The two numbers of a value with a colon, if they are good.
    fn pair(&self, value: &str, good: [impl Fn(f64) -> bool; 2]) -> Result<[f64; 2], DataError> {
        let (first, second) = value.split_once(':').ok_or_else(|| self.refuse(value))?;
        let [a, b] = good;
        Ok([self.number(first, value, a)?, self.number(second, value, b)?])
    }
}

impl FromStr for Augment {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let mut augment = Self::NONE;
        if text.trim() == "none" {
            return Ok(augment);
        }
        let mut seen = [false; KEYS.len()];
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else {
                let rule = "augmentations are KEY=VALUE, with commas between them";
                let expected = "none or, for example, rotate=10,translate=0.1";
                return Err(DataError::value("augment", rule, expected, format!("{:?}", part.trim())));
            };
            let (name, value) = (name.trim(), value.trim());
            let Some(at) = KEYS.iter().position(|key| key.name == name) else { return Err(unknown(name)) };
            let key = &KEYS[at];
            if std::mem::replace(&mut seen[at], true) {
                let place = format_args!("augment {name}").to_string();
                return Err(DataError::value(
                    place,
                    "a key stands once",
                    "one value",
                    format!("{value:?} beside another"),
                ));
            }
            match name {
                "rotate" => augment.rotate = key.number(value, value, |x| (0.0..=180.0).contains(&x))?,
                "translate" => augment.translate = key.number(value, value, |x| (0.0..1.0).contains(&x))?,
                "scale" => augment.scale = key.number(value, value, |x| (0.0..1.0).contains(&x))?,
                "shear" => augment.shear = key.number(value, value, |x| (0.0..90.0).contains(&x))?,
                "elastic" => {
                    let good = [|x: f64| (0.0..=MAX_ELASTIC).contains(&x), |x: f64| x > 0.0 && x <= MAX_ELASTIC];
                    let [alpha, sigma] = key.pair(value, good)?;
                    augment.elastic = (alpha > 0.0).then_some(Elastic { alpha, sigma });
                }
                _ => {
                    let [probability, area] = key.pair(value, [|x: f64| (0.0..=1.0).contains(&x); 2])?;
                    augment.erase = (probability > 0.0 && area > 0.0).then_some(Erase { probability, area });
                }
            }
        }
        Ok(augment)
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.rotate, self.translate, self.scale, self.shear];
        let mut parts: Vec<String> =
            KEYS.iter().zip(numbers).filter(|&(_, x)| x != 0.0).map(|(key, x)| format!("{}={x}", key.name)).collect();
        parts.extend(self.elastic.map(|Elastic { alpha, sigma }| format!("elastic={alpha}:{sigma}")));
        parts.extend(self.erase.map(|Erase { probability, area }| format!("erase={probability}:{area}")));
        f.pad(&if parts.is_empty() { "none".to_owned() } else { parts.join(",") })
    }
}

/// `name` is no key; the nearest one is named.
fn unknown(name: &str) -> DataError {
    let names = KEYS.each_ref().map(|key| key.name);
    let meant = nearest(name, names).unwrap_or_default();
    let expected = format!("{meant} (known are {})", names.join(", "));
    DataError::value("augment", "a known key", expected, format!("{name:?}"))
}

#[cfg(test)]
mod tests;
