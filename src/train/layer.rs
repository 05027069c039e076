//! One node of a graph with its places in the arena: what it does forward and backward.

use super::given::Shown;
use super::ops::{
    BatchNorm, Conv2d, Linear, Pool2d, add, batch_norm, conv2d, dropout, flatten, global_avg_pool, linear, log_softmax,
    relu, sigmoid, tanh,
};
use crate::error::ShapeError;
use crate::graph::{Graph, Node, Op, Plan, TensorId};
use crate::kernels::batch_norm::Norm;
use crate::kernels::columns::Columns;
use crate::kernels::dropout::Key;
use crate::kernels::{Activation, Isa};
use std::ops::Range;

/// A stretch of the arena: where it starts, and how many floats each sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) width: usize,
}

impl Place {
    pub(super) fn rows(self, rows: usize) -> Range<usize> {
        self.start..self.start + rows * self.width
    }
}

/// What a node does.
#[derive(Clone, Debug)]
enum Work {
    Flatten,
    Linear { sizes: Linear, weight: Range<usize>, bias: Range<usize> },
    Conv2d { sizes: Conv2d, weight: Range<usize>, bias: Option<Range<usize>> },
    MaxPool2d(Pool2d),
    AvgPool2d(Pool2d),
    GlobalAvgPool { plane: usize },
    BatchNorm { sizes: BatchNorm, gamma: Range<usize>, beta: Range<usize>, mean: Range<usize>, variance: Range<usize> },
    Dropout { p: f32, number: u64 },
    Activate(Activation),
    Add,
    LogSoftmax { classes: usize },
}

/// What a node reads.
#[derive(Clone, Copy, Debug)]
struct Input {
    x: Place,
    d_x: Option<Place>,
    /// Whether another reader has written the gradient before: this node then adds to it.
    adds: bool,
}

/// A node with its places. Equal places of `x` and `y`, or of `d_x` and `d_y`, mean that it runs in place.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The node's name and op, for messages.
    pub(super) name: String,
    pub(super) op: Op,
    work: Work,
    inputs: Vec<Input>,
    y: Place,
    d_y: Option<Place>,
    /// What the forward pass leaves beside `y`; its length does not depend on the rows of a batch norm.
    saved: Range<usize>,
    saved_width: usize,
    /// The activation that follows in place, done on the way out.
    fused: Activation,
    /// Whether the node before did this one's work.
    done: bool,
    /// Whether it is a linear layer that reads the network's input, as nothing else does.
    first: bool,
    /// For a max pooling, whether it does the backward pass of the ReLU before it; for that ReLU, whether a pooling does.
    pooled: bool,
}

/// What all layers of a pass share.
pub(super) struct Pass<'a> {
    pub(super) isa: Isa,
    pub(super) rows: usize,
    pub(super) weights: &'a [f32],
    pub(super) arena: &'a mut [f32],
    pub(super) scratch: &'a mut [f32],
    /// In training, what dropouts draw from.
    pub(super) key: Option<Key>,
    /// How the input is given.
    pub(super) shown: Shown<'a>,
}

/// A plan that gives two live tensors the same memory: no graph does, as the plan's tests show.
const OVERLAP: ShapeError =
    ShapeError::Length { what: "tensors of a layer, in places of their own,", expected: 2, got: 1 };

/// Stretches of the arena that do not overlap.
fn disjoint<const N: usize>(arena: &mut [f32], ranges: [Range<usize>; N]) -> Result<[&mut [f32]; N], ShapeError> {
    arena.get_disjoint_mut(ranges).map_err(|_| OVERLAP)
}

/// One stretch to read, one to change.
fn pair(arena: &mut [f32], read: Range<usize>, change: Range<usize>) -> Result<(&[f32], &mut [f32]), ShapeError> {
    disjoint(arena, [read, change]).map(|[read, change]| (&*read, change))
}

/// Where the given columns of an input lie: at its beginning, close together.
fn given(x: Range<usize>, rows: usize, columns: Columns<'_>) -> Range<usize> {
    x.start..x.start + rows * columns.count()
}

/// The linear layer that is alone in reading the network's input, as it is or flattened in place.
fn first_linear(graph: &Graph, plan: &Plan) -> Option<usize> {
    let nodes = graph.nodes();
    let mut tensor = TensorId(0);
    for (i, node) in nodes.iter().enumerate() {
        let alone = nodes.iter().filter(|other| other.inputs.contains(&tensor)).count() == 1;
        if node.inputs != [tensor] || !alone || plan.value(tensor).start != plan.value(TensorId(0)).start {
            return None;
        }
        match node.op {
            Op::Linear { .. } => return plan.gradient(tensor).is_none().then_some(i),
            Op::Flatten => tensor = node.output,
            _ => return None,
        }
    }
    None
}

impl Layer {
    /// Every node of a graph, in the places of a plan.
    pub(super) fn all(graph: &Graph, plan: &Plan) -> Vec<Self> {
        let nodes = graph.nodes();
        let width = |tensor: TensorId| graph.shape(tensor).elements();
        let value = |tensor| Place { start: plan.value(tensor).start, width: width(tensor) };
        let gradient = |tensor| plan.gradient(tensor).map(|range| Place { start: range.start, width: width(tensor) });
        // An activation that runs in place right after a node that can do it on the way out.
        let fuses = |i: usize| {
            let (before, after) = (nodes.get(i)?, nodes.get(i + 1)?);
            let can = matches!(before.op, Op::Linear { .. } | Op::Conv2d(_) | Op::BatchNorm { .. } | Op::Add);
            let follows = after.inputs == [before.output] && plan.in_place(i + 1);
            after.op.activation().filter(|_| can && follows)
        };
        let first = first_linear(graph, plan);
        let mut layers = Vec::with_capacity(nodes.len());
        for (i, Node { name, op, inputs, output }) in nodes.iter().enumerate() {
            let input = |x: &TensorId| Input { x: value(*x), d_x: gradient(*x), adds: false };
            let saved = plan.saved(i).unwrap_or(0..0);
            let saved_width = if matches!(op, Op::BatchNorm { .. }) { 0 } else { saved.len() / plan.batch() };
            layers.push(Self {
                name: format!("{name} ({op})"),
                first: first == Some(i),
                op: *op,
                work: work(graph, i),
                inputs: inputs.iter().map(input).collect(),
                y: value(*output),
                d_y: gradient(*output),
                saved,
                saved_width,
                fused: fuses(i).unwrap_or_default(),
                done: i > 0 && fuses(i - 1).is_some(),
                pooled: match op {
                    Op::MaxPool2d(_) => graph.backward_reads_output(i),
                    _ => graph.pooled(i).is_some(),
                },
            });
        }
        let mut written = vec![false; graph.tensors().len()];
        for (layer, node) in layers.iter_mut().zip(nodes).rev() {
            for (input, x) in layer.inputs.iter_mut().zip(&node.inputs) {
                input.adds = std::mem::replace(&mut written[x.0], true);
            }
        }
        layers
    }

    /// Where the output goes.
    pub(super) fn output(&self) -> Place {
        self.y
    }

    /// The outputs of the layer, if some columns of the network's input are enough for it, where the others are 0.
    pub(super) fn takes_columns(&self) -> Option<usize> {
        self.first.then_some(self.y.width)
    }

    /// Whether the layer reads the raw bytes of the network's input, as is faster than to convert them first.
    pub(super) fn takes_pixels(&self, isa: Isa) -> bool {
        self.first && matches!(self.work, Work::Linear { sizes, .. } if sizes.takes_pixels(isa))
    }

    /// Floats of scratch that both passes need for `rows` samples on `threads` threads.
    pub(super) fn scratch_len(&self, rows: usize, threads: usize) -> Result<usize, ShapeError> {
        let own = match &self.work {
            Work::Linear { sizes, .. } if self.first => sizes.columns_scratch_len(rows),
            Work::Linear { sizes, .. } => sizes.scratch_len(rows),
            Work::Conv2d { sizes, .. } => sizes.scratch_len(rows, threads)?,
            Work::BatchNorm { sizes, .. } => sizes.scratch_len(rows),
            Work::MaxPool2d(_) if self.saved.is_empty() => rows * self.y.width,
            _ => 0,
        };
        Ok(own + self.spare_len(rows))
    }

    /// Floats of scratch for a gradient that is to be added to others.
    fn spare_len(&self, rows: usize) -> usize {
        if self.is_elementwise() {
            return 0;
        }
        let spare = |input: &Input| if input.adds { input.d_x.map_or(0, |d_x| rows * d_x.width) } else { 0 };
        self.inputs.iter().map(spare).max().unwrap_or(0)
    }

    /// Whether the gradient can be computed in place, from that of the output.
    fn is_elementwise(&self) -> bool {
        self.op.gradient_runs_in_place()
    }

    /// What the forward pass of so many rows leaves.
    fn saved(&self, rows: usize) -> Range<usize> {
        if self.saved_width == 0 {
            self.saved.clone()
        } else {
            self.saved.start..self.saved.start + rows * self.saved_width
        }
    }

    /// `y` from `x`.
    pub(super) fn forward(&self, pass: &mut Pass<'_>) -> Result<(), ShapeError> {
        let Pass { isa, rows, weights, .. } = *pass;
        let (arena, scratch) = (&mut *pass.arena, &mut *pass.scratch);
        let (x, y) = (self.inputs[0].x.rows(rows), self.y.rows(rows));
        if self.done {
            return Ok(());
        }
        match &self.work {
            Work::Linear { sizes, weight, bias } => {
                let params = linear::Params { weight: &weights[weight.clone()], bias: &weights[bias.clone()] };
                match pass.shown {
                    Shown::Columns(columns) if self.first => {
                        let (x, y) = pair(arena, given(x, rows, columns), y)?;
                        sizes.forward_columns(isa, (x, columns), params, self.fused, y, scratch)
                    }
                    Shown::Pixels(x) if self.first => sizes.forward_pixels(isa, x, params, self.fused, &mut arena[y]),
                    _ => {
                        let (x, y) = pair(arena, x, y)?;
                        sizes.forward(isa, x, params, self.fused, y, scratch)
                    }
                }
            }
            Work::Conv2d { sizes, weight, bias } => {
                let (x, y) = pair(arena, x, y)?;
                let params = (&weights[weight.clone()], bias.clone().map(|bias| &weights[bias]));
                sizes.forward(isa, x, params, self.fused, y, scratch)
            }
            Work::MaxPool2d(sizes) if self.saved.is_empty() => {
                // Nobody will ask where the maxima were.
                let (x, y) = pair(arena, x, y)?;
                let places = scratch.get_mut(..y.len()).ok_or(OVERLAP)?;
                sizes.max_forward(isa, rows, x, y, places)
            }
            Work::MaxPool2d(sizes) => {
                let [x, y, places] = disjoint(arena, [x, y, self.saved(rows)])?;
                sizes.max_forward(isa, rows, x, y, places)
            }
            Work::AvgPool2d(sizes) => {
                let (x, y) = pair(arena, x, y)?;
                sizes.avg_forward(isa, rows, x, y)
            }
            Work::GlobalAvgPool { plane } => {
                let (x, y) = pair(arena, x, y)?;
                global_avg_pool::forward(isa, *plane, x, y)
            }
            Work::BatchNorm { sizes, gamma, beta, mean, variance } => {
                let params = batch_norm::Params { gamma: &weights[gamma.clone()], beta: &weights[beta.clone()] };
                if pass.key.is_some() {
                    let [x, y, saved] = disjoint(arena, [x, y, self.saved(rows)])?;
                    return sizes.forward(isa, x, params, self.fused, y, [saved, scratch]);
                }
                let batch_norm::Params { gamma, beta } = params;
                let (mean, variance) = (&weights[mean.clone()], &weights[variance.clone()]);
                let norm = Norm { gamma, beta, mean, variance, eps: batch_norm::EPS };
                if x == y {
                    return sizes.normalize(isa, None, norm, self.fused, &mut arena[y], scratch);
                }
                let (x, y) = pair(arena, x, y)?;
                sizes.normalize(isa, Some(x), norm, self.fused, y, scratch)
            }
            Work::Add => {
                let b = self.inputs[1].x.rows(rows);
                if x == y || b == y {
                    let (b, y) = pair(arena, if x == y { b } else { x }, y)?;
                    return add::assign(isa, b, self.fused, y);
                }
                if x == b {
                    let (x, y) = pair(arena, x, y)?;
                    return add::forward(isa, [x, x], self.fused, y);
                }
                let [a, b, y] = disjoint(arena, [x, b, y])?;
                add::forward(isa, [a, b], self.fused, y)
            }
            Work::Flatten | Work::Dropout { .. } | Work::Activate(_) | Work::LogSoftmax { .. } => {
                if x != y {
                    let (x, y) = pair(arena, x, y.clone())?;
                    flatten::forward(x, y)?;
                }
                let y = &mut arena[y];
                match (&self.work, pass.key) {
                    (Work::Dropout { p, number }, Some(key)) => dropout::apply(isa, key.layer(*number), *p, y),
                    (Work::LogSoftmax { classes }, _) => log_softmax::forward(isa, *classes, y),
                    (Work::Activate(Activation::Relu), _) => relu::forward(isa, y),
                    (Work::Activate(Activation::Tanh), _) => tanh::forward(isa, y),
                    (Work::Activate(Activation::Sigmoid), _) => sigmoid::forward(isa, y),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The gradients by the parameters and, where they are wanted, by what was read.
    pub(super) fn backward(&self, pass: &mut Pass<'_>, grads: &mut [f32]) -> Result<(), ShapeError> {
        let rows = pass.rows;
        let Some(d_y) = self.d_y.map(|place| place.rows(rows)) else { return Ok(()) };
        if matches!(self.work, Work::Add) {
            return self.backward_add(pass, d_y);
        }
        let Input { d_x, adds, .. } = self.inputs[0];
        let d_x = d_x.map(|place| place.rows(rows));
        match d_x {
            // The gradient by a pooled ReLU is in its place, and rectified.
            Some(d_x) if self.pooled && d_x == d_y => Ok(()),
            Some(d_x) if self.is_elementwise() => self.backward_elementwise(pass, d_x, d_y, adds),
            None if self.is_elementwise() => Ok(()),
            Some(d_x) if adds => {
                // Computed apart, then added to what other readers left.
                let (spare, scratch) = pass.scratch.split_at_mut_checked(d_x.len()).ok_or(OVERLAP)?;
                let mut part = Pass { arena: &mut *pass.arena, scratch, ..*pass };
                self.backward_into(&mut part, grads, d_y, Gradient::Spare(spare))?;
                add::assign(pass.isa, &pass.scratch[..d_x.len()], Activation::Identity, &mut pass.arena[d_x])
            }
            d_x => self.backward_into(pass, grads, d_y, d_x.map_or(Gradient::None, Gradient::Arena)),
        }
    }

    /// Both addends have the gradient of the sum.
    fn backward_add(&self, pass: &mut Pass<'_>, d_y: Range<usize>) -> Result<(), ShapeError> {
        for Input { d_x, adds, .. } in &self.inputs {
            let Some(d_x) = d_x.map(|place| place.rows(pass.rows)) else { continue };
            if d_x == d_y {
                continue;
            }
            let (d_y, d_x) = pair(pass.arena, d_y.clone(), d_x)?;
            if *adds {
                add::assign(pass.isa, d_y, Activation::Identity, d_x)?;
            } else {
                flatten::backward(d_y, d_x)?;
            }
        }
        Ok(())
    }

    /// `d_x` from `d_y` by an op that changes each element, or each row, by itself.
    fn backward_elementwise(
        &self,
        pass: &mut Pass<'_>,
        d_x: Range<usize>,
        d_y: Range<usize>,
        adds: bool,
    ) -> Result<(), ShapeError> {
        let arena = &mut *pass.arena;
        // To be added it is computed in the place of `d_y`, which nobody reads any more.
        let place = if adds { d_y.clone() } else { d_x.clone() };
        if place != d_y {
            let (d_y, d_x) = pair(arena, d_y.clone(), d_x.clone())?;
            flatten::backward(d_y, d_x)?;
        }
        let y = self.y.rows(pass.rows);
        match (&self.work, pass.key) {
            (Work::Dropout { p, number }, Some(key)) => {
                dropout::apply(pass.isa, key.layer(*number), *p, &mut arena[place.clone()])?;
            }
            (Work::LogSoftmax { classes }, _) => {
                let (y, d) = pair(arena, y, place.clone())?;
                log_softmax::backward(*classes, y, d)?;
            }
            (Work::Activate(function), _) => {
                let (y, d) = pair(arena, y, place.clone())?;
                match function {
                    Activation::Identity => {}
                    Activation::Relu => relu::backward(pass.isa, y, d)?,
                    Activation::Tanh => tanh::backward(pass.isa, y, d)?,
                    Activation::Sigmoid => sigmoid::backward(pass.isa, y, d)?,
                }
            }
            _ => {}
        }
        if adds && d_x != d_y {
            let (d_y, d_x) = pair(arena, d_y, d_x)?;
            add::assign(pass.isa, d_y, Activation::Identity, d_x)?;
        }
        Ok(())
    }

    /// The backward pass of an op that has `d_x` in a place of its own.
    fn backward_into(
        &self,
        pass: &mut Pass<'_>,
        grads: &mut [f32],
        d_y: Range<usize>,
        to: Gradient<'_>,
    ) -> Result<(), ShapeError> {
        let Pass { isa, rows, weights, .. } = *pass;
        let (arena, scratch) = (&mut *pass.arena, &mut *pass.scratch);
        let x = self.inputs[0].x.rows(rows);
        match &self.work {
            Work::Linear { sizes, weight, bias } => {
                let [d_weight, d_bias] = disjoint(grads, [weight.clone(), bias.clone()])?;
                let grads = linear::Grads { weight: d_weight, bias: d_bias };
                match pass.shown {
                    Shown::Columns(columns) if self.first => {
                        let ([x, d_y], _) = to.beside(arena, [given(x, rows, columns), d_y])?;
                        sizes.backward_columns(isa, (x, columns), d_y, grads, scratch)
                    }
                    Shown::Pixels(x) if self.first => sizes.backward_pixels(isa, x, &arena[d_y], grads),
                    _ => {
                        let ([x, d_y], d_x) = to.beside(arena, [x, d_y])?;
                        sizes.backward(isa, [x, d_y], &weights[weight.clone()], grads, d_x, scratch)
                    }
                }
            }
            Work::Conv2d { sizes, weight, bias } => {
                let ([x, d_y], d_x) = to.beside(arena, [x, d_y])?;
                let [d_weight, d_bias] = disjoint(grads, [weight.clone(), bias.clone().unwrap_or(0..0)])?;
                let grads = conv2d::Grads { weight: d_weight, bias: bias.is_some().then_some(d_bias) };
                sizes.backward(isa, [x, d_y], &weights[weight.clone()], grads, d_x, scratch)
            }
            Work::BatchNorm { sizes, gamma, beta, .. } => {
                let ([x, d_y, saved], d_x) = to.beside(arena, [x, d_y, self.saved(rows)])?;
                let [d_gamma, d_beta] = disjoint(grads, [gamma.clone(), beta.clone()])?;
                let gamma = &weights[gamma.clone()];
                let grads = batch_norm::Grads { gamma: d_gamma, beta: d_beta, x: d_x };
                sizes.backward(isa, [x, d_y], gamma, saved, grads, scratch)
            }
            Work::MaxPool2d(sizes) => {
                if self.pooled {
                    let (y, d_y) = pair(arena, self.y.rows(rows), d_y.clone())?;
                    relu::backward(isa, y, d_y)?;
                }
                match to.beside(arena, [d_y, self.saved(rows)])? {
                    ([d_y, places], Some(d_x)) => sizes.max_backward(rows, d_y, places, d_x),
                    (_, None) => Ok(()),
                }
            }
            Work::AvgPool2d(sizes) => match to.beside(arena, [d_y])? {
                ([d_y], Some(d_x)) => sizes.avg_backward(isa, rows, d_y, d_x),
                (_, None) => Ok(()),
            },
            Work::GlobalAvgPool { plane } => match to.beside(arena, [d_y])? {
                ([d_y], Some(d_x)) => global_avg_pool::backward(*plane, d_y, d_x),
                (_, None) => Ok(()),
            },
            // These run in place.
            Work::Flatten | Work::Dropout { .. } | Work::Activate(_) | Work::Add | Work::LogSoftmax { .. } => Ok(()),
        }
    }

    /// Takes over the part `momentum` of the statistics of the batch that just went forward as in training.
    pub(super) fn update_running(
        &self,
        rows: usize,
        momentum: f64,
        arena: &[f32],
        weights: &mut [f32],
    ) -> Result<(), ShapeError> {
        match &self.work {
            Work::BatchNorm { sizes, mean, variance, .. } if !self.saved.is_empty() => {
                sizes.update_running(rows, momentum, &arena[self.saved(rows)], &mut weights[mean.start..variance.end])
            }
            _ => Ok(()),
        }
    }
}

/// Where the gradient by what was read goes.
enum Gradient<'a> {
    None,
    Arena(Range<usize>),
    Spare(&'a mut [f32]),
}

impl<'a> Gradient<'a> {
    /// Other stretches of the arena, and the gradient's.
    #[expect(clippy::type_complexity, reason = "two parts of one answer")]
    fn beside<const N: usize>(
        self,
        arena: &'a mut [f32],
        read: [Range<usize>; N],
    ) -> Result<([&'a mut [f32]; N], Option<&'a mut [f32]>), ShapeError> {
        match self {
            Self::None => Ok((disjoint(arena, read)?, None)),
            Self::Spare(spare) => Ok((disjoint(arena, read)?, Some(spare))),
            Self::Arena(place) => {
                // The gradient lies before or behind each of the others: the arena is cut on both its sides.
                let (before, rest) = arena.split_at_mut_checked(place.start).ok_or(OVERLAP)?;
                let (d_x, behind) = rest.split_at_mut_checked(place.len()).ok_or(OVERLAP)?;
                let is_before = |range: &Range<usize>| range.end <= place.start;
                if read.iter().any(|range| !is_before(range) && range.start < place.end) {
                    return Err(OVERLAP);
                }
                let low = read.clone().map(|range| if is_before(&range) { range } else { 0..0 });
                let high = read
                    .clone()
                    .map(|range| if is_before(&range) { 0..0 } else { range.start - place.end..range.end - place.end });
                let (low, high) = (disjoint(before, low)?, disjoint(behind, high)?);
                let mut both = low.into_iter().zip(high);
                let found = read.map(|range| {
                    let (low, high) = both.next().unwrap_or_default();
                    if is_before(&range) { low } else { high }
                });
                Ok((found, Some(d_x)))
            }
        }
    }
}

/// What node `i` does; its sizes were checked when the graph was built.
fn work(graph: &Graph, i: usize) -> Work {
    let Node { op, inputs, .. } = &graph.nodes()[i];
    let input = graph.shape(inputs[0]);
    let plane = |channels: usize| input.elements() / channels.max(1);
    let image = || match *input.dims() {
        [c, h, w] => [c, h, w],
        _ => [input.elements(), 1, 1],
    };
    let param = |at: usize| graph.node_params(i).get(at).map_or(0..0, |param| param.range());
    match *op {
        Op::Flatten => Work::Flatten,
        Op::Linear { in_features, out_features } => {
            let sizes = Linear { inputs: in_features, outputs: out_features };
            Work::Linear { sizes, weight: param(0), bias: param(1) }
        }
        Op::Conv2d(op) => {
            let [_, h, w] = image();
            Work::Conv2d { sizes: Conv2d { op, image: [h, w] }, weight: param(0), bias: op.bias.then(|| param(1)) }
        }
        Op::MaxPool2d(window) => Work::MaxPool2d(Pool2d { window, input: image() }),
        Op::AvgPool2d(window) => Work::AvgPool2d(Pool2d { window, input: image() }),
        Op::GlobalAvgPool => Work::GlobalAvgPool { plane: plane(image()[0]) },
        Op::BatchNorm { features } => {
            let running = graph.running().iter().find(|running| running.node == i);
            let (mean, variance) = running.map_or((0..0, 0..0), |running| (running.mean(), running.variance()));
            let sizes = BatchNorm { channels: features, plane: plane(features) };
            Work::BatchNorm { sizes, gamma: param(0), beta: param(1), mean, variance }
        }
        Op::Dropout { p } => Work::Dropout { p: p.get(), number: i as u64 },
        Op::Relu | Op::Tanh | Op::Sigmoid => Work::Activate(op.activation().unwrap_or_default()),
        Op::Add => Work::Add,
        Op::LogSoftmax => Work::LogSoftmax { classes: input.elements() },
    }
}
