//! What a bias is to initialisation and penalties; to a layer it is the same either way.

use super::config::ConfigError;
use std::fmt;
use std::str::FromStr;

/// What a bias counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BiasKind {
    /// A parameter apart, as in PyTorch: drawn as the [initialiser](super::Initializer) says, left out of `--l1` and `--l2`.
    #[default]
    Layer,
    /// The weight of one more input, which is always 1: drawn and penalised as the other weights of the layer, whose `fan_in` counts it.
    Input,
}

impl BiasKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Layer, Self::Input];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Input => "input",
        }
    }
}

impl fmt::Display for BiasKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BiasKind {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ConfigError::unknown("bias", "layer or input", text))
    }
}
