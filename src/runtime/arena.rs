//! The memory in which a model runs.

use super::format::{Header, Kind, MAX_STEPS, StepRecord, TensorRecord, align};
use super::step::scratch_bytes;
use crate::kernels::Isa;

/// Bytes that begin at a multiple of 16.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Arena<BYTES> {
    /// Zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; BYTES])
    }

    /// The bytes.
    pub const fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const BYTES: usize> Default for Arena<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of the arena that an image needs on a chip without vectors, one sample at a time: a constant, so that a `static` can have the
/// size. Of bytes that are no image it says nothing of use: [`Model::new`](super::Model::new) refuses them.
#[must_use]
pub const fn device_arena_len(image: &[u8]) -> usize {
    let header = Header::read(image);
    let Some(kind) = Kind::from_byte(header.kind) else { return 0 };
    let (mut most, mut i) = (align(header.arena), 0);
    // More than an image has: bytes that are none take no longer.
    while i < header.steps && i < MAX_STEPS {
        let step = StepRecord::read(image, header.steps_at(), i);
        let (input, output) = (TensorRecord::read(image, step.a as usize), TensorRecord::read(image, i + 1));
        if let Some(bytes) = scratch_bytes(Isa::SCALAR, kind, &step, &input, &output, 1) {
            let end = step.scratch_at(align(header.arena)).saturating_add(align(bytes));
            most = if end > most { end } else { most };
        }
        i += 1;
    }
    most
}
