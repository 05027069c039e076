//! Other crates' matrix products, which a program that links them lends to the benches.

use crate::kernels::f16;

/// The operands of a product for another crate: `c [m, n] = a [m, k] · b [k, n]`, `c` by rows.
#[derive(Clone, Copy)]
pub struct Product<'a, T = f32> {
    /// Rows of `a` and of `c`.
    pub m: usize,
    /// Columns of `b` and of `c`.
    pub n: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
    /// `m · k` elements.
    pub a: &'a [T],
    /// Elements of `a` from row to row, and from column to column.
    pub a_strides: [isize; 2],
    /// `k · n` elements.
    pub b: &'a [T],
    /// Elements of `b` from row to row, and from column to column.
    pub b_strides: [isize; 2],
}

/// Another crate's way to compute a [`Product`].
pub struct Peer<'a, T = f32> {
    /// The crate.
    pub name: &'static str,
    /// Threads.
    pub threads: usize,
    /// Writes it to `m · n` elements.
    pub run: Write<'a, T>,
}

/// Writes a product to the buffer given, by rows.
pub type Write<'a, T> = Box<dyn FnMut(&mut [T]) + 'a>;

/// Every peer's ways, on one thread and on as many as given.
#[derive(Clone, Copy)]
pub struct Peers {
    /// Of products in single precision.
    pub single: for<'a> fn(Product<'a>, usize) -> Vec<Peer<'a>>,
    /// Of products whose operands and result are all in half precision.
    pub half: for<'a> fn(Product<'a, f16>, usize) -> Vec<Peer<'a, f16>>,
}

/// Elements from row to row and from column to column of a matrix of `rows` by `cols`, stored by columns if it is `turned`.
pub(super) const fn strides(rows: usize, cols: usize, turned: bool) -> [isize; 2] {
    if turned { [1, rows as isize] } else { [cols as isize, 1] }
}
