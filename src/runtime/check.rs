//! What must hold of an image, in the order in which its bytes lie. Nothing is believed: sizes, places and the length of the arena are
//! worked out again.

use super::crc32::Crc32;
use super::error::ImageError;
use super::format::{
    ALIGN, BYTE, HEADER, Header, Kind, MAGIC, MAX_STEPS, NONE, PIXEL, SINGLE, StepKind, StepRecord, TENSOR, VERSION,
    align,
};
use super::model::Model;
use super::step::{Work, constants};

fn rule(rule: &'static str, at: usize) -> ImageError {
    ImageError::Rule { rule, at }
}

fn zeros(bytes: &[u8], from: usize, to: usize) -> bool {
    bytes.get(from..to).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
}

/// The header: everything that can be said before a record is read.
pub(super) fn header(bytes: &[u8]) -> Result<(Kind, Header), ImageError> {
    if bytes.len() < HEADER {
        return Err(ImageError::TooShort { needed: HEADER, got: bytes.len() });
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(ImageError::Magic);
    }
    let header = Header::read(bytes);
    if header.version != VERSION {
        return Err(ImageError::Version { known: VERSION, found: header.version });
    }
    if header.length > bytes.len() {
        return Err(ImageError::TooShort { needed: header.length, got: bytes.len() });
    }
    if header.length < bytes.len() {
        return Err(ImageError::Trailing { expected: header.length, got: bytes.len() });
    }
    if !bytes.as_ptr().addr().is_multiple_of(ALIGN) {
        return Err(ImageError::Misaligned { what: "an image", needed: ALIGN });
    }
    let found =
        Crc32::NEW.with(bytes.get(..HEADER - 4).unwrap_or_default()).with(bytes.get(HEADER..).unwrap_or_default());
    if found.value() != header.crc32 {
        return Err(ImageError::Checksum { expected: header.crc32, found: found.value() });
    }
    let kind = Kind::from_byte(header.kind).ok_or(rule("numbers are of a kind that this library knows", 0))?;
    if header.per_image > 1 {
        return Err(rule("pixels are normalised alike, or image by image", 0));
    }
    if !zeros(bytes, 26, 28) || !zeros(bytes, 44, 60) {
        return Err(rule("what is reserved in the header is zero", 0));
    }
    let finite = header.scale.is_finite() && header.offset.is_finite();
    if !finite
        || header.per_image == 0 && header.scale <= 0.0
        || header.per_image == 1 && (header.scale.to_bits(), header.offset.to_bits()) != (0, 0)
    {
        return Err(rule("the scale of pixels is finite and positive, the offset finite", 0));
    }
    if header.steps == 0 || header.steps > MAX_STEPS {
        return Err(ImageError::Field {
            what: "steps, at least one and at most so many",
            at: 0,
            expected: MAX_STEPS as i64,
            found: header.steps as i64,
        });
    }
    if header.tensors != header.steps + 1 {
        let (expected, found) = (header.steps as i64 + 1, header.tensors as i64);
        return Err(ImageError::Field { what: "tensors, one more than steps", at: 0, expected, found });
    }
    let (tables, labels) = (HEADER + header.tensors * TENSOR, header.labels_at());
    if header.constants_at() > bytes.len() || labels.checked_add(header.labels).is_none() {
        return Err(ImageError::TooShort { needed: header.constants_at(), got: bytes.len() });
    }
    if !zeros(bytes, tables, header.steps_at()) || !zeros(bytes, labels + header.labels, header.constants_at()) {
        return Err(rule("bytes between tables are zero", 0));
    }
    let names = bytes.get(labels..labels + header.labels).unwrap_or_default();
    let lines = core::str::from_utf8(names).ok().filter(|names| names.is_empty() || names.ends_with('\n'));
    match lines.map(|names| names.bytes().filter(|byte| *byte == b'\n').count()) {
        Some(lines) if lines == header.classes => {}
        _ => return Err(rule("there is a line of text for each class", 0)),
    }
    Ok((kind, header))
}

/// The records of the tensors, one by one.
pub(super) fn tensors<const K: u32>(model: &Model<'_, K>) -> Result<(), ImageError> {
    let (Model { bytes, header, .. }, kind) = (*model, model.kind());
    let mut arena = 0;
    for index in 0..header.tensors {
        let tensor = model.tensor_record(index);
        let at = HEADER + index * TENSOR;
        if !zeros(bytes, at + 14, at + 16) || !zeros(bytes, at + 20, at + 24) {
            return Err(rule("what is reserved in a tensor is zero", index));
        }
        let expected = match (index, kind) {
            (0, _) => PIXEL,
            (_, Kind::I8) => BYTE,
            _ => SINGLE,
        };
        if tensor.element != expected {
            let (expected, found) = (expected.into(), tensor.element.into());
            return Err(ImageError::Field { what: "the element of tensor", at: index, expected, found });
        }
        let quantized = if expected == BYTE {
            tensor.scale.is_finite() && tensor.scale > 0.0
        } else {
            tensor.scale.to_bits() == 0 && tensor.zero_point == 0
        };
        if !quantized {
            return Err(rule("the scale of bytes is finite and positive, of others it is zero", index));
        }
        let len =
            tensor.elements().filter(|elements| *elements > 0).and_then(|n| n.checked_mul(tensor.element_bytes()));
        let end = len.and_then(|len| tensor.offset.checked_add(len)).filter(|end| *end <= i32::MAX as usize);
        let Some(end) = end else {
            return Err(rule("a tensor has a size, and its bytes can be counted by 31 bits", index));
        };
        if !tensor.offset.is_multiple_of(ALIGN) {
            return Err(rule("tensors begin at multiples of 16 bytes", index));
        }
        arena = align(end).max(arena);
    }
    if arena != header.arena {
        let (expected, found) = (arena as i64, header.arena as i64);
        return Err(ImageError::Field { what: "the bytes of the arena", at: 0, expected, found });
    }
    let classes = model.tensor_record(header.steps).elements();
    if classes != Some(header.classes) {
        let expected = classes.unwrap_or(0) as i64;
        return Err(ImageError::Field { what: "the classes", at: 0, expected, found: header.classes as i64 });
    }
    Ok(())
}

/// The records of the steps and their constants, which lie one after the other to the end of the image.
pub(super) fn steps<const K: u32>(model: &Model<'_, K>) -> Result<(), ImageError> {
    let (Model { bytes, header, .. }, kind) = (*model, model.kind());
    let mut at = header.constants_at();
    for index in 0..header.steps {
        let step = model.step_record(index);
        let b = if step.b == NONE { 0 } else { step.b.into() };
        if usize::from(step.a) > index || b > index {
            return Err(rule("a step reads tensors that steps before it wrote", index));
        }
        let is_pixels = step.op == StepKind::Pixels as u8;
        if is_pixels != (index == 0) || !is_pixels && (step.a == 0 || b == 0 && step.b != NONE) {
            return Err(rule("the first step, and no other, reads the pixels", index));
        }
        let op = StepKind::from_byte(step.op).ok_or(rule("a step is of a kind that this library knows", index))?;
        if !canonical(&step, op, kind, header.per_image == 1) {
            return Err(rule("fields that a step has no use for are zero", index));
        }
        let lens = constants(kind, &step, &model.tensor_record(step.a.into()), &model.tensor_record(index + 1))
            .map_err(|error| ImageError::Shape { step: index, error })?;
        let first = if lens == [0; 4] { 0 } else { at };
        if step.constants != first {
            let (expected, found) = (first as i64, step.constants as i64);
            return Err(ImageError::Field { what: "the place of the constants of step", at: index, expected, found });
        }
        for len in lens {
            let end = at.checked_add(len).filter(|end| align(*end) <= bytes.len());
            let end = end.ok_or(rule("the constants of a step lie in the image", index))?;
            if !zeros(bytes, end, align(end)) {
                return Err(rule("bytes between constants are zero", index));
            }
            at = align(end);
        }
        model.step(index, true)?;
        // What one sample needs can be counted on any instruction set.
        model.scratch_len(crate::kernels::Isa::SCALAR, 1, index)?;
    }
    if at != bytes.len() {
        return Err(ImageError::Trailing { expected: at, got: bytes.len() });
    }
    Ok(())
}

/// Whether what a kind of step does not use is zero, so that each step can be written in one way only.
fn canonical(step: &StepRecord, op: StepKind, kind: Kind, per_image: bool) -> bool {
    let i8s = kind == Kind::I8;
    let window = step.kernel != [0, 0] || step.stride != 0 || step.padding != 0;
    let uses_window = matches!(op, StepKind::Conv | StepKind::MaxPool | StepKind::AvgPool);
    let uses_clamp = i8s && matches!(op, StepKind::Conv | StepKind::Dense | StepKind::AvgPool | StepKind::Add);
    let uses_function = !i8s && matches!(op, StepKind::Conv | StepKind::Dense | StepKind::Add | StepKind::Map);
    let scales = match op {
        StepKind::Add if i8s => true,
        StepKind::Pixels if i8s && per_image => step.multipliers[0] != 0 && step.multipliers[1] == 0,
        StepKind::AvgPool if i8s => step.multipliers[1] == 0,
        _ => step.multipliers == [0, 0] && step.shift == 0,
    };
    (uses_window || !window)
        && (uses_clamp || step.clamp == (0, 0))
        && (uses_function || step.activation == 0)
        && (step.groups == 0) == (op != StepKind::Conv)
        && (op == StepKind::Conv || step.pool == 0)
        && (op == StepKind::Add) == (step.b != NONE)
        && scales
}

/// That no step writes over what a later one reads, its scratch neither, and that everything written is read.
pub(super) fn places<const K: u32>(model: &Model<'_, K>) -> Result<(), ImageError> {
    let steps = model.header.steps;
    for index in 0..steps {
        let scratch = model.step_record(index).scratch;
        if scratch != NONE && usize::from(scratch) * ALIGN > model.header.arena {
            return Err(rule("the scratch of a step begins in the arena of the tensors, or behind all", index));
        }
    }
    let reads = |index: usize, tensor: usize| {
        let step = model.step_record(index);
        usize::from(step.a) == tensor || usize::from(step.b) == tensor
    };
    for tensor in 0..=steps {
        // Step `i` writes tensor `i + 1`; the result is read when all is done.
        let last = if tensor == steps {
            steps
        } else {
            (tensor..steps).rev().find(|index| reads(*index, tensor)).unwrap_or(steps)
        };
        if last == steps && tensor != steps {
            return Err(rule("every tensor but the last is read", tensor));
        }
        let mine = model.place(tensor, 1);
        for index in tensor.saturating_sub(1)..steps.min(last.saturating_add(1)) {
            if model.scratch_at(index) < mine.end {
                return Err(rule("the scratch of a step lies behind what is alive", index));
            }
        }
        for writer in tensor..steps.min(last.saturating_add(1)) {
            let other = model.place(writer + 1, 1);
            let apart = other.end <= mine.start || mine.end <= other.start;
            if !(apart || writer == last && mine == other && in_place(model, writer, tensor)) {
                return Err(rule("no step writes over what is still to be read", writer));
            }
        }
    }
    Ok(())
}

/// Whether step `index` may write over `tensor`, which it reads.
fn in_place<const K: u32>(model: &Model<'_, K>, index: usize, tensor: usize) -> bool {
    let Ok(step) = model.step(index, false) else { return false };
    match step.work {
        Work::Pixels(_) => model.kind() == Kind::I8,
        Work::Map(_) | Work::Table(_) => true,
        Work::Add(..) => step.a == tensor && step.b != Some(tensor),
        _ => false,
    }
}
