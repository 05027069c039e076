//! Choosing, showing and drawing, of rows made up.

use super::sheet::{heading, line};
use super::*;
use inkstone::bench::{Arithmetic, Bound, Cost, Variant};

/// A row of each family, ours and what it is compared with.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, family) in Family::ALL.into_iter().enumerate() {
        for (name, isa, threads) in
            [("reference", None, 1), ("inkstone", Some(Isa::best()), 1), ("inkstone", Some(Isa::best()), 2)]
        {
            let operations = 10u64.pow(6 + i as u32);
            let cost = Cost { operations, bytes: 1 << 16, arithmetic: Arithmetic::Single, bound: Bound::Arithmetic };
            rows.push(Row {
                bench: format!("{}/<&\"{i}", family.name()), // what XML has to escape
                family,
                variant: Variant { name, isa, threads, cost },
                seconds: 1.25e-4,
                gflops: 7.5 * (i + threads) as f64,
                percent_of_arithmetic: 51.25,
                percent_of_reading: 3.0,
                percent_of_peak: 51.25,
                gb_per_s: 0.5243,
                speedup: isa.map(|_| 12.0),
                speedup_over_f32: None,
            });
        }
    }
    rows
}

fn peaks(threads: usize) -> Peaks {
    let isa = Isa::best();
    Peaks { isa, threads, f32_gflops: 80.0, i16_gops: 160.0, read_gb_per_s: 10.0, read_gb_per_s_threads: 15.0 }
}

fn chosen(quick: bool, only: &[&str]) -> Vec<String> {
    let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
    let cases = choose(bench::cases(), quick, &only).unwrap();
    cases.iter().map(|case| case.name().to_owned()).collect()
}

#[test]
fn names_choose_cases() {
    let all = chosen(false, &[]);
    assert_eq!(all.len(), bench::cases().len());
    let quick = chosen(true, &[]);
    assert!(quick.len() < all.len() && quick.iter().all(|name| all.contains(name)));

    assert_eq!(chosen(false, &["gemm_f32/64x64"]), ["gemm_f32/64x64x64"]);
    assert_eq!(chosen(true, &["gemm_f32/64"]), ["gemm_f32/64x64x64"], "of the quick ones, not 64x128x12544");
    assert_eq!(chosen(false, &["gemm_f32/64"]).len(), 3);
    assert_eq!(chosen(true, &["2048x2048x2048"]), ["gemm_f32/2048x2048x2048"], "named, though none is quick");
    let two = chosen(false, &["conv_i8/8-16", "softmax"]);
    assert_eq!(two, ["conv_i8/8-16x3x3", "conv_i8/8-16x3x3+max2", "softmax/200x10", "log_softmax/200x10"]);
    let family = chosen(false, &["memory"]);
    assert!(
        family.iter().any(|name| name.starts_with("convert/")) && family.iter().any(|name| name.starts_with("pool/"))
    );
}

#[test]
fn a_name_that_nothing_has_is_a_usage_error_that_lists_the_names() {
    let Err(error) = choose(bench::cases(), true, &["softmax".to_owned(), "nonsense".to_owned()]) else {
        panic!("nonsense was found")
    };
    assert!(error.is::<Usage>());
    let message = error.to_string();
    for part in ["--only nonsense", "gemm_f32/2048x2048x2048", "conv_i8: conv_i8/", "memory: convert/to_f32"] {
        assert!(message.contains(part), "{part} is missing in\n{message}");
    }
}

#[test]
fn lines_stand_under_their_heading() {
    for row in rows() {
        let (heading, line) = (heading(20, row.family), line(20, &row));
        assert_eq!(heading.chars().count(), line.chars().count(), "{heading}\n{line}");
        for (unit, figure) in [("µs", "125.00"), ("% peak", "51.2"), ("GB/s", "0.52")] {
            let end =
                |text: &str, part: &str| text.find(part).map(|at| text[..at].chars().count() + part.chars().count());
            assert_eq!(end(&heading, unit), end(&line, figure), "{heading}\n{line}");
        }
    }
    assert!(heading(8, Family::GemmI8).contains("GOP/s") && heading(8, Family::ConvF32).contains("GFLOP/s"));
}

#[test]
fn json_has_the_keys_of_the_design() {
    let rows = rows();
    let flags = Bench { quick: true, only: Vec::new(), save_plot: None, threads: None, isa: None };
    let answer = answer(&peaks(2), &rows, &flags);
    for key in ["isa", "threads", "peak_f32_gflops", "peak_i16_gops", "read_gb_per_s", "rows"] {
        assert!(!answer[key].is_null(), "{key} is missing");
    }
    for (row, json) in rows.iter().zip(answer["rows"].as_array().unwrap()) {
        let object = json.as_object().unwrap();
        for key in ["bench", "variant", "isa", "threads", "gflops", "percent_of_peak", "speedup"] {
            assert!(object.contains_key(key), "{key} is missing");
        }
        assert_eq!(json["bench"], row.bench);
        assert_eq!(json["isa"].as_str(), row.variant.isa.map(Isa::name));
        assert_eq!(json["speedup"].as_f64(), row.speedup);
    }
}

#[test]
fn a_place_that_cannot_hold_a_plot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("none/plot.svg"), PathBuf::from("/")] {
        let message = check_place(&path).unwrap_err().to_string();
        assert!(message.contains(&path.display().to_string()) && message.contains("expected"), "{message}");
    }
    check_place(&dir.path().join("plot.svg")).unwrap();
    check_place(Path::new("plot.svg")).unwrap();
}

/// Fails unless every tag is closed in its order, attributes are quoted, and nothing that XML reserves stands bare.
fn check_xml(text: &str) {
    let mut open = Vec::new();
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration");
    while let Some(start) = rest.find('<') {
        let (between, tag) = rest.split_at(start);
        assert!(!between.contains('>'), "a bare > in {between:?}");
        for after in between.split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| after.starts_with(entity)),
                "a bare & in {between:?}"
            );
        }
        let end = tag.find('>').expect("a tag that ends");
        let (inside, after) = (&tag[1..end], &tag[end + 1..]);
        assert!(!inside.contains('<') && inside.matches('"').count().is_multiple_of(2), "{inside}");
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes another tag");
        } else if !inside.ends_with('/') {
            open.push(inside.split_whitespace().next().expect("a name"));
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} stay open");
}

#[test]
fn a_plot_is_xml_with_a_marker_for_each_row() {
    let rows = rows();
    for (threads, rows) in [(2, &rows[..]), (1, &rows[..4]), (1, &[])] {
        let svg = roofline::svg(&peaks(threads), rows);
        check_xml(&svg);
        assert_eq!(svg.matches("class=\"row\"").count(), rows.len());
        let mut words = svg.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(words.all(|word| word != "NaN" && word != "inf"), "{svg}");
        assert!(svg.contains(&format!("{}, 1 ", Isa::best())) && svg.contains("operations/byte"));
        assert_eq!(svg.matches("<polyline").count(), if threads == 1 { 2 } else { 4 });
    }
}

/// Every marker lies in the plot, whatever the values are.
#[test]
fn markers_lie_inside_the_axes() {
    let mut rows = rows();
    rows[0].gflops = 3e-4;
    rows[1].gflops = 9e5;
    rows[2].variant.cost.operations = 1;
    for line in roofline::svg(&peaks(2), &rows).lines().filter(|line| line.contains("<circle class=\"row\"")) {
        let number = |name: &str| -> f64 {
            let from = line.find(name).unwrap() + name.len();
            line[from..].split('"').next().unwrap().parse().unwrap()
        };
        assert!((80.0..=690.0).contains(&number("cx=\"")) && (64.0..=540.0).contains(&number("cy=\"")), "{line}");
    }
}
