//! `inkstone inspect`: layers, shapes, parameters, operations and memory of a network.

use super::draw::table;
use super::screen::{bytes, grouped};
use super::{End, Screen, Usage, model_file};
use clap::Args;
use inkstone::checkpoint::load_model;
use inkstone::graph::{Graph, Plan};
use serde_json::json;
use std::path::PathBuf;

/// Show the layers of a network: shapes, parameters, operations, memory.
#[derive(Args)]
#[command(after_help = "Example:\n  inkstone inspect runs/mlp-512-s1")]
pub(crate) struct Inspect {
    /// A model.safetensors, or the directory of a run
    model: PathBuf,
    /// Samples in a batch, for the sizes of the arenas
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Also print where each tensor lies in the arenas, and when it is alive
    #[arg(long)]
    plan: bool,
}

/// Bytes of so many floats.
fn float_bytes(floats: usize) -> u64 {
    (floats as u64).saturating_mul(4)
}

/// Parameters of node `node`.
fn parameters(graph: &Graph, node: usize) -> u64 {
    graph.node_params(node).iter().map(|param| param.len as u64).sum()
}

impl Inspect {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let path = model_file(&self.model);
        let model = load_model(&path)?;
        let graph = &model.graph;
        let plans = (Plan::inference(graph, self.batch), Plan::training(graph, self.batch));
        let (inference, training) = match plans {
            (Ok(inference), Ok(training)) => (inference, training),
            (Err(error), _) | (_, Err(error)) => {
                return Err(Usage::error(format_args!("--batch {}: {error}", self.batch)));
            }
        };

        screen.say(format_args!("{} {}", path.display(), screen.dim(format_args!("sha256 {}", model.sha256))));
        screen.say(format_args!("input {}, pixels normalised: {}\n", graph.input_shape(), model.meta.normalize));
        screen.say(table(&layer_rows(graph)));
        screen.say(format_args!(
            "\nweights {}; arena for batches of {}: {} to infer, {} to train",
            bytes(float_bytes(graph.param_count())),
            self.batch,
            bytes(float_bytes(inference.arena_len())),
            bytes(float_bytes(training.arena_len())),
        ));
        screen.say(format_args!("classes {}", model.meta.classes.join(" ")));
        if self.plan {
            screen.say(format_args!("\n{}\n{inference}", screen.bold("Plan of inference")));
            screen.say(format_args!("\n{}\n{training}", screen.bold("Plan of training")));
        }
        let layers: Vec<_> = graph
            .nodes()
            .iter()
            .enumerate()
            .map(|(i, node)| {
                let (input, output) = (graph.shape(node.inputs[0]), graph.shape(node.output));
                json!({
                    "name": node.name, "op": node.op.name(), "input": input.dims(), "output": output.dims(),
                    "parameters": parameters(graph, i), "flops": graph.node_flops(i),
                })
            })
            .collect();
        screen.answer(
            "inspect",
            &json!({
                "model": path.display().to_string(),
                "sha256": model.sha256,
                "input": graph.input_shape().dims(),
                "normalize": model.meta.normalize,
                "classes": model.meta.classes,
                "layers": layers,
                "parameters": graph.param_count(),
                "flops": graph.flops(),
                "weight_bytes": float_bytes(graph.param_count()),
                "batch": self.batch,
                "arena_bytes": float_bytes(inference.arena_len()),
                "arena_training_bytes": float_bytes(training.arena_len()),
                "largest_live_set_bytes": float_bytes(inference.largest_live_set()),
                "largest_live_set_training_bytes": float_bytes(training.largest_live_set()),
            }),
        );
        Ok(End::Done)
    }
}

/// The table of layers, with heading and totals.
fn layer_rows(graph: &Graph) -> Vec<Vec<String>> {
    let mut rows = vec![["layer", "output", "parameters", "FLOP/sample"].map(str::to_owned).to_vec()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let flops = graph.node_flops(i);
        rows.push(vec![
            format!("{}: {}", node.name, node.op),
            graph.shape(node.output).to_string(),
            grouped(parameters(graph, i)),
            grouped(flops),
        ]);
    }
    let total = "total".to_owned();
    rows.push(vec![total, String::new(), grouped(graph.param_count() as u64), grouped(graph.flops())]);
    rows
}
