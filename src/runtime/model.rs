//! An image that was found whole and sound.

use super::bound::Bound;
use super::check;
use super::error::ImageError;
use super::format::{BYTE, Header, Kind, PIXEL, SINGLE, StepRecord, TensorRecord, align};
use super::groups::Groups;
use super::kernels::{self, ALL_KERNELS, has};
use super::step::{Step, constants, decode, scratch_bytes};
use crate::kernels::Isa;
use core::ops::Range;

/// The rule that an image for another program breaks.
pub(super) const NOT_HELD: &str = "the program holds the kernels that the image needs";

/// An image: a view of its bytes, of which all were checked.
///
/// Firmware names the `KERNELS` that its image needs, and gets no others: neither their code nor that which checks their steps.
///
/// ```ignore
/// static IMAGE: &[u8] = inkstone::include_model!("digits.ink");
/// const KERNELS: u32 = inkstone::runtime::device_kernels(IMAGE);
/// let model = Model::<KERNELS>::only(IMAGE)?;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Model<'m, const KERNELS: u32 = ALL_KERNELS> {
    pub(super) bytes: &'m [u8],
    pub(super) kind: Kind,
    pub(super) header: Header,
}

/// A tensor of a model, for one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// First byte in the arena.
    pub offset: usize,
    /// Channels, rows, columns: channels last in memory if they are bytes.
    pub dims: [usize; 3],
    /// Bytes of a number: 1 or 4.
    pub element_bytes: usize,
    /// Of bytes: `real = scale · (byte − zero_point)`. Otherwise 0.
    pub scale: f32,
    /// Of bytes: the one that stands for 0.
    pub zero_point: i8,
}

impl Tensor {
    /// Numbers of one sample.
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.dims[0] * self.dims[1] * self.dims[2]
    }

    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.elements() * self.element_bytes
    }
}

impl<'m> Model<'m> {
    /// Checks every byte of an image: checksum, fields, shapes, places.
    ///
    /// Time grows with the bytes and with the square of the steps, of which there are at most
    /// [`MAX_STEPS`](super::format::MAX_STEPS).
    ///
    /// # Errors
    /// [`ImageError`] saying which rule is broken, and where.
    pub fn new(bytes: &'m [u8]) -> Result<Self, ImageError> {
        Self::only(bytes)
    }

    /// As [`bind`](Self::bind), on a chosen instruction set and for `batch` samples at a time.
    ///
    /// # Errors
    /// As [`bind`](Self::bind) and [`arena_len`](Self::arena_len).
    pub fn bind_with<'a>(&self, isa: Isa, batch: usize, arena: &'a mut [u8]) -> Result<Bound<'m, 'a>, ImageError> {
        Bound::new(*self, isa, batch, arena)
    }
}

impl<'m, const KERNELS: u32> Model<'m, KERNELS> {
    /// As [`new`](Model::new), for images that need no other kernels than `KERNELS`.
    ///
    /// # Errors
    /// As [`new`](Model::new); [`ImageError::Rule`] for an image that needs another kernel.
    #[inline(never)]
    pub fn only(bytes: &'m [u8]) -> Result<Self, ImageError> {
        let (kind, header) = check::header(bytes)?;
        let model = Self { bytes, kind, header };
        let of_kind = match kind {
            Kind::F32 => kernels::F32,
            Kind::F16 => kernels::F16,
            Kind::I8 => kernels::I8,
        };
        if !has(KERNELS, of_kind) {
            return Err(ImageError::Rule { rule: NOT_HELD, at: 0 });
        }
        check::tensors(&model)?;
        check::steps(&model)?;
        check::places(&model)?;
        Ok(model)
    }

    /// What its numbers are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        // Known when the program is compiled, if it holds the kernels of one.
        match KERNELS & (kernels::F32 | kernels::F16 | kernels::I8) {
            kernels::F32 => Kind::F32,
            kernels::F16 => Kind::F16,
            kernels::I8 => Kind::I8,
            _ => self.kind,
        }
    }

    /// Bytes of the image: what it takes of flash.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the image is empty: never, as it has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of the constants: weights, biases, factors and tables.
    #[must_use]
    pub const fn constants_len(&self) -> usize {
        self.bytes.len() - self.header.constants_at()
    }

    /// The number that whoever made the image gave it, so that a device can refuse older ones.
    #[must_use]
    pub const fn release(&self) -> u32 {
        self.header.release
    }

    /// The checksum of the image.
    #[must_use]
    pub const fn crc32(&self) -> u32 {
        self.header.crc32
    }

    /// `[scale, offset]` of `pixel · scale + offset`, which is what the network was trained on; none if each image was normalised by its
    /// own mean and deviation.
    #[must_use]
    pub const fn normalization(&self) -> Option<[f32; 2]> {
        if self.header.per_image == 0 { Some([self.header.scale, self.header.offset]) } else { None }
    }

    /// Numbers of an output.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.header.classes
    }

    /// The name of a class.
    #[must_use]
    pub fn class_name(&self, class: usize) -> Option<&'m str> {
        let at = self.header.labels_at();
        let labels = self.bytes.get(at..at.checked_add(self.header.labels)?)?;
        core::str::from_utf8(labels).ok()?.split_terminator('\n').nth(class)
    }

    /// How many steps there are.
    #[must_use]
    pub const fn step_count(&self) -> usize {
        self.header.steps
    }

    /// The steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = Step<'m>> + use<'m, KERNELS> {
        let model = *self;
        (0..self.header.steps).filter_map(move |index| model.step(index, false).ok())
    }

    /// Tensor `index`: the pixels are 0, and step `i` writes `i + 1`.
    #[must_use]
    pub fn tensor(&self, index: usize) -> Option<Tensor> {
        if index >= self.header.tensors {
            return None;
        }
        let TensorRecord { offset, channels, rows, cols, element, zero_point, scale } = self.tensor_record(index);
        let element_bytes = match element {
            PIXEL | BYTE => 1,
            SINGLE => 4,
            _ => return None,
        };
        Some(Tensor { offset, dims: [channels, rows, cols], element_bytes, scale, zero_point })
    }

    /// Bytes of the constants of step `index`, without what fills them up to 16.
    #[must_use]
    pub fn step_constants_len(&self, index: usize) -> usize {
        if index >= self.header.steps {
            return 0;
        }
        let step = self.step_record(index);
        let (input, output) = (self.tensor_record(step.a.into()), self.tensor_record(index + 1));
        constants(self.kind(), &step, &input, &output).map_or(0, |lens| lens.iter().sum())
    }

    /// Rows and columns of the window of step `index`, its stride and its padding; zeros for a step without one.
    #[must_use]
    pub fn window(&self, index: usize) -> ([usize; 2], usize, usize) {
        if index >= self.header.steps {
            return ([0, 0], 0, 0);
        }
        let step = self.step_record(index);
        (step.kernel, step.stride, step.padding)
    }

    /// The tensor that the last step writes.
    #[must_use]
    pub const fn output(&self) -> usize {
        self.header.steps
    }

    /// Multiplications of one sample.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.steps().map(|step| step.macs()).fold(0, u64::saturating_add)
    }

    /// Bytes of the activations of one sample.
    #[must_use]
    pub const fn activations_len(&self) -> usize {
        self.header.arena
    }

    /// Bytes of scratch that step `index` needs on `isa` for `batch` samples.
    ///
    /// # Errors
    /// [`ImageError::Batch`] if memory cannot hold them, [`ImageError::Rule`] if the model has no such step.
    pub fn scratch_len(&self, isa: Isa, batch: usize, index: usize) -> Result<usize, ImageError> {
        self.has(index)?;
        let step = self.step_record(index);
        let (input, output) = (self.tensor_record(step.a.into()), self.tensor_record(index + 1));
        scratch_bytes(isa, self.kind(), &step, &input, &output, batch).ok_or(ImageError::Batch { samples: batch })
    }

    /// Where the scratch of step `index` begins in the arena, for one sample: behind the tensors that are alive then.
    #[must_use]
    pub const fn scratch_at(&self, index: usize) -> usize {
        if index < self.header.steps {
            self.step_record(index).scratch_at(self.header.arena)
        } else {
            self.header.arena
        }
    }

    /// Bytes of the arena for `batch` samples at a time on `isa`.
    ///
    /// # Errors
    /// [`ImageError::Batch`] if memory cannot hold them, or for 0.
    pub fn arena_len(&self, isa: Isa, batch: usize) -> Result<usize, ImageError> {
        let whole = self.layout_len(isa, batch)?;
        let Some(groups) = self.groups(batch) else { return Ok(whole) };
        let group = self.layout_len(isa, groups.samples)?;
        let all = Groups::pixels_len(self, batch).and_then(|pixels| whole.checked_add(pixels)?.checked_add(group));
        all.filter(|bytes| *bytes <= isize::MAX as usize).ok_or(ImageError::Batch { samples: batch })
    }

    /// Whether large batches go through the maps of this model a few samples at a time, so that these stay in the second cache: batches of
    /// any size are then as good as small ones.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.groups(usize::MAX).is_some()
    }

    /// How a batch goes through the first steps, if not as a whole.
    pub(super) fn groups(&self, batch: usize) -> Option<Groups> {
        // A program that holds some kernels alone runs one sample at a time.
        if KERNELS == ALL_KERNELS { Groups::of(self, batch) } else { None }
    }

    /// Bytes of tensors and scratch for `batch` samples, each step for all of them.
    pub(super) fn layout_len(&self, isa: Isa, batch: usize) -> Result<usize, ImageError> {
        let error = ImageError::Batch { samples: batch };
        let mut most = self.header.arena.checked_mul(batch).ok_or(error)?;
        for index in 0..self.header.steps {
            let scratch = align(self.scratch_len(isa, batch, index)?);
            let end = self.scratch_at(index).checked_mul(batch).and_then(|at| at.checked_add(scratch));
            most = end.ok_or(error)?.max(most);
        }
        Some(most).filter(|bytes| batch > 0 && *bytes <= isize::MAX as usize).ok_or(error)
    }

    /// The model in the memory in which it will run, one sample at a time, on the fastest instruction set of this machine.
    ///
    /// # Errors
    /// [`ImageError::Arena`] names the bytes that it needs, [`ImageError::Misaligned`] if the arena does not begin at a multiple of 16.
    pub fn bind<'a>(&self, arena: &'a mut [u8]) -> Result<Bound<'m, 'a, KERNELS>, ImageError> {
        Bound::new(*self, Isa::best(), 1, arena)
    }

    pub(super) const fn tensor_record(&self, index: usize) -> TensorRecord {
        TensorRecord::read(self.bytes, index)
    }

    pub(super) const fn step_record(&self, index: usize) -> StepRecord {
        StepRecord::read(self.bytes, self.header.steps_at(), index)
    }

    /// Refuses a step that the model has not: its record would be read from what lies behind.
    const fn has(&self, index: usize) -> Result<(), ImageError> {
        if index < self.header.steps { Ok(()) } else { Err(ImageError::Rule { rule: "a model has a step", at: index }) }
    }

    /// Step `index`; whether its constants are good is looked at if `values` says so.
    pub(super) fn step(&self, index: usize, values: bool) -> Result<Step<'m>, ImageError> {
        self.has(index)?;
        let step = self.step_record(index);
        let (input, output) = (self.tensor_record(step.a.into()), self.tensor_record(index + 1));
        let second = (step.b as usize <= index).then(|| self.tensor_record(step.b.into()));
        decode::<KERNELS>(self.bytes, self.kind(), (index, values), &step, &input, second.as_ref(), &output)
    }

    /// The bytes of tensor `index` in an arena for `batch` samples.
    pub(super) fn place(&self, index: usize, batch: usize) -> Range<usize> {
        let tensor = self.tensor_record(index);
        let len = tensor.elements().unwrap_or(0) * tensor.element_bytes();
        tensor.offset * batch..(tensor.offset + len) * batch
    }
}
