//! The oracle: a graph run forward and backward in f64 with plain loops, and its gradients by central differences.

use super::norm::Norm;
use super::taps::Taps;
use crate::graph::{Graph, Node, Op, Window};
use crate::kernels::{Isa, dropout};
use crate::reference;
use crate::train::Objective;
use crate::train::Reduction;
use std::rc::Rc;

/// Where a network is looked at: weights and one labelled batch. The loss is `scale · Σ cross entropy`.
#[derive(Clone, Debug)]
pub(super) struct Point<'g> {
    pub(super) graph: &'g Graph,
    /// All parameters, one after the other.
    pub(super) params: Vec<f64>,
    /// The batch, `[labels.len(), elements]`.
    pub(super) input: Vec<f64>,
    pub(super) labels: Vec<u8>,
    pub(super) scale: f64,
    /// By node, what it comes to as a list of products.
    pub(super) maps: Rc<[Option<Taps>]>,
}

/// The value of every tensor for a whole batch, `[batch, elements]` each.
pub(super) type Values = Vec<Vec<f64>>;

/// Derivatives of the loss.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gradients {
    /// By every parameter, in the order of the flat vector.
    pub(super) params: Vec<f64>,
    /// By every value of every tensor.
    pub(super) tensors: Values,
    /// The magnitudes of what the readers of every tensor added to its gradient, summed; of no use in differences, where it is empty.
    pub(super) parts: Values,
}

impl<'g> Point<'g> {
    /// Weights and one batch, with a scale of 1: the summed loss.
    pub(super) fn new(graph: &'g Graph, params: Vec<f64>, input: Vec<f64>, labels: Vec<u8>) -> Self {
        let maps = (0..graph.nodes().len()).map(|node| Taps::of(graph, node)).collect();
        Self { graph, params, input, labels, scale: 1.0, maps }
    }

    /// Every value of a forward pass.
    pub(super) fn forward(&self) -> Values {
        let mut values = vec![Vec::new(); self.graph.tensors().len()];
        values[0].clone_from(&self.input);
        self.forward_from(0, &mut values);
        values
    }

    /// Runs node `first` and those after it again.
    pub(super) fn forward_from(&self, first: usize, values: &mut Values) {
        for node in first..self.graph.nodes().len() {
            let (before, after) = values.split_at_mut(node + 1);
            self.node_forward(node, before, &mut after[0]);
        }
    }

    /// What node `node` makes of the values before it.
    fn node_forward(&self, node: usize, before: &[Vec<f64>], y: &mut Vec<f64>) {
        let Node { op, inputs, .. } = &self.graph.nodes()[node];
        let x = &before[inputs[0].0];
        if let Some(taps) = &self.maps[node] {
            taps.forward(&self.params, x, y);
            return;
        }
        y.clear();
        match *op {
            Op::BatchNorm { .. } => Norm::of(self, node, x).forward(x, y),
            Op::MaxPool2d(window) => y.extend(self.maxima(node, window, x).iter().map(|&at| x[at])),
            Op::Dropout { .. } => y.extend(self.mask(node, x.len()).iter().zip(x).map(|(factor, x)| factor * x)),
            Op::Add => y.extend(x.iter().zip(&before[inputs[1].0]).map(|(a, b)| a + b)),
            Op::LogSoftmax => {
                for row in x.chunks_exact(self.graph.shape(inputs[0]).elements()) {
                    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let ln_sum = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
                    y.extend(row.iter().map(|x| x - max - ln_sum));
                }
            }
            op => {
                let activation = op.activation().unwrap_or_default(); // flatten: the identity
                y.extend(x.iter().map(|&x| reference::activate(activation, x)));
            }
        }
    }

    /// What each element is multiplied by in a dropout: drawn by the kernel that trains, as it is the definition.
    pub(super) fn mask(&self, node: usize, len: usize) -> Vec<f64> {
        let Op::Dropout { p } = self.graph.nodes()[node].op else { return vec![1.0; len] };
        let mut factors = vec![1.0; len];
        let key = Objective::from(Reduction::Mean).key.layer(node as u64);
        // Lengths and probability are valid: the factors stay 1 otherwise, and every comparison fails.
        let _ = dropout::apply_in_place(Isa::SCALAR, key, 0, 1.0 - p.get(), &mut factors);
        factors.into_iter().map(f64::from).collect()
    }

    /// For each output of a max pooling the place of its maximum in `x`, the first of equals.
    pub(super) fn maxima(&self, node: usize, window: Window, x: &[f64]) -> Vec<usize> {
        self.windows(node, window, x.len())
            .into_iter()
            .map(|places| places.into_iter().reduce(|best, at| if x[at] > x[best] { at } else { best }).unwrap_or(0))
            .collect()
    }

    /// For each output of a pooling the places in `x` of its window, of a whole batch of `len` elements.
    pub(super) fn windows(&self, node: usize, window: Window, len: usize) -> Vec<Vec<usize>> {
        let Node { inputs, output, .. } = &self.graph.nodes()[node];
        let (input, output) = (self.graph.shape(inputs[0]), self.graph.shape(*output));
        let ([c, h, w], [_, oh, ow]) = (planes(input.dims()), planes(output.dims()));
        let Window { kernel: [kh, kw], stride, padding } = window;
        let mut windows = Vec::new();
        for plane in 0..c * (len / input.elements()) {
            for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
                let inside =
                    |o: usize, t: usize, size: usize| (o * stride + t).checked_sub(padding).filter(|at| *at < size);
                let pixel = |ty: usize, tx: usize| Some((plane * h + inside(oy, ty, h)?) * w + inside(ox, tx, w)?);
                windows.push((0..kh).flat_map(|ty| (0..kw).filter_map(move |tx| pixel(ty, tx))).collect());
            }
        }
        windows
    }

    /// The loss of each sample, not scaled: `ln Σₖ exp(zₖ − z_label)`, through `ln(1 + x)` so that small losses keep
    /// their digits.
    pub(super) fn losses(&self, values: &Values) -> Vec<f64> {
        let logits = &values[values.len() - 1];
        let rows = logits.chunks_exact(self.graph.classes());
        let loss = |(row, &label): (&[f64], &u8)| {
            let label = usize::from(label);
            (0..row.len()).filter(|&j| j != label).map(|j| (row[j] - row[label]).exp()).sum::<f64>().ln_1p()
        };
        rows.zip(&self.labels).map(loss).collect()
    }

    /// About how far rounding moves the loss: a unit in the last place of each sample's loss and of what it is made of,
    /// added as independent errors are, by squares. Measured on nine networks at steps of 1e-6 and 1e-5: the largest error of
    /// a network's differences is 0.5 to 2.2 times this over twice the step. An estimate to choose points by; no comparison
    /// rests on it.
    pub(super) fn loss_rounding(&self, values: &Values) -> f64 {
        let squares = self.losses(values).into_iter().map(|loss| (f64::EPSILON * (1.0 + loss)).powi(2));
        squares.sum::<f64>().sqrt() * self.scale
    }

    /// Of all tensors' largest gradients, the smallest. A tensor whose gradients are exactly 0, behind ReLUs that pass
    /// nothing, does not count: its differences are exactly 0 too.
    pub(super) fn faintest(&self, values: &Values) -> f64 {
        let gradients = self.backward(values);
        let params = self.graph.params().iter().map(|param| &gradients.params[param.range()]);
        let tensors = gradients.tensors.iter().map(Vec::as_slice);
        let largest = params.chain(tensors).map(|gradient| gradient.iter().fold(0.0, |most: f64, x| most.max(x.abs())));
        largest.filter(|&largest| largest > 0.0).fold(f64::INFINITY, f64::min)
    }

    /// The backward pass: formulas, from the last tensor to the first.
    pub(super) fn backward(&self, values: &Values) -> Gradients {
        let nodes = self.graph.nodes();
        let mut params = vec![0.0; self.graph.param_count()];
        let mut tensors: Values = values.iter().map(|values| vec![0.0; values.len()]).collect();
        tensors[nodes.len()] = self.loss_gradient(&values[nodes.len()]);
        let mut parts = tensors.clone();
        for node in (0..nodes.len()).rev() {
            let before = tensors.clone();
            self.node_backward(node, values, &mut tensors, &mut params);
            let changes = parts.iter_mut().flatten().zip(before.iter().flatten().zip(tensors.iter().flatten()));
            changes.for_each(|(part, (before, after))| *part += (after - before).abs());
        }
        Gradients { params, tensors, parts }
    }

    /// Adds what node `node` hands back to the gradients by what it read and by its parameters.
    fn node_backward(&self, node: usize, values: &Values, tensors: &mut Values, params: &mut [f64]) {
        let Node { op, inputs, .. } = &self.graph.nodes()[node];
        let (before, after) = tensors.split_at_mut(node + 1);
        let (from, y, dy) = (inputs[0].0, &values[node + 1], &after[0]);
        let (x, dx) = (&values[from], &mut before[from]);
        if let Some(taps) = &self.maps[node] {
            taps.backward(&self.params, x, dy, dx, params);
            return;
        }
        match *op {
            Op::Relu => zip3(x, y, dy, dx, |x, _, dy| if x > 0.0 { dy } else { 0.0 }),
            Op::Tanh => zip3(x, y, dy, dx, |_, y, dy| dy * (1.0 - y) * (1.0 + y)),
            Op::Sigmoid => zip3(x, y, dy, dx, |_, y, dy| dy * y * (1.0 - y)),
            Op::BatchNorm { .. } => {
                let norm = Norm::of(self, node, x);
                let [d_gamma, d_beta] = self.graph.node_params(node) else { return };
                let (sums, more) = norm.backward(x, dy);
                params[d_gamma.range()].copy_from_slice(&sums[0]);
                params[d_beta.range()].copy_from_slice(&sums[1]);
                add_scaled(dx, 1.0, &more);
            }
            Op::MaxPool2d(window) => {
                for (at, dy) in self.maxima(node, window, x).into_iter().zip(dy) {
                    dx[at] += dy;
                }
            }
            Op::Dropout { .. } => zip3(&self.mask(node, x.len()), y, dy, dx, |factor, _, dy| factor * dy),
            Op::Add => {
                for input in inputs {
                    add_scaled(&mut before[input.0], 1.0, dy);
                }
            }
            Op::LogSoftmax => {
                let classes = self.graph.shape(inputs[0]).elements();
                let rows = y.chunks_exact(classes).zip(dy.chunks_exact(classes)).zip(dx.chunks_exact_mut(classes));
                for ((y, dy), dx) in rows {
                    let sum: f64 = dy.iter().sum();
                    y.iter().zip(dy).zip(dx).for_each(|((y, dy), dx)| *dx += dy - y.exp() * sum);
                }
            }
            _ => add_scaled(dx, 1.0, dy),
        }
    }

    /// `scale · (softmax(z) − onehot)`; minus the other probabilities' sum stands for `p − 1`, which would cancel.
    fn loss_gradient(&self, logits: &[f64]) -> Vec<f64> {
        let classes = self.graph.classes();
        let mut gradient = Vec::with_capacity(logits.len());
        for (row, &label) in logits.chunks_exact(classes).zip(&self.labels) {
            let label = usize::from(label);
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|z| (z - max).exp()).sum();
            let prob = |j: usize| (row[j] - max).exp() / sum;
            let others: f64 = (0..classes).filter(|&j| j != label).map(prob).sum();
            gradient.extend((0..classes).map(|j| self.scale * if j == label { -others } else { prob(j) }));
        }
        gradient
    }

    /// Central differences, `(L(x + eps) − L(x − eps)) / (2·eps)`, by every parameter and every value of every tensor:
    /// one number is moved, and everything after it is computed again.
    ///
    /// `None` if moving a number carried a ReLU over its kink: the difference would then mean nothing.
    pub(super) fn differences(&self, values: &Values, eps: f64) -> Option<Gradients> {
        let mut moved = self.clone();
        let mut scratch = values.clone();
        let mut params = vec![0.0; self.params.len()];
        for node in 0..self.graph.nodes().len() {
            for i in self.graph.node_params(node).iter().flat_map(|param| param.range()) {
                params[i] = self.difference(eps, |by| {
                    moved.params[i] = self.params[i] + by;
                    moved.forward_from(node, &mut scratch);
                    moved.params[i] = self.params[i];
                    self.same_sides(values, &scratch).then(|| self.losses(&scratch))
                })?;
            }
            scratch.clone_from(values);
        }
        let mut tensors = Values::new();
        for (tensor, at) in values.iter().enumerate() {
            let mut gradient = Vec::with_capacity(at.len());
            for (i, &x) in at.iter().enumerate() {
                gradient.push(self.difference(eps, |by| {
                    scratch[tensor][i] = x + by;
                    self.forward_from(tensor, &mut scratch); // node `tensor` writes the next tensor
                    let losses = self.losses(&scratch);
                    scratch[tensor][i] = x;
                    self.same_sides(values, &scratch).then_some(losses)
                })?);
            }
            tensors.push(gradient);
            scratch.clone_from(values);
        }
        Some(Gradients { params, tensors, parts: Values::new() })
    }

    /// One central difference; the samples' losses are subtracted before they are summed, which loses fewer digits.
    pub(super) fn difference(&self, eps: f64, mut losses_at: impl FnMut(f64) -> Option<Vec<f64>>) -> Option<f64> {
        let (above, below) = (losses_at(eps)?, losses_at(-eps)?);
        let change: f64 = above.iter().zip(below).map(|(above, below)| above - below).sum();
        Some(self.scale * change / (2.0 * eps))
    }

    /// Whether every ReLU passes the same elements and every window has its maximum in the same place in both passes.
    fn same_sides(&self, a: &Values, b: &Values) -> bool {
        self.graph.nodes().iter().enumerate().all(|(i, Node { op, inputs, .. })| {
            let (a, b) = (&a[inputs[0].0], &b[inputs[0].0]);
            match *op {
                Op::Relu => a.iter().zip(b).all(|(&a, &b)| (a > 0.0) == (b > 0.0)),
                Op::MaxPool2d(window) => self.maxima(i, window, a) == self.maxima(i, window, b),
                _ => true,
            }
        })
    }

    /// The largest inverse deviation of a channel of any batch norm.
    pub(super) fn steepest_norm(&self, values: &Values) -> f64 {
        let nodes = self.graph.nodes().iter().enumerate();
        let norms = nodes.filter(|(_, node)| matches!(node.op, Op::BatchNorm { .. }));
        let inputs = norms.map(|(i, node)| (i, &values[node.inputs[0].0]));
        inputs.map(|(i, x)| Norm::of(self, i, x).steepest(x)).fold(0.0, f64::max)
    }

    /// How far each ReLU's input is from 0 and each maximum from the runner-up, beside what rounding may move it.
    pub(super) fn kinks(&self, values: &Values, errors: &Values) -> Vec<(f64, f64)> {
        let mut kinks = Vec::new();
        for (i, Node { op, inputs, .. }) in self.graph.nodes().iter().enumerate() {
            let (x, ex) = (&values[inputs[0].0], &errors[inputs[0].0]);
            match *op {
                Op::Relu => kinks.extend(x.iter().zip(ex).map(|(x, ex)| (x.abs(), *ex))),
                Op::MaxPool2d(window) => {
                    for places in self.windows(i, window, x.len()) {
                        let best = places.iter().copied().reduce(|best, at| if x[at] > x[best] { at } else { best });
                        let Some(best) = best else { continue };
                        let others = places.into_iter().filter(|&at| at != best);
                        kinks.extend(others.map(|at| (x[best] - x[at], ex[best] + ex[at])));
                    }
                }
                _ => {}
            }
        }
        kinks
    }
}

/// Channels, rows and columns.
pub(super) fn planes(dims: &[usize]) -> [usize; 3] {
    match *dims {
        [c, h, w] => [c, h, w],
        _ => [dims.iter().product(), 1, 1],
    }
}

/// `dx += f(x, y, dy)`, element by element.
fn zip3(x: &[f64], y: &[f64], dy: &[f64], dx: &mut [f64], f: impl Fn(f64, f64, f64) -> f64) {
    for (((&x, &y), &dy), dx) in x.iter().zip(y).zip(dy).zip(dx) {
        *dx += f(x, y, dy);
    }
}

/// `sum += factor · x`
pub(super) fn add_scaled(sum: &mut [f64], factor: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}
