//! What a report claims, as an inequality between figures of its runs: `2 * epochs(both) < epochs(early stopping) - 1`. It is decided by
//! the medians of the seeds, or seed by seed: `in 4 of 5: min_test_loss(a) < min_test_loss(b)`, or by the most of several groups of runs, of
//! whose names the star stands for any part: `most: val_accuracy(* cosine) > val_accuracy(* constant)`.

use super::measure::Measure;
use std::fmt;
use std::str::FromStr;

/// Stands for the run with the highest of a figure: `max_val_accuracy(*)`.
pub(super) const BEST: &str = "*";
/// Begins a rule that is decided seed by seed, and one of most groups.
const SHARE: &str = "in ";
const MOST: &str = "most: ";

/// A factor, if there is one, times a figure of a run, or a number alone.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    factor: f64,
    figure: Option<(Measure, String)>,
}

/// `left < right`, `<=`, `>` or `>=` of sums of terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
    left: Vec<Term>,
    right: Vec<Term>,
    compare: Compare,
    /// How many seeds of how many it has to hold for; of the medians if there are none.
    share: Option<[u32; 2]>,
    /// Whether it has to hold for most groups.
    most: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A rule with the numbers that decide it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decided {
    /// The rule.
    pub rule: String,
    /// What stands on its left, and on its right.
    pub left: f64,
    /// Alike.
    pub right: f64,
    /// Whether it holds.
    pub holds: bool,
}

impl Rule {
    fn figures(&self) -> impl Iterator<Item = &str> {
        self.left.iter().chain(&self.right).filter_map(|term| term.figure.as_ref()).map(|(_, run)| run.as_str())
    }

    /// Whether it speaks of `runs` alone.
    ///
    /// # Errors
    /// The first name that is none of them, or that names no group.
    pub fn check(&self, runs: &[&str]) -> Result<(), String> {
        let unknown = |name: &&str| match self.most {
            true => self.groups(runs).is_empty() || !name.contains(BEST),
            false => *name != BEST && !runs.contains(name),
        };
        self.figures().find(unknown).map_or(Ok(()), |name| Err(name.to_owned()))
    }

    /// What the star can stand for: every run that it speaks of is one of `runs`.
    fn groups(&self, runs: &[&str]) -> Vec<String> {
        let Some((before, after)) = self.figures().next().and_then(|name| name.split_once(BEST)) else {
            return Vec::new();
        };
        let stems = runs.iter().filter_map(|run| run.strip_prefix(before)?.strip_suffix(after));
        let whole = |stem: &&str| self.figures().all(|name| runs.contains(&name.replace(BEST, stem).as_str()));
        stems.filter(whole).map(str::to_owned).collect()
    }

    /// Decides it by `figure` of the medians, or of a seed, counted from 0, of `seeds`; `None` if a run has no such figure. Of a rule of
    /// shares the left is the number of seeds it holds for, the right the number needed; of most groups of `runs` the number it holds for,
    /// and half of them.
    pub fn decide(
        &self,
        seeds: u32,
        runs: &[&str],
        figure: impl Fn(Measure, &str, Option<u32>) -> Option<f64>,
    ) -> Option<Decided> {
        if self.most {
            let groups = self.groups(runs);
            let each = groups
                .iter()
                .map(|stem| self.decide_by(|measure, run| figure(measure, &run.replace(BEST, stem), None)));
            let holding = each.collect::<Option<Vec<_>>>()?.iter().filter(|decided| decided.holds).count();
            let (left, right) = (holding as f64, groups.len() as f64 / 2.0);
            return Some(Decided { rule: self.text.clone(), left, right, holds: left > right });
        }
        let Some([needed, of]) = self.share else { return self.decide_by(|measure, run| figure(measure, run, None)) };
        let each = (0..seeds).map(|seed| self.decide_by(|measure, run| figure(measure, run, Some(seed))));
        let holding = each.collect::<Option<Vec<_>>>()?.iter().filter(|decided| decided.holds).count();
        let (left, right) = (holding as f64, (f64::from(needed) * f64::from(seeds) / f64::from(of)).ceil());
        Some(Decided { rule: self.text.clone(), left, right, holds: left >= right })
    }

    fn decide_by(&self, figure: impl Fn(Measure, &str) -> Option<f64>) -> Option<Decided> {
        let term = |term: &Term| match &term.figure {
            None => Some(term.factor),
            Some((measure, run)) => figure(*measure, run).map(|value| term.factor * value),
        };
        let left = self.left.iter().map(term).sum::<Option<f64>>()?;
        let right = self.right.iter().map(term).sum::<Option<f64>>()?;
        let holds = match self.compare {
            Compare::Less => left < right,
            Compare::AtMost => left <= right,
            Compare::More => left > right,
            Compare::AtLeast => left >= right,
        };
        Some(Decided { rule: self.text.clone(), left, right, holds })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text;
        let (share, text) = match text.strip_prefix(SHARE).map(|rest| rest.split_once(": ")) {
            None => (None, text),
            Some(share) => {
                let (share, rest) =
                    share.ok_or_else(|| format!("expected `in K of N: ` before a rule, found {text:?}"))?;
                let counts = share.split_once(" of ").and_then(|(k, n)| Some([k.parse().ok()?, n.parse().ok()?]));
                let counts = counts.filter(|[k, n]| (1..=*n).contains(k));
                (Some(counts.ok_or_else(|| format!("expected K of N, K at most N, found {share:?}"))?), rest)
            }
        };
        let (most, text) = text.strip_prefix(MOST).map_or((false, text), |rest| (true, rest));
        let compares =
            [(" <= ", Compare::AtMost), (" >= ", Compare::AtLeast), (" < ", Compare::Less), (" > ", Compare::More)];
        let found = compares.into_iter().find_map(|(sign, compare)| Some((text.split_once(sign)?, compare)));
        let ((left, right), compare) = found.ok_or_else(|| format!("expected one of < <= > >= in {text:?}"))?;
        Ok(Self { text: whole.to_owned(), left: sum(left)?, right: sum(right)?, compare, share, most })
    }
}

/// Terms with ` + ` or ` - ` between them; names of runs in brackets may hold anything but a closing one.
fn sum(text: &str) -> Result<Vec<Term>, String> {
    let (mut terms, mut rest, mut sign) = (Vec::new(), text.trim(), 1.0);
    loop {
        let behind = rest.find('(').map_or(0, |open| rest[open..].find(')').map_or(0, |close| open + close));
        // A number before the first figure ends at its own sign.
        let before = rest.find('(').unwrap_or(rest.len());
        let early = [" + ", " - "].iter().filter_map(|sign| rest[..before].find(sign)).min();
        let late = [" + ", " - "].iter().filter_map(|sign| rest[behind..].find(sign)).min().map(|at| behind + at);
        let end = early.or(late);
        terms.push(term(rest[..end.unwrap_or(rest.len())].trim(), sign)?);
        let Some(end) = end else { return Ok(terms) };
        sign = if rest[end..].starts_with(" + ") { 1.0 } else { -1.0 };
        rest = rest[end + 3..].trim();
    }
}

/// `2`, `2 * measure(run)` or `measure(run)`.
fn term(text: &str, sign: f64) -> Result<Term, String> {
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("expected a number, found {text:?}"));
    let (factor, figure) = match text.split_once(" * ") {
        Some((factor, figure)) => (number(factor)?, figure),
        None => (1.0, text),
    };
    match figure.strip_suffix(')').and_then(|figure| figure.split_once('(')) {
        Some((measure, run)) => Ok(Term { factor: sign * factor, figure: Some((measure.parse()?, run.to_owned())) }),
        None => Ok(Term { factor: sign * factor * number(figure)?, figure: None }),
    }
}
