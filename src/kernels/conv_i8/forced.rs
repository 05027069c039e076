//! Every way to compute a convolution of bytes on sets of several lanes, the chosen one or not: so that the thresholds between them can be
//! measured.

use super::way::Way;
use super::{Input, check_input, check_scratch};
use crate::error::{ShapeError, length};
use crate::kernels::Isa;
use crate::kernels::arch::split::Tile;
use crate::kernels::conv::Conv;
use crate::kernels::gemm_i8::sink::Sums;
use crate::view::MatMut;

/// One way for one shape.
#[derive(Clone, Copy)]
pub(crate) struct Forced(Way);

impl Forced {
    /// All that there are for [`conv2d_i32`](super::conv2d_i32), by name.
    pub(crate) fn all(conv: &Conv) -> impl Iterator<Item = (&'static str, Self)> {
        Way::all(conv).map(|(name, way)| (name, Self(way)))
    }

    /// Elements of scratch.
    pub(crate) const fn scratch_len(&self) -> usize {
        self.0.scratch_len()
    }

    /// [`conv2d_i32`](super::conv2d_i32) of the shape that the way is for.
    pub(crate) fn run(
        &self,
        isa: Isa,
        conv: &Conv,
        input: Input<'_>,
        weight: &[i8],
        out: &mut [i32],
        scratch: &mut [i32],
    ) -> Result<(), ShapeError> {
        check_input(conv, input, weight)?;
        length("the output of a convolution", conv.output_len(), out.len())?;
        check_scratch(self.scratch_len(), scratch)?;
        let out = MatMut::new(out, conv.n * conv.oh * conv.ow, conv.c_out)?;
        self.0.run(isa, input, weight, Sums(Tile::whole(out)), scratch);
        Ok(())
    }
}
