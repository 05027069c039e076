//! Which kernels a program has to hold: one for a known image needs no other's, and flash is scarce.

use super::format::{Header, Kind, MAX_STEPS, StepKind, StepRecord, TensorRecord};
use super::step::conv;
use crate::kernels::conv_i8;

/// Kernels of everything that an image can hold.
pub const ALL_KERNELS: u32 = u32::MAX;

pub(super) const F32: u32 = 1;
pub(super) const F16: u32 = 1 << 1;
pub(super) const I8: u32 = 1 << 2;
/// Convolutions of bytes with few products in a sum, and with many: see [`conv_i8::is_short`].
pub(super) const SHORT: u32 = 1 << 3;
pub(super) const LONG: u32 = 1 << 4;
/// Convolutions without and with pooling in them, and the other kinds of steps.
pub(super) const CONV: u32 = 1 << 5;
pub(super) const POOLED: u32 = 1 << 6;
pub(super) const DENSE: u32 = 1 << 7;
pub(super) const MAX_POOL: u32 = 1 << 8;
pub(super) const AVG_POOL: u32 = 1 << 9;
pub(super) const ADD: u32 = 1 << 10;
pub(super) const MAP: u32 = 1 << 11;
/// Pixels of bytes that are normalised image by image.
pub(super) const STANDARDIZE: u32 = 1 << 12;

/// The kernels that an image needs on a chip without vectors, as [`Model`](super::Model) takes them: a constant. Of bytes that are no image
/// it says nothing of use.
#[must_use]
pub const fn device_kernels(image: &[u8]) -> u32 {
    let header = Header::read(image);
    let mut all = match Kind::from_byte(header.kind) {
        Some(Kind::F32) => F32,
        Some(Kind::F16) => F16,
        Some(Kind::I8) => I8,
        None => return 0,
    };
    let mut i = 0;
    // More than an image has: bytes that are none take no longer.
    while i < header.steps && i < MAX_STEPS {
        let step = StepRecord::read(image, header.steps_at(), i);
        let (input, output) = (TensorRecord::read(image, step.a as usize), TensorRecord::read(image, i + 1));
        all |= match StepKind::from_byte(step.op) {
            Some(StepKind::Conv) => {
                let pooled = step.pool != 0;
                let length = match conv(&step, &input, output.channels, 1) {
                    Ok(conv) if conv_i8::is_short(&conv, pooled) => SHORT,
                    _ => LONG,
                };
                length | if pooled { POOLED } else { CONV }
            }
            Some(StepKind::Dense) => DENSE,
            Some(StepKind::MaxPool) => MAX_POOL,
            Some(StepKind::AvgPool) => AVG_POOL,
            Some(StepKind::Add) => ADD,
            Some(StepKind::Map) => MAP,
            Some(StepKind::Pixels) if step.multipliers[0] != 0 => STANDARDIZE,
            Some(StepKind::Pixels) | None => 0,
        };
        i += 1;
    }
    all
}

/// Whether `all` of the kernels has some of `wanted`.
pub(super) const fn has(all: u32, wanted: u32) -> bool {
    all & wanted != 0
}
