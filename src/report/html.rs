//! The one page: no network, no script, light and dark, readable on a phone and on paper.

use super::Chapter;
use super::figures::{Art, Drawn};
use super::int8;
use super::words::{self, number, percent, plural, reason, short, shown, sides, time, total_seconds, verdict};
use crate::study::{Finding, Part, PartResult, Tally};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How the page looks. Plots take the colour of its words through the colours that `canvas` gives ink and grid.
const STYLE: &str = include_str!("page.css");

/// Rows beyond which a table is folded away.
const LONG: usize = 40;

/// The page.
pub(super) fn page(chapters: &[Chapter<'_>]) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Inkstone: five studies of handwritten digits" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Five studies of handwritten digits" }
                    p { "What five public reports on MNIST trained, trained again by Inkstone: their figures beside ours, and their claims decided by the runs." }
                }
                main {
                    (summary(chapters))
                    @for chapter in chapters { (study(chapter)) }
                }
                footer {
                    h2 { "How figures and claims are decided" }
                    @for how in words::HOW { p { (how) } }
                    dl { @for (term, meaning) in words::TERMS { dt { code { (term) } } dd { (meaning) } } }
                }
            }
        }
    };
    markup.into_string()
}

fn anchor(result: &PartResult) -> String {
    format!("{}-{}", result.study, result.part)
}

/// What it all comes to.
fn summary(chapters: &[Chapter<'_>]) -> Markup {
    let results = || chapters.iter().flat_map(|chapter| chapter.results.iter().copied());
    let tally = |results: &mut dyn Iterator<Item = &PartResult>| {
        results.map(PartResult::tally).fold(Tally::default(), std::ops::Add::add)
    };
    let all = tally(&mut results());
    let seconds: f64 = results().map(|result| result.seconds).sum();
    let short = results().filter(|result| result.is_short()).count();
    let missed = || results().flat_map(|result| missed_rows(chapters, result));
    let refuted = || results().filter(|r| r.findings.iter().any(|finding| finding.holds == Some(false)));
    html! {
        section id="summary" {
            h2 { "In short" }
            @if short > 0 {
                p.quick { strong { "Quick: " } (short) " of " (results().count()) " parts were trained only in part. Their figures say that everything works, not what the reports' settings lead to." }
            }
            p { (all.reproduced) " of " (all.judged) " published figures reproduce, " (all.holding) " of " (all.decided) " claims hold; " (time(seconds)) " of training, runs that went side by side counted each." }
            div.wide { table {
                thead { tr { th { "study" } th.number { "figures" } th.number { "claims" } th.number { "seeds" } th.number { "training" } th.number { "points lost in int8" } th { "without a result" } } }
                tbody { @for chapter in chapters {
                    @let sum = tally(&mut chapter.results.iter().copied());
                    tr {
                        td { a href={ "#" (chapter.study.name) } { (chapter.study.name) } @if chapter.is_short() { " (quick)" } }
                        td.number { (sum.reproduced) " of " (sum.judged) }
                        td.number { (sum.holding) " of " (sum.decided) }
                        td.number { (words::seeds(chapter)) }
                        td.number { (time(chapter.results.iter().map(|result| result.seconds).sum())) }
                        td.number { (int8::of_study(chapter)) }
                        td { (words::absent(chapter)) }
                    }
                } }
            } }
            @if missed().next().is_some() {
                h3 { "What did not reproduce" }
                div.wide { table {
                    thead { tr { th { "part" } th { "run" } th { "figure" } th.number { "published" } th.number { "measured" } th { "why" } } }
                    tbody { @for (result, [run, figure, published, measured, ..], why) in missed() {
                        tr {
                            td { (link(result)) }
                            td { (run) } td { (figure) } td.number { (published) } td.number { (measured) } td { (why) }
                        }
                    } }
                } }
            }
            @if refuted().next().is_some() {
                h3 { "What does not hold" }
                ul { @for result in refuted() { @for finding in result.findings.iter().filter(|finding| finding.holds == Some(false)) {
                    li { (link(result)) ": " (finding.claim) @if finding.ours { " (ours)" } }
                } } }
            }
        }
    }
}

/// To a part, which says whether it was quick.
fn link(result: &PartResult) -> Markup {
    html! { a href={ "#" (anchor(result)) } { (result.study) " " (result.part) } @if result.is_short() { " (quick)" } }
}

/// Figures of a part that did not reproduce, each with what speaks for it.
fn missed_rows<'a>(chapters: &[Chapter<'_>], result: &'a PartResult) -> Vec<(&'a PartResult, [String; 7], String)> {
    let Some(chapter) = chapters.iter().find(|chapter| chapter.study.name == result.study) else { return Vec::new() };
    let Some(part) = chapter.study.part(&result.part) else { return Vec::new() };
    let missed = result.rows.iter().filter(|row| row.reproduced == Some(false));
    missed.map(|row| (result, words::cells(part, row), reason(chapter, part, result, row))).collect()
}

fn study(chapter: &Chapter<'_>) -> Markup {
    let found = chapter.results.iter().zip(&chapter.figures);
    html! {
        section id=(chapter.study.name) {
            h2 { (chapter.study.name) ": " (chapter.study.title) }
            p.source { "Published " (chapter.study.source) "." }
            @if !chapter.study.notes.is_empty() { ul.notes { @for note in &chapter.study.notes { li { (note) } } } }
            @for (result, figures) in found {
                @if let Some(part) = chapter.study.part(&result.part) { (self::part(chapter, part, result, figures)) }
            }
            @for part in chapter.study.parts.iter().filter(|part| chapter.results.iter().all(|result| result.part != part.name)) {
                article id={ (chapter.study.name) "-" (part.name) } {
                    h3 { (part.title) }
                    p { (part.asked) }
                    p.quick { strong { "Not trained" } }
                }
            }
        }
    }
}

fn part(chapter: &Chapter<'_>, part: &Part, result: &PartResult, figures: &[Drawn]) -> Markup {
    html! {
        article id=(anchor(result)) {
            h3 { (part.title) @if result.is_short() { " (quick)" } }
            p { (part.asked) }
            @if let Some(short) = short(result) { p.quick { strong { "Quick: " } (short) "." } }
            @if !part.notes.is_empty() { ul.notes { @for note in &part.notes { li { (note) } } } }
            @if !result.missing.is_empty() {
                p.quick { strong { "Without a result: " } (result.missing.join("; ")) ". What follows is of the other runs." }
            }
            (settings(part, result))
            @if let Some(sentence) = int8::sentence(result) { p { (sentence) } }
            @if !result.rows.is_empty() { (rows(chapter, part, result)) }
            @for sheet in &result.sheets {
                p.caption { (sheet.title) ":" }
                div.wide { table {
                    thead { tr { @for (i, head) in sheet.head.iter().enumerate() { th.number[i > 0] { (head) } } } }
                    tbody { @for row in &sheet.rows { tr { @for (i, cell) in row.iter().enumerate() { td.number[i > 0] { (cell) } } } } }
                } }
            }
            @if !result.findings.is_empty() { ul.findings { @for finding in &result.findings { (self::finding(finding)) } } }
            @if !result.pairs.is_empty() {
                p.caption { "On the same test images, first seed: how many only one of the two reads wrong, and how probable so uneven a split is (McNemar's exact test):" }
                div.wide { table {
                    thead { tr { th { "first" } th { "second" } th.number { "only the first wrong" } th.number { "only the second" } th.number { "p" } } }
                    tbody { @for pair in &result.pairs { tr {
                        td { (pair.runs[0]) } td { (pair.runs[1]) }
                        td.number { (pair.only_wrong[0]) } td.number { (pair.only_wrong[1]) } td.number { (number(pair.p)) }
                    } } }
                } }
            }
            div.figures { @for drawn in figures { (figure(drawn)) } }
        }
    }
}

/// What every run has, and what each sets for itself.
fn settings(part: &Part, result: &PartResult) -> Markup {
    html! {
        @if !part.runs.is_empty() {
            details {
                summary { "Settings: " (plural(part.runs.len(), "run")) ", " (plural(result.seeds as usize, "seed")) " each, " (time(result.seconds)) " of training" }
                p { "All: " (words::settings(part, None)) "." }
                div.wide { table {
                    thead { tr { th { "run" } th { "sets" } th.number { "epochs" } th.number { "test accuracy, %" } th.number { "test loss, nats" } th.number { "image, bytes" } th.number { "its accuracy, %" } th.number { "seconds" } } }
                    tbody { @for run in &result.runs { tr {
                        td { (run.name) @if result.seeds > 1 { ", seed " (run.seed) } }
                        td { (words::settings(part, part.runs.iter().find(|known| known.name == run.name))) }
                        td.number { (run.record.epochs) }
                        td.number { (percent(run.record.test_accuracy)) }
                        td.number { (shown(run.record.test_loss)) }
                        @for cell in int8::cells(run) { td.number { (cell) } }
                        td.number { (format!("{:.1}", run.record.seconds)) }
                    } } }
                } }
            }
        }
    }
}

/// Published figures beside ours; a long table is folded away.
fn rows(chapter: &Chapter<'_>, part: &Part, result: &PartResult) -> Markup {
    let Tally { judged, reproduced, .. } = result.tally();
    let table = html! {
        div.wide { table {
            thead { tr {
                th { "run" } th { "figure" } th.number { "published" } th.number { "measured" } th.number { "seeds" }
                th.number { "95 % interval" } th.number { "apart" } th { "reproduced" }
            } }
            tbody { @for row in &result.rows { tr {
                @for (i, cell) in words::cells(part, row).iter().enumerate() { td.number[i > 1] { (cell) } }
                td class=(verdict(row.reproduced)) {
                    (verdict(row.reproduced)) @if row.reproduced == Some(false) { ": " (reason(chapter, part, result, row)) }
                }
            } } }
        } }
    };
    html! {
        @if result.rows.len() > LONG {
            details { summary { (result.rows.len()) " published figures, " (reproduced) " of " (judged) " that are judged reproduce" } (table) }
        } @else { (table) }
        @if let Some([published, measured]) = total_seconds(result) {
            p { "All of them, one seed each: " (time(measured)) " of training here, " (time(published)) " published." }
        }
    }
}

fn finding(finding: &Finding) -> Markup {
    html! {
        li {
            @if finding.ours { span.ours { "ours: " } } (finding.claim) ": " strong class=(verdict(finding.holds)) { (verdict(finding.holds)) }
            @if finding.holds.is_none() { " (a run that it needs was not trained, or has no such figure)" }
            @if !finding.rules.is_empty() {
                details {
                    summary { "the numbers" }
                    ul { @for rule in &finding.rules { li {
                        @let [left, right] = sides(rule);
                        code { (rule.rule) } ": " (left) " and " (right) @if !rule.holds { ", not so" }
                    } } }
                }
            }
        }
    }
}

fn figure(drawn: &Drawn) -> Markup {
    html! {
        @match &drawn.art {
            Art::Plot { svg, .. } => figure.plot {
                (PreEscaped(svg))
                @if !drawn.caption.is_empty() { figcaption { (drawn.caption) } }
            },
            Art::Pictures { images, row } => figure.pictures {
                h4 { (drawn.title) }
                div class=(match row { Some(1) => "strips", Some(_) => "rows", None => "gallery" }) style=[row.map(|row| format!("--row: {row}"))] {
                    @for image in images {
                        div {
                            img alt=(image.caption) width=(image.size[1]) height=(image.size[0]) src={ "data:image/png;base64," (BASE64_STANDARD.encode(&image.png)) };
                            span { (image.caption) }
                        }
                    }
                }
                @if !drawn.caption.is_empty() { figcaption { (drawn.caption) } }
            },
        }
    }
}
