//! Checks the gradients that train, on every parameter of small networks of every op.
//!
//! In come networks and a seed, out goes a [`Report`]. Two comparisons, chained by one f64 backward pass (`oracle`):
//! - (a) f64 backward against f64 central differences: the formulas are right, to [`TOLERANCE`];
//! - (b) the f32 backward pass that trains, on every instruction set and for 1 and 2 threads, against the f64 one: the shipping code
//!   computes these formulas, to within the rounding of its arithmetic (`bound`).
//!
//! Differences mean nothing across the kink of a ReLU, and little where the rounding of the loss drowns them. So points are
//! drawn until every ReLU's input is further from 0 than ten steps of the difference and than its own rounding bound, and
//! every tensor's largest gradient stands out of that rounding (`Point::faintest`): both are known before any difference
//! is taken. The report says how many draws that took.
//!
//! [`chosen()`] compares six weights of a larger network by a wide step, as published reports do.

mod bound;
mod chosen;
mod norm;
mod oracle;
mod report;
mod shipping;
mod taps;

pub use chosen::{Chosen, ChosenOptions, ChosenRow, chosen};
pub(crate) use report::worst;
pub use report::{FLOOR, IsaRow, OpRow, PointRow, Report, Row, TOLERANCE};

use super::{ActivationKind, ModelSpec, Reduction, TrainError};
use crate::data::random::Random;
use crate::graph::{Conv2d, Graph, GraphError, Node, Op, Probability, TensorId, Window};
use crate::kernels::Isa;
use crate::shape::Shape;
use oracle::{Gradients, Point, Values};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Samples in a batch: one alone takes other ways through the kernels than several.
pub const BATCHES: [usize; 2] = [1, 5];
/// Threads of the pools in which the f32 backward pass runs.
pub const THREADS: [usize; 2] = [1, 2];
/// Most parameters of a network: each costs two forward passes in plain loops, so this many take some ten seconds.
pub const MAX_PARAMETERS: usize = 20_000;
/// Points drawn before giving up on one where differences mean something.
pub const MAX_DRAWS: u32 = 200;
/// Distance from a kink, in steps of the difference.
const KINK_STEPS: f64 = 10.0;
/// Largest step of the difference, in deviations of a channel that a batch norm divides by: a few hundred times its square are the tolerance.
const NORM_STEP: f64 = 5e-5;
/// Shape of a sample of the networks built here: as MNIST's, but 4 by 5 pixels.
const INPUT: [usize; 3] = [1, 4, 5];
/// What the rows call the loss and its gradient by the logits.
const CROSS_ENTROPY: &str = "cross entropy";
/// Classes of the networks built here.
const CLASSES: usize = 10;

/// What to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of weights, inputs and labels.
    pub seed: u64,
    /// The networks.
    pub networks: Vec<NetworkSpec>,
    /// Step of the central differences.
    pub eps: f64,
}

/// A network and what to call it.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// Its name in the report.
    pub name: String,
    /// The network.
    pub graph: Graph,
}

/// Why gradients could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradcheckError {
    /// No network was given.
    #[error("gradcheck: expected at least one network, found none")]
    NoNetworks,
    /// The step of the differences cannot be used.
    #[error("gradcheck: eps: expected a number above 0 and at most 0.01, found {0}")]
    Eps(f64),
    /// A network is too large to move every parameter.
    #[error(
        "gradcheck: {network}: every parameter is checked, so expected at most {MAX_PARAMETERS} of them, found {found}; \
         choose smaller hidden layers"
    )]
    TooLarge {
        /// The network.
        network: String,
        /// Its parameters.
        found: usize,
    },
    /// Labels are bytes.
    #[error("gradcheck: {network}: expected 1 to 256 classes, found {found}")]
    Classes {
        /// The network.
        network: String,
        /// Its classes.
        found: usize,
    },
    /// Every point drawn was near a kink: a ReLU's 0, or two inputs of a maximum alike.
    #[error(
        "gradcheck: {network}, batch {batch}: expected every ReLU's input further than {KINK_STEPS} steps from 0, and every largest of a \
         pooling from the next, found one nearer in each of {MAX_DRAWS} points drawn; choose a smaller eps or smaller hidden layers"
    )]
    Kinks {
        /// The network.
        network: String,
        /// Samples in the batch.
        batch: usize,
    },
    /// A batch norm divided by so little at every point drawn that a step of the differences is a long way behind it.
    #[error(
        "gradcheck: {network}, batch {batch}: expected batch norms that divide by more than {least:.1e}, which differences of step \
         {eps:e} need, found less in each of {MAX_DRAWS} points drawn; choose a smaller eps"
    )]
    Steep {
        /// The network.
        network: String,
        /// Samples in the batch.
        batch: usize,
        /// The step of the differences.
        eps: f64,
        /// The standard deviation that it needs.
        least: f64,
    },
    /// Some tensor's gradients were lost in the rounding of the loss at every point drawn.
    #[error(
        "gradcheck: {network}, batch {batch}: expected gradients that differences of step {eps:e} can resolve to \
         {TOLERANCE:e}, found smaller ones in each of {MAX_DRAWS} points drawn; choose fewer layers or a larger eps"
    )]
    Faint {
        /// The network.
        network: String,
        /// Samples in the batch.
        batch: usize,
        /// The step of the differences.
        eps: f64,
    },
    /// A network cannot be built.
    #[error("gradcheck: {0}")]
    Graph(#[from] GraphError),
    /// The training code refused the network or the batch.
    #[error("gradcheck: {0}")]
    Train(#[from] TrainError),
    /// Threads could not be started.
    #[error("gradcheck: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl NetworkSpec {
    /// A multilayer perceptron over samples of 4 by 5 pixels with 10 classes, as `--model mlp:HIDDEN,.. --activation ACTIVATION`.
    ///
    /// # Errors
    /// [`GraphError`] for a width of 0 or an op that is no activation.
    pub fn mlp(hidden: &[usize], activation: Op) -> Result<Self, GraphError> {
        let widths: Vec<String> = hidden.iter().map(usize::to_string).collect();
        let name = match widths.is_empty() {
            true => "linear".to_owned(),
            false => format!("mlp:{} {}", widths.join(","), activation.name()),
        };
        Ok(Self { name, graph: Graph::mlp(hidden, activation, input_shape()?, CLASSES)? })
    }

    /// A network as `--model MODEL --activation ACTIVATION` names it, over samples of 4 by 5 pixels with 10 classes.
    ///
    /// # Errors
    /// [`GradcheckError::Train`] if the layers make no network of such samples.
    pub fn of(model: &ModelSpec, activation: ActivationKind) -> Result<Self, GradcheckError> {
        let name = match model.hidden() {
            [] => model.to_string(),
            _ => format!("{model} {activation}"),
        };
        Ok(Self { name, graph: model.graph(activation, input_shape()?, CLASSES)? })
    }

    /// The networks checked unless others are asked for: no hidden layer, one of each activation, three of all kinds with a flatten between
    /// them, and convolutional ones, so that each op's backward pass runs. Widths are not multiples of any register.
    ///
    /// # Errors
    /// None for these sizes; the type is that of the graph's builder.
    pub fn standard() -> Result<Vec<Self>, GraphError> {
        let linear = |in_features, out_features| Op::Linear { in_features, out_features };
        let inputs = INPUT.iter().product();
        let mixed = [
            Op::Flatten,
            linear(inputs, 19),
            Op::Relu,
            Op::Flatten,
            linear(19, 17),
            Op::Tanh,
            linear(17, 13),
            Op::Sigmoid,
            linear(13, CLASSES),
        ];
        let mixed = Self { name: "mixed".to_owned(), graph: Graph::sequential(input_shape()?, &mixed)? };
        let hidden = [33];
        let mut networks = vec![
            Self::mlp(&[], Op::Relu)?,
            Self::mlp(&hidden, Op::Relu)?,
            Self::mlp(&hidden, Op::Tanh)?,
            Self::mlp(&hidden, Op::Sigmoid)?,
            mixed,
        ];
        networks.extend(Self::convolutional()?);
        Ok(networks)
    }

    /// Convolutions plain, in groups, with stride and padding, of unequal sides, of channels enough for Winograd's transforms; all poolings; batch
    /// norms of images and of rows; dropout; a residual block whose input has two readers; a log-softmax at the end.
    fn convolutional() -> Result<Vec<Self>, GraphError> {
        let conv = |in_channels, out_channels, kernel, stride, padding, groups, bias| {
            Op::Conv2d(Conv2d { in_channels, out_channels, kernel, stride, padding, groups, bias })
        };
        let window = |kernel, stride, padding| Window { kernel, stride, padding };
        let last = |in_features| Op::Linear { in_features, out_features: CLASSES };
        let p = Probability::new(0.3).map_err(|error| GraphError::Shape { layer: 0, op: "dropout", error })?;
        let norm = |features| Op::BatchNorm { features };
        let strided = [
            conv(1, 4, [3, 3], 1, 1, 1, true), // 4x4x5
            Op::Relu,
            conv(4, 6, [3, 2], 2, 1, 2, true), // 6x2x3
            Op::Tanh,
            conv(6, 6, [1, 1], 1, 0, 6, false),
            Op::Flatten,
            last(36),
        ];
        let pooled = [
            conv(1, 3, [3, 3], 1, 1, 1, true),   // 3x4x5
            Op::MaxPool2d(window([2, 3], 1, 1)), // 3x5x5
            Op::Tanh,
            Op::AvgPool2d(window([3, 3], 2, 1)), // 3x3x3
            Op::Flatten,
            last(27),
            Op::LogSoftmax,
        ];
        let transformed = [
            conv(1, 16, [3, 3], 1, 0, 1, true), // 16x2x3
            Op::Tanh,
            conv(16, 17, [3, 3], 1, 1, 1, true), // 17x2x3
            Op::Tanh,
            Op::MaxPool2d(window([2, 2], 2, 0)), // 17x1x1
            Op::Flatten,
            last(17),
        ];
        let averaged = [conv(1, 5, [2, 2], 1, 0, 1, true), Op::Tanh, Op::GlobalAvgPool, Op::Flatten, last(5)];
        let normed = [
            conv(1, 3, [3, 3], 1, 1, 1, false),
            norm(3),
            Op::Relu,
            Op::Flatten,
            Op::Dropout { p },
            Op::Linear { in_features: 60, out_features: 9 },
            Op::Tanh,
            norm(9),
            last(9),
        ];
        let sequential =
            |name: &str, ops: &[Op]| Ok(Self { name: name.to_owned(), graph: Graph::sequential(input_shape()?, ops)? });
        // The block of He et al.: two convolutions beside the identity.
        let mut nodes = Vec::new();
        let mut read = |op: Op, inputs: &[usize]| {
            let (name, output) = (nodes.len().to_string(), TensorId(nodes.len() + 1));
            nodes.push(Node { name, op, inputs: inputs.iter().map(|tensor| TensorId(*tensor)).collect(), output });
            nodes.len()
        };
        let trunk = read(conv(1, 3, [3, 3], 1, 1, 1, true), &[0]);
        let trunk = read(Op::Tanh, &[trunk]);
        let mut branch = read(conv(3, 3, [3, 3], 1, 1, 1, false), &[trunk]);
        branch = read(norm(3), &[branch]);
        branch = read(Op::Relu, &[branch]);
        branch = read(conv(3, 3, [3, 3], 1, 1, 3, false), &[branch]);
        branch = read(norm(3), &[branch]);
        let pooled_too = read(Op::AvgPool2d(window([3, 3], 1, 1)), &[trunk]);
        let sum = read(Op::Add, &[branch, trunk]);
        let sum = read(Op::Sigmoid, &[sum]);
        let sum = read(Op::Add, &[sum, pooled_too]);
        let end = read(Op::Flatten, &[sum]);
        read(last(60), &[end]);
        let residual = Self { name: "residual".to_owned(), graph: Graph::from_nodes(input_shape()?, nodes)? };
        Ok(vec![
            sequential("conv strided", &strided)?,
            sequential("conv pooled", &pooled)?,
            sequential("conv transformed", &transformed)?,
            sequential("conv averaged", &averaged)?,
            sequential("conv normed", &normed)?,
            residual,
        ])
    }
}

/// Shape of a sample of the networks built here.
fn input_shape() -> Result<Shape, GraphError> {
    Shape::new(&INPUT).map_err(|error| GraphError::Shape { layer: 0, op: "input", error })
}

impl Options {
    /// The standard networks, steps of 1e-5.
    ///
    /// # Errors
    /// As [`NetworkSpec::standard`].
    pub fn standard(seed: u64) -> Result<Self, GraphError> {
        Ok(Self { seed, networks: NetworkSpec::standard()?, eps: 1e-5 })
    }
}

/// Weights and one labelled batch, in the precision that trains.
#[derive(Clone, Debug)]
struct Sample {
    params: Vec<f32>,
    input: Vec<f32>,
    labels: Vec<u8>,
}

/// What the f32 code makes of a sample.
#[derive(Clone, Debug)]
struct Shipped {
    /// The gradient by every parameter.
    params: Vec<f32>,
    /// The samples' losses, added.
    loss_sum: f64,
}

/// Something that computes every parameter's gradient in f32: the code that trains, or in tests a broken one.
type Backward<'f> = &'f (dyn Fn(&Graph, &Sample, Reduction, Isa) -> Result<Shipped, GradcheckError> + Sync);

/// Compares all gradients of all networks.
///
/// # Errors
/// [`GradcheckError`] if there is nothing to compare. Gradients that are wrong are no error here: the report says so.
pub fn gradcheck(options: &Options) -> Result<Report, GradcheckError> {
    check_with(options, &shipping::backward)
}

/// [`gradcheck`] of any f32 backward pass.
fn check_with(options: &Options, backward: Backward<'_>) -> Result<Report, GradcheckError> {
    validate(options)?;
    let start = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    let pools: Vec<ThreadPool> = THREADS.into_iter().map(start).collect::<Result<_, _>>()?;
    let (mut points, mut rows) = (Vec::new(), Vec::new());
    for (index, network) in options.networks.iter().enumerate() {
        for batch in BATCHES {
            let clear = find_clear(options, index, batch)?;
            for reduction in [Reduction::Mean, Reduction::Sum] {
                rows.extend(compare(network, &clear, reduction, &pools, backward)?);
            }
            points.push(clear.row);
        }
    }
    let passed = rows.iter().all(Row::passed);
    let ops = by_op(&options.networks, &rows);
    Ok(Report { seed: options.seed, eps: options.eps, tolerance: TOLERANCE, points, rows, ops, passed })
}

/// Refuses options that leave nothing to compare.
fn validate(options: &Options) -> Result<(), GradcheckError> {
    if options.networks.is_empty() {
        return Err(GradcheckError::NoNetworks);
    }
    if !(options.eps > 0.0 && options.eps <= 0.01) {
        return Err(GradcheckError::Eps(options.eps));
    }
    for NetworkSpec { name, graph } in &options.networks {
        let network = || name.clone();
        if graph.param_count() > MAX_PARAMETERS {
            return Err(GradcheckError::TooLarge { network: network(), found: graph.param_count() });
        }
        if graph.classes() > 256 {
            return Err(GradcheckError::Classes { network: network(), found: graph.classes() });
        }
    }
    Ok(())
}

/// A point clear of every kink, and all that does not depend on the reduction.
struct Clear<'g> {
    sample: Sample,
    /// The point in f64, with a scale of 1: the summed loss.
    point: Point<'g>,
    values: Values,
    /// Bounds on the errors of the values.
    errors: Values,
    /// Central differences of the summed loss.
    differences: Gradients,
    row: PointRow,
}

/// Draws points until one is clear of every kink and no tensor's gradients are too faint for differences.
fn find_clear(options: &Options, index: usize, batch: usize) -> Result<Clear<'_>, GradcheckError> {
    let NetworkSpec { name, graph } = &options.networks[index];
    let (mut steep, mut faint) = (false, false);
    for draw in 0..MAX_DRAWS {
        let stream = ((index as u64) << 32) | ((batch as u64) << 16) | u64::from(draw);
        let sample = Sample::draw(graph, batch, &mut Random::new(options.seed, "gradcheck", stream));
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect();
        let point = Point::new(graph, wide(&sample.params), wide(&sample.input), sample.labels.clone());
        let values = point.forward();
        let errors = bound::forward(&point, &values);
        let mut nearest = f64::INFINITY;
        let mut clear = true;
        for (distance, error) in point.kinks(&values, &errors) {
            nearest = nearest.min(distance);
            clear &= distance > error.max(KINK_STEPS * options.eps);
        }
        if !clear {
            continue;
        }
        // Differences follow a batch norm to a part of (eps · inverse deviation)².
        if point.steepest_norm(&values) * options.eps >= NORM_STEP {
            steep = true;
            continue;
        }
        if point.faintest(&values) < point.loss_rounding(&values) / (2.0 * options.eps) / (FLOOR * TOLERANCE) {
            faint = true;
            continue;
        }
        let Some(differences) = point.differences(&values, options.eps) else { continue };
        let nearest_kink = nearest.is_finite().then_some(nearest);
        let row = PointRow { network: name.clone(), batch, draws: draw + 1, nearest_kink };
        return Ok(Clear { sample, point, values, errors, differences, row });
    }
    let network = name.clone();
    let eps = options.eps;
    Err(match (faint, steep) {
        (true, _) => GradcheckError::Faint { network, batch, eps },
        (false, true) => GradcheckError::Steep { network, batch, eps, least: eps / NORM_STEP },
        (false, false) => GradcheckError::Kinks { network, batch },
    })
}

impl Sample {
    /// Inputs uniform in [0, 1) as pixels are, labels uniform, weights and biases uniform with variance `2 / fan_in`:
    /// signals and gradients keep their size from layer to layer, so that no gradient drowns in the rounding of the loss.
    fn draw(graph: &Graph, batch: usize, random: &mut Random) -> Self {
        let mut params = vec![0.0; graph.weights_len()]; // running statistics take no part in a training pass
        for param in graph.params() {
            let limit = (6.0 / param.fan_in as f32).sqrt();
            params[param.range()].fill_with(|| (2.0 * random.unit() - 1.0) * limit);
        }
        let input = (0..batch * graph.input_shape().elements()).map(|_| random.unit()).collect();
        let labels = (0..batch).map(|_| random.below(graph.classes() as u32) as u8).collect(); // at most 256 classes
        Self { params, input, labels }
    }
}

/// The rows of one network at one point: parameters in the order of the flat vector, the loss, then what each node reads.
fn compare(
    NetworkSpec { name, graph }: &NetworkSpec,
    clear: &Clear<'_>,
    reduction: Reduction,
    pools: &[ThreadPool],
    backward: Backward<'_>,
) -> Result<Vec<Row>, GradcheckError> {
    let Clear { sample, values, errors, differences, .. } = clear;
    let batch = sample.labels.len();
    let scale = match reduction {
        Reduction::Mean => 1.0 / batch as f64,
        Reduction::Sum => 1.0,
    };
    let point = Point { scale, ..clear.point.clone() };
    let gradients = point.backward(values);
    let bounds = bound::backward(&point, values, errors, &gradients);
    let row = |op, tensor, parameters, worst_relative_difference| {
        let (network, reduction, isas) = (name.clone(), reduction.to_string(), Vec::new());
        Row { network, batch, reduction, op, tensor, parameters, worst_relative_difference, isas }
    };
    let differ = |op, tensor, a: &[f64], n: &[f64]| {
        let n: Vec<f64> = n.iter().map(|n| n * scale).collect(); // the loss is linear in its scale
        row(op, tensor, a.len(), Some(report::worst_relative(a, &n)))
    };

    let mut rows = Vec::new();
    for (node, of) in graph.nodes().iter().enumerate() {
        for param in graph.node_params(node) {
            let (a, n) = (&gradients.params[param.range()], &differences.params[param.range()]);
            rows.push(differ(of.op.name(), param.name.clone(), a, n));
        }
    }
    let mut loss = row(CROSS_ENTROPY, "loss".to_owned(), batch, None);
    let (loss_sum, loss_bound) =
        (point.losses(values).iter().sum(), bound::losses(&point, values, errors).iter().sum());
    for isa in Isa::available() {
        let mut on_one: Option<Shipped> = None;
        for (&threads, pool) in THREADS.iter().zip(pools) {
            let got = pool.install(|| backward(graph, sample, reduction, isa))?;
            let one = on_one.get_or_insert_with(|| got.clone());
            for (row, param) in rows.iter_mut().zip(graph.params()) {
                let at = param.range();
                let wide: Vec<f64> = got.params[at.clone()].iter().map(|&x| f64::from(x)).collect();
                let (want, bound) = (&gradients.params[at.clone()], &bounds[at.clone()]);
                let bits = |x: &Shipped| x.params[at.clone()].iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let same_bits = bits(&got) == bits(one);
                row.isas
                    .push(IsaRow { same_bits, ..report::compare_with_bound(isa.name(), threads, &wide, want, bound) });
            }
            let same_bits = got.loss_sum.to_bits() == one.loss_sum.to_bits();
            let compared = report::compare_with_bound(isa.name(), threads, &[got.loss_sum], &[loss_sum], &[loss_bound]);
            loss.isas.push(IsaRow { same_bits, ..compared });
        }
    }
    rows.push(loss);
    for (tensor, (a, n)) in gradients.tensors.iter().zip(&differences.tensors).enumerate() {
        let (op, name) = match graph.nodes().get(tensor) {
            Some(node) => (node.op.name(), format!("input of {}", node.name)),
            None => (CROSS_ENTROPY, "logits".to_owned()),
        };
        rows.push(differ(op, name, a, n));
    }
    Ok(rows)
}

/// The worst rows of each op, in the order in which ops first come.
fn by_op(networks: &[NetworkSpec], rows: &[Row]) -> Vec<OpRow> {
    let mut ops: Vec<&'static str> = Vec::new();
    for row in rows {
        if !ops.contains(&row.op) {
            ops.push(row.op);
        }
    }
    let summarise = |op: &&'static str| {
        let own = || rows.iter().filter(|row| row.op == *op);
        // A gradient came through the op if the op comes at or after the parameter's layer.
        let through = |row: &&Row| {
            let of = networks.iter().find(|network| network.name == row.network);
            *op == CROSS_ENTROPY || of.is_some_and(|of| comes_after(&of.graph, &row.tensor, op))
        };
        let worst_ratio = |isa: Isa| {
            let rows = rows.iter().filter(|row| !row.isas.is_empty()).filter(through);
            let ratios = rows.flat_map(|row| &row.isas).filter(|row| row.isa == isa.name()).map(|row| row.worst_ratio);
            (isa.name(), ratios.reduce(report::worse))
        };
        OpRow {
            op,
            compared: own().filter(|row| row.worst_relative_difference.is_some()).map(|row| row.parameters).sum(),
            worst_relative_difference: report::worst(own().filter_map(|row| row.worst_relative_difference)),
            worst_ratio: Isa::available().map(worst_ratio).collect(),
        }
    };
    ops.iter().map(summarise).collect()
}

/// Whether `op` is the layer of the parameter called `name` or comes after it.
fn comes_after(graph: &Graph, name: &str, op: &str) -> bool {
    let layer = (0..graph.nodes().len()).find(|&node| graph.node_params(node).iter().any(|param| param.name == name));
    layer.is_some_and(|layer| graph.nodes()[layer..].iter().any(|node| node.op.name() == op))
}

#[cfg(test)]
mod tests;
