//! Each rule of an image, broken alone: a valid image is changed in what the rule is about, its checksum is set right again, and the error
//! is the one of this rule to the last field. A rule that is dropped fails its rows; a new one without a row fails the test that reads the
//! source.
//!
//! Steps are decoded again whenever a model is run, so `decode` looks at some things that `check` has looked at before it: no bytes reach
//! those rules, which are [`UNREACHED`]. Nor do these errors, whose texts are not in the two files, have rows:
//! - `Rule(NOT_HELD)`: `Model::new` has all kernels. `tests/firmware.rs` meets it by `Model::only`.
//! - `Rule("a model has a step")` is about indices that callers choose.
//! - `Shape` for slices of another length than the channels: they are cut to it. For clamps in the wrong order, sizes and groups of 0: rules
//!   before it find them.
//! - `Shape(Overflow)` of a linear layer, `Batch`, `TooShort` for names that cannot be counted: a tensor ends within 2³¹ bytes, and only words
//!   of 32 bits are too short for what follows from two of them.
#![cfg(feature = "std")]

mod image_draft;
mod image_support;

use image_draft::{Draft, Images, images};
use inkstone::error::ShapeError;
use inkstone::export::image::{Image, seal};
use inkstone::kernels::standardize_i8::MAX_REACH;
use inkstone::runtime::format::{HEADER, MAX_STEPS, NONE, STEP, TENSOR, VERSION, align};
use inkstone::runtime::{ImageError, Model};
use std::collections::BTreeSet;

/// Rules that are written down, and that no bytes break.
const UNREACHED: [&str; 7] = [
    // Fields without use are looked at before.
    "activations of bytes are clamps or tables",
    "a sum has two addends",
    "a sum reads two tensors, another step one",
    // The image begins at a multiple of 16, and so do its parts.
    "constants are aligned",
    // It was counted when its tensor was looked at.
    "a tensor can be counted",
    // The sides of a window are bytes: it has at most 65,025 pixels.
    "a window of bytes has at most 4,194,304 pixels",
    // So many were cut out.
    "a table has 256 bytes",
];

/// A valid image, how it is changed, and what is said of it then.
struct Case {
    image: &'static str,
    error: ImageError,
    change: Box<dyn Fn(&mut Draft)>,
}

fn case(image: &'static str, error: ImageError, change: impl Fn(&mut Draft) + 'static) -> Case {
    Case { image, error, change: Box::new(change) }
}

const fn rule(rule: &'static str, at: usize) -> ImageError {
    ImageError::Rule { rule, at }
}

const fn field(what: &'static str, at: usize, expected: i64, found: i64) -> ImageError {
    ImageError::Field { what, at, expected, found }
}

const fn range(step: usize, what: &'static str, [min, max, got]: [i64; 3]) -> ImageError {
    ImageError::Shape { step, error: ShapeError::Range { what, min, max, got } }
}

/// The header of an image, and what lies between the tables. `i8-dense` has two steps, and seven classes of fourteen bytes.
fn of_the_header(images: &Images) -> Vec<Case> {
    let len = images["i8-dense"].len();
    let labels = align(HEADER + 3 * TENSOR) + 2 * STEP;
    let too_short = |needed, got| ImageError::TooShort { needed, got };
    let steps = |found| field("steps, at least one and at most so many", 0, MAX_STEPS as i64, found);
    let most_tables = align(HEADER + (MAX_STEPS + 1) * TENSOR) + MAX_STEPS * STEP;
    let scale = "the scale of pixels is finite and positive, the offset finite";
    let lines = "there is a line of text for each class";
    let mut cases = vec![
        case("i8-dense", too_short(HEADER, HEADER - 1), |d| d.0.truncate(HEADER - 1)),
        case("i8-dense", too_short(HEADER, 0), |d| d.0.clear()),
        case("i8-dense", ImageError::Version { known: VERSION, found: VERSION + 1 }, |d| {
            d.head("version", u32::from(VERSION) + 1);
        }),
        case("i8-dense", ImageError::Version { known: VERSION, found: 0 }, |d| d.head("version", 0)),
        case("i8-dense", too_short(len + 1, len), move |d| d.head("length", len as u32 + 1)),
        case("i8-dense", ImageError::Trailing { expected: len - 1, got: len }, move |d| {
            d.head("length", len as u32 - 1);
        }),
        case("i8-dense", rule("numbers are of a kind that this library knows", 0), |d| d.head("kind", 0)),
        case("i8-dense", rule("numbers are of a kind that this library knows", 0), |d| d.head("kind", 4)),
        case("i8-dense", rule("pixels are normalised alike, or image by image", 0), |d| d.head("per_image", 2)),
        case("i8-dense", rule(scale, 0), |d| d.head("scale", 0)),
        case("i8-dense", rule(scale, 0), |d| d.head("scale", (-1.0f32).to_bits())),
        case("i8-dense", rule(scale, 0), |d| d.head("scale", f32::NAN.to_bits())),
        case("i8-dense", rule(scale, 0), |d| d.head("scale", f32::INFINITY.to_bits())),
        case("i8-dense", rule(scale, 0), |d| d.head("offset", f32::NAN.to_bits())),
        case("i8-dense", rule(scale, 0), |d| d.head("offset", f32::NEG_INFINITY.to_bits())),
        case("f32-pixels-per-image", rule(scale, 0), |d| d.head("scale", 1.0f32.to_bits())),
        case("f32-pixels-per-image", rule(scale, 0), |d| d.head("offset", (-0.0f32).to_bits())),
        case("i8-dense", steps(0), |d| d.head("steps", 0)),
        case("i8-dense", steps(MAX_STEPS as i64 + 1), |d| d.head("steps", MAX_STEPS as u32 + 1)),
        case("i8-dense", field("tensors, one more than steps", 0, 3, 4), |d| d.head("tensors", 4)),
        case("i8-dense", field("tensors, one more than steps", 0, 3, 2), |d| d.head("tensors", 2)),
        // Tables that do not lie in the image, and names.
        case("i8-dense", too_short(align(most_tables + 14), len), |d| {
            d.head("steps", MAX_STEPS as u32);
            d.head("tensors", MAX_STEPS as u32 + 1);
        }),
        case("i8-dense", too_short(align(labels + len), len), move |d| d.head("labels", len as u32)),
        case("i8-dense", rule("bytes between tables are zero", 0), |d| d.0[HEADER + 3 * TENSOR] = 1),
        case("i8-dense", rule("bytes between tables are zero", 0), move |d| d.0[align(labels + 14) - 1] = 1),
        // No text, one line more, the last line not ended, another number of classes.
        case("i8-dense", rule(lines, 0), move |d| d.0[labels] = 0xff),
        case("i8-dense", rule(lines, 0), move |d| d.0[labels] = b'\n'),
        case("i8-dense", rule(lines, 0), move |d| (d.0[labels], d.0[labels + 13]) = (b'\n', b'7')),
        case("i8-dense", rule(lines, 0), |d| d.head("classes", 8)),
    ];
    for at in 0..8 {
        cases.push(case("i8-dense", ImageError::Magic, move |d| d.0[at] ^= 1));
    }
    for at in (26..28).chain(44..60) {
        let error = rule("what is reserved in the header is zero", 0);
        cases.push(case("i8-dense", error, move |d| d.0[at] = 1));
    }
    cases
}

/// The records of the tensors.
fn of_the_tensors(images: &Images) -> Vec<Case> {
    let arena = i64::from(Draft(images["i8-dense"].clone()).get(Draft::head_at("arena")));
    let labels = align(HEADER + 3 * TENSOR) + 2 * STEP;
    let scale = "the scale of bytes is finite and positive, of others it is zero";
    let size = "a tensor has a size, and its bytes can be counted by 31 bits";
    let mut cases = vec![
        case("i8-dense", field("the element of tensor", 0, 1, 2), |d| d.tensor(0, "element", 2)),
        case("i8-dense", field("the element of tensor", 1, 2, 1), |d| d.tensor(1, "element", 1)),
        case("f32-dense", field("the element of tensor", 2, 3, 2), |d| d.tensor(2, "element", 2)),
        case("f16-dense", field("the element of tensor", 1, 3, 0), |d| d.tensor(1, "element", 0)),
        case("i8-dense", rule(scale, 0), |d| d.tensor(0, "scale", 1.0f32.to_bits())),
        case("i8-dense", rule(scale, 0), |d| d.tensor(0, "zero_point", 1)),
        case("i8-dense", rule(scale, 1), |d| d.tensor(1, "scale", 0)),
        case("i8-dense", rule(scale, 1), |d| d.tensor(1, "scale", (-1.0f32).to_bits())),
        case("i8-dense", rule(scale, 2), |d| d.tensor(2, "scale", f32::NAN.to_bits())),
        case("i8-dense", rule(scale, 2), |d| d.tensor(2, "scale", f32::INFINITY.to_bits())),
        case("f32-dense", rule(scale, 1), |d| d.tensor(1, "scale", 1.0f32.to_bits())),
        case("f32-dense", rule(scale, 2), |d| d.tensor(2, "zero_point", 1)),
        case("i8-dense", rule(size, 0), |d| d.tensor(0, "channels", 0)),
        case("i8-dense", rule(size, 1), |d| d.tensor(1, "rows", 0)),
        case("i8-dense", rule(size, 2), |d| d.tensor(2, "cols", 0)),
        case("i8-dense", rule(size, 1), |d| d.tensor(1, "offset", i32::MAX as u32 - 15)),
        case("f32-dense", rule(size, 1), |d| {
            d.tensor(1, "channels", u32::MAX);
            d.tensor(1, "rows", 0xffff);
            d.tensor(1, "cols", 0xffff);
        }),
        case("i8-dense", rule("tensors begin at multiples of 16 bytes", 1), |d| d.tensor(1, "offset", 8)),
        case("i8-dense", field("the bytes of the arena", 0, arena, arena + 16), move |d| {
            d.head("arena", arena as u32 + 16);
        }),
        case("i8-dense", field("the bytes of the arena", 0, arena, arena - 16), move |d| {
            d.head("arena", arena as u32 - 16);
        }),
        // One class more, and its name.
        case("i8-dense", field("the classes", 0, 7, 8), move |d| {
            d.head("classes", 8);
            d.0[labels] = b'\n';
        }),
    ];
    for at in [14, 15, 20, 21, 22, 23] {
        let error = rule("what is reserved in a tensor is zero", 1);
        cases.push(case("i8-dense", error, move |d| d.0[HEADER + TENSOR + at] = 1));
    }
    cases
}

/// What a step reads, its kind, the fields that it has no use for, where its constants lie.
fn of_the_steps(images: &Images) -> Vec<Case> {
    let len = images["i8-dense"].len();
    let constants = |image: &str| {
        let draft = Draft(images[image].clone());
        i64::from(draft.get(draft.step_at(1, "constants")))
    };
    let dense = constants("i8-dense");
    let reads = "a step reads tensors that steps before it wrote";
    let pixels = "the first step, and no other, reads the pixels";
    let known = "a step is of a kind that this library knows";
    let place = "the place of the constants of step";
    let inside = "the constants of a step lie in the image";
    let between = "bytes between constants are zero";
    let mut cases = vec![
        case("i8-dense", rule(reads, 0), |d| d.step(0, "a", 1)),
        case("i8-dense", rule(reads, 1), |d| d.step(1, "a", 2)),
        case("i8-add", rule(reads, 2), |d| d.step(2, "b", 3)),
        case("i8-dense", rule(pixels, 0), |d| d.step(0, "op", 3)),
        case("i8-dense", rule(pixels, 1), |d| d.step(1, "op", 1)),
        case("i8-dense", rule(pixels, 1), |d| d.step(1, "a", 0)),
        case("i8-add", rule(pixels, 2), |d| d.step(2, "b", 0)),
        case("i8-dense", rule(known, 1), |d| d.step(1, "op", 0)),
        case("i8-dense", rule(known, 1), |d| d.step(1, "op", 8)),
        case("i8-dense", field(place, 1, dense, dense + 16), move |d| d.step(1, "constants", dense as u32 + 16)),
        case("i8-dense", field(place, 1, dense, 0), |d| d.step(1, "constants", 0)),
        case("i8-max-pool", field(place, 1, 0, 16), |d| d.step(1, "constants", 16)),
        // The last part is cut off; a layer has more outputs than there are weights for.
        case("i8-dense", rule(inside, 1), move |d| d.resize(len - 16)),
        case("i8-chain", rule(inside, 7), |d| {
            d.tensor(8, "channels", 60_000);
            d.fit();
        }),
        // Behind 420 weights, and in the end.
        case("i8-dense", rule(between, 1), move |d| d.0[dense as usize + 420] = 1),
        case("i8-dense", rule(between, 1), move |d| d.0[len - 1] = 1),
        case("i8-dense", ImageError::Trailing { expected: len, got: len + 16 }, move |d| d.resize(len + 16)),
    ];
    let unused: [(&str, usize, &str, u32); 26] = [
        ("i8-dense", 1, "kernel_rows", 1),
        ("i8-dense", 1, "kernel_cols", 1),
        ("i8-dense", 1, "stride", 1),
        ("i8-dense", 1, "padding", 1),
        ("f32-dense", 1, "low", 1),
        ("f32-dense", 1, "high", 1),
        ("i8-map", 1, "high", 1),
        ("i8-max-pool", 1, "low", 1),
        ("i8-dense", 1, "activation", 1),
        ("f32-max-pool", 1, "activation", 1),
        ("f32-pixels", 0, "activation", 1),
        ("i8-conv", 1, "groups", 0),
        ("i8-dense", 1, "groups", 1),
        ("i8-dense", 1, "pool", 1),
        ("i8-dense", 1, "b", 1),
        ("i8-add", 2, "b", NONE as u32),
        ("i8-pixels-per-image", 0, "multiplier_a", 0),
        ("i8-pixels-per-image", 0, "multiplier_b", 1),
        ("f32-pixels-per-image", 0, "multiplier_a", 1),
        ("i8-pixels", 0, "multiplier_a", 1),
        ("i8-pixels", 0, "shift", 1),
        ("i8-avg-pool", 1, "multiplier_b", 1),
        ("f32-avg-pool", 1, "multiplier_a", 1),
        ("f32-add", 2, "multiplier_b", 1),
        ("i8-dense", 1, "multiplier_a", 1),
        ("i8-dense", 1, "shift", 1),
    ];
    for (image, step, name, value) in unused {
        let error = rule("fields that a step has no use for are zero", step);
        cases.push(case(image, error, move |d| d.step(step, name, value)));
    }
    cases
}

/// The largest bias of 60 products.
const MOST_BIAS: i32 = i32::MAX - (60 << 14);
/// The largest multiplier of 60 pixels that are normalised by themselves.
const MOST_REACH: i64 = (MAX_REACH / 60).isqrt() as i64;
/// Where the parts of the linear layer of `i8-dense` lie, from the first on: behind 420 weights, 28 bytes each.
const BIAS: usize = 432;
const MULTIPLIER: usize = BIAS + 32;
const SHIFT: usize = MULTIPLIER + 32;

/// Sizes, activations and constants of the steps.
fn of_what_is_computed() -> Vec<Case> {
    let shape = "the output of a step has its shape";
    let groups = "the groups of a convolution, which must divide its channels,";
    let pooled = "a side of the window of a pooling, against that of the padded plane,";
    let padding = "the padding of a pooling, at most half its window,";
    let within = "only convolutions of bytes have the pooling in them";
    let scales = "the largest of some bytes has their scale and zero point";
    let sums = "sums of bytes and their bias fit in 32 bits";
    let (multiplier, shift) = ("a multiplier of requantization", "a shift of requantization");
    let (addend, sum_shift) = ("a multiplier of a sum of bytes", "the shift of a sum of bytes");
    let reach = "the multiplier of normalised pixels";
    let alike = "a function of each number keeps the shape";
    // Rows and columns in turn: as many numbers, another shape.
    let turned = |image, error, tensor, [rows, cols]: [u32; 2]| {
        case(image, error, move |d| {
            d.tensor(tensor, "rows", rows);
            d.tensor(tensor, "cols", cols);
            d.fit();
        })
    };
    let mut cases = vec![
        case("f32-dense", rule("an activation is one that this library knows", 1), |d| d.step(1, "activation", 4)),
        case("i8-dense", rule("the smallest output is not above the largest", 1), |d| {
            d.step(1, "low", 1);
            d.step(1, "high", 0);
        }),
        // Pixels, a convolution without and with pooling, a linear layer, a pooling, both addends of a sum, functions.
        turned("i8-pixels", rule(shape, 0), 1, [6, 5]),
        turned("f32-conv", rule(shape, 1), 2, [9, 1]),
        turned("i8-conv-pool", rule(shape, 1), 2, [3, 2]),
        turned("i8-chain", rule(shape, 7), 8, [2, 1]),
        turned("i8-max-pool", rule(shape, 1), 2, [4, 3]),
        turned("f32-avg-pool", rule(shape, 1), 2, [4, 9]),
        case("i8-chain", rule(shape, 3), |d| d.step(3, "b", 1)),
        case("i8-chain", rule(shape, 3), |d| d.step(3, "a", 1)),
        turned("i8-map", rule(alike, 1), 2, [6, 5]),
        turned("f32-map", rule(alike, 1), 2, [6, 5]),
        // Convolutions: of 2 channels of 5x6 pixels, one more on each side, to 3.
        case("i8-conv", range(1, "the rows of its kernel", [1, i64::MAX, 0]), |d| d.step(1, "kernel_rows", 0)),
        case("i8-conv", range(1, "the columns of its kernel", [1, i64::MAX, 0]), |d| d.step(1, "kernel_cols", 0)),
        case("i8-conv", range(1, "the stride of a convolution", [1, i64::MAX, 0]), |d| d.step(1, "stride", 0)),
        case("i8-conv", range(1, groups, [1, 2, 2]), |d| d.step(1, "groups", 2)),
        case("i8-conv", range(1, groups, [1, 2, 3]), |d| d.step(1, "groups", 3)),
        case("i8-conv", range(1, "the rows of a kernel, against those of the padded image,", [1, 7, 8]), |d| {
            d.step(1, "kernel_rows", 8);
        }),
        case("i8-conv", range(1, "the columns of a kernel, against those of the padded image,", [1, 8, 9]), |d| {
            d.step(1, "kernel_cols", 9);
        }),
        // A plane of all channels that 32 bits cannot count.
        case("i8-chain", ImageError::Shape { step: 1, error: ShapeError::Overflow }, |d| {
            d.tensor(2, "channels", 1 << 24);
            d.fit();
        }),
        case("f32-conv", rule(within, 1), |d| d.step(1, "pool", 1)),
        case("i8-conv", rule(within, 1), |d| d.step(1, "pool", 2)),
        // One row is left, of which no 2x2 can be taken.
        case("i8-conv-pool", range(1, pooled, [1, 1, 2]), |d| d.step(1, "stride", 5)),
        // Poolings: windows of 3x2 and 2x3, over 5x6 pixels, one more on each side.
        case("i8-max-pool", range(1, "the rows of its window", [1, i64::MAX, 0]), |d| d.step(1, "kernel_rows", 0)),
        case("i8-max-pool", range(1, "the columns of its window", [1, i64::MAX, 0]), |d| d.step(1, "kernel_cols", 0)),
        case("f32-avg-pool", range(1, "the stride of a pooling", [1, i64::MAX, 0]), |d| d.step(1, "stride", 0)),
        case("i8-max-pool", range(1, padding, [0, 1, 2]), |d| d.step(1, "padding", 2)),
        case("f32-avg-pool", range(1, padding, [0, 1, 2]), |d| d.step(1, "padding", 2)),
        case("i8-max-pool", range(1, pooled, [1, 7, 8]), |d| d.step(1, "kernel_rows", 8)),
        case("i8-avg-pool", range(1, pooled, [1, 8, 9]), |d| d.step(1, "kernel_cols", 9)),
        case("i8-max-pool", rule(scales, 1), |d| d.tensor(2, "scale", 0.5f32.to_bits())),
        case("i8-max-pool", rule(scales, 1), |d| d.tensor(2, "zero_point", 1)),
        case("i8-avg-pool", range(1, multiplier, [0, i32::MAX.into(), -1]), |d| d.step(1, "multiplier_a", u32::MAX)),
        case("i8-avg-pool", range(1, shift, [0, 31, 32]), |d| d.step(1, "shift", 32)),
        // Linear layers.
        case("i8-dense", range(1, multiplier, [0, i32::MAX.into(), -1]), |d| d.constant(1, MULTIPLIER, -1)),
        case("i8-dense", range(1, shift, [0, 31, 32]), |d| d.constant(1, SHIFT + 24, 32)),
        case("i8-dense", range(1, shift, [0, 31, -1]), |d| d.constant(1, SHIFT, -1)),
        case("i8-dense", rule(sums, 1), |d| d.constant(1, BIAS, MOST_BIAS + 1)),
        case("i8-dense", rule(sums, 1), |d| d.constant(1, BIAS + 24, -MOST_BIAS - 1)),
        // The byte behind the weights becomes one.
        case("i8-long", rule("sums of bytes have at most 131,071 products", 1), |d| {
            d.tensor(0, "channels", 131_072);
            d.tensor(1, "channels", 131_072);
        }),
        // Sums.
        case("i8-add", range(2, addend, [0, 1 << 22, -1]), |d| d.step(2, "multiplier_a", u32::MAX)),
        case("i8-add", range(2, addend, [0, 1 << 22, (1 << 22) + 1]), |d| d.step(2, "multiplier_a", (1 << 22) + 1)),
        case("i8-add", range(2, addend, [0, 1 << 22, (1 << 22) + 1]), |d| d.step(2, "multiplier_b", (1 << 22) + 1)),
        case("i8-add", range(2, sum_shift, [0, 22, 23]), |d| d.step(2, "shift", 23)),
        // Pixels that are normalised image by image.
        case("i8-pixels-per-image", range(0, reach, [1, MOST_REACH, -1]), |d| d.step(0, "multiplier_a", u32::MAX)),
        case("i8-pixels-per-image", range(0, reach, [1, MOST_REACH, MOST_REACH + 1]), |d| {
            d.step(0, "multiplier_a", MOST_REACH as u32 + 1);
        }),
        case("i8-pixels-per-image", range(0, "the shift of normalised pixels", [0, 22, 23]), |d| {
            d.step(0, "shift", 23);
        }),
    ];
    if cfg!(target_pointer_width = "64") {
        let pixels = "the pixels of an image that is normalised by itself";
        cases.push(case("i8-large", range(0, pixels, [1, 1 << 24, 4097 << 12]), |d| {
            d.tensor(0, "rows", 4097);
            d.tensor(1, "rows", 4097);
            d.fit();
        }));
        // One more window than fits in 31 bits.
        let error = ImageError::Shape { step: 1, error: ShapeError::Overflow };
        cases.push(case("i8-plane", error, |d| d.step(1, "stride", 1)));
    }
    cases
}

/// Where tensors and scratch lie.
fn of_the_places() -> Vec<Case> {
    let begins = "the scratch of a step begins in the arena of the tensors, or behind all";
    let alive = "the scratch of a step lies behind what is alive";
    let over = "no step writes over what is still to be read";
    vec![
        // The arena has 80 bytes: 60 that the step reads, and 7 that it writes.
        case("i8-dense-laid", rule(begins, 1), |d| d.step(1, "scratch", 6)),
        case("i8-dense-laid", rule(begins, 0), |d| d.step(0, "scratch", u32::from(NONE) - 1)),
        case("i8-dense-laid", rule(alive, 1), |d| d.step(1, "scratch", 0)),
        case("i8-dense-laid", rule(alive, 1), |d| d.step(1, "scratch", 4)),
        case("i8-dense-laid", rule(alive, 0), |d| d.step(0, "scratch", 3)),
        case("i8-add-laid", rule("every tensor but the last is read", 2), |d| d.step(2, "a", 1)),
        // A linear layer, and a convolution whose output is as large as its input, over what they read.
        case("i8-dense-laid", rule(over, 1), |d| d.lay(&[0, 0, 0])),
        case("i8-same-laid", rule(over, 1), |d| d.lay(&[0, 0, 0])),
        // A function that is not exactly over what it reads, and one over what a later step reads too.
        case("i8-map-laid", rule(over, 1), |d| d.lay(&[0, 0, 16])),
        case("i8-add-laid", rule(over, 1), |d| d.lay(&[0, 0, 0, 64])),
        // A sum over its second addend, and over both.
        case("i8-add-laid", rule(over, 2), |d| d.lay(&[0, 0, 64, 0])),
        case("i8-twice-laid", rule(over, 2), |d| d.lay(&[0, 0, 0, 0])),
        // Numbers over the pixels that they are made of.
        case("f32-pixels-laid", rule(over, 0), |d| d.lay(&[0, 0])),
    ]
}

fn all(images: &Images) -> Vec<Case> {
    let parts =
        [of_the_header(images), of_the_tensors(images), of_the_steps(images), of_what_is_computed(), of_the_places()];
    parts.into_iter().flatten().collect()
}

#[test]
fn an_image_that_breaks_one_rule_is_refused_by_it() {
    let images = images();
    for (name, bytes) in &images {
        assert_eq!(Draft(bytes.clone()).read(), Ok(()), "{name}");
    }
    for (index, Case { image, error, change }) in all(&images).into_iter().enumerate() {
        let mut draft = Draft(images[image].clone());
        change(&mut draft);
        assert_ne!(draft.0, images[image], "{index}: {image} is as it was, but is to say: {error}");
        assert_eq!(draft.read(), Err(error), "{index}: {image} is to say: {error}");
    }
}

/// What the checksum and the address are about no seal mends.
#[test]
fn damage_and_addresses() {
    let images = images();
    let whole = &images["i8-dense"];
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let sum = |bytes: &[u8]| Draft(bytes.to_vec()).get(Draft::head_at("crc32"));
    let mut sealed = damaged.clone();
    seal(&mut sealed);
    let expected = ImageError::Checksum { expected: sum(whole), found: sum(&sealed) };
    assert_eq!(Model::new(Image::copy(&damaged).bytes()).map(|_| ()), Err(expected));
    for off in 1..16 {
        let moved = Image::copy(&[&vec![0; off], &whole[..]].concat());
        let error = ImageError::Misaligned { what: "an image", needed: 16 };
        assert_eq!(Model::new(&moved.bytes()[off..]).map(|_| ()), Err(error));
    }
}

/// The limits themselves: what is one less than refused.
#[test]
fn what_is_just_allowed_is_read() {
    let images = images();
    type Change = fn(&mut Draft);
    let allowed: [(&str, Change); 14] = [
        ("i8-dense", |d| d.constant(1, BIAS, MOST_BIAS)),
        ("i8-dense", |d| d.constant(1, BIAS, -MOST_BIAS)),
        ("i8-dense", |d| d.constant(1, MULTIPLIER, i32::MAX)),
        ("i8-dense", |d| d.constant(1, SHIFT, 31)),
        ("i8-dense", |d| {
            d.step(1, "low", 5);
            d.step(1, "high", 5);
        }),
        ("i8-add", |d| d.step(2, "multiplier_b", 1 << 22)),
        ("i8-add", |d| d.step(2, "multiplier_a", 0)),
        ("i8-avg-pool", |d| d.step(1, "shift", 31)),
        ("i8-pixels-per-image", |d| d.step(0, "multiplier_a", MOST_REACH as u32)),
        ("i8-pixels-per-image", |d| d.step(0, "shift", 22)),
        ("f32-dense", |d| d.step(1, "activation", 3)),
        ("i8-dense-laid", |d| d.step(1, "scratch", 5)),
        ("i8-dense-laid", |d| d.step(0, "scratch", 4)),
        ("f32-dense", |d| d.head("release", u32::MAX)),
    ];
    for (index, (image, change)) in allowed.into_iter().enumerate() {
        let mut draft = Draft(images[image].clone());
        change(&mut draft);
        assert_ne!(draft.0, images[image], "{index}: {image}");
        assert_eq!(draft.read(), Ok(()), "{index}: {image}");
    }
}

/// Every text of a rule in the source has its row above, or stands among those that no bytes break.
#[test]
fn every_rule_of_the_source_has_its_row() {
    let texts = |source: &'static str, before: &'static str| {
        source.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>()
    };
    let (check, step) = (include_str!("../src/runtime/check.rs"), include_str!("../src/runtime/step.rs"));
    let mut written: BTreeSet<&str> = texts(check, "rule(\"").into_iter().collect();
    written.extend(texts(step, "rule(\""));
    written.extend(texts(check, "what: \""));
    assert!(written.remove("an image"), "that of an address has a test of its own");
    let images = images();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for case in all(&images) {
        match case.error {
            ImageError::Rule { rule, .. } => _ = met.insert(rule),
            ImageError::Field { what, .. } => _ = met.insert(what),
            _ => {}
        }
    }
    for text in UNREACHED {
        assert!(met.insert(text), "it is broken above: {text:?}");
    }
    assert_eq!(met, written, "rows and rules");
}
