//! `inkstone predict`: which digits pictures show.

use super::draw::framed;
use super::eval::check_input;
use super::machine::Machine;
use super::{End, Screen, deployed, model_file};
use clap::Args;
use inkstone::checkpoint::{Model, load_model};
use inkstone::data::picture;
use inkstone::export::image::Image;
use inkstone::kernels::softmax::softmax;
use inkstone::kernels::{Isa, elementwise::pixels_to_f32};
use inkstone::runtime;
use inkstone::train::Network;
use serde_json::json;
use std::path::PathBuf;

/// Tell which digits pictures show: PNG or PGM, any size, dark on bright or bright on dark.
///
/// A picture is made like MNIST's digits: inverted if its background is bright, cropped to the ink, scaled into 20 x 20,
/// centred by mass in 28 x 28. A picture of 28 x 28 with a dark border is taken as it is.
#[derive(Args)]
#[command(after_help = "Example:\n  inkstone predict runs/mlp-512-s1 seven.png --show")]
pub(crate) struct Predict {
    /// A model.safetensors, the directory of a run, or an image (.ink)
    model: PathBuf,
    /// Pictures of one digit each
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// Draw what the network saw
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    machine: Machine,
}

/// A picture as the network saw it, and the probability of each class.
type Seen = ([u8; picture::SIDE * picture::SIDE], Vec<f32>);

impl Predict {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let path = model_file(&self.model);
        let isa = self.machine.isa();
        let (all, classes): (Vec<Seen>, Vec<String>) = if deployed::is_image(&path) {
            let image = deployed::load(&path)?;
            let model = image.model()?;
            deployed::check_input(&path, &model, picture::SIDE, picture::SIDE)?;
            (self.look_by_image(&model, isa)?, deployed::classes(&model))
        } else {
            let model = load_model(&path)?;
            check_input(&path, &model, picture::SIDE, picture::SIDE)?;
            (self.machine.pool()?.install(|| self.look(&model, isa))?, model.meta.classes)
        };

        let mut results = Vec::with_capacity(all.len());
        for (file, (image, probabilities)) in self.pictures.iter().zip(&all) {
            let mut order: Vec<usize> = (0..probabilities.len()).collect();
            order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a])); // stable: of equals the first
            let class = |place: usize| classes[order[place]].as_str();
            let percent = |place: usize| 100.0 * probabilities[order[place]];
            if self.show {
                screen.say(framed(image, picture::SIDE, picture::SIDE));
            }
            let others: Vec<String> =
                (1..order.len().min(3)).map(|i| format!("{} {:.1} %", class(i), percent(i))).collect();
            screen.say(format_args!(
                "{}: {}  {:.1} %  {}",
                file.display(),
                screen.bold(class(0)),
                percent(0),
                screen.dim(format_args!("(then {})", others.join(", ")))
            ));
            let digit = class(0).parse::<u64>().map_or_else(|_| json!(class(0)), |digit| json!(digit));
            results.push(json!({ "file": file.display().to_string(), "digit": digit, "probabilities": probabilities }));
        }
        screen.answer("predict", &json!({ "results": results }));
        Ok(End::Done)
    }

    /// As [`look`](Self::look), by the device runtime.
    fn look_by_image(&self, model: &runtime::Model<'_>, isa: Isa) -> anyhow::Result<Vec<Seen>> {
        let mut arena = Image::zeros(model.arena_len(isa, 1)?);
        let mut bound = model.bind_with(isa, 1, arena.bytes_mut())?;
        let mut all = Vec::with_capacity(self.pictures.len());
        for file in &self.pictures {
            let image = picture::read(file)?;
            bound.input_mut().copy_from_slice(&image);
            let output = bound.run();
            let mut probabilities: Vec<f32> = (0..model.classes()).map(|class| output.logit(0, class)).collect();
            let classes = probabilities.len();
            softmax(isa, &mut probabilities, classes)?;
            all.push((image, probabilities));
        }
        Ok(all)
    }

    /// Reads every picture before anything is said, so that one that cannot be read leaves no half answer.
    fn look(&self, model: &Model, isa: Isa) -> anyhow::Result<Vec<Seen>> {
        let mut network = Network::inference(&model.graph, 1, isa)?;
        let mut all = Vec::with_capacity(self.pictures.len());
        for file in &self.pictures {
            let image = picture::read(file)?;
            let (scale, offset) = model.meta.normalize.affine(&image);
            pixels_to_f32(isa, &image, scale, offset, network.input_mut(1)?)?;
            let mut probabilities = network.forward_filled(&model.params, 1)?.to_vec();
            let classes = probabilities.len();
            softmax(isa, &mut probabilities, classes)?;
            all.push((image, probabilities));
        }
        Ok(all)
    }
}
