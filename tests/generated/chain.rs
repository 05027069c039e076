//! Written by `inkstone export --format rust`, inkstone 0.1.0, from the image with CRC-32 df4645bf, release 3:
//! change the model, not this file. It needs the crate `inkstone` without its default features.
//!
//! In: raw pixels, by rows and with their channels last, of 12 x 12 in 1 channel(s). Out: 3 bytes, `real = 0.05 * (byte - 17)`.
#![allow(dead_code, reason = "not every program needs all of a module")]

use inkstone::error::ShapeError;
use inkstone::kernels::Isa;
use inkstone::kernels::conv::Conv;
use inkstone::kernels::conv_i8;
use inkstone::kernels::elementwise_i8;
use inkstone::kernels::gemm_i8;
use inkstone::kernels::pool::Pool;
use inkstone::kernels::pool_i8;
use inkstone::kernels::requantize::Requantize;
use inkstone::view::{Mat, MatMut};

/// Bytes of a picture.
pub const INPUT_BYTES: usize = 144;
/// Bytes of a [`Network`], on a chip without vectors.
pub const ARENA_BYTES: usize = 288 + 4 * SCRATCH;
/// The names of the classes.
pub const CLASSES: [&str; 3] = ["0", "1", "2"];
const SCRATCH: usize = 131;
const OUTSIDE: ShapeError = ShapeError::Overflow;

/// What was checked when this file was written, checked again when it is compiled.
const fn sound<T: Copy>(value: Result<T, ShapeError>) -> T {
    match value {
        Ok(value) => value,
        Err(_) => panic!("this file was changed by hand"),
    }
}

static WEIGHT_1: [i8; 36] = [
    -68, 21, -2, -84, -88, -74, 18, -107, 112, 62, 51, 50, 19, -58, -69, -47, -13, 42, 90, -86, -2, -81, 49, 74, -101,
    124, -24, -99, 33, 47, -18, 122, -71, 57, 13, 11,
];
static BIAS_1: [i32; 4] = [
    -703, -913, -577, -600,
];
static MULTIPLIER_1: [i32; 4] = [
    1145324612, 1259857073, 1374389535, 1488921996,
];
static SHIFT_1: [i32; 4] = [
    8, 8, 8, 8,
];
const BY_1: Requantize<'static> = sound(Requantize::new(&BIAS_1, &MULTIPLIER_1, &SHIFT_1, 12, (12, 127)));
const CONV_1: Conv = sound(Conv::new([1, 1, 12, 12], [4, 1, 3, 3], 1, 1, 1));
static WEIGHT_2: [i8; 144] = [
    107, 98, -66, 68, 55, 28, 57, 57, -44, -26, -21, 78, -77, 84, -56, 13, -66, 37, 94, -66, -107, -45, 3, -47, -91,
    64, 0, 67, 62, -40, -46, -98, 52, 11, -67, -38, -83, -90, -103, -4, 113, 62, -123, 53, 38, 17, 119, -22, 96, -33,
    -126, -57, 54, 72, -52, -53, -82, -59, -125, -102, -100, 113, -14, 85, 102, 63, -36, -100, 3, -64, 87, -71, -116,
    61, -35, -64, 27, 94, 7, 104, -50, 65, -27, 109, 123, -14, 127, 8, -56, 14, 6, 59, -50, -111, 71, -121, 35, 68, 31,
    -124, 74, -31, -49, -94, -5, -27, 91, 60, -112, -24, 36, 46, -53, -46, -87, 111, 117, 73, 85, 0, -105, 44, 86, -40,
    -35, 34, -73, -104, -31, 45, 113, 23, -6, -31, -44, 72, 0, 11, -108, 15, -24, -56, 79, -116,
];
static BIAS_2: [i32; 4] = [
    -65, -799, 590, -635,
];
static MULTIPLIER_2: [i32; 4] = [
    1145324612, 1259857073, 1374389535, 1488921996,
];
static SHIFT_2: [i32; 4] = [
    9, 9, 9, 9,
];
const BY_2: Requantize<'static> = sound(Requantize::new(&BIAS_2, &MULTIPLIER_2, &SHIFT_2, 2, (-128, 127)));
const CONV_2: Conv = sound(Conv::new([1, 4, 6, 6], [4, 4, 3, 3], 1, 1, 1));
const BY_3: elementwise_i8::Sum = sound(elementwise_i8::Sum::new([2500000, 1300001], [2, 12], 22, -30, (-30, 127)));
static TABLE_4: [i8; 256] = [
    -13, 86, -97, 126, 124, -32, -127, -98, 28, 30, 114, 71, -104, -92, -78, -120, 20, -44, 36, -87, -12, -111, 34,
    -48, 106, -32, 100, -113, -93, -81, -94, -31, 107, -103, -86, 10, -53, 71, 126, -99, 107, -42, -55, 108, 68, -118,
    -73, -39, 96, -114, 93, -63, 118, 14, -32, 26, 32, 105, 101, -1, 30, 43, -26, -125, 51, 87, 6, 107, 64, 78, 111, 7,
    -51, 107, 30, -60, 49, -108, 85, -13, 50, 50, -36, -11, 47, -8, 65, 36, 67, 19, 51, 35, -69, -86, 23, 96, -62, 49,
    -64, 13, 110, 37, 118, 57, 74, -113, 23, -29, -64, -63, 69, 70, -60, 67, 97, -72, -88, -83, -42, 104, -95, -91,
    127, 2, -33, 80, -53, 5, -44, -112, -51, -120, -26, 37, -124, 70, 28, -25, 19, 106, -45, 101, -108, -122, -33, -89,
    -27, -13, 91, -42, 50, 42, 87, -2, 78, 13, 55, 65, 112, 99, -101, -5, 70, 83, -69, 43, 99, 72, -120, 125, 8, -34,
    -7, -88, 78, 13, 78, 58, 17, -3, 120, 3, 56, 7, -25, -49, 32, 52, 25, 102, 59, 120, 121, -24, 38, 3, -118, -126,
    67, 33, 49, -79, -30, 2, 12, -122, -82, -56, -44, -33, 65, 20, 41, -51, -24, -5, -55, -59, -124, -126, 109, -78,
    -103, 122, 46, 11, -121, 0, -2, 59, -58, -55, -19, -84, 95, -80, 90, 83, -55, -99, -97, 15, -4, 89, 90, 119, -85,
    -21, -122, 61, 61, 53, 17, -39, 17, 124,
];
const POOL_5: Pool = sound(Pool::new([1, 4, 6, 6], [2, 2], 2, 0));
const POOL_6: Pool = sound(Pool::new([1, 4, 3, 3], [2, 2], 1, 0));
static WEIGHT_7: [i8; 96] = [
    -86, -38, -26, 90, 77, -57, 96, -2, -96, -31, -45, -60, -30, 108, 92, 23, 37, -112, -6, -109, 30, -49, 126, 64, 12,
    -64, 126, -88, 115, 40, -71, -58, -115, 120, 74, -81, 117, 12, -50, 126, -40, -60, -83, 95, -60, -126, 48, -9, 46,
    93, 54, 55, 122, -72, 51, 46, -108, 37, -94, -64, 39, 95, -82, 103, -51, 15, -111, -121, 127, -74, -14, 69, -44,
    -1, 4, 56, 61, -36, -65, -13, 1, -83, 65, 42, -32, -114, 18, -22, -24, -101, -34, 41, 56, 48, 46, 67,
];
static BIAS_7: [i32; 6] = [
    -870, -854, 901, -424, 193, -511,
];
static MULTIPLIER_7: [i32; 6] = [
    1717986918, 1889785610, 2061584302, 1116691497, 1202590843, 1288490189,
];
static SHIFT_7: [i32; 6] = [
    9, 9, 9, 8, 8, 8,
];
const BY_7: Requantize<'static> = sound(Requantize::new(&BIAS_7, &MULTIPLIER_7, &SHIFT_7, -9, (-9, 127)));
static WEIGHT_8: [i8; 18] = [
    -46, 38, 43, -125, 37, 106, 24, 102, -94, -58, -97, -33, -102, 71, 111, 87, -76, 54,
];
static BIAS_8: [i32; 3] = [
    335, -593, -191,
];
static MULTIPLIER_8: [i32; 3] = [
    1402730445, 1543003489, 1683276534,
];
static SHIFT_8: [i32; 3] = [
    8, 8, 8,
];
const BY_8: Requantize<'static> = sound(Requantize::new(&BIAS_8, &MULTIPLIER_8, &SHIFT_8, 17, (-128, 127)));

/// The network and the memory in which it runs.
pub struct Network {
    arena: [i8; 288],
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
        Self { arena: [0; 288], scratch: [0; SCRATCH] }
    }

    /// The logits of a picture. All sizes were checked when this file was written, so that no call fails.
    pub fn run(&mut self, pixels: &[u8; INPUT_BYTES]) -> Result<&[i8; 3], ShapeError> {
        // What the scratch is measured for.
        let isa = match Isa::best() {
            best if best.lanes() == 1 => best,
            _ => Isa::SCALAR,
        };
        let Self { arena, scratch } = self;
        for (byte, pixel) in arena.get_mut(0..144).ok_or(OUTSIDE)?.iter_mut().zip(pixels) {
            *byte = (pixel ^ 0x80) as i8;
        }
        // Step 1: conv+pool.
        let [x, y] = arena.get_disjoint_mut([0..144, 144..288]).map_err(|_| OUTSIDE)?;
        let x = conv_i8::Input { bytes: x, zero_point: -128 };
        conv_i8::conv2d_max_pool2_by::<true, false>(isa, &CONV_1, x, &WEIGHT_1, BY_1, y, scratch)?;
        // Step 2: conv.
        let [x, y] = arena.get_disjoint_mut([144..288, 0..144]).map_err(|_| OUTSIDE)?;
        let x = conv_i8::Input { bytes: x, zero_point: 12 };
        conv_i8::conv2d_by::<true, false>(isa, &CONV_2, x, &WEIGHT_2, BY_2, y, scratch)?;
        // Step 3: add.
        let [x, y] = arena.get_disjoint_mut([144..288, 0..144]).map_err(|_| OUTSIDE)?;
        elementwise_i8::add(isa, &BY_3, y, x)?;
        // Step 4: table.
        elementwise_i8::look_up(&TABLE_4, arena.get_mut(0..144).ok_or(OUTSIDE)?);
        // Step 5: max-pool.
        let [x, y] = arena.get_disjoint_mut([0..144, 144..180]).map_err(|_| OUTSIDE)?;
        pool_i8::max_pool2d(isa, &POOL_5, x, y)?;
        // Step 6: avg-pool.
        let [x, y] = arena.get_disjoint_mut([144..180, 16..32]).map_err(|_| OUTSIDE)?;
        let by = pool_i8::Mean { multiplier: 1932735283, shift: 2, zero_in: 0, zero_out: 7, clamp: (-120, 120) };
        pool_i8::avg_pool2d(isa, &POOL_6, x, by, y)?;
        // Step 7: dense.
        let [x, y] = arena.get_disjoint_mut([16..32, 0..6]).map_err(|_| OUTSIDE)?;
        let (x, y) = (Mat::new(x, 1, 16)?, MatMut::new(y, 1, 6)?);
        gemm_i8::matmul_few(isa, y, x, Mat::new(&WEIGHT_7, 6, 16)?, BY_7, scratch)?;
        // Step 8: dense.
        let [x, y] = arena.get_disjoint_mut([0..6, 16..19]).map_err(|_| OUTSIDE)?;
        let (x, y) = (Mat::new(x, 1, 6)?, MatMut::new(y, 1, 3)?);
        gemm_i8::matmul_few(isa, y, x, Mat::new(&WEIGHT_8, 3, 6)?, BY_8, scratch)?;
        arena.get(16..19).and_then(|logits| logits.first_chunk()).ok_or(OUTSIDE)
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
        253, 134, 241, 198, 73, 43, 122, 25, 35, 73, 67, 213, 169, 181, 140, 249, 254, 6, 238, 84, 12, 76, 230, 108,
        156, 18, 48, 140, 135, 168, 70, 234, 199, 81, 73, 244, 45, 245, 198, 180, 95, 230, 116, 74, 219, 207, 167, 120,
        212, 145, 51, 180, 124, 101, 198, 208, 70, 131, 211, 161, 103, 165, 127, 222, 50, 129, 176, 30, 62, 73, 80, 79,
        105, 94, 114, 159, 57, 239, 77, 86, 135, 231, 254, 54, 115, 94, 233, 23, 212, 131, 163, 97, 117, 79, 103, 98,
        23, 242, 116, 197, 195, 40, 193, 111, 120, 157, 136, 42, 248, 60, 139, 183, 64, 27, 120, 91, 117, 63, 234, 233,
    ],
    [
        211, 189, 242, 122, 86, 192, 95, 71, 241, 230, 252, 158, 17, 160, 191, 179, 216, 75, 22, 169, 171, 138, 88,
        245, 157, 38, 253, 79, 15, 164, 231, 197, 139, 172, 135, 133, 210, 213, 136, 97, 35, 36, 154, 155, 36, 247,
        147, 115, 214, 23, 249, 108, 109, 162, 217, 92, 55, 70, 39, 42, 173, 45, 89, 224, 33, 31, 81, 114, 75, 190, 55,
        128, 188, 154, 212, 112, 176, 96, 65, 213, 27, 112, 124, 254, 162, 31, 24, 97, 164, 224, 91, 192, 242, 107,
        119, 119, 64, 55, 147, 114, 175, 16, 250, 235, 188, 125, 52, 161, 183, 43, 40, 101, 154, 201, 197, 78, 34, 181,
        68, 90, 255, 226, 218, 231, 136, 88, 12, 174, 59, 234, 144, 93, 239, 85, 18, 87, 217, 234, 147, 9, 162, 116,
        25, 52,
    ],
    [
        240, 90, 192, 90, 243, 7, 110, 184, 234, 163, 73, 65, 119, 65, 219, 230, 178, 2, 185, 158, 244, 30, 112, 96,
        195, 10, 231, 226, 207, 87, 254, 105, 74, 97, 140, 83, 125, 248, 199, 194, 22, 66, 193, 130, 251, 61, 120, 149,
        185, 161, 87, 155, 18, 146, 48, 133, 236, 175, 142, 79, 172, 160, 236, 96, 205, 227, 106, 75, 63, 121, 87, 204,
        70, 140, 92, 62, 217, 24, 165, 162, 124, 62, 189, 155, 1, 131, 155, 157, 201, 117, 31, 101, 73, 252, 201, 66,
        116, 237, 41, 93, 5, 223, 68, 239, 213, 89, 63, 46, 49, 203, 47, 61, 98, 45, 242, 53, 76, 249, 160, 211, 156,
        103, 180, 180, 110, 167, 99, 26, 124, 84, 19, 83, 154, 173, 135, 68, 185, 108, 44, 250, 215, 101, 78, 54,
    ],
];
static LOGITS: [[i8; 3]; 3] = [
    [
        25, 9, 29,
    ],
    [
        13, 1, 31,
    ],
    [
        26, 14, 35,
    ],
];
