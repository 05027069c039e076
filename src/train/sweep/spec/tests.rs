//! What a file of settings expands to, which draws come, and what is refused.

use super::*;

fn parse(text: &str) -> Result<Sweep, ConfigError> {
    Sweep::parse(Path::new("s.toml"), text)
}

fn labels(text: &str) -> Vec<String> {
    parse(text).unwrap().runs.iter().map(Planned::label).collect()
}

#[test]
fn the_last_key_of_the_file_varies_fastest() {
    let sweep =
        parse("[base]\nmodel = \"linear\"\nepochs = 5\n[grid]\nseed = [2, 1]\nlr = [0.01, 1e-5]\nbatch = [4, 16]\n")
            .unwrap();
    let labels: Vec<String> = sweep.runs.iter().map(Planned::label).collect();
    let want = [
        "seed 2, lr 0.01, batch 4",
        "seed 2, lr 0.01, batch 16",
        "seed 2, lr 1e-5, batch 4",
        "seed 2, lr 1e-5, batch 16",
        "seed 1, lr 0.01, batch 4",
        "seed 1, lr 0.01, batch 16",
        "seed 1, lr 1e-5, batch 4",
        "seed 1, lr 1e-5, batch 16",
    ];
    assert_eq!(labels, want, "keys and values in the order of the file, not of the alphabet");
    assert_eq!(sweep.keys, ["seed", "lr", "batch"]);
    assert_eq!(sweep.runs.iter().map(|run| run.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(sweep.runs[7].name(), "run-0008");
    let config = &sweep.runs[2].config;
    assert_eq!((config.seed, config.lr, config.batch, config.epochs), (2, 1e-5, 4, 5));
    assert_eq!(config.model.to_string(), "linear");
}

#[test]
fn listed_runs_vary_slowest_and_set_keys_over_the_base() {
    let file = |names: [&str; 2]| {
        let [a, b] = names;
        format!(
            "[base]\nepochs = 5\nbatch = 16\n[[run]]\nlr = 0.1\n{a}model = \"linear\"\n[[run]]\n{b}epochs = 7\n[grid]\nseed = [1, 2]\n"
        )
    };
    let named = parse(&file(["name = \"flat\"\n", "name = \"long\"\n"])).unwrap();
    let labels: Vec<String> = named.runs.iter().map(Planned::label).collect();
    assert_eq!(labels, ["flat, seed 1", "flat, seed 2", "long, seed 1", "long, seed 2"]);
    assert_eq!(named.columns, ["name", "seed"]);
    assert_eq!(named.keys, ["name", "lr", "model", "epochs", "seed"]);
    let settings: Vec<&str> = named.runs[1].settings.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(settings, ["name", "lr", "model", "seed"]);
    let config = |i: usize| &named.runs[i].config;
    assert_eq!((config(1).lr, config(1).epochs, config(1).batch, config(1).seed), (0.1, 5, 16, 2));
    assert_eq!((config(2).lr, config(2).epochs, config(2).model.to_string().as_str()), (1e-3, 7, "mlp:512"));

    let unnamed = parse(&file(["", ""])).unwrap();
    assert_eq!(unnamed.runs[0].label(), "lr 0.1, model linear, seed 1");
    assert_eq!(unnamed.columns, ["lr", "model", "epochs", "seed"]);
    assert!(named.runs.iter().zip(&unnamed.runs).all(|(a, b)| a.config == b.config && a.number == b.number));
    let alone = parse("[[run]]\nlr = 0.1\n[[run]]\nname = \"x\"").unwrap_err().to_string();
    assert!(alone.contains("[[run]] 2: name") && alone.contains("for all runs or for none"), "{alone}");
    assert_eq!(self::labels("[[run]]\nname = \"as it is\""), ["as it is"]);
}

#[test]
fn each_point_of_the_grid_has_the_same_draws() {
    let random = "[random]\nruns = 3\nlr = { min = 1e-4, max = 1e-2, scale = \"log\" }\n";
    let draws = labels(random);
    let both = labels(&format!("[grid]\nbatch = [4, 16]\n{random}"));
    let want: Vec<String> =
        [4, 16].iter().flat_map(|batch| draws.iter().map(move |draw| format!("batch {batch}, {draw}"))).collect();
    assert_eq!(both, want);
}

#[test]
fn draws_are_reproducible_distinct_and_independent_of_each_other() {
    let lr = "lr = { min = 1e-4, max = 1e-2, scale = \"log\" }\n";
    let few = labels(&format!("[random]\nruns = 5\n{lr}"));
    let many = labels(&format!("[random]\nruns = 50\nseed = 1\n{lr}"));
    assert_eq!(many[..5], few, "more runs leave the first as they were; the seed is 1 by default");
    let beside = labels(&format!("[random]\nruns = 5\nl2 = {{ min = 0.0, max = 1.0 }}\n{lr}"));
    assert!(beside.iter().zip(&few).all(|(both, alone)| both.ends_with(alone.as_str())), "{beside:?}");
    assert_ne!(labels(&format!("[random]\nruns = 5\nseed = 2\n{lr}")), few);
    let mut distinct = many.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 50);
}

/// The very numbers: a seed keeps its meaning.
#[test]
fn draws_are_pinned() {
    let drawn = labels(
        "[random]\nruns = 2\nlr = { min = 1e-4, max = 1e-2, scale = \"log\" }\nbatch = { choose = [16, 32, 64] }\n\
         warmup = { min = 0, max = 500 }\nl1 = { min = 0.0, max = 0.5 }\n",
    );
    let want =
        ["lr 0.000613523, batch 32, warmup 118, l1 0.398961", "lr 0.000329519, batch 32, warmup 416, l1 0.298266"];
    assert_eq!(drawn, want);
}

#[test]
fn draws_lie_in_their_ranges_and_reach_all_of_them() {
    let sweep = parse(
        "[random]\nruns = 2000\nlr = { min = 1e-4, max = 1e-2, scale = \"log\" }\nbatch = { choose = [16, 32, 64] }\n\
         warmup = { min = 3, max = 6 }\nepochs = { min = 1, max = 64, scale = \"log\" }\nmomentum = { min = 0.5, max = 0.5 }\n\
         l1 = { min = 0, max = 0.5, scale = \"linear\" }\n",
    )
    .unwrap();
    let configs: Vec<&Config> = sweep.runs.iter().map(|run| &run.config).collect();
    let share = |found: &dyn Fn(&Config) -> bool| configs.iter().filter(|config| found(config)).count() as f64 / 2000.0;
    assert!(configs.iter().all(|config| (1e-4..=1e-2).contains(&config.lr) && (0.0..=0.5).contains(&config.l1)));
    assert!((share(&|config| config.lr < 1e-3) - 0.5).abs() < 0.05, "half of the draws below the geometric mean");
    assert!((share(&|config| config.l1 < 0.125) - 0.25).abs() < 0.05);
    assert!(configs.iter().all(|config| (1..=64).contains(&config.epochs) && config.momentum == 0.5));
    assert!((share(&|config| config.epochs < 8) - 0.5).abs() < 0.05, "log 8 of log 65");
    for warmup in 3..=6 {
        assert!((share(&|config| config.warmup == warmup) - 0.25).abs() < 0.05, "{warmup}");
    }
    for batch in [16, 32, 64] {
        assert!((share(&|config| config.batch == batch) - 1.0 / 3.0).abs() < 0.05, "{batch}");
    }
}

#[test]
fn pruning_is_read() {
    let file = |prune: &str| format!("[base]\nsplit = 100\nepochs = 5\n[grid]\nlr = [0.1, 0.2]\n[prune]\n{prune}");
    assert_eq!(parse(&file("after = 3")).unwrap().prune, Some(Prune { after: 3, min_runs: 4 }));
    assert_eq!(parse(&file("after = 1\nmin_runs = 1")).unwrap().prune, Some(Prune { after: 1, min_runs: 1 }));
    assert_eq!(parse("[grid]\nlr = [0.1]").unwrap().prune, None);
}

/// Every error names its file, its part or its run, its key, and what would be right.
#[test]
fn what_is_wrong_is_named() {
    let cases: [(&str, &[&str]); 50] = [
        ("lr = ", &["a sweep is TOML"]),
        ("", &["varies something", "[grid] or [random]"]),
        ("[base]\nlr = 0.1", &["varies something"]),
        ("[run]\nlr = 0.1", &["run: ", "[[run]]"]),
        ("run = [3]", &["run: ", "[[run]]"]),
        ("[[run]]\nlrr = 0.1", &["[[run]] 1: lrr", "perhaps `lr`"]),
        ("[[run]]\nthreads = 1", &["[[run]] 1: threads", "--threads"]),
        ("[[run]]\nname = 3", &["[[run]] 1: name", "a name is a text", "found 3"]),
        ("[[run]]\nname = \"a\"\nlr = 1\n[[run]]\nname = \"a\"", &["[[run]] 2: name", "stands for one run"]),
        ("[[run]]\nlr = 0.1\n[[run]]\nlr = 0.1", &["[[run]] 2", "each run stands once", "[[run]] 1"]),
        ("[[run]]\nlr = 0.1\n[grid]\nlr = [0.1]", &["lr", "one place", "[[run]]", "both"]),
        ("[gird]\nlr = [0.1]", &["gird", "perhaps `grid`"]),
        ("grid = 3", &["grid", "[grid]", "found 3"]),
        ("[base]\nbach = 3\n[grid]\nlr = [0.1]", &["[base] bach", "perhaps `batch`"]),
        ("[grid]\nepoch = [1]", &["[grid] epoch", "perhaps `epochs`"]),
        (
            "[random]\nruns = 2\nweight-decay = { min = 0, max = 1 }",
            &["[random] weight-decay", "perhaps `weight_decay`"],
        ),
        ("[random]\nrun = 2", &["[random] run:", "perhaps `runs`"]),
        ("[random]\nruns = 2\nlr = { min = 1, maxx = 2 }", &["[random] lr: maxx", "perhaps `max`"]),
        ("[grid]\nlr = [0.1]\n[prune]\nafterr = 2", &["[prune] afterr", "perhaps `after`"]),
        ("[base]\nlr = \"fast\"\n[grid]\nbatch = [1]", &["[base] lr", "found \"fast\""]),
        ("[grid]\nlr = [0.1, \"fast\"]", &["[grid] lr", "found \"fast\""]),
        ("[grid]\nmodel = [\"linear\", \"resnet\"]", &["[grid] model", "resnet"]),
        ("[grid]\nlr = []", &["[grid] lr", "at least one", "an empty list"]),
        ("[grid]\nlr = 0.1", &["[grid] lr", "a list", "found 0.1"]),
        ("[grid]\nlr = [0.1, 0.1]", &["[grid] lr", "once"]),
        ("[grid]\nthreads = [1, 2]", &["[grid] threads", "--threads"]),
        ("[base]\nlr = 0.1\n[grid]\nlr = [0.1]", &["lr", "one place", "both"]),
        ("[grid]\nlr = [0.1]\n[random]\nruns = 1\nlr = { choose = [0.1] }", &["lr", "one place", "both"]),
        ("[random]\nlr = { min = 1, max = 2 }", &["[random] runs", "runs = 20"]),
        ("[random]\nruns = 0\nlr = { min = 1, max = 2 }", &["[random] runs", "1 or more", "found 0"]),
        ("[random]\nruns = 1.5\nlr = { min = 1, max = 2 }", &["[random] runs", "found 1.5"]),
        ("[random]\nruns = 3", &["[random]", "a key with a range"]),
        ("[random]\nruns = 3\nseed = -1\nlr = { min = 1, max = 2 }", &["[random] seed", "0 or more", "-1"]),
        ("[random]\nruns = 3\nseed = { choose = [1, 2] }", &["[random] seed", "[grid]"]),
        ("[random]\nruns = 3\nlr = [0.1]", &["[random] lr", "choose"]),
        ("[random]\nruns = 3\nlr = { choose = [] }", &["[random] lr", "an empty list"]),
        ("[random]\nruns = 3\nlr = { choose = [\"a\"] }", &["[random] lr", "found \"a\""]),
        ("[random]\nruns = 3\nlr = { choose = [1], min = 1 }", &["[random] lr", "choose alone"]),
        ("[random]\nruns = 3\nlr = { min = 1 }", &["[random] lr: max", "two ends"]),
        ("[random]\nruns = 3\nlr = { min = 2, max = 1 }", &["[random] lr", "min is at most max", "2 to 1"]),
        ("[random]\nruns = 3\nlr = { min = nan, max = 1.0 }", &["[random] lr: min", "finite"]),
        ("[random]\nruns = 3\nl1 = { min = -1e308, max = 1.7e308 }", &["[random] l1", "too wide"]),
        ("[random]\nruns = 3\nwarmup = { min = 0, max = 4294967295 }", &["[random] warmup", "too wide"]),
        ("[random]\nruns = 3\nlr = { min = 0, max = 1, scale = \"log\" }", &["[random] lr", "above 0"]),
        ("[random]\nruns = 3\nlr = { min = 1, max = 2, scale = \"logg\" }", &["[random] lr: scale", "linear or log"]),
        ("[random]\nruns = 3\nbatch = { min = 1.5, max = 2 }", &["[random] batch", "found 1.5"]),
        ("[grid]\nlr = [0.1, -1.0]", &["run 2 (lr -1.0): lr", "found -1"]),
        ("[random]\nruns = 100001\nlr = { min = 1, max = 2 }", &["at most 100000 runs", "found 100001"]),
        ("[grid]\nlr = [0.1]\n[prune]\nafter = 3", &["run 1 (lr 0.1): split", "validation loss"]),
        ("[base]\nsplit = 9\nepochs = 3\n[grid]\nlr = [0.1]\n[prune]\nafter = 3", &["[prune] after", "fewer than 3"]),
    ];
    for (text, parts) in cases {
        let message = parse(text).expect_err(text).to_string();
        assert!(message.starts_with("s.toml: ") && message.contains("expected"), "{text}\n{message}");
        for part in parts {
            assert!(message.contains(part), "{text}: {part:?} is missing in\n{message}");
        }
    }
    let many = (0..400).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let message = parse(&format!("[grid]\nseed = [{many}]\nwarmup = [{many}]")).unwrap_err().to_string();
    assert!(message.contains("found 160000"), "{message}");
}
