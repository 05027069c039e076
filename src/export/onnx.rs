//! Writes ONNX files: the network of an image for every runtime that reads them.
//!
//! The input `pixels [N, channels, rows, columns]` is raw, 0 to 255 as floats: the normalisation is in the graph. The output is
//! `logits [N, classes]`, floats too. Networks of bytes are written as quantised ones are exchanged: operators of floats between
//! `DequantizeLinear` and `QuantizeLinear`, whose scales are those of the image; runtimes make integer operators of them. Weights keep their
//! sign; activations have none, 128 more than in the image: ONNX Runtime on x86 has operators for those alone, and finds its way from bytes
//! with a sign only where a tensor has one reader.
//!
//! Tensor `i` of the image is `t{i}`; step `i` is a node of its name, `conv_1`; a node that the image has no step for is named as what it
//! writes.

mod bytes;

use super::ExportError;
use super::protobuf::{self, Attribute, Element, Message};
use crate::kernels::Activation;
use crate::kernels::conv::Conv;
use crate::kernels::pool::Pool;
use crate::quant::program::singles;
use crate::runtime::{Kind, Model, Params, Step, Tensor, Work};
use std::collections::BTreeSet;

/// The version of the operators: the first with scales by channel, so that old runtimes read the file.
const OPSET: i64 = 13;
/// The version of the messages that came with it.
const IR: i64 = 7;
/// Bytes that readers of protocol buffers take at most.
const MAX_BYTES: usize = i32::MAX as usize;

const INPUT: &str = "pixels";
const OUTPUT: &str = "logits";

/// The bytes of an ONNX file of what `model` computes.
///
/// # Accuracy
/// Of floats, the same sums in another order. Of bytes, the same integers but where the rounding of two numbers next to a half differs:
/// the image rounds half up, ONNX to even, and products of scales are rounded to single precision.
/// # Errors
/// [`ExportError::Unsupported`] for scales whose products single precision cannot hold, for sums and means whose factors are not those of
/// their tensors' scales, and for files of 2 GiB and more.
pub fn onnx(model: &Model<'_>) -> Result<Vec<u8>, ExportError> {
    let mut graph =
        Writer { model: *model, nodes: vec![], constants: vec![], known: BTreeSet::new(), flat: vec![false] };
    for step in model.steps() {
        match model.kind() {
            Kind::F32 | Kind::F16 => graph.floats_step(&step)?,
            Kind::I8 => graph.bytes_step(&step)?,
        }
    }
    graph.finish()
}

/// A graph, as far as it is written.
struct Writer<'m> {
    model: Model<'m>,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    /// Constants and values that may be asked for again.
    known: BTreeSet<String>,
    /// By tensor: whether it is `[N, channels]` here, as linear layers write it, rather than `[N, channels, rows, columns]`.
    flat: Vec<bool>,
}

/// The name of a step's node.
fn node_name(step: &Step<'_>) -> String {
    let word = match step.work {
        Work::Conv { .. } => "conv", // also with the pooling behind it
        _ => step.name(),
    };
    format!("{}_{}", word.replace('-', "_"), step.index)
}

/// The operator of a function, if it is one.
const fn function(activation: Activation) -> Option<&'static str> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => Some("Relu"),
        Activation::Tanh => Some("Tanh"),
        Activation::Sigmoid => Some("Sigmoid"),
    }
}

fn ints(values: &[usize]) -> Attribute {
    Attribute::Ints(values.iter().map(|value| *value as i64).collect())
}

fn windows(kernel: [usize; 2], stride: usize, padding: usize) -> Vec<(&'static str, Attribute)> {
    vec![("kernel_shape", ints(&kernel)), ("strides", ints(&[stride; 2])), ("pads", ints(&[padding; 4]))]
}

fn conv_settings(conv: &Conv) -> Vec<(&'static str, Attribute)> {
    let mut settings = windows([conv.kh, conv.kw], conv.stride, conv.padding);
    settings.push(("group", Attribute::Int(conv.groups as i64)));
    settings
}

fn pool_settings(pool: &Pool) -> Vec<(&'static str, Attribute)> {
    windows(pool.kernel(), pool.stride(), pool.padding())
}

/// Those of a mean: padding counts.
fn mean_settings(pool: &Pool) -> Vec<(&'static str, Attribute)> {
    let mut settings = pool_settings(pool);
    settings.push(("count_include_pad", Attribute::Int(1)));
    settings
}

/// `y = x · Wᵀ + b`.
const GEMM: [(&str, Attribute); 1] = [("transB", Attribute::Int(1))];

impl Writer<'_> {
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], output: &str, settings: &[(&str, Attribute)]) {
        self.nodes.push(protobuf::node(op, name, inputs, output, settings));
    }

    /// A node that is named as what it writes.
    fn value(&mut self, op: &str, inputs: &[&str], output: &str, settings: &[(&str, Attribute)]) {
        self.node(op, output, inputs, output, settings);
    }

    /// A constant, written once.
    fn constant(&mut self, name: &str, element: Element, dims: &[usize], bytes: &[u8]) {
        if self.known.insert(name.to_owned()) {
            self.constants.push(protobuf::tensor(name, element, dims, bytes));
        }
    }

    /// A constant of one number.
    fn scalar(&mut self, name: &str, value: f32) {
        self.constant(name, Element::F32, &[], &value.to_le_bytes());
    }

    fn tensor(&self, index: usize) -> Result<Tensor, ExportError> {
        self.model.tensor(index).ok_or_else(|| ExportError::Program(format!("there is no tensor {index}")))
    }

    fn is_flat(&self, index: usize) -> bool {
        self.flat.get(index).copied().unwrap_or(false)
    }

    /// The name of a tensor as its step writes it.
    fn name(&self, index: usize) -> String {
        match index {
            0 => INPUT.to_owned(),
            _ if index == self.model.output() && self.is_flat(index) && self.model.kind() != Kind::I8 => {
                OUTPUT.to_owned()
            }
            _ => format!("t{index}"),
        }
    }

    /// Says which form the tensor of the next step has, and names it.
    fn begin(&mut self, flat: bool) -> String {
        self.flat.push(flat);
        self.name(self.flat.len() - 1)
    }

    /// The name of a tensor in the form asked for.
    fn shaped(&mut self, index: usize, flat: bool) -> String {
        let from = self.name(index);
        if self.is_flat(index) == flat {
            return from;
        }
        let to = format!("{from}_{}", if flat { "flat" } else { "planes" });
        if self.known.insert(to.clone()) {
            if flat {
                self.value("Flatten", &[&from], &to, &[("axis", Attribute::Int(1))]);
            } else {
                self.constant(
                    "rows_and_columns",
                    Element::I64,
                    &[2],
                    &[2i64.to_le_bytes(), 3i64.to_le_bytes()].concat(),
                );
                self.value("Unsqueeze", &[&from, "rows_and_columns"], &to, &[]);
            }
        }
        to
    }

    /// `output = activation(op(inputs))`.
    fn activated(
        &mut self,
        step: &Step<'_>,
        op: &str,
        inputs: &[&str],
        output: &str,
        settings: &[(&str, Attribute)],
        activation: Activation,
    ) {
        let Some(function) = function(activation) else {
            return self.node(op, &node_name(step), inputs, output, settings);
        };
        let sum = format!("{output}_sum");
        self.node(op, &node_name(step), inputs, &sum, settings);
        self.value(function, &[&sum], output, &[]);
    }

    /// A step of a model of floats.
    fn floats_step(&mut self, step: &Step<'_>) -> Result<(), ExportError> {
        let name = node_name(step);
        match step.work {
            Work::Pixels(_) => {
                let output = self.begin(false);
                self.normalized(&name, &output)?;
            }
            Work::Conv { conv, params, activation, .. } => {
                let input = self.shaped(step.a, false);
                let output = self.begin(false);
                let [weight, bias] = self.float_params(&name, params, &weight_dims(&conv))?;
                self.activated(step, "Conv", &[&input, &weight, &bias], &output, &conv_settings(&conv), activation);
            }
            Work::Dense { inputs, outputs, params, activation } => {
                let input = self.shaped(step.a, true);
                let output = self.begin(true);
                let [weight, bias] = self.float_params(&name, params, &[outputs, inputs])?;
                self.activated(step, "Gemm", &[&input, &weight, &bias], &output, &GEMM, activation);
            }
            Work::MaxPool(pool) => {
                let input = self.shaped(step.a, false);
                let output = self.begin(false);
                self.node("MaxPool", &name, &[&input], &output, &pool_settings(&pool));
            }
            Work::AvgPool(pool, _) => {
                let input = self.shaped(step.a, false);
                let output = self.begin(false);
                self.node("AveragePool", &name, &[&input], &output, &mean_settings(&pool));
            }
            Work::Add(_, activation) => {
                let flat = self.is_flat(step.a);
                let (a, b) = (self.shaped(step.a, flat), self.shaped(step.b.unwrap_or(step.a), flat));
                let output = self.begin(flat);
                self.activated(step, "Add", &[&a, &b], &output, &[], activation);
            }
            Work::Map(activation) => {
                let flat = self.is_flat(step.a);
                let input = self.shaped(step.a, flat);
                let output = self.begin(flat);
                self.node(function(activation).unwrap_or("Identity"), &name, &[&input], &output, &[]);
            }
            Work::Table(_) => return Err(foreign(step)),
        }
        Ok(())
    }

    /// Pixels as the network was trained on them, as `output`.
    fn normalized(&mut self, name: &str, output: &str) -> Result<(), ExportError> {
        if let Some([scale, offset]) = self.model.normalization() {
            let names = [format!("{name}.scale"), format!("{name}.offset")];
            self.scalar(&names[0], scale);
            self.scalar(&names[1], offset);
            self.value("Mul", &[INPUT, &names[0]], "pixels_scaled", &[]);
            self.node("Add", name, &["pixels_scaled", &names[1]], output, &[]);
            return Ok(());
        }
        // Each image by its own mean and deviation. That of n whole numbers which are not all the same is at least √(n − 1)/n, so half of
        // √(1/n) is below it, and where all are the same 0/it is 0.
        let pixels = self.tensor(0)?.elements();
        let least = format!("{name}.least_deviation");
        self.scalar(&least, 0.5 / (pixels as f32).sqrt());
        let mean = [("axes", ints(&[1, 2, 3])), ("keepdims", Attribute::Int(1))];
        self.value("ReduceMean", &[INPUT], "pixels_mean", &mean);
        self.value("Sub", &[INPUT, "pixels_mean"], "pixels_centred", &[]);
        self.value("Mul", &["pixels_centred", "pixels_centred"], "pixels_squared", &[]);
        self.value("ReduceMean", &["pixels_squared"], "pixels_variance", &mean);
        self.value("Sqrt", &["pixels_variance"], "pixels_deviation", &[]);
        self.value("Max", &["pixels_deviation", &least], "pixels_divisor", &[]);
        self.node("Div", name, &["pixels_centred", "pixels_divisor"], output, &[]);
        Ok(())
    }

    /// Weights and bias of a layer of floats: their names.
    fn float_params(&mut self, name: &str, params: Params<'_>, dims: &[usize]) -> Result<[String; 2], ExportError> {
        let (mut weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        let bias = match params {
            Params::F32 { weight, bias } => {
                self.constant(&weight_name, Element::F32, dims, &singles(weight));
                bias
            }
            Params::F16 { weight, bias } => {
                let bytes: Vec<u8> = weight.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.constant(&weight_name, Element::F16, dims, &bytes);
                let single = format!("{weight_name}_single");
                self.value("Cast", &[&weight_name], &single, &[("to", Attribute::Int(Element::F32 as i64))]);
                weight_name = single;
                bias
            }
            Params::I8 { .. } => return Err(ExportError::Program(format!("{name} of a model of floats holds bytes"))),
        };
        self.constant(&bias_name, Element::F32, &[bias.len()], &singles(bias));
        Ok([weight_name, bias_name])
    }

    /// The whole file.
    fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        let last = self.model.output();
        if self.model.kind() == Kind::I8 {
            self.logits_of_bytes(last)?;
        } else if !self.is_flat(last) {
            self.value("Flatten", &[&self.name(last)], OUTPUT, &[("axis", Attribute::Int(1))]);
        }
        let input = protobuf::batch(INPUT, Element::F32, &self.tensor(0)?.dims);
        let output = protobuf::batch(OUTPUT, Element::F32, &[self.model.classes()]);
        let graph = protobuf::graph("inkstone", &self.nodes, &self.constants, &input, &output);
        let classes: Vec<&str> = (0..self.model.classes()).filter_map(|class| self.model.class_name(class)).collect();
        let (classes, release) = (classes.join("\n"), self.model.release().to_string());
        let properties = [("kind", self.model.kind().name()), ("classes", &classes), ("release", &release)];
        let text = "From raw pixels, 0 to 255, to logits. The names of the classes stand in the metadata, one a line.";
        let bytes = protobuf::model(IR, OPSET, text, &graph, &properties).into_bytes();
        if bytes.len() > MAX_BYTES {
            let found = bytes.len();
            return Err(ExportError::Unsupported(format!(
                "an ONNX file has at most {MAX_BYTES} bytes, this one {found}"
            )));
        }
        Ok(bytes)
    }
}

/// Sizes of a convolution's weights: `[out, in / groups, kh, kw]`.
const fn weight_dims(conv: &Conv) -> [usize; 4] {
    [conv.c_out, conv.c_in / conv.groups, conv.kh, conv.kw]
}

/// For steps that `Model::new` lets no model of this kind have.
fn foreign(step: &Step<'_>) -> ExportError {
    ExportError::Program(format!("step {} ({}) is none of such a model", step.index, step.name()))
}

#[cfg(test)]
mod tests;
