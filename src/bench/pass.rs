//! One pass over memory, as its plain loop and as its kernel do it.

use super::case::{Case, Then};
use super::error::{BenchError, Cause};
use super::setup::Setup;
use super::way::Ways;
use crate::error::ShapeError;
use crate::kernels::Isa;

/// One pass over memory: what it starts on, what is right, the plain loop, and ours.
pub(super) struct Pass<O, C, P, F> {
    pub(super) fresh: Vec<O>,
    pub(super) check: C,
    pub(super) plain: P,
    pub(super) ours: F,
}

impl<O, C, P, F> Pass<O, C, P, F>
where
    O: Copy,
    C: Fn(&[O]) -> Result<(), Cause>,
    P: FnMut(&mut [O]),
    F: FnMut(Isa, &mut [O]) -> Result<(), ShapeError> + Clone, // a copy of its state for each instruction set
{
    /// The plain loop, then one way for each instruction set.
    pub(super) fn ways(self, case: &Case, setup: &Setup, then: &mut Then<'_>) -> Result<(), BenchError> {
        let Self { fresh, check, mut plain, ours } = self;
        let mut ways = Ways::new(case.cost(), fresh, check);
        if setup.times_reference(case.cost().operations) {
            ways.push("reference", None, 1, move |out| {
                plain(out);
                Ok(())
            })?;
        }
        for isa in setup.isas(true) {
            let mut ours = ours.clone();
            ways.push("inkstone", Some(isa), 1, move |out| ours(isa, out))?;
        }
        then(ways.done());
        Ok(())
    }
}
