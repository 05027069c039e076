//! `inkstone bench`: how fast the kernels are on this machine, in percent of what it does at most.

#[cfg(feature = "peers")]
#[path = "../kernels/arch/peers.rs"]
mod peers;
mod roofline;
mod sheet;

use super::draw::table;
use super::machine::{self, Machine};
use super::screen::duration;
use super::{End, Screen, Usage, shell_word};
use anyhow::bail;
use clap::Args;
use inkstone::bench::{self, Case, Family, Meter, Pace, Peaks, Row, Setup};
use inkstone::checkpoint::write_atomic;
use inkstone::kernels::{ISA_NAMES, Isa};
use serde_json::{Value, json};
use sheet::Sheet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Operations of the largest case whose plain loops `--quick` times: a tenth of a second. Without it all are timed.
const QUICK_REFERENCE_UP_TO: u64 = 1 << 28;

/// Time the kernels beside plain loops, in percent of this machine's peak.
///
/// Answers are checked before they are timed. All ways to compute one thing are timed in turns with the machine's limits:
/// multiply-adds in f32, 16-bit products summed in pairs, reading. Each row gives its share of the limit that bounds this kind of kernel.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  inkstone bench --quick\n  inkstone bench --only gemm_f32/512 --only conv_i8 --threads 1\n  inkstone bench --isa list\n  inkstone bench --save-plot roofline.svg"
)]
pub(crate) struct Bench {
    /// Fewer shapes and shorter turns: under half a minute
    #[arg(long)]
    quick: bool,
    /// Only benches whose name contains NAME, or of the family NAME; may be given several times
    ///
    /// If no shape of --quick matches NAME, all shapes are searched.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Also draw a roofline: operations a second over operations a byte, under the limits of this machine
    #[arg(long, value_name = "FILE.svg")]
    save_plot: Option<PathBuf>,
    /// Worker threads [default: one per CPU]; with more than one, rows for one thread and for all
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = machine::threads, help_heading = "Machine")]
    threads: Option<usize>,
    /// Instruction set [default: the fastest this machine has]; list prints which there are
    #[arg(long, value_name = "NAME|list", value_parser = choice, help_heading = "Machine")]
    isa: Option<Choice>,
}

/// What `--isa` asks for.
#[derive(Clone, Copy)]
enum Choice {
    List,
    Force(Isa),
}

fn choice(text: &str) -> Result<Choice, String> {
    if text == "list" { Ok(Choice::List) } else { machine::isa(text).map(Choice::Force) }
}

impl Bench {
    pub(crate) fn run(&self, screen: &Screen) -> anyhow::Result<End> {
        let isa = match self.isa {
            Some(Choice::List) => {
                list(screen);
                return Ok(End::Done);
            }
            Some(Choice::Force(isa)) => Some(isa),
            None => None,
        };
        if let Some(file) = &self.save_plot {
            check_place(file)?; // before minutes are spent on what could not be saved
        }
        let machine = Machine { threads: self.threads, isa };
        let setup = Setup {
            isa: machine.isa(),
            every_isa: false,
            threads: machine.threads(),
            reference_up_to: if self.quick { QUICK_REFERENCE_UP_TO } else { u64::MAX },
            #[cfg(feature = "peers")]
            peers: Some(peers::PEERS),
            #[cfg(not(feature = "peers"))]
            peers: None,
        };
        // All of it runs on a worker: entering a pool from outside would cost more than a small product.
        let (peaks, rows) = machine.pool()?.install(|| self.measure(setup, screen))?;
        if let Some(file) = &self.save_plot {
            write_atomic(file, roofline::svg(&peaks, &rows).as_bytes())?;
            screen.say(format_args!("plot {}", shell_word(file)));
        }
        screen.answer("bench", &answer(&peaks, &rows, self));
        Ok(End::Done)
    }

    /// Measures what was chosen, and shows each row as it comes.
    fn measure(&self, setup: Setup, screen: &Screen) -> anyhow::Result<(Peaks, Vec<Row>)> {
        let started = Instant::now();
        let cases = choose(bench::cases(), self.quick, &self.only)?;
        let meter = Meter::new(setup, if self.quick { Pace::QUICK } else { Pace::FULL });
        let peaks = meter.peaks();
        screen.say(introduction(&peaks));
        let mut sheet = Sheet::new(screen, &cases);
        let mut rows = Vec::new();
        for case in &cases {
            sheet.begin(case);
            let new = meter.measure(case)?;
            sheet.show(&new);
            rows.extend(new);
        }
        drop(sheet); // the bar goes before the next words come
        let seconds = duration(started.elapsed().as_secs_f64());
        screen.say(format_args!("\n{} rows of {} benches in {seconds}", rows.len(), cases.len()));
        Ok((peaks, rows))
    }
}

/// The cases to measure: those of a first look if `quick`, and of them those that `only` names.
fn choose(cases: Vec<Case>, quick: bool, only: &[String]) -> anyhow::Result<Vec<Case>> {
    let named = |case: &Case, name: &str| case.name().contains(name) || case.family().name() == name;
    for name in only {
        if !cases.iter().any(|case| named(case, name)) {
            return Err(Usage::error(format_args!(
                "--only {name}: a bench has that in its name: expected a part of one of\n{}\nfound \"{name}\"",
                names(&cases)
            )));
        }
    }
    // A name is taken from the quick cases where they have it.
    let all_of = |name: &str| !quick || !cases.iter().any(|case| case.is_quick() && named(case, name));
    let wanted: Vec<(&String, bool)> = only.iter().map(|name| (name, all_of(name))).collect();
    let chosen: Vec<bool> = cases
        .iter()
        .map(|case| match wanted.is_empty() {
            true => !quick || case.is_quick(),
            false => wanted.iter().any(|(name, all)| named(case, name) && (*all || case.is_quick())),
        })
        .collect();
    Ok(cases.into_iter().zip(chosen).filter_map(|(case, chosen)| chosen.then_some(case)).collect())
}

/// The names of all cases, a line for each family.
fn names(cases: &[Case]) -> String {
    let line = |family: Family| {
        let of_family = cases.iter().filter(|case| case.family() == family).map(Case::name);
        format!("  {}: {}", family.name(), of_family.collect::<Vec<_>>().join(" "))
    };
    Family::ALL.map(line).join("\n")
}

/// What the figures are shares of.
fn introduction(peaks: &Peaks) -> String {
    let Peaks { isa, threads, f32_gflops, i16_gops, read_gb_per_s, read_gb_per_s_threads } = *peaks;
    let lanes = match isa.lanes() {
        1 => "1 lane".to_owned(),
        lanes => format!("{lanes} lanes"),
    };
    let mut text = format!(
        "{isa} ({lanes}), {threads} thread{}\n\
         one thread: {f32_gflops:.1} GFLOP/s in f32, {i16_gops:.1} GOP/s in 16-bit products summed in pairs, {read_gb_per_s:.1} GB/s read from memory",
        if threads == 1 { "" } else { "s" }
    );
    if threads > 1 {
        text.push_str(&format!("\n{threads} threads: {read_gb_per_s_threads:.1} GB/s read from memory"));
    }
    text.push_str(
        "\n% peak is of the limit named, timed between the same turns, f32 and i16 times the threads, or read (as many bytes as the bench \
         moves, by as many threads, from the cache that holds them). Convolutions count the operations of their definition: transforms that save some can \
         pass 100, as packed bytes can, whose pairs sum in 16 bits.",
    );
    text
}

/// Refuses a plot that could not be written.
fn check_place(file: &Path) -> anyhow::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.is_dir() || file.file_name().is_none() {
        bail!("{}: a plot is a file: expected a file name, found a directory", file.display());
    }
    if !dir.is_dir() {
        bail!("{}: the plot's directory: expected {} to exist, found none", file.display(), dir.display());
    }
    Ok(())
}

/// `--isa list`: what this machine has, slowest first, then what it lacks.
fn list(screen: &Screen) {
    let (here, best): (Vec<Isa>, Isa) = (Isa::available().collect(), Isa::best());
    let missing: Vec<&str> = ISA_NAMES.into_iter().filter(|name| here.iter().all(|isa| isa.name() != *name)).collect();
    let mut lines = vec![["isa", "f32 lanes", ""].map(str::to_owned).to_vec()];
    for isa in &here {
        let remark = if *isa == best { "used by default" } else { "" };
        lines.push(vec![isa.name().to_owned(), isa.lanes().to_string(), remark.to_owned()]);
    }
    for name in &missing {
        lines.push(vec![
            (*name).to_owned(),
            "-".to_owned(),
            "missing: not on this machine, or not in this build".to_owned(),
        ]);
    }
    screen.say(table(&lines));
    let isas: Vec<Value> = here
        .iter()
        .map(|isa| json!({ "isa": isa.name(), "lanes": isa.lanes(), "available": true, "default": *isa == best }))
        .chain(missing.iter().map(|name| json!({ "isa": name, "lanes": null, "available": false, "default": false })))
        .collect();
    screen.answer("bench", &json!({ "isa": best.name(), "isas": isas }));
}

/// The results as JSON: the keys that the design names, then what else the screen shows.
fn answer(peaks: &Peaks, rows: &[Row], flags: &Bench) -> Value {
    json!({
        "isa": peaks.isa.name(),
        "threads": peaks.threads,
        "peak_f32_gflops": peaks.f32_gflops,
        "peak_i16_gops": peaks.i16_gops,
        "read_gb_per_s": peaks.read_gb_per_s,
        "read_gb_per_s_threads": peaks.read_gb_per_s_threads,
        "quick": flags.quick,
        "plot": flags.save_plot.as_ref().map(|file| file.display().to_string()),
        "rows": rows.iter().map(row_answer).collect::<Vec<_>>(),
    })
}

fn row_answer(row: &Row) -> Value {
    json!({
        "bench": row.bench,
        "variant": row.variant.name,
        "isa": row.variant.isa.map(Isa::name),
        "threads": row.variant.threads,
        "seconds": row.seconds,
        "gflops": row.gflops,
        "percent_of_peak": row.percent_of_peak,
        "limit": row.variant.cost.limit(),
        "gb_per_s": row.gb_per_s,
        "speedup": row.speedup,
        "speedup_over_f32": row.speedup_over_f32,
    })
}

#[cfg(test)]
mod tests;
