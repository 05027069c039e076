//! One implementation of a case, ready to be timed.

use super::cost::Cost;
use super::error::{BenchError, Cause};
use crate::error::ShapeError;
use crate::kernels::Isa;
use std::hint::black_box;

/// Which implementation, on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `reference` (plain loops), `inkstone`, `packed`, `inkstone-f32` (the same shape in single precision), `inkstone-f16` (activations in
    /// half precision too), or a peer.
    pub name: &'static str,
    /// The instruction set; `None` where the compiler or the peer chose it.
    pub isa: Option<Isa>,
    /// Threads.
    pub threads: usize,
    /// What a call takes.
    pub cost: Cost,
}

impl Variant {
    /// All of it in a word: `inkstone-avx2-2threads`.
    #[must_use]
    pub fn label(&self) -> String {
        let isa = self.isa.map_or_else(String::new, |isa| format!("-{isa}"));
        let threads = if self.threads == 1 { String::new() } else { format!("-{}threads", self.threads) };
        format!("{}{isa}{threads}", self.name)
    }
}

/// One implementation, whose first answer was right, with an output of its own.
pub struct Way<'a> {
    /// Which it is.
    pub variant: Variant,
    run: Box<dyn FnMut() + 'a>,
}

impl Way<'_> {
    /// One call.
    pub fn call(&mut self) {
        (self.run)();
    }
}

/// Fails at the first element of an answer that is wrong.
type Check<'a, O> = Box<dyn Fn(&[O]) -> Result<(), Cause> + 'a>;

/// Ways to compute the same output of `O`s, checked as they come.
pub(super) struct Ways<'a, O> {
    cost: Cost,
    fresh: Vec<O>,
    check: Check<'a, O>,
    ways: Vec<Way<'a>>,
}

impl<'a, O: Copy + 'a> Ways<'a, O> {
    /// None yet. Each starts on a copy of `fresh`: not a number where it only writes, operands where it works in place.
    pub(super) fn new(cost: Cost, fresh: Vec<O>, check: impl Fn(&[O]) -> Result<(), Cause> + 'a) -> Self {
        Self { cost, fresh, check: Box::new(check), ways: Vec::new() }
    }

    /// Runs it once, checks the answer, and keeps it.
    pub(super) fn push(
        &mut self,
        name: &'static str,
        isa: Option<Isa>,
        threads: usize,
        mut run: impl FnMut(&mut [O]) -> Result<(), ShapeError> + 'a,
    ) -> Result<(), BenchError> {
        let variant = Variant { name, isa, threads, cost: self.cost };
        let mut out = self.fresh.clone();
        run(&mut out)
            .map_err(Cause::from)
            .and_then(|()| (self.check)(&out))
            .map_err(|cause| BenchError { place: variant.label(), cause })?;
        // What was accepted once is accepted again: the result says nothing new.
        let run = Box::new(move || _ = black_box(run(black_box(&mut out[..]))));
        self.ways.push(Way { variant, run });
        Ok(())
    }

    /// All that were pushed.
    pub(super) fn done(self) -> Vec<Way<'a>> {
        self.ways
    }
}
