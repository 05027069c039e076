//! What came out of a part: published figures beside measured ones, claims beside what the runs say, and all that the page shows.

use super::exam::Specimen;
use super::measure::{Measure, Trained, Unit};
use super::rule::{BEST, Decided};
use super::spec::{Extent, Part, Published, Seeds, Study, label};
use super::statistics::{Paired, binomial_interval, deviation, mean, median};
use crate::data::{Dataset, Splits};
use crate::train::sweep::Ending;
use serde::{Deserialize, Serialize};

/// A published figure and ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The run.
    pub run: String,
    /// What was measured.
    pub measure: String,
    /// What the report says.
    pub published: f64,
    /// What the seeds have, in order.
    pub values: Vec<f64>,
    /// Their median, or what the report has of several runs; none if no run has the figure.
    pub measured: Option<f64>,
    /// The measured less the published figure.
    pub difference: Option<f64>,
    /// Of an accuracy the 95 % interval, since the images are few.
    pub interval: Option<[f64; 2]>,
    /// Whether the figure reproduces; none where it is not judged.
    pub reproduced: Option<bool>,
}

/// A claim, and what decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// In words.
    pub claim: String,
    /// Whether it is a goal of ours, or beyond the report: counted apart.
    #[serde(default)]
    pub ours: bool,
    /// Whether every rule holds; none if a run lacks a figure.
    pub holds: Option<bool>,
    /// The rules with their numbers.
    pub rules: Vec<Decided>,
}

/// A table of its own, as that of a gradient check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub head: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// What came out of a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// The study and the part.
    pub study: String,
    /// Alike.
    pub part: String,
    /// Seeds of each run.
    pub seeds: u32,
    /// Whether it was a tenth of the epochs, or of the samples.
    pub quick: bool,
    /// Samples at most, of every run, if it was cut to that.
    pub limit: Option<u64>,
    /// SHA-256 of the training images, their labels, the test images and theirs; none in results of earlier versions.
    #[serde(default)]
    pub data: Vec<String>,
    /// Published figures.
    pub rows: Vec<Row>,
    /// Claims.
    pub findings: Vec<Finding>,
    /// Runs on the same images, by the first seed.
    pub pairs: Vec<Paired>,
    /// What else was checked.
    pub sheets: Vec<Sheet>,
    /// Images to be shown.
    pub gallery: Vec<Specimen>,
    /// Runs that there should be and are not, with their seeds.
    pub missing: Vec<String>,
    /// Seconds of training of all runs together.
    pub seconds: f64,
    /// Every run, those of one name next to each other, by seed.
    pub runs: Vec<Trained>,
}

/// What is asked of `seeds` seeds, one of them or their median. None while one is missing: it might turn the verdict.
fn figure(runs: &[Trained], seeds: u32, measure: Measure, name: &str, seed: Option<u32>) -> Option<f64> {
    let of = |run: &&Trained| run.name == name && seed.is_none_or(|seed| run.seed == u64::from(seed) + 1);
    let values: Vec<f64> = runs.iter().filter(of).filter_map(|run| measure.of(run)).collect();
    median(&values).filter(|_| values.len() == if seed.is_some() { 1 } else { seeds as usize })
}

/// What [`PartResult::data`] is for `splits`.
#[must_use]
pub fn checksums(splits: &Splits) -> Vec<String> {
    [&splits.train, &splits.test].into_iter().flat_map(Dataset::sha256).cloned().collect()
}

impl PartResult {
    /// Nothing yet.
    #[must_use]
    pub fn new(study: &str, part: &str, seeds: u32, extent: Extent) -> Self {
        let Extent { quick, limit, .. } = extent;
        Self { study: study.to_owned(), part: part.to_owned(), seeds, quick, limit, ..Self::default() }
    }

    /// The median of its seeds' runs called `name`; none while one of them is missing.
    #[must_use]
    pub fn median(&self, measure: Measure, name: &str) -> Option<f64> {
        figure(&self.runs, self.seeds, measure, name, None)
    }

    /// Whether it is of other data than `splits`.
    #[must_use]
    pub fn is_of_other_data(&self, splits: &Splits) -> bool {
        !self.data.is_empty() && self.data != checksums(splits)
    }

    /// Of the runs that were trained, in any order; those that were not are missing.
    #[must_use]
    pub fn of(study: &Study, part: &Part, extent: Extent, trained: Vec<Trained>) -> Self {
        let mut result = Self::new(&study.name, &part.name, part.seeds(extent), extent);
        result.runs = trained;
        result.judge(part);
        result
    }

    /// Holds the runs against what was published and claimed, anew: stored results are judged by today's rules.
    pub fn judge(&mut self, part: &Part) {
        if part.runs.is_empty() {
            return; // checks have no runs to be judged by
        }
        let at = |run: &Trained| part.runs.iter().position(|known| known.name == run.name);
        self.runs.retain(|run| at(run).is_some() && (1..=u64::from(self.seeds)).contains(&run.seed));
        self.runs.sort_by_key(|run| (at(run), run.seed));
        // What did not come to its end has no figures to be judged by.
        let over = |run: &&Trained| run.record.ending == Ending::Finished;
        let (mut missing, mut diverged) = (Vec::new(), Vec::new());
        for (run, seed) in part.runs.iter().flat_map(|run| (1..=u64::from(self.seeds)).map(move |seed| (run, seed))) {
            let label = label(&run.name, seed);
            match self.runs.iter().find(|other| other.name == run.name && other.seed == seed) {
                // Why it is not there is known since it was left out.
                None => {
                    let known = self
                        .missing
                        .iter()
                        .find(|old| **old == label || old.starts_with(&format!("{label} (")))
                        .cloned()
                        .unwrap_or(label);
                    diverged.extend(known.contains(&format!("({}", Ending::Diverged)).then_some(run.name.as_str()));
                    missing.push(known);
                }
                Some(other) if !over(&other) => {
                    diverged.extend((other.record.ending == Ending::Diverged).then_some(run.name.as_str()));
                    missing.push(format!("{label} ({} after epoch {})", other.record.ending, other.record.epochs));
                }
                Some(_) => {}
            }
        }
        (self.missing, self.runs) = (missing, self.runs.iter().filter(over).cloned().collect());
        self.seconds = self.runs.iter().map(|run| run.record.seconds).sum();
        let published = part.runs.iter().flat_map(|run| run.published.iter().map(move |figure| (&run.name, figure)));
        let lost = |name: &str| diverged.iter().filter(|other| **other == name).count();
        let rows =
            published.map(|(name, published)| row(&self.runs, [self.seeds as usize, lost(name)], name, *published));
        self.rows = rows.collect();
        let names: Vec<&str> = part.runs.iter().map(|run| run.name.as_str()).collect();
        let claims = part.claims.iter().map(|claim| {
            let figure = |what: Measure, run: &str, seed: Option<u32>| match run {
                // One that diverged is not the best.
                BEST => {
                    let others = names.iter().filter(|name| lost(name) == 0);
                    let figures = others.map(|name| figure(&self.runs, self.seeds, what, name, seed));
                    figures.collect::<Option<Vec<f64>>>()?.into_iter().max_by(f64::total_cmp)
                }
                run => figure(&self.runs, self.seeds, what, run, seed),
            };
            let rules: Option<Vec<Decided>> =
                claim.rules.iter().map(|rule| rule.decide(self.seeds, &names, figure)).collect();
            let holds = rules.as_ref().map(|rules| rules.iter().all(|rule| rule.holds));
            Finding { claim: claim.text.clone(), ours: claim.ours, holds, rules: rules.unwrap_or_default() }
        });
        self.findings = claims.collect();
        let exam = |name: &str| self.run(name).and_then(|run| run.exam.as_ref());
        let pairs = part.pairs.iter().filter_map(|names| {
            let wrong = [exam(&names[0])?.wrong.as_slice(), exam(&names[1])?.wrong.as_slice()];
            Some(Paired::of(names.clone(), wrong))
        });
        self.pairs = pairs.collect();
    }

    /// The run of this name with seed 1, if it came to its end: what pictures show, and what is compared image by image.
    #[must_use]
    pub fn run(&self, name: &str) -> Option<&Trained> {
        self.first_seeds().find(|run| run.name == name)
    }

    /// The runs of seed 1.
    pub fn first_seeds(&self) -> impl Iterator<Item = &Trained> {
        self.runs.iter().filter(|run| run.seed == 1)
    }

    /// Whether it was less than the whole part.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.quick || self.limit.is_some()
    }

    /// How many published figures were judged and reproduced, and how many claims were decided and hold.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let judged = self.rows.iter().filter_map(|row| row.reproduced);
        let decided = self.findings.iter().filter(|finding| !finding.ours).filter_map(|finding| finding.holds);
        Tally {
            judged: judged.clone().count(),
            reproduced: judged.filter(|good| *good).count(),
            decided: decided.clone().count(),
            holding: decided.filter(|holds| *holds).count(),
        }
    }
}

/// Counts of verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Published figures that were judged, and those of them that reproduced.
    pub judged: usize,
    /// Alike.
    pub reproduced: usize,
    /// Claims that were decided, and those of them that hold.
    pub decided: usize,
    /// Alike.
    pub holding: usize,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            judged: self.judged + other.judged,
            reproduced: self.reproduced + other.reproduced,
            decided: self.decided + other.decided,
            holding: self.holding + other.holding,
        }
    }
}

/// A published figure beside the runs of its name, of whose seeds some diverged.
fn row(runs: &[Trained], [seeds, diverged]: [usize; 2], name: &str, published: Published) -> Row {
    let measure = published.words();
    let Published { of, measure: what, value: published, judged } = published;
    let ours = || runs.iter().filter(|run| run.name == name);
    let values: Vec<f64> = ours().filter_map(|run| what.of(run)).collect();
    let (measured, unit) = match of {
        Seeds::Median => (median(&values), what.unit()),
        Seeds::Mean => (mean(&values), what.unit()),
        Seeds::Deviation => (deviation(&values), Unit::Shown),
    };
    let samples = ours().find_map(|run| what.samples(run)).filter(|_| of == Seeds::Median && unit == Unit::Percent);
    let interval =
        measured.zip(samples).map(|(percent, n)| binomial_interval(percent / 100.0, n).map(|end| 100.0 * end));
    let difference = measured.map(|measured| measured - published);
    // A seed that is not there might turn it.
    let judged = judged && values.len() + diverged == seeds;
    let reproduced = match unit.accepts(published, difference.map_or(f64::NAN, |difference| published + difference)) {
        Some(good) if judged => Some(good && diverged == 0),
        _ => None,
    };
    Row { run: name.to_owned(), measure, published, values, measured, difference, interval, reproduced }
}
