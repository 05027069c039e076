//! `inkstone study`: what five published reports trained, trained again, their figures beside ours.

use super::machine::Machine;
use super::progress::on_ctrl_c;
use super::screen::duration;
use super::sweep::floor::Floor;
use super::train::check_memory;
use super::{End, Screen, Usage, shell_word};
use anyhow::{Context, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use inkstone::checkpoint::write_atomic;
use inkstone::data::{Source, Splits};
use inkstone::study::spec::Extent;
use inkstone::study::{self, NAMES, Part, PartResult, Trained, table};
use inkstone::train::sweep::{Campaign, DataSets, Shard};
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The name that stands for all of them.
const ALL: &str = "all";
/// What came out, for machines, and for people.
const RESULTS: &str = "results.json";
const REPORT: &str = "report.md";

/// Lines about a part; the report has all.
const SHOWN: usize = 12;

/// Train what a published report on MNIST trained, and put its figures beside ours.
///
/// Every run is trained by several seeds; the medians decide what reproduces and which claims hold. Runs go side by side where one is too
/// small for all threads. The same command goes on where an earlier one stopped.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone study grid --seeds 1\n  inkstone study regularization --only choice\n  inkstone study all --quick --seeds 1"
)]
pub(crate) struct Study {
    /// Which report
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES.into_iter().chain([ALL])))]
    name: String,
    /// Only this part of it
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Seeds of each run, from 1; a report that names more has more
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// A tenth of the epochs, or of the samples where that is less than an epoch: to see that it works
    #[arg(long)]
    quick: bool,
    /// mnist, or a folder with four IDX files [default: mnist, in $INKSTONE_DATA or ./data/mnist]
    #[arg(long, value_name = "mnist|DIR", default_value = "mnist", hide_default_value = true)]
    data: Source,
    /// Directory of all studies [default: runs/studies, with --quick runs/studies-quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace runs of the directory that have other settings
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Study {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let started = Instant::now();
        let studies = self.studies()?;
        let (out, stop) = (self.out(), on_ctrl_c()?);
        let splits = self.data.load()?;
        let mut results = earlier(&out.join(RESULTS))?;
        let mut interrupted = false;
        for (study, part) in studies.iter().flat_map(|study| study.parts.iter().map(move |part| (study, part))) {
            if self.only.as_ref().is_some_and(|only| *only != part.name) {
                continue;
            }
            let Some(result) = self.part(screen, study, part, &splits, Arc::clone(&stop))? else {
                interrupted = true;
                break;
            };
            results.retain(|other| (&other.study, &other.part) != (&result.study, &result.part));
            results.push(result);
            write(&out, &results)?;
        }
        let trained: Vec<&PartResult> =
            results.iter().filter(|result| studies.iter().any(|study| study.name == result.study)).collect();
        if interrupted {
            screen.say(format_args!("\nStopped and saved. To go on:\n  {}", self.again()));
        } else {
            screen.say(format_args!("\nReport: {}", shell_word(&out.join(REPORT))));
        }
        let answer = json!({
            "study": self.name,
            "out": out.display().to_string(),
            "seeds": self.seeds,
            "quick": self.quick,
            "parts": trained,
            "seconds": started.elapsed().as_secs_f64(),
            "interrupted": interrupted,
        });
        screen.answer("study", &answer);
        Ok(if interrupted { End::Interrupted } else { End::Done })
    }

    /// The studies that are meant, if `--only` is a part of one.
    fn studies(&self) -> anyhow::Result<Vec<study::Study>> {
        let names: Vec<&str> = if self.name == ALL { NAMES.to_vec() } else { vec![&self.name] };
        let studies = names.into_iter().map(study::study).collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&str> = studies.iter().flat_map(|study| &study.parts).map(|part| part.name.as_str()).collect();
        if let Some(only) = self.only.as_ref().filter(|only| !parts.contains(&only.as_str())) {
            bail!(Usage::error(format!(
                "--only: a part of the study: expected one of {}, found {only}",
                parts.join(", ")
            )));
        }
        Ok(studies)
    }

    /// Trains a part, or what is left of it; `None` if it was interrupted.
    fn part(
        &self,
        screen: &Screen,
        study: &study::Study,
        part: &Part,
        splits: &Splits,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Option<PartResult>> {
        let extent = Extent { seeds: self.seeds, quick: self.quick };
        let sweep = part.sweep(extent, &self.data.to_string(), splits)?;
        let (threads, dir) = (self.machine.threads(), self.out().join(&study.name).join(&part.name));
        let data = DataSets::load(&sweep)?;
        let campaign = Campaign::new(&sweep, &data, &dir, Shard::WHOLE, self.machine.isa, threads)?;
        for job in campaign.jobs() {
            check_memory(&job.config, job.data).with_context(|| format!("{} {}", part.name, job.run.label()))?;
        }
        let campaign = campaign.survey(self.force).map_err(Usage::error)?;
        let done = campaign.jobs().filter(|job| job.done()).count();
        let kept = if done > 0 { format!(", {done} of them done before") } else { String::new() };
        screen.say(format_args!(
            "\n{}  {} {}: {} run{}{kept}",
            screen.bold("study"),
            study.name,
            part.name,
            sweep.runs.len(),
            if sweep.runs.len() == 1 { "" } else { "s" }
        ));
        let floor = Floor::new(screen, &campaign, Arc::clone(&stop));
        let outcome = campaign.train(&floor);
        drop(floor);
        let outcome = outcome?;
        if let Some(failure) = outcome.failure {
            return Err(failure.into());
        }
        if outcome.interrupted || stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let trained = outcome.records.into_iter().map(|record| {
            let history = campaign.history(&record)?;
            Ok(Trained { record, history })
        });
        let trained = trained.collect::<Result<Vec<_>, inkstone::train::TrainError>>()?;
        let result = PartResult::of(study, part, extent, &trained);
        screen.say(if self.quick { in_short(&result) } else { closing(&result) });
        Ok(Some(result))
    }

    fn out(&self) -> PathBuf {
        let default = if self.quick { "runs/studies-quick" } else { "runs/studies" };
        self.out.clone().unwrap_or_else(|| PathBuf::from(default))
    }

    /// The command that goes on.
    fn again(&self) -> String {
        let mut command = format!("inkstone study {} --seeds {}", self.name, self.seeds);
        if self.quick {
            command.push_str(" --quick");
        }
        if let Some(only) = &self.only {
            command.push_str(&format!(" --only {}", shell_word(Path::new(only))));
        }
        if self.data != Source::Mnist {
            command.push_str(&format!(" --data {}", shell_word(Path::new(&self.data.to_string()))));
        }
        if let Some(out) = &self.out {
            command.push_str(&format!(" --out {}", shell_word(out)));
        }
        command.push_str(&self.machine.words());
        if self.force {
            command.push_str(" --force");
        }
        command
    }
}

/// Every result so far, as a page and for machines.
fn write(out: &Path, results: &[PartResult]) -> anyhow::Result<()> {
    let pages = NAMES.into_iter().filter(|name| results.iter().any(|result| result.study == *name));
    let pages = pages.map(|name| Ok(table::markdown(&study::study(name)?, results)));
    let pages = pages.collect::<anyhow::Result<Vec<String>>>()?;
    write_atomic(&out.join(RESULTS), serde_json::to_string_pretty(results)?.as_bytes())?;
    write_atomic(&out.join(REPORT), pages.join("\n").as_bytes())?;
    Ok(())
}

/// What an earlier call has left.
fn earlier(file: &Path) -> anyhow::Result<Vec<PartResult>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("{}: cannot be read", file.display()))?,
    };
    let expected = "expected what `inkstone study` wrote: move it away, or choose another --out";
    serde_json::from_str(&text).with_context(|| format!("{}: the results of studies: {expected}", file.display()))
}

/// How much of a part reproduced. Of a tenth of the epochs nobody needs to hear what did not.
fn in_short(result: &PartResult) -> String {
    let judged = result.rows.iter().filter_map(|row| row.reproduced);
    let (all, good) = (judged.clone().count(), judged.filter(|good| *good).count());
    let claims = result.findings.iter().filter_map(|finding| finding.holds);
    let (claimed, held) = (claims.clone().count(), claims.filter(|held| *held).count());
    format!(
        "{good} of {all} published figures reproduced, {held} of {claimed} claims hold; {} of training",
        duration(result.seconds)
    )
}

/// The same, and what did not reproduce or hold.
fn closing(result: &PartResult) -> String {
    let figures = result.rows.iter().filter(|row| row.reproduced == Some(false)).map(|row| {
        let measured = row.median.unwrap_or(f64::NAN); // judged, so there is one
        format!("not reproduced: {}, {}: {measured:.4} for {}", row.run, row.measure, row.published)
    });
    let claims = result.findings.iter().filter(|finding| finding.holds == Some(false));
    let claims = claims.map(|finding| format!("does not hold: {}", finding.claim));
    let lines: Vec<String> = claims.chain(figures).collect();
    let mut text = in_short(result);
    for line in lines.iter().take(SHOWN) {
        text.push_str(&format!("\n  {line}"));
    }
    if lines.len() > SHOWN {
        text.push_str(&format!("\n  and {} more in the report", lines.len() - SHOWN));
    }
    text
}
