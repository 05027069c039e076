//! The files are what they should be, and figures and claims are decided as documented.

use super::exam::Exam;
use super::rule::Rule;
use super::spec::Extent;
use super::*;
use crate::data::random::Random;
use crate::data::{Dataset, Splits};
use crate::train::metrics::EpochReport;
use crate::train::sweep::{Ending, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;

fn splits() -> Splits {
    let set = |len: usize| Dataset::new(vec![0; len * 784], vec![0; len], 28, 28, 10).unwrap();
    Splits { train: set(60), test: set(10) }
}

const WHOLE: Extent = Extent { seeds: 3, quick: false, limit: None };

fn trained(name: &str, seed: u64, test_losses: &[f64], accuracy: f64) -> Trained {
    let history = test_losses.iter().enumerate().map(|(i, loss)| EpochReport {
        epoch: i as u32 + 1,
        train_loss: loss / 2.0,
        test_loss: Some(*loss),
        test_accuracy: Some(0.9 + 0.01 * i as f64),
        ..EpochReport::default()
    });
    let last = test_losses.last().copied();
    let record = Record {
        number: 1,
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
    Trained { name: name.to_owned(), seed, record, history: history.collect(), val_samples: 0, exam: None }
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
            if part.runs.is_empty() {
                continue; // it checks something
            }
            for extent in [WHOLE, Extent { seeds: 2, quick: true, limit: None }] {
                let sweep = part.sweep(extent, "mnist", &splits).unwrap();
                let seeds = part.seeds(extent) as usize;
                assert_eq!(sweep.runs.len(), part.runs.len() * seeds);
                for (i, run) in sweep.runs.iter().enumerate() {
                    let runs = part.runs.len();
                    assert_eq!(run.label(), format!("{}, seed {}", part.runs[i % runs].name, i / runs + 1));
                    assert_eq!(run.config.seed, (i / runs + 1) as u64);
                    assert!(!extent.quick || run.config.epochs <= 10);
                    let tenth = extent.quick && run.config.limit.is_some();
                    assert!(!tenth || run.config.epochs == 1, "{name} {}", run.label());
                }
            }
        }
    }
    assert!(study("cnns").unwrap_err().to_string().contains("regularization, basics, cnn, grid, multilayer"));
}

/// 54 runs of the grid with four figures each, 19 of them once more with two, and as many of the others as their reports print.
#[test]
fn the_studies_hold_what_the_reports_published() {
    let grid = study("grid").unwrap();
    let part = grid.parts.iter().find(|part| part.name == "grid").unwrap();
    assert_eq!(part.runs.len(), 54);
    assert!(part.runs.iter().all(|run| run.published.len() == 4));
    let seconds: Measure = "seconds".parse().unwrap();
    let all = part.runs.iter().flat_map(|run| &run.published).filter(|one| one.measure == seconds);
    assert!((all.map(|one| one.value).sum::<f64>() - 2654.0).abs() < 3.0);
    // The table of the report, as it was published with it: fractions instead of percents.
    let published = |run: &super::spec::Run, measure: &str| {
        let measure: Measure = measure.parse().unwrap();
        run.published.iter().find(|one| one.measure == measure).unwrap().value
    };
    let mut lines = include_str!("grid-published.tsv").lines();
    let heading =
        "experiment\tlr\tepochs\tbatch\tscheduler\ttrain_accuracy\tlast_dev_accuracy\tbest_dev_accuracy\tseconds";
    assert_eq!(lines.next(), Some(heading));
    let mut compared = 0;
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| cells[at].parse::<f64>().unwrap();
        let schedule = if cells[4] == "no" { "constant" } else { cells[4] };
        let name = format!("{} {} {} {schedule}", number(1), cells[2], cells[3]);
        let run = part.runs.iter().find(|run| run.name == name).unwrap_or_else(|| panic!("{name} is missing"));
        for (at, measure) in [(5, "train_accuracy"), (6, "val_accuracy"), (7, "max_val_accuracy")] {
            let (want, got) = (100.0 * number(at), published(run, measure));
            assert!((want - got).abs() < 1e-3, "{name}, {measure}: {got}, published {want}");
        }
        assert!((number(8) - published(run, "seconds")).abs() < 0.051, "{name}: seconds");
        compared += 1;
    }
    assert_eq!(compared, 54);
    let rows = |name: &str| {
        study(name)
            .unwrap()
            .parts
            .iter()
            .flat_map(|part| part.runs.clone())
            .map(|run| run.published.len())
            .sum::<usize>()
    };
    assert_eq!(NAMES.map(rows), [21, 14, 18, 54 * 4 + 5 + 19 * 2, 33]);
}

/// What is shown twice was published once.
#[test]
fn first_weights_are_shown_beside_the_figures_of_the_grid() {
    let grid = study("grid").unwrap();
    let part = |name: &str| grid.parts.iter().find(|part| part.name == name).unwrap();
    for run in &part("first-weights").runs {
        let same = part("grid").runs.iter().find(|other| other.name == run.name).unwrap();
        for one in &run.published {
            let known = same.published.iter().any(|other| other.measure == one.measure && other.value == one.value);
            assert!(known, "{}: {}", run.name, one.value);
        }
    }
}

#[test]
fn figures_are_read_off_a_run() {
    let mut run = trained("a", 1, &[0.5, 0.25, 0.25, 0.75], 0.935);
    let confusion = vec![vec![3, 1], vec![1, 4]];
    let (sha256, wrong, linear) = (String::new(), vec![3, 7], Some(exam::Look { contrast: 0.5, roughness: 0.25 }));
    let (test, hardest) = (Default::default(), Vec::new());
    let (arena, calibrator) = (5, Some("mse".to_owned()));
    let int8 = Some(Int8::Image(Deployed { bytes: 1234, arena, calibrator, loss: 0.5, accuracy: 0.75 }));
    run.exam = Some(Exam { sha256, test, confusion, wrong, hardest, near_zero: 0.125, linear, weights: None, int8 });
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
        ("digit_1", Some(80.0)),
        ("int8_accuracy", Some(75.0)),
        ("int8_bytes", Some(1234.0)),
        ("digit_2", None),
        ("confused_0_1", Some(0.25)),
        ("near_zero", Some(12.5)),
        ("contrast", Some(0.5)),
        ("roughness", Some(0.25)),
        ("rises_test_loss", Some(1.0)),
        // It does not fall again.
        ("peaks_test_loss", Some(0.0)),
        // 0.125 from the middle of its neighbours, then 0.25.
        ("spikes_test_loss", Some(0.1875)),
        ("spikes_val_loss", None),
    ] {
        let got = measure.parse::<Measure>().unwrap().of(&run);
        assert!(got.zip(want).map_or(got == want, |(got, want)| (got - want).abs() < 1e-9), "{measure}: {got:?}");
    }
    for bad in ["", "loss", "test_loss@", "test_loss@0", "test_loss@x", "min_", "max_loss_epoch", "test_loss_epoch"] {
        assert!(bad.parse::<Measure>().unwrap_err().contains("expected one of"), "{bad}");
    }
}

/// Validation losses 5 4 6 7 3 4 5 6 2: three epochs in a row not below 4 never come, three rises end with the eighth.
#[test]
fn two_readings_of_early_stopping() {
    let mut run = trained("a", 1, &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 0.9);
    for (report, loss) in run.history.iter_mut().zip([5.0, 4.0, 6.0, 7.0, 3.0, 4.0, 5.0, 6.0, 2.0]) {
        report.val_loss = Some(loss);
    }
    let of = |measure: &str| measure.parse::<Measure>().unwrap().of(&run);
    assert_eq!((of("epochs@patience2"), of("test_loss@patience2")), (Some(4.0), Some(0.8)));
    assert_eq!((of("epochs@patience3"), of("test_loss@patience3")), (Some(8.0), Some(0.5)));
    assert_eq!((of("epochs@rising2"), of("test_loss@rising2")), (Some(4.0), Some(0.8)));
    assert_eq!((of("epochs@rising3"), of("epochs@rising4")), (Some(8.0), Some(9.0)));
    assert_eq!((of("peaks_val_loss"), of("rises_val_loss")), (Some(2.0), Some(5.0)));
}

/// Each rule of each study, by figures drawn until it has held and not held.
#[test]
fn every_rule_can_turn_both_ways() {
    for study in NAMES.map(|name| study(name).unwrap()) {
        for part in &study.parts {
            let names: Vec<&str> = part.runs.iter().map(|run| run.name.as_str()).collect();
            for rule in part.claims.iter().flat_map(|claim| &claim.rules) {
                let mut seen = [false; 2];
                for draw in 0..4000u64 {
                    let figure = |what: Measure, run: &str, seed: Option<u32>| {
                        let letters = format!("{what} of {run}");
                        let places = letters.bytes().enumerate();
                        let sum = places.map(|(i, letter)| (i as u64 + 1) * u64::from(letter)).sum::<u64>();
                        let key = sum ^ (u64::from(seed.unwrap_or(9)) << 32);
                        let mut random = Random::new(draw, "figures", key);
                        Some(10f64.powf(7.0 * f64::from(random.unit()) - 4.0))
                    };
                    seen[usize::from(rule.decide(5, &names, figure).unwrap().holds)] = true;
                }
                assert_eq!(seen, [true; 2], "{}: {rule}", study.name);
            }
        }
    }
}

/// A claim whose rules contradict each other would never hold: each does for the figures of some order of its runs.
#[test]
fn every_claim_can_hold() {
    for study in NAMES.map(|name| study(name).unwrap()) {
        for part in &study.parts {
            let names: Vec<&str> = part.runs.iter().map(|run| run.name.as_str()).collect();
            for claim in &part.claims {
                // Climbs: the figure of a rule that fails is drawn anew until none fails.
                let mut figures: BTreeMap<String, f64> = BTreeMap::new();
                let mut random = Random::new(1, "claims", 0);
                let holds = (0..200_000).any(|_| {
                    let failing = claim.rules.iter().find_map(|rule| {
                        let seen = RefCell::new(Vec::new());
                        let figure = |what: Measure, run: &str, _: Option<u32>| {
                            let key = format!("{what} of {run}");
                            let value = figures.get(&key).copied().unwrap_or(1.0);
                            seen.borrow_mut().push(key);
                            Some(value)
                        };
                        let holds = rule.decide(5, &names, figure).unwrap().holds;
                        (!holds).then(|| seen.into_inner())
                    });
                    let Some(keys) = failing else { return true };
                    let key = &keys[random.below(keys.len() as u32) as usize];
                    figures.insert(key.clone(), 10f64.powf(7.0 * f64::from(random.unit()) - 4.0));
                    false
                });
                assert!(holds, "{} {}: {}", study.name, part.name, claim.text);
            }
        }
    }
}

/// Of three groups, two of which have both runs.
#[test]
fn most_groups_decide() {
    let runs = ["1 x", "1 y", "2 x", "2 y", "3 x"];
    let figure = |_: Measure, run: &str, _: Option<u32>| {
        run.chars()
            .next()
            .and_then(|c| c.to_digit(10))
            .map(|n| f64::from(n) * if run.ends_with('y') { 1.5 } else { 2.0 / f64::from(n) })
    };
    let rule: Rule = "most: epochs(* x) > epochs(* y)".parse().unwrap();
    let decided = rule.decide(1, &runs, figure).unwrap();
    assert_eq!((decided.left, decided.right, decided.holds), (1.0, 1.0, false));
    assert_eq!((rule.check(&runs), rule.check(&["1 x"])), (Ok(()), Err("* x".to_owned())));
    let rule: Rule = "most: epochs(* x) > 1".parse().unwrap();
    assert!(rule.decide(1, &runs, figure).unwrap().holds);
}

/// Each comparison both ways, with factors, sums and names of every kind.
#[test]
fn rules_are_decided_by_numbers() {
    let figure = |_: Measure, run: &str, seed: Option<u32>| match run {
        "seeds" => Some(f64::from(seed.unwrap_or(9))),
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
        ("in 3 of 5: test_loss(a - b) <= test_loss(seeds)", 3.0, 3.0, true),
        ("in 4 of 5: test_loss(a - b) <= test_loss(seeds)", 3.0, 4.0, false),
    ] {
        let decided = rule.parse::<Rule>().unwrap().decide(5, &[], figure).unwrap();
        assert_eq!((decided.left, decided.right, decided.holds), (left, right, holds), "{rule}");
    }
    assert_eq!("test_loss(none) < 1".parse::<Rule>().unwrap().decide(5, &[], figure), None);
    for bad in [
        "",
        "1",
        "1 = 1",
        "x < 1",
        "loss(a) < 1",
        "2 * < 1",
        "test_loss(a < 1",
        "1 < test_loss",
        "in 1: 1 < 2",
        "in 3 of 2: 1 < 2",
        "in all 1 < 2",
    ] {
        assert!(bad.parse::<Rule>().is_err(), "{bad}");
    }
}

/// What comes from a file is not drawn before it makes sense.
#[test]
fn results_that_make_no_sense_are_found_out() {
    let good = || {
        let mut run = trained("a", 1, &[0.5, 0.25], 0.9);
        let specimen = Specimen { caption: String::new(), size: [1, 2], pixels: vec![1, 2] };
        let weights = exam::Weights { size: [1, 2], pictures: vec![vec![0.5, 1.0]; 2] };
        let linear = Some(exam::Look { contrast: 0.5, roughness: 0.25 });
        let (confusion, wrong, hardest) = (vec![vec![3, 1], vec![1, 4]], vec![3, 7], vec![specimen.clone()]);
        let (sha256, test, weights) = (String::new(), Default::default(), Some(weights));
        run.exam =
            Some(Exam { sha256, test, confusion, wrong, hardest, near_zero: 0.125, linear, weights, int8: None });
        PartResult { seeds: 1, runs: vec![run], gallery: vec![specimen], ..PartResult::default() }
    };
    assert_eq!(good().fault(), None);
    let exam = |result: &mut PartResult, change: fn(&mut Exam)| change(result.runs[0].exam.as_mut().unwrap());
    let broken: [fn(&mut PartResult); 9] = [
        |result| result.seeds = u32::MAX,
        |result| result.gallery[0].size = [2, 0],
        |result| result.gallery[0].pixels.clear(),
        |result| result.runs.push(result.runs[0].clone()),
        |result| result.seconds = 1e300,
        |result| result.runs[0].history[0].train_loss = f64::INFINITY,
        |result| result.runs[0].history[0].epoch = u32::MAX,
        |result| result.runs[0].record.test_loss = Some(1e12),
        |result| {
            result.findings = vec![Finding {
                claim: String::new(),
                ours: false,
                holds: None,
                rules: vec![rule::Decided { rule: String::new(), left: 1e200, right: 0.0, holds: true }],
            }]
        },
    ];
    for (i, change) in broken.into_iter().enumerate() {
        let mut result = good();
        change(&mut result);
        assert!(result.fault().is_some(), "{i}");
    }
    let exams: [fn(&mut Exam); 6] = [
        |exam| exam.confusion[0].push(1),
        |exam| exam.confusion[1][1] = u64::MAX,
        |exam| exam.wrong = vec![3, 1],
        |exam| exam.near_zero = f64::NAN,
        |exam| exam.weights.as_mut().unwrap().pictures[1].push(0.0),
        |exam| exam.hardest[0].size = [usize::MAX, 2],
    ];
    for (i, change) in exams.into_iter().enumerate() {
        let mut result = good();
        exam(&mut result, change);
        assert!(result.fault().is_some(), "exam {i}");
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
        asked = "What?"
        compare = [["a", "b"]]
        run = [
            { name = "a", lr = 0.1, published = { test_accuracy = 98.0, test_loss = 0.1, epochs = 7, "mean test_loss" = 0.1, "sd test_loss" = 0.02 } },
            { name = "b", lr = 0.2 },
        ]
        [[part.finding]]
        claim = "a beats b"
        holds = ["test_loss(a) < test_loss(b)", "test_loss(*) > 0.109"]
    "#;
    let study = Study::parse("t", text).unwrap();
    let part = &study.parts[0];
    let result = |loss: f64, accuracy: f64| {
        let of = |name: &str, seed: u64, loss: f64| trained(name, seed, &[1.0, loss], accuracy);
        let a = (1..).zip([loss, loss + 0.01, loss - 0.01]).map(|(seed, loss)| of("a", seed, loss));
        let runs = a.chain((1..=3).map(|seed| of("b", seed, 0.11)));
        // In any order, and with one that the part no longer has.
        let runs = runs.chain([of("c", 1, 0.0)]).collect::<Vec<_>>().into_iter().rev().collect();
        PartResult::of(&study, part, Extent { quick: loss > 0.11, ..WHOLE }, runs)
    };
    let verdicts = |result: &PartResult| result.rows.iter().map(|row| row.reproduced).collect::<Vec<_>>();
    let good = result(0.1, 0.978);
    // In the order of the measures' names: epochs, mean and deviation of the loss, accuracy, loss.
    assert_eq!(verdicts(&good), [None, Some(true), None, Some(true), Some(true)]);
    assert_eq!((good.findings[0].holds, good.runs.len(), good.missing.len()), (Some(true), 6, 0));
    let loss = &good.rows[4];
    assert_eq!((loss.values.len(), loss.measured.unwrap(), loss.published), (3, 0.1, 0.1));
    assert!((good.rows[2].measured.unwrap() - 0.01).abs() < 1e-12, "{:?}", good.rows[2]);
    let bad = result(0.12, 0.976);
    assert_eq!(verdicts(&bad), [None, Some(false), None, Some(false), Some(false)]);
    assert_eq!((bad.findings[0].holds, bad.seconds), (Some(false), 9.0));
    assert_eq!(good.tally() + bad.tally(), Tally { judged: 6, reproduced: 3, decided: 2, holding: 1 });
    let none = PartResult::of(&study, part, WHOLE, Vec::new());
    assert_eq!((verdicts(&none), none.findings[0].holds), (vec![None; 5], None));
    // What became of a run that is left out is known after a second judgement too.
    let mut diverged = trained("a", 2, &[1.0, 9.0], 0.1);
    diverged.record.ending = Ending::Diverged;
    let mut some = PartResult::of(&study, part, WHOLE, vec![trained("a", 1, &[1.0, 0.1], 0.978), diverged]);
    for _ in 0..2 {
        assert_eq!((some.runs.len(), some.missing.len()), (1, 5));
        assert_eq!(some.missing[0], "a, seed 2 (diverged after epoch 2)");
        assert_eq!(verdicts(&some), vec![None; 5], "two seeds are not there");
        some.judge(part);
    }
    // A seed that diverged is a verdict, one that is missing is not.
    let runs = |third: Option<Ending>| {
        let mut runs: Vec<Trained> = (1..=3).map(|seed| trained("b", seed, &[1.0, 0.11], 0.978)).collect();
        runs.extend((1..=2).map(|seed| trained("a", seed, &[1.0, 0.1], 0.978)));
        runs.extend(third.map(|ending| {
            let mut run = trained("a", 3, &[1.0, 0.1], 0.978);
            run.record.ending = ending;
            run
        }));
        PartResult::of(&study, part, WHOLE, runs)
    };
    for (third, verdict, holds) in [
        (Some(Ending::Finished), Some(true), Some(true)),
        (Some(Ending::Diverged), Some(false), None),
        (None, None, None),
    ] {
        let mut result = runs(third);
        for _ in 0..2 {
            assert_eq!(verdicts(&result), [None, verdict, None, verdict, verdict], "{third:?}");
            assert_eq!(result.findings[0].holds, holds, "{third:?}");
            result.judge(part);
        }
    }
    assert_eq!(none.missing, ["a, seed 1", "a, seed 2", "a, seed 3", "b, seed 1", "b, seed 2", "b, seed 3"]);

    for (broken, what) in [("test_loss(c)", "none of its runs"), ("loss(a)", "expected one of")] {
        let error = Study::parse("t", &text.replace("test_loss(a)", broken)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
