//! From a graph to the layers that a device runs: batch norms folded into their neighbours, dropouts and flattenings gone, ReLUs part of the
//! layer before them.

use super::QuantError;
use crate::graph::{BATCH_NORM_EPS, Conv2d, Graph, Node, Op, TensorId, Window};
use crate::kernels::Activation;

/// What a layer computes, in single precision.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerWork {
    /// A convolution; its weights are `[out, in / groups, kh, kw]`.
    Conv {
        /// Sizes.
        conv: Conv2d,
        /// `[out, in / groups, kh, kw]`
        weight: Vec<f32>,
        /// `[out]`
        bias: Vec<f32>,
    },
    /// A linear layer; the order of its inputs is channels, rows, columns.
    Dense {
        /// `[out, in]`
        weight: Vec<f32>,
        /// `[out]`
        bias: Vec<f32>,
    },
    /// The largest of each window.
    MaxPool(Window),
    /// The mean of each window.
    AvgPool(Window),
    /// The sum of two tensors.
    Add,
    /// A function of each number.
    Map(Activation),
}

/// One layer: layer `i` writes tensor `i + 1`; tensor 0 is the normalised image.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The nodes that it does the work of, joined by "+".
    pub name: String,
    /// The tensor that it reads.
    pub a: usize,
    /// The second one, of a sum.
    pub b: Option<usize>,
    /// What it computes.
    pub work: LayerWork,
    /// Whether a ReLU is applied last.
    pub relu: bool,
}

/// A network of such layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// By tensor: channels, rows, columns; vectors have one row and one column.
    pub dims: Vec<[usize; 3]>,
    /// In order.
    pub layers: Vec<Layer>,
}

impl Lowered {
    /// How many layers read a tensor; the result is read once more.
    #[must_use]
    pub fn readers(&self, tensor: usize) -> usize {
        let reads = |layer: &&Layer| layer.a == tensor || layer.b == Some(tensor);
        self.layers.iter().filter(reads).count() + usize::from(tensor == self.layers.len())
    }
}

/// A tensor of the graph: one of ours, laid flat or not, and what a batch norm wants of whoever reads it.
#[derive(Clone)]
struct Alias {
    tensor: usize,
    /// Whether the graph sees one dimension where ours has rows and columns.
    flat: bool,
    /// `x · scale + shift` by element, for a linear layer to take over.
    affine: Option<(Vec<f32>, Vec<f32>)>,
    name: String,
}

/// The layers of `graph` with these weights: parameters, then running statistics, as [`Graph`] lays them out.
///
/// # Errors
/// [`QuantError`] naming the layer that a device cannot run as it stands.
pub fn lower(graph: &Graph, weights: &[f32]) -> Result<Lowered, QuantError> {
    if weights.len() != graph.weights_len() {
        return Err(QuantError::Weights { expected: graph.weights_len(), found: weights.len() });
    }
    let dims = match *graph.input_shape().dims() {
        [n] => [n, 1, 1],
        [c, h, w] => [c, h, w],
        _ => return Err(QuantError::layer("input", "an image as channels x rows x columns, or a vector")),
    };
    let mut lowering =
        Lowering { graph, weights, roots: roots(graph), lowered: Lowered { dims: vec![dims], layers: Vec::new() } };
    let mut aliases = vec![Alias { tensor: 0, flat: false, affine: None, name: String::new() }];
    for (index, node) in graph.nodes().iter().enumerate() {
        let alias = lowering.node(index, node, &aliases)?;
        aliases.push(alias);
    }
    let output = &aliases[graph.output().0];
    if output.affine.is_some() || output.flat || output.tensor != lowering.lowered.layers.len() || output.tensor == 0 {
        let last = graph.nodes().last().map_or("output", |node| node.name.as_str());
        return Err(QuantError::layer(last, "a network whose last layer is a linear one, or ends in single pixels"));
    }
    Ok(lowering.lowered)
}

/// By tensor of the graph: the one that it is the same as, but for its shape.
fn roots(graph: &Graph) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..graph.tensors().len()).collect();
    for node in graph.nodes() {
        if passes(graph, node) {
            roots[node.output.0] = roots[node.inputs[0].0];
        }
    }
    roots
}

/// Whether a node only hands on what it reads: of a last logarithm of softmax the logits are as good.
fn passes(graph: &Graph, node: &Node) -> bool {
    node.op.is_identity(false) || matches!(node.op, Op::LogSoftmax) && node.output == graph.output()
}

struct Lowering<'g> {
    graph: &'g Graph,
    weights: &'g [f32],
    roots: Vec<usize>,
    lowered: Lowered,
}

impl Lowering<'_> {
    /// Nodes that do something with what `tensor` holds, in whatever shape; the caller counts too.
    fn readers(&self, tensor: TensorId) -> usize {
        let (graph, root) = (self.graph, self.roots[tensor.0]);
        let reads = |node: &&Node| !passes(graph, node) && node.inputs.iter().any(|x| self.roots[x.0] == root);
        graph.nodes().iter().filter(reads).count() + usize::from(self.roots[graph.output().0] == root)
    }

    fn param(&self, node: usize, index: usize) -> Option<&[f32]> {
        Some(&self.weights[self.graph.node_params(node).get(index)?.range()])
    }

    fn push(&mut self, name: &str, a: usize, b: Option<usize>, work: LayerWork, dims: [usize; 3]) -> Alias {
        self.lowered.layers.push(Layer { name: name.to_owned(), a, b, work, relu: false });
        self.lowered.dims.push(dims);
        Alias { tensor: self.lowered.layers.len(), flat: false, affine: None, name: name.to_owned() }
    }

    /// The layer that alone wrote what a node alone reads, so that the node's work can become part of it.
    fn producer(&mut self, x: &Alias, read: TensorId) -> Option<&mut Layer> {
        let alone = x.affine.is_none() && x.tensor > 0 && self.readers(read) == 1;
        if alone { self.lowered.layers.get_mut(x.tensor - 1).filter(|layer| !layer.relu) } else { None }
    }

    fn node(&mut self, index: usize, node: &Node, aliases: &[Alias]) -> Result<Alias, QuantError> {
        let Node { name, op, inputs, output } = node;
        let x = aliases[inputs[0].0].clone();
        let dims = self.lowered.dims[x.tensor];
        let out = match *self.graph.shape(*output).dims() {
            [c, h, w] => [c, h, w],
            _ => [self.graph.shape(*output).elements(), 1, 1],
        };
        if passes(self.graph, node) {
            let flat = x.flat || matches!(op, Op::Flatten) && dims[1..] != [1, 1];
            return Ok(Alias { flat, ..x });
        }
        if x.affine.is_some() && !matches!(op, Op::Linear { .. }) {
            return Err(QuantError::layer(&x.name, "a linear layer after a batch norm of a flattened image"));
        }
        match *op {
            Op::Linear { in_features, .. } => {
                let mut weight = self.param(index, 0).unwrap_or_default().to_vec();
                let mut bias = self.param(index, 1).unwrap_or_default().to_vec();
                let mut joined = name.clone();
                if let Some((scale, shift)) = &x.affine {
                    for (row, bias) in weight.chunks_exact_mut(in_features).zip(&mut bias) {
                        let sum: f64 = row.iter().zip(shift).map(|(w, s)| f64::from(*w) * f64::from(*s)).sum();
                        *bias = (f64::from(*bias) + sum) as f32;
                        row.iter_mut().zip(scale).for_each(|(w, scale)| *w *= scale);
                    }
                    joined = format!("{}+{name}", x.name);
                }
                Ok(self.push(&joined, x.tensor, None, LayerWork::Dense { weight, bias }, out))
            }
            Op::Conv2d(conv) => {
                let weight = self.param(index, 0).unwrap_or_default().to_vec();
                let bias = self.param(index, 1).map_or_else(|| vec![0.0; conv.out_channels], <[f32]>::to_vec);
                let conv = Conv2d { bias: true, ..conv };
                Ok(self.push(name, x.tensor, None, LayerWork::Conv { conv, weight, bias }, out))
            }
            Op::BatchNorm { features } => self.batch_norm(index, node, &x, features),
            Op::MaxPool2d(window) => Ok(self.push(name, x.tensor, None, LayerWork::MaxPool(window), out)),
            Op::AvgPool2d(window) => Ok(self.push(name, x.tensor, None, LayerWork::AvgPool(window), out)),
            Op::GlobalAvgPool => {
                let window = Window { kernel: [dims[1], dims[2]], stride: 1, padding: 0 };
                Ok(self.push(name, x.tensor, None, LayerWork::AvgPool(window), out))
            }
            Op::Add => {
                let other = &aliases[inputs[1].0];
                if other.affine.is_some() || self.lowered.dims[other.tensor] != dims {
                    return Err(QuantError::layer(name, "two tensors of one shape, both flattened or neither"));
                }
                // A step may write over its first addend where no other reads that: the one of a residual's way around is read twice.
                let mut addends = [x.tensor, other.tensor];
                if self.readers(inputs[0]) > 1 && self.readers(inputs[1]) == 1 {
                    addends.reverse();
                }
                let sum = self.push(name, addends[0], Some(addends[1]), LayerWork::Add, dims);
                Ok(Alias { flat: x.flat, ..sum })
            }
            Op::Relu | Op::Tanh | Op::Sigmoid => {
                let flat = x.flat;
                let joins = |work: &LayerWork| {
                    matches!(work, LayerWork::Conv { .. } | LayerWork::Dense { .. } | LayerWork::Add)
                };
                if matches!(op, Op::Relu)
                    && let Some(layer) = self.producer(&x, inputs[0]).filter(|layer| joins(&layer.work))
                {
                    layer.relu = true;
                    return Ok(x);
                }
                let function = op.activation().unwrap_or_default();
                let mapped = self.push(name, x.tensor, None, LayerWork::Map(function), dims);
                Ok(Alias { flat, ..mapped })
            }
            Op::LogSoftmax => Err(QuantError::layer(name, "a logarithm of softmax only at the end")),
            Op::Flatten | Op::Dropout { .. } => Ok(x), // they pass
        }
    }

    /// `y = x · scale + shift` by channel: into the layer before, or the linear one behind, or as a layer of its own.
    fn batch_norm(&mut self, index: usize, node: &Node, x: &Alias, features: usize) -> Result<Alias, QuantError> {
        let running = self.graph.running().iter().find(|running| running.node == index);
        let (Some(gamma), Some(beta), Some(running)) = (self.param(index, 0), self.param(index, 1), running) else {
            return Err(QuantError::layer(&node.name, "a batch norm with its statistics"));
        };
        let (mean, variance) = (&self.weights[running.mean()], &self.weights[running.variance()]);
        let factor = |c: usize| f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(BATCH_NORM_EPS)).sqrt();
        let scale: Vec<f64> = (0..features).map(factor).collect();
        let shift: Vec<f64> = (0..features).map(|c| f64::from(beta[c]) - f64::from(mean[c]) * scale[c]).collect();
        if let Some(layer) = self.producer(x, node.inputs[0])
            && !x.flat
            && let LayerWork::Conv { weight, bias, .. } | LayerWork::Dense { weight, bias } = &mut layer.work
        {
            let taps = weight.len() / features;
            for (c, (row, bias)) in weight.chunks_exact_mut(taps).zip(bias).enumerate() {
                row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale[c]) as f32);
                *bias = (f64::from(*bias) * scale[c] + shift[c]) as f32;
            }
            layer.name = format!("{}+{}", layer.name, node.name);
            return Ok(Alias { name: layer.name.clone(), ..x.clone() });
        }
        let (scale, shift) = (scale.iter().map(|x| *x as f32).collect(), shift.iter().map(|x| *x as f32).collect());
        if x.flat {
            let root = self.roots[node.output.0];
            let reads = |next: &&Node| !passes(self.graph, next) && next.inputs.iter().any(|x| self.roots[x.0] == root);
            let mut next = self.graph.nodes().iter().filter(reads);
            let linear = self.readers(node.output) == 1 && next.all(|next| matches!(next.op, Op::Linear { .. }));
            if !linear {
                return Err(QuantError::layer(&node.name, "a linear layer after a batch norm of a flattened image"));
            }
            return Ok(Alias { affine: Some((scale, shift)), name: node.name.clone(), ..x.clone() });
        }
        // A convolution of single pixels, each channel by itself.
        let (in_channels, out_channels) = (features, features);
        let conv =
            Conv2d { in_channels, out_channels, kernel: [1, 1], stride: 1, padding: 0, groups: features, bias: true };
        let dims = self.lowered.dims[x.tensor];
        Ok(self.push(&node.name, x.tensor, None, LayerWork::Conv { conv, weight: scale, bias: shift }, dims))
    }
}
