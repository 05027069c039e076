//! What the benches share: a table, timed in turns, then the same cases through criterion.
//!
//! Words after `--` choose cases whose name contains one of them. `--table` prints the table alone, with `--isa NAME` by another instruction
//! set than the best; any other option is criterion's (`--save-baseline NAME`, `--profile-time SECONDS`, `--list`, `--help`) and leaves the
//! table out.

use criterion::{Criterion, Throughput};
use inkstone::bench::{Case, Meter, Pace, Peers, Row, Setup, Way};
use inkstone::kernels::Isa;

/// Operations of a plain loop from which criterion takes ten samples of it, its least, instead of a hundred.
const LONG: u64 = 1 << 25;

/// Times the cases that the command line chooses.
pub(crate) fn main(cases: fn() -> Vec<Case>, peers: Option<Peers>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let setup = Setup { isa: isa(&words), every_isa: true, threads, reference_up_to: u64::MAX, peers };
    // All of it runs on a worker: entering a pool from outside would cost more than a small product.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| run(&cases(), setup, &words));
}

/// The instruction set that is asked for, or the best.
fn isa(words: &[String]) -> Isa {
    let Some(at) = words.iter().position(|word| word == "--isa") else {
        return Isa::best();
    };
    let name = words.get(at + 1).map_or("", String::as_str);
    if !words.iter().any(|word| word == "--table") {
        eprintln!("--isa {name}: criterion's benches are of every instruction set: expected --table beside it");
        std::process::exit(2);
    }
    let found = Isa::from_name(name);
    found.unwrap_or_else(|error| {
        eprintln!("--isa {name}: {error}");
        std::process::exit(2)
    })
}

fn run(cases: &[Case], setup: Setup, words: &[String]) {
    let has_table = words.iter().any(|word| word == "--table");
    let is_ours = has_table || !words.iter().any(|word| word.starts_with('-'));
    let names = names(words);
    let is_chosen = |case: &&Case| names.iter().any(|name| case.name().contains(*name));
    let mut cases: Vec<&Case> = cases.iter().collect();
    if cases.iter().any(is_chosen) {
        cases.retain(is_chosen);
    } else if is_ours && let Some(name) = names.first() {
        eprintln!("no bench is called like {name}; --list names them all");
        std::process::exit(2);
    } // or else it is a pattern of criterion's
    if is_ours {
        table(&cases, setup);
    }
    if has_table {
        return;
    }
    let mut criterion = if is_ours { Criterion::default() } else { Criterion::default().configure_from_args() };
    for case in cases {
        let mut group = criterion.benchmark_group(case.name());
        group.throughput(Throughput::Elements(case.cost().operations)); // so that elem/s reads as operations a second
        let is_long = |way: &Way<'_>| way.variant.name == "reference" && case.cost().operations > LONG;
        let timed = case.with_ways(&setup, &mut |mut ways| {
            ways.sort_by_key(is_long); // last, as fewer samples go for all that follow
            for mut way in ways {
                if is_long(&way) {
                    group.sample_size(10);
                }
                group.bench_function(way.variant.label(), |b| b.iter(|| way.call()));
            }
        });
        timed.unwrap_or_else(|error| panic!("{error}"));
        group.finish();
    }
    criterion.final_summary();
}

/// Options whose value is the next word: ours, and criterion's.
const VALUED: [&str; 21] = [
    "--isa",
    "-c",
    "--color",
    "--colour",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--load-baseline",
    "--format",
    "--profile-time",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--plotting-backend",
    "--output-format",
];

/// What is neither an option nor the value of one.
fn names(words: &[String]) -> Vec<&str> {
    let is_value = |at: usize| at > 0 && VALUED.contains(&words[at - 1].as_str());
    let names = words.iter().enumerate().filter(|(at, word)| !word.starts_with('-') && !is_value(*at));
    names.map(|(_, word)| word.as_str()).collect()
}

/// Every case, all ways in turns with the peaks. `% peak` is of the arithmetic's, `% read` of reading as many bytes as the way moves
/// at least: both of what the threads used do together.
fn table(cases: &[&Case], setup: Setup) {
    let meter = Meter::new(setup, Pace::FULL);
    let peaks = meter.peaks();
    println!(
        "{}: {:.1} GFLOP/s in f32, {:.1} GOP/s in 16-bit pairs, {:.1} GB/s read from memory; {} threads: {:.1} GB/s",
        peaks.isa, peaks.f32_gflops, peaks.i16_gops, peaks.read_gb_per_s, peaks.threads, peaks.read_gb_per_s_threads
    );
    println!(
        "{:<32} {:<26} {:>10} {:>9} {:>7} {:>7} {:>7} {:>8} {:>7}",
        "bench", "variant", "us", "1e9 op/s", "% peak", "GB/s", "% read", "x naive", "x f32"
    );
    for case in cases {
        let rows = meter.measure(case).unwrap_or_else(|error| panic!("{error}"));
        rows.iter().for_each(print);
    }
}

fn print(row: &Row) {
    let times = |factor: Option<f64>| factor.map_or_else(|| "-".to_owned(), |factor| format!("{factor:.2}"));
    println!(
        "{:<32} {:<26} {:>10.2} {:>9.2} {:>7.1} {:>7.2} {:>7.1} {:>8} {:>7}",
        row.bench,
        row.variant.label(),
        row.seconds * 1e6,
        row.gflops,
        row.percent_of_arithmetic,
        row.gb_per_s,
        row.percent_of_reading,
        times(row.speedup),
        times(row.speedup_over_f32)
    );
}
