//! What an update is after.

use super::loss::Reduction;
use crate::kernels::dropout::Key;

/// What a training pass minimises, and what its dropouts draw by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// How the samples' gradients become one.
    pub reduction: Reduction,
    /// How much of each label is spread over all classes; the loss that is reported is without.
    pub smoothing: f32,
    /// Another one for each update.
    pub key: Key,
}

impl Objective {
    /// Of the update number `step` of a run seeded by `seed`.
    #[must_use]
    pub fn new(reduction: Reduction, seed: u64, step: u64) -> Self {
        Self { reduction, smoothing: 0.0, key: Key::new(seed, step) }
    }
}

impl From<Reduction> for Objective {
    /// Of the first update of seed 0.
    fn from(reduction: Reduction) -> Self {
        Self::new(reduction, 0, 0)
    }
}
