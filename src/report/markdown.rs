//! The same as Markdown, with pictures as files beside it.

use super::Chapter;
use super::figures::{Art, Drawn};
use super::int8;
use super::words::{self, number, percent, plural, reason, short, sides, time, total_seconds, verdict};
use crate::study::{Part, PartResult, Tally};
use std::fmt::Write;

/// Runs beyond which their names must say what they set.
const MOST_RUNS: usize = 20;

/// All chapters; pictures are in the folder `figures`.
pub(super) fn page(chapters: &[Chapter<'_>], figures: &str) -> String {
    let mut text = "# Five studies of handwritten digits\n\nWhat five public reports on MNIST trained, trained again by Inkstone: their figures \
                    beside ours, and their claims decided by the runs.\n"
        .to_owned();
    let all = || chapters.iter().flat_map(|chapter| chapter.results.iter().copied());
    let sum = all().map(PartResult::tally).fold(Tally::default(), std::ops::Add::add);
    let _ = writeln!(
        text,
        "\n{} of {} published figures reproduce, {} of {} claims hold; {} of training.\n",
        sum.reproduced,
        sum.judged,
        sum.holding,
        sum.decided,
        time(all().map(|result| result.seconds).sum())
    );
    let parts = all().filter(|result| result.is_short()).count();
    if parts > 0 {
        let _ = writeln!(text, "**Quick**: {parts} of {} parts were trained only in part.\n", all().count());
    }
    table(&mut text, &["study", "figures", "claims", "seeds", "training", "without a result", "points lost in int8"]);
    for chapter in chapters {
        let sum = chapter.results.iter().map(|result| result.tally()).fold(Tally::default(), std::ops::Add::add);
        let seconds = chapter.results.iter().map(|result| result.seconds).sum();
        let (figures, claims) =
            (format!("{} of {}", sum.reproduced, sum.judged), format!("{} of {}", sum.holding, sum.decided));
        let quick = if chapter.is_short() { " (quick)" } else { "" };
        let name = format!("{}{quick}", chapter.study.name);
        let (seeds, absent) = (words::seeds(chapter), words::absent(chapter));
        row(&mut text, &[name, figures, claims, seeds, time(seconds), absent, int8::of_study(chapter)]);
    }
    summary_of_misses(&mut text, chapters);
    for chapter in chapters {
        let _ = writeln!(
            text,
            "\n# {}: {}\n\nPublished {}.",
            chapter.study.name, chapter.study.title, chapter.study.source
        );
        notes(&mut text, &chapter.study.notes);
        for (result, drawn) in chapter.results.iter().zip(&chapter.figures) {
            if let Some(part) = chapter.study.part(&result.part) {
                self::part(&mut text, chapter, part, result);
                drawn.iter().for_each(|drawn| picture(&mut text, drawn, figures));
            }
        }
        for part in chapter.study.parts.iter().filter(|part| chapter.results.iter().all(|one| one.part != part.name)) {
            let _ = writeln!(text, "\n## {}\n\n**Not trained.**", part.title);
        }
    }
    text.push_str("\n# How figures and claims are decided\n\n");
    words::HOW.iter().for_each(|how| text.push_str(&format!("{how}\n\n")));
    for (term, meaning) in words::TERMS {
        let _ = writeln!(text, "- `{term}`: {meaning}");
    }
    text
}

/// Everything that did not reproduce or hold, as lists.
fn summary_of_misses(text: &mut String, chapters: &[Chapter<'_>]) {
    let results = || chapters.iter().flat_map(|chapter| chapter.results.iter().map(move |result| (chapter, *result)));
    let place = |result: &PartResult| {
        format!("{} {}{}", result.study, result.part, if result.is_short() { " (quick)" } else { "" })
    };
    let mut heading = "\nWhat did not reproduce:\n\n";
    for (chapter, result) in results() {
        let Some(part) = chapter.study.part(&result.part) else { continue };
        for row in result.rows.iter().filter(|row| row.reproduced == Some(false)) {
            let [run, figure, published, measured, ..] = words::cells(part, row);
            let (place, why) = (place(result), reason(chapter, part, result, row));
            let _ = writeln!(text, "{heading}- {place}: {run}, {figure}: {measured} for {published}; {why}");
            heading = "";
        }
    }
    let mut heading = "\nWhat does not hold:\n\n";
    for (_, result) in results() {
        for finding in result.findings.iter().filter(|finding| finding.holds == Some(false)) {
            let ours = if finding.ours { " (ours)" } else { "" };
            let _ = writeln!(text, "{heading}- {}: {}{ours}", place(result), finding.claim);
            heading = "";
        }
    }
}

/// A cell cannot hold what ends it, nor what HTML would be.
fn cell(words: &str) -> String {
    words.replace('|', "\\|").replace('<', "&lt;").replace('"', "&quot;").replace('\n', " ")
}

fn row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|words| cell(words)).collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn table(text: &mut String, head: &[&str]) {
    let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
}

fn notes(text: &mut String, notes: &[String]) {
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
}

fn part(text: &mut String, chapter: &Chapter<'_>, part: &Part, result: &PartResult) {
    let _ = writeln!(text, "\n## {}{}\n\n{}", part.title, if result.is_short() { " (quick)" } else { "" }, part.asked);
    if let Some(short) = short(result) {
        let _ = writeln!(text, "\n**Quick**: {short}.");
    }
    notes(text, &part.notes);
    if !result.missing.is_empty() {
        let _ = writeln!(text, "\n**Without a result**: {}.", result.missing.join("; "));
    }
    if !part.runs.is_empty() {
        let (seeds, time) = (plural(result.seeds as usize, "seed"), time(result.seconds));
        let all = words::settings(part, None);
        let _ = writeln!(text, "\n`{}`, {seeds}, {time} of training. All: {all}.\n", result.part);
        for run in part.runs.iter().filter(|run| !part.settings(Some(run)).is_empty() && part.runs.len() <= MOST_RUNS) {
            let _ = writeln!(text, "- {}: {}", run.name, words::settings(part, Some(run)));
        }
        networks(text, result);
    }
    if !result.rows.is_empty() {
        text.push('\n');
        table(text, &["run", "figure", "published", "measured", "seeds", "95 % interval", "difference", "reproduced"]);
    }
    for one in &result.rows {
        let judged = match one.reproduced {
            Some(false) => format!("**no**: {}", reason(chapter, part, result, one)),
            other => verdict(other).to_owned(),
        };
        row(text, &[words::cells(part, one).to_vec(), vec![judged]].concat());
    }
    if let Some([published, measured]) = total_seconds(result) {
        let (ours, theirs) = (time(measured), time(published));
        let _ = writeln!(text, "\nAll of them, one seed each: {ours} of training here, {theirs} published.");
    }
    for sheet in &result.sheets {
        let _ = writeln!(text, "\n{}:\n", sheet.title);
        table(text, &sheet.head.iter().map(String::as_str).collect::<Vec<_>>());
        sheet.rows.iter().for_each(|cells| row(text, cells));
    }
    if !result.findings.is_empty() {
        text.push('\n');
    }
    for finding in &result.findings {
        let ours = if finding.ours { "Ours: " } else { "" };
        let _ = writeln!(text, "- {ours}{}: **{}**.", finding.claim, verdict(finding.holds));
        for rule in &finding.rules {
            let (mark, [left, right]) = (if rule.holds { "" } else { ", not so" }, sides(rule));
            let _ = writeln!(text, "  - `{}`: {left} and {right}{mark}", rule.rule);
        }
    }
    if !result.pairs.is_empty() {
        text.push_str("\nOn the same test images, first seed (McNemar's exact test):\n\n");
        table(text, &["first", "second", "only the first wrong", "only the second", "p"]);
    }
    for pair in &result.pairs {
        let [first, second] = pair.runs.clone();
        let [a, b] = pair.only_wrong.map(|count| count.to_string());
        row(text, &[first, second, a, b, number(pair.p)]);
    }
}

/// Every network, as floats and in bytes: folded away.
fn networks(text: &mut String, result: &PartResult) {
    if let Some(sentence) = int8::sentence(result) {
        let _ = writeln!(text, "\n{sentence}");
    }
    if result.runs.is_empty() {
        return;
    }
    text.push_str("\n<details><summary>Every network</summary>\n\n");
    table(text, &["run", "seed", "test accuracy, %", "image, bytes", "its accuracy, %", "seconds"]);
    for run in &result.runs {
        let [bytes, accuracy] = int8::cells(run);
        let float = percent(run.record.test_accuracy);
        let seconds = format!("{:.1}", run.record.seconds);
        row(text, &[run.name.clone(), run.seed.to_string(), float, bytes, accuracy, seconds]);
    }
    text.push_str("\n</details>\n");
}

fn picture(text: &mut String, drawn: &Drawn, folder: &str) {
    match &drawn.art {
        Art::Plot { .. } => {
            let _ = writeln!(text, "\n![{}]({folder}/{}.svg)", drawn.title, drawn.name);
        }
        Art::Pictures { images, row } => {
            let _ = writeln!(text, "\n{}:\n", drawn.title);
            for (i, image) in images.iter().enumerate() {
                let width = if *row == Some(1) { 2 * image.size[1] } else { 84 };
                let file = format!("{folder}/{}-{}.png", drawn.name, i + 1);
                let _ = writeln!(
                    text,
                    "<img src=\"{file}\" width=\"{width}\" alt=\"{}\" title=\"{0}\">",
                    cell(&image.caption)
                );
            }
        }
    }
    if !drawn.caption.is_empty() {
        let _ = writeln!(text, "\n*{}*", drawn.caption.trim());
    }
}
