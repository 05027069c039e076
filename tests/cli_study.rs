//! Studies: trained once, gone on with, compared with what was published; every test runs the binary.

mod cli_stopped;
mod cli_support;

use cli_stopped::stopped;
use cli_support::{contents, inkstone, json, sha256, with};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const PART: [&str; 7] = ["study", "multilayer", "--only", "softmax", "--quick", "--out", "out"];

#[test]
fn a_part_is_trained_compared_and_kept() {
    let dir = tempdir().unwrap();
    let one = json(dir.path(), &with(&PART, &["--seeds", "1"]));
    assert_eq!((one["command"].as_str(), one["interrupted"].as_bool()), (Some("study"), Some(false)));
    let rows = one["parts"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let accuracy = rows.iter().find(|row| row["measure"] == "test accuracy").unwrap();
    assert!(accuracy["measured"].as_f64().unwrap() > 90.0 && accuracy["published"] == 92.51, "{accuracy}");

    let page = fs::read_to_string(dir.path().join("out/report.md")).unwrap();
    assert!(page.contains("\n# multilayer: ") && page.contains("**Quick**"), "{page}");
    let html = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("id=\"multilayer-softmax\""));
    assert!(page.contains("| softmax | test accuracy, % | 92.51 | "), "{page}");

    let part = dir.path().join("out/multilayer/softmax");
    let line: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(part.join("results.jsonl")).unwrap()).unwrap();
    assert_eq!(line["sha256"].as_str().unwrap(), sha256(&part.join("run-0001/model.safetensors")));
    let first = contents(&part.join("run-0001"));

    // In bytes too, though each image is normalised by itself.
    let bytes = "In bytes (int8, quantized after training) 1 network of ";
    assert!(page.contains(bytes) && html.contains(bytes) && !page.contains(" (f16) | "), "{page}");

    // A second seed is added to the first, which is not trained again; another part's results stay.
    let more = inkstone(dir.path(), &with(&PART, &["--seeds", "2"])).output().unwrap();
    let said = String::from_utf8(more.stdout).unwrap();
    assert!(more.status.success() && said.contains("2 runs, 1 of them done before"), "{said}");
    assert_eq!(contents(&part.join("run-0001")), first);
    let all: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("out/results.json")).unwrap()).unwrap();
    let values = all[0]["rows"][0]["values"].as_array().unwrap();
    assert_eq!((all.as_array().unwrap().len(), values.len()), (1, 2));
}

/// What came out, without times.
fn results(dir: &Path) -> serde_json::Value {
    fn timeless(value: &mut serde_json::Value) {
        if let Some(object) = value.as_object_mut() {
            object.retain(|key, _| key != "seconds" && key != "samples_per_second");
        }
        let inside = match value {
            serde_json::Value::Array(list) => list.iter_mut().collect(),
            serde_json::Value::Object(object) => object.values_mut().collect(),
            _ => Vec::new(),
        };
        inside.into_iter().for_each(timeless);
    }
    let mut value = serde_json::from_str(&fs::read_to_string(dir.join("results.json")).unwrap()).unwrap();
    timeless(&mut value);
    value
}

#[test]
fn threads_change_no_result() {
    let dir = tempdir().unwrap();
    let words = ["study", "regularization", "--only", "confusion", "--quick", "--limit", "700", "--seeds", "1"];
    for (out, threads) in [("a", "1"), ("b", "2")] {
        json(dir.path(), &with(&words, &["--out", out, "--threads", threads]));
    }
    let [one, two] = ["a", "b"].map(|out| results(&dir.path().join(out)));
    assert!(one == two && one[0]["runs"][0]["exam"]["wrong"].as_array().unwrap().len() > 1);
    // In bytes the network is that of `quantize`.
    let run = "a/regularization/confusion/run-0001";
    let quantized = json(dir.path(), &["quantize", run, "--out", "model.ink", "--calibration", "700"]);
    let int8 = &one[0]["runs"][0]["exam"]["int8"];
    let told =
        [("bytes", "bytes"), ("arena", "arena"), ("calibrator", "calibrator"), ("accuracy", "accuracy_quantized")];
    assert!(told.iter().all(|(key, told)| int8[key] == quantized[told]), "{int8}");
    let page = fs::read_to_string(dir.path().join("a/report.md")).unwrap();
    assert!(page.contains("In bytes (int8, quantized after training) 1 network of "), "{page}");
    // What is compared is the same, and what only one has is named.
    json(dir.path(), &with(&PART[..5], &["--limit", "200", "--seeds", "1", "--out", "b"]));
    let compared = json(dir.path(), &["report", "a", "b"]);
    assert_eq!((compared["turned"].as_u64(), compared["single"].as_array().unwrap().len()), (Some(0), 1), "{compared}");
    // What another version trained is not on the page, and is not lost.
    let file = dir.path().join("a/results.json");
    let mut all: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mut other = all[0].clone();
    other["part"] = "of-old".into();
    all.push(other);
    fs::write(&file, serde_json::to_string(&all).unwrap()).unwrap();
    json(dir.path(), &["report", "a"]);
    assert!(fs::read_to_string(&file).unwrap().contains("of-old"));
    assert!(!fs::read_to_string(dir.path().join("a/report.md")).unwrap().contains("of-old"));
}

/// One seed, then two, then one: what is there is neither trained again nor forgotten.
#[test]
fn seeds_are_added_to_those_that_are_there() {
    let dir = tempdir().unwrap();
    let words = ["study", "multilayer", "--only", "activations", "--quick", "--limit", "200", "--out", "out"];
    let of = |seeds: &str| json(dir.path(), &with(&words, &["--seeds", seeds]));
    let weights =
        |run: &str| sha256(&dir.path().join("out/multilayer/activations").join(run).join("last/model.safetensors"));
    of("1");
    let first = ["run-0001", "run-0002", "run-0003"].map(weights);
    assert_eq!(of("2")["parts"][0]["rows"][0]["values"].as_array().unwrap().len(), 2);
    assert_eq!(["run-0001", "run-0002", "run-0003"].map(weights), first);
    assert_eq!(of("1")["parts"][0]["seeds"], 2);
}

/// What was over when Ctrl-C came is on the page, which says what is not; the same command then ends as if nothing had happened.
#[test]
fn a_study_goes_on_after_ctrl_c() {
    let dir = tempdir().unwrap();
    let words =
        ["study", "multilayer", "--only", "activations", "--quick", "--limit", "300", "--seeds", "1", "--threads", "1"];
    let (code, said) = stopped(dir.path(), &with(&words, &["--out", "stopped"]), "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("To go on:\n  inkstone study multilayer --seeds 1 --quick --limit 300 --only activations"),
        "{said}"
    );
    let half = results(&dir.path().join("stopped"));
    let missing = half[0]["missing"].as_array().unwrap().len();
    assert!(missing > 0 && half[0]["runs"].as_array().unwrap().len() + missing == 3, "{half}");
    let page = fs::read_to_string(dir.path().join("stopped/report.html")).unwrap();
    assert!(page.contains("Without a result: ") && page.contains("tanh, seed 1"));
    json(dir.path(), &with(&words, &["--out", "stopped"]));
    json(dir.path(), &with(&words, &["--out", "whole"]));
    assert!(results(&dir.path().join("stopped")) == results(&dir.path().join("whole")));
}

#[test]
fn results_of_other_data_are_not_mixed_with_these() {
    let dir = tempdir().unwrap();
    let words = ["study", "basics", "--out", "out", "--only"];
    json(dir.path(), &with(&words, &["normalization"]));
    let file = dir.path().join("out/results.json");
    let mut all: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(all[0]["data"].as_array().unwrap().len(), 4);
    all[0]["data"][3] = "ff".into();
    fs::write(&file, all.to_string()).unwrap();

    let output = inkstone(dir.path(), &with(&words, &["gradients"])).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--out out: the results of basics normalization are of other data"), "{said}");
    json(dir.path(), &with(&words, &["gradients", "--force"]));
    let all: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["part"]), (1, &"gradients".into()));
}

#[test]
fn what_is_no_study_is_a_usage_error() {
    let dir = tempdir().unwrap();
    for (words, expected) in [
        (["study", "cnns", "--quick"], "regularization, basics, cnn, grid, multilayer, all"),
        (
            ["study", "grid", "--only=depp"],
            "expected one of linear, deep, grid, first-weights, perhaps deep, found depp",
        ),
        (["study", "grid", "--seeds=0"], "0 is not in 1..=1000"),
    ] {
        let output = inkstone(dir.path(), &words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert!(!dir.path().join("runs").exists());
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/results.json"), "{").unwrap();
    let output = inkstone(dir.path(), &PART).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("results.json") && said.contains("moved away"), "{said}");
    let output = inkstone(dir.path(), &["report", "nowhere"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("what `inkstone study` wrote"), "{said}");
}
