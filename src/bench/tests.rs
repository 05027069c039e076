//! Cases and what is measured of them.

use super::way::Ways;
use super::*;
use crate::error::ShapeError;
use crate::kernels::Isa;

fn setup() -> Setup {
    let (isa, threads) = (Isa::best(), rayon::current_num_threads());
    Setup { isa, every_isa: true, threads, reference_up_to: u64::MAX, peers: None }
}

#[test]
fn every_case_has_a_name_of_its_own_and_every_family_has_some_that_are_quick() {
    let cases = cases();
    let mut names: Vec<&str> = cases.iter().map(Case::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    // Each name in a list of quick ones is that of a case.
    let quick = |family| cases.iter().filter(|case| case.family() == family && case.is_quick()).count();
    assert_eq!(Family::ALL.map(quick), [8, 3, 5, 5, 2, 3, 21, 4]);
    let networks = cases.iter().filter(|case| case.family() == Family::Inference).count();
    assert_eq!(networks, 14, "each network in each kind of number, one digit and many");
    for case in &cases {
        let cost = case.cost();
        assert!(cost.operations > 0 && cost.bytes > 0 && cost.intensity().is_finite(), "{}", case.name());
    }
}

/// The cheapest case of each family, on every instruction set, at a pace that proves nothing but that rows come out.
#[test]
fn the_cheapest_case_of_each_family_is_right_on_every_isa_and_gives_rows() {
    let (setup, cases) = (setup(), cases());
    let isas = Isa::available().count();
    let meter = Meter::new(setup, Pace { turn: 1e-6, turns: 1 });
    for family in Family::ALL {
        let of_family = cases.iter().filter(|case| case.family() == family);
        let case = of_family.min_by_key(|case| case.cost().operations).unwrap();
        let rows = meter.measure(case).unwrap();
        println!("{}: {}", case.name(), rows.iter().map(|row| row.variant.label()).collect::<Vec<_>>().join(" "));
        let ours = rows.iter().filter(|row| row.variant.name == "inkstone" && row.variant.threads == 1);
        assert_eq!(ours.count(), isas, "{}", case.name());
        for row in &rows {
            assert_eq!((row.bench.as_str(), row.family), (case.name(), family));
            let shares = [row.percent_of_peak, row.percent_of_arithmetic, row.percent_of_reading];
            for figure in shares.into_iter().chain([row.seconds, row.gflops, row.gb_per_s, row.speedup.unwrap()]) {
                assert!(figure.is_finite() && figure > 0.0, "{row:?}");
            }
            assert!(row.variant.name != "reference" || row.speedup == Some(1.0));
        }
    }
}

#[test]
fn every_pass_over_memory_is_right_on_every_isa() {
    let setup = setup();
    let (bytes, training) = (memory_i8::cases(), memory_train::cases());
    for case in memory::cases().iter().filter(|case| case.cost().bytes < 1 << 26).chain(&bytes).chain(&training) {
        let mut count = 0;
        case.with_ways(&setup, &mut |ways| count = ways.len()).unwrap();
        assert_eq!(count, 1 + Isa::available().count(), "{}", case.name());
    }
}

#[test]
fn every_way_round_a_threshold_is_right() {
    for case in thresholds::cases() {
        let mut names = Vec::new();
        case.with_ways(&setup(), &mut |ways| names = ways.iter().map(|way| way.variant.name).collect()).unwrap();
        assert!(names.contains(&"inkstone") && names.len() >= 3, "{}: {names:?}", case.name());
    }
}

#[test]
fn the_reference_and_slower_sets_are_left_out_where_asked() {
    let case = &gemm_f32::cases()[0];
    let setup = Setup { every_isa: false, threads: 1, reference_up_to: case.cost().operations - 1, ..setup() };
    let mut labels = Vec::new();
    case.with_ways(&setup, &mut |ways| labels = ways.iter().map(|way| way.variant.label()).collect()).unwrap();
    assert_eq!(labels, [format!("inkstone-{}", Isa::best())]);
}

#[test]
fn a_wrong_answer_is_not_timed() {
    let cost = Cost::product([1, 1, 1], [4; 3], Arithmetic::Single);
    let mut ways = Ways::new(cost, vec![0.0f32; 3], |out| verify::equal(&[1.0, 2.0, 3.0], out));
    let right = |out: &mut [f32]| {
        out.copy_from_slice(&[1.0, 2.0, 3.0]);
        Ok(())
    };
    ways.push("right", None, 1, right).unwrap();
    let error = ways.push("wrong", None, 2, |out| right(out).map(|()| out[1] = f32::NAN)).unwrap_err();
    assert_eq!(error.to_string(), "wrong-2threads: element 1 of the answer: expected 2 within 0e0, found NaN");
    let refused = ways.push("refused", None, 1, |_| Err(ShapeError::Overflow)).unwrap_err();
    assert_eq!(refused.cause, Cause::Shape(ShapeError::Overflow));
    assert_eq!(ways.done().len(), 1);
}

#[test]
fn time_is_the_median_and_every_work_gets_its_own() {
    let [fast, slow] = [1, 20].map(|millis| move || std::thread::sleep(std::time::Duration::from_millis(millis)));
    let seconds = timing::interleaved(Pace { turn: 0.002, turns: 3 }, &mut [Box::new(fast), Box::new(slow)]);
    assert!(seconds[0] >= 0.001 && seconds[1] >= 0.02, "{seconds:?}");
}
