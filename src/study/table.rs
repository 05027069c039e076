//! What was published beside what was measured, and what a report claims beside what the runs say.

use super::measure::{self, Trained, Unit, median};
use super::rule::BEST;
use super::rule::Decided;
use super::spec::{Extent, Part, Study};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

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
    /// Their median; none if no run has the figure.
    pub median: Option<f64>,
    /// The median less the published figure.
    pub difference: Option<f64>,
    /// Whether the figure reproduces; none where it is not judged.
    pub reproduced: Option<bool>,
}

/// A claim, and what decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// In words.
    pub claim: String,
    /// Whether every rule holds; none if a run lacks a figure.
    pub holds: Option<bool>,
    /// The rules, by the medians of the seeds.
    pub rules: Vec<Decided>,
}

/// What came out of a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// The study and the part.
    pub study: String,
    /// Alike.
    pub part: String,
    /// What it is about.
    pub title: String,
    /// Seeds of each run.
    pub seeds: u32,
    /// Whether it was a tenth of the epochs, or of the samples.
    pub quick: bool,
    /// Published figures.
    pub rows: Vec<Row>,
    /// Claims.
    pub findings: Vec<Finding>,
    /// Seconds of training of all runs together.
    pub seconds: f64,
}

impl PartResult {
    /// Of the trained runs, those of one name and several seeds next to each other, in the order of the sweep.
    #[must_use]
    pub fn of(study: &Study, part: &Part, extent: Extent, trained: &[Trained]) -> Self {
        let (seeds, quick) = (part.seeds(extent), extent.quick);
        let of_run = |run: &str| {
            let at = part.runs.iter().position(|other| other.name == run).unwrap_or(usize::MAX);
            let first = at.saturating_mul(seeds as usize); // numbers are from 1
            trained.iter().filter(move |one| (first + 1..=first + seeds as usize).contains(&one.record.number))
        };
        let mut rows = Vec::new();
        for run in &part.runs {
            for (what, published) in &run.published {
                let values: Vec<f64> = of_run(&run.name).filter_map(|one| what.of(one)).collect();
                let median = median(&values);
                let difference = median.map(|median| median - published);
                let reproduced = difference.and_then(|difference| match what.unit() {
                    Unit::Percent => Some(difference >= -measure::POINTS),
                    Unit::Nats => Some(difference <= measure::PART * published),
                    Unit::Shown => None,
                });
                let (run, measure, published) = (run.name.clone(), what.to_string(), *published);
                rows.push(Row { run, measure, published, values, median, difference, reproduced });
            }
        }
        let findings = part.claims.iter().map(|claim| {
            let one = |what: measure::Measure, run: &str| {
                median(&of_run(run).filter_map(|one| what.of(one)).collect::<Vec<_>>())
            };
            let figure = |what: measure::Measure, run: &str| match run {
                BEST => part.runs.iter().filter_map(|run| one(what, &run.name)).max_by(f64::total_cmp),
                run => one(what, run),
            };
            let rules: Option<Vec<Decided>> = claim.rules.iter().map(|rule| rule.decide(figure)).collect();
            let holds = rules.as_ref().map(|rules| rules.iter().all(|rule| rule.holds));
            Finding { claim: claim.text.clone(), holds, rules: rules.unwrap_or_default() }
        });
        let findings = findings.collect();
        let seconds = trained.iter().map(|one| one.record.seconds).sum();
        let (study, part, title) = (study.name.clone(), part.name.clone(), part.title.clone());
        Self { study, part, title, seeds, quick, rows, findings, seconds }
    }
}

/// A number as its size asks for.
fn number(value: f64) -> String {
    if value == value.round() && value.abs() < 1e6 {
        format!("{value}")
    } else if value.abs() < 1.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

const fn yes(verdict: Option<bool>) -> &'static str {
    match verdict {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "-",
    }
}

/// A study as Markdown: a table and the findings of each part.
#[must_use]
pub fn markdown(study: &Study, results: &[PartResult]) -> String {
    let mut text = format!("# {}: {}\n\n{}.\n", study.name, study.title, study.source);
    for result in results.iter().filter(|result| result.study == study.name) {
        let _ = write!(
            text,
            "\n## {}{}\n\n`{}`, {} seed{}, {:.0} s of training.{}\n",
            result.title,
            if result.quick { " (quick)" } else { "" },
            result.part,
            result.seeds,
            if result.seeds == 1 { "" } else { "s" },
            result.seconds,
            if result.quick {
                " **Quick**: a tenth of the epochs, or of the samples. Nothing here says what the whole part would."
            } else {
                ""
            }
        );
        if !result.rows.is_empty() {
            text.push_str(
                "\n| run | figure | published | measured | seeds | difference | reproduced |\n|---|---|---|---|---|---|---|\n",
            );
        }
        for row in &result.rows {
            let Row { run, measure, published, values, median, difference, reproduced } = row;
            let spread = match (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max)) {
                (Some(min), Some(max)) if values.len() > 1 => format!("{} to {}", number(min), number(max)),
                _ => "-".to_owned(),
            };
            let shown = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), number);
            let _ = writeln!(
                text,
                "| {run} | {measure} | {} | {} | {spread} | {} | {} |",
                number(*published),
                shown(median),
                shown(difference),
                yes(*reproduced)
            );
        }
        for finding in &result.findings {
            let _ = writeln!(text, "\n- {}: {}.", finding.claim, yes(finding.holds));
            for rule in &finding.rules {
                let mark = if rule.holds { "" } else { ", not so" };
                let _ = writeln!(text, "  - `{}`: {} and {}{mark}", rule.rule, number(rule.left), number(rule.right));
            }
        }
    }
    text
}
