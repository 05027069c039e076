//! Why bytes are no image, or an arena does not fit one.

use crate::error::ShapeError;
use core::fmt;

/// Why bytes are no image, or an arena does not fit one. Steps and tensors count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// Fewer bytes than a header, or than the header says.
    TooShort {
        /// Bytes that there must be.
        needed: usize,
        /// Bytes that there are.
        got: usize,
    },
    /// Bytes behind the end that the header names.
    Trailing {
        /// Bytes that the header names.
        expected: usize,
        /// Bytes that there are.
        got: usize,
    },
    /// The first bytes are not those of an image.
    Magic,
    /// An image of another version of the format.
    Version {
        /// The version that this library reads.
        known: u16,
        /// The version found.
        found: u16,
    },
    /// A byte is damaged.
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// The slice does not begin at a multiple of so many bytes.
    Misaligned {
        /// What is misaligned.
        what: &'static str,
        /// Of how many bytes the address must be a multiple.
        needed: usize,
    },
    /// A field holds what it must not.
    Field {
        /// The field.
        what: &'static str,
        /// Of which step or tensor; 0 for the header.
        at: usize,
        /// What there must be.
        expected: i64,
        /// What was found.
        found: i64,
    },
    /// A field holds one of many things that it must not.
    Rule {
        /// What must hold.
        rule: &'static str,
        /// Which step or tensor breaks it; 0 for the header.
        at: usize,
    },
    /// Sizes of a step do not fit together.
    Shape {
        /// The step.
        step: usize,
        /// What is wrong with them.
        error: ShapeError,
    },
    /// An arena too small for the model.
    Arena {
        /// Bytes that it needs.
        needed: usize,
        /// Bytes given.
        got: usize,
    },
    /// A batch of no sample, or one that memory cannot hold.
    Batch {
        /// The samples.
        samples: usize,
    },
}

impl ImageError {
    /// What is wrong, without the numbers that `Display` names: for devices that have no room for the code that formats them.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match *self {
            Self::TooShort { .. } => "the image is cut short",
            Self::Trailing { .. } => "bytes follow the image",
            Self::Magic => "these bytes are no image",
            Self::Version { .. } => "the image has another version than this library reads",
            Self::Checksum { .. } => "the image is damaged",
            Self::Misaligned { .. } => "an image or an arena that does not begin at a multiple of 16 bytes",
            Self::Field { .. } => "a field of the image holds what it must not",
            Self::Rule { rule, .. } => rule,
            Self::Shape { .. } => "sizes of a step do not fit together",
            Self::Arena { .. } => "the arena is too small",
            Self::Batch { .. } => "a batch of no sample, or one that memory cannot hold",
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { needed, got } => {
                write!(f, "the image needs {needed} bytes but has {got}: is it cut short?")
            }
            Self::Trailing { expected, got } => {
                write!(f, "the image ends after {expected} bytes but {got} were given")
            }
            Self::Magic => write!(f, "these bytes do not begin as an image (.ink) does"),
            Self::Version { known, found } if found > known => {
                write!(
                    f,
                    "the image has version {found}, newer than version {known}, which this library reads: update it"
                )
            }
            Self::Version { known, found } => write!(f, "the image has version {found}, expected {known}"),
            Self::Checksum { expected, found } => {
                write!(f, "the image is damaged: its checksum is {found:08x}, expected {expected:08x}")
            }
            Self::Misaligned { what, needed } => {
                write!(f, "{what} must begin at a multiple of {needed} bytes: include_model! and Arena see to it")
            }
            Self::Field { what, at, expected, found } => {
                // The header has no number.
                if what.ends_with("tensor") || what.ends_with("step") {
                    write!(f, "{what} {at}: expected {expected}, found {found}")
                } else {
                    write!(f, "{what}: expected {expected}, found {found}")
                }
            }
            Self::Rule { rule, at } => write!(f, "{rule}: broken at {at}"),
            Self::Shape { step, error } => write!(f, "step {step}: {error}"),
            Self::Arena { needed, got } => write!(f, "the arena needs {needed} bytes but has {got}"),
            Self::Batch { samples } => {
                write!(f, "a batch has at least one sample and fits in memory, found one of {samples}")
            }
        }
    }
}

impl core::error::Error for ImageError {}
