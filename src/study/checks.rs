//! Parts that train nothing: gradients against central differences, and the statistics of one image.

use super::results::{Finding, PartResult, Row, Sheet};
use super::rule::Decided;
use super::spec::{Check, Extent, Part};
use crate::data::normalize::image_mean_std;
use crate::data::{Normalize, Splits};
use crate::train::gradcheck::{
    ChosenOptions, ChosenRow, GradcheckError, IsaRow, Options, TOLERANCE, chosen, gradcheck, worst,
};

/// Grey values of the published example are parts of this.
const LEVELS: f64 = 256.0;
/// Published mean and standard deviation of the first training image, a 5.
const FIRST_IMAGE: [(&str, f64); 2] =
    [("mean of the grey values", 0.137_142_259_247_448_97), ("their standard deviation", 0.311_128_237_998_466_06)];
/// A few roundings of a double of their size: what "to the last digit" can mean where sums go in another order.
const LAST_DIGIT: f64 = 4.0 * f64::EPSILON;
/// Seed of weights and batches.
const SEED: u64 = 1;

/// Does what the part `part` of `study` asks.
///
/// # Errors
/// [`GradcheckError`] if gradients cannot be compared.
pub fn run(
    check: Check,
    study: &str,
    part: &Part,
    extent: Extent,
    splits: &Splits,
) -> Result<PartResult, GradcheckError> {
    // Nothing of it is left out where others are shortened.
    let mut result = PartResult::new(study, &part.name, 1, Extent { quick: false, limit: None, ..extent });
    match check {
        Check::FirstImage => first_image(&mut result, splits),
        Check::Gradients => gradients(&mut result, part, splits)?,
    }
    Ok(result)
}

fn first_image(result: &mut PartResult, splits: &Splits) {
    let (mean, deviation) = image_mean_std(splits.train.image(0));
    for ((measure, published), grey) in FIRST_IMAGE.into_iter().zip([mean, deviation]) {
        let ours = grey / LEVELS;
        result.rows.push(Row {
            run: "training image 0".to_owned(),
            measure: measure.to_owned(),
            published,
            values: vec![ours],
            measured: Some(ours),
            difference: Some(ours - published),
            interval: None,
            reproduced: Some((ours - published).abs() <= LAST_DIGIT),
        });
    }
}

fn gradients(result: &mut PartResult, part: &Part, splits: &Splits) -> Result<(), GradcheckError> {
    let six = chosen(&splits.train, &Normalize::Image, ChosenOptions::default())?;
    let rows = six.rows.iter().map(|row| {
        vec![
            row.name.clone(),
            format!("{:.9}", row.backprop),
            format!("{:.9}", row.numerical),
            format!("{:.2e}", row.difference),
            format!("{:.2e}", row.finer),
            format!("{:.2e}", row.bound),
        ]
    });
    let head = ["weight", "backpropagation", "central difference", "apart", "apart, a tenth of the step", "bound"];
    result.sheets.push(Sheet {
        title: format!("Six weights of 784-128-10 with tanh, {} images, step {:?}", six.batch, six.eps),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    });
    let largest = |of: fn(&ChosenRow) -> f64| worst(six.rows.iter().map(of));
    if let Some(published) = part.largest_difference {
        let ours = largest(|row| row.difference);
        result.rows.push(Row {
            run: "784-128-10".to_owned(),
            measure: "largest difference of six".to_owned(),
            published,
            values: vec![ours],
            measured: Some(ours),
            difference: Some(ours - published),
            interval: None,
            reproduced: None, // it depends on which weights
        });
    }
    let decided = Decided {
        rule: "difference / bound of the worst <= 1".to_owned(),
        left: largest(|row| row.difference / row.bound),
        right: 1.0,
        holds: six.rows.iter().all(|row| row.difference <= row.bound),
    };
    let finer = Decided {
        rule: "difference / bound of the worst with a tenth of the step <= 1".to_owned(),
        left: largest(|row| row.finer / row.finer_bound),
        right: 1.0,
        holds: six.rows.iter().all(|row| row.finer <= row.finer_bound),
    };
    let claim = "All differences are within what a step of this size leaves, O(step squared)".to_owned();
    let rules = vec![decided, finer];
    result.findings.push(Finding { claim, ours: false, holds: Some(six.passed()), rules });
    if let Some(most) = part.claimed_within {
        let (rule, worst) = (format!("largest difference <= {most:e}"), largest(|row| row.difference));
        let within = Decided { rule, left: worst, right: most, holds: worst <= most };
        let claim = format!("All differences are within {most:e}");
        result.findings.push(Finding { claim, ours: false, holds: Some(within.holds), rules: vec![within] });
    }

    let report = gradcheck(&Options::standard(SEED)?)?;
    let rows = report
        .ops
        .iter()
        .map(|op| vec![op.op.to_owned(), op.compared.to_string(), format!("{:.1e}", op.worst_relative_difference)]);
    result.sheets.push(Sheet {
        title: format!("Every gradient of small networks of every layer, in double precision, step {:?}", report.eps),
        head: ["layer", "gradients compared", "worst relative difference"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    });
    let formulas = worst(report.ops.iter().map(|op| op.worst_relative_difference));
    let formulas = Decided {
        rule: "worst relative difference <= tolerance".to_owned(),
        left: formulas,
        right: TOLERANCE,
        holds: formulas <= TOLERANCE,
    };
    let code = || report.rows.iter().flat_map(|row| &row.isas);
    let code = Decided {
        rule: "error / rounding bound of the code that trains, the worst <= 1, and no bit depends on threads"
            .to_owned(),
        left: worst(code().map(|row| row.worst_ratio)),
        right: 1.0,
        holds: code().all(IsaRow::passed),
    };
    let claim = "Beyond the report: every gradient of every layer is right to a millionth".to_owned();
    let rules = vec![formulas, code];
    let holds = Some(rules.iter().all(|rule| rule.holds));
    result.findings.push(Finding { claim, ours: true, holds, rules });
    Ok(())
}
