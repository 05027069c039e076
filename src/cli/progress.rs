//! A training run as it is watched: a bar on a terminal, plain lines elsewhere, and Ctrl-C.

use super::Screen;
use super::screen::{duration, grouped};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inkstone::train::{EpochReport, Observer, Progress, Start};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two updates of the bar.
pub(super) const BAR_EVERY: Duration = Duration::from_millis(100);
/// Time between two lines within an epoch, where no bar can be drawn.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(20);
/// Updates between two looks at the clock where updates are short.
pub(super) const LOOK_EVERY: u64 = 8;

/// A flag that the first Ctrl-C sets; the second ends the process at once. A request to end does the same, and so does a terminal that is closed,
/// unless whoever began the process had it ignore that.
pub(crate) fn on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up()) {
        // In this order: what ends the process looks at the flag before it is set.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop)).context("cannot listen for Ctrl-C")?;
        flag::register(signal, Arc::clone(&stop)).context("cannot listen for Ctrl-C")?;
    }
    Ok(stop)
}

/// What a terminal sends that is closed, if this process does not ignore it, as `nohup` makes it do; where that cannot be told, nothing.
#[cfg(target_os = "linux")]
fn hang_up() -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    let hang_up = signal_hook::consts::SIGHUP;
    (ignored >> (hang_up - 1) & 1 == 0).then_some(hang_up)
}

#[cfg(not(target_os = "linux"))]
fn hang_up() -> Option<i32> {
    None
}

/// Watches a run for a person.
pub(crate) struct Watcher<'a> {
    screen: &'a Screen,
    out: &'a Path,
    stop: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    train_samples: u64,
    epochs: u32,
    with_val: bool,
    started: Instant,
    seen_at_start: Option<u64>,
    last: Instant,
}

impl<'a> Watcher<'a> {
    /// Of the run in `out`, which it stops once `stop` is set.
    pub(crate) fn new(screen: &'a Screen, out: &'a Path, stop: Arc<AtomicBool>) -> Self {
        let (bar, now) = (None, Instant::now());
        Self {
            screen,
            out,
            stop,
            bar,
            train_samples: 0,
            epochs: 0,
            with_val: false,
            started: now,
            seen_at_start: None,
            last: now,
        }
    }

    /// Says a line without tearing the bar.
    fn say(&self, line: impl std::fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.screen.say(line)),
            None => self.screen.say(line),
        }
    }

    /// Seconds that are left at the pace since the start, evaluation and checkpoints included.
    fn seconds_left(&self, progress: &Progress) -> f64 {
        let total = self.train_samples.saturating_mul(u64::from(self.epochs));
        let here = progress.samples_seen.saturating_sub(self.seen_at_start.unwrap_or(0));
        let left = total.saturating_sub(progress.samples_seen);
        self.started.elapsed().as_secs_f64() * left as f64 / here.max(1) as f64
    }

    /// Loss, accuracy, pace, remaining time.
    fn standing(&self, progress: &Progress) -> String {
        let pace = progress.samples_seen as f64 / progress.train_seconds.max(1e-9);
        format!(
            "loss {:.4}  acc {:.2} %  {}/s  {} left",
            progress.loss,
            100.0 * progress.accuracy,
            grouped(pace as u64),
            duration(self.seconds_left(progress))
        )
    }

    /// The bar of the whole run, counted in samples.
    fn new_bar(&self, done: u64) -> ProgressBar {
        let total = self.train_samples.saturating_mul(u64::from(self.epochs));
        let bar =
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(20)).with_position(done);
        let template =
            if self.screen.colour_err() { "{prefix} {bar:20.cyan/dim} {msg}" } else { "{prefix} {bar:20} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar
    }
}

impl Observer for Watcher<'_> {
    fn start(&mut self, start: &Start<'_>) {
        (self.train_samples, self.epochs) = (start.train_samples as u64, start.config.epochs);
        self.with_val = start.val_samples > 0;
        self.started = Instant::now();
        self.last = self.started;
        if let Some(note) = start.note {
            self.screen.remark(format_args!("note: {note}"));
        }
        self.screen.say(introduction(start));
        self.screen.say(format_args!("run      {}; Ctrl-C saves and stops", self.out.display()));
        self.screen.say(format_args!("\n{}", self.screen.dim(heading(self.with_val))));
        if self.screen.bars() {
            let in_epoch = start.step_in_epoch.saturating_mul(start.config.batch as u64).min(self.train_samples);
            let done = u64::from(start.epoch).saturating_mul(self.train_samples).saturating_add(in_epoch);
            self.bar = Some(self.new_bar(done));
        }
    }

    fn step(&mut self, progress: &Progress) {
        // What was seen before this call: this step's samples are its own.
        let before = progress.samples_seen.saturating_sub(u64::from(progress.step.samples));
        self.seen_at_start.get_or_insert(before);
        if progress.step.samples < 64 && !progress.step_in_epoch.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let wait = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if self.last.elapsed() < wait {
            return;
        }
        self.last = Instant::now();
        let place = format!("epoch {:>2}/{}", progress.epoch, progress.epochs);
        match &self.bar {
            Some(bar) => {
                bar.set_position(progress.samples_seen);
                bar.set_prefix(place);
                bar.set_message(self.standing(progress));
            }
            None => {
                let (step, steps) = (progress.step_in_epoch, progress.steps_per_epoch);
                self.screen.remark(format_args!("{place}  update {step}/{steps}  {}", self.standing(progress)));
            }
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.say(epoch_line(report, self.epochs, self.with_val));
        self.last = Instant::now();
    }

    fn stop_requested(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is trained, on what, and how.
fn introduction(start: &Start<'_>) -> String {
    let (config, graph) = (start.config, start.graph);
    let count = |n: usize| grouped(n as u64);
    let val = if start.val_samples > 0 { format!(", {} validation", count(start.val_samples)) } else { String::new() };
    let widths: Vec<String> = std::iter::once(graph.input_shape().elements())
        .chain(config.model.hidden().iter().copied())
        .chain([graph.classes()])
        .map(|width| width.to_string())
        .collect();
    let augment = if config.augment.is_none() { String::new() } else { format!(", augmented {}", config.augment) };
    let activation = if config.model.hidden().is_empty() { String::new() } else { format!(" {}", config.activation) };
    let dropout = if config.dropout == 0.0 { String::new() } else { format!(", dropout {}", config.dropout) };
    let mut text = format!(
        "data     {}: {} training{val}, {} test; pixels {}{augment}\n",
        config.data,
        count(start.train_samples),
        count(start.test_samples),
        config.normalize
    );
    text.push_str(&format!(
        "network  {}{activation}: {}, {} parameters{dropout}\n",
        config.model,
        widths.join("-"),
        count(graph.param_count())
    ));
    text.push_str(&format!(
        "training {} at {}, {}, batch {}, {} epochs, seed {}; {}, {} thread{}",
        config.optimizer,
        config.lr,
        config.schedule,
        config.batch,
        config.epochs,
        config.seed,
        config.isa.as_deref().unwrap_or("?"),
        config.threads.unwrap_or(1),
        if config.threads == Some(1) { "" } else { "s" }
    ));
    if start.epoch > 0 || start.step_in_epoch > 0 {
        let (epoch, steps) = (start.epoch, start.steps_per_epoch);
        text.push_str(&format!(
            "\nresumed  after epoch {epoch} and {}/{steps} updates of the next",
            start.step_in_epoch
        ));
    }
    text
}

/// The heading over [`epoch_line`]s.
fn heading(with_val: bool) -> String {
    let val = if with_val { "    val loss  accuracy" } else { "" };
    format!("  epoch  train loss  accuracy{val}   test loss  accuracy        lr        time")
}

/// A line for an epoch.
fn epoch_line(report: &EpochReport, epochs: u32, with_val: bool) -> String {
    let pair = |loss: Option<f64>, accuracy: Option<f64>| match (loss, accuracy) {
        (Some(loss), Some(accuracy)) => format!("{loss:>12.4}{:>8.2} %", 100.0 * accuracy),
        _ => format!("{:>22}", "-"),
    };
    let mut line = format!("{:>7}", format!("{}/{epochs}", report.epoch));
    line.push_str(&pair(Some(report.train_loss), Some(report.train_accuracy)));
    if with_val {
        line.push_str(&pair(report.val_loss, report.val_accuracy));
    }
    line.push_str(&pair(report.test_loss, report.test_accuracy));
    line.push_str(&format!("{:>10.2e}{:>12}", report.lr, duration(report.seconds)));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_lines_stand_under_their_heading() {
        let report = EpochReport {
            epoch: 3,
            train_loss: 0.25,
            train_accuracy: 0.9312,
            val_loss: Some(0.5),
            val_accuracy: Some(1.0),
            test_loss: Some(0.125),
            test_accuracy: Some(0.875),
            lr: 1e-3,
            seconds: 0.71,
            ..EpochReport::default()
        };
        let line = epoch_line(&report, 15, false);
        assert_eq!(line, "   3/15      0.2500   93.12 %      0.1250   87.50 %   1.00e-3       0.7 s");
        assert_eq!(heading(false).chars().count(), line.chars().count());
        let slow = EpochReport { seconds: 3599.0, ..report.clone() };
        assert!(epoch_line(&slow, 15, false).contains("e-3 "), "a long time leaves a gap");
        let line = epoch_line(&report, 15, true);
        assert_eq!(line.chars().count(), heading(true).chars().count());
    }
}
