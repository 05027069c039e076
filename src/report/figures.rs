//! The pictures of a part, drawn from its results.

use super::canvas::Drawing;
use super::dots::{Dot, Dots, Pairs};
use super::lines::{Line, Lines};
use super::picture::{self, Picture};
use super::shades::Shades;
use crate::study::figure::{Figure, Mark};
use crate::study::measure::Unit;
use crate::study::statistics::{binomial_interval, median};
use crate::study::{Measure, Part, PartResult, Trained};

/// A picture with its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Of files, without ending: `cnn-plain-2`.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What has to be known to read it.
    pub caption: String,
    /// The picture.
    pub art: Art,
}

/// A plot, or images.
#[derive(Clone, Debug, PartialEq)]
pub enum Art {
    /// An SVG without background, and how many series it draws.
    Plot {
        /// The file.
        svg: String,
        /// Lines, cells or dots.
        series: usize,
    },
    /// Images side by side; how many stand in a row, if that matters.
    Pictures {
        /// The images.
        images: Vec<Picture>,
        /// How many in a row.
        row: Option<usize>,
    },
}

impl Drawn {
    /// Files that hold it, by name: a plot on white, or its images.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        match &self.art {
            Art::Plot { svg, .. } => {
                let end = svg.find('>').map_or(0, |end| end + 1);
                let white = "<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>";
                vec![(format!("{}.svg", self.name), format!("{}{white}{}", &svg[..end], &svg[end..]).into_bytes())]
            }
            Art::Pictures { images, .. } => {
                let file = |(i, image): (usize, &Picture)| (format!("{}-{}.png", self.name, i + 1), image.png.clone());
                images.iter().enumerate().map(file).collect()
            }
        }
    }
}

/// Every picture of a part that its results have something for.
pub(super) fn draw(part: &Part, result: &PartResult) -> Drawing<Vec<Drawn>> {
    let mut all = Vec::new();
    for figure in &part.figures {
        for (title, caption, art) in one(part, result, figure)? {
            let name = format!("{}-{}-{}", result.study, result.part, all.len() + 1);
            all.push(Drawn { name, title, caption, art });
        }
    }
    Ok(all)
}

type Piece = (String, String, Art);

fn one(part: &Part, result: &PartResult, figure: &Figure) -> Drawing<Vec<Piece>> {
    let title = figure.title();
    let measures = figure.measures().map_err(Box::<dyn std::error::Error + Send + Sync>::from)?;
    let seeds = if result.seeds > 1 { "Seed 1." } else { "" };
    let piece = |caption: &str, art: Art| vec![(title.to_owned(), caption.to_owned(), art)];
    Ok(match figure {
        Figure::Lines { runs, mark, from, to, .. } => {
            let shown: Vec<&Trained> = match runs.is_empty() {
                true => result.first_seeds().collect(),
                false => runs.iter().filter_map(|name| result.run(name)).collect(),
            };
            let lines = lines(&shown, &measures, *mark);
            if lines.is_empty() {
                return Ok(Vec::new());
            }
            let (across, up) = ("epoch", measures.first().map_or("", |measure| axis(*measure)));
            let series = lines.len();
            let svg = Lines { title, across, up, from: *from, to: *to, lines }.svg()?;
            piece(seeds, Art::Plot { svg, series })
        }
        Figure::Confusion { run, .. } => match result.run(run).and_then(|run| run.exam.as_ref()) {
            None => Vec::new(),
            Some(exam) => {
                let classes: Vec<String> = (0..exam.confusion.len()).map(|class| class.to_string()).collect();
                let cells = exam.confusion.iter().map(|row| {
                    let total: u64 = row.iter().sum();
                    let share = |count: &u64| *count as f64 / total.max(1) as f64;
                    let cell = |count: &u64| match *count {
                        0 => (String::new(), 0.0),
                        _ => (words_of(share(count)), shade_of(share(count))),
                    };
                    row.iter().map(|count| (total > 0).then(|| cell(count))).collect()
                });
                let cells: Vec<Vec<_>> = cells.collect();
                let series = cells.iter().map(Vec::len).sum();
                let (rows, columns) = (classes.clone(), classes);
                let svg = Shades { title, down: "true digit", across: "read as", rows, columns, cells }.svg()?;
                let caption =
                    format!("{run}. Each row adds to 1; shades by the logarithm, so that mistakes show. {seeds}");
                piece(caption.trim_end(), Art::Plot { svg, series })
            }
        },
        Figure::Weights { .. } => {
            let shown = result.first_seeds().filter_map(|run| Some((run, run.exam.as_ref()?.weights.as_ref()?)));
            let images =
                shown.map(|(run, weights)| picture::weights(&run.name, weights)).collect::<Drawing<Vec<_>>>()?;
            match images.is_empty() {
                true => Vec::new(),
                false => piece(seeds, Art::Pictures { images, row: Some(1) }),
            }
        }
        Figure::Hardest { run, .. } => match result.run(run).and_then(|run| run.exam.as_ref()) {
            None => Vec::new(),
            Some(exam) => {
                let images = exam.hardest.iter().map(picture::digit).collect::<Drawing<Vec<_>>>()?;
                let caption = format!("{run}. Place in the test set: true digit, digit read, loss in nats. {seeds}");
                piece(caption.trim_end(), Art::Pictures { images, row: None })
            }
        },
        Figure::Augmented { .. } => match result.gallery.is_empty() {
            true => Vec::new(),
            false => {
                let images = result.gallery.iter().map(picture::digit).collect::<Drawing<Vec<_>>>()?;
                let epochs = result.gallery.iter().skip(1).take_while(|image| !image.caption.starts_with('#')).count();
                piece(
                    "Place in the training set and label, and what the epochs make of it.",
                    Art::Pictures { images, row: Some(epochs + 1) },
                )
            }
        },
        Figure::Heat { .. } => heat(part, result, title, measures[0])?,
        Figure::Bars { .. } => {
            let dots: Vec<Dot> = part.runs.iter().filter_map(|run| dot(result, &run.name, measures[0])).collect();
            if dots.is_empty() {
                return Ok(Vec::new());
            }
            let (series, across) = (dots.len(), axis(measures[0]));
            let svg = Dots { title, across, dots }.svg()?;
            piece(
                "Medians of the seeds, each with the 95 % interval of a share of that many images.",
                Art::Plot { svg, series },
            )
        }
        Figure::Pairs { words, .. } => {
            let value = |name: &str| dot(result, name, measures[0]).map(|dot| dot.value);
            let mut groups: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
            for run in &part.runs {
                let Some(stem) = run.name.strip_suffix(words[0].as_str()) else { continue };
                let Some(pair) = value(&format!("{stem}{}", words[1])).zip(value(&run.name)) else { continue };
                let group = stem.split(' ').next().unwrap_or_default();
                match groups.iter_mut().find(|(label, _)| label == group) {
                    Some((_, pairs)) => pairs.push(pair),
                    None => groups.push((group.to_owned(), vec![pair])),
                }
            }
            if groups.is_empty() {
                return Ok(Vec::new());
            }
            let series = groups.iter().map(|(_, pairs)| pairs.len()).sum();
            let unit = axis(measures[0]);
            let (across, up) = (format!("{}: {unit}", words[1]), format!("{}: {unit}", words[0]));
            let svg = Pairs { title, across, up, groups }.svg()?;
            let caption =
                format!("Above the line {} is better. Colours by the first word of the run's name.", words[0]);
            piece(&caption, Art::Plot { svg, series })
        }
    })
}

/// What stands at an axis of a figure.
fn axis(measure: Measure) -> &'static str {
    match measure.unit() {
        Unit::Nats => "cross entropy, nats",
        Unit::Percent => "accuracy, %",
        Unit::Shown if measure.is_rate() => "learning rate",
        Unit::Shown => "",
    }
}

/// The shade of a share, by its logarithm from one in two thousand to all.
fn shade_of(share: f64) -> f64 {
    const LEAST: f64 = 0.0005;
    (share.max(LEAST) / LEAST).ln() / (1.0 / LEAST).ln()
}

/// A share as a confusion matrix writes it.
fn words_of(share: f64) -> String {
    let text = format!("{share:.3}");
    text.strip_prefix('0').map_or_else(|| text.clone(), str::to_owned)
}

/// The median of a run's seeds with the interval of its images.
fn dot(result: &PartResult, name: &str, measure: Measure) -> Option<Dot> {
    let ours = || result.runs.iter().filter(|run| run.name == name);
    let value = median(&ours().filter_map(|run| measure.of(run)).collect::<Vec<_>>())?;
    let samples = ours().find_map(|run| measure.samples(run));
    let interval = samples.map(|samples| binomial_interval(value / 100.0, samples).map(|end| 100.0 * end));
    Some(Dot { label: name.to_owned(), value, interval })
}

/// A line for each run and figure: of one run with several figures each has its colour and name, else each run.
fn lines(runs: &[&Trained], measures: &[Measure], mark: Option<Mark>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        for (j, measure) in measures.iter().enumerate() {
            let points: Vec<(f64, f64)> =
                measure.curve(run).into_iter().map(|(epoch, value)| (f64::from(epoch), value)).collect();
            if points.is_empty() {
                continue;
            }
            let dotted = measures.len() > 1 && measure.is_train();
            let label = match (runs.len() > 1, dotted) {
                (true, true) => String::new(),
                (true, false) => run.name.clone(),
                (false, _) => measure.to_string(),
            };
            let finite = || points.iter().copied().filter(|(_, value)| value.is_finite());
            let mark = mark.filter(|_| !dotted).and_then(|mark| match mark {
                Mark::Lowest => finite().reduce(|best, next| if next.1 < best.1 { next } else { best }),
                Mark::Highest => finite().reduce(|best, next| if next.1 > best.1 { next } else { best }),
            });
            let colour = if runs.len() > 1 { i } else { j };
            lines.push(Line { label, colour, dotted, points, mark });
        }
    }
    lines
}

/// Ours and the published one, in one scale.
fn heat(part: &Part, result: &PartResult, title: &str, measure: Measure) -> Drawing<Vec<Piece>> {
    let split = |name: &str| {
        let words: Vec<&str> = name.split(' ').collect();
        let at = words.len().saturating_sub(2);
        [words[..at].join(" "), words[at..].join(" ")]
    };
    let (mut rows, mut columns): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for [row, column] in part.runs.iter().map(|run| split(&run.name)) {
        if !rows.contains(&row) {
            rows.push(row);
        }
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let ours = |name: &str| dot(result, name, measure).map(|dot| dot.value);
    let theirs = |name: &str| {
        let run = part.runs.iter().find(|run| run.name == name)?;
        run.published.iter().find(|published| published.measure == measure).map(|published| published.value)
    };
    // Shades by the logarithm of what is missing to 100 %.
    let missing = |value: f64| (100.0 - value).max(0.01).ln();
    let all = || part.runs.iter().flat_map(|run| [ours(&run.name), theirs(&run.name)]).flatten().map(missing);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let mut pieces = Vec::new();
    for (of, value) in [("ours", &ours as &dyn Fn(&str) -> Option<f64>), ("published", &theirs)] {
        let cell = |row: &String, column: &String| {
            let value = value(&format!("{row} {column}"))?;
            Some((format!("{value:.1}"), (high - missing(value)) / (high - low).max(1e-9)))
        };
        let cells: Vec<Vec<_>> =
            rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
        let series = cells.iter().flatten().flatten().count();
        if series == 0 {
            continue;
        }
        let title = format!("{title}: {of}");
        let (down, across) = ("rate, epochs", "batch, schedule");
        let shades = Shades { title: &title, down, across, rows: rows.clone(), columns: columns.clone(), cells };
        let caption = "Percent. Shades by the logarithm of what is missing to 100, one scale for both.".to_owned();
        pieces.push((title.clone(), caption, Art::Plot { svg: shades.svg()?, series }));
    }
    Ok(pieces)
}
