//! One bench: a shape, what it takes, and how to get the ways that compute it.

use super::cost::Cost;
use super::error::BenchError;
use super::family::Family;
use super::setup::Setup;
use super::way::Way;

/// What happens to the ways of a case while its operands exist.
pub type Then<'t> = dyn FnMut(Vec<Way<'_>>) + 't;

type Build = dyn Fn(&Case, &Setup, &mut Then<'_>) -> Result<(), BenchError>;

/// One bench, before its operands exist.
pub struct Case {
    name: String,
    family: Family,
    cost: Cost,
    is_quick: bool,
    build: Box<Build>,
}

impl Case {
    /// Called `name`, which is among `quick` if a first look takes it. `build` makes the operands and gives the ways away.
    pub(super) fn new(
        family: Family,
        name: String,
        quick: &[&str],
        cost: Cost,
        build: impl Fn(&Self, &Setup, &mut Then<'_>) -> Result<(), BenchError> + 'static,
    ) -> Self {
        let is_quick = quick.contains(&name.as_str());
        Self { name, family, cost, is_quick, build: Box::new(build) }
    }

    /// Its name: `gemm_f32/512x512x512`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The family it belongs to.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// What a call takes.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether it belongs to a first look.
    #[must_use]
    pub const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Makes the operands, checks the answer of every way, and hands the ways to `then`. Runs in the rayon pool of `setup`.
    ///
    /// # Errors
    /// [`BenchError`] for the first way that refuses its operands or whose answer is wrong; `then` is not called.
    pub fn with_ways(&self, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
        (self.build)(self, setup, then)
            .map_err(|error| BenchError { place: format!("{}, {}", self.name, error.place), ..error })
    }
}
