//! How the learning rate changes over a run.

use super::config::ConfigError;
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

const EXPECTED: &str = "constant, cosine, step:EPOCHS,FACTOR or exp:FACTOR";

/// How the learning rate changes over a run; a warm-up multiplies whatever this gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// `lr`
    Constant,
    /// `lr · (1 + cos(π·t/T)) / 2` at update `t` (from 0) of `T`.
    #[default]
    Cosine,
    /// `lr · factor^⌊epoch / every⌋`, epochs from 0. `step:10,0.5`
    Step {
        /// Epochs between two changes.
        every: u32,
        /// What each change multiplies by.
        factor: f64,
    },
    /// `lr · factor^epoch`, epochs from 0. `exp:0.9`
    Exponential {
        /// What each epoch multiplies by.
        factor: f64,
    },
}

impl Schedule {
    /// What the learning rate is multiplied by at update `step` (from 0) of `steps` in all, in epoch `epoch` (from 0).
    #[must_use]
    pub fn factor(&self, step: u64, steps: u64, epoch: u32) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (PI * step as f64 / steps.max(1) as f64).cos()),
            Self::Step { every, factor } => factor.powf(f64::from(epoch / every.max(1))),
            Self::Exponential { factor } => factor.powf(f64::from(epoch)),
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`ConfigError`] for a factor that is not in `(0, 1]`, or a change every 0 epochs.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let good = match *self {
            Self::Constant | Self::Cosine => true,
            Self::Step { every, factor } => every >= 1 && factor > 0.0 && factor <= 1.0,
            Self::Exponential { factor } => factor > 0.0 && factor <= 1.0,
        };
        let rule = "a factor is above 0 and at most 1, and epochs are at least 1";
        if good { Ok(()) } else { Err(ConfigError::new("schedule", rule, EXPECTED, self)) }
    }
}

/// Linear warm-up over `updates`: `(step + 1) / updates` until 1 is reached.
#[must_use]
pub fn warmup_factor(step: u64, updates: u64) -> f64 {
    if step >= updates { 1.0 } else { (step + 1) as f64 / updates as f64 }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Step { every, factor } => write!(f, "step:{every},{factor}"),
            Self::Exponential { factor } => write!(f, "exp:{factor}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let unknown = || ConfigError::unknown("schedule", EXPECTED, text);
        let schedule = match text.split_once(':') {
            None if text == "constant" => Self::Constant,
            None if text == "cosine" => Self::Cosine,
            Some(("step", numbers)) => {
                let (every, factor) = numbers.split_once(',').ok_or_else(unknown)?;
                let every = every.trim().parse().map_err(|_| unknown())?;
                Self::Step { every, factor: factor.trim().parse().map_err(|_| unknown())? }
            }
            Some(("exp", factor)) => Self::Exponential { factor: factor.trim().parse().map_err(|_| unknown())? },
            _ => return Err(unknown()),
        };
        schedule.validate()?;
        Ok(schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_by_hand() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} and {b}");
        close(Schedule::Constant.factor(7, 10, 3), 1.0);
        for (step, want) in [(0, 1.0), (25, 0.5 + 0.5 * 0.5f64.sqrt()), (50, 0.5), (100, 0.0)] {
            close(Schedule::Cosine.factor(step, 100, 0), want);
        }
        let step = Schedule::Step { every: 2, factor: 0.5 };
        for (epoch, want) in [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.5), (4, 0.25)] {
            close(step.factor(0, 1, epoch), want);
        }
        let exponential = Schedule::Exponential { factor: 0.9 };
        for (epoch, want) in [(0, 1.0), (1, 0.9), (3, 0.729)] {
            close(exponential.factor(0, 1, epoch), want);
        }
    }

    #[test]
    fn warm_up_rises_in_equal_parts_to_one() {
        let got: Vec<f64> = (0..6).map(|step| warmup_factor(step, 4)).collect();
        assert_eq!(got, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(warmup_factor(0, 0), 1.0);
    }

    #[test]
    fn text_goes_both_ways_and_nonsense_is_refused() {
        for text in ["constant", "cosine", "step:10,0.5", "exp:0.95"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for bad in ["", "cos", "step", "step:1", "step:0,0.5", "step:1,0", "step:1,2", "exp:NaN", "exp:-1", "exp:"] {
            assert_eq!(bad.parse::<Schedule>().unwrap_err().key, "schedule", "{bad}");
        }
    }
}
