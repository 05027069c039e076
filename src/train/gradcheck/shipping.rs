//! The code under test: the very network that trains.

use super::{GradcheckError, Sample, Shipped};
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::train::{Network, Reduction};

/// Loss and gradients of [`Network`], in f32.
///
/// The network has room for one sample more than the batch, as at the end of an epoch, and runs twice: what the first pass
/// left in the arena must not matter. Gradients start as NaN: one left unwritten fails every comparison.
pub(super) fn backward(
    graph: &Graph,
    sample: &Sample,
    reduction: Reduction,
    isa: Isa,
) -> Result<Shipped, GradcheckError> {
    let Sample { params, input, labels } = sample;
    let mut network = Network::new(graph, labels.len() + 1, isa)?;
    let mut gradient = vec![f32::NAN; graph.param_count()];
    network.loss_and_gradient(params, input, labels, reduction.into(), &mut gradient)?;
    gradient.fill(f32::NAN);
    let loss_sum = network.loss_and_gradient(params, input, labels, reduction.into(), &mut gradient)?.loss_sum;
    Ok(Shipped { params: gradient, loss_sum })
}
