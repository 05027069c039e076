//! The model as C99 source: `model.c` and `model.h`, which need `<stdint.h>` and `<string.h>` alone, and `selftest.c`, which proves them by
//! golden vectors. One call a step, constants in flash, one static arena laid out as in the image; the same integers as the runtime.
//!
//! The kernels lie in `c/`, one file each; only those that the model uses are written.

use super::ExportError;
use super::golden::Golden;
use super::numbers::lines;
use crate::kernels::conv::Conv;
use crate::kernels::pool::Pool;
use crate::runtime::{Kind, Model, Params, Step, Tensor, Work};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Columns of a line of numbers.
const WIDTH: usize = 100;

/// Longest string of C99 that every compiler takes.
const MAX_STRING: usize = 4095;

/// A piece of `model.c`. They are written in this order, in which each uses those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Pixels,
    Table,
    Range,
    Requantize,
    Dot,
    Layer,
    Rows,
    Dense,
    Patch,
    Conv,
    ConvPool,
    Window,
    MaxPool,
    AvgPool,
    Add,
    Standardize,
}

impl Part {
    /// Its text; `small_shift` says whether a shift of the model is below 2.
    const fn text(self, small_shift: bool) -> &'static str {
        match self {
            Self::Pixels => include_str!("c/pixels.c"),
            Self::Table => include_str!("c/table.c"),
            Self::Range => include_str!("c/range.c"),
            Self::Requantize if small_shift => include_str!("c/requantize_any.c"),
            Self::Requantize => include_str!("c/requantize.c"),
            Self::Dot => include_str!("c/dot.c"),
            Self::Layer => include_str!("c/layer.c"),
            Self::Rows => include_str!("c/rows.c"),
            Self::Dense => include_str!("c/dense.c"),
            Self::Patch => include_str!("c/patch.c"),
            Self::Conv => include_str!("c/conv.c"),
            Self::ConvPool => include_str!("c/conv_pool.c"),
            Self::Window => include_str!("c/window.c"),
            Self::MaxPool => include_str!("c/max_pool.c"),
            Self::AvgPool => include_str!("c/avg_pool.c"),
            Self::Add => include_str!("c/add.c"),
            Self::Standardize => include_str!("c/standardize.c"),
        }
    }
}

/// Files, and what they take of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSource {
    /// `[("model.c", text), ("model.h", text), ("selftest.c", text)]`
    pub files: Vec<(String, String)>,
    /// Bytes of constants.
    pub flash: usize,
    /// Bytes of the static arena; the stack comes on top.
    pub arena: usize,
}

/// Whether functions of C can begin with `name`.
///
/// # Errors
/// [`ExportError::Unsupported`] if they cannot.
pub fn check_name(name: &str) -> Result<(), ExportError> {
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_name {
        return Ok(());
    }
    let expected = "a name in C is a letter and then letters, digits and underscores";
    Err(ExportError::Unsupported(format!("{expected}, found {name:?}")))
}

/// The C of an int8 model. Functions and constants begin with `name`, a letter and
/// then letters, digits and underscores; `golden` becomes part of the self-test.
///
/// # Errors
/// [`ExportError::Unsupported`] for a model of floats, another kind of name, and names of classes that C has no room for;
/// [`ExportError::Program`] if `golden` is of a model of other sizes.
pub fn c_source(model: &Model<'_>, name: &str, golden: &Golden) -> Result<CSource, ExportError> {
    if model.kind() != Kind::I8 {
        return Err(super::only_int8(model));
    }
    check_name(name)?;
    let input = tensor(model, 0)?;
    let samples = golden.samples();
    if golden.pixels() != input.bytes() || golden.logits().len() != samples * model.classes() {
        return Err(ExportError::Program("the golden vectors are of a model of other sizes".into()));
    }
    let mut source = Source {
        model,
        parts: BTreeSet::new(),
        small_shift: false,
        data: String::new(),
        calls: String::new(),
        scratch: 0,
        flash: 0,
    };
    for step in model.steps() {
        source.step(&step)?;
    }
    let output = tensor(model, model.output())?;
    let fields = source.fields(name, &input, &output);
    let mut code = fill(include_str!("c/head.c"), &fields);
    for part in &source.parts {
        code.push_str(part.text(source.small_shift));
    }
    code.push_str(&source.data);
    code.push_str(&fill(include_str!("c/api.c"), &fields));
    code.push_str(&class_names(model, name)?);

    let mut vectors = fields.clone();
    vectors.push(("SAMPLES", samples.to_string()));
    vectors.push(("PICTURES", table(golden.inputs(), input.bytes())));
    vectors.push(("LOGITS", table(golden.logits(), model.classes())));
    vectors.push(("EXPECTED_CLASSES", lines(golden.classes(), "    ", WIDTH)));
    let files = vec![
        ("model.c".into(), code),
        ("model.h".into(), fill(include_str!("c/model.h"), &fields)),
        ("selftest.c".into(), fill(include_str!("c/selftest.c"), &vectors)),
    ];
    Ok(CSource { files, flash: source.flash, arena: model.activations_len() + source.scratch })
}

fn tensor(model: &Model<'_>, index: usize) -> Result<Tensor, ExportError> {
    model.tensor(index).ok_or_else(|| ExportError::Program(format!("a model without tensor {index}")))
}

/// What is known of `model.c` while the steps are looked at.
struct Source<'a, 'm> {
    model: &'a Model<'m>,
    parts: BTreeSet<Part>,
    /// Whether a shift is below 2, which takes another rounding.
    small_shift: bool,
    /// Constants.
    data: String,
    /// A line for each step.
    calls: String,
    /// Bytes of the largest patch, or four.
    scratch: usize,
    /// Bytes of constants.
    flash: usize,
}

impl Source<'_, '_> {
    fn step(&mut self, step: &Step<'_>) -> Result<(), ExportError> {
        let (input, output) = (tensor(self.model, step.a)?, tensor(self.model, step.index + 1)?);
        let (from, to) = (place("at", &input), place("at", &output));
        let (id, zero_out) = (format!("step{}", step.index), i32::from(output.zero_point));
        let (parts, call): (&[Part], String) = match step.work {
            Work::Pixels(None) => {
                (&[Part::Pixels], format!("pixels({}, {to}, {});", place("arena", &input), input.elements()))
            }
            Work::Pixels(Some(by)) => {
                self.data.push_str(&format!(
                    "\nstatic const struct standardize {id} = {{
    .pixels = {},
    .multiplier = {},
    .shift = {},
    .range = {},
}};\n",
                    by.pixels,
                    by.multiplier,
                    by.shift,
                    range(zero_out, (i8::MIN.into(), i8::MAX.into()))
                ));
                (&[Part::Range, Part::Standardize], format!("standardize(&{id}, {}, {to});", place("arena", &input)))
            }
            Work::Table(table) => {
                self.constant("int8_t", &format!("{id}_table"), table);
                (&[Part::Table], format!("look_up({id}_table, {from}, {to}, {});", input.elements()))
            }
            Work::Dense { inputs, outputs, params, .. } => {
                let layer = self.layer(&id, [outputs, inputs], params, zero_out)?;
                self.data.push_str(&format!("\nstatic const struct layer {id} = {layer};\n"));
                (
                    &[Part::Range, Part::Requantize, Part::Dot, Part::Layer, Part::Rows, Part::Dense],
                    format!("dense(&{id}, {from}, {to});"),
                )
            }
            Work::Conv { conv, pool, params, .. } => {
                let layer = self.layer(&id, [conv.c_out, conv.taps()], params, zero_out)?;
                self.conv(&id, &conv, &layer, input.zero_point);
                let (patches, function, parts): (_, _, &[Part]) = if pool {
                    (
                        4,
                        "convolve_pool",
                        &[Part::Range, Part::Requantize, Part::Dot, Part::Layer, Part::Patch, Part::ConvPool],
                    )
                } else {
                    (
                        1,
                        "convolve",
                        &[Part::Range, Part::Requantize, Part::Dot, Part::Layer, Part::Rows, Part::Patch, Part::Conv],
                    )
                };
                self.scratch = self.scratch.max(patches * conv.taps());
                (parts, format!("{function}(&{id}, {from}, {to}, at + {});", self.model.activations_len()))
            }
            Work::MaxPool(pool) => {
                let pool = windows(&pool, &input, &output, "");
                self.data.push_str(&format!("\nstatic const struct pool {id} = {pool};\n"));
                (&[Part::Window, Part::MaxPool], format!("max_pool(&{id}, {from}, {to});"))
            }
            Work::AvgPool(pool, Some(by)) => {
                self.small_shift |= by.shift < 2;
                let (pool, range) =
                    (windows(&pool, &input, &output, "    "), range(zero_out, (by.clamp.0.into(), by.clamp.1.into())));
                self.data.push_str(&format!(
                    "\nstatic const struct mean {id} = {{
    .pool = {pool},
    .zero_point = {},
    .multiplier = {},
    .shift = {},
    .range = {range},
}};\n",
                    by.zero_in, by.multiplier, by.shift
                ));
                (
                    &[Part::Range, Part::Requantize, Part::Window, Part::AvgPool],
                    format!("avg_pool(&{id}, {from}, {to});"),
                )
            }
            Work::Add(Some(by), _) => {
                let second = tensor(self.model, step.b.unwrap_or(step.a))?;
                let ([za, zb], [ma, mb]) = (by.zeros, by.multipliers);
                self.data.push_str(&format!(
                    "\nstatic const struct sum {id} = {{
    .zero_points = {{{za}, {zb}}},
    .multipliers = {{{ma}, {mb}}},
    .shift = {},
    .range = {},
}};\n",
                    by.shift,
                    range(by.zero_out, by.clamp)
                ));
                (
                    &[Part::Range, Part::Add],
                    format!("add(&{id}, {from}, {}, {to}, {});", place("at", &second), input.elements()),
                )
            }
            Work::AvgPool(_, None) | Work::Add(None, _) | Work::Map(_) => return Err(super::only_int8(self.model)),
        };
        self.parts.extend(parts);
        self.calls.push_str(&format!("    /* {}: {} -> {} */\n    {call}\n", step.name(), dims(&input), dims(&output)));
        Ok(())
    }

    /// `static const` numbers.
    fn constant<T: Display + Copy>(&mut self, kind: &str, name: &str, values: &[T]) {
        let text = lines(values, "    ", WIDTH);
        self.data.push_str(&format!("\nstatic const {kind} {name}[{}] = {{\n{text}}};\n", values.len()));
        self.flash += size_of_val(values);
    }

    /// The constants of a layer, and the initializer of its `struct layer`.
    fn layer(
        &mut self,
        id: &str,
        [outputs, inputs]: [usize; 2],
        params: Params<'_>,
        zero: i32,
    ) -> Result<String, ExportError> {
        let Params::I8 { weight, bias, multiplier, shift, clamp } = params else {
            return Err(super::only_int8(self.model));
        };
        let shift: Vec<u8> = shift.iter().map(|shift| *shift as u8).collect(); // 0 to 31
        self.small_shift |= shift.iter().any(|shift| *shift < 2);
        self.constant("int8_t", &format!("{id}_weight"), weight);
        self.constant("int32_t", &format!("{id}_bias"), bias);
        self.constant("int32_t", &format!("{id}_multiplier"), multiplier);
        self.constant("uint8_t", &format!("{id}_shift"), &shift);
        let range = range(zero, (clamp.0.into(), clamp.1.into()));
        Ok(format!(
            "{{
    .weight = {id}_weight,
    .bias = {id}_bias,
    .multiplier = {id}_multiplier,
    .shift = {id}_shift,
    .outputs = {outputs},
    .inputs = {inputs},
    .range = {range},
}}"
        ))
    }

    fn conv(&mut self, id: &str, conv: &Conv, layer: &str, zero_point: i8) {
        let Conv { h, w, c_in, kh, kw, stride, padding, groups, oh, ow, .. } = *conv;
        let ((depth, each), layer) = (conv.group(), layer.replace('\n', "\n    "));
        self.data.push_str(&format!(
            "\nstatic const struct conv {id} = {{
    .layer = {layer},
    .rows = {h},
    .cols = {w},
    .channels = {c_in},
    .out_rows = {oh},
    .out_cols = {ow},
    .kernel_rows = {kh},
    .kernel_cols = {kw},
    .stride = {stride},
    .padding = {padding},
    .groups = {groups},
    .depth = {depth},
    .each = {each},
    .zero_point = {zero_point},
}};\n"
        ));
    }

    /// What the templates leave open.
    fn fields(&self, name: &str, input: &Tensor, output: &Tensor) -> Vec<(&'static str, String)> {
        let model = self.model;
        let [channels, rows, cols] = input.dims;
        let offset = |tensor: &Tensor| if tensor.offset == 0 { String::new() } else { format!(" + {}", tensor.offset) };
        vec![
            ("name", name.into()),
            ("NAME", name.to_ascii_uppercase()),
            ("VERSION", env!("CARGO_PKG_VERSION").into()),
            ("CRC32", format!("{:08x}", model.crc32())),
            ("RELEASE", model.release().to_string()),
            ("IN_ROWS", rows.to_string()),
            ("IN_COLS", cols.to_string()),
            ("IN_CHANNELS", channels.to_string()),
            ("INPUT_BYTES", input.bytes().to_string()),
            ("CLASSES", model.classes().to_string()),
            ("SCALE", output.scale.to_string()),
            ("ZERO_POINT", output.zero_point.to_string()),
            ("ACTIVATIONS", model.activations_len().to_string()),
            ("SCRATCH", self.scratch.to_string()),
            ("ARENA_BYTES", (model.activations_len() + self.scratch).to_string()),
            ("FLASH_BYTES", self.flash.to_string()),
            ("INPUT", offset(input)),
            ("OUTPUT", offset(output)),
            ("CALLS", self.calls.trim_end().into()),
        ]
    }
}

/// Where a tensor lies in the arena that `base` points to.
fn place(base: &str, tensor: &Tensor) -> String {
    if tensor.offset == 0 { base.into() } else { format!("{base} + {}", tensor.offset) }
}

/// "28 x 28 x 1": rows, columns, channels.
fn dims(tensor: &Tensor) -> String {
    let [channels, rows, cols] = tensor.dims;
    format!("{rows} x {cols} x {channels}")
}

/// The initializer of a `struct range`.
fn range(zero_point: i32, clamp: (i32, i32)) -> String {
    format!("{{{zero_point}, {}, {}}}", clamp.0 - zero_point, clamp.1 - zero_point)
}

/// The initializer of a `struct pool`.
fn windows(pool: &Pool, input: &Tensor, output: &Tensor, indent: &str) -> String {
    let ([channels, rows, cols], [_, out_rows, out_cols]) = (input.dims, output.dims);
    let fields = [
        ("rows", rows),
        ("cols", cols),
        ("channels", channels),
        ("out_rows", out_rows),
        ("out_cols", out_cols),
        ("kernel_rows", pool.kh),
        ("kernel_cols", pool.kw),
        ("stride", pool.stride),
        ("padding", pool.padding),
    ];
    let mut text = String::from("{\n");
    for (field, value) in fields {
        text.push_str(&format!("{indent}    .{field} = {value},\n"));
    }
    text + indent + "}"
}

/// Rows of `len` numbers, each in braces.
fn table<T: Display>(values: &[T], len: usize) -> String {
    values.chunks(len.max(1)).map(|row| format!("    {{\n{}    }},\n", lines(row, "        ", WIDTH))).collect()
}

/// The table of the classes' names.
fn class_names(model: &Model<'_>, name: &str) -> Result<String, ExportError> {
    let mut text = format!("\nconst char *const {name}_class_names[{}_CLASSES] = {{\n", name.to_ascii_uppercase());
    for class in 0..model.classes() {
        let label = model.class_name(class).unwrap_or_default();
        if label.len() > MAX_STRING || label.contains('\0') {
            return Err(ExportError::Unsupported(format!(
                "a string in C has at most {MAX_STRING} bytes, none of them 0, found the name of class {class}"
            )));
        }
        text.push_str("    \"");
        for byte in label.bytes() {
            match byte {
                b' ' | b'+' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => text.push(byte.into()),
                // Three digits always, so that none that follows is taken for one of them.
                _ => text.push_str(&format!("\\{byte:03o}")),
            }
        }
        text.push_str("\",\n");
    }
    Ok(text + "};\n")
}

/// A template with each `@FIELD@` replaced.
fn fill(template: &str, fields: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    // Odd pieces are what stands between two signs.
    for (at, piece) in template.split('@').enumerate() {
        match fields.iter().find(|(field, _)| at % 2 == 1 && *field == piece) {
            Some((_, value)) => text.push_str(value),
            None => text.push_str(piece),
        }
    }
    text
}
