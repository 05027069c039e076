//! `inkstone bench` from outside: what it says, what it draws, what it refuses. How fast the kernels are is no matter of tests.

mod cli_support;

use cli_support::{contents, inkstone, json, with};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// The smallest product: a moment's work.
const SMALL: [&str; 6] = ["bench", "--quick", "--only", "gemm_f32/64", "--threads", "2"];

#[test]
fn bench_says_how_fast_and_in_percent_of_what() {
    let dir = tempdir().unwrap();
    let answer = json(dir.path(), &SMALL);
    assert_eq!(answer["command"], "bench");
    assert_eq!(answer["threads"], 2);
    let best = answer["isa"].as_str().unwrap();
    for key in ["peak_f32_gflops", "peak_i16_gops", "read_gb_per_s"] {
        assert!(answer[key].as_f64().unwrap() > 0.0, "{key}: {answer}");
    }
    let rows = answer["rows"].as_array().unwrap();
    let variants: Vec<(&str, u64)> =
        rows.iter().map(|row| (row["variant"].as_str().unwrap(), row["threads"].as_u64().unwrap())).collect();
    for variant in [("reference", 1), ("inkstone", 1), ("inkstone", 2)] {
        assert!(variants.contains(&variant), "{variants:?}");
    }
    for row in rows {
        assert_eq!(row["bench"], "gemm_f32/64x64x64", "of the quick shapes alone");
        assert!(row["gflops"].as_f64().unwrap() > 0.0, "{row}");
        let percent = row["percent_of_peak"].as_f64().unwrap();
        assert!((0.0..130.0).contains(&percent), "{row}");
        match row["variant"].as_str() {
            Some("reference") => assert_eq!((row["speedup"].as_f64(), row["isa"].as_str()), (Some(1.0), None)),
            Some("inkstone") => assert_eq!(row["isa"], best),
            _ => {}
        }
        assert!(row["speedup"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert!(contents(dir.path()).is_empty(), "nothing is written");
}

#[test]
fn an_instruction_set_can_be_forced_and_one_thread_gives_one_row() {
    let dir = tempdir().unwrap();
    let answer = json(dir.path(), &["bench", "--quick", "--only", "softmax", "--threads", "1", "--isa", "scalar"]);
    assert_eq!((&answer["isa"], &answer["threads"]), (&"scalar".into(), &1.into()));
    let rows = answer["rows"].as_array().unwrap();
    let variants: Vec<&str> = rows.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    assert_eq!(variants, ["reference", "inkstone"]);
    assert_eq!(rows[1]["isa"], "scalar");
}

#[test]
fn the_table_names_its_units_and_the_plot_has_a_marker_for_each_row() {
    let dir = tempdir().unwrap();
    let words = with(&SMALL, &["--save-plot", "roofline.svg"]);
    let output = inkstone(dir.path(), &words).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for part in ["GFLOP/s", "µs", "% peak", "GB/s", "x reference", "gemm_f32/64x64x64", "roofline.svg"] {
        assert!(stdout.contains(part), "{part:?} is missing in\n{stdout}");
    }
    let rows = stdout.lines().filter(|line| line.starts_with("gemm_f32/64x64x64")).count();
    let svg = fs::read_to_string(dir.path().join("roofline.svg")).unwrap();
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(svg.matches("class=\"row\"").count(), rows);
    assert_eq!(contents(dir.path()).len(), 1, "no temporary file is left");
}

#[test]
fn the_instruction_sets_are_listed_slowest_first() {
    let dir = tempdir().unwrap();
    let answer = json(dir.path(), &["bench", "--isa", "list"]);
    let isas = answer["isas"].as_array().unwrap();
    let names: Vec<&str> = isas.iter().map(|isa| isa["isa"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["scalar", "baseline"]);
    assert_eq!(isas[0]["lanes"], 1);
    let defaults: Vec<&serde_json::Value> = isas.iter().filter(|isa| isa["default"] == true).collect();
    assert_eq!(defaults.len(), 1);
    assert_eq!((&defaults[0]["isa"], &defaults[0]["available"]), (&answer["isa"], &true.into()));
    let output = inkstone(dir.path(), &["bench", "--isa", "list"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    for name in names {
        assert!(stdout.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{stdout}");
    }
    assert!(stdout.contains("used by default"), "{stdout}");
}

/// Runs the command, expects this exit code, all of these words on stderr, and none on stdout.
fn refused(dir: &Path, words: &[&str], code: i32, parts: &[&str]) {
    let output = inkstone(dir, words).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{stdout}\n{stderr}");
    assert!(stderr.contains("error: ") && !stderr.contains("panicked"), "{words:?}\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{words:?}: {part:?} is missing in\n{stderr}");
    }
    assert_eq!(stdout, "", "{words:?}");
    assert!(contents(dir).is_empty(), "{words:?} left something behind");
}

#[test]
fn bad_usage_is_refused() {
    let dir = tempdir().unwrap();
    let bench = |more: &[&'static str]| with(&["bench", "--quick"], more);
    let names =
        ["nonsense", "expected", "gemm_f32/64x64x64", "conv_f16/64-64x3x3", "conv_i8/64-64x3x3", "update/adam/407050"];
    refused(dir.path(), &bench(&["--only", "nonsense"]), 2, &names);
    refused(dir.path(), &bench(&["--only", "softmax", "--only", "nonsense"]), 2, &names);
    refused(dir.path(), &bench(&["--isa", "mmx"]), 2, &["mmx", "--isa", "no such instruction set", "scalar"]);
    refused(dir.path(), &bench(&["--threads", "0"]), 2, &["--threads", "0"]);
    refused(dir.path(), &bench(&["--threads", "many"]), 2, &["--threads", "many"]);
    refused(dir.path(), &bench(&["gemm_f32"]), 2, &["gemm_f32"]);
}

/// Said before anything is measured.
#[test]
fn a_plot_that_cannot_be_written_is_refused() {
    let dir = tempdir().unwrap();
    let bench = |file: &'static str| with(&SMALL, &["--save-plot", file]);
    refused(dir.path(), &bench("no-such-folder/plot.svg"), 1, &["no-such-folder/plot.svg", "expected"]);
    refused(dir.path(), &bench("."), 1, &["expected a file name"]);
}
