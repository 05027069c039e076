//! The page of all studies, as a browser sees it: `bash tests/all.sh page`.

mod cli_support;

use cli_support::{contents, json, mnist, sha256, with};
use inkstone::data::Dataset;
use inkstone::data::dataset::load_mnist;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;

/// The width of a phone, in pixels.
const PHONE: u32 = 390;

/// Writes images and labels as IDX.
fn write(dir: &Path, part: &str, set: &Dataset, len: usize) {
    let size = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let mut images = [[0, 0, 8, 3], size(len), size(set.rows()), size(set.cols())].concat();
    images.extend_from_slice(&set.images()[..len * set.rows() * set.cols()]);
    fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    let labels = [[0, 0, 8, 1], size(len)].concat();
    fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), [&labels, &set.labels()[..len]].concat()).unwrap();
}

/// What the page says of itself after it was laid out `width` pixels wide: `overflow`, `broken` pictures, `dangling` links, `plots`.
fn inspected(page: &Path, dir: &Path, width: u32) -> String {
    let html = fs::read_to_string(page).unwrap().replace('&', "&amp;").replace('"', "&quot;");
    // What is folded away is laid out too.
    let look = "const d = f.contentDocument, all = s => [...d.querySelectorAll(s)]; all('details').forEach(e => e.open = true); \
        document.body.textContent = ['seen', \
        'overflow=' + Math.max(0, d.documentElement.scrollWidth - f.clientWidth), \
        'broken=' + all('img').filter(i => !i.complete || i.naturalWidth === 0).length, \
        'dangling=' + all('a[href^=\"#\"]').filter(a => !d.getElementById(a.hash.slice(1))).length, \
        'pictures=' + all('img').length, 'plots=' + all('svg').length, 'tables=' + all('table').length].join(' ')";
    let frame = format!(
        "<!DOCTYPE html><body><iframe id=\"f\" style=\"width:{width}px;height:800px;border:0\" srcdoc=\"{html}\"></iframe>\
         <script>const f = document.getElementById('f'); f.onload = () => {{ {look} }};</script></body>"
    );
    let file = dir.join(format!("frame-{width}.html"));
    fs::write(&file, frame).unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", dir.join("browser").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("Chromium, which `bash tests/all.sh tools page` installs");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!log.contains("CONSOLE"), "the page complains: {log}");
    let seen = dom.find("seen overflow").unwrap_or_else(|| panic!("the page was not laid out: {log}"));
    dom[seen..].split('<').next().unwrap().to_owned()
}

/// All studies on a few hundred images: every part is trained and shown, the page is whole on a desk and on a phone, and the command goes on
/// where it stopped.
#[test]
#[ignore = "needs Chromium and some minutes: bash tests/all.sh page"]
fn all_studies_make_a_page_that_a_browser_shows() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let splits = load_mnist(&mnist()).unwrap();
    write(&data, "train", &splits.train, 10_400); // the grid keeps 10,000 for validation
    write(&data, "t10k", &splits.test, 200);
    let all = ["study", "all", "--quick", "--limit", "96", "--seeds", "1", "--data", "data", "--out", "out"];
    let answer = json(dir.path(), &all);
    let parts = answer["parts"].as_array().unwrap();
    let names: Vec<String> = inkstone::study::NAMES
        .iter()
        .flat_map(|name| {
            inkstone::study::study(name).unwrap().parts.into_iter().map(move |part| format!("{name} {}", part.name))
        })
        .collect();
    let found: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {}", part["study"].as_str().unwrap(), part["part"].as_str().unwrap()))
        .collect();
    assert_eq!(found, names);
    for part in parts {
        assert_eq!(part["missing"].as_array().unwrap().len(), 0, "{part}");
        // One seed has no deviation, and one epoch no second.
        let absent = |row: &Value| {
            let measure = row["measure"].as_str().unwrap();
            measure.contains("standard deviation") || measure.contains("after epoch")
        };
        assert!(
            part["rows"].as_array().unwrap().iter().all(|row| row["measured"].is_number() || absent(row)),
            "{part}"
        );
        // Nor has a claim about a later epoch numbers to be decided by.
        let study = inkstone::study::study(part["study"].as_str().unwrap()).unwrap();
        let claims = &study.part(part["part"].as_str().unwrap()).unwrap().claims;
        let later = |finding: &Value| {
            let claim = claims.iter().find(|claim| finding["claim"] == claim.text.as_str());
            claim.is_some_and(|claim| {
                claim.rules.iter().any(|rule| rule.to_string().contains('@') || rule.to_string().contains("spikes"))
            })
        };
        let decided = |finding: &Value| finding["holds"].is_boolean() || later(finding);
        assert!(part["findings"].as_array().unwrap().iter().all(decided), "{part}");
    }

    let out = dir.path().join("out");
    let page = out.join("report.html");
    let (desk, phone) = (inspected(&page, dir.path(), 1280), inspected(&page, dir.path(), PHONE));
    println!("{desk}\n{phone}");
    assert_eq!(desk, phone, "the same on both");
    assert!(phone.starts_with("seen overflow=0 broken=0 dangling=0 pictures="), "{phone}");
    let plots: usize = phone.split("plots=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let figures = contents(&out.join("figures"));
    let files = figures.iter().filter(|(file, _)| file.extension().is_some_and(|end| end == "svg")).count();
    assert_eq!(plots, files);

    // Nothing is trained again, and the page comes out the same from what is stored.
    let (before, results) = (contents(&out), sha256(&out.join("results.json")));
    json(dir.path(), &with(&all, &["--threads", "1"]));
    json(dir.path(), &["report", "out"]);
    assert_eq!(sha256(&out.join("results.json")), results);
    let same = |(file, _): &&(std::path::PathBuf, String)| !file.ends_with("results.jsonl");
    assert_eq!(contents(&out).iter().filter(same).collect::<Vec<_>>(), before.iter().filter(same).collect::<Vec<_>>());
}
