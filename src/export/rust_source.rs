//! A Rust module of an int8 model: `no_std`, straight calls of the kernels that it uses and of no other, constants in statics.

use super::ExportError;
use super::golden::Golden;
use super::numbers::lines;
use crate::kernels::Isa;
use crate::kernels::conv::Conv;
use crate::kernels::conv_i8;
use crate::kernels::elementwise_i8::Sum;
use crate::kernels::pool_i8::Mean;
use crate::kernels::standardize_i8::Standardize;
use crate::runtime::{Kind, Model, Params, Step, Work};
use std::collections::BTreeSet;
use std::fmt::{Display, Write};

/// Columns of a line of numbers.
const WIDTH: usize = 119;

/// Bytes of memory that the module's network takes: its tensors, and the scratch of its busiest step.
///
/// # Errors
/// [`ExportError::Image`] if memory cannot hold it.
pub fn arena_len(model: &Model<'_>) -> Result<usize, ExportError> {
    let scratch = (0..model.step_count()).map(|index| model.scratch_len(Isa::SCALAR, 1, index));
    let scratch = scratch.collect::<Result<Vec<_>, _>>().map_err(ExportError::Image)?.into_iter().max().unwrap_or(0);
    Ok(model.activations_len() + scratch)
}

/// The module of an int8 model, with a self-test over `golden`.
///
/// # Errors
/// [`ExportError::Unsupported`] for a model of floats; [`ExportError::Program`] if `golden` is of a model of other sizes.
pub fn rust_source(model: &Model<'_>, golden: &Golden) -> Result<String, ExportError> {
    if model.kind() != Kind::I8 {
        return Err(super::only_int8(model));
    }
    let error = || ExportError::Program("the model has no such tensor".into());
    let (input, output) = (model.tensor(0).ok_or_else(error)?, model.tensor(model.output()).ok_or_else(error)?);
    if golden.pixels() != input.bytes() || golden.logits().len() != golden.samples() * model.classes() {
        return Err(ExportError::Program("the golden vectors are of a model of other sizes".into()));
    }
    let everywhere = BTreeSet::from(["error::ShapeError", "kernels::Isa"]);
    let mut source = Source { model: *model, statics: String::new(), calls: String::new(), uses: everywhere };
    for step in model.steps() {
        source.step(&step)?;
    }
    let scratch = (arena_len(model)? - model.activations_len()) / 4;
    let (arena, inputs, classes) = (model.activations_len(), input.bytes(), model.classes());
    let place = |tensor: crate::runtime::Tensor| format!("{}..{}", tensor.offset, tensor.offset + tensor.bytes());
    let uses: Vec<String> = source.uses.iter().map(|line| format!("use inkstone::{line};\n")).collect();
    let pixels = place(model.tensor(1).ok_or_else(error)?);
    let byte = if model.normalization().is_some() { "(pixel ^ 0x80) as i8" } else { "*pixel as i8" };
    let names: Vec<String> =
        (0..classes).map(|class| format!("{:?}", model.class_name(class).unwrap_or("?"))).collect();
    Ok(format!(
        "//! Written by `inkstone export --format rust`, inkstone {version}, from the image with CRC-32 {crc:08x}, release {release}:
//! change the model, not this file. It needs the crate `inkstone` without its default features.
//!
//! In: raw pixels, by rows and with their channels last, of {rows} x {cols} in {channels} channel(s). Out: {classes} bytes, `real = {scale:?} * (byte - {zero})`.
#![allow(dead_code, reason = \"not every program needs all of a module\")]

{uses}
/// Bytes of a picture.
pub const INPUT_BYTES: usize = {inputs};
/// Bytes of a [`Network`], on a chip without vectors.
pub const ARENA_BYTES: usize = {arena} + 4 * SCRATCH;
/// The names of the classes.
pub const CLASSES: [&str; {classes}] = [{names}];
const SCRATCH: usize = {scratch};
const OUTSIDE: ShapeError = ShapeError::Overflow;

/// What was checked when this file was written, checked again when it is compiled.
const fn sound<T: Copy>(value: Result<T, ShapeError>) -> T {{
    match value {{
        Ok(value) => value,
        Err(_) => panic!(\"this file was changed by hand\"),
    }}
}}

{statics}
/// The network and the memory in which it runs.
pub struct Network {{
    arena: [i8; {arena}],
    scratch: [i32; SCRATCH],
}}

impl Default for Network {{
    fn default() -> Self {{
        Self::new()
    }}
}}

impl Network {{
    /// One that has not run yet: a constant, for a static.
    pub const fn new() -> Self {{
        Self {{ arena: [0; {arena}], scratch: [0; SCRATCH] }}
    }}

    /// The logits of a picture. All sizes were checked when this file was written, so that no call fails.
    pub fn run(&mut self, pixels: &[u8; INPUT_BYTES]) -> Result<&[i8; {classes}], ShapeError> {{
        // What the scratch is measured for.
        let isa = match Isa::best() {{
            best if best.lanes() == 1 => best,
            _ => Isa::SCALAR,
        }};
        let Self {{ arena, scratch }} = self;
        for (byte, pixel) in arena.get_mut({pixels}).ok_or(OUTSIDE)?.iter_mut().zip(pixels) {{
            *byte = {byte};
        }}
{calls}        arena.get({result}).and_then(|logits| logits.first_chunk()).ok_or(OUTSIDE)
    }}

    /// The class of a picture: that of the largest logit, the first of equals.
    pub fn class(&mut self, pixels: &[u8; INPUT_BYTES]) -> Result<usize, ShapeError> {{
        let logits = self.run(pixels)?;
        let mut best = 0;
        for (class, logit) in logits.iter().enumerate() {{
            if *logit > logits[best] {{
                best = class;
            }}
        }}
        Ok(best)
    }}

    /// How many of the golden pictures give other logits than they did when this file was written: 0 is as it should be.
    pub fn selftest(&mut self) -> Result<usize, ShapeError> {{
        let mut wrong = 0;
        for (pixels, logits) in PICTURES.iter().zip(&LOGITS) {{
            wrong += usize::from(self.run(pixels)? != logits);
        }}
        Ok(wrong)
    }}
}}

static PICTURES: [[u8; INPUT_BYTES]; {samples}] = [
{pictures}];
static LOGITS: [[i8; {classes}]; {samples}] = [
{logits}];
",
        version = env!("CARGO_PKG_VERSION"),
        crc = model.crc32(),
        release = model.release(),
        channels = input.dims[0],
        rows = input.dims[1],
        cols = input.dims[2],
        scale = output.scale,
        zero = output.zero_point,
        names = names.join(", "),
        uses = uses.concat(),
        statics = source.statics,
        calls = source.calls,
        result = place(output),
        samples = golden.samples(),
        pictures = rows(golden.inputs(), inputs),
        logits = rows(golden.logits(), classes),
    ))
}

/// Arrays in an array.
fn rows<T: Display>(values: &[T], len: usize) -> String {
    values.chunks(len.max(1)).map(|row| format!("    [\n{}    ],\n", lines(row, "        ", WIDTH))).collect()
}

struct Source<'m> {
    model: Model<'m>,
    statics: String,
    calls: String,
    uses: BTreeSet<&'static str>,
}

impl Source<'_> {
    fn array<T: Display>(&mut self, name: &str, element: &str, values: &[T]) {
        let _ = writeln!(
            self.statics,
            "static {name}: [{element}; {}] = [\n{}];",
            values.len(),
            lines(values, "    ", WIDTH)
        );
    }

    /// A value that is checked when the module is compiled, so that no code that checks it is in a program.
    fn constant(&mut self, name: &str, kind: &str, arguments: &str) {
        let new = kind.replace("<'static>", "");
        let _ = writeln!(self.statics, "const {name}: {kind} = sound({new}::new({arguments}));");
    }

    /// The constants of a layer, and how its sums are requantized.
    fn params(&mut self, index: usize, params: Params<'_>, zero_out: i8) -> Result<(), ExportError> {
        let Params::I8 { weight, bias, multiplier, shift, clamp } = params else {
            return Err(super::only_int8(&self.model));
        };
        self.array(&format!("WEIGHT_{index}"), "i8", weight);
        self.array(&format!("BIAS_{index}"), "i32", bias);
        self.array(&format!("MULTIPLIER_{index}"), "i32", multiplier);
        self.array(&format!("SHIFT_{index}"), "i32", shift);
        self.uses.insert("kernels::requantize::Requantize");
        let arguments = format!("&BIAS_{index}, &MULTIPLIER_{index}, &SHIFT_{index}, {zero_out}, {clamp:?}");
        self.constant(&format!("BY_{index}"), "Requantize<'static>", &arguments);
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), ExportError> {
        let error = || ExportError::Program("the model has no such tensor".into());
        let (model, index) = (self.model, step.index);
        let tensor = |index: usize| model.tensor(index).ok_or_else(error);
        let (from, to) = (tensor(step.a)?, tensor(index + 1)?);
        let range = |tensor: crate::runtime::Tensor| format!("{}..{}", tensor.offset, tensor.offset + tensor.bytes());
        let (input, output) = (range(from), range(to));
        let two =
            |read: &str| format!("let [x, y] = arena.get_disjoint_mut([{read}, {output}]).map_err(|_| OUTSIDE)?;");
        let copy = if from.offset == to.offset {
            String::new()
        } else {
            format!("arena.copy_within({input}, {});\n        ", to.offset)
        };
        let body = match step.work {
            // Done while they are copied.
            Work::Pixels(None) => return Ok(()),
            Work::Pixels(Some(Standardize { pixels, multiplier, shift, zero_out })) => {
                self.uses.insert("kernels::standardize_i8");
                let arguments = format!("{pixels}, {multiplier}, {shift}, {zero_out}");
                self.constant(&format!("BY_{index}"), "standardize_i8::Standardize", &arguments);
                format!("standardize_i8::standardize(isa, &BY_{index}, arena.get_mut({output}).ok_or(OUTSIDE)?)?;")
            }
            Work::Conv { conv, pool, params, .. } => {
                self.params(index, params, to.zero_point)?;
                let call = if pool { "conv2d_max_pool2_by" } else { "conv2d_by" };
                let short = conv_i8::is_short(&conv, pool);
                self.uses.insert("kernels::conv::Conv");
                self.uses.insert("kernels::conv_i8");
                let Conv { c_in, h, w, c_out, kh, kw, stride, padding, groups, .. } = conv;
                let shape = format!("[1, {c_in}, {h}, {w}], [{c_out}, {}, {kh}, {kw}]", c_in / groups);
                self.constant(&format!("CONV_{index}"), "Conv", &format!("{shape}, {stride}, {padding}, {groups}"));
                format!(
                    "{}\n        let x = conv_i8::Input {{ bytes: x, zero_point: {} }};\n        \
                     conv_i8::{call}::<{short}, {}>(isa, &CONV_{index}, x, &WEIGHT_{index}, BY_{index}, y, scratch)?;",
                    two(&input),
                    from.zero_point,
                    !short
                )
            }
            Work::Dense { inputs, outputs, params, .. } => {
                self.params(index, params, to.zero_point)?;
                self.uses.insert("kernels::gemm_i8");
                self.uses.insert("view::{Mat, MatMut}");
                format!(
                    "{}\n        let (x, y) = (Mat::new(x, 1, {inputs})?, MatMut::new(y, 1, {outputs})?);\n        \
                     gemm_i8::matmul_few(isa, y, x, Mat::new(&WEIGHT_{index}, {outputs}, {inputs})?, BY_{index}, scratch)?;",
                    two(&input)
                )
            }
            Work::MaxPool(_) | Work::AvgPool(..) => {
                let ([c, h, w], record) = (from.dims, model.window(index));
                let ([kh, kw], stride, padding) = record;
                self.uses.insert("kernels::pool::Pool");
                self.uses.insert("kernels::pool_i8");
                let call = match step.work {
                    Work::AvgPool(_, Some(Mean { multiplier, shift, zero_in, zero_out, clamp })) => format!(
                        "let by = pool_i8::Mean {{ multiplier: {multiplier}, shift: {shift}, zero_in: {zero_in}, zero_out: {zero_out}, \
                         clamp: {clamp:?} }};\n        pool_i8::avg_pool2d(isa, &POOL_{index}, x, by, y)?;"
                    ),
                    _ => format!("pool_i8::max_pool2d(isa, &POOL_{index}, x, y)?;"),
                };
                let shape = format!("[1, {c}, {h}, {w}], [{kh}, {kw}], {stride}, {padding}");
                self.constant(&format!("POOL_{index}"), "Pool", &shape);
                format!("{}\n        {call}", two(&input))
            }
            Work::Add(Some(sum), _) => {
                self.uses.insert("kernels::elementwise_i8");
                let Sum { multipliers: [a, b], zeros: [zero_a, zero_b], shift, zero_out, clamp } = sum;
                let second = range(tensor(step.b.unwrap_or(step.a))?);
                let arguments = format!("[{a}, {b}], [{zero_a}, {zero_b}], {shift}, {zero_out}, {clamp:?}");
                self.constant(&format!("BY_{index}"), "elementwise_i8::Sum", &arguments);
                format!("{copy}{}\n        elementwise_i8::add(isa, &BY_{index}, y, x)?;", two(&second))
            }
            Work::Table(table) => {
                self.array(&format!("TABLE_{index}"), "i8", table);
                self.uses.insert("kernels::elementwise_i8");
                format!("{copy}elementwise_i8::look_up(&TABLE_{index}, arena.get_mut({output}).ok_or(OUTSIDE)?);")
            }
            Work::Map(_) | Work::Add(None, _) => return Err(super::only_int8(&self.model)),
        };
        let _ = writeln!(self.calls, "        // Step {index}: {}.\n        {body}", step.name());
        Ok(())
    }
}
