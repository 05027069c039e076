//! L1 and L2: what they add to the gradient, on weights, once per update, on biases only where these are [an input's](BiasKind::Input).
//!
//! `--l1 X` adds `X·Σ|w|` to the loss, so `X·sign(w)` to the gradient. `--l2 X` adds `X·Σw²`, so `2·X·w`. `--weight-decay X` is
//! PyTorch's: `X·w` in the gradient of every parameter, biases too; adamw decays apart from the gradient instead.
//! None of the three depends on whether the batch's gradients are averaged or summed, and reported losses leave them out.

use super::bias::BiasKind;
use super::config::Config;
use super::optimizer::OptimizerKind;
use crate::graph::{Graph, ParamKind};
use crate::kernels::update::Penalty;
use std::ops::Range;

/// Consecutive parameters that share a penalty.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where in the flat vector.
    pub range: Range<usize>,
    /// What is added to their gradients.
    pub penalty: Penalty,
}

/// The penalties of a weight, of a bias, and of a batch norm's scale or shift.
#[must_use]
pub fn penalties(config: &Config) -> [Penalty; 3] {
    let decay = if config.optimizer == OptimizerKind::Adamw { 0.0 } else { config.weight_decay };
    let weight = Penalty { l1: config.l1 as f32, l2: (2.0 * config.l2 + decay) as f32 };
    let norm = Penalty { l1: 0.0, l2: decay as f32 };
    let bias = match config.bias {
        BiasKind::Layer => norm,
        BiasKind::Input => weight,
    };
    [weight, bias, norm]
}

/// The flat vector of parameters, cut where the penalty changes: one segment where it never does.
#[must_use]
pub fn segments(graph: &Graph, [weight, bias, norm]: [Penalty; 3]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for param in graph.params() {
        let penalty = match param.kind {
            ParamKind::Weight => weight,
            ParamKind::Bias => bias,
            ParamKind::Scale | ParamKind::Shift => norm,
        };
        match segments.last_mut() {
            Some(last) if last.penalty == penalty && last.range.end == param.offset => {
                last.range.end = param.range().end
            }
            _ => segments.push(Segment { range: param.range(), penalty }),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Op;
    use crate::shape::Shape;

    #[test]
    fn weights_are_penalised_and_biases_are_not() {
        let graph = Graph::mlp(&[3], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
        let config = Config { l1: 0.25, l2: 0.5, ..Config::default() };
        let got = segments(&graph, penalties(&config));
        let (on, off) = (Penalty { l1: 0.25, l2: 1.0 }, Penalty::default());
        let want = [(0..12, on), (12..15, off), (15..21, on), (21..23, off)];
        assert_eq!(got, want.map(|(range, penalty)| Segment { range, penalty }));
        let input = Config { bias: BiasKind::Input, ..config };
        assert_eq!(segments(&graph, penalties(&input)), [Segment { range: 0..23, penalty: on }]);
    }

    #[test]
    fn without_a_penalty_there_is_one_segment_and_weight_decay_reaches_biases() {
        let graph = Graph::mlp(&[3], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
        let all = |config: &Config| segments(&graph, penalties(config));
        let whole = |penalty| vec![Segment { range: 0..23, penalty }];
        assert_eq!(all(&Config::default()), whole(Penalty::default()));
        let decay = Config { weight_decay: 0.5, ..Config::default() };
        assert_eq!(all(&decay), whole(Penalty { l1: 0.0, l2: 0.5 }));
        let decoupled = Config { optimizer: OptimizerKind::Adamw, ..decay };
        assert_eq!(all(&decoupled), whole(Penalty::default()));
    }
}
