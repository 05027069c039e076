//! The files are what they should be, and figures and claims are decided as documented.

use super::rule::Rule;
use super::spec::Extent;
use super::*;
use crate::data::{Dataset, Splits};
use crate::train::metrics::EpochReport;
use crate::train::sweep::{Ending, Record};

fn splits() -> Splits {
    let set = |len: usize| Dataset::new(vec![0; len * 784], vec![0; len], 28, 28, 10).unwrap();
    Splits { train: set(60), test: set(10) }
}

fn trained(number: usize, test_losses: &[f64], accuracy: f64) -> Trained {
    let history = test_losses.iter().enumerate().map(|(i, loss)| EpochReport {
        epoch: i as u32 + 1,
        train_loss: loss / 2.0,
        test_loss: Some(*loss),
        test_accuracy: Some(0.9 + 0.01 * i as f64),
        ..EpochReport::default()
    });
    let last = test_losses.last().copied();
    let record = Record {
        number,
        settings: serde_json::Map::new(),
        ending: Ending::Finished,
        sha256: None,
        epochs: test_losses.len() as u32,
        best_epoch: None,
        train_loss: last.map(|loss| loss / 2.0),
        train_accuracy: None,
        val_loss: None,
        val_accuracy: None,
        test_loss: last,
        test_accuracy: Some(accuracy),
        shifted_val_accuracy: None,
        shifted_test_accuracy: None,
        seconds: 1.5,
        samples_per_second: 1.0,
    };
    Trained { record, history: history.collect() }
}

/// Every study, whole and quick: runs that are valid, names that are unique.
#[test]
fn every_file_is_a_study_and_every_part_a_sweep() {
    let splits = splits();
    for name in NAMES {
        let study = study(name).unwrap();
        assert_eq!(study.name, name);
        for (i, part) in study.parts.iter().enumerate() {
            assert!(study.parts[..i].iter().all(|other| other.name != part.name), "{name} {}", part.name);
            for extent in [Extent { seeds: 3, quick: false }, Extent { seeds: 2, quick: true }] {
                let sweep = part.sweep(extent, "mnist", &splits).unwrap();
                let seeds = part.seeds(extent) as usize;
                assert_eq!(sweep.runs.len(), part.runs.len() * seeds);
                for (i, run) in sweep.runs.iter().enumerate() {
                    assert_eq!(run.label(), format!("{}, seed {}", part.runs[i / seeds].name, i % seeds + 1));
                    assert!(!extent.quick || run.config.epochs <= 10);
                    let tenth = extent.quick && run.config.limit.is_some();
                    assert!(!tenth || run.config.epochs == 1, "{name} {}", run.label());
                }
            }
        }
    }
    assert!(study("cnns").unwrap_err().to_string().contains("regularization, basics, cnn, grid, multilayer"));
}

/// What STUDIES counts: 54 runs of the grid with four figures each, and the report's own settings.
#[test]
fn the_studies_hold_what_the_reports_published() {
    let grid = study("grid").unwrap();
    let part = grid.parts.iter().find(|part| part.name == "grid").unwrap();
    assert_eq!(part.runs.len(), 54);
    assert!(part.runs.iter().all(|run| run.published.len() == 4));
    let seconds: Measure = "seconds".parse().unwrap();
    let all = part.runs.iter().flat_map(|run| &run.published).filter(|(what, _)| *what == seconds);
    assert!((all.map(|(_, value)| value).sum::<f64>() - 2654.0).abs() < 3.0);
    let rows = |name: &str| {
        study(name)
            .unwrap()
            .parts
            .iter()
            .flat_map(|part| part.runs.clone())
            .map(|run| run.published.len())
            .sum::<usize>()
    };
    assert_eq!(NAMES.map(rows), [15, 14, 18, 54 * 4 + 5, 20]);
}

#[test]
fn figures_are_read_off_a_run() {
    let run = trained(1, &[0.5, 0.25, 0.25, 0.75], 0.935);
    for (measure, want) in [
        ("test_loss", Some(0.75)),
        ("test_loss@2", Some(0.25)),
        ("test_loss@5", None),
        ("min_test_loss", Some(0.25)),
        ("min_test_loss_epoch", Some(2.0)),
        ("max_test_loss", Some(0.75)),
        ("max_test_accuracy_epoch", Some(4.0)),
        ("test_accuracy", Some(93.5)),
        ("test_accuracy@1", Some(90.0)),
        ("val_loss", None),
        ("min_val_loss", None),
        ("epochs", Some(4.0)),
        ("seconds", Some(1.5)),
        ("train_loss", Some(0.375)),
    ] {
        let got = measure.parse::<Measure>().unwrap().of(&run);
        assert!(got.zip(want).map_or(got == want, |(got, want)| (got - want).abs() < 1e-9), "{measure}: {got:?}");
    }
    for bad in ["", "loss", "test_loss@", "test_loss@0", "test_loss@x", "min_", "max_loss_epoch", "test_loss_epoch"] {
        assert!(bad.parse::<Measure>().unwrap_err().contains("expected one of"), "{bad}");
    }
    assert_eq!(measure::median(&[]), None);
    assert_eq!(measure::median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(measure::median(&[4.0, 1.0]), Some(2.5));
}

/// Each comparison both ways, with factors, sums and names of every kind.
#[test]
fn rules_are_decided_by_numbers() {
    let figure = |_: Measure, run: &str| match run {
        "a - b" => Some(2.0),
        "784-512-10" => Some(3.0),
        _ => None,
    };
    for (rule, left, right, holds) in [
        ("test_loss(a - b) < test_loss(784-512-10)", 2.0, 3.0, true),
        ("test_loss(784-512-10) < test_loss(a - b)", 3.0, 2.0, false),
        ("test_loss(a - b) >= 2", 2.0, 2.0, true),
        ("test_loss(a - b) > 2", 2.0, 2.0, false),
        ("test_loss(a - b) <= 2", 2.0, 2.0, true),
        ("2 * epochs(a - b) - 1.5 < epochs(784-512-10)", 2.5, 3.0, true),
        ("1 + epochs(a - b) > epochs(784-512-10) + epochs(a - b) - 2 * epochs(a - b)", 3.0, 1.0, true),
        ("epochs(784-512-10) - epochs(a - b) <= -1 - 2", 1.0, -3.0, false),
    ] {
        let decided = rule.parse::<Rule>().unwrap().decide(figure).unwrap();
        assert_eq!((decided.left, decided.right, decided.holds), (left, right, holds), "{rule}");
    }
    assert_eq!("test_loss(none) < 1".parse::<Rule>().unwrap().decide(figure), None);
    for bad in ["", "1", "1 = 1", "x < 1", "loss(a) < 1", "2 * < 1", "test_loss(a < 1", "1 < test_loss"] {
        assert!(bad.parse::<Rule>().is_err(), "{bad}");
    }
}

/// A study of one part with a figure of each kind, whose runs turn every verdict both ways.
#[test]
fn verdicts_follow_the_runs() {
    let text = r#"
        title = "T"
        source = "S"
        [base]
        epochs = 2
        [[part]]
        name = "p"
        title = "P"
        run = [
            { name = "a", lr = 0.1, published = { test_accuracy = 98.0, test_loss = 0.1, epochs = 7 } },
            { name = "b", lr = 0.2 },
        ]
        [[part.finding]]
        claim = "a beats b"
        holds = ["test_loss(a) < test_loss(b)", "test_loss(*) > 0.109"]
    "#;
    let study = Study::parse("t", text).unwrap();
    let part = &study.parts[0];
    let result = |loss: f64, accuracy: f64| {
        let runs = [(1, loss), (2, loss + 0.01), (3, loss - 0.01), (4, 0.11), (5, 0.11), (6, 0.11)];
        let runs = runs.map(|(number, loss)| trained(number, &[1.0, loss], accuracy));
        PartResult::of(&study, part, Extent { seeds: 3, quick: loss > 0.11 }, &runs)
    };
    let verdicts = |result: &PartResult| result.rows.iter().map(|row| row.reproduced).collect::<Vec<_>>();
    let good = result(0.1, 0.978);
    // In the order of the measures' names: epochs, accuracy, loss.
    assert_eq!(verdicts(&good), [None, Some(true), Some(true)]);
    assert_eq!(good.findings[0].holds, Some(true));
    let loss = &good.rows[2];
    assert_eq!((loss.values.len(), loss.median.unwrap(), loss.published), (3, 0.1, 0.1));
    let bad = result(0.12, 0.976);
    assert_eq!(verdicts(&bad), [None, Some(false), Some(false)]);
    assert_eq!(bad.findings[0].holds, Some(false));
    assert_eq!(bad.seconds, 9.0);
    let none = PartResult::of(&study, part, Extent { seeds: 3, quick: false }, &[]);
    assert_eq!((verdicts(&none), none.findings[0].holds), (vec![None; 3], None));

    let page = table::markdown(&study, &[good, bad, none]);
    assert!(page.starts_with("# t: T\n\nS.\n\n## P\n") && page.matches("**Quick**").count() == 1, "{page}");
    assert!(page.contains("| a | test loss | 0.1000 | 0.1000 | 0.0900 to 0.1100 | 0 | yes |"), "{page}");
    assert!(
        page.contains("- a beats b: **no**.\n  - `test_loss(a) < test_loss(b)`: 0.1200 and 0.1100, not so"),
        "{page}"
    );
    for (broken, what) in [("test_loss(c)", "which is none of its runs"), ("loss(a)", "expected one of")] {
        let error = Study::parse("t", &text.replace("test_loss(a)", broken)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
