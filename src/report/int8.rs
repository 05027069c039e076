//! What networks take and lose in bytes, in words.

use super::Chapter;
use super::words::{percent, plural};
use crate::study::{Int8, PartResult, Trained};

/// Of a run: bytes of its image, marked where its weights are of half precision, and percent of the test set that are read right.
pub(super) fn cells(run: &Trained) -> [String; 2] {
    let (image, mark) = match run.exam.as_ref().and_then(|exam| exam.int8.as_ref()) {
        Some(Int8::Image(image)) => (image, ""),
        Some(Int8::Not { f16: Some(image), .. }) => (image, " (f16)"),
        _ => return ["-", "-"].map(str::to_owned),
    };
    [format!("{}{mark}", image.bytes), percent(Some(image.accuracy))]
}

/// Points that the networks of `runs` lose in bytes: in the mean, and at most. None without any.
fn lost<'a>(runs: impl Iterator<Item = &'a Trained>) -> Option<[f64; 2]> {
    let points: Vec<f64> = runs.filter_map(|run| run.exam.as_ref()?.int8_loss()).collect();
    let most = points.iter().copied().reduce(f64::max)?;
    Some([points.iter().sum::<f64>() / points.len() as f64, most])
}

/// What the networks of a study lose.
pub(super) fn of_study(chapter: &Chapter<'_>) -> String {
    lost(chapter.results.iter().flat_map(|result| &result.runs))
        .map_or_else(|| "-".to_owned(), |[mean, most]| format!("{}, at most {}", points(mean), points(most)))
}

/// Points with two digits, a loss of nothing never below 0: sums of fractions are a hair off.
fn points(points: f64) -> String {
    let rounded = (100.0 * points).round() / 100.0;
    format!("{:.2}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// What the networks of a part take and lose, and those that bytes cannot hold, each reason once.
pub(super) fn sentence(result: &PartResult) -> Option<String> {
    let all = || result.runs.iter().filter_map(|run| Some((run, run.exam.as_ref()?.int8.as_ref()?)));
    let bytes = || all().filter_map(|(_, int8)| int8.image()).map(|image| image.bytes);
    let mut sentences = Vec::new();
    if let (Some(least), Some(most), Some([mean, worst])) = (bytes().min(), bytes().max(), lost(result.runs.iter())) {
        let size = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let networks = plural(bytes().count(), "network");
        sentences.push(format!(
            "In bytes (int8, quantized after training) {networks} of {size} bytes: {} points of accuracy lost in the mean, {} at most.",
            points(mean),
            points(worst)
        ));
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (run, int8) in all() {
        if let Int8::Not { why, .. } = int8 {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, names)) if names.contains(&run.name.as_str()) => {}
                Some((_, names)) => names.push(&run.name),
                None => reasons.push((why, vec![&run.name])),
            }
        }
    }
    sentences.extend(
        reasons
            .into_iter()
            .map(|(why, names)| format!("Not in bytes, {}: {}.", why.trim_end_matches('.'), names.join(", "))),
    );
    (!sentences.is_empty()).then(|| sentences.join(" "))
}
