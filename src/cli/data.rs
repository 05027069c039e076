//! `inkstone data verify|show`: is this the data set it claims to be, and what does it look like.

use super::draw::{Exhibit, gallery, table};
use super::screen::grouped;
use super::{End, Screen, Usage};
use anyhow::bail;
use clap::{Args, Subcommand};
use inkstone::data::augment::Augmenter;
use inkstone::data::dataset::FILES;
use inkstone::data::{Augment, Dataset, Source, verify};
use inkstone::kernels::Isa;
use serde_json::json;

/// Check a data set against its checksums, or look at it.
#[derive(Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(Verify),
    Show(Show),
}

/// Read the four files of a folder and compare their SHA-256 with MNIST's; exit code 1 if one differs.
#[derive(Args)]
struct Verify {
    #[command(flatten)]
    data: DataFlag,
}

/// Draw digits in the terminal.
#[derive(Args)]
struct Show {
    #[command(flatten)]
    data: DataFlag,
    /// Of the test set instead of the training set
    #[arg(long)]
    test: bool,
    /// The first sample to draw, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    from: usize,
    /// How many samples to draw
    #[arg(long, value_name = "N", default_value_t = 6)]
    count: usize,
    /// Only samples of this class
    #[arg(long, value_name = "CLASS")]
    label: Option<u8>,
    /// As training with this --augment sees them, as rotate=10,translate=0.1 (see train --help)
    #[arg(long, value_name = "SPEC", conflicts_with = "test")]
    augment: Option<Augment>,
    /// The seed of that training
    #[arg(long, value_name = "N", default_value_t = 1, requires = "augment")]
    seed: u64,
    /// The epoch of that training, counted from 1
    #[arg(long, value_name = "E", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), requires = "augment")]
    epoch: u32,
}

/// Where the data is.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataFlag {
    /// mnist (in $INKSTONE_DATA or ./data/mnist), or a folder with four IDX files
    #[arg(long, value_name = "mnist|DIR", default_value = "mnist")]
    pub(crate) data: Source,
}

impl Data {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        match &self.command {
            Command::Verify(command) => command.run(screen),
            Command::Show(command) => command.run(screen),
        }
    }
}

impl Verify {
    fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let dir = self.data.data.dir()?;
        let checks = verify(&dir)?;
        let good = checks.iter().all(|check| check.matches());
        screen.say(format_args!("{}: SHA-256 of the raw files", dir.display()));
        for (check, name) in checks.iter().zip(FILES) {
            let verdict = if check.matches() { screen.green("is MNIST's") } else { screen.red("is not MNIST's") };
            screen.say(format_args!("  {name}: {} samples, {} {verdict}", grouped(check.samples as u64), check.sha256));
            if !check.matches() {
                screen.say(format_args!("  {:width$}  expected {}", "", check.expected, width = name.len()));
            }
        }
        let files: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({
                    "file": check.path.display().to_string(),
                    "samples": check.samples,
                    "sha256": check.sha256,
                    "expected": check.expected,
                    "ok": check.matches(),
                })
            })
            .collect();
        screen.answer(
            "data verify",
            &json!({ "dir": dir.display().to_string(), "ok": good, "files": files,
            }),
        );
        if let Some(wrong) = checks.iter().find(|check| !check.matches()) {
            let (file, expected, found) = (wrong.path.display(), wrong.expected, &wrong.sha256);
            bail!("{file}: the SHA-256 of MNIST's raw file: expected {expected}, found {found}");
        }
        screen.say("These are the 60,000 training and 10,000 test digits of MNIST, to the byte.");
        Ok(End::Done)
    }
}

impl Show {
    fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let splits = self.data.data.load()?;
        let (set, part) = if self.test { (&splits.test, "test") } else { (&splits.train, "training") };
        let chosen = self.choose(set)?;
        let images = self.images(set, &chosen)?;
        let exhibits: Vec<Exhibit<'_>> = chosen
            .iter()
            .zip(&images)
            .map(|(&i, image)| Exhibit { image, caption: format!("#{i}: {}", set.label(i)) })
            .collect();
        screen.say(gallery(&exhibits, set.rows(), set.cols()));
        let mut counts = vec![0u64; set.classes()];
        set.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
        let line = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
        let classes = (0..counts.len()).map(|class| class.to_string()).collect();
        let samples = counts.iter().map(|&count| grouped(count)).collect();
        let size = format!("{}x{}", set.rows(), set.cols());
        screen.say(format_args!(
            "\n{} {part} images of {size} ({}), samples of each class:",
            grouped(set.len() as u64),
            set.name().unwrap_or("own set")
        ));
        screen.say(table(&[line("class", classes), line("samples", samples)]));
        let samples: Vec<_> = chosen.iter().map(|&i| json!({ "index": i, "label": set.label(i) })).collect();
        let augment = self.augment.map(|augment| augment.to_string());
        screen.answer(
            "data show",
            &json!({ "set": part, "name": set.name(), "images": set.len(), "rows": set.rows(),
                "cols": set.cols(), "per_class": counts, "sha256": set.sha256(), "samples": samples,
                "augment": augment,
            }),
        );
        Ok(End::Done)
    }

    /// The pixels of the samples `chosen`, augmented where that is asked for.
    fn images(&self, set: &Dataset, chosen: &[usize]) -> anyhow::Result<Vec<Vec<u8>>> {
        let Some(augment) = &self.augment else {
            return Ok(chosen.iter().map(|&i| set.image(i).to_vec()).collect());
        };
        let augmenter = Augmenter::new(augment, self.seed, set.rows(), set.cols())?;
        let (epoch, mut scratch) = (augmenter.epoch(self.epoch - 1), augmenter.scratch());
        let mut image = |&i: &usize| -> anyhow::Result<Vec<u8>> {
            Ok(epoch.image(Isa::best(), u32::try_from(i)?, set.image(i), &mut scratch)?.to_vec())
        };
        chosen.iter().map(&mut image).collect()
    }

    /// The samples to draw.
    fn choose(&self, set: &Dataset) -> anyhow::Result<Vec<usize>> {
        let classes = set.classes();
        if let Some(label) = self.label.filter(|&label| usize::from(label) >= classes) {
            return Err(Usage::error(format_args!(
                "--label: a class of the set: expected 0 to {}, found {label}",
                classes - 1
            )));
        }
        if self.from >= set.len() {
            let last = set.len() - 1;
            return Err(Usage::error(format_args!(
                "--from: a sample of the set: expected 0 to {last}, found {}",
                self.from
            )));
        }
        let wanted = |&i: &usize| self.label.is_none_or(|label| set.label(i) == label);
        Ok((self.from..set.len()).filter(wanted).take(self.count).collect())
    }
}
