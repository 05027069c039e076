//! First weights.

use super::bias::BiasKind;
use super::config::ConfigError;
use crate::data::random::Random;
use crate::graph::{Graph, Param, ParamKind};
use std::fmt;
use std::str::FromStr;

/// How first weights are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initializer {
    /// As `nn.Linear` and `nn.Conv2d` do: weights and biases uniform in `±1/√fan_in`.
    #[default]
    Pytorch,
    /// He et al., 2015, for ReLU: weights uniform in `±√(6/fan_in)`, biases 0.
    Kaiming,
    /// Glorot and Bengio, 2010: weights uniform in `±√(6/(fan_in + fan_out))`, biases 0.
    Xavier,
    /// All 0: for networks of one layer, as others would not learn.
    Zero,
}

impl Initializer {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Pytorch, Self::Kaiming, Self::Xavier, Self::Zero];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pytorch => "pytorch",
            Self::Kaiming => "kaiming",
            Self::Xavier => "xavier",
            Self::Zero => "zero",
        }
    }

    /// Half the width of the interval around 0 of a parameter.
    fn bound(self, kind: ParamKind, fan_in: usize, fan_out: usize) -> f64 {
        let (fan_in, fans) = (fan_in as f64, (fan_in + fan_out) as f64);
        match (self, kind) {
            (Self::Pytorch, _) => 1.0 / fan_in.sqrt(),
            (Self::Kaiming, ParamKind::Weight) => (6.0 / fan_in).sqrt(),
            (Self::Xavier, ParamKind::Weight) => (6.0 / fans).sqrt(),
            _ => 0.0,
        }
    }

    /// Draws the weights of `graph`: parameters, then running statistics. Batch norms start as the identity of a standardised input, `gamma` 1 and
    /// `beta` 0, mean 0 and variance 1.
    ///
    /// Tensor `i` of [`Graph::params`] has its own stream of random numbers, so a tensor's values do not depend on what comes before it.
    ///
    /// # Panics
    /// If `weights` is shorter than [`Graph::weights_len`].
    pub fn fill(self, graph: &Graph, seed: u64, weights: &mut [f32]) {
        self.fill_with(BiasKind::Layer, graph, seed, weights);
    }

    /// The same where biases may be the weights of an input.
    ///
    /// # Panics
    /// As [`fill`](Self::fill).
    pub fn fill_with(self, bias: BiasKind, graph: &Graph, seed: u64, weights: &mut [f32]) {
        for (i, param) in graph.params().iter().enumerate() {
            let values = &mut weights[param.range()];
            match param.kind {
                ParamKind::Scale => values.fill(1.0),
                ParamKind::Shift => values.fill(0.0),
                ParamKind::Weight | ParamKind::Bias => {
                    // A weight without a bias behind it has no weight of a bias input beside it.
                    let has_bias = |next: Option<&Param>| next.is_some_and(|next| next.kind == ParamKind::Bias);
                    let beside = param.kind == ParamKind::Bias || has_bias(graph.params().get(i + 1));
                    let bound = match bias {
                        BiasKind::Layer => self.bound(param.kind, param.fan_in, param.fan_out),
                        BiasKind::Input => {
                            self.bound(ParamKind::Weight, param.fan_in + usize::from(beside), param.fan_out)
                        }
                    };
                    let mut random = Random::new(seed, "init", i as u64);
                    values.fill_with(|| ((2.0 * f64::from(random.unit()) - 1.0) * bound) as f32);
                }
            }
        }
        for running in graph.running() {
            weights[running.mean()].fill(0.0);
            weights[running.variance()].fill(1.0);
        }
    }
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Initializer {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ConfigError::unknown("initializer", "pytorch, kaiming, xavier or zero", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, Op};
    use crate::shape::Shape;

    #[test]
    fn values_fill_their_interval_and_depend_on_the_seed() {
        let graph = Graph::mlp(&[64], Op::Relu, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap();
        for initializer in Initializer::ALL {
            let (mut a, mut b) = (vec![9.0; graph.weights_len()], vec![9.0; graph.weights_len()]);
            initializer.fill(&graph, 1, &mut a);
            initializer.fill(&graph, 1, &mut b);
            assert_eq!(a, b);
            initializer.fill(&graph, 2, &mut b);
            assert_eq!(a != b, initializer != Initializer::Zero);
            for param in graph.params() {
                let values = &a[param.range()];
                let bound = initializer.bound(param.kind, param.fan_in, param.fan_out) as f32;
                let largest = values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                assert!(largest <= bound && largest >= 0.5 * bound, "{}: {largest} of {bound}", param.name);
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                // four standard errors of the mean of a uniform distribution
                assert!(mean.abs() <= 4.0 * bound / (3.0 * values.len() as f32).sqrt(), "{}: {mean}", param.name);
            }
            assert_eq!(initializer.name().parse(), Ok(initializer));
        }
    }

    /// A bias that is one more weight has the interval of the others.
    #[test]
    fn biases_of_a_constant_input_are_drawn_as_weights_are() {
        let graph = Graph::mlp(&[50], Op::Relu, Shape::new(&[1, 9, 9]).unwrap(), 10).unwrap();
        let mut values = vec![9.0; graph.weights_len()];
        for (initializer, numerator) in [(Initializer::Pytorch, 1.0f32), (Initializer::Kaiming, 6.0)] {
            initializer.fill_with(BiasKind::Input, &graph, 1, &mut values);
            for (params, inputs) in graph.params().chunks(2).zip([82.0, 51.0]) {
                let bound = (numerator / inputs).sqrt();
                for param in params {
                    let largest = values[param.range()].iter().fold(0.0f32, |m, x| m.max(x.abs()));
                    assert!(largest <= bound && largest > 0.7 * bound, "{}: {largest} of {bound}", param.name);
                }
            }
        }
    }

    /// A convolution without a bias has no weight of a bias input.
    #[test]
    fn weights_without_a_bias_are_drawn_alike_however_biases_count() {
        let sizes =
            Conv2d { in_channels: 1, out_channels: 8, kernel: [3, 3], stride: 1, padding: 0, groups: 1, bias: true };
        let conv = |bias| Op::Conv2d(Conv2d { bias, ..sizes });
        for (bias, alike) in [(false, true), (true, false)] {
            let graph = Graph::sequential(Shape::new(&[1, 9, 9]).unwrap(), &[conv(bias)]).unwrap();
            let [layer, input] = [BiasKind::Layer, BiasKind::Input].map(|kind| {
                let mut values = vec![9.0; graph.weights_len()];
                Initializer::Pytorch.fill_with(kind, &graph, 1, &mut values);
                values[..72].to_vec()
            });
            assert_eq!(layer == input, alike);
        }
    }

    /// Fans as `torch.nn.init` counts them, and batch norms that change nothing yet.
    #[test]
    fn convolutions_and_batch_norms() {
        let conv =
            Conv2d { in_channels: 4, out_channels: 6, kernel: [3, 2], stride: 1, padding: 0, groups: 2, bias: true };
        let shape = Shape::new(&[4, 9, 9]).unwrap();
        let graph = Graph::sequential(shape, &[Op::Conv2d(conv), Op::BatchNorm { features: 6 }]).unwrap();
        assert_eq!((graph.params()[0].fan_in, graph.params()[0].fan_out), (2 * 6, 6 * 6));
        let mut weights = vec![9.0; graph.weights_len()];
        Initializer::Kaiming.fill(&graph, 1, &mut weights);
        assert!(weights[graph.params()[1].range()].iter().all(|bias| *bias == 0.0));
        let end = [[1.0; 6], [0.0; 6], [0.0; 6], [1.0; 6]].concat();
        assert_eq!(weights.split_off(weights.len() - 24), end);
    }
}
