//! The second half of a batch of raw pixels, with an arena and a gradient of its own: both halves are learned from side by side.
//!
//! A network of few weights reads far more pixels than it has gradients. Cut layer by layer, forward by samples and backward by weights, half of
//! the pixels go from one core's cache to another's; cut once for the whole step, half of the gradients do.

use super::TrainError;
use super::network::Network;
use crate::graph::{Graph, Op};
use crate::kernels::Isa;

/// Samples of a batch from which it is cut: some 20 us of one thread.
const SAMPLES: usize = 64;
/// Parameters up to which the gradients of both halves stay in the first cache.
const PARAMS: usize = 12 * 1024;

/// What works on the second half.
#[derive(Clone, Debug)]
pub(super) struct Half {
    pub(super) network: Network,
    pub(super) grads: Vec<f32>,
}

impl Half {
    /// For batches of up to `batch` samples of a network that reads pixels; none if halves would not be faster, or not the same. Whether there is
    /// one does not depend on the threads.
    pub(super) fn of(graph: &Graph, batch: usize, isa: Isa) -> Result<Option<Box<Self>>, TrainError> {
        let Some(samples) = samples(graph, batch) else { return Ok(None) };
        let network = Network::alone(graph, samples, isa)?;
        Ok(Some(Box::new(Self { network, grads: vec![0.0; graph.param_count()] })))
    }
}

/// Most samples in the second half, if a network that reads pixels takes batches of up to `batch` samples in halves.
pub(super) fn samples(graph: &Graph, batch: usize) -> Option<usize> {
    // The one mixes the samples of a batch, the other draws by their number.
    let whole = graph.nodes().iter().any(|node| matches!(node.op, Op::BatchNorm { .. } | Op::Dropout { .. }));
    (batch >= SAMPLES && graph.param_count() <= PARAMS && !whole).then(|| batch - first(batch))
}

/// How many of `rows` samples are in the first half: all of them, if there are too few for two.
pub(super) fn first(rows: usize) -> usize {
    if rows < SAMPLES { rows } else { rows.div_ceil(2) }
}
