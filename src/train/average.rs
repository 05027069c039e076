//! Averages of the weights over a run, which often do better than the weights of any one update.

use super::config::ConfigError;
use super::spread::spread;
use crate::error::ShapeError;
use crate::kernels::{Isa, elementwise};
use std::fmt;
use std::str::FromStr;

const EXPECTED: &str = "none, ema:DECAY or swa:EPOCH";

/// Weights in a piece: a smaller piece costs less than waking a second thread.
const GRAIN: usize = 32 * 1024;

/// Which average of the weights is evaluated, kept as the best and saved as the result, instead of the weights themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Average {
    /// The weights as the last update left them.
    #[default]
    None,
    /// An exponential moving average, moved on after every update: `a += (1 − d)·(w − a)` with `d = min(decay, (1 + t)/(10 + t))` after update `t`
    /// (from 1), so that the first weights are soon forgotten. Running statistics are averaged alike. `ema:0.999`
    Ema {
        /// The part that stays in an update, once the run is old enough.
        decay: f64,
    },
    /// Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights after epoch `from` and each epoch behind it. Batch norms of the
    /// averaged network take their statistics from training samples, anew after each epoch. `swa:10`
    Swa {
        /// The first epoch, from 1, whose weights count.
        from: u32,
    },
}

impl Average {
    /// Whether there is one.
    #[must_use]
    pub fn is_some(self) -> bool {
        self != Self::None
    }

    /// Whether it is of the weights after epoch `epoch`, from 1, and the network of the average needs statistics of its own.
    pub(super) fn takes_epoch(self, epoch: u32) -> bool {
        matches!(self, Self::Swa { from } if epoch >= from)
    }

    /// Checks the number.
    ///
    /// # Errors
    /// [`ConfigError`] for a decay that is not in `(0, 1)`, or an epoch 0.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let good = match *self {
            Self::None => true,
            Self::Ema { decay } => decay > 0.0 && decay < 1.0,
            Self::Swa { from } => from >= 1,
        };
        let rule = "a decay is above 0 and below 1, and epochs count from 1";
        if good { Ok(()) } else { Err(ConfigError::new("average", rule, EXPECTED, self)) }
    }

    /// Takes note of the `weights` after update `t`, from 1.
    pub(super) fn after_update(self, isa: Isa, t: u64, weights: &[f32], average: &mut [f32]) -> Result<(), ShapeError> {
        let Self::Ema { decay } = self else { return Ok(()) };
        let young = (1.0 + t as f64) / (10.0 + t as f64);
        blend(isa, 1.0 - decay.min(young), weights, average)
    }

    /// Takes note of the `weights` after epoch `epoch`, from 1.
    pub(super) fn after_epoch(
        self,
        isa: Isa,
        epoch: u32,
        weights: &[f32],
        average: &mut [f32],
    ) -> Result<(), ShapeError> {
        match self {
            Self::None | Self::Ema { .. } => Ok(()),
            Self::Swa { from } if epoch > from => blend(isa, 1.0 / f64::from(epoch - from + 1), weights, average),
            // Until there is an average, and at its first epoch, it is the weights themselves.
            Self::Swa { .. } if weights.len() == average.len() => {
                average.copy_from_slice(weights);
                Ok(())
            }
            Self::Swa { .. } => {
                Err(ShapeError::Length { what: "the averaged weights", expected: weights.len(), got: average.len() })
            }
        }
    }
}

/// `average += rate · (weights − average)`, on the current rayon pool.
fn blend(isa: Isa, rate: f64, weights: &[f32], average: &mut [f32]) -> Result<(), ShapeError> {
    if weights.len() != average.len() {
        return Err(ShapeError::Length { what: "the averaged weights", expected: weights.len(), got: average.len() });
    }
    spread((average, weights), GRAIN, &|(average, weights): (&mut [f32], &[f32])| {
        elementwise::blend(isa, rate as f32, weights, average)
    })
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ema { decay } => write!(f, "ema:{decay}"),
            Self::Swa { from } => write!(f, "swa:{from}"),
        }
    }
}

impl FromStr for Average {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let unknown = || ConfigError::unknown("average", EXPECTED, text);
        let average = match text.split_once(':') {
            None if text == "none" => Self::None,
            Some(("ema", decay)) => Self::Ema { decay: decay.trim().parse().map_err(|_| unknown())? },
            Some(("swa", from)) => Self::Swa { from: from.trim().parse().map_err(|_| unknown())? },
            _ => return Err(unknown()),
        };
        average.validate()?;
        Ok(average)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_by_hand() {
        let isa = Isa::best();
        let ema = Average::Ema { decay: 0.5 };
        let mut average = [1.0f32, -2.0];
        ema.after_update(isa, 1, &[3.0, -2.0], &mut average).unwrap(); // d = 2/11
        assert!((f64::from(average[0]) - (1.0 + 9.0 / 11.0 * 2.0)).abs() < 1e-6 && average[1] == -2.0);
        let before = average[0];
        ema.after_update(isa, 1000, &[0.0, 0.0], &mut average).unwrap(); // d = 0.5
        assert!((average[0] - before / 2.0).abs() < 1e-6 && average[1] == -1.0);

        let swa = Average::Swa { from: 3 };
        let mut average = [9.0f32];
        let means: Vec<f32> = [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 0.0)]
            .into_iter()
            .map(|(epoch, w)| {
                swa.after_update(isa, 7, &[w], &mut average).unwrap();
                swa.after_epoch(isa, epoch, &[w], &mut average).unwrap();
                average[0]
            })
            .collect();
        assert_eq!(means, [1.0, 2.0, 4.0, 6.0, 4.0]);
        assert!(!swa.takes_epoch(2) && swa.takes_epoch(3) && !ema.takes_epoch(3));
        assert!(swa.after_epoch(isa, 1, &[0.0; 2], &mut average).is_err());
        assert!(swa.after_epoch(isa, 9, &[0.0; 2], &mut average).is_err());
        assert!(ema.after_update(isa, 9, &[0.0; 2], &mut average).is_err());
    }

    #[test]
    fn text_goes_both_ways_and_nonsense_is_refused() {
        for text in ["none", "ema:0.999", "swa:10"] {
            assert_eq!(text.parse::<Average>().unwrap().to_string(), text);
        }
        for bad in ["", "ema", "ema:1", "ema:0", "ema:NaN", "ema:-1", "swa", "swa:0", "swa:0.5", "swa:-3", "polyak"] {
            assert_eq!(bad.parse::<Average>().unwrap_err().key, "average", "{bad}");
        }
    }
}
