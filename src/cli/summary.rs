//! What a person wants to see of a network that was evaluated: where it errs, and over which digits.

use super::draw::{Exhibit, confusion, gallery};
use inkstone::data::Dataset;
use inkstone::train::Metrics;

/// How many of the hardest digits are kept and drawn: two lines of three on a plain terminal.
pub(crate) const HARDEST: usize = 6;

/// The confusion matrix, and the digits with the highest loss as pictures.
pub(crate) fn mistakes(metrics: &Metrics, data: &Dataset, classes: &[String]) -> String {
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let exhibits: Vec<Exhibit<'_>> = metrics
        .hardest
        .iter()
        .take(HARDEST)
        .map(|hard| Exhibit {
            image: data.image(hard.index as usize),
            caption: format!(
                "#{} is {}, read as {}",
                hard.index,
                name(usize::from(hard.label)),
                name(hard.predicted as usize)
            ),
        })
        .collect();
    let mut text = format!("True digit (rows) against answer (columns)\n{}", confusion(&metrics.confusion, classes));
    if !exhibits.is_empty() {
        text.push_str("\n\nThe hardest test digits\n");
        text.push_str(&gallery(&exhibits, data.rows(), data.cols()));
    }
    text
}
