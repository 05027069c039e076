//! The liveness plan: which tensors are alive together, and where each lies in one arena.
//!
//! Steps count from 0. Inference of `n` nodes: node `i` runs at step `i`, and the result is read at step `n`. Training:
//! forward alike, the loss at step `n`, and the backward pass of node `i` at step `2n - i`. Two tensors may share memory
//! if no step needs both.
//!
//! An op that runs in place writes its output over an input of which it is the only reader. What a backward pass reads
//! ([`Op::backward_reads_input`], [`Op::backward_reads_output`] but for a [pooled](Graph::pooled) ReLU, what the forward pass [saved](Op::saved_len)) stays until then.
//! The gradient of a tensor with several readers is a sum: the last reader writes it, the others add to it.

use super::arena::{Buffer, assign_offsets, largest_live_set};
use super::error::GraphError;
use super::graph::{Graph, Node};
#[cfg(doc)]
use super::op::Op;
use super::op::TensorId;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Offsets are multiples of this many floats: one cache line of 64 bytes.
const ALIGN: usize = 16;

/// What a stretch of the arena holds.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// What an op computed, or the input.
    Value,
    /// The gradient of the loss with respect to a value.
    Gradient,
    /// What the node that wrote the tensor left for its backward pass.
    Saved,
}

/// One line of the plan's table.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
pub struct PlanRow {
    /// Value, gradient or what else a node left.
    pub role: Role,
    /// Of which tensor.
    pub tensor: TensorId,
    /// First float in the arena.
    pub offset: usize,
    /// Floats, for the whole batch.
    pub len: usize,
    /// First step that needs its memory.
    pub first_step: usize,
    /// Last step that needs its memory.
    pub last_step: usize,
    /// The tensor that it lies over, for an op that runs in place.
    pub shares: Option<TensorId>,
}

/// Where a tensor lies: several tensors of one length may lie in the same buffer.
#[derive(Copy, Clone, Debug)]
struct Place {
    buffer: usize,
    len: usize,
}

/// The place of every tensor of a graph in one arena, for batches of up to `batch` samples.
#[derive(Clone, Debug)]
pub struct Plan {
    batch: usize,
    buffers: Vec<Buffer>,
    values: Vec<Place>,
    gradients: Vec<Option<Place>>, // by tensor; empty for inference
    saved: Vec<Option<Place>>,     // by node; empty for inference
    inputs: Vec<Vec<TensorId>>,    // by node
    arena_len: usize,
}

impl Plan {
    /// A plan for forward passes only: a value's memory is free once its last reader has run.
    ///
    /// # Errors
    /// [`GraphError::EmptyBatch`] for a batch of 0, [`GraphError::TooLarge`] if the arena cannot be addressed.
    pub fn inference(graph: &Graph, batch: usize) -> Result<Self, GraphError> {
        Self::new(graph, batch, false)
    }

    /// A plan for forward and backward passes: values stay until the backward pass has read them.
    ///
    /// # Errors
    /// As [`Plan::inference`].
    pub fn training(graph: &Graph, batch: usize) -> Result<Self, GraphError> {
        Self::new(graph, batch, true)
    }

    fn new(graph: &Graph, batch: usize, training: bool) -> Result<Self, GraphError> {
        if batch == 0 {
            return Err(GraphError::EmptyBatch);
        }
        let mut plan = Self {
            batch,
            buffers: Vec::new(),
            values: Vec::with_capacity(graph.tensors().len()),
            gradients: Vec::new(),
            saved: Vec::new(),
            inputs: graph.nodes().iter().map(|node| node.inputs.clone()).collect(),
            arena_len: 0,
        };
        let mut readers = vec![0usize; graph.tensors().len()];
        plan.inputs.iter().flatten().for_each(|x| readers[x.0] += 1);
        let wanted = wants_gradient(graph);
        plan.lay_values(graph, &readers, training)?;
        plan.extend_values(graph, &wanted, training);
        if training {
            plan.lay_saved(graph)?;
            plan.lay_gradients(graph, &readers, &wanted)?;
        }
        plan.arena_len = assign_offsets(&mut plan.buffers)?;
        Ok(plan)
    }

    /// A new buffer for `tensor`, needed at `step`.
    fn place(&mut self, graph: &Graph, tensor: TensorId, step: usize) -> Result<Place, GraphError> {
        let len = graph.shape(tensor).batch_elements(self.batch).map_err(|_| GraphError::TooLarge)?;
        self.place_len(len, step)
    }

    /// A new buffer of `len` floats, needed at `step`.
    fn place_len(&mut self, len: usize, step: usize) -> Result<Place, GraphError> {
        let rounded = len.checked_next_multiple_of(ALIGN).ok_or(GraphError::TooLarge)?;
        self.buffers.push(Buffer::new(rounded, step));
        Ok(Place { buffer: self.buffers.len() - 1, len })
    }

    /// Gives each value a buffer, its own or an input's.
    fn lay_values(&mut self, graph: &Graph, readers: &[usize], training: bool) -> Result<(), GraphError> {
        let input = self.place(graph, TensorId(0), 0)?;
        self.values.push(input);
        // By tensor: whether its memory may be overwritten. Not the input's: it is the caller's. In training not what a backward
        // pass reads.
        let mut may_overwrite = vec![false];
        for (i, Node { op, inputs, output, .. }) in graph.nodes().iter().enumerate() {
            let writes = !op.is_identity(training);
            let fits = |x: &&TensorId| readers[x.0] == 1 && (may_overwrite[x.0] || !writes);
            let over = inputs.iter().find(fits).filter(|_| op.runs_in_place(training)).copied();
            let place = match over {
                Some(x) => self.values[x.0],
                None => self.place(graph, *output, i)?,
            };
            self.values.push(place);
            let kept = training && graph.backward_reads_output(i);
            may_overwrite.push(!kept && over.is_none_or(|x| may_overwrite[x.0]));
        }
        Ok(())
    }

    /// Keeps each value until its last reader, forward or backward.
    fn extend_values(&mut self, graph: &Graph, wanted: &[bool], training: bool) {
        let n = graph.nodes().len();
        for (i, node) in graph.nodes().iter().enumerate() {
            let y = self.values[node.output.0].buffer;
            self.buffers[y].extend_to(i);
            for x in &node.inputs {
                self.buffers[self.values[x.0].buffer].extend_to(i);
                if training && node.op.backward_reads_input() {
                    self.buffers[self.values[x.0].buffer].extend_to(2 * n - i); // d_weight = d_yᵀ·x
                }
            }
            if training && graph.backward_reads_output(i) && wanted[node.output.0] {
                self.buffers[y].extend_to(2 * n - i); // d_x = d_y ∘ f'(x), from y
            }
        }
        self.buffers[self.values[graph.output().0].buffer].extend_to(n);
    }

    /// Gives what a forward pass leaves for its backward pass a buffer.
    fn lay_saved(&mut self, graph: &Graph) -> Result<(), GraphError> {
        let n = graph.nodes().len();
        for (i, node) in graph.nodes().iter().enumerate() {
            let len = node.op.saved_len(graph.shape(node.output), self.batch).ok_or(GraphError::TooLarge)?;
            let place = if len == 0 { None } else { Some(self.place_len(len, i)?) };
            if let Some(Place { buffer, .. }) = place {
                // Running statistics take over what a batch norm saved once the whole pass is done.
                self.buffers[buffer].extend_to(if node.op.running_channels() > 0 { 2 * n } else { 2 * n - i });
            }
            self.saved.push(place);
        }
        Ok(())
    }

    /// Gives each gradient that some parameter depends on a buffer, from the step that first writes it to the one that
    /// last reads it.
    fn lay_gradients(&mut self, graph: &Graph, readers: &[usize], wanted: &[bool]) -> Result<(), GraphError> {
        let n = graph.nodes().len();
        self.gradients = vec![None; graph.tensors().len()];
        if wanted[graph.output().0] {
            self.gradients[graph.output().0] = Some(self.place(graph, graph.output(), n)?);
        }
        for (i, node) in graph.nodes().iter().enumerate().rev() {
            let back = 2 * n - i;
            let Some(d_y) = self.gradients[node.output.0] else { continue };
            self.buffers[d_y.buffer].extend_to(back);
            let mut free = node.op.gradient_runs_in_place(); // one input's gradient may lie over the output's
            for x in node.inputs.iter().filter(|x| wanted[x.0]) {
                let d_x = match self.gradients[x.0] {
                    Some(sum) => sum, // another reader of x came first: this one adds to it
                    None if free && readers[x.0] == 1 => {
                        free = false;
                        d_y
                    }
                    None => self.place(graph, *x, back)?,
                };
                self.buffers[d_x.buffer].extend_to(back);
                self.gradients[x.0] = Some(d_x);
            }
        }
        Ok(())
    }

    /// Samples that the arena holds at most; a smaller batch uses the front of each range.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Floats in the arena.
    pub fn arena_len(&self) -> usize {
        self.arena_len
    }

    /// Where a tensor's values lie, `[batch, shape]`.
    ///
    /// # Panics
    /// If the graph has no such tensor.
    pub fn value(&self, tensor: TensorId) -> Range<usize> {
        self.range(self.values[tensor.0])
    }

    /// Where a tensor's gradient lies; none in inference and where no parameter depends on it, as for the input.
    pub fn gradient(&self, tensor: TensorId) -> Option<Range<usize>> {
        self.gradients.get(tensor.0).copied().flatten().map(|place| self.range(place))
    }

    /// Where node `node` leaves what its backward pass needs beside tensors, if it does.
    pub fn saved(&self, node: usize) -> Option<Range<usize>> {
        self.saved.get(node).copied().flatten().map(|place| self.range(place))
    }

    /// Whether node `node` writes its output over an input.
    ///
    /// # Panics
    /// If the graph has no such node.
    pub fn in_place(&self, node: usize) -> bool {
        self.overwritten(node).is_some()
    }

    /// The input that node `node` writes its output over.
    ///
    /// # Panics
    /// If the graph has no such node.
    pub fn overwritten(&self, node: usize) -> Option<TensorId> {
        let y = self.values[node + 1].buffer;
        self.inputs[node].iter().copied().find(|x| self.values[x.0].buffer == y)
    }

    /// Whether the backward pass of node `node` writes its input's gradient over its output's.
    ///
    /// # Panics
    /// If the graph has no such node.
    pub fn gradient_in_place(&self, node: usize) -> bool {
        let buffer = |tensor: usize| self.gradients.get(tensor).copied().flatten().map(|place| place.buffer);
        let d_y = buffer(node + 1);
        d_y.is_some() && self.inputs[node].iter().any(|x| buffer(x.0) == d_y)
    }

    /// Floats that the busiest step needs at once: no plan has a smaller arena.
    pub fn largest_live_set(&self) -> usize {
        largest_live_set(&self.buffers)
    }

    /// The plan as a table: values in order, then gradients in the order in which the backward pass writes them, then what else was saved.
    pub fn rows(&self) -> Vec<PlanRow> {
        let row = |role, tensor, place: Place, shares| {
            let Buffer { offset, first, last, .. } = self.buffers[place.buffer];
            let (first_step, last_step) = (first, last);
            PlanRow { role, tensor: TensorId(tensor), offset, len: place.len, first_step, last_step, shares }
        };
        let mut rows = Vec::with_capacity(self.values.len() + self.gradients.len());
        for (tensor, &place) in self.values.iter().enumerate() {
            let shares = tensor.checked_sub(1).and_then(|node| self.overwritten(node));
            rows.push(row(Role::Value, tensor, place, shares));
        }
        for (tensor, place) in self.gradients.iter().enumerate().rev() {
            let Some(place) = *place else { continue };
            // The node that reads `tensor` in place, if one does, lies over its own output's gradient.
            let over = |&i: &usize| {
                let d_y = self.gradients[i + 1].map(|d_y| d_y.buffer);
                self.inputs[i].iter().any(|x| x.0 == tensor) && d_y == Some(place.buffer)
            };
            let reader = (0..self.inputs.len()).find(over);
            rows.push(row(Role::Gradient, tensor, place, reader.map(|node| TensorId(node + 1))));
        }
        for (node, place) in self.saved.iter().enumerate() {
            if let Some(place) = *place {
                rows.push(row(Role::Saved, node + 1, place, None));
            }
        }
        rows
    }

    fn range(&self, place: Place) -> Range<usize> {
        let offset = self.buffers[place.buffer].offset;
        offset..offset + place.len
    }
}

impl fmt::Display for Plan {
    /// One line for each tensor, then the totals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tensor  holds     {:>12}  {:>12}  steps", "offset", "floats")?;
        for row in self.rows() {
            let role = match row.role {
                Role::Value => "value",
                Role::Gradient => "gradient",
                Role::Saved => "saved",
            };
            write!(f, "{:>6}  {role:<8}  {:>12}  {:>12}  ", row.tensor.0, row.offset, row.len)?;
            write!(f, "{}..={}", row.first_step, row.last_step)?;
            match row.shares {
                Some(tensor) => writeln!(f, "  in place of {}", tensor.0)?,
                None => writeln!(f)?,
            }
        }
        let bytes = |floats: usize| floats.saturating_mul(size_of::<f32>());
        let (arena, live) = (bytes(self.arena_len), bytes(self.largest_live_set()));
        write!(f, "arena {arena} bytes for a batch of {}, largest live set {live} bytes", self.batch)
    }
}

/// By tensor: whether some parameter influences it, so that the backward pass must reach it.
fn wants_gradient(graph: &Graph) -> Vec<bool> {
    let mut wanted = vec![false; graph.tensors().len()];
    for node in graph.nodes() {
        wanted[node.output.0] = node.op.has_params() || node.inputs.iter().any(|x| wanted[x.0]);
    }
    wanted
}

#[cfg(all(test, feature = "std"))]
mod tests;
