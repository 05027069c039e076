//! The memory in which a model runs.

use super::format::{Header, Kind, NONE, StepRecord, TensorRecord, align};
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
    let (mut most, mut i) = (0, 0);
    while i < header.steps {
        let step = StepRecord::read(image, header.steps_at(), i);
        let (input, output) = (TensorRecord::read(image, step.a as usize), TensorRecord::read(image, i + 1));
        if let Some(bytes) = scratch_bytes(Isa::SCALAR, kind, &step, &input, &output, 1) {
            let end = live_end(image, &header, i).saturating_add(align(bytes));
            most = if end > most { end } else { most };
        }
        i += 1;
    }
    let tensors = align(header.arena);
    if most > tensors { most } else { tensors }
}

/// Where the scratch of step `index` begins, of one sample: behind what it or a later one reads, and what it writes.
pub(super) const fn live_end(image: &[u8], header: &Header, index: usize) -> usize {
    let mut end = tensor_end(image, index + 1);
    let mut i = index;
    while i < header.steps {
        let [a, b] = StepRecord::reads(image, header.steps_at(), i);
        if a as usize <= index {
            end = larger(end, tensor_end(image, a as usize));
        }
        if b != NONE && b as usize <= index {
            end = larger(end, tensor_end(image, b as usize));
        }
        i += 1;
    }
    align(end)
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const fn tensor_end(image: &[u8], index: usize) -> usize {
    let tensor = TensorRecord::read(image, index);
    let elements = match tensor.elements() {
        Some(elements) => elements,
        None => 0, // no tensor of a checked image
    };
    tensor.offset.saturating_add(elements.saturating_mul(tensor.element_bytes()))
}
