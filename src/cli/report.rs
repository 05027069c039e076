//! `inkstone report`: the page of studies made anew, or two times the same studies compared.

use super::draw::table;
use super::{End, Screen, shell_word};
use clap::Args;
use inkstone::report::{self, Change, PAGE, ReportError, compare, verdict};
use inkstone::study::{self, PartResult};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make the page of studies anew from what they left, or compare two of them.
///
/// With one directory: reads its results.json, judges it by the rules of this version, and writes report.html, report.md and the pictures.
/// With two: every figure and claim that differs between them.
#[derive(Args)]
#[command(after_help = "Examples:\n  inkstone report runs/studies\n  inkstone report runs/studies runs/studies-of-may")]
pub(crate) struct Report {
    /// Directory of studies, as `inkstone study --out` has it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Another one, to compare with
    #[arg(value_name = "DIR2")]
    other: Option<PathBuf>,
}

impl Report {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let all = report::read(&self.dir)?;
        let results = known(&self.dir, &all)?;
        if let Some(other) = &self.other {
            self.compare(screen, &results, other, &known(other, &report::read(other)?)?);
            return Ok(End::Done);
        }
        // What another version trained stays in results.json, if not on the page.
        report::write(&self.dir, &all)?;
        let missing: Vec<String> = results
            .iter()
            .flat_map(|one| one.missing.iter().map(move |run| format!("{} {}: {run}", one.study, one.part)))
            .collect();
        for run in &missing {
            screen.say(format_args!("without a result: {run}"));
        }
        let page = self.dir.join(PAGE);
        screen.say(format_args!("Report of {} parts: {}", results.len(), shell_word(&page)));
        let parts: Vec<String> = results.iter().map(|one| format!("{} {}", one.study, one.part)).collect();
        screen.answer("report", &json!({ "page": page.display().to_string(), "parts": parts, "missing": missing }));
        Ok(End::Done)
    }

    fn compare(&self, screen: &Screen, first: &[PartResult], other: &Path, second: &[PartResult]) {
        let (changes, single) = compare(first, second);
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let differs = |change: &&Change| {
            change.verdicts[0] != change.verdicts[1] || change.difference().is_some_and(|apart| apart != 0.0)
        };
        let heading = ["part", "what", "first", "second", "apart", "verdict"].map(str::to_owned).to_vec();
        let rows = changes.iter().filter(differs).map(|change| {
            let verdicts = match change.verdicts[0] != change.verdicts[1] {
                true => format!("{} -> {}", verdict(change.verdicts[0]), verdict(change.verdicts[1])),
                false => verdict(change.verdicts[0]).to_owned(),
            };
            let [a, b] = change.measured.map(number);
            vec![
                format!("{} {}", change.study, change.part),
                change.what.clone(),
                a,
                b,
                number(change.difference()),
                verdicts,
            ]
        });
        let rows: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
        let turned = changes.iter().filter(|change| change.turned()).count();
        screen.say(format_args!("{} against {}", self.dir.display(), other.display()));
        if rows.len() > 1 {
            screen.say(format_args!("\n{}\n", table(&rows)));
        }
        single.iter().for_each(|part| screen.say(part));
        screen.say(format_args!(
            "{} figures and claims in both, {} differ, {turned} verdicts turned",
            changes.len(),
            rows.len() - 1
        ));
        screen.answer("report", &json!({ "changes": changes, "single": single, "turned": turned }));
    }
}

/// What of the results in a directory this version has studies for; an error if there is nothing.
fn known(dir: &Path, all: &[PartResult]) -> Result<Vec<PartResult>, ReportError> {
    let is_known =
        |result: &&PartResult| study::study(&result.study).is_ok_and(|study| study.part(&result.part).is_some());
    let results: Vec<PartResult> = all.iter().filter(is_known).cloned().collect();
    if results.is_empty() {
        return Err(ReportError::None { file: dir.join(report::RESULTS) });
    }
    Ok(results)
}
