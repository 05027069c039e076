//! Numbers and verdicts as pages write them.

use crate::study::spec::Run;
use crate::study::{Part, PartResult, Row};

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

/// A number with as many digits as the published one has beside it: all of them where that is exact.
pub(super) fn beside(published: f64, value: f64) -> String {
    let exact = published.to_string().len() > 10;
    if exact { value.to_string() } else { number(value) }
}

/// Seconds as people say them.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{:.0} s", s + 0.0), // a sum of nothing is -0
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

/// From the least to the most of the seeds, if there are several.
pub(super) fn spread(row: &Row) -> String {
    let all = || row.values.iter().copied();
    match (all().reduce(f64::min), all().reduce(f64::max)) {
        (Some(min), Some(max)) if row.values.len() > 1 => format!("{} to {}", number(min), number(max)),
        _ => "-".to_owned(),
    }
}

/// The ends of an interval.
pub(super) fn interval(row: &Row) -> String {
    row.interval.map_or_else(|| "-".to_owned(), |[low, high]| format!("{} to {}", number(low), number(high)))
}

/// The mark of what is less than the whole part.
pub(super) fn short(result: &PartResult) -> Option<String> {
    let limit = result.limit.map(|limit| format!("at most {limit} training images"));
    let quick = result.quick.then(|| "a tenth of the epochs, or of the images".to_owned());
    let words: Vec<String> = limit.into_iter().chain(quick).collect();
    let words = words.join(", ");
    (!words.is_empty()).then(|| format!("{words}: nothing here says what the whole part would"))
}

/// What speaks for a figure that did not reproduce: too little training, few images, seeds that differ, or the study's own caution.
pub(super) fn reason(part: &Part, result: &PartResult, row: &Row) -> String {
    let within = |[low, high]: [f64; 2]| (low..=high).contains(&row.published);
    let run = part.runs.iter().find(|run| run.name == row.run);
    let published = run.and_then(|run| run.published.iter().find(|one| one.describes(row)));
    let accepts =
        |value: &f64| published.is_some_and(|one| one.measure.unit().accepts(one.value, *value) == Some(true));
    let reaching = row.values.iter().filter(|value| accepts(value)).count();
    match (run.and_then(|run| run.caution.clone()), row.interval) {
        _ if result.is_short() => "trained only in part".to_owned(),
        (Some(caution), _) => caution,
        (None, Some(interval)) if within(interval) => "the published figure is within the interval".to_owned(),
        _ if reaching > 0 => format!("{reaching} of {} seeds reach it", row.values.len()),
        _ => "not explained".to_owned(),
    }
}

/// Published and measured seconds of all runs whose seconds are published.
pub(super) fn total_seconds(result: &PartResult) -> Option<[f64; 2]> {
    let rows = || result.rows.iter().filter(|row| row.measure == "seconds");
    let measured: Option<f64> = rows().map(|row| row.measured).sum();
    rows().next()?;
    Some([rows().map(|row| row.published).sum(), measured?])
}
