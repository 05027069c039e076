//! The bytes of an image: where each field lies. `firmware-notes/FORMAT.md` is the specification; a test keeps both equal.
//!
//! Everything here is a `const fn`, so that firmware can size its arena when it is compiled.

/// The first bytes. The first is no letter, and a transfer that changes ends of lines changes the others.
pub const MAGIC: [u8; 8] = [0x89, b'I', b'N', b'K', b'\r', b'\n', 0x1a, b'\n'];

/// The version that is written and read.
pub const VERSION: u16 = 1;

/// Bytes of the header, of a tensor's record and of a step's.
pub const HEADER: usize = 64;
/// Bytes of a tensor's record.
pub const TENSOR: usize = 24;
/// Bytes of a step's record.
pub const STEP: usize = 32;
/// Tables and constants begin at multiples of so many bytes; so do tensors in the arena.
pub const ALIGN: usize = 16;
/// Most steps of an image: so few that looking at all pairs of them takes no time.
pub const MAX_STEPS: usize = 512;
/// The number of a second input that a step has not, and of scratch behind all activations.
pub const NONE: u16 = u16::MAX;

/// Fields of the header: name, first byte, bytes.
pub const HEADER_FIELDS: [(&str, usize, usize); 14] = [
    ("magic", 0, 8),
    ("version", 8, 2),
    ("kind", 10, 1),
    ("per_image", 11, 1),
    ("length", 12, 4),
    ("tensors", 16, 2),
    ("steps", 18, 2),
    ("arena", 20, 4),
    ("classes", 24, 2),
    ("scale", 28, 4),
    ("offset", 32, 4),
    ("labels", 36, 4),
    ("release", 40, 4),
    ("crc32", 60, 4),
];
/// Fields of a tensor's record.
pub const TENSOR_FIELDS: [(&str, usize, usize); 7] = [
    ("offset", 0, 4),
    ("channels", 4, 4),
    ("rows", 8, 2),
    ("cols", 10, 2),
    ("element", 12, 1),
    ("zero_point", 13, 1),
    ("scale", 16, 4),
];
/// Fields of a step's record.
pub const STEP_FIELDS: [(&str, usize, usize); 17] = [
    ("op", 0, 1),
    ("activation", 1, 1),
    ("kernel_rows", 2, 1),
    ("kernel_cols", 3, 1),
    ("stride", 4, 1),
    ("padding", 5, 1),
    ("pool", 6, 1),
    ("shift", 7, 1),
    ("a", 8, 2),
    ("b", 10, 2),
    ("low", 12, 1),
    ("high", 13, 1),
    ("scratch", 14, 2),
    ("groups", 16, 4),
    ("constants", 20, 4),
    ("multiplier_a", 24, 4),
    ("multiplier_b", 28, 4),
];

/// What the numbers of a network are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Single precision throughout.
    F32 = 1,
    /// Weights of half precision, everything else single.
    F16 = 2,
    /// Bytes; sums of 32 bits.
    I8 = 3,
}

impl Kind {
    /// Its number in the header.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::F32),
            2 => Some(Self::F16),
            3 => Some(Self::I8),
            _ => None,
        }
    }

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "int8",
        }
    }

    /// Bytes of a weight.
    #[must_use]
    pub const fn weight_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }
}

/// What a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StepKind {
    /// Raw pixels become numbers, or bytes with a sign.
    Pixels = 1,
    /// A convolution, its bias and activation, and with `pool` the largest of each 2x2.
    Conv = 2,
    /// A linear layer, its bias and activation.
    Dense = 3,
    /// The largest of each window.
    MaxPool = 4,
    /// The mean of each window.
    AvgPool = 5,
    /// The sum of two tensors.
    Add = 6,
    /// A function of each number: of a byte, by a table.
    Map = 7,
}

impl StepKind {
    /// Its number in a record.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Pixels),
            2 => Some(Self::Conv),
            3 => Some(Self::Dense),
            4 => Some(Self::MaxPool),
            5 => Some(Self::AvgPool),
            6 => Some(Self::Add),
            7 => Some(Self::Map),
            _ => None,
        }
    }
}

/// The number of an element's type in a tensor's record: a raw pixel.
pub const PIXEL: u8 = 1;
/// A byte with a sign.
pub const BYTE: u8 = 2;
/// A number of single precision.
pub const SINGLE: u8 = 3;

/// `at`, rounded up to [`ALIGN`]; the largest multiple there is, if that is less.
#[must_use]
pub const fn align(at: usize) -> usize {
    match at.checked_next_multiple_of(ALIGN) {
        Some(at) => at,
        None => usize::MAX / ALIGN * ALIGN,
    }
}

/// `N` bytes from `at` on; zeros if not all of them are there. In one check, as records are read for each step of each run.
const fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(field) => *field,
            None => [0; N],
        },
        None => [0; N],
    }
}

pub(super) const fn byte(bytes: &[u8], at: usize) -> u8 {
    field::<1>(bytes, at)[0]
}

pub(super) const fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

pub(super) const fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

/// The fields of a header, read but not checked; zeros where bytes are missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) version: u16,
    pub(super) kind: u8,
    pub(super) per_image: u8,
    pub(super) length: usize,
    pub(super) tensors: usize,
    pub(super) steps: usize,
    pub(super) arena: usize,
    pub(super) classes: usize,
    pub(super) scale: f32,
    pub(super) offset: f32,
    pub(super) labels: usize,
    pub(super) release: u32,
    pub(super) crc32: u32,
}

impl Header {
    pub(super) const fn read(bytes: &[u8]) -> Self {
        Self {
            version: half(bytes, 8),
            kind: byte(bytes, 10),
            per_image: byte(bytes, 11),
            length: word(bytes, 12) as usize,
            tensors: half(bytes, 16) as usize,
            steps: half(bytes, 18) as usize,
            arena: word(bytes, 20) as usize,
            classes: half(bytes, 24) as usize,
            scale: f32::from_bits(word(bytes, 28)),
            offset: f32::from_bits(word(bytes, 32)),
            labels: word(bytes, 36) as usize,
            release: word(bytes, 40),
            crc32: word(bytes, 60),
        }
    }

    /// Where the records of the steps begin.
    pub(super) const fn steps_at(&self) -> usize {
        align(HEADER + self.tensors * TENSOR)
    }

    /// Where the names of the classes begin.
    pub(super) const fn labels_at(&self) -> usize {
        self.steps_at() + self.steps * STEP
    }

    /// Where the constants begin.
    pub(super) const fn constants_at(&self) -> usize {
        align(self.labels_at().saturating_add(self.labels))
    }
}

/// The fields of a tensor's record.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorRecord {
    pub(super) offset: usize,
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) element: u8,
    pub(super) zero_point: i8,
    pub(super) scale: f32,
}

impl TensorRecord {
    /// Of tensor `index`.
    pub(super) const fn read(bytes: &[u8], index: usize) -> Self {
        let at = HEADER + index * TENSOR;
        Self {
            offset: word(bytes, at) as usize,
            channels: word(bytes, at + 4) as usize,
            rows: half(bytes, at + 8) as usize,
            cols: half(bytes, at + 10) as usize,
            element: byte(bytes, at + 12),
            zero_point: byte(bytes, at + 13) as i8,
            scale: f32::from_bits(word(bytes, at + 16)),
        }
    }

    /// Numbers of one sample, if they can be counted.
    pub(super) const fn elements(&self) -> Option<usize> {
        match self.channels.checked_mul(self.rows) {
            Some(lines) => lines.checked_mul(self.cols),
            None => None,
        }
    }

    /// Bytes of a number.
    pub(super) const fn element_bytes(&self) -> usize {
        if self.element == SINGLE { 4 } else { 1 }
    }
}

/// The fields of a step's record.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepRecord {
    pub(super) op: u8,
    pub(super) activation: u8,
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) pool: u8,
    pub(super) shift: u8,
    pub(super) a: u16,
    pub(super) b: u16,
    pub(super) clamp: (i8, i8),
    pub(super) scratch: u16,
    pub(super) groups: usize,
    pub(super) constants: usize,
    pub(super) multipliers: [i32; 2],
}

impl StepRecord {
    /// Where its scratch begins, for one sample, in an image whose activations take `arena` bytes.
    pub(super) const fn scratch_at(&self, arena: usize) -> usize {
        let at = self.scratch as usize * ALIGN;
        if self.scratch == NONE || at > arena { arena } else { at }
    }

    /// Of step `index`; `at` is where the records begin.
    pub(super) const fn read(bytes: &[u8], at: usize, index: usize) -> Self {
        let at = at + index * STEP;
        Self {
            op: byte(bytes, at),
            activation: byte(bytes, at + 1),
            kernel: [byte(bytes, at + 2) as usize, byte(bytes, at + 3) as usize],
            stride: byte(bytes, at + 4) as usize,
            padding: byte(bytes, at + 5) as usize,
            pool: byte(bytes, at + 6),
            shift: byte(bytes, at + 7),
            a: half(bytes, at + 8),
            b: half(bytes, at + 10),
            clamp: (byte(bytes, at + 12) as i8, byte(bytes, at + 13) as i8),
            scratch: half(bytes, at + 14),
            groups: word(bytes, at + 16) as usize,
            constants: word(bytes, at + 20) as usize,
            multipliers: [word(bytes, at + 24) as i32, word(bytes, at + 28) as i32],
        }
    }
}
