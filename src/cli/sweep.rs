//! `inkstone sweep`: many training runs from one file, into a directory that can be gone on with.

pub(super) mod floor;

use super::machine::Machine;
use super::progress::on_ctrl_c;
use super::screen::duration;
use super::train::check_memory;
use super::{End, Screen, Usage, shell_word};
use anyhow::{Context, bail};
use clap::Args;
use floor::Floor;
use inkstone::checkpoint::write_atomic;
use inkstone::train::TrainError;
use inkstone::train::run::read_at_most;
use inkstone::train::sweep::{self, Campaign, DataSets, Ending, Measure, Outcome, Record, Shard, SweepError, report};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Largest file that is read.
const MAX_FILE: u64 = 1 << 20;
/// Runs in the last table; the report has all.
const SHOWN: usize = 20;

/// Train many networks from one file: runs one by one, a grid, a random search, or all of these.
///
/// Runs that are too small for several threads are trained side by side, one thread each; others one after the other. That changes
/// no result, and neither do interruptions, shards and the number of threads. The same command goes on where an earlier one stopped:
/// runs that are over are kept, runs under way are resumed to the same bytes.
#[derive(Args)]
#[command(
    after_help = "Example:\n  inkstone sweep my.toml    with my.toml for example\n    [base]\n    epochs = 5\n    split = 10000\n    [grid]\n    lr = [0.01, 0.001]\n    batch = [16, 64]",
    after_long_help = LONG_HELP
)]
pub(crate) struct Sweep {
    /// The file that says what to train, in TOML
    file: PathBuf,
    /// Directory of the sweep [default: runs/NAME, for NAME.toml]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Train the runs i, i + n, i + 2n, ... only, so that n machines share a sweep
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// Replace runs of the directory that have other settings; with [prune] those after them too, which were compared with them, and all
    /// of them if the rule was another
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    machine: Machine,
}

const LONG_HELP: &str = r#"The file:
  [base]                 # keys of a run's config.toml that every run has
  model = "mlp:100,50,20"
  epochs = 5
  split = 10000
  [[run]]                # a run that sets keys for itself; as many as there are
  name = "narrow"        # what the tables call it, for all of them or for none
  model = "mlp:32"
  [grid]                 # every combination, for each such run; the last key varies fastest
  lr = [0.01, 0.001, 0.0001]
  batch = [4, 16, 64]
  [random]               # instead of these, or each draw with each of them
  runs = 20              # draws
  seed = 1               # of the draws [default: 1]
  l2 = { min = 1e-6, max = 1e-3, scale = "log" }    # or scale = "linear" [default]
  warmup = { min = 0, max = 500 }                   # whole numbers, as both ends are
  activation = { choose = ["relu", "tanh"] }
  [prune]                # stop runs that fall behind; needs a split
  after = 3              # not before so many epochs
  min_runs = 4           # nor before so many runs to compare with [default: 4]

Pruning: after each epoch from `after` on, a run stops if its lowest validation loss so far is above the median of the runs of lower numbers at the same epoch. It waits for those to get there, so what is pruned does not depend on which run is quicker; as runs of other shards cannot be waited for, [prune] goes with no --shard. A pruned run has a save, which train --resume goes on from, and no model.

The directory holds
  sweep.toml       the file
  results.jsonl    a line of JSON for each run that is over
  report.md        the table; for a grid over two keys a matrix of the best accuracy
  run-0001, ...    run directories, as train --out makes them
A run whose loss is no longer a number is over: it has diverged. Ctrl-C stops all runs after their update and saves; a second one ends at once.

Examples:
  inkstone sweep my.toml
  inkstone sweep my.toml --out /scratch/my --threads 8
  inkstone sweep my.toml --shard 2/4 --json"#;

/// `2/4`
fn shard(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    match numbers {
        Some((index, count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
        _ => Err("expected i/n with i from 1 to n, as 2/4".to_owned()),
    }
}

/// What a file asks for and no run can be is bad usage; a file that cannot be read is not.
fn refused(error: SweepError) -> anyhow::Error {
    let cause = match &error {
        SweepError::Run { error, .. } => error,
        SweepError::All(error) => error,
        _ => return error.into(),
    };
    if matches!(cause, TrainError::Checkpoint(_) | TrainError::Io { .. }) { error.into() } else { Usage::error(error) }
}

impl Sweep {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let started = Instant::now();
        let text =
            read_at_most(&self.file, MAX_FILE).with_context(|| format!("{}: cannot be read", self.file.display()))?;
        let sweep = sweep::Sweep::parse(&self.file, &text).map_err(Usage::error)?;
        if self.machine.isa.is_some() && sweep.keys.iter().any(|key| key == "isa") {
            bail!(Usage::error("--isa: the file varies isa: expected one of the two, found both"));
        }
        let threads = self.machine.threads.or(sweep.runs.first().and_then(|run| run.config.threads));
        let threads = threads.unwrap_or_else(|| self.machine.threads());
        let out = self.out();
        let shard = self.shard.unwrap_or(Shard::WHOLE);

        let stop = on_ctrl_c()?;
        let data = DataSets::load(&sweep)?;
        let campaign = Campaign::new(&sweep, &data, &out, shard, self.machine.isa, threads).map_err(refused)?;
        for job in campaign.jobs() {
            check_memory(&job.config, job.data, ["model", "batch"])
                .with_context(|| format!("run {}", job.run.number))?;
        }
        let campaign = campaign.survey(self.force)?;
        screen.say(introduction(&self.file, &sweep, &campaign, threads));
        let floor = Floor::new(screen, &campaign, stop);
        let outcome = campaign.train(&floor);
        drop(floor); // the bars go before the next words come
        let outcome = outcome?;
        write_atomic(&out.join("report.md"), report::markdown(&sweep, &outcome.records).as_bytes())?;
        if let Some(failure) = outcome.failure {
            return Err(failure.into());
        }
        self.close(screen, &sweep, &outcome);
        let best = Measure::of(&outcome.records).best(&outcome.records);
        let answer = json!({
            "file": self.file.display().to_string(),
            "out": out.display().to_string(),
            "runs": &outcome.records,
            "best": best.map(|best| best.number),
            "seconds": started.elapsed().as_secs_f64(),
            "interrupted": outcome.interrupted,
        });
        screen.answer("sweep", &answer);
        Ok(if outcome.interrupted { End::Interrupted } else { End::Done })
    }

    fn out(&self) -> PathBuf {
        let default = || Path::new("runs").join(self.file.file_stem().unwrap_or("sweep".as_ref()));
        self.out.clone().unwrap_or_else(default)
    }

    /// The last words: the table, the best run, how to go on.
    fn close(&self, screen: &Screen, sweep: &sweep::Sweep, outcome: &Outcome) {
        let (out, records) = (self.out(), &outcome.records);
        if !records.is_empty() {
            let measure = Measure::of(records);
            let mut table = report::table(sweep, records);
            let hidden = table.len().saturating_sub(SHOWN + 1);
            table.truncate(SHOWN + 1);
            let note = match measure {
                Measure::Validation => "",
                Measure::Test => ", as not every run has a validation split",
            };
            screen.say(format_args!("\nBest first, by {} accuracy{note}\n{}", measure.name(), aligned(screen, &table)));
            if hidden > 0 {
                screen.say(format_args!("and {hidden} more in {}", out.join("report.md").display()));
            }
            if let Some(best) = measure.best(records) {
                let run = shell_word(&out.join(sweep.runs[best.number - 1].name()));
                screen.say(format_args!("\nThe best is {}\n  inkstone eval {run}", standing(best, measure)));
            }
        }
        if outcome.interrupted {
            let (over, all) = (records.len(), sweep.runs.len());
            screen
                .say(format_args!("\nStopped and saved: {over} of {all} runs are over. To go on:\n  {}", self.again()));
        } else {
            screen.say(format_args!("\nReport: {}", shell_word(&out.join("report.md"))));
        }
    }

    /// The command that goes on.
    fn again(&self) -> String {
        let mut command = format!("inkstone sweep {}", shell_word(&self.file));
        if let Some(out) = &self.out {
            command.push_str(&format!(" --out {}", shell_word(out)));
        }
        if let Some(shard) = self.shard {
            command.push_str(&format!(" --shard {}/{}", shard.index, shard.count));
        }
        command.push_str(&self.machine.words());
        if self.force {
            command.push_str(" --force");
        }
        command
    }
}

/// What there is to do, and how.
fn introduction(file: &Path, sweep: &sweep::Sweep, campaign: &Campaign<'_>, threads: usize) -> String {
    let (runs, done) = (campaign.jobs().count(), campaign.jobs().filter(|job| job.done()).count());
    let shard =
        if runs < sweep.runs.len() { format!(" of {}, in this shard", sweep.runs.len()) } else { String::new() };
    let kept = if done > 0 { format!(", {done} of them over") } else { String::new() };
    let lanes = campaign.side_by_side();
    let how = match (lanes, threads) {
        (2.., _) => format!("small runs {lanes} at once, one thread each"),
        (_, 1) => "one after the other, 1 thread".to_owned(),
        _ => format!("one after the other, {threads} threads"),
    };
    let pruning = sweep.prune.map_or_else(String::new, |prune| format!("; pruning after epoch {}", prune.after));
    format!(
        "sweep    {}: {runs} runs{shard}{kept}, over {}{pruning}\nmachine  {how}\nresults  {}; Ctrl-C saves and stops\n",
        file.display(),
        sweep.columns.join(", "),
        campaign.out().display()
    )
}

/// How a run did, in a few words.
fn standing(record: &Record, measure: Measure) -> String {
    let accuracy = measure.accuracy(record);
    let accuracy =
        accuracy.map_or_else(String::new, |accuracy| format!("{} {:.2} %, ", measure.name(), 100.0 * accuracy));
    let ending = if record.ending == Ending::Finished { String::new() } else { format!("{} after ", record.ending) };
    let (epochs, plural) = (record.epochs, if record.epochs == 1 { "" } else { "s" });
    format!("run {}: {accuracy}{ending}{epochs} epoch{plural} in {}", record.number, duration(record.seconds))
}

/// Rows of cells under each other: the first row is the heading.
fn aligned(screen: &Screen, table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        cells.join("  ")
    };
    let lines = table.iter().enumerate().map(|(i, row)| match i {
        0 => screen.dim(line(row)),
        1 => screen.bold(line(row)),
        _ => line(row),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_help_is_one() {
        let example = LONG_HELP.trim_start_matches("The file:\n").split("\n\n").next().unwrap();
        let sweep = sweep::Sweep::parse(Path::new("help"), example).unwrap();
        assert_eq!((sweep.runs.len(), sweep.keys.len()), (3 * 3 * 20, 7));
        assert_eq!(sweep.prune.unwrap().to_string(), "after = 3, min_runs = 4");
    }

    #[test]
    fn shards_are_counted_from_one() {
        assert_eq!(shard("2/4"), Ok(Shard { index: 2, count: 4 }));
        assert_eq!(shard("1/1"), Ok(Shard::WHOLE));
        for bad in ["0/4", "5/4", "1/0", "0/0", "2", "/", "a/b", "-1/4", "1/4/2", ""] {
            assert!(shard(bad).unwrap_err().contains("expected i/n"), "{bad}");
        }
        let of = |index| (1..=5).filter(move |&number| Shard { index, count: 2 }.holds(number)).collect::<Vec<_>>();
        assert_eq!([of(1), of(2)], [vec![1, 3, 5], vec![2, 4]]);
    }

    #[test]
    fn cells_stand_under_their_heading() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = aligned(&Screen::new(true), &[row(["run", "lr"]), row(["1", "0.125"]), row(["1000", "1"])]);
        assert_eq!(text.lines().map(|line| line.chars().count()).max(), Some(11));
        assert!(text.ends_with("1000      1"), "{text}");
    }
}
