//! What a report claims, as an inequality between figures of its runs: `2 * epochs(both) < epochs(early stopping) - 1`.

use super::measure::Measure;
use std::fmt;
use std::str::FromStr;

/// Stands for the run with the highest of a figure: `max_val_accuracy(*)`.
pub(super) const BEST: &str = "*";

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
    /// The runs that it speaks of.
    pub fn runs(&self) -> impl Iterator<Item = &str> {
        self.left.iter().chain(&self.right).filter_map(|term| term.figure.as_ref()).map(|(_, run)| run.as_str())
    }

    /// Decides it by `figure`; `None` if a run has no such figure.
    pub fn decide(&self, figure: impl Fn(Measure, &str) -> Option<f64>) -> Option<Decided> {
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
        let compares =
            [(" <= ", Compare::AtMost), (" >= ", Compare::AtLeast), (" < ", Compare::Less), (" > ", Compare::More)];
        let found = compares.into_iter().find_map(|(sign, compare)| Some((text.split_once(sign)?, compare)));
        let ((left, right), compare) = found.ok_or_else(|| format!("expected one of < <= > >= in {text:?}"))?;
        Ok(Self { text: text.to_owned(), left: sum(left)?, right: sum(right)?, compare })
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
