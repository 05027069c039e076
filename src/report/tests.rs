//! Every study, with runs made up: each picture that its file asks for is there, is XML, and holds what it should.

use super::*;
use crate::study::exam::{Exam, Look, Weights};
use crate::study::{Deployed, Extent, Figure, Int8, Part, Row, Specimen, Trained, rule};
use crate::train::metrics::EpochReport;
use crate::train::sweep::{Ending, Record};
use roxmltree::Document;

const EPOCHS: u32 = 12;

/// A run whose figures fall and rise by a rule of its place among the others.
fn made_up(name: &str, place: usize) -> Trained {
    let falling = |epoch: u32| (place + 2) as f64 / f64::from(epoch) * 0.1;
    let history = (1..=EPOCHS).map(|epoch| EpochReport {
        epoch,
        train_loss: falling(epoch),
        train_accuracy: 1.0 - falling(epoch) / 10.0,
        val_loss: Some(falling(epoch) * 1.1),
        val_accuracy: Some(0.99 - falling(epoch) / 10.0),
        test_loss: Some(falling(epoch) * 1.2),
        test_accuracy: Some(0.98 - falling(epoch) / 10.0),
        test_per_class_accuracy: (0..10).map(|digit| Some(0.9 + 0.01 * f64::from(digit))).collect(),
        lr: 0.001 / f64::from(epoch),
        seconds: 1.0,
    });
    let history: Vec<EpochReport> = history.collect();
    let last = history[EPOCHS as usize - 1].clone();
    let record = Record {
        number: place + 1,
        settings: serde_json::Map::new(),
        ending: Ending::Finished,
        sha256: Some("0".to_owned()),
        epochs: EPOCHS,
        best_epoch: None,
        train_loss: Some(last.train_loss),
        train_accuracy: Some(last.train_accuracy),
        val_loss: last.val_loss,
        val_accuracy: last.val_accuracy,
        test_loss: last.test_loss,
        test_accuracy: last.test_accuracy,
        shifted_val_accuracy: None,
        shifted_test_accuracy: None,
        seconds: 12.0,
        samples_per_second: 5000.0,
    };
    let specimen =
        |i: u8| Specimen { caption: format!("#{i}: <1> & \"2\""), size: [2, 2], pixels: vec![0, i, 128, 255] };
    let confusion = (0..10).map(|i| (0..10).map(|j| if i == j { 90 } else { u64::from(i < j) }).collect());
    let exam = Exam {
        sha256: "0".to_owned(),
        test: Default::default(),
        confusion: confusion.collect(),
        wrong: (0..place as u32).collect(),
        hardest: (0..12).map(specimen).collect(),
        near_zero: 0.1,
        linear: Some(Look { contrast: 0.1, roughness: 1.0 }),
        weights: Some(Weights { size: [2, 2], pictures: vec![vec![0.1, -0.1, 0.0, 0.05]; 10] }),
        int8: Some(match place {
            1 => Int8::Not { why: "layer a: no".to_owned(), f16: None },
            _ => Int8::Image(Deployed {
                bytes: 1000 + place as u64,
                arena: 9,
                calibrator: Some("kl".to_owned()),
                loss: 0.1,
                accuracy: 0.95,
            }),
        }),
    };
    Trained { name: name.to_owned(), seed: 1, record, history, val_samples: 10_000, exam: Some(exam) }
}

fn made_up_part(study: &Study, part: &Part) -> PartResult {
    let runs = part.runs.iter().enumerate().map(|(place, run)| made_up(&run.name, place)).collect();
    let extent = Extent { seeds: 1, quick: true, limit: None };
    let mut result = PartResult::of(study, part, extent, runs);
    if part.figures.iter().any(|figure| matches!(figure, Figure::Augmented { .. })) {
        let specimen = |caption: &str| Specimen { caption: caption.to_owned(), size: [1, 1], pixels: vec![9] };
        result.gallery = ["#0: 5", "epoch 1", "#1: 0", "epoch 1"].map(specimen).to_vec();
    }
    result
}

fn everything() -> Vec<PartResult> {
    let studies = NAMES.map(|name| study::study(name).unwrap());
    let parts = studies.iter().flat_map(|study| study.parts.iter().map(move |part| made_up_part(study, part)));
    parts.collect()
}

/// Elements of a plot that have one of the palette's colours, or are cells of a table.
fn count(svg: &Document<'_>, tag: &str) -> usize {
    let nodes = svg.descendants().filter(|node| node.tag_name().name() == tag);
    match tag {
        "polyline" => {
            let of_palette =
                |stroke: &str| canvas::PALETTE.iter().any(|c| format!("#{:02X}{:02X}{:02X}", c.0, c.1, c.2) == stroke);
            let mut colours: Vec<&str> =
                nodes.filter_map(|node| node.attribute("stroke")).filter(|c| of_palette(c)).collect();
            colours.sort_unstable();
            colours.dedup();
            colours.len()
        }
        _ => nodes.count(),
    }
}

#[test]
fn every_figure_is_xml_and_holds_its_series() {
    let results = everything();
    let chapters = chapters(&results.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(chapters.len(), NAMES.len());
    for (chapter, drawn, result) in
        chapters.iter().flat_map(|c| c.figures.iter().zip(&c.results).map(move |(drawn, result)| (c, drawn, result)))
    {
        let part = chapter.study.part(&result.part).unwrap();
        let heats = part.figures.iter().filter(|figure| matches!(figure, Figure::Heat { .. })).count();
        assert_eq!(drawn.len(), part.figures.len() + heats, "{}: heat maps are two", part.name);
        for drawn in drawn {
            let figure = part.figures.iter().find(|figure| drawn.title.starts_with(figure.title())).unwrap();
            match &drawn.art {
                Art::Pictures { images, .. } => {
                    assert!(images.len() > 1 && images.iter().all(|one| !one.png.is_empty()))
                }
                Art::Plot { svg, series } => {
                    let xml = Document::parse(svg).unwrap();
                    let title = xml.root_element().attribute("aria-label").unwrap();
                    assert!(title.starts_with(figure.title()), "{title}");
                    let want = match figure {
                        Figure::Lines { runs, plot, .. } => {
                            let runs = if runs.is_empty() { part.runs.len() } else { runs.len() };
                            let lines = runs * plot.len();
                            assert_eq!(lines, *series, "{}: {}", part.name, drawn.title);
                            let colours = if runs > 1 { runs } else { plot.len() };
                            assert_eq!(count(&xml, "polyline"), colours.min(canvas::PALETTE.len()), "{}", drawn.title);
                            continue;
                        }
                        Figure::Confusion { .. } => 100,
                        Figure::Heat { .. } => 54,
                        Figure::Bars { .. } => part.runs.len(),
                        Figure::Pairs { .. } => part.runs.len() / 2,
                        _ => unreachable!("these are pictures"),
                    };
                    assert_eq!(*series, want, "{}: {}", part.name, drawn.title);
                    // The legend of pairs has a dot for each of three groups.
                    let shapes = match figure {
                        Figure::Confusion { .. } | Figure::Heat { .. } => count(&xml, "rect"),
                        Figure::Bars { .. } => count(&xml, "circle"),
                        _ => count(&xml, "circle") - 3,
                    };
                    assert_eq!(shapes, want, "{}: {}", part.name, drawn.title);
                }
            }
            for (name, bytes) in drawn.files() {
                assert!(!bytes.is_empty() && (name.ends_with(".svg") || name.ends_with(".png")));
                if name.ends_with(".svg") {
                    Document::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
                }
            }
        }
    }
}

#[test]
fn both_pages_show_every_row_claim_and_picture() {
    let results = everything();
    let chapters = chapters(&results.iter().collect::<Vec<_>>()).unwrap();
    let (html, text) = (html::page(&chapters), markdown::page(&chapters, "figures"));
    let escaped =
        |words: &str| words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    for study in NAMES.map(|name| study::study(name).unwrap()) {
        for part in &study.parts {
            assert!(html.contains(&format!("id=\"{}-{}\"", study.name, part.name)), "{}", part.name);
            assert!(html.contains(&escaped(&part.asked)) && text.contains(&part.asked), "{}", part.name);
            for claim in &part.claims {
                assert!(html.contains(&escaped(&claim.text)) && text.contains(&claim.text), "{}", claim.text);
            }
        }
    }
    let rows = results.iter().map(|result| result.rows.len()).sum::<usize>();
    // Rows of tables that end with a verdict are published figures.
    let judged = |line: &&str| {
        line.starts_with("| ") && ["| yes |", "| - |"].iter().any(|end| line.ends_with(end))
            || line.contains("| **no**: ")
    };
    assert_eq!(text.lines().filter(judged).count(), rows);
    let drawn = || chapters.iter().flat_map(|chapter| &chapter.figures).flatten();
    let images: usize =
        drawn().map(|drawn| if let Art::Pictures { images, .. } = &drawn.art { images.len() } else { 0 }).sum();
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), images);
    // What is no picture of pixels is a plot; beside the text every file has a link.
    assert_eq!(
        html.matches("<svg").count(),
        drawn().filter(|drawn| !matches!(drawn.art, Art::Pictures { .. })).count()
    );
    let files: Vec<String> = drawn().flat_map(|drawn| drawn.files()).map(|(name, _)| name).collect();
    assert!(!files.is_empty());
    for name in files {
        assert!(
            ["](figures/NAME)", "\"figures/NAME\""].iter().any(|link| text.contains(&link.replace("NAME", &name))),
            "{name}"
        );
    }
    // A row of a table of figures says in its last cell whether they reproduce.
    let verdicts = ["yes", "no", "-"].map(|verdict| html.matches(&format!("<td class=\"{verdict}\"")).count());
    assert_eq!(verdicts.iter().sum::<usize>(), rows);
    assert!(
        !html.contains("<script") && !html.replace("http://www.w3.org/2000/svg", "").contains("://"),
        "nothing is fetched"
    );
    assert!(html.contains("Quick: ") && text.contains("**Quick**"));
    for (term, meaning) in words::TERMS {
        assert!(html.contains(&escaped(meaning)) && text.contains(&format!("- `{term}`: {meaning}")), "{term}");
    }
    assert!(words::HOW.iter().all(|how| html.contains(&escaped(how)) && text.contains(how)));
    // 45 of 945 are wrong as floats, 5 % in bytes.
    let bytes = "In bytes (int8, quantized after training) 3 networks of 1000 to 1003 bytes: 0.24 points of accuracy lost in the mean, \
                 0.24 at most. Not in bytes, layer a: no: momentum.";
    assert!(html.contains(bytes) && text.contains(bytes));
    assert!(html.contains("0.24, at most 0.24") && text.contains("| 0.24, at most 0.24 |"));
    // What is missing is said.
    let some: Vec<PartResult> = results.iter().filter(|result| result.part == "momentum").cloned().collect();
    let some: Vec<PartResult> = some
        .into_iter()
        .map(|mut result| {
            result.runs.truncate(1);
            let study = study::study(&result.study).unwrap();
            result.judge(study.part("momentum").unwrap());
            result
        })
        .collect();
    let chapters = super::chapters(&some.iter().collect::<Vec<_>>()).unwrap();
    let (html, text) = (html::page(&chapters), markdown::page(&chapters, "figures"));
    assert!(
        html.contains("momentum, seed 1; early stopping, seed 1; both, seed 1")
            && text.contains("**Without a result**")
    );
    assert!(html.contains("softmax, regularization, activations"), "parts that were not trained");
}

#[test]
fn numbers_are_written_as_what_they_count() {
    let study = study::study("regularization").unwrap();
    let part = study.part("confusion").unwrap();
    let result = made_up_part(&study, part);
    let row = |measure: &str| result.rows.iter().find(|row| row.measure == measure).unwrap().clone();
    let accuracy = Row { published: 98.05, measured: Some(98.0), difference: Some(-0.001), ..row("test accuracy") };
    let cells = words::cells(part, &accuracy);
    assert_eq!([&cells[1], &cells[2], &cells[3], &cells[6]], ["test accuracy, %", "98.05", "98.00", "0.00"]);
    assert_eq!(words::cells(part, &row("9 read as 4"))[1], "9 read as 4, of 1");
    let rule = |left, right| rule::Decided { rule: String::new(), left, right, holds: true };
    assert_eq!(words::sides(&rule(98.017_84, 98.019_8)), ["98.018", "98.020"]);
    assert_eq!(words::sides(&rule(0.5, 0.5)), ["0.5000", "0.5000"]);
    assert_eq!([words::time(59.6), words::time(0.0), words::time(61.0)], ["59 s", "0 s", "1 min 01 s"]);
}

/// A figure that another part reaches by other settings is explained by it, one that diverged by that.
#[test]
fn misses_are_explained_by_what_was_trained_beside_them() {
    let study = study::study("grid").unwrap();
    let whole = |part: &str| {
        let part = study.part(part).unwrap();
        let runs = part.runs.iter().enumerate().map(|(place, run)| made_up(&run.name, place)).collect();
        PartResult::of(&study, part, Extent { seeds: 1, quick: false, limit: None }, runs)
    };
    let (mut grid, mut other) = (whole("grid"), whole("first-weights"));
    let name = "0.0001 20 4 constant";
    let mine = grid.rows.iter().position(|row| row.run == name && row.measure == "highest val accuracy").unwrap();
    let reach = |result: &mut PartResult, accuracy: f64| {
        let run = result.runs.iter_mut().find(|run| run.name == name).unwrap();
        run.history.iter_mut().for_each(|report| report.val_accuracy = Some(accuracy));
    };
    let say = |grid: &PartResult, other: &PartResult| {
        let results = [grid, other];
        let chapters = chapters(&results).unwrap();
        let chapter = chapters.iter().find(|chapter| chapter.study.name == "grid").unwrap();
        words::reason(chapter, study.part("grid").unwrap(), grid, &grid.rows[mine])
    };
    let row = Row { values: vec![90.0], measured: Some(90.0), interval: None, ..grid.rows[mine].clone() };
    grid.rows[mine] = row;
    reach(&mut other, 0.9);
    assert_eq!(say(&grid, &other), "not explained");
    reach(&mut other, 0.969);
    assert_eq!(say(&grid, &other), "96.90 in the part first-weights, which trains it otherwise");
    grid.missing = vec![format!("{name}, seed 1 (diverged after epoch 2)")];
    assert_eq!(say(&grid, &other), "1 seed diverged");
}

/// A picture of somebody else's stays, whatever its folder is called.
#[test]
fn pictures_that_are_not_of_studies_stay() {
    let dir = tempfile::tempdir().unwrap();
    let figures = dir.path().join("figures");
    std::fs::create_dir(&figures).unwrap();
    for name in ["holiday.png", "grids.svg", "grid-of-old-1.svg"] {
        std::fs::write(figures.join(name), "x").unwrap();
    }
    write(dir.path(), &everything()[..1]).unwrap();
    let there = |name: &str| figures.join(name).exists();
    assert_eq!(["holiday.png", "grids.svg", "grid-of-old-1.svg"].map(there), [true, true, false]);
}

#[test]
fn results_are_read_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).unwrap().is_empty());
    let results = everything();
    write(dir.path(), &results).unwrap();
    assert_eq!(read(dir.path()).unwrap(), results);
    for file in [PAGE, MARKDOWN, RESULTS, "figures/grid-grid-1.svg", "figures/basics-momentum-3-12.png"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let text = std::fs::read_to_string(dir.path().join(RESULTS)).unwrap();
    std::fs::write(dir.path().join(RESULTS), &text[..text.len() / 2]).unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("results.json") && error.contains("anew from the runs"), "{error}");
}

#[test]
fn two_results_are_compared_figure_by_figure() {
    let mut first = everything();
    let mut second = first.clone();
    let at = second.iter().position(|result| result.part == "confusion").unwrap();
    second[at].runs[0].record.test_accuracy = Some(0.97);
    let study = study::study("regularization").unwrap();
    second[at].judge(study.part("confusion").unwrap());
    let lost = second.pop().unwrap();
    (first[0].data, second[0].data) = (vec!["1".to_owned()], vec!["2".to_owned()]);
    let (changes, single) = compare(&first, &second);
    let differ: Vec<&Change> =
        changes.iter().filter(|c| c.turned() || c.difference().is_some_and(|d| d != 0.0)).collect();
    assert_eq!(differ.len(), 1);
    assert!(differ[0].what.contains("test accuracy") && differ[0].measured[1] == Some(97.0));
    let other = format!("{} {}: of other data", first[0].study, first[0].part);
    assert_eq!(single, [other, format!("{} {}: only in the first", lost.study, lost.part)]);
}
