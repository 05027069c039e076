//! A sweep as it is watched: a line for each run under way and one for all on a terminal, plain lines elsewhere.

use super::standing;
use crate::cli::Screen;
use crate::cli::progress::{BAR_EVERY, LINE_EVERY, LOOK_EVERY};
use crate::cli::screen::{duration, grouped};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use inkstone::train::sweep::{Campaign, Ending, Job, Measure, Record, Watch};
use inkstone::train::{EpochReport, Observer, Progress, Start};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Several sweeps one after the other, as those of a study.
pub(in crate::cli) struct Whole {
    started: Instant,
    /// Work that is to be done, and that was done since the start.
    work: Mutex<[f64; 2]>,
}

impl Whole {
    /// All that these have to do.
    pub(in crate::cli) fn of<'a>(campaigns: impl Iterator<Item = &'a Campaign<'a>>) -> Arc<Self> {
        let jobs = campaigns.flat_map(|campaign| campaign.jobs().filter(|job| !job.done()));
        let to_do = jobs.map(|job| job.work).sum();
        Arc::new(Self { started: Instant::now(), work: Mutex::new([to_do, 0.0]) })
    }

    fn work(&self) -> MutexGuard<'_, [f64; 2]> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds that the rest takes at the pace so far; nothing before anything was done.
    pub(in crate::cli) fn left(&self) -> Option<f64> {
        let [to_do, done] = *self.work();
        (done > 0.0).then(|| self.started.elapsed().as_secs_f64() * (to_do - done).max(0.0) / done)
    }
}

/// All runs together.
pub(in crate::cli) struct Floor<'a> {
    screen: &'a Screen,
    stop: Arc<AtomicBool>,
    /// What it is a part of, if it is.
    whole: Option<Arc<Whole>>,
    /// Bars of the runs, and the one of the sweep under them.
    bars: Option<(MultiProgress, ProgressBar)>,
    runs: usize,
    started: Instant,
    tally: Mutex<Tally>,
}

/// How far all runs together are. Work is in the units of [`Job::work`].
struct Tally {
    over: usize,
    to_do: f64,
    /// Done since the start.
    done: f64,
    best: Option<Record>,
    last_line: Instant,
}

impl<'a> Floor<'a> {
    pub(in crate::cli) fn new(screen: &'a Screen, campaign: &Campaign<'_>, stop: Arc<AtomicBool>) -> Self {
        let waiting = campaign.jobs().filter(|job| !job.done());
        let tally = Tally {
            over: campaign.jobs().filter(|job| job.done()).count(),
            to_do: waiting.map(|job| job.work).sum(),
            done: 0.0,
            best: None,
            last_line: Instant::now(),
        };
        let bars = screen.bars().then(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let over = campaign.jobs().filter(|job| job.done()).count();
            let all = bars.add(new_bar(screen, "all runs".to_owned(), over as u64, campaign.jobs().count() as u64));
            (bars, all)
        });
        let (started, tally) = (Instant::now(), Mutex::new(tally));
        Self { screen, stop, whole: None, bars, runs: campaign.jobs().count(), started, tally }
    }

    /// The same as a part of `whole`, whose remaining time it shows.
    pub(in crate::cli) fn within(mut self, whole: Arc<Whole>) -> Self {
        self.whole = Some(whole);
        self
    }

    /// Takes work off what is to be done, which an earlier call has done or nobody will.
    fn forgo(&self, work: f64) {
        self.tally().to_do -= work;
        if let Some(whole) = &self.whole {
            whole.work()[0] -= work;
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a line without tearing the bars.
    fn say(&self, line: &str) {
        match &self.bars {
            Some((bars, _)) => bars.suspend(|| self.screen.say(line)),
            None => self.screen.say(line),
        }
    }

    /// How all runs together are doing.
    fn total(&self, tally: &Tally) -> String {
        let left = if tally.done > 0.0 {
            let seconds = self.started.elapsed().as_secs_f64() * (tally.to_do - tally.done).max(0.0) / tally.done;
            format!(", {} left", duration(seconds))
        } else {
            String::new()
        };
        let best = tally.best.as_ref().map_or_else(String::new, |best| {
            let accuracy = Measure::of(std::slice::from_ref(best)).accuracy(best).unwrap_or(0.0);
            format!(", best {:.2} % in run {}", 100.0 * accuracy, best.number)
        });
        let whole = self.whole.as_ref().and_then(|whole| whole.left());
        let whole = whole.map_or_else(String::new, |seconds| format!("; all parts: {} left", duration(seconds)));
        format!("{} of {} over{left}{best}{whole}", tally.over, self.runs)
    }

    /// Adds work that was done, and shows the total now and then.
    fn add(&self, work: f64) {
        if let Some(whole) = &self.whole {
            whole.work()[1] += work;
        }
        let mut tally = self.tally();
        tally.done += work;
        let wait = if self.bars.is_some() { BAR_EVERY } else { LINE_EVERY };
        if tally.last_line.elapsed() < wait {
            return;
        }
        tally.last_line = Instant::now();
        let text = self.total(&tally);
        match &self.bars {
            Some((_, all)) => all.set_message(text),
            None => self.screen.remark(text),
        }
    }
}

impl Watch for Floor<'_> {
    fn begin(&self, job: &Job<'_>) -> Box<dyn Observer + '_> {
        let (work, samples) = (job.work, job.samples as u64);
        let name = format!("run {} ({})", job.run.number, job.run.label());
        Box::new(Lane { floor: self, name, bar: None, epochs: 0, samples, work, counted: 0.0, last: Instant::now() })
    }

    fn ended(&self, job: &Job<'_>, record: &Record) {
        let mut tally = self.tally();
        tally.over += 1;
        let measure = Measure::of(std::slice::from_ref(record));
        let better = match &tally.best {
            _ if record.ending != Ending::Finished => false,
            Some(best) => measure.accuracy(record) > measure.accuracy(best),
            None => true,
        };
        if better {
            tally.best = Some(record.clone());
        }
        tally.last_line = Instant::now();
        let place = format!("{:>width$}/{}", tally.over, self.runs, width = self.runs.to_string().len());
        self.say(&format!("{place}  {}  ({})", standing(record, measure), job.run.label()));
        if let Some((_, all)) = &self.bars {
            all.set_position(tally.over as u64);
            all.set_message(self.total(&tally));
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Floor<'_> {
    fn drop(&mut self) {
        if let Some((_, all)) = &self.bars {
            all.finish_and_clear();
        }
    }
}

/// One run under way.
struct Lane<'a> {
    floor: &'a Floor<'a>,
    name: String,
    bar: Option<ProgressBar>,
    epochs: u32,
    /// In an epoch.
    samples: u64,
    work: f64,
    /// The part of the work, from 0 to 1, that the floor knows of.
    counted: f64,
    last: Instant,
}

impl Lane<'_> {
    /// Tells the floor how far the run is.
    fn count(&mut self, samples_seen: u64) {
        let all = self.samples.saturating_mul(u64::from(self.epochs)).max(1);
        let part = samples_seen as f64 / all as f64;
        self.floor.add((part - self.counted) * self.work);
        self.counted = part;
    }
}

impl Observer for Lane<'_> {
    fn start(&mut self, start: &Start<'_>) {
        self.epochs = start.config.epochs;
        let in_epoch = start.step_in_epoch.saturating_mul(start.config.batch as u64).min(self.samples);
        let seen = u64::from(start.epoch).saturating_mul(self.samples).saturating_add(in_epoch);
        let all = self.samples.saturating_mul(u64::from(self.epochs));
        self.counted = seen as f64 / all.max(1) as f64;
        self.floor.forgo(self.counted * self.work); // done by an earlier call
        if let Some(note) = start.note {
            self.floor.screen.remark(format_args!("note: {}: {note}", self.name));
        }
        if let Some((bars, total)) = &self.floor.bars {
            self.bar = Some(bars.insert_before(total, new_bar(self.floor.screen, self.name.clone(), seen, all)));
        }
    }

    fn step(&mut self, progress: &Progress) {
        if progress.step.samples < 64 && !progress.step_in_epoch.is_multiple_of(LOOK_EVERY) {
            return;
        }
        if self.last.elapsed() < BAR_EVERY {
            return;
        }
        self.last = Instant::now();
        self.count(progress.samples_seen);
        if let Some(bar) = &self.bar {
            bar.set_position(progress.samples_seen);
            let pace = progress.samples_seen as f64 / progress.train_seconds.max(1e-9);
            bar.set_message(format!(
                "epoch {}/{}  loss {:.4}  acc {:.2} %  {}/s",
                progress.epoch,
                progress.epochs,
                progress.loss,
                100.0 * progress.accuracy,
                grouped(pace as u64)
            ));
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.count(u64::from(report.epoch).saturating_mul(self.samples));
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        // What it leaves undone, pruned or stopped early, is no longer to be done.
        if self.epochs > 0 {
            self.floor.forgo((1.0 - self.counted) * self.work);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line with a bar, drawn once it stands among the others.
fn new_bar(screen: &Screen, name: String, done: u64, len: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
    let bar = bar.with_prefix(name).with_position(done);
    let template =
        if screen.colour_err() { "{prefix} {bar:12.cyan/dim} {wide_msg}" } else { "{prefix} {bar:12} {wide_msg}" };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}
