//! `inkstone study`: what five published reports trained, trained again, their figures beside ours.

use super::machine::Machine;
use super::progress::on_ctrl_c;
use super::screen::duration;
use super::sweep::floor::{Floor, Whole};
use super::train::check_memory;
use super::{End, Screen, Usage, shell_word};
use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use inkstone::data::Source;
use inkstone::report::{self, PAGE};
use inkstone::study::{self, ALL, Extent, Finished, NAMES, Part, PartResult, Tally, checks, checksums};
use inkstone::train::ConfigError;
use inkstone::train::sweep::{Campaign, DataSets, Record, Shard, Sweep};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Lines about a part; the report has all.
const SHOWN: usize = 12;

/// Train what a published report on MNIST trained, and put its figures beside ours.
///
/// Every run is trained by several seeds; the medians decide what reproduces and which claims hold. Runs go side by side where one is too
/// small for all threads. The same command goes on where an earlier one stopped. report.html shows everything on one page, report.md the
/// same as Markdown, results.json is for machines.
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
    /// How many seeds each run is trained by: 1, 2, and so on; of what a report repeats more often, as many as it does
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// A tenth of the epochs, or of the samples where that is less than an epoch: to see that it works
    #[arg(long)]
    quick: bool,
    /// Train every run on at most N images: to see that it works
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// mnist, or a folder with four IDX files [default: mnist, in $INKSTONE_DATA or ./data/mnist]
    #[arg(long, value_name = "mnist|DIR", default_value = "mnist", hide_default_value = true)]
    data: Source,
    /// Directory of all studies [default: runs/studies, with --quick or --limit runs/studies-quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace runs of the directory that have other settings
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    machine: Machine,
}

/// A part with the sweep that trains it; none of a part that trains nothing.
type Planned<'a> = (&'a study::Study, &'a Part, Option<Sweep>);

impl Study {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let started = Instant::now();
        let studies = study::choose(&self.name, self.only.as_deref()).map_err(Usage::error)?;
        let (out, stop) = (self.out(), on_ctrl_c()?);
        let mut results = report::read(&out)?;
        let data = DataSets::one(self.data.clone(), self.data.load()?);
        let splits = data.get(&self.data)?;
        if let Some(other) = results.iter().find(|result| result.is_of_other_data(splits)) {
            if !self.force {
                return Err(Usage::error(format_args!(
                    "--out {}: the results of {} {} are of other data: expected --data as before, --force to forget them, or another --out",
                    shell_word(&out),
                    other.study,
                    other.part
                )));
            }
            results.retain(|result| !result.is_of_other_data(splits));
        }
        let parts = studies.iter().flat_map(|study| study.parts.iter().map(move |part| (study, part)));
        let planned: Vec<Planned<'_>> = parts
            .map(|(study, part)| {
                let sweep = || part.sweep(self.extent(&results, study, part), &self.data.to_string(), splits);
                Ok((study, part, (!part.runs.is_empty()).then(sweep).transpose()?))
            })
            .collect::<Result<_, ConfigError>>()?;
        let campaigns = planned.iter().map(|planned| self.campaign(planned, &data));
        let campaigns: Vec<Option<Campaign<'_>>> = campaigns.collect::<anyhow::Result<_>>()?;
        let whole = Whole::of(campaigns.iter().flatten());
        let pool = self.machine.pool()?;
        let (mut interrupted, mut over) = (false, 0);
        for ((study, part, sweep), campaign) in planned.iter().zip(campaigns) {
            let mut result = match (campaign, part.check) {
                (Some(campaign), _) => {
                    let runs = sweep.as_ref().map_or(0, |sweep| sweep.runs.len());
                    let records = self.train(screen, (study, part, runs), &campaign, &whole, &stop)?;
                    interrupted = records.1;
                    if interrupted {
                        screen.say(
                            "Stopping. The networks of the runs that are over are examined for the report; \
                             Ctrl-C once more leaves that to the next call.",
                        );
                    }
                    let extent = self.extent(&results, study, part);
                    let (isa, campaign) = (self.machine.isa(), &campaign);
                    let finished = Finished { study, part, extent, campaign, splits, isa };
                    pool.install(|| finished.conclude(records.0, &results))?
                }
                (None, Some(check)) => {
                    screen.say(format_args!("\n{}  {} {}", screen.bold("study"), study.name, part.name));
                    pool.install(|| checks::run(check, &study.name, part, self.extent(&results, study, part), splits))?
                }
                (None, None) => continue,
            };
            result.data = checksums(splits);
            if interrupted {
                screen.say(format_args!("{} runs are over", result.runs.len()));
            } else {
                screen.say(if result.is_short() { format!("quick: {}", in_short(&result)) } else { closing(&result) });
            }
            let same = |other: &PartResult| (&other.study, &other.part) == (&result.study, &result.part);
            results.retain(|other| !same(other));
            results.push(result);
            report::write(&out, &results)?;
            over += 1;
            interrupted |= stop.load(Ordering::Relaxed) && over < planned.len();
            if interrupted {
                break;
            }
        }
        if interrupted {
            screen.say(format_args!("\nStopped and saved. To go on:\n  {}", self.again()));
        }
        screen.say(format_args!("\nReport: {}", shell_word(&out.join(PAGE))));
        let meant = results.iter().filter(|result| studies.iter().any(|study| study.name == result.study));
        let parts: Vec<PartResult> =
            meant.map(|result| PartResult { runs: Vec::new(), gallery: Vec::new(), ..result.clone() }).collect();
        let answer = json!({
            "study": self.name,
            "out": out.display().to_string(),
            "seeds": self.seeds,
            "quick": self.quick,
            "parts": parts,
            "seconds": started.elapsed().as_secs_f64(),
            "interrupted": interrupted,
        });
        screen.answer("study", &answer);
        Ok(if interrupted { End::Interrupted } else { End::Done })
    }

    /// How much of a part is trained: as many seeds as are asked for, or as were trained before.
    fn extent(&self, results: &[PartResult], study: &study::Study, part: &Part) -> Extent {
        let alike = |result: &&PartResult| {
            let same = (&result.study, &result.part) == (&study.name, &part.name);
            same && (result.quick, result.limit) == (self.quick, self.limit)
        };
        let before = results.iter().find(alike).map_or(0, |result| result.seeds);
        Extent { seeds: self.seeds.max(before), quick: self.quick, limit: self.limit }
    }

    /// The runs of a part, checked, and what an earlier call has left of them.
    fn campaign<'a>(
        &self,
        (study, part, sweep): &'a Planned<'_>,
        data: &'a DataSets,
    ) -> anyhow::Result<Option<Campaign<'a>>> {
        let Some(sweep) = sweep else { return Ok(None) };
        let dir = self.out().join(&study.name).join(&part.name);
        let campaign = Campaign::new(sweep, data, &dir, Shard::WHOLE, self.machine.isa, self.machine.threads())?;
        for job in campaign.jobs() {
            check_memory(&job.config, job.data, ["model", "batch"])
                .with_context(|| format!("{} {}", part.name, job.run.label()))?;
        }
        Ok(Some(campaign.survey(self.force)?))
    }

    /// Trains a part, or what is left of it; says whether it was interrupted.
    fn train(
        &self,
        screen: &Screen,
        (study, part, runs): (&study::Study, &Part, usize),
        campaign: &Campaign<'_>,
        whole: &Arc<Whole>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<(Vec<Record>, bool)> {
        let done = campaign.jobs().filter(|job| job.done()).count();
        let kept = if done > 0 { format!(", {done} of them done before") } else { String::new() };
        let plural = if runs == 1 { "" } else { "s" };
        let left = whole.left().map_or_else(String::new, |seconds| format!("; all parts: {} left", duration(seconds)));
        screen.say(format_args!(
            "\n{}  {} {}: {runs} run{plural}{kept}{left}",
            screen.bold("study"),
            study.name,
            part.name
        ));
        let floor = Floor::new(screen, campaign, Arc::clone(stop)).within(Arc::clone(whole));
        let outcome = campaign.train(&floor);
        drop(floor);
        let outcome = outcome?;
        match outcome.failure {
            Some(failure) => Err(failure.into()),
            None => Ok((outcome.records, outcome.interrupted)),
        }
    }

    fn out(&self) -> PathBuf {
        let default = if self.quick || self.limit.is_some() { "runs/studies-quick" } else { "runs/studies" };
        self.out.clone().unwrap_or_else(|| PathBuf::from(default))
    }

    /// The command that goes on.
    fn again(&self) -> String {
        let mut command = format!("inkstone study {} --seeds {}", self.name, self.seeds);
        if self.quick {
            command.push_str(" --quick");
        }
        if let Some(limit) = self.limit {
            command.push_str(&format!(" --limit {limit}"));
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

/// How much of a part reproduced. Of a tenth of the epochs nobody needs to hear what did not.
fn in_short(result: &PartResult) -> String {
    let Tally { judged, reproduced, decided, holding } = result.tally();
    let figures = (judged > 0).then(|| format!("{reproduced} of {judged} published figures reproduced"));
    let claims = (decided > 0).then(|| format!("{holding} of {decided} claims hold"));
    let seconds = (result.seconds > 0.0).then(|| format!("{} of training", duration(result.seconds)));
    figures.into_iter().chain(claims).chain(seconds).collect::<Vec<_>>().join(", ")
}

/// The same, and what did not reproduce or hold.
fn closing(result: &PartResult) -> String {
    let figures = result.rows.iter().filter(|row| row.reproduced == Some(false)).map(|row| {
        let measured = row.measured.unwrap_or(f64::NAN); // judged, so there is one
        format!("not reproduced: {}, {}: {measured:.4} for {}", row.run, row.measure, row.published)
    });
    let claims = result.findings.iter().filter(|finding| finding.holds == Some(false));
    let claims =
        claims.map(|finding| format!("does not hold: {}{}", finding.claim, if finding.ours { " (ours)" } else { "" }));
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
