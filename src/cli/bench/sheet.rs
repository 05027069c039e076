//! The table of a measurement, row by row as it comes: under a bar on a terminal.

use super::Screen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inkstone::bench::{Case, Family, Row};
use inkstone::kernels::Isa;
use std::fmt::Display;

/// Columns of the variant: the longest name of a peer.
const VARIANT: usize = 14;

/// Shows rows for a person.
pub(super) struct Sheet<'a> {
    screen: &'a Screen,
    bar: Option<ProgressBar>,
    width: usize,
    family: Option<Family>,
}

impl<'a> Sheet<'a> {
    /// Of `cases`, none of which has been measured yet.
    pub(super) fn new(screen: &'a Screen, cases: &[Case]) -> Self {
        let width = cases.iter().map(|case| case.name().len()).max().unwrap_or(0);
        let bar = screen.bars().then(|| {
            let bar = ProgressBar::with_draw_target(Some(cases.len() as u64), ProgressDrawTarget::stderr_with_hz(20));
            let template =
                if screen.colour_err() { "{pos}/{len} {bar:20.cyan/dim} {msg}" } else { "{pos}/{len} {bar:20} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        Self { screen, bar, width, family: None }
    }

    /// `case` is measured next. A new family begins with its heading.
    pub(super) fn begin(&mut self, case: &Case) {
        if self.family != Some(case.family()) {
            self.family = Some(case.family());
            self.say(format_args!("\n{}", self.screen.bold(case.family().name())));
            self.say(self.screen.dim(heading(self.width, case.family())));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(case.name().to_owned());
            bar.tick();
        }
    }

    /// The rows of the case that began last.
    pub(super) fn show(&self, rows: &[Row]) {
        for row in rows {
            self.say(line(self.width, row));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Says a line without tearing the bar.
    fn say(&self, line: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.screen.say(line)),
            None => self.screen.say(line),
        }
    }
}

impl Drop for Sheet<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The heading over the [`line`]s of a family, names being up to `width` long.
pub(super) fn heading(width: usize, family: Family) -> String {
    format!(
        "{:<width$}  {:<VARIANT$}  {:<8} {:>2}  {:>11}  {:>8}  {:>6} {:<4}  {:>7}  {:>11}  {:>5}",
        "bench",
        "variant",
        "isa",
        "th",
        "µs",
        family.unit(),
        "% peak",
        "of",
        "GB/s",
        "x reference",
        "x f32"
    )
}

/// A line for a row. A dash is where there is nothing to compare with, or where the compiler or the peer chose the instruction set.
pub(super) fn line(width: usize, row: &Row) -> String {
    let times = |factor: Option<f64>, digits: usize| factor.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    let (variant, isa) = (row.variant, row.variant.isa.map_or("-", Isa::name));
    format!(
        "{:<width$}  {:<VARIANT$}  {isa:<8} {:>2}  {:>11.2}  {:>8.2}  {:>6.1} {:<4}  {:>7.2}  {:>11}  {:>5}",
        row.bench,
        variant.name,
        variant.threads,
        row.seconds * 1e6,
        row.gflops,
        row.percent_of_peak,
        variant.cost.limit(),
        row.gb_per_s,
        times(row.speedup, 1),
        times(row.speedup_over_f32, 2)
    )
}
