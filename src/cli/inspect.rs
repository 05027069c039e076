//! `inkstone inspect`: layers, shapes, parameters, operations and memory of a network.

use super::device::Device;
use super::draw::table;
use super::export::usage;
use super::screen::{bytes, grouped};
use super::{End, Screen, Usage, deployed, model_file};
use clap::Args;
use inkstone::checkpoint::{Meta, load_model};
use inkstone::data::Normalize;
use inkstone::graph::{Graph, Plan};
use inkstone::kernels::Isa;
use inkstone::runtime::device_arena_len;
use inkstone::shape::Shape;
use inkstone::train::memory::{Memory, Run};
use inkstone::train::{ActivationKind, ModelSpec, OptimizerKind};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show the layers of a network: shapes, parameters, operations, memory.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone inspect runs/mlp-512-s1\n  inkstone inspect resnet-small --batch 64\n  inkstone inspect model.ink"
)]
pub(crate) struct Inspect {
    /// An image (.ink), a model.safetensors, the directory of a run, or a network that is not trained yet, as `train --model` takes it, for MNIST's digits
    model: PathBuf,
    /// Samples in a batch, for the memory that inference and training take
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Of an image: instructions of each step on this core (cortex-m0, m3, m4, m7, m33), estimated from what QEMU counted of others
    #[arg(long, value_name = "CORE")]
    device: Option<String>,
    /// The clock of the device, for milliseconds: counted as one instruction a cycle, which only a Cortex-M7 can beat
    #[arg(long, value_name = "MHZ", requires = "device", default_value_t = 64.0)]
    clock: f64,
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
        if deployed::is_image(&self.model) {
            return self.run_image(screen);
        }
        if self.device.is_some() {
            return Err(Usage::error(
                "--device: an image says what a device will run: `inkstone quantize` makes one first",
            ));
        }
        let path = model_file(&self.model);
        let untrained = self.model.to_str().filter(|_| !path.exists()).and_then(|text| text.parse::<ModelSpec>().ok());
        let untrained = untrained.or_else(|| {
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            is_toml.then(|| ModelSpec::File(path.clone()))
        });
        let model = match untrained {
            Some(spec) => Subject::untrained(&spec)?,
            None => Subject::trained(&path)?,
        };
        let graph = &model.graph;
        let plans = (Plan::inference(graph, self.batch), Plan::training(graph, self.batch));
        let (inference, training) = match plans {
            (Ok(inference), Ok(training)) => (inference, training),
            (Err(error), _) | (_, Err(error)) => {
                return Err(Usage::error(format_args!("--batch {}: {error}", self.batch)));
            }
        };

        let about = match &model.sha256 {
            Some(sha256) => format!("sha256 {sha256}"),
            None => "not trained yet".to_owned(),
        };
        screen.say(format_args!("{} {}", self.model.display(), screen.dim(about)));
        match model.normalize {
            Some(normalize) => {
                screen.say(format_args!("input {}, pixels normalised: {normalize}\n", graph.input_shape()))
            }
            None => screen.say(format_args!("input {}\n", graph.input_shape())),
        }
        screen.say(table(&layer_rows(graph)));
        screen.say(format_args!(
            "\nweights {}; arena for batches of {}: {} to infer, {} to train",
            bytes(float_bytes(graph.param_count())),
            self.batch,
            bytes(float_bytes(inference.arena_len())),
            bytes(float_bytes(training.arena_len())),
        ));
        let memory = self.memory(graph)?;
        screen.say(format_args!(
            "training by Adam on {} digits takes {}: values {}, scratch {}, weights, gradients and moments {}, evaluation {}, samples {}",
            grouped(TRAIN as u64),
            bytes(memory.total()),
            bytes(memory.values),
            bytes(memory.scratch),
            bytes(memory.weights + memory.gradients + memory.moments),
            bytes(memory.evaluation),
            bytes(memory.samples),
        ));
        screen.say(format_args!("classes {}", model.classes.join(" ")));
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
                "model": model.sha256.as_ref().map(|_| path.display().to_string()),
                "sha256": model.sha256,
                "input": graph.input_shape().dims(),
                "normalize": model.normalize,
                "classes": model.classes,
                "layers": layers,
                "parameters": graph.param_count(),
                "flops": graph.flops(),
                "weight_bytes": float_bytes(graph.param_count()),
                "batch": self.batch,
                "training_bytes": memory.total(),
                "training_memory": memory,
                "arena_bytes": float_bytes(inference.arena_len()),
                "arena_training_bytes": float_bytes(training.arena_len()),
                "largest_live_set_bytes": float_bytes(inference.largest_live_set()),
                "largest_live_set_training_bytes": float_bytes(training.largest_live_set()),
            }),
        );
        Ok(End::Done)
    }
}

impl Inspect {
    /// An image, as it will lie in flash and run.
    fn run_image(&self, screen: &Screen) -> anyhow::Result<End> {
        if self.batch != 1 || self.plan {
            return Err(Usage::error(
                "--batch, --plan: an image holds its own plan, for one digit at a time: leave them out",
            ));
        }
        let device = self.device.as_deref().map(|core| Device::named(core, self.clock)).transpose()?;
        let image = deployed::load(&self.model)?;
        let model = image.model()?;
        let (arena, classes) = (device_arena_len(image.bytes()), deployed::classes(&model));
        let about = format!("crc32 {:08x}, release {}", model.crc32(), model.release());
        screen.say(format_args!("{} {}\n", self.model.display(), screen.dim(about)));
        screen.say(usage(&model));
        screen.say(format_args!(
            "\n{} of flash; {} of memory to run in on a chip without vectors, {} on this machine",
            bytes(model.len() as u64),
            bytes(arena as u64),
            bytes(model.arena_len(Isa::best(), 1)? as u64)
        ));
        screen.say(format_args!("classes {}", classes.join(" ")));
        let estimate = device.as_ref().map(|device| device.estimate(&model));
        if let (Some(device), Some(estimate)) = (&device, &estimate) {
            screen.say(format_args!("\n{}", device.table(&model, estimate, arena)));
        }
        let steps: Vec<_> = model
            .steps()
            .map(|step| {
                let tensor = model.tensor(step.index + 1);
                let reads: Vec<usize> = [Some(step.a), step.b].into_iter().flatten().collect();
                json!({
                    "step": step.index, "op": step.name(), "reads": reads,
                    "output": tensor.map(|tensor| tensor.dims), "offset": tensor.map(|tensor| tensor.offset),
                    "scale": tensor.map(|tensor| tensor.scale), "zero_point": tensor.map(|tensor| tensor.zero_point),
                    "constants": model.step_constants_len(step.index), "macs": step.macs(),
                    "scratch": model.scratch_len(Isa::SCALAR, 1, step.index).ok(),
                })
            })
            .collect();
        screen.answer(
            "inspect",
            &json!({
                "model": self.model.display().to_string(), "kind": model.kind().name(), "crc32": format!("{:08x}", model.crc32()),
                "release": model.release(), "flash": model.len(), "constants": model.constants_len(), "arena": arena,
                "activations": model.activations_len(), "macs": model.macs(), "classes": classes, "steps": steps,
                "device": self.device, "stack": device.as_ref().map(Device::stack), "instructions": estimate,
                "milliseconds": device.as_ref().zip(estimate.as_ref()).and_then(|(device, steps)| device.milliseconds(steps)),
            }),
        );
        Ok(End::Done)
    }
}

/// Samples of MNIST's training set.
const TRAIN: usize = 60_000;

impl Inspect {
    /// What training the network on MNIST takes, with as many threads as the machine has.
    fn memory(&self, graph: &Graph) -> anyhow::Result<Memory> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let optimizer = OptimizerKind::Adam;
        let (batch, isa) = (self.batch, Isa::best());
        Ok(Memory::of(graph, Run { batch, threads, isa, optimizer, average: false, train: TRAIN, val: 0 })?)
    }
}

/// What is looked at.
struct Subject {
    graph: Graph,
    sha256: Option<String>,
    normalize: Option<Normalize>,
    classes: Vec<String>,
}

impl Subject {
    fn trained(path: &Path) -> anyhow::Result<Self> {
        let model = load_model(path)?;
        let Meta { normalize, classes } = model.meta;
        Ok(Self { graph: model.graph, sha256: Some(model.sha256), normalize: Some(normalize), classes })
    }

    fn untrained(spec: &ModelSpec) -> anyhow::Result<Self> {
        let (input, classes) = (Shape::new(&[1, 28, 28])?, 10);
        let graph = spec.graph(ActivationKind::Relu, input, classes).map_err(Usage::error)?;
        let classes = (0..classes).map(|class| class.to_string()).collect();
        Ok(Self { graph, sha256: None, normalize: None, classes })
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
