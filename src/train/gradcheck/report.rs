//! What gradcheck found: rows for JSON, tables for the terminal, and the verdict.

use serde::Serialize;
use std::fmt;

/// Largest relative difference between a f64 gradient and its central difference that passes.
pub const TOLERANCE: f64 = 1e-6;
/// Gradients smaller than this part of their tensor's largest are compared as if they were that large: the rounding of the
/// loss hides them from a difference.
pub const FLOOR: f64 = 1e-3;

/// Everything that was compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The seed of weights, inputs and labels.
    pub seed: u64,
    /// The step of the central differences.
    pub eps: f64,
    /// [`TOLERANCE`], which `worst_relative_difference` must not exceed. `worst_ratio` must not exceed 1.
    pub tolerance: f64,
    /// Where each network was looked at.
    pub points: Vec<PointRow>,
    /// One row for each tensor of each network, batch size and reduction.
    pub rows: Vec<Row>,
    /// The worst of the rows, by op.
    pub ops: Vec<OpRow>,
    /// Whether every row passed.
    pub passed: bool,
}

/// Where a network was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointRow {
    /// The network.
    pub network: String,
    /// Samples in the batch.
    pub batch: usize,
    /// Points drawn until no kink was near, no batch norm too steep and no gradient too faint for differences.
    pub draws: u32,
    /// The smallest `|x|` that a ReLU was given, or a pooling's largest input was ahead of another, if the network has either.
    pub nearest_kink: Option<f64>,
}

/// The gradient of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The network.
    pub network: String,
    /// Samples in the batch.
    pub batch: usize,
    /// `mean` or `sum` of the samples' losses.
    pub reduction: String,
    /// The op whose parameter it is, or that reads it.
    pub op: &'static str,
    /// The parameter's name in the checkpoint (`1.weight`), `input of 2` for what node 2 reads, `logits`, or `loss` for the
    /// loss itself.
    pub tensor: String,
    /// Numbers in the tensor, every one of which was compared; for the loss, samples.
    pub parameters: usize,
    /// (a) the f64 backward pass against central differences, over all elements:
    /// `|a − n| / max(|a|, |n|, FLOOR · the tensor's largest gradient)`; `None` for the loss.
    pub worst_relative_difference: Option<f64>,
    /// (b) the f32 code that trains, against the f64 one; empty for tensors that are no parameters, whose gradients
    /// training overwrites.
    pub isas: Vec<IsaRow>,
}

/// The f32 gradient of one parameter, or the f32 loss, on one instruction set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IsaRow {
    /// The instruction set.
    pub isa: &'static str,
    /// Threads of the pool.
    pub threads: usize,
    /// The largest `|f32 − f64|`.
    pub worst_error: f64,
    /// The rounding bound of the element where that is.
    pub bound_there: f64,
    /// The largest `|f32 − f64| / bound` of any element.
    pub worst_ratio: f64,
    /// The largest relative error, in the measure of [`Row::worst_relative_difference`].
    pub worst_relative_error: f64,
    /// The largest bound of any element over the tensor's largest gradient: the bound must be tight to mean something.
    pub widest_bound: f64,
    /// Whether the gradient has the same bits as on one thread.
    pub same_bits: bool,
}

/// The worst of all rows that an op has a part in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpRow {
    /// The op.
    pub op: &'static str,
    /// (a) gradients compared: those of the op's parameters and of what it reads.
    pub compared: usize,
    /// (a) the worst of them.
    pub worst_relative_difference: f64,
    /// (b) for each instruction set, the worst ratio of error to bound of all parameters whose gradient came through this op
    /// (through its backward pass, or of a layer that it feeds); `None` if there is no such parameter.
    pub worst_ratio: Vec<(&'static str, Option<f64>)>,
}

impl Row {
    /// Whether it is within [`TOLERANCE`], its bounds, and equal for any number of threads. NaN never is.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.worst_relative_difference.is_none_or(|worst| worst <= TOLERANCE) && self.isas.iter().all(IsaRow::passed)
    }
}

impl IsaRow {
    /// Whether every element is within its bound, and equal for any number of threads. NaN never is.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.worst_ratio <= 1.0 && self.same_bits
    }
}

/// The larger of two; NaN is the largest of all, so that it cannot hide.
pub(super) fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The worst of all; 0 of none.
pub(crate) fn worst(all: impl Iterator<Item = f64>) -> f64 {
    all.fold(0.0, worse)
}

/// `|a − b| / max(|a|, |b|, floor)`; equal numbers differ by 0, even if all are 0.
fn relative(a: f64, b: f64, floor: f64) -> f64 {
    if a == b { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()).max(floor) }
}

/// The largest magnitude.
fn largest(x: &[f64]) -> f64 {
    worst(x.iter().map(|x| x.abs()))
}

/// The comparison of (a): the worst relative difference of one tensor's gradients.
pub(super) fn worst_relative(a: &[f64], b: &[f64]) -> f64 {
    let floor = FLOOR * worse(largest(a), largest(b));
    worst(a.iter().zip(b).map(|(&a, &b)| relative(a, b, floor)))
}

/// The comparison of (b): one tensor as f32 arithmetic has it, against f64 and the bounds. `same_bits` is the caller's to say.
pub(super) fn compare_with_bound(
    isa: &'static str,
    threads: usize,
    got: &[f64],
    want: &[f64],
    bound: &[f64],
) -> IsaRow {
    let (mut worst_error, mut bound_there, mut worst_ratio) = (0.0, bound.first().copied().unwrap_or(0.0), 0.0);
    for ((got, want), &bound) in got.iter().zip(want).zip(bound) {
        let error = (got - want).abs();
        if error.is_nan() || error > worst_error {
            (worst_error, bound_there) = (error, bound);
        }
        worst_ratio = worse(worst_ratio, if error == 0.0 { 0.0 } else { error / bound });
    }
    let (widest, size) = (largest(bound), largest(want));
    IsaRow {
        isa,
        threads,
        worst_error,
        bound_there,
        worst_ratio,
        worst_relative_error: worst_relative(got, want),
        widest_bound: if widest == 0.0 { 0.0 } else { widest / size },
        same_bits: true,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let isas: Vec<&str> = self.ops.first().map_or_else(Vec::new, |op| op.worst_ratio.iter().map(|w| w.0).collect());
        writeln!(f, "(a) f64 backward against central differences, step {:e}: worst relative difference", self.eps)?;
        writeln!(f, "(b) the f32 backward that trains against f64: worst error / rounding bound, by instruction set;")?;
        writeln!(f, "    the largest error of all, and the bound where it is")?;
        writeln!(f)?;
        let heading = |f: &mut fmt::Formatter<'_>, first: &str, last: &str| -> fmt::Result {
            write!(f, "{first:<32} {:>9} {:>9}", "compared", "(a)")?;
            isas.iter().try_for_each(|isa| write!(f, " {isa:>9}"))?;
            writeln!(f, " {last}")
        };
        heading(f, "op", "")?;
        for op in &self.ops {
            write!(f, "{:<32} {:>9} {:>9.1e}", op.op, op.compared, op.worst_relative_difference)?;
            for (_, ratio) in &op.worst_ratio {
                match ratio {
                    Some(ratio) => write!(f, " {ratio:>9.1e}")?,
                    None => write!(f, " {:>9}", "-")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        heading(f, "parameter", "    error     bound")?;
        for (network, tensor, parameters) in self.tensors() {
            let rows = || self.rows.iter().filter(move |row| row.network == network && row.tensor == tensor);
            write!(f, "{:<32} {parameters:>9}", format!("{network}  {tensor}"))?;
            match rows().filter_map(|row| row.worst_relative_difference).reduce(worse) {
                Some(difference) => write!(f, " {difference:>9.1e}")?,
                None => write!(f, " {:>9}", "-")?,
            }
            for isa in &isas {
                let of_isa = rows().flat_map(|row| &row.isas).filter(|row| row.isa == *isa);
                write!(f, " {:>9.1e}", worst(of_isa.map(|row| row.worst_ratio)))?;
            }
            let errors = rows().flat_map(|row| &row.isas).map(|row| (row.worst_error, row.bound_there));
            let (error, bound) = errors.fold((0.0, 0.0), |a, b| if b.0.is_nan() || b.0 > a.0 { b } else { a });
            writeln!(f, " {error:>9.1e} {bound:>9.1e}")?;
        }
        writeln!(f)?;
        for PointRow { network, batch, draws, nearest_kink } in &self.points {
            write!(f, "{network}, batch {batch}: draw {draws}")?;
            if let Some(nearest) = nearest_kink {
                write!(f, ", nearest kink of a ReLU or a maximum {nearest:.1e} away")?;
            }
            writeln!(f)?;
        }
        for row in self.rows.iter().filter(|row| !row.passed()) {
            let Row { network, batch, reduction, op, tensor, .. } = row;
            write!(f, "FAILED {network}, batch {batch}, {reduction}, {op} {tensor}:")?;
            if let Some(found) = row.worst_relative_difference.filter(|&worst| worst.is_nan() || worst > TOLERANCE) {
                write!(f, " (a) expected at most {TOLERANCE:e}, found {found:.2e};")?;
            }
            for isa in row.isas.iter().filter(|isa| !isa.passed()) {
                let IsaRow { isa, threads, worst_ratio, worst_error, bound_there, same_bits, .. } = isa;
                write!(f, " (b) {isa}, threads {threads}: ")?;
                if *same_bits {
                    write!(
                        f,
                        "error {worst_error:.2e} where {bound_there:.2e} is the bound, worst ratio {worst_ratio:.2e};"
                    )?;
                } else {
                    write!(f, "other bits than with one thread;")?;
                }
            }
            writeln!(f)?;
        }
        // A bound that is as large as what it bounds would let any gradient pass: those rows rest on (a) alone.
        let sharp = |row: &&IsaRow| row.widest_bound < 1.0;
        let bounds = || self.rows.iter().flat_map(|row| &row.isas);
        let (all, blunt) = (bounds().count(), bounds().filter(|row| !sharp(row)).count());
        let widest = worst(bounds().filter(sharp).map(|row| row.widest_bound));
        writeln!(f, "widest bound: {widest:.1e} of the largest gradient of its tensor")?;
        if blunt > 0 {
            writeln!(
                f,
                "{blunt} of {all} comparisons of (b) prove nothing: their bounds are wider than the gradient itself"
            )?;
        }
        let verdict = if self.passed { "passed" } else { "FAILED" };
        write!(
            f,
            "gradcheck {verdict}: (a) at most {TOLERANCE:e}, (b) at most 1, equal bits with every number of threads"
        )
    }
}

impl Report {
    /// Every parameter tensor, and the loss, once for each network, with the most elements that it had.
    fn tensors(&self) -> Vec<(&str, &str, usize)> {
        let mut tensors: Vec<(&str, &str, usize)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.isas.is_empty()) {
            match tensors.iter_mut().find(|(network, tensor, _)| *network == row.network && *tensor == row.tensor) {
                Some((.., most)) => *most = row.parameters.max(*most),
                None => tensors.push((&row.network, &row.tensor, row.parameters)),
            }
        }
        tensors
    }
}
