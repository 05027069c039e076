//! Pieces of slices, for kernels that run on microcontrollers.
//!
//! Shapes are checked before a kernel runs, so that every piece is there. A kernel that asks for it in this way, and has nothing more to do
//! without it, links no panic into firmware: the code that a panic needs takes more flash than some kernels. Where debug assertions are
//! compiled, as in tests, a piece that is not there stops the program.

/// `len` elements from `from` on.
#[inline(always)]
pub(in crate::kernels) fn piece<T>(slice: &[T], from: usize, len: usize) -> Option<&[T]> {
    let piece = slice.get(from..).and_then(|rest| rest.get(..len));
    debug_assert!(piece.is_some(), "{len} from {from} on of {}", slice.len());
    piece
}

/// The same, to be written.
#[inline(always)]
pub(in crate::kernels) fn piece_mut<T>(slice: &mut [T], from: usize, len: usize) -> Option<&mut [T]> {
    debug_assert!(from <= slice.len() && len <= slice.len() - from, "{len} from {from} on of {}", slice.len());
    slice.get_mut(from..).and_then(|rest| rest.get_mut(..len))
}

/// All from `from` on.
#[inline(always)]
pub(in crate::kernels) fn rest<T>(slice: &[T], from: usize) -> Option<&[T]> {
    debug_assert!(from <= slice.len(), "from {from} on of {}", slice.len());
    slice.get(from..)
}

/// The same, to be written.
#[inline(always)]
pub(in crate::kernels) fn rest_mut<T>(slice: &mut [T], from: usize) -> Option<&mut [T]> {
    debug_assert!(from <= slice.len(), "from {from} on of {}", slice.len());
    slice.get_mut(from..)
}
