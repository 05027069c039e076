//! With what is measured.

use super::peer::Peers;
use crate::kernels::Isa;

/// Instruction sets, threads, and what to compare with.
#[derive(Clone, Copy)]
pub struct Setup {
    /// The instruction set whose peaks are measured, and that runs on several threads.
    pub isa: Isa,
    /// Whether every other set of this machine is timed too, on one thread.
    pub every_isa: bool,
    /// Threads of the rayon pool that the measurement runs in. With more than one, ways that can use them are timed on all of them too.
    pub threads: usize,
    /// Operations of the largest case whose plain loops are timed.
    pub reference_up_to: u64,
    /// Other crates' products.
    pub peers: Option<Peers>,
}

impl Setup {
    /// The sets to time on one thread; those that are not [`isa`](Self::isa) only if they are done in `fair` time.
    pub(super) fn isas(&self, fair: bool) -> Vec<Isa> {
        Isa::available().filter(|isa| *isa == self.isa || self.every_isa && fair).collect()
    }

    /// Whether the plain loops are timed at so many operations.
    pub(super) const fn times_reference(&self, operations: u64) -> bool {
        operations <= self.reference_up_to
    }
}
