//! Two times the same studies: what differs.

use crate::study::PartResult;
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
        self.verdicts[0] != self.verdicts[1]
    }

    /// The second figure less the first.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        Some(self.measured[1]? - self.measured[0]?)
    }
}

/// Every figure and claim that stands in both results; parts that only one has are named by the second list.
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
            let Some(other) = b.rows.iter().find(|other| (&other.run, &other.measure) == (&row.run, &row.measure))
            else {
                continue;
            };
            let what = format!("{}, {}", row.run, row.measure);
            changes.push(change(what, [row.measured, other.measured], [row.reproduced, other.reproduced]));
        }
        for finding in &a.findings {
            let Some(other) = b.findings.iter().find(|other| other.claim == finding.claim) else { continue };
            changes.push(change(finding.claim.clone(), [None; 2], [finding.holds, other.holds]));
        }
    }
    let only_second = second.iter().filter(|one| find(first, one).is_none());
    single.extend(only_second.map(|one| format!("{} {}: only in the second", one.study, one.part)));
    (changes, single)
}
