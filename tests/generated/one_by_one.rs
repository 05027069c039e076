//! Written by `inkstone export --format rust`, inkstone 0.1.0, from the image with CRC-32 c4e0d954, release 4:
//! change the model, not this file. It needs the crate `inkstone` without its default features.
//!
//! In: raw pixels, by rows and with their channels last, of 5 x 3 in 2 channel(s). Out: 4 bytes, `real = 0.05 * (byte - -12)`.
#![allow(dead_code, reason = "not every program needs all of a module")]

use inkstone::error::ShapeError;
use inkstone::kernels::Isa;
use inkstone::kernels::gemm_i8;
use inkstone::kernels::requantize::Requantize;
use inkstone::kernels::standardize_i8;
use inkstone::view::{Mat, MatMut};

/// Bytes of a picture.
pub const INPUT_BYTES: usize = 30;
/// Bytes of a [`Network`], on a chip without vectors.
pub const ARENA_BYTES: usize = 48 + 4 * SCRATCH;
/// The names of the classes.
pub const CLASSES: [&str; 4] = ["0", "1", "2", "3"];
const SCRATCH: usize = 16;
const OUTSIDE: ShapeError = ShapeError::Overflow;

/// What was checked when this file was written, checked again when it is compiled.
const fn sound<T: Copy>(value: Result<T, ShapeError>) -> T {
    match value {
        Ok(value) => value,
        Err(_) => panic!("this file was changed by hand"),
    }
}

const BY_0: standardize_i8::Standardize = sound(standardize_i8::Standardize::new(30, 8388608, 18, -17));
static WEIGHT_1: [i8; 120] = [
    34, -105, 117, 94, -107, -50, 9, 91, -113, -126, 3, -53, -26, 112, 124, 75, 62, 105, 101, 36, -119, 48, 98, 96, 95,
    -111, 94, -59, -70, 93, -18, 56, -3, 98, 53, -27, 86, 10, -14, 27, 12, 22, -62, 34, -47, -88, 14, 71, -84, -91, 90,
    -68, 119, -91, 42, 94, -109, -55, 30, -126, 75, 16, 17, 14, 41, 62, -16, -124, -60, -89, -1, 67, 82, 108, -24, 64,
    21, -110, -106, 53, 64, -81, 72, 22, 94, -65, 112, 82, 90, -62, 43, 111, -50, -58, -83, -38, 65, 34, -25, 38, -94,
    -61, -20, -68, -42, 90, -122, 88, 54, 119, 15, 95, -86, -69, 13, 124, -74, 70, 32, -93,
];
static BIAS_1: [i32; 4] = [
    440, -828, -119, 840,
];
static MULTIPLIER_1: [i32; 4] = [
    1254640252, 1380104277, 1505568302, 1631032327,
];
static SHIFT_1: [i32; 4] = [
    9, 9, 9, 9,
];
const BY_1: Requantize<'static> = sound(Requantize::new(&BIAS_1, &MULTIPLIER_1, &SHIFT_1, -12, (-128, 127)));

/// The network and the memory in which it runs.
pub struct Network {
    arena: [i8; 48],
    scratch: [i32; SCRATCH],
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// One that has not run yet: a constant, for a static.
    pub const fn new() -> Self {
        Self { arena: [0; 48], scratch: [0; SCRATCH] }
    }

    /// The logits of a picture. All sizes were checked when this file was written, so that no call fails.
    pub fn run(&mut self, pixels: &[u8; INPUT_BYTES]) -> Result<&[i8; 4], ShapeError> {
        // What the scratch is measured for.
        let isa = match Isa::best() {
            best if best.lanes() == 1 => best,
            _ => Isa::SCALAR,
        };
        let Self { arena, scratch } = self;
        for (byte, pixel) in arena.get_mut(0..30).ok_or(OUTSIDE)?.iter_mut().zip(pixels) {
            *byte = *pixel as i8;
        }
        // Step 0: pixels.
        standardize_i8::standardize(isa, &BY_0, arena.get_mut(0..30).ok_or(OUTSIDE)?)?;
        // Step 1: dense.
        let [x, y] = arena.get_disjoint_mut([0..30, 32..36]).map_err(|_| OUTSIDE)?;
        let (x, y) = (Mat::new(x, 1, 30)?, MatMut::new(y, 1, 4)?);
        gemm_i8::matmul_few(isa, y, x, Mat::new(&WEIGHT_1, 4, 30)?, BY_1, scratch)?;
        arena.get(32..36).and_then(|logits| logits.first_chunk()).ok_or(OUTSIDE)
    }

    /// The class of a picture: that of the largest logit, the first of equals.
    pub fn class(&mut self, pixels: &[u8; INPUT_BYTES]) -> Result<usize, ShapeError> {
        let logits = self.run(pixels)?;
        let mut best = 0;
        for (class, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = class;
            }
        }
        Ok(best)
    }

    /// How many of the golden pictures give other logits than they did when this file was written: 0 is as it should be.
    pub fn selftest(&mut self) -> Result<usize, ShapeError> {
        let mut wrong = 0;
        for (pixels, logits) in PICTURES.iter().zip(&LOGITS) {
            wrong += usize::from(self.run(pixels)? != logits);
        }
        Ok(wrong)
    }
}

static PICTURES: [[u8; INPUT_BYTES]; 3] = [
    [
        48, 157, 186, 173, 15, 83, 35, 181, 74, 56, 171, 114, 84, 171, 209, 197, 92, 87, 186, 124, 94, 240, 24, 66,
        253, 134, 241, 198, 73, 43,
    ],
    [
        122, 25, 35, 73, 67, 213, 169, 181, 140, 249, 254, 6, 238, 84, 12, 76, 230, 108, 156, 18, 48, 140, 135, 168,
        70, 234, 199, 81, 73, 244,
    ],
    [
        45, 245, 198, 180, 95, 230, 116, 74, 219, 207, 167, 120, 212, 145, 51, 180, 124, 101, 198, 208, 70, 131, 211,
        161, 103, 165, 127, 222, 50, 129,
    ],
];
static LOGITS: [[i8; 4]; 3] = [
    [
        14, -35, -19, 9,
    ],
    [
        -27, -26, -52, -32,
    ],
    [
        -39, -23, -22, -2,
    ],
];
