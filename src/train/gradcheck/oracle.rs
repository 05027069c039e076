//! The oracle: a graph run forward and backward in f64 with plain loops, and its gradients by central differences.
//! Every op has one input and the graph one output, so tensor `i + 1` is written by node `i` and read by node `i + 1` alone.

use crate::graph::{Graph, Op};
use crate::reference;

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
}

/// A linear layer's part of the parameters.
pub(super) struct Linear<'a> {
    pub(super) weight: &'a [f64], // [out, in]
    pub(super) bias: &'a [f64],
    pub(super) in_features: usize,
    pub(super) out_features: usize,
}

impl<'g> Point<'g> {
    /// The parameters of node `node`, if it is a linear layer.
    pub(super) fn linear(&self, node: usize) -> Option<Linear<'_>> {
        let Op::Linear { in_features, out_features } = self.graph.nodes()[node].op else { return None };
        let [weight, bias] = self.graph.node_params(node) else { return None };
        let (weight, bias) = (&self.params[weight.range()], &self.params[bias.range()]);
        Some(Linear { weight, bias, in_features, out_features })
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
            let (x, y) = (&before[node], &mut after[0]);
            y.clear();
            match self.linear(node) {
                Some(Linear { weight, bias, in_features, .. }) => {
                    for x in x.chunks_exact(in_features) {
                        for (weight, bias) in weight.chunks_exact(in_features).zip(bias) {
                            y.push(weight.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias);
                        }
                    }
                }
                None => {
                    let activation = self.graph.nodes()[node].op.activation().unwrap_or_default(); // flatten: the identity
                    y.extend(x.iter().map(|&x| reference::activate(activation, x)));
                }
            }
        }
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
        for (node, op) in nodes.iter().map(|node| node.op).enumerate().rev() {
            let (before, after) = tensors.split_at_mut(node + 1);
            let (x, y, dx, dy) = (&values[node], &values[node + 1], &mut before[node], &after[0]);
            match op {
                Op::Flatten => dx.copy_from_slice(dy),
                Op::Relu => zip3(x, y, dy, dx, |x, _, dy| if x > 0.0 { dy } else { 0.0 }),
                Op::Tanh => zip3(x, y, dy, dx, |_, y, dy| dy * (1.0 - y) * (1.0 + y)),
                Op::Sigmoid => zip3(x, y, dy, dx, |_, y, dy| dy * y * (1.0 - y)),
                Op::Linear { in_features, out_features } => {
                    let Some(Linear { weight, .. }) = self.linear(node) else { continue };
                    let [d_weight, d_bias] = self.graph.node_params(node) else { continue };
                    let (d_weight, d_bias) = (d_weight.range(), d_bias.range());
                    for ((x, dx), dy) in x
                        .chunks_exact(in_features)
                        .zip(dx.chunks_exact_mut(in_features))
                        .zip(dy.chunks_exact(out_features))
                    {
                        for o in 0..out_features {
                            let row = o * in_features..(o + 1) * in_features;
                            add_scaled(&mut params[d_weight.clone()][row.clone()], dy[o], x);
                            add_scaled(dx, dy[o], &weight[row]);
                            params[d_bias.clone()][o] += dy[o];
                        }
                    }
                }
            }
        }
        Gradients { params, tensors }
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
                    self.forward_from(tensor, &mut scratch);
                    let losses = self.losses(&scratch);
                    scratch[tensor][i] = x;
                    self.same_sides(values, &scratch).then_some(losses)
                })?);
            }
            tensors.push(gradient);
            scratch.clone_from(values);
        }
        Some(Gradients { params, tensors })
    }

    /// One central difference; the samples' losses are subtracted before they are summed, which loses fewer digits.
    fn difference(&self, eps: f64, mut losses_at: impl FnMut(f64) -> Option<Vec<f64>>) -> Option<f64> {
        let (above, below) = (losses_at(eps)?, losses_at(-eps)?);
        let change: f64 = above.iter().zip(below).map(|(above, below)| above - below).sum();
        Some(self.scale * change / (2.0 * eps))
    }

    /// Whether every ReLU passes the same elements in both passes.
    fn same_sides(&self, a: &Values, b: &Values) -> bool {
        let mut outputs = self.relu_nodes().map(|node| (&a[node + 1], &b[node + 1]));
        outputs.all(|(a, b)| a.iter().zip(b).all(|(&a, &b)| (a > 0.0) == (b > 0.0)))
    }

    /// The nodes that are ReLUs.
    pub(super) fn relu_nodes(&self) -> impl Iterator<Item = usize> + '_ {
        let nodes = self.graph.nodes().iter().enumerate();
        nodes.filter(|(_, node)| node.op == Op::Relu).map(|(node, _)| node)
    }
}

/// `dx = f(x, y, dy)`, element by element.
fn zip3(x: &[f64], y: &[f64], dy: &[f64], dx: &mut [f64], f: impl Fn(f64, f64, f64) -> f64) {
    for (((&x, &y), &dy), dx) in x.iter().zip(y).zip(dy).zip(dx) {
        *dx = f(x, y, dy);
    }
}

/// `sum += factor · x`
pub(super) fn add_scaled(sum: &mut [f64], factor: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}
