//! A network and its weights as one safetensors file: tensors named and laid out as PyTorch's `state_dict`.
//!
//! The metadata holds the graph, the normalisation and the class names. Nothing in the file depends on threads, time or
//! place: the same weights give the same bytes.

use super::sealed::{self, Contents, Values, hex_sha256};
use super::{CheckpointError, write_atomic};
use crate::data::normalize::Normalize;
use crate::graph::Graph;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a network needs besides its graph and weights.
#[derive(Clone, PartialEq, Debug)]
pub struct Meta {
    /// How pixels become inputs.
    pub normalize: Normalize,
    /// Name of each class, in order of the logits.
    pub classes: Vec<String>,
}

/// Which run, and which step of it, a file belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunTag {
    /// Identity of the run.
    pub run_id: String,
    /// Updates made.
    pub step: u64,
}

/// A model file, read and checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// All weights: parameters, laid out by [`Graph::params`], then the running statistics of batch norms.
    pub params: Vec<f32>,
    /// Updates made, as batch norms count them; 0 for a network without any.
    pub updates: u64,
    /// Normalisation and class names.
    pub meta: Meta,
    /// The run and step, in the files inside a run's `last`, `previous` and `best`.
    pub run: Option<RunTag>,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

impl Model {
    /// Refuses a model of another network than `graph`; `file` is where the model came from.
    ///
    /// # Errors
    /// [`CheckpointError::Rule`] naming the file, both networks' layers and the first difference in shape.
    pub fn expect_graph(&self, file: &Path, graph: &Graph) -> Result<(), CheckpointError> {
        if self.graph == *graph {
            return Ok(());
        }
        Err(CheckpointError::rule(file, "must hold the network in use", describe(graph), describe(&self.graph)))
    }
}

/// The layers of a network in one line.
fn describe(graph: &Graph) -> String {
    let layers: Vec<String> = graph.nodes().iter().map(|node| node.op.to_string()).collect();
    format!("{} -> {}", graph.input_shape(), layers.join(", "))
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    graph: Graph,
    normalize: Normalize,
    classes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunTag>,
}

/// Writes a model after so many `updates` and returns the SHA-256 of the file in hex.
///
/// # Errors
/// [`CheckpointError::Rule`] if `params` or `meta` do not fit the graph, [`CheckpointError::Io`] if the file cannot be
/// written; the old file is then as it was.
pub fn save_model(
    path: &Path,
    graph: &Graph,
    params: &[f32],
    meta: &Meta,
    updates: u64,
) -> Result<String, CheckpointError> {
    let bytes = encode(path, graph, params, meta, updates, None)?;
    write_atomic(path, &bytes)?;
    Ok(hex_sha256(&[&bytes]))
}

/// Reads and checks a model that [`save_model`] wrote.
///
/// # Errors
/// [`CheckpointError`] naming the file and what is wrong with it: any bytes give a model or an error.
pub fn load_model(path: &Path) -> Result<Model, CheckpointError> {
    decode(path, &sealed::read_file(path)?)
}

/// Reads only the weights of `graph` from any safetensors file, with or without metadata: what PyTorch saved, too. A model that [`save_model`]
/// wrote must be whole.
///
/// # Errors
/// [`CheckpointError`] naming the file and the first tensor whose name, type or shape is not the network's; `params` is
/// then unchanged.
pub fn load_weights_into(path: &Path, graph: &Graph, params: &mut [f32]) -> Result<(), CheckpointError> {
    check_len(path, graph, params.len())?;
    let bytes = sealed::read_file(path)?;
    let contents = Contents::parse(path, &bytes)?;
    let weights = weights(path, &contents, graph)?.concat();
    if contents.is_sealed() {
        decode(path, &bytes)?;
    }
    params.copy_from_slice(&weights);
    Ok(())
}

/// SHA-256 of a file, in hex.
///
/// # Errors
/// [`CheckpointError`] if it cannot be read.
pub fn file_sha256(path: &Path) -> Result<String, CheckpointError> {
    Ok(hex_sha256(&[&sealed::read_file(path)?]))
}

/// The bytes of a model file.
pub(super) fn encode(
    path: &Path,
    graph: &Graph,
    params: &[f32],
    meta: &Meta,
    updates: u64,
    run: Option<RunTag>,
) -> Result<Vec<u8>, CheckpointError> {
    check_len(path, graph, params.len())?;
    check_meta(path, graph, meta)?;
    let Meta { normalize, classes } = meta.clone();
    let body = Body { graph: graph.clone(), normalize, classes, run };
    let mut tensors = Vec::new();
    for Tensor { name, shape, range } in tensors_of(graph) {
        tensors.push((name, shape, Values::F32(&params[range])));
    }
    let count = i64::try_from(updates).unwrap_or(i64::MAX);
    tensors.extend(counts_of(graph).into_iter().map(|name| (name, Vec::new(), Values::I64(count))));
    sealed::encode(path, &body, tensors)
}

/// The model in the bytes of a file.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Model, CheckpointError> {
    let contents = Contents::parse(path, bytes)?;
    let (body, seal) = contents.body::<Body>(path)?;
    let params = weights(path, &contents, &body.graph)?;
    let mut values: Vec<Values<'_>> = params.iter().map(|values| Values::F32(values)).collect();
    let mut updates = 0;
    for name in counts_of(&body.graph) {
        let count = contents.count(path, &name)?;
        values.push(Values::I64(count));
        updates = u64::try_from(count).unwrap_or(0);
    }
    sealed::check(path, &seal, &body, &values)?;
    let params = params.concat();
    let Body { graph, normalize, classes, run } = body;
    let meta = Meta { normalize, classes };
    check_meta(path, &graph, &meta)?;
    Ok(Model { graph, params, updates, meta, run, sha256: hex_sha256(&[bytes]) })
}

/// A tensor of numbers and its place in the flat vector of weights.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// Every tensor of numbers, in the order of the flat vector.
fn tensors_of(graph: &Graph) -> Vec<Tensor> {
    let params = graph.params().iter();
    let mut tensors: Vec<Tensor> = params
        .map(|param| Tensor { name: param.name.clone(), shape: param.shape.clone(), range: param.range() })
        .collect();
    for running in graph.running() {
        for (part, range) in [("running_mean", running.mean()), ("running_var", running.variance())] {
            tensors.push(Tensor { name: format!("{}.{part}", running.name), shape: vec![running.channels], range });
        }
    }
    tensors
}

/// The names of the tensors in which batch norms count batches.
fn counts_of(graph: &Graph) -> Vec<String> {
    graph.running().iter().map(|running| format!("{}.num_batches_tracked", running.name)).collect()
}

/// The tensors of `graph` from a file that holds them and nothing else.
fn weights(path: &Path, contents: &Contents<'_>, graph: &Graph) -> Result<Vec<Vec<f32>>, CheckpointError> {
    let tensors = tensors_of(graph);
    let shapes: Vec<_> = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect();
    contents.tensors(path, &shapes, &counts_of(graph))
}

/// Refuses weights that are not as many as the graph's.
fn check_len(path: &Path, graph: &Graph, found: usize) -> Result<(), CheckpointError> {
    if found == graph.weights_len() {
        return Ok(());
    }
    let expected = format!("{} values", graph.weights_len());
    Err(CheckpointError::rule(path, "parameters must be the network's", expected, format!("{found}")))
}

/// Refuses class names and a normalisation that the network cannot have.
fn check_meta(path: &Path, graph: &Graph, meta: &Meta) -> Result<(), CheckpointError> {
    if meta.classes.len() != graph.classes() {
        let (expected, found) = (format!("{} class names", graph.classes()), format!("{}", meta.classes.len()));
        return Err(CheckpointError::rule(path, "each output of the network has a class name", expected, found));
    }
    if let Normalize::MeanStd { mean, std } = meta.normalize
        && !(mean.is_finite() && std.is_finite() && std > 0.0)
    {
        let (expected, found) = ("a finite mean and a positive deviation", format!("mean {mean}, deviation {std}"));
        return Err(CheckpointError::rule(path, "pixels must be normalised to numbers", expected, found));
    }
    Ok(())
}
