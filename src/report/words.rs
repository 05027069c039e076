//! Numbers and verdicts as pages write them.

use super::Chapter;
use crate::study::rule::Decided;
use crate::study::spec::{Published, Run};
use crate::study::{Part, PartResult, Row};

/// How figures and claims are decided.
pub(super) const HOW: [&str; 5] = [
    "An accuracy reproduces if the median of the seeds is no more than 0.3 points below the published one, a loss if it is no more than a tenth \
     above. Accuracies are in percent, differences of accuracies in points, losses in nats (natural logarithms), confusions parts of 1.",
    "Epochs depend on the seed and seconds on the machine: they are shown, not judged, and so are standard deviations, confusions, single \
     differences of gradients, and figures that are shown once more beside other settings. What is not judged has a dash.",
    "Claims are inequalities between figures of runs, by the medians of the seeds unless they say otherwise, decided by the two numbers beside each: \
     what stands on its left and on its right. Goals of ours and what goes beyond the reports are marked so and not counted.",
    "Intervals are Wilson's, of 95 %. McNemar's exact test compares two networks on the same images, those of the first seed: how many only one of \
     the two reads wrong, and as p how probable so uneven a split is if both err alike.",
    "Nothing is decided while a seed is missing; a run that diverged does not reproduce.",
];

/// What the words of rules mean.
pub(super) const TERMS: [(&str, &str); 9] = [
    ("test_loss(run)", "a figure of the run of that name: of its best epoch with patience, else of its last"),
    (
        "test_loss@3, test_loss@patience3, test_loss@rising3",
        "after epoch 3; at the lowest validation loss before three epochs in a row that were not below it; the same before three that were each above the one before",
    ),
    ("min_, max_, min_test_loss_epoch", "the lowest and the highest of all epochs, and the epoch of it"),
    (
        "spikes_, rises_, peaks_",
        "how far an epoch is from the middle of its two neighbours, in the mean; epochs that are above the one before; and above the one behind too",
    ),
    (
        "digit_9, confused_9_4",
        "percent of the nines of the test set that are read right; the part of them that is read as 4",
    ),
    ("near_zero", "percent of the weights that are closer to 0 than 0.001"),
    (
        "contrast, roughness",
        "the standard deviation of a linear model's weights; the mean difference of neighbouring weights, over the contrast",
    ),
    ("max_val_accuracy(*)", "of the run that has the highest"),
    (
        "in 4 of 5:, most:",
        "decided seed by seed, or by groups of runs whose names the star stands for: the numbers are how many it holds for, and how many are needed, or half of all",
    ),
];

/// A number as its size asks for.
pub(super) fn number(value: f64) -> String {
    if value == value.round() && value.abs() < 1e6 {
        format!("{value}")
    } else if value.abs() < 1e-3 {
        format!("{value:.2e}")
    } else if value.abs() < 1.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

/// Both sides of a rule, with as many digits as tell them apart.
pub(super) fn sides(rule: &Decided) -> [String; 2] {
    let [left, right] = [rule.left, rule.right].map(number);
    if left != right || rule.left == rule.right {
        return [left, right];
    }
    let with = |digits: usize| [rule.left, rule.right].map(|side| format!("{side:.digits$}"));
    (3..17).map(with).find(|[left, right]| left != right).unwrap_or([left, right])
}

/// How figures of a row are written: what they are counted in, and digits behind the point where all have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    symbol: &'static str,
    digits: Option<usize>,
}

impl Style {
    /// Of a row of `part`.
    pub(super) fn of(part: &Part, row: &Row) -> Self {
        let symbol = published(part, row).map_or("", |figure| figure.measure.symbol());
        let digits = match symbol {
            "%" => Some(2),
            "nats" => Some(4),
            _ => None,
        };
        Self { symbol, digits }
    }

    /// A number, never a nothing below 0.
    pub(super) fn number(self, value: f64) -> String {
        let text = self.digits.map_or_else(|| number(value), |digits| format!("{value:.digits$}"));
        if text.trim_start_matches(['-', '0', '.']).is_empty() { text.trim_start_matches('-').to_owned() } else { text }
    }

    /// A number if there is one.
    pub(super) fn shown(self, value: Option<f64>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| self.number(value))
    }

    /// The published figure or one beside it, with all digits where the published one has more than a person would write.
    fn beside(self, published: f64, value: f64) -> String {
        if published.to_string().len() > 10 { value.to_string() } else { self.number(value) }
    }
}

/// The published figure that a row is about, if it is of a run.
fn published<'p>(part: &'p Part, row: &Row) -> Option<&'p Published> {
    part.runs.iter().find(|run| run.name == row.run)?.published.iter().find(|figure| figure.describes(row))
}

/// Seeds from which each has its figure in the table.
const MANY: usize = 5;

/// The cells of a row up to the verdict: run, figure, published, measured, seeds, interval, difference.
pub(super) fn cells(part: &Part, row: &Row) -> [String; 7] {
    let style = Style::of(part, row);
    let figure =
        if style.symbol.is_empty() { row.measure.clone() } else { format!("{}, {}", row.measure, style.symbol) };
    let range = |ends: Option<[f64; 2]>| {
        ends.map_or_else(|| "-".to_owned(), |[low, high]| format!("{} to {}", style.number(low), style.number(high)))
    };
    let all = || row.values.iter().copied();
    let spread = all().reduce(f64::min).zip(all().reduce(f64::max)).filter(|_| row.values.len() > 1);
    // Of as many as a report lists one by one, each.
    let each = if row.values.len() < MANY {
        String::new()
    } else {
        format!(": {}", all().map(|value| style.number(value)).collect::<Vec<_>>().join(", "))
    };
    [
        row.run.clone(),
        figure,
        style.beside(row.published, row.published),
        row.measured.map_or_else(|| "-".to_owned(), |measured| style.beside(row.published, measured)),
        range(spread.map(|(low, high)| [low, high])) + &each,
        range(row.interval),
        style.shown(row.difference),
    ]
}

/// Seconds as people say them.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{:.0} s", s.floor() + 0.0), // a sum of nothing is -0
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

/// A verdict.
#[must_use]
pub const fn verdict(good: Option<bool>) -> &'static str {
    match good {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
}

/// A number if there is one.
pub(super) fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// A fraction in percent, with two digits in every row of a column.
pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".to_owned(), |fraction| format!("{:.2}", 100.0 * fraction))
}

/// `1 run`, `2 runs`.
pub(super) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// What a run sets, or what all of a part do: `batch 200, lr 0.001`.
pub(super) fn settings(part: &Part, run: Option<&Run>) -> String {
    part.settings(run).iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

/// The mark of what is less than the whole part.
pub(super) fn short(result: &PartResult) -> Option<String> {
    let limit = result.limit.map(|limit| format!("at most {limit} training images"));
    let quick = result.quick.then(|| "a tenth of the epochs, or of the images".to_owned());
    let words: Vec<String> = limit.into_iter().chain(quick).collect();
    let words = words.join(", ");
    (!words.is_empty()).then(|| format!("{words}: nothing here says what the whole part would"))
}

/// What speaks for a figure that did not reproduce: too little training, the study's own caution, seeds that diverged, few images, seeds that
/// differ, or another part, which trains it otherwise.
pub(super) fn reason(chapter: &Chapter<'_>, part: &Part, result: &PartResult, row: &Row) -> String {
    let within = |[low, high]: [f64; 2]| (low..=high).contains(&row.published);
    let run = part.runs.iter().find(|run| run.name == row.run);
    let published = published(part, row);
    let accepts =
        |value: &f64| published.is_some_and(|one| one.measure.unit().accepts(one.value, *value) == Some(true));
    let reaching = row.values.iter().filter(|value| accepts(value)).count();
    // One name may begin as another does.
    let seeds_of = format!("{}, seed ", row.run);
    let diverged = result.missing.iter().filter(|run| run.starts_with(&seeds_of) && run.contains("diverged")).count();
    let elsewhere = || {
        let others = chapter.results.iter().filter(|other| other.part != part.name);
        let of = |other: &PartResult| Some((other.part.clone(), other.median(published?.measure, &row.run)?));
        others.filter_map(|other| of(other)).find(|(_, value)| accepts(value))
    };
    match (run.and_then(|run| run.caution.clone()), row.interval) {
        _ if result.is_short() => "trained only in part".to_owned(),
        (Some(caution), _) => caution,
        _ if diverged > 0 => format!("{} diverged", plural(diverged, "seed")),
        (None, Some(interval)) if within(interval) => "the published figure is within the interval".to_owned(),
        _ if reaching > 0 => format!("{reaching} of {} seeds reach it", row.values.len()),
        _ => match elsewhere() {
            Some((other, value)) => {
                format!("{} in the part {other}, which trains it otherwise", Style::of(part, row).shown(Some(value)))
            }
            None => "not explained".to_owned(),
        },
    }
}

/// Published and measured seconds of all runs whose seconds are published.
pub(super) fn total_seconds(result: &PartResult) -> Option<[f64; 2]> {
    let rows = || result.rows.iter().filter(|row| row.measure == "seconds");
    let measured: Option<f64> = rows().map(|row| row.measured).sum();
    rows().next()?;
    Some([rows().map(|row| row.published).sum(), measured?])
}

/// The seeds of a study's runs, from the fewest to the most.
pub(super) fn seeds(chapter: &Chapter<'_>) -> String {
    let trained = || chapter.results.iter().filter(|result| !result.runs.is_empty()).map(|result| result.seeds);
    match (trained().min(), trained().max()) {
        (Some(min), Some(max)) if min < max => format!("{min} to {max}"),
        (Some(min), _) => min.to_string(),
        _ => "-".to_owned(),
    }
}

/// Parts and runs that there should be and are not.
pub(super) fn absent(chapter: &Chapter<'_>) -> String {
    let has = |part: &&Part| chapter.results.iter().all(|result| result.part != part.name);
    let parts = chapter.study.parts.iter().filter(has).map(|part| part.name.clone());
    let runs = chapter.results.iter().filter(|result| !result.missing.is_empty());
    let runs = runs.map(|result| format!("{} of {}'s runs", result.missing.len(), result.part));
    let all: Vec<String> = parts.chain(runs).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}
