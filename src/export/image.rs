//! Writes images: `firmware-notes/FORMAT.md`, byte by byte.

use super::ExportError;
use crate::graph::{Buffer, arrange, largest_live_set};
use crate::quant::program::{Program, ProgramStep};
use crate::runtime::format::{
    ALIGN, BYTE, HEADER, HEADER_FIELDS, MAGIC, MAX_STEPS, NONE, PIXEL, SINGLE, STEP, STEP_FIELDS, StepKind, TENSOR,
    TENSOR_FIELDS, VERSION, align,
};
use crate::runtime::{Crc32, Kind, Model, activation_byte, device_scratch_len};

/// Bytes on the heap, an image or an arena, that begin at a multiple of 16, as [`Model::new`] and [`Model::bind`] want them.
#[derive(Debug)]
pub struct Image {
    /// With room to begin where it has to: no number is so aligned everywhere.
    memory: Vec<u8>,
    first: usize,
    len: usize,
}

impl Clone for Image {
    fn clone(&self) -> Self {
        Self::copy(self.bytes())
    }
}

impl Image {
    /// A copy of `bytes`, whatever they are.
    #[must_use]
    pub fn copy(bytes: &[u8]) -> Self {
        let mut image = Self::zeros(bytes.len());
        image.bytes_mut().copy_from_slice(bytes);
        image
    }

    /// `len` zeros: an arena on the heap.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let memory = vec![0; len + ALIGN - 1];
        let first = memory.as_ptr().align_offset(ALIGN);
        Self { memory, first, len }
    }

    /// The bytes, to write to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..][..self.len]
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.first..][..self.len]
    }

    /// The model in it.
    ///
    /// # Errors
    /// [`ExportError::Image`] if the bytes are no image.
    pub fn model(&self) -> Result<Model<'_>, ExportError> {
        Model::new(self.bytes()).map_err(ExportError::Image)
    }
}

/// Where the tensors of a program lie.
#[derive(Clone, Debug)]
pub struct Layout {
    /// By tensor: its first byte.
    pub offsets: Vec<usize>,
    /// Bytes of all.
    pub arena: usize,
    /// Bytes that the busiest step needs at once: no layout has less.
    pub largest_live_set: usize,
    /// By step: where its scratch begins, behind what is alive.
    pub scratch_at: Vec<usize>,
}

/// Places the tensors of `program`; those that a step may write over share their place with what it writes.
///
/// # Errors
/// [`ExportError::Program`] if they are more than memory can address.
pub fn layout(program: &Program) -> Result<Layout, ExportError> {
    let steps = &program.steps;
    let reads_before = |(index, step): (usize, &ProgramStep)| step.a <= index && step.b.is_none_or(|b| b <= index);
    if program.tensors.len() != steps.len() + 1 || steps.is_empty() || !steps.iter().enumerate().all(reads_before) {
        return Err(ExportError::Program("each step writes one tensor, behind those that it reads".into()));
    }
    // So that sums of lengths fit.
    let most = isize::MAX as usize / 64 / (steps.len() + 1);
    if program.tensors.iter().any(|tensor| tensor.elements() > most) {
        return Err(ExportError::Program("the tensors are more than memory can address".into()));
    }
    let is_read_behind =
        |tensor: usize, index: usize| steps[index + 1..].iter().any(|step| step.a == tensor || step.b == Some(tensor));
    let len = |tensor: usize| {
        let bytes = if tensor > 0 && program.kind != Kind::I8 { 4 } else { 1 };
        align(program.tensors[tensor].elements().saturating_mul(bytes))
    };
    let mut buffers = vec![Buffer::new(len(0), 0)];
    // By tensor: its buffer.
    let mut places = vec![0];
    for (index, step) in steps.iter().enumerate() {
        for tensor in [Some(step.a), step.b].into_iter().flatten() {
            buffers[places[tensor]].extend_to(index);
        }
        let over = match step.kind {
            StepKind::Pixels => program.kind == Kind::I8,
            StepKind::Map => true,
            StepKind::Add => step.b != Some(step.a),
            _ => false,
        };
        if over && !is_read_behind(step.a, index) {
            places.push(places[step.a]);
        } else {
            places.push(buffers.len());
            buffers.push(Buffer::new(len(index + 1), index));
        }
    }
    buffers[places[steps.len()]].extend_to(steps.len()); // the result is read behind the last step
    let (scratch, largest_live_set) = (scratch(program), largest_live_set(&buffers));
    // What a chip needs, scratch included; but not a tenth more than the tensors do, which would be felt where there are vectors, and
    // other scratch.
    let cost = |buffers: &[Buffer]| {
        let with_scratch = (0..steps.len()).map(|step| end_at(buffers, step) + scratch[step]).max().unwrap_or(0);
        let arena = end(buffers);
        // Of those beyond, the smallest is still the best.
        let beyond = if 10 * arena > 11 * largest_live_set { usize::MAX / 2 } else { 0 };
        beyond + with_scratch.max(arena)
    };
    arrange(&mut buffers, cost)
        .map_err(|_| ExportError::Program("the tensors are more than memory can address".into()))?;
    Ok(Layout {
        arena: end(&buffers),
        largest_live_set,
        scratch_at: (0..steps.len()).map(|step| end_at(&buffers, step)).collect(),
        offsets: places.iter().map(|place| buffers[*place].offset).collect(),
    })
}

/// Where the last of the buffers ends.
fn end(buffers: &[Buffer]) -> usize {
    buffers.iter().map(Buffer::end).max().unwrap_or(0)
}

/// The same of those that `step` needs.
fn end_at(buffers: &[Buffer], step: usize) -> usize {
    buffers.iter().filter(|buffer| buffer.lives_at(step)).map(Buffer::end).max().unwrap_or(0)
}

/// By step: bytes of scratch on a chip without vectors; what cannot be counted is refused when the image is read.
fn scratch(program: &Program) -> Vec<usize> {
    let bytes = |(index, step): (usize, &ProgramStep)| {
        let (input, output) = (&program.tensors[step.a], &program.tensors[index + 1]);
        align(device_scratch_len(program.kind, step, input.dims, output.dims).unwrap_or(0))
    };
    program.steps.iter().enumerate().map(bytes).collect()
}

/// One record, field by field.
struct Record<'b> {
    bytes: &'b mut [u8],
    fields: &'static [(&'static str, usize, usize)],
}

impl Record<'_> {
    fn set(&mut self, field: &str, value: impl TryInto<i64>) -> Result<(), ExportError> {
        let error = || ExportError::Program(format!("the field `{field}` of an image cannot hold so large a number"));
        let &(_, at, len) = self.fields.iter().find(|(name, ..)| *name == field).ok_or_else(error)?;
        let value = value.try_into().map_err(|_| error())?;
        let bits = 8 * len as u32;
        if bits < 64 && !(-(1i64 << (bits - 1))..1i64 << bits).contains(&value) {
            return Err(error());
        }
        self.bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

/// The image of `program`.
///
/// # Errors
/// [`ExportError::Program`] for a size that a field cannot hold; [`ExportError::Image`] if the reader would refuse what was written.
pub fn write(program: &Program) -> Result<Image, ExportError> {
    let Program { kind, normalization, classes, release, tensors, steps } = program;
    if steps.len() > MAX_STEPS {
        return Err(ExportError::Program(format!(
            "a network on a device has at most {MAX_STEPS} steps, found {}",
            steps.len()
        )));
    }
    let layout = layout(program)?;
    let steps_at = align(HEADER + tensors.len() * TENSOR);
    let mut bytes = vec![0; steps_at + steps.len() * STEP];
    for (index, tensor) in tensors.iter().enumerate() {
        let mut record = Record { bytes: &mut bytes[HEADER + index * TENSOR..][..TENSOR], fields: &TENSOR_FIELDS };
        record.set("offset", layout.offsets[index] as i64)?;
        let [channels, rows, cols] = tensor.dims;
        record.set("channels", channels as i64)?;
        record.set("rows", rows as i64)?;
        record.set("cols", cols as i64)?;
        let element = match (index, kind) {
            (0, _) => PIXEL,
            (_, Kind::I8) => BYTE,
            _ => SINGLE,
        };
        record.set("element", element)?;
        record.set("zero_point", tensor.zero_point)?;
        record.set("scale", tensor.scale.to_bits())?;
    }
    for class in classes {
        if class.contains('\n') {
            return Err(ExportError::Program(format!("the name of a class is one line, found {class:?}")));
        }
        bytes.extend_from_slice(class.as_bytes());
        bytes.push(b'\n');
    }
    let labels = bytes.len() - (steps_at + steps.len() * STEP);
    bytes.resize(align(bytes.len()), 0);
    for (index, step) in steps.iter().enumerate() {
        let constants = if step.constants.is_empty() { 0 } else { bytes.len() };
        for part in &step.constants {
            bytes.extend_from_slice(part);
            bytes.resize(align(bytes.len()), 0);
        }
        let mut record = Record { bytes: &mut bytes[steps_at + index * STEP..][..STEP], fields: &STEP_FIELDS };
        record.set("op", step.kind as u8)?;
        record.set("activation", activation_byte(step.activation))?;
        record.set("kernel_rows", step.kernel[0] as i64)?;
        record.set("kernel_cols", step.kernel[1] as i64)?;
        record.set("stride", step.stride as i64)?;
        record.set("padding", step.padding as i64)?;
        record.set("pool", u8::from(step.pool))?;
        record.set("shift", step.shift)?;
        record.set("a", step.a as i64)?;
        record.set("b", step.b.map_or(i64::from(NONE), |b| b as i64))?;
        record.set("low", step.clamp.0)?;
        record.set("high", step.clamp.1)?;
        let scratch = layout.scratch_at[index] / ALIGN;
        record.set("scratch", if scratch < usize::from(NONE) { scratch as i64 } else { NONE.into() })?;
        record.set("groups", step.groups as i64)?;
        record.set("constants", constants as i64)?;
        record.set("multiplier_a", step.multipliers[0])?;
        record.set("multiplier_b", step.multipliers[1])?;
    }
    let length = bytes.len() as i64;
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    let mut header = Record { bytes: &mut bytes[..HEADER], fields: &HEADER_FIELDS };
    header.set("version", VERSION)?;
    header.set("kind", *kind as u8)?;
    header.set("per_image", u8::from(normalization.is_none()))?;
    header.set("length", length)?;
    header.set("tensors", tensors.len() as i64)?;
    header.set("steps", steps.len() as i64)?;
    header.set("arena", layout.arena as i64)?;
    header.set("classes", classes.len() as i64)?;
    let [scale, offset] = normalization.unwrap_or_default();
    header.set("scale", scale.to_bits())?;
    header.set("offset", offset.to_bits())?;
    header.set("labels", labels as i64)?;
    header.set("release", *release)?;
    seal(&mut bytes);
    let image = Image::copy(&bytes);
    image.model()?;
    Ok(image)
}

/// Writes the checksum of an image into its header, if there is a whole header.
pub fn seal(bytes: &mut [u8]) {
    if bytes.len() >= HEADER {
        let sum = Crc32::NEW.with(&bytes[..HEADER - 4]).with(&bytes[HEADER..]).value();
        bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    }
}
