//! Sizes: around the edges of registers and tiles, and at the end of what a machine word holds.

use inkstone::kernels::Activation;
use proptest::prelude::*;

/// 0, 1, and one less to one more than registers and tiles are long.
pub(crate) fn edges() -> impl Strategy<Value = usize> {
    const EDGES: [usize; 9] = [1, 4, 6, 8, 12, 16, 24, 32, 64];
    prop_oneof![
        3 => (prop::sample::select(&EDGES[..]), 0..3usize).prop_map(|(edge, more)| edge + more - 1),
        2 => 0..20usize,
    ]
}

/// Lengths of slices that are gone through once.
pub(crate) fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![4 => edges(), 1 => 0..300usize]
}

/// Three sizes, each of its own kind.
pub(crate) fn three(
    m: impl Strategy<Value = usize>,
    n: impl Strategy<Value = usize>,
    k: impl Strategy<Value = usize>,
) -> impl Strategy<Value = [usize; 3]> {
    (m, n, k).prop_map(|(m, n, k)| [m, n, k])
}

/// Any size: mostly small ones, often such whose products no machine word holds.
pub(crate) fn wild() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0..5usize,
        1 => (0..usize::BITS).prop_map(|bits| 1 << bits),
        1 => (0..usize::BITS, 0..3usize).prop_map(|(bits, less)| (usize::MAX >> bits).saturating_sub(less)),
        1 => any::<usize>(),
    ]
}

pub(crate) fn activations() -> impl Strategy<Value = Activation> {
    use Activation::{Identity, Relu, Sigmoid, Tanh};
    prop::sample::select(vec![Identity, Relu, Tanh, Sigmoid])
}
