//! The results of a sweep as a page of Markdown.

use super::results::{Ending, Measure, Record};
use super::spec::{Sweep, plain};
use std::fmt::Write;

/// The report: all runs, best first, and for a grid over two keys the best accuracy of each pair of values.
#[must_use]
pub fn markdown(sweep: &Sweep, records: &[Record]) -> String {
    let measure = Measure::of(records);
    let mut text = format!("# Sweep {}\n\n", sweep.place.file_stem().unwrap_or_default().display());
    let count = |ending| records.iter().filter(|record| record.ending == ending).count();
    let _ = writeln!(
        text,
        "{} of {} runs are over: {} finished, {} pruned, {} diverged. Best first, by {} accuracy{}.\n",
        records.len(),
        sweep.runs.len(),
        count(Ending::Finished),
        count(Ending::Pruned),
        count(Ending::Diverged),
        measure.name(),
        if measure == Measure::Test {
            " (not every run has a validation split: the best of many by the test set looks better than it is)"
        } else {
            ""
        }
    );
    let table = table(sweep, records);
    let escaped = |cell: &String| cell.replace('|', "\\|");
    for (i, row) in table.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.iter().map(escaped).collect::<Vec<_>>().join(" | "));
        if i == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
        }
    }
    if let Some(matrix) = matrix(sweep, records, measure) {
        text.push_str(&matrix);
    }
    text
}

/// Cells: a heading, and a row for each run, best first.
#[must_use]
pub fn table(sweep: &Sweep, records: &[Record]) -> Vec<Vec<String>> {
    let ranked = Measure::of(records).rank(records);
    let with_val = records.iter().any(|record| record.val_loss.is_some());
    let with_ending = records.iter().any(|record| record.ending != Ending::Finished);
    let mut heading = vec!["run".to_owned()];
    heading.extend(sweep.columns.iter().cloned());
    let mut columns = vec!["epochs", "train loss"];
    columns.extend(with_val.then_some(["val loss", "val acc"]).into_iter().flatten());
    columns.extend(["test loss", "test acc", "seconds"]);
    columns.extend(with_ending.then_some("ending"));
    heading.extend(columns.into_iter().map(str::to_owned));
    let mut table = vec![heading];
    for record in ranked {
        let loss = |loss: Option<f64>| loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"));
        let mut row = vec![record.number.to_string()];
        row.extend(sweep.columns.iter().map(|key| record.setting(key)));
        row.extend([record.epochs.to_string(), loss(record.train_loss)]);
        if with_val {
            row.extend([loss(record.val_loss), percent(record.val_accuracy)]);
        }
        row.extend([loss(record.test_loss), percent(record.test_accuracy), format!("{:.1}", record.seconds)]);
        row.extend(with_ending.then(|| record.ending.to_string()));
        table.push(row);
    }
    table
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{:.2} %", 100.0 * accuracy))
}

/// The best accuracy for each pair of values, if the grid has two keys with several; whatever else varies.
fn matrix(sweep: &Sweep, records: &[Record], measure: Measure) -> Option<String> {
    let varied: Vec<_> = sweep.grid.iter().filter(|(_, values)| values.len() > 1).collect();
    let [(row_key, rows), (col_key, cols)] = varied[..] else { return None };
    let best = |row, col| {
        let here = |number: usize, key: &str, value| {
            sweep.runs.get(number - 1).is_some_and(|run| run.settings.iter().any(|(k, v)| k == key && v == value))
        };
        let finished = records.iter().filter(|record| record.ending == Ending::Finished);
        let accuracies = finished
            .filter(|record| here(record.number, row_key, row) && here(record.number, col_key, col))
            .filter_map(|record| measure.accuracy(record));
        percent(accuracies.max_by(f64::total_cmp))
    };
    let mut text = format!("\n## Best {} accuracy, {row_key} (rows) by {col_key} (columns)\n\n", measure.name());
    let heading: Vec<String> = cols.iter().map(plain).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", heading.join(" | "), "---|".repeat(cols.len()));
    for row in rows {
        let cells: Vec<String> = cols.iter().map(|col| best(row, col)).collect();
        let _ = writeln!(text, "| **{}** | {} |", plain(row), cells.join(" | "));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::record;
    use super::*;
    use std::path::Path;

    #[test]
    fn two_keys_make_a_matrix_of_the_best() {
        let file = "[base]\nsplit = 100\n[grid]\nlr = [0.5, 0.25]\nbatch = [4, 8]\nseed = [7]\n\
                    [random]\nruns = 2\nl2 = { min = 0.0, max = 1.0 }";
        let sweep = Sweep::parse(Path::new("my sweep.toml"), file).unwrap();
        let records: Vec<Record> = (1..=7)
            .map(|number| {
                let ending = if number == 6 { Ending::Pruned } else { Ending::Finished };
                let mut record = record(number, ending, Some(0.125 * number as f64), 0.5);
                record.settings = super::super::results::settings(&sweep.runs[number - 1]);
                record
            })
            .collect();
        let text = markdown(&sweep, &records);
        let matrix = "## Best validation accuracy, lr (rows) by batch (columns)\n\n| | 4 | 8 |\n|---|---|---|\n\
                      | **0.5** | 25.00 % | 50.00 % |\n| **0.25** | 62.50 % | 87.50 % |\n";
        assert!(text.ends_with(matrix), "{text}");
        assert!(text.contains("# Sweep my sweep\n\n7 of 8 runs are over: 6 finished, 1 pruned, 0 diverged."), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(rows[0].starts_with("| run | lr | batch | seed | l2 | epochs |"), "{text}");
        assert!(rows[1].starts_with("| 7 | 0.25 | 8 | 7 | ") && rows[7].ends_with("| pruned |"), "{text}");
    }

    #[test]
    fn one_key_makes_none_and_no_split_is_said() {
        let sweep = Sweep::parse(Path::new("s.toml"), "[grid]\nlr = [0.5, 0.25]").unwrap();
        let records = [record(1, Ending::Finished, None, 0.5), record(2, Ending::Finished, None, 0.75)];
        let text = markdown(&sweep, &records);
        assert!(
            text.contains("by test accuracy (not every run has a validation split") && !text.contains("##"),
            "{text}"
        );
        assert!(!text.contains("val ") && !text.contains("ending"), "columns with something in them only: {text}");
        assert!(markdown(&sweep, &[]).contains("0 of 2 runs are over"));
    }
}
