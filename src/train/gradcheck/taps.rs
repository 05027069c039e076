//! Linear maps of samples, as lists of products: what linear layers, convolutions and means of windows come to.

use super::oracle::planes;
use crate::graph::{Conv2d, Graph, Node, Op, Window};

/// `y[to] += factor · x[from]` for one sample, the factor a parameter or a constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) factor: Factor,
}

/// What an input is multiplied by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Factor {
    /// The parameter with this place in the flat vector.
    Param(usize),
    /// This number.
    Fixed(f64),
}

impl Factor {
    pub(super) fn get(self, params: &[f64]) -> f64 {
        match self {
            Self::Param(at) => params[at],
            Self::Fixed(x) => x,
        }
    }
}

/// A linear map: its products, and the parameter that is added to each output.
#[derive(Clone, Debug)]
pub(super) struct Taps {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) taps: Vec<Tap>,
    /// By output; empty without a bias.
    pub(super) bias: Vec<usize>,
}

impl Taps {
    /// Those of node `node`, if it is such a map.
    pub(super) fn of(graph: &Graph, node: usize) -> Option<Self> {
        let Node { op, inputs, output, .. } = &graph.nodes()[node];
        let (input, output) = (graph.shape(inputs[0]), graph.shape(*output));
        let start = |at: usize| graph.node_params(node).get(at).map(|param| param.offset);
        let mut map = Self { inputs: input.elements(), outputs: output.elements(), taps: Vec::new(), bias: Vec::new() };
        let ([_, h, w], [c_out, oh, ow]) = (planes(input.dims()), planes(output.dims()));
        match *op {
            Op::Linear { in_features, out_features } => {
                let (weight, bias) = (start(0)?, start(1)?);
                for (to, from) in (0..out_features).flat_map(|to| (0..in_features).map(move |from| (to, from))) {
                    map.taps.push(Tap { from, to, factor: Factor::Param(weight + to * in_features + from) });
                }
                map.bias = (bias..bias + out_features).collect();
            }
            Op::Conv2d(conv) => {
                let Conv2d { kernel, stride, padding, groups, .. } = conv;
                let ([_, group, ..], weight) = (conv.weight(), start(0)?);
                let window = Window { kernel, stride, padding };
                for o in 0..c_out {
                    let first = o / (c_out / groups) * group; // the first channel that it sees
                    for ((q, p), c, t) in (0..group).flat_map(|c| pixels([h, w], [oh, ow], window, c)) {
                        let factor = Factor::Param(weight + (o * group + c) * kernel[0] * kernel[1] + t);
                        map.taps.push(Tap { from: (first + c) * h * w + p, to: o * oh * ow + q, factor });
                    }
                }
                if let Some(bias) = start(1) {
                    map.bias = (0..c_out).flat_map(|o| std::iter::repeat_n(bias + o, oh * ow)).collect();
                }
            }
            Op::AvgPool2d(window) => {
                let factor = Factor::Fixed(1.0 / (window.kernel[0] * window.kernel[1]) as f64);
                for ((q, p), c, _) in (0..c_out).flat_map(|c| pixels([h, w], [oh, ow], window, c)) {
                    map.taps.push(Tap { from: c * h * w + p, to: c * oh * ow + q, factor });
                }
            }
            Op::GlobalAvgPool => {
                let factor = Factor::Fixed(1.0 / (h * w) as f64);
                map.taps.extend((0..c_out * h * w).map(|from| Tap { from, to: from / (h * w), factor }));
            }
            _ => return None,
        }
        Some(map)
    }

    /// `y` for a whole batch.
    pub(super) fn forward(&self, params: &[f64], x: &[f64], y: &mut Vec<f64>) {
        y.clear();
        for x in x.chunks_exact(self.inputs) {
            let start = y.len();
            match self.bias.is_empty() {
                true => y.resize(start + self.outputs, 0.0),
                false => y.extend(self.bias.iter().map(|&at| params[at])),
            }
            for Tap { from, to, factor } in &self.taps {
                y[start + to] += factor.get(params) * x[*from];
            }
        }
    }

    /// Adds to the gradients by the input and by the parameters.
    pub(super) fn backward(&self, params: &[f64], x: &[f64], dy: &[f64], dx: &mut [f64], d_params: &mut [f64]) {
        let rows = x.chunks_exact(self.inputs).zip(dx.chunks_exact_mut(self.inputs)).zip(dy.chunks_exact(self.outputs));
        for ((x, dx), dy) in rows {
            for Tap { from, to, factor } in &self.taps {
                dx[*from] += factor.get(params) * dy[*to];
                if let Factor::Param(at) = *factor {
                    d_params[at] += x[*from] * dy[*to];
                }
            }
            self.bias.iter().zip(dy).for_each(|(&at, dy)| d_params[at] += dy);
        }
    }
}

/// `((output pixel, input pixel), channel, place in the kernel)` of every product of channel `c`.
fn pixels(
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
    Window { kernel: [kh, kw], stride, padding }: Window,
    c: usize,
) -> impl Iterator<Item = ((usize, usize), usize, usize)> {
    let inside = move |o: usize, t: usize, size: usize| (o * stride + t).checked_sub(padding).filter(|at| *at < size);
    (0..oh * ow * kh * kw).filter_map(move |at| {
        let (q, t) = (at / (kh * kw), at % (kh * kw));
        let (y, x) = (inside(q / ow, t / kw, h)?, inside(q % ow, t % kw, w)?);
        Some(((q, y * w + x), c, t))
    })
}
