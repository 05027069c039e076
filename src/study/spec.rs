//! The file of a study: its parts, the runs of each with the figures published of them, and what the report claims.

use super::figure::Figure;
use super::measure::Measure;
use super::rule::Rule;
use crate::data::{Splits, ValSize};
use crate::train::ConfigError;
use crate::train::sweep::{Sweep, plain};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// A published report, as what it trained.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its name on the command line.
    pub name: String,
    /// The report's title.
    pub title: String,
    /// When it was published.
    pub source: String,
    /// What the report leaves unsaid, and what was chosen.
    pub notes: Vec<String>,
    /// Its experiments, in the order of the report.
    pub parts: Vec<Part>,
}

/// An experiment: runs that are compared with each other.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name for `--only`, and of its directory.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// What was asked.
    pub asked: String,
    /// What has to be known to read it: choices, and reasons for what does not reproduce that were looked for.
    pub notes: Vec<String>,
    /// What is checked where nothing is trained.
    pub check: Option<Check>,
    /// The largest difference that the report published of its gradient check.
    pub largest_difference: Option<f64>,
    /// Within what its differences are, as the report claims.
    pub claimed_within: Option<f64>,
    /// The runs, each with what it sets over what all parts and all runs of the part have.
    pub runs: Vec<Run>,
    /// What the report claims.
    pub claims: Vec<Claim>,
    /// Runs that are compared on the same images.
    pub pairs: Vec<[String; 2]>,
    /// What it shows.
    pub figures: Vec<Figure>,
    /// Keys of every run.
    base: Table,
    /// Seeds that it takes at the least, if the report says how many.
    seeds: Option<u32>,
}

/// A run of a part, trained by several seeds.
#[derive(Clone, Debug)]
pub struct Run {
    /// What tables and rules call it.
    pub name: String,
    /// The published figures.
    pub published: Vec<Published>,
    /// Why a figure of it may not reproduce.
    pub caution: Option<String>,
    settings: Table,
}

/// A published figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// What it is of the runs of several seeds.
    pub of: Seeds,
    /// What was measured of each.
    pub measure: Measure,
    /// What the report says.
    pub value: f64,
    /// Whether it is held against ours; `shown test_accuracy@rising3` is not.
    pub judged: bool,
}

/// What a figure is of several runs that differ in their seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seeds {
    /// Their median.
    #[default]
    Median,
    /// `mean min_test_loss`: their mean.
    Mean,
    /// `sd min_test_loss`: their standard deviation.
    Deviation,
}

/// What a part checks without training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Gradients against central differences: of six weights of 784-128-10, and of every weight of small networks of every op.
    Gradients,
    /// Mean and standard deviation of the first training image, of 256 grey values.
    FirstImage,
}

/// A finding of the report.
#[derive(Clone, Debug)]
pub struct Claim {
    /// In words.
    pub text: String,
    /// In numbers: all of these.
    pub rules: Vec<Rule>,
    /// Whether it is not the report's but a goal of ours, or about what goes beyond the report: counted apart.
    pub ours: bool,
}

/// How much of a study is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Seeds of each run, from 1; parts that name more of them take more.
    pub seeds: u32,
    /// Whether a tenth of the epochs is enough, and a tenth of the samples where that would be less than one epoch.
    pub quick: bool,
    /// Samples at most, of every run: to see that it works.
    pub limit: Option<u64>,
}

impl Extent {
    /// Whether it is less than the whole study.
    #[must_use]
    pub const fn is_short(self) -> bool {
        self.quick || self.limit.is_some()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    title: String,
    source: String,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    base: Table,
    part: Vec<PartFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    name: String,
    title: String,
    asked: String,
    #[serde(default)]
    notes: Vec<String>,
    check: Option<Check>,
    largest_difference: Option<f64>,
    claimed_within: Option<f64>,
    seeds: Option<u32>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    run: Vec<RunFile>,
    #[serde(default)]
    finding: Vec<FindingFile>,
    #[serde(default)]
    compare: Vec<[String; 2]>,
    figure: Option<Vec<Figure>>,
}

#[derive(Deserialize)]
struct RunFile {
    name: String,
    #[serde(default)]
    published: BTreeMap<String, f64>,
    caution: Option<String>,
    #[serde(flatten)]
    settings: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingFile {
    claim: String,
    #[serde(default)]
    ours: bool,
    holds: Vec<String>,
}

impl Study {
    /// Reads the file of the study `name`.
    ///
    /// # Errors
    /// [`ConfigError`] for anything but the documented keys, measures that are none, and rules about runs that the part does not have.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let refuse = |found: String| ConfigError::new(name, "the file of a study", "its documented keys", found);
        let file: StudyFile = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let parts = file.part.into_iter().map(|part| Part::read(part, &file.base).map_err(refuse));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name: name.to_owned(), title: file.title, source: file.source, notes: file.notes, parts })
    }

    /// The part of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// What tables call a run of a seed.
pub(super) fn label(run: &str, seed: u64) -> String {
    format!("{run}, seed {seed}")
}

impl Published {
    /// Whether `row` is its line of a table.
    #[must_use]
    pub fn describes(&self, row: &super::results::Row) -> bool {
        row.published == self.value && row.measure == self.words()
    }

    /// What was measured, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self.of {
            Seeds::Median => self.measure.to_string(),
            Seeds::Mean => format!("mean of {}", self.measure),
            Seeds::Deviation => format!("standard deviation of {}", self.measure),
        }
    }

    fn parse(key: &str, value: f64) -> Result<Self, String> {
        let (words, measure) = key.rsplit_once(' ').unwrap_or(("", key));
        let (of, judged) = match words {
            "" => (Seeds::Median, true),
            "shown" => (Seeds::Median, false),
            "mean" => (Seeds::Mean, true),
            "sd" => (Seeds::Deviation, false),
            other => return Err(format!("expected mean, sd or shown before a measure, found {other:?}")),
        };
        Ok(Self { of, measure: measure.parse()?, value, judged })
    }
}

impl Part {
    fn read(file: PartFile, base: &Table) -> Result<Self, String> {
        let run = |RunFile { name, published, caution, settings }: RunFile| {
            let published = published.into_iter().map(|(key, value)| Published::parse(&key, value));
            Ok(Run { name, published: published.collect::<Result<_, String>>()?, caution, settings })
        };
        let claim = |FindingFile { claim, ours, holds }: FindingFile| {
            let rules = holds.iter().map(|rule| rule.parse()).collect::<Result<_, String>>()?;
            Ok(Claim { text: claim, rules, ours })
        };
        let runs = file.run.into_iter().map(run).collect::<Result<Vec<Run>, String>>()?;
        if runs.is_empty() == file.check.is_none() {
            return Err(format!("{}: a part trains runs or checks something, one of them", file.name));
        }
        let claims = file.finding.into_iter().map(claim).collect::<Result<Vec<Claim>, String>>()?;
        let base: Table = base.clone().into_iter().chain(file.base).collect();
        let figures = file.figure.unwrap_or_else(|| match runs.is_empty() {
            true => Vec::new(),
            false => Figure::usual(base.contains_key("split")),
        });
        for figure in &figures {
            figure.measures().map_err(|error| format!("{}: {}: {error}", file.name, figure.title()))?;
        }
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let unknown = |name: &str| format!("{}: {name:?} is none of its runs", file.name);
        for rule in claims.iter().flat_map(|claim| &claim.rules) {
            rule.check(&names).map_err(|name| unknown(&name))?;
        }
        let compared = file.compare.iter().flatten().map(String::as_str);
        if let Some(name) = compared.chain(figures.iter().flat_map(Figure::runs)).find(|name| !names.contains(name)) {
            return Err(unknown(name));
        }
        let PartFile { name, title, asked, notes, check, seeds, compare: pairs, .. } = file;
        let (largest_difference, claimed_within) = (file.largest_difference, file.claimed_within);
        Ok(Self {
            name,
            title,
            asked,
            notes,
            check,
            largest_difference,
            claimed_within,
            runs,
            claims,
            pairs,
            figures,
            base,
            seeds,
        })
    }

    /// What all its runs set, and what this one sets, as `key value` and in the order of the alphabet.
    #[must_use]
    pub fn settings(&self, run: Option<&Run>) -> Vec<(String, String)> {
        let table = run.map_or(&self.base, |run| &run.settings);
        table.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
    }

    /// How many seeds each run has.
    #[must_use]
    pub fn seeds(&self, extent: Extent) -> u32 {
        if extent.is_short() { extent.seeds } else { extent.seeds.max(self.seeds.unwrap_or(1)) }
    }

    /// The part as a sweep, of the data set `data`: every run with seed 1 in order, then with seed 2, so that more seeds leave the numbers
    /// of those before them as they were.
    ///
    /// # Errors
    /// [`ConfigError`] if a run breaks a rule, which the tests exclude for files of this crate.
    pub fn sweep(&self, extent: Extent, data: &str, splits: &Splits) -> Result<Sweep, ConfigError> {
        let mut base = self.base.clone();
        base.insert("data".to_owned(), Value::from(data));
        let mut runs = Vec::new();
        let all = (1..=self.seeds(extent)).flat_map(|seed| self.runs.iter().map(move |run| (seed, run)));
        for (seed, run) in all {
            let mut settings = run.settings.clone();
            if extent.quick {
                let of = |key: &str| settings.get(key).or_else(|| base.get(key)).cloned();
                let epochs = of("epochs").and_then(|epochs| epochs.as_integer()).unwrap_or(1);
                if epochs < 10 {
                    let split = of("split").and_then(|split| split.try_into::<ValSize>().ok());
                    let val = split.unwrap_or(ValSize::Count(0)).of(splits.train.len()).unwrap_or(0);
                    let samples = (splits.train.len() - val).div_ceil(10);
                    settings.insert("limit".to_owned(), Value::from(samples as i64));
                }
                settings.insert("epochs".to_owned(), Value::from((epochs / 10).max(1)));
            }
            if let Some(most) = extent.limit {
                let limit = settings.get("limit").and_then(Value::as_integer).unwrap_or(i64::MAX);
                settings.insert("limit".to_owned(), Value::from(limit.min(i64::try_from(most).unwrap_or(i64::MAX))));
            }
            settings.insert("seed".to_owned(), Value::from(i64::from(seed)));
            settings.insert("name".to_owned(), Value::from(label(&run.name, u64::from(seed))));
            runs.push(Value::Table(settings));
        }
        let table = Table::from_iter([("base".to_owned(), Value::Table(base)), ("run".to_owned(), Value::Array(runs))]);
        let text = toml::to_string(&table)
            .map_err(|error| ConfigError::new(&self.name, "a study becomes a sweep", "plain values", error))?;
        Sweep::parse(Path::new(&format!("{}.toml", self.name)), &text)
    }
}
