//! The file of a study: its parts, the runs of each with the figures published of them, and what the report claims.

use super::measure::Measure;
use super::rule::{BEST, Rule};
use crate::data::{Splits, ValSize};
use crate::train::ConfigError;
use crate::train::sweep::Sweep;
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
    /// The runs, each with what it sets over what all parts and all runs of the part have.
    pub runs: Vec<Run>,
    /// What the report claims.
    pub claims: Vec<Claim>,
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
    pub published: Vec<(Measure, f64)>,
    settings: Table,
}

/// A finding of the report.
#[derive(Clone, Debug)]
pub struct Claim {
    /// In words.
    pub text: String,
    /// In numbers: all of these.
    pub rules: Vec<Rule>,
}

/// How much of a study is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Seeds of each run, from 1; parts that name more of them take more.
    pub seeds: u32,
    /// Whether a tenth of the epochs is enough, and a tenth of the samples where that would be less than one epoch.
    pub quick: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    title: String,
    source: String,
    #[serde(default)]
    base: Table,
    part: Vec<PartFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    name: String,
    title: String,
    seeds: Option<u32>,
    #[serde(default)]
    base: Table,
    run: Vec<RunFile>,
    #[serde(default)]
    finding: Vec<FindingFile>,
}

#[derive(Deserialize)]
struct RunFile {
    name: String,
    #[serde(default)]
    published: BTreeMap<String, f64>,
    #[serde(flatten)]
    settings: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingFile {
    claim: String,
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
        Ok(Self { name: name.to_owned(), title: file.title, source: file.source, parts })
    }
}

impl Part {
    fn read(file: PartFile, base: &Table) -> Result<Self, String> {
        let run = |RunFile { name, published, settings }: RunFile| {
            let published = published.into_iter().map(|(measure, value)| Ok((measure.parse()?, value)));
            Ok(Run { name, published: published.collect::<Result<_, String>>()?, settings })
        };
        let claim = |FindingFile { claim, holds }: FindingFile| {
            let rules = holds.iter().map(|rule| rule.parse()).collect::<Result<_, String>>()?;
            Ok(Claim { text: claim, rules })
        };
        let runs = file.run.into_iter().map(run).collect::<Result<Vec<Run>, String>>()?;
        let claims = file.finding.into_iter().map(claim).collect::<Result<Vec<Claim>, String>>()?;
        let rules = claims.iter().flat_map(|claim| &claim.rules);
        if let Some(unknown) =
            rules.flat_map(Rule::runs).find(|name| *name != BEST && runs.iter().all(|run| run.name != *name))
        {
            return Err(format!("{}: a rule about {unknown:?}, which is none of its runs", file.name));
        }
        let base = base.clone().into_iter().chain(file.base).collect();
        Ok(Self { name: file.name, title: file.title, runs, claims, base, seeds: file.seeds })
    }

    /// How many seeds each run has.
    #[must_use]
    pub fn seeds(&self, extent: Extent) -> u32 {
        if extent.quick { extent.seeds } else { extent.seeds.max(self.seeds.unwrap_or(1)) }
    }

    /// The part as a sweep, of the data set `data`: its runs in order, each with every seed.
    ///
    /// # Errors
    /// [`ConfigError`] if a run breaks a rule, which the tests exclude for files of this crate.
    pub fn sweep(&self, extent: Extent, data: &str, splits: &Splits) -> Result<Sweep, ConfigError> {
        let mut base = self.base.clone();
        base.insert("data".to_owned(), Value::from(data));
        let mut runs = Vec::new();
        for run in &self.runs {
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
            settings.insert("name".to_owned(), Value::from(run.name.as_str()));
            runs.push(Value::Table(settings));
        }
        let seeds: Vec<Value> = (1..=self.seeds(extent)).map(|seed| Value::from(i64::from(seed))).collect();
        let table = Table::from_iter([
            ("base".to_owned(), Value::Table(base)),
            ("run".to_owned(), Value::Array(runs)),
            ("grid".to_owned(), Value::Table(Table::from_iter([("seed".to_owned(), Value::Array(seeds))]))),
        ]);
        let text = toml::to_string(&table)
            .map_err(|error| ConfigError::new(&self.name, "a study becomes a sweep", "plain values", error))?;
        Sweep::parse(Path::new(&format!("{}.toml", self.name)), &text)
    }
}
