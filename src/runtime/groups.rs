//! How a large batch goes through the maps of a network: a few samples at a time, so that what one step wrote is in the second cache when the
//! next one reads it. Linear layers, whose weights are what takes time, see all samples at once.

use super::format::{ALIGN, NONE, StepKind};
use super::model::Model;

/// Bytes of the tensors of a group: about a second cache.
const GROUP: usize = 1 << 20;

/// The steps of a batch that are run group by group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Groups {
    /// The first so many steps.
    pub(super) steps: usize,
    /// Samples of a group; fewer in the last one.
    pub(super) samples: usize,
}

impl Groups {
    /// `None` where all steps are run for the whole batch: if it is no larger than a group, if there are no convolutions before the first
    /// linear layer, or if what these wrote is still read behind it.
    pub(super) fn of<const K: u32>(model: &Model<'_, K>, batch: usize) -> Option<Self> {
        let samples = (GROUP / model.header.arena.max(1)).max(1);
        if batch <= samples {
            return None;
        }
        let all = model.header.steps;
        let is = |index: usize, kind: StepKind| model.step_record(index).op == kind as u8;
        let steps = (0..all).find(|index| is(*index, StepKind::Dense)).unwrap_or(all);
        // Step `steps - 1` wrote the tensor `steps`.
        let apart = (steps..all).all(|index| {
            let step = model.step_record(index);
            usize::from(step.a) >= steps && (step.b == NONE || usize::from(step.b) >= steps)
        });
        let convolves = (0..steps).any(|index| is(index, StepKind::Conv));
        (apart && convolves).then_some(Self { steps, samples })
    }

    /// Bytes for the pixels of all samples, which lie before the arena of a group: theirs in the arena of the batch may be written over
    /// before the last group reads them.
    pub(super) fn pixels_len<const K: u32>(model: &Model<'_, K>, batch: usize) -> Option<usize> {
        model.tensor_record(0).elements()?.checked_mul(batch).and_then(|bytes| bytes.checked_next_multiple_of(ALIGN))
    }
}
