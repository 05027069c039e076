//! Sweeps: the same weights however they are trained, nothing trained twice, nothing overwritten; every test runs the binary.

mod cli_stopped;
mod cli_support;

use cli_stopped::stopped;
use cli_support::{contents, inkstone, json, sha256, with};
use serde_json::{Value, json as value};
use std::fs::{self, File};
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Four runs of a fraction of a second each.
const FOUR: &str = "[base]\nmodel = \"linear\"\nlimit = 2000\nsplit = 500\nepochs = 3\n\
                    [grid]\nlr = [0.01, 0.0001]\nbatch = [4, 16]\n";

/// A directory with `text` as the file my.toml.
fn with_file(text: &str) -> TempDir {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("my.toml"), text).unwrap();
    dir
}

/// The lines of the results in `out`, each valid JSON.
fn lines(dir: &Path, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.join(out).join("results.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What does not depend on the clock.
fn timeless(runs: &[Value]) -> Vec<Value> {
    let mut runs = runs.to_vec();
    for run in &mut runs {
        run["seconds"].take();
        run["samples_per_second"].take();
    }
    runs
}

/// Expects this exit code, these words on stderr, and none on stdout.
fn refused(dir: &Path, words: &[&str], code: i32, parts: &[&str]) {
    let output = inkstone(dir, words).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{stdout}\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{words:?}: {part:?} is missing in\n{stderr}");
    }
    assert_eq!(stdout, "", "{words:?}");
}

#[test]
fn a_sweep_leaves_what_it_says() {
    let dir = with_file(FOUR);
    let output = inkstone(dir.path(), &["sweep", "my.toml", "--json"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.starts_with(r#"{"command":"sweep""#) && stdout.lines().count() == 1, "{stdout}");
    assert!(!stderr.contains('\x1b'), "plain lines away from a terminal:\n{stderr}");
    for part in [
        "4 runs, over lr, batch",
        "4/4  run",
        "by validation accuracy",
        "The best is run",
        "inkstone eval runs/my/run-",
    ] {
        assert!(stderr.contains(part), "{part:?} is missing in\n{stderr}");
    }
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&answer["file"], &answer["out"]), (&value!("my.toml"), &value!("runs/my")));
    assert_eq!(answer["interrupted"], false);
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(*runs, lines(dir.path(), "runs/my"));
    let settings: Vec<&Value> = runs.iter().map(|run| &run["settings"]).collect();
    let point = |lr: f64, batch: u32| value!({ "lr": lr, "batch": batch });
    assert_eq!(settings, [&point(0.01, 4), &point(0.01, 16), &point(1e-4, 4), &point(1e-4, 16)]);
    let accuracy = |run: &Value| run["val_accuracy"].as_f64().unwrap();
    let highest = runs.iter().map(accuracy).fold(0.0, f64::max);
    let best = answer["best"].as_u64().unwrap();
    assert_eq!(accuracy(&runs[best as usize - 1]), highest);

    let place = dir.path().join("runs/my");
    assert_eq!(fs::read_to_string(place.join("sweep.toml")).unwrap(), FOUR);
    for (i, run) in runs.iter().enumerate() {
        let name = format!("run-{:04}", i + 1);
        assert_eq!((&run["number"], &run["epochs"], &run["ending"]), (&value!(i + 1), &value!(3), &value!("finished")));
        assert_eq!(run["sha256"], sha256(&place.join(&name).join("model.safetensors")));
        let eval = json(dir.path(), &["eval", &format!("runs/my/{name}")]);
        assert_eq!((&eval["test_loss"], &eval["test_accuracy"]), (&run["test_loss"], &run["test_accuracy"]));
    }
    let report = fs::read_to_string(place.join("report.md")).unwrap();
    for part in ["4 of 4 runs are over", &format!("\n| {best} | "), "lr (rows) by batch (columns)", "| | 4 | 16 |"] {
        assert!(report.contains(part), "{part:?} is missing in\n{report}");
    }
    // A run is what `train` makes of the same settings.
    let words = ["train", "--model", "linear", "--limit", "2000", "--split", "500", "--epochs", "3"];
    let train = json(dir.path(), &with(&words, &["--lr", "0.0001", "--batch", "4", "--out", "alone"]));
    for key in ["sha256", "val_loss", "test_accuracy", "train_loss", "best_epoch"] {
        assert_eq!(train[key], runs[2][key], "{key}");
    }
}

#[test]
fn whole_in_shards_interrupted_and_killed_give_the_same_bytes() {
    let dir = with_file(FOUR);
    let sweep = |words: &[&str]| json(dir.path(), &with(&["sweep", "my.toml"], words));
    let whole = sweep(&["--out", "whole", "--threads", "2"]);
    let want = timeless(whole["runs"].as_array().unwrap());
    assert_eq!(want.len(), 4);
    let same = |out: &str| assert_eq!(timeless(&lines(dir.path(), out)), want, "{out}");

    let second = sweep(&["--out", "parts", "--shard", "2/3"]);
    assert_eq!(second["runs"].as_array().unwrap().len(), 1);
    sweep(&["--out", "parts", "--shard", "1/3"]);
    assert_eq!(lines(dir.path(), "parts").iter().map(|run| &run["number"]).collect::<Vec<_>>(), [1, 2, 4]);
    sweep(&["--out", "parts", "--shard", "3/3", "--threads", "1"]);
    same("parts");

    let words = ["sweep", "my.toml", "--out", "my out", "--threads", "2"];
    let (code, said) = stopped(dir.path(), &words, "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("inkstone sweep my.toml --out 'my out' --threads 2"), "{said}");
    assert!(lines(dir.path(), "my out").len() < 4, "stopped before the end:\n{said}");
    sweep(&["--out", "my out", "--threads", "3"]);
    same("my out");

    let (code, said) = stopped(dir.path(), &["sweep", "my.toml", "--out", "killed", "--threads", "1"], "-KILL");
    assert_eq!(code, None, "{said}");
    assert!(!lines(dir.path(), "killed").is_empty(), "what was over is kept");
    sweep(&["--out", "killed"]);
    same("killed");
}

#[test]
fn what_is_over_is_not_trained_again() {
    let dir = with_file(FOUR);
    let first = json(dir.path(), &["sweep", "my.toml"]);
    let before = contents(dir.path());
    let again = json(dir.path(), &["sweep", "my.toml"]);
    assert_eq!((&again["runs"], &again["best"]), (&first["runs"], &first["best"]));
    assert_eq!(contents(dir.path()), before);

    // Lost results are gathered from the runs; a lost run is trained again, alone.
    let place = dir.path().join("runs/my");
    fs::remove_file(place.join("results.jsonl")).unwrap();
    fs::remove_dir_all(place.join("run-0002")).unwrap();
    json(dir.path(), &["sweep", "my.toml"]);
    let (now, then) = (lines(dir.path(), "runs/my"), first["runs"].as_array().unwrap());
    assert_eq!(timeless(&now), timeless(then));
    assert_eq!(now[0]["seconds"], then[0]["seconds"], "the seconds of its training, not of the second look");
    assert_ne!(now[1]["seconds"], then[1]["seconds"]);

    // More draws leave those before as they were.
    let random = |runs| {
        let base = "[base]\nmodel = \"linear\"\nlimit = 200\nepochs = 1\n";
        format!("{base}[random]\nruns = {runs}\nlr = {{ min = 1e-3, max = 0.1, scale = \"log\" }}\n")
    };
    fs::write(dir.path().join("more.toml"), random(2)).unwrap();
    let two = json(dir.path(), &["sweep", "more.toml"]);
    fs::write(dir.path().join("more.toml"), random(3)).unwrap();
    let three = json(dir.path(), &["sweep", "more.toml"]);
    assert_eq!(three["runs"].as_array().unwrap()[..2], two["runs"].as_array().unwrap()[..]);
    assert_eq!(three["runs"].as_array().unwrap().len(), 3);
    // Fewer would forget one.
    fs::write(dir.path().join("more.toml"), random(2)).unwrap();
    refused(dir.path(), &["sweep", "more.toml"], 1, &["run 3", "--force", "--out"]);
    assert_eq!(json(dir.path(), &["sweep", "more.toml", "--force"])["runs"], two["runs"]);
}

#[test]
fn a_run_with_other_settings_is_replaced_by_force_alone() {
    let dir = with_file(FOUR);
    let first = json(dir.path(), &["sweep", "my.toml"]);
    let before = contents(&dir.path().join("runs"));
    fs::write(dir.path().join("my.toml"), FOUR.replace("0.0001", "0.0002")).unwrap();
    refused(
        dir.path(),
        &["sweep", "my.toml"],
        1,
        &["run-0003: lr", "expected 0.0002", "found 0.0001", "--force", "--out"],
    );
    fs::write(dir.path().join("my.toml"), FOUR.replace("epochs = 3", "epochs = 2\npatience = 1")).unwrap();
    refused(dir.path(), &["sweep", "my.toml"], 1, &["run-0001: epochs", "expected 2", "found 3"]);
    assert_eq!(contents(&dir.path().join("runs")), before);

    fs::write(dir.path().join("my.toml"), FOUR.replace("0.0001", "0.0002")).unwrap();
    let second = json(dir.path(), &["sweep", "my.toml", "--force"]);
    let (then, now) = (first["runs"].as_array().unwrap(), second["runs"].as_array().unwrap());
    assert_eq!(then[..2], now[..2], "equal settings are kept");
    assert_ne!(then[2]["sha256"], now[2]["sha256"]);

    // A directory of something else, and a run that another process is at work on.
    fs::create_dir(dir.path().join("letters")).unwrap();
    fs::write(dir.path().join("letters/love.txt"), "x").unwrap();
    refused(dir.path(), &["sweep", "my.toml", "--out", "letters", "--force"], 1, &["letters", "love.txt"]);
    // What a kill leaves of a first write is no one's: neither a sweep's nor a run's.
    fs::create_dir(dir.path().join("cut")).unwrap();
    fs::write(dir.path().join("cut/.sweep.toml.7-0.tmp"), "[ba").unwrap();
    json(dir.path(), &["sweep", "my.toml", "--out", "cut"]);
    fs::create_dir_all(dir.path().join("busy/run-0002")).unwrap();
    fs::write(dir.path().join("busy/sweep.toml"), "").unwrap();
    fs::create_dir(dir.path().join("busy/run-0001")).unwrap();
    fs::write(dir.path().join("busy/run-0001/..inkstone-run.7-9.tmp"), "A tr").unwrap();
    let held = File::open(dir.path().join("busy/run-0002")).unwrap();
    held.lock().unwrap();
    let output = inkstone(dir.path(), &["sweep", "my.toml", "--out", "busy", "--threads", "1"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("run 2 (lr 0.01, batch 16)") && stderr.contains("one process at a time"), "{stderr}");
    assert_eq!(lines(dir.path(), "busy").len(), 1, "the run before is kept");
}

/// Layers and first weights come from files: what these hold is a part of what a run is. Batch norms have more weights than parameters.
#[test]
fn runs_of_files_that_have_changed_are_replaced_by_force_alone() {
    let text = "[base]\nmodel = \"net.toml\"\ninit = \"first.safetensors\"\nlimit = 500\nepochs = 1\n[grid]\nlr = [0.001, 0.01]";
    let dir = with_file(text);
    let net = "[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"linear\"\nout_features = 4\n\
               [[layer]]\ntype = \"batch_norm\"\n[[layer]]\ntype = \"relu\"\n[[layer]]\ntype = \"linear\"\n";
    let first = |net: &str, seed: &str| {
        fs::write(dir.path().join("net.toml"), net).unwrap();
        let words = ["train", "--model", "net.toml", "--limit", "500", "--epochs", "1", "--out", "first", "--force"];
        json(dir.path(), &[&words[..], &["--seed", seed]].concat());
        fs::copy(dir.path().join("first/model.safetensors"), dir.path().join("first.safetensors")).unwrap();
    };
    first(net, "1");
    let begun = json(dir.path(), &["sweep", "my.toml"]);
    assert_eq!(begun["runs"], json(dir.path(), &["sweep", "my.toml"])["runs"]);
    first(net, "2");
    refused(dir.path(), &["sweep", "my.toml"], 1, &["run-0001: sources", "first.safetensors", "--force"]);
    first(&net.replace("relu", "tanh"), "2");
    refused(dir.path(), &["sweep", "my.toml"], 1, &["run-0001: sources", "net.toml", "--force"]);
    let forced = json(dir.path(), &["sweep", "my.toml", "--force"]);
    assert_ne!(begun["runs"][0]["sha256"], forced["runs"][0]["sha256"]);
}

/// Six runs, of which those that learn too slowly are pruned against those before them.
const PRUNED: &str = "[base]\nmodel = \"linear\"\nlimit = 1000\nsplit = 500\nepochs = 4\nbatch = 20\n\
                      [grid]\nlr = [0.001, 1e-6, 0.002, 1e-5, 0.003, 0.0015]\n[prune]\nafter = 2\nmin_runs = 1\n";

#[test]
fn pruning_depends_on_no_thread_and_no_interruption() {
    let dir = with_file(PRUNED);
    let one = json(dir.path(), &["sweep", "my.toml", "--out", "one", "--threads", "1"]);
    let want = timeless(one["runs"].as_array().unwrap());
    let endings: Vec<&str> = want.iter().map(|run| run["ending"].as_str().unwrap()).collect();
    assert_eq!(endings[..4], ["finished", "pruned", "finished", "pruned"], "{want:?}");
    for run in want.iter().filter(|run| run["ending"] == "pruned") {
        assert!(run["sha256"].is_null() && run["epochs"].as_u64().unwrap() < 4, "{run}");
    }
    for threads in ["2", "4", "6"] {
        json(dir.path(), &["sweep", "my.toml", "--out", threads, "--threads", threads]);
        assert_eq!(timeless(&lines(dir.path(), threads)), want, "{threads} threads");
    }
    stopped(dir.path(), &["sweep", "my.toml", "--out", "cut", "--threads", "2"], "-INT");
    json(dir.path(), &["sweep", "my.toml", "--out", "cut", "--threads", "3"]);
    assert_eq!(timeless(&lines(dir.path(), "cut")), want);
    // Run 4, compared with those before it, comes to the same when it is alone to do.
    fs::remove_dir_all(dir.path().join("one/run-0004")).unwrap();
    json(dir.path(), &["sweep", "my.toml", "--out", "one"]);
    assert_eq!(timeless(&lines(dir.path(), "one")), want);
    // What was pruned has a save.
    assert_eq!(json(dir.path(), &["train", "--resume", "2/run-0002"])["epochs"], 4);

    refused(dir.path(), &["sweep", "my.toml", "--shard", "1/2"], 2, &["shard", "[prune]"]);
    fs::write(dir.path().join("my.toml"), PRUNED.replace("after = 2", "after = 3")).unwrap();
    refused(
        dir.path(),
        &["sweep", "my.toml", "--out", "one"],
        1,
        &["[prune]", "expected after = 2", "found after = 3", "--force"],
    );
    // What was begun went as far as the other rule lets it, whether a line says so or not.
    fs::remove_file(dir.path().join("cut/results.jsonl")).unwrap();
    refused(dir.path(), &["sweep", "my.toml", "--out", "cut"], 1, &["[prune]", "found after = 3", "--force"]);
    let later = json(dir.path(), &["sweep", "my.toml", "--out", "one", "--force"]);
    assert_eq!((&later["runs"][1]["epochs"], &later["runs"][0]["sha256"]), (&value!(3), &one["runs"][0]["sha256"]));
}

/// Runs by another rule, or compared with runs that are no more, may have gone further than they would: none of them is gone on with.
#[test]
fn pruned_runs_that_are_forced_are_those_of_a_fresh_directory() {
    let dir = with_file(PRUNED);
    let sweep = |words: &[&str]| json(dir.path(), &with(&["sweep", "my.toml"], words));
    let fresh = |out: &str| timeless(sweep(&["--out", out])["runs"].as_array().unwrap());
    sweep(&["--out", "first"]);
    sweep(&["--out", "rule"]);
    // Behind a first run that learns next to nothing none is pruned that was pruned before.
    fs::write(dir.path().join("my.toml"), PRUNED.replace("[0.001,", "[1e-7,")).unwrap();
    sweep(&["--out", "first", "--force"]);
    assert_eq!(timeless(&lines(dir.path(), "first")), fresh("fresh first"));

    // Stopped when one run was anew, and gone on with.
    fs::write(dir.path().join("my.toml"), PRUNED.replace("after = 2", "after = 1")).unwrap();
    let want = fresh("fresh rule");
    assert!(want[1]["epochs"] == 1, "{want:?}");
    stopped(dir.path(), &["sweep", "my.toml", "--out", "rule", "--force", "--threads", "1"], "-INT");
    sweep(&["--out", "rule"]);
    assert_eq!(timeless(&lines(dir.path(), "rule")), want);
}

/// Batches of 1000 are shared by all threads, batches of 10 go side by side: here they take turns.
#[test]
fn large_and_small_runs_may_alternate() {
    let dir = with_file(
        "[base]\nmodel = \"mlp:256\"\nlimit = 1000\nepochs = 2\n[grid]\nseed = [1, 2]\nbatch = [10, 1000]\n\
         [random]\nruns = 2\nlr = { choose = [0.001, 0.002] }\n",
    );
    let one = json(dir.path(), &["sweep", "my.toml", "--out", "one", "--threads", "1"]);
    let two = json(dir.path(), &["sweep", "my.toml", "--out", "two", "--threads", "2"]);
    let runs = timeless(one["runs"].as_array().unwrap());
    assert_eq!((runs.len(), timeless(two["runs"].as_array().unwrap())), (8, runs));
    let threads = |run: &str| {
        let config = fs::read_to_string(dir.path().join("two").join(run).join("config.toml")).unwrap();
        config.lines().find_map(|line| line.strip_prefix("threads = ").map(str::to_owned)).unwrap()
    };
    let of: Vec<String> = (1..=8).map(|number| threads(&format!("run-{number:04}"))).collect();
    assert_eq!(of, ["1", "1", "2", "2", "1", "1", "2", "2"]);
}

#[test]
fn a_run_that_diverges_is_an_answer_too() {
    let dir = with_file(
        "[base]\noptimizer = \"sgd\"\nlimit = 400\nepochs = 2\nmodel = \"mlp:16\"\n[grid]\nlr = [1e30, 0.1]\n",
    );
    let output = inkstone(dir.path(), &["sweep", "my.toml", "--json"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&answer["best"], &answer["runs"][0]["ending"]), (&value!(2), &value!("diverged")));
    assert_eq!(answer["runs"][0]["epochs"], 0);
    assert!(answer["runs"][0]["sha256"].is_null() && answer["runs"][1]["ending"] == "finished");
    assert!(stderr.contains("by test accuracy, as not every run has a validation split"), "{stderr}");
    let again = json(dir.path(), &["sweep", "my.toml"]);
    assert_eq!(again["runs"], answer["runs"]);
}

#[test]
fn bad_files_and_flags_are_usage_errors() {
    let dir = with_file(FOUR);
    for bad in ["0/2", "3/2", "1/0", "x"] {
        refused(dir.path(), &["sweep", "my.toml", "--shard", bad], 2, &["--shard", "expected i/n"]);
    }
    let cases: [(&str, &[&str]); 13] = [
        ("[grid]\nlearning_rat = [1]", &["bad.toml: [grid] learning_rat", "a known key", "perhaps `"]),
        ("[base]\nbach = 4\n[grid]\nlr = [0.1]", &["bad.toml: [base] bach", "perhaps `batch`"]),
        ("[girds]\nlr = [0.1]", &["girds", "perhaps `grid`"]),
        ("[grid]\nlr = []", &["[grid] lr", "an empty list"]),
        ("[random]\nruns = 0\nlr = { min = 1, max = 2 }", &["[random] runs", "found 0"]),
        ("[random]\nruns = 1\nlr = { min = 0.2, max = 0.1 }", &["[random] lr", "min is at most max"]),
        ("[random]\nruns = 1\nlr = { min = 0.0, max = 0.1, scale = \"log\" }", &["[random] lr", "above 0"]),
        ("[grid]\nlr = [0.1, -1.0]", &["run 2 (lr -1.0): lr", "found -1"]),
        (
            "[grid]\nmomentum = [0.5, 0.9]",
            &["run 1 (momentum 0.5): momentum", "expected the optimizer momentum", "found adam"],
        ),
        (
            "[base]\nmodel = \"linear\"\n[grid]\nactivation = [\"relu\", \"tanh\"]",
            &["run 1 (activation relu): activation", "expected mlp:512", "found linear"],
        ),
        ("[grid]\nsplit = [10, 60000]", &["run 2 (split 60000): split", "expected at most 59999"]),
        ("[grid]\nisa = [\"avx9000\"]", &["run 1 (isa avx9000): isa", "avx9000"]),
        ("[grid]\nmodel = [\"linear\", \"mlp:1048576,1048576,1048576\"]", &["run 2", "memory"]),
    ];
    for (text, parts) in cases {
        fs::write(dir.path().join("bad.toml"), text).unwrap();
        refused(dir.path(), &["sweep", "bad.toml"], 2, parts);
    }
    fs::write(dir.path().join("bad.toml"), "[grid]\nisa = [\"scalar\"]").unwrap();
    refused(dir.path(), &["sweep", "bad.toml", "--isa", "scalar"], 2, &["--isa", "both"]);
    refused(dir.path(), &["sweep"], 2, &["FILE"]);
    refused(dir.path(), &["sweep", "no-such.toml"], 1, &["no-such.toml"]);
    fs::write(dir.path().join("bad.toml"), "[base]\ninit = \"no-such-file\"\n[grid]\nlr = [0.1]").unwrap();
    refused(dir.path(), &["sweep", "bad.toml"], 1, &["run 1 (lr 0.1)", "no-such-file"]);
    assert_eq!(contents(dir.path()).len(), 2, "nothing is written but the test's own files");
    let help = inkstone(dir.path(), &["sweep", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for part in ["--out", "--shard", "--threads", "--isa", "--json", "--force", "[random]", "[prune]", "results.jsonl"]
    {
        assert!(help.contains(part), "{part} is missing from the help");
    }
}

/// Results of a run under another name are another run's, but its weights are what its settings make them.
#[test]
fn a_run_that_is_called_otherwise_is_kept_by_force() {
    let text = |name: &str| {
        format!("[base]\nmodel = \"linear\"\nlimit = 500\nepochs = 1\n[[run]]\nname = \"{name}\"\nlr = 0.01\n")
    };
    let dir = with_file(&text("first"));
    let first = json(dir.path(), &["sweep", "my.toml"])["runs"].clone();
    fs::write(dir.path().join("my.toml"), text("second")).unwrap();
    refused(dir.path(), &["sweep", "my.toml"], 1, &["results are those of the sweep", "first"]);
    let second = json(dir.path(), &["sweep", "my.toml", "--force"])["runs"].clone();
    assert_eq!(second[0]["settings"]["name"], "second");
    assert_eq!(second[0]["sha256"], first[0]["sha256"]);
    assert_eq!((second.as_array().unwrap().len(), lines(dir.path(), "runs/my").len()), (1, 1));
}
