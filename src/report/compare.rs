//! Two times the same studies: what differs.

use crate::study::{PartResult, Row};
use serde::Serialize;

/// A figure or a claim that both have, and what each says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The part.
    pub study: String,
    /// Alike.
    pub part: String,
    /// The run and the figure, or the claim.
    pub what: String,
    /// The measured figures; none of claims.
    pub measured: [Option<f64>; 2],
    /// The verdicts.
    pub verdicts: [Option<bool>; 2],
}

impl Change {
    /// Whether one reproduces or holds and the other does not.
    #[must_use]
    pub fn turned(&self) -> bool {
        matches!(self.verdicts, [Some(first), Some(second)] if first != second)
    }

    /// The second figure less the first.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        Some(self.measured[1]? - self.measured[0]?)
    }
}

/// Whether two rows are of one figure.
fn same_row(a: &Row, b: &Row) -> bool {
    (&a.run, &a.measure) == (&b.run, &b.measure)
}

/// Every figure and claim that stands in both results; parts, figures and claims that only one has are named by the second list.
#[must_use]
pub fn compare(first: &[PartResult], second: &[PartResult]) -> (Vec<Change>, Vec<String>) {
    let (mut changes, mut single) = (Vec::new(), Vec::new());
    let find = |all: &[PartResult], one: &PartResult| {
        all.iter().position(|other| (&other.study, &other.part) == (&one.study, &one.part))
    };
    for a in first {
        let Some(b) = find(second, a).map(|at| &second[at]) else {
            single.push(format!("{} {}: only in the first", a.study, a.part));
            continue;
        };
        if (a.seeds, a.quick, a.limit) != (b.seeds, b.quick, b.limit) {
            single.push(format!("{} {}: not equally long, or not as many seeds", a.study, a.part));
        }
        if a.data != b.data && !a.data.is_empty() && !b.data.is_empty() {
            single.push(format!("{} {}: of other data", a.study, a.part));
        }
        let change = |what: String, measured, verdicts| Change {
            study: a.study.clone(),
            part: a.part.clone(),
            what,
            measured,
            verdicts,
        };
        for row in &a.rows {
            let what = format!("{}, {}", row.run, row.measure);
            let Some(other) = b.rows.iter().find(|other| same_row(other, row)) else {
                single.push(format!("{} {}: {what}: only in the first", a.study, a.part));
                continue;
            };
            changes.push(change(what, [row.measured, other.measured], [row.reproduced, other.reproduced]));
        }
        for finding in &a.findings {
            let Some(other) = b.findings.iter().find(|other| other.claim == finding.claim) else {
                single.push(format!("{} {}: {}: only in the first", a.study, a.part, finding.claim));
                continue;
            };
            changes.push(change(finding.claim.clone(), [None; 2], [finding.holds, other.holds]));
        }
        let rows = b.rows.iter().filter(|row| !a.rows.iter().any(|other| same_row(other, row)));
        let rows = rows.map(|row| format!("{}, {}", row.run, row.measure));
        let claims = b.findings.iter().filter(|one| !a.findings.iter().any(|other| other.claim == one.claim));
        let news = rows.chain(claims.map(|finding| finding.claim.clone()));
        single.extend(news.map(|what| format!("{} {}: {what}: only in the second", a.study, a.part)));
    }
    let only_second = second.iter().filter(|one| find(first, one).is_none());
    single.extend(only_second.map(|one| format!("{} {}: only in the second", one.study, one.part)));
    (changes, single)
}
