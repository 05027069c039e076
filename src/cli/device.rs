//! What an image will take on a microcontroller, estimated from what others were measured to take.

use super::Usage;
use super::draw::table;
use super::screen::{bytes, grouped};
use anyhow::Context;
use inkstone::runtime::{Kind, Model, Step, Work};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What steps cost on a core, in instructions: see `devices.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Costs {
    board: String,
    stack: u64,
    pixel: f64,
    standardized_pixel: f64,
    conv: ConvCost,
    dense: DenseCost,
    max_pool: MaxPoolCost,
    mean: MeanCost,
    table: TableCost,
    add: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConvCost {
    mac: f64,
    sum: f64,
    output: f64,
    error: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenseCost {
    mac: f64,
    input: f64,
    step: f64,
    error: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxPoolCost {
    place: f64,
    element: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeanCost {
    element: f64,
    output: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableCost {
    element: f64,
    step: f64,
}

/// A core at a clock.
pub(super) struct Device {
    core: String,
    megahertz: f64,
    costs: Costs,
}

impl Device {
    /// The core called `core`, as "cortex-m4" or "m4".
    pub(super) fn named(core: &str, megahertz: f64) -> anyhow::Result<Self> {
        if !(megahertz.is_finite() && megahertz > 0.0) {
            return Err(Usage::error(format_args!("--clock: expected a number of MHz above 0, found {megahertz}")));
        }
        let mut all: BTreeMap<String, Costs> =
            toml::from_str(include_str!("devices.toml")).context("the table of devices")?;
        let name = if core.starts_with("cortex-") { core.to_owned() } else { format!("cortex-{core}") };
        let Some(costs) = all.remove(&name) else {
            let known: Vec<&str> = all.keys().map(String::as_str).collect();
            return Err(Usage::error(format_args!("--device: expected one of {}, found {core}", known.join(", "))));
        };
        Ok(Self { core: name, megahertz, costs })
    }

    /// Bytes of stack, as deep as it was measured to get.
    pub(super) fn stack(&self) -> u64 {
        self.costs.stack
    }

    /// By step: instructions, none for what was not measured.
    pub(super) fn estimate(&self, model: &Model<'_>) -> Vec<Option<u64>> {
        let one = |step: Step<'_>| self.step(model, &step).map(|instructions| instructions.round() as u64);
        model.steps().map(one).collect()
    }

    fn step(&self, model: &Model<'_>, step: &Step<'_>) -> Option<f64> {
        if model.kind() != Kind::I8 {
            return None;
        }
        let outputs = model.tensor(step.index + 1)?.elements() as f64;
        let Costs { pixel, standardized_pixel, conv, dense, max_pool, mean, table, add, .. } = &self.costs;
        match step.work {
            Work::Pixels(None) => Some(pixel * outputs),
            Work::Pixels(Some(_)) => Some(standardized_pixel * outputs),
            Work::Conv { conv: sizes, pool, .. } => {
                // Of four sums each, where pooling follows: it leaves out a last odd row or column.
                let sums = if pool { 4.0 * outputs } else { outputs };
                let products = step.macs() as f64 / sizes.output_len() as f64;
                Some((conv.mac * products + conv.sum) * sums + conv.output * outputs)
            }
            Work::Dense { inputs, outputs, .. } => {
                let inputs = inputs as f64;
                Some((dense.mac * outputs.next_multiple_of(4) as f64 + dense.input) * inputs + dense.step)
            }
            Work::MaxPool(_) => {
                let ([kh, kw], [channels, h, w]) = (model.window(step.index).0, model.tensor(step.index + 1)?.dims);
                let places = (kh * kw * h * w) as f64;
                Some((max_pool.place + max_pool.element * channels as f64) * places)
            }
            Work::AvgPool(..) => {
                let [kh, kw] = model.window(step.index).0;
                Some((mean.element * (kh * kw) as f64 + mean.output) * outputs)
            }
            Work::Table(_) => Some(table.element * outputs + table.step),
            Work::Add(..) => Some(add * outputs),
            Work::Map(_) => None,
        }
    }

    /// Milliseconds of a digit, if every step was measured.
    pub(super) fn milliseconds(&self, estimate: &[Option<u64>]) -> Option<f64> {
        let all: Option<u64> = estimate.iter().copied().sum();
        all.map(|instructions| instructions as f64 / (1e3 * self.megahertz))
    }

    /// Flash, memory, instructions and time.
    pub(super) fn table(&self, model: &Model<'_>, estimate: &[Option<u64>], arena: usize) -> String {
        let mut rows =
            vec![vec![format!("on {}", self.core), "instructions".to_owned(), "a multiplication".to_owned()]];
        for (step, instructions) in model.steps().zip(estimate) {
            let each = match (instructions, step.macs()) {
                (Some(instructions), macs @ 1..) => format!("{:.2}", *instructions as f64 / macs as f64),
                _ => String::new(),
            };
            let instructions = instructions.map_or_else(|| "not measured".to_owned(), grouped);
            rows.push(vec![format!("{} {}", step.index, step.name()), instructions, each]);
        }
        let all: u64 = estimate.iter().flatten().sum();
        rows.push(vec!["a digit".to_owned(), grouped(all), String::new()]);
        let time = self.milliseconds(estimate).map_or_else(
            || "steps that were not measured come on top".to_owned(),
            |ms| format!("about {ms:.2} ms at {} MHz, at an instruction a cycle", self.megahertz),
        );
        let (conv, dense) = (100.0 * self.costs.conv.error, 100.0 * self.costs.dense.error);
        format!(
            "{}\n{time}; memory {}: arena and {} of stack.\nEstimated for the Rust runtime from what QEMU counted on {}: convolutions within {conv:.0} %, linear \
             layers within {dense:.0} %, other steps within 10 % there.",
            table(&rows),
            bytes(arena as u64 + self.costs.stack),
            bytes(self.costs.stack),
            self.costs.board
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_the_table_is_known_and_others_are_not() {
        for core in ["cortex-m0", "cortex-m3", "m4", "cortex-m7", "cortex-m33"] {
            let device = Device::named(core, 100.0).unwrap();
            assert!(device.stack() > 500 && device.costs.conv.mac > 1.0, "{core}");
        }
        let error = Device::named("cortex-a72", 100.0).err().unwrap().to_string();
        assert!(error.contains("cortex-m33"), "{error}");
        assert!(Device::named("m4", 0.0).is_err() && Device::named("m4", f64::NAN).is_err());
    }

    /// Of the page of a board: each image with its stack and what its steps took.
    fn measured(page: &str) -> Vec<(String, u64, Vec<f64>)> {
        let number = |text: &str| text.replace(',', "").trim().parse::<f64>().unwrap();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let [name, _, _, _, stack, _, _, steps, ..] = cells[..] else { panic!("a row of measurements: {line}") };
            let steps = steps.split(", ").map(|step| number(step.rsplit(' ').next().unwrap())).collect();
            (name.trim_start_matches("| ").replace('`', ""), number(stack) as u64, steps)
        };
        page.lines().filter(|line| line.starts_with("| `")).filter(|line| line.contains("pixels ")).map(row).collect()
    }

    /// The table is a fit to the pages of the boards: nothing on them may be further from it than it says.
    #[test]
    fn what_boards_were_measured_to_take_is_within_the_errors_of_the_table() {
        let notes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-notes");
        for core in ["m0", "m3", "m4", "m7", "m33"] {
            let device = Device::named(core, 100.0).unwrap();
            let page = notes.join("boards").join(device.costs.board.clone() + ".md");
            let rows = measured(&std::fs::read_to_string(&page).unwrap());
            assert_eq!(rows.len(), 4, "{}", page.display());
            for (name, stack, steps) in rows {
                assert!(device.stack() >= stack, "{core} {name}: a stack of {stack}");
                let file = notes.join("cortex-m/models").join(name.clone() + ".ink");
                let image = super::super::deployed::load(&file).unwrap();
                let model = image.model().unwrap();
                let estimate = device.estimate(&model);
                assert_eq!(estimate.len(), steps.len(), "{core} {name}");
                for ((step, estimate), measured) in model.steps().zip(estimate).zip(steps) {
                    let error = match step.work {
                        Work::Conv { .. } => device.costs.conv.error,
                        Work::Dense { .. } => device.costs.dense.error,
                        _ => 0.1, // readings of a timer: the same 784 pixels take from 1,600 to 1,850 instructions on one board
                    };
                    let found = (estimate.unwrap() as f64 / measured - 1.0).abs();
                    assert!(found <= error, "{core} {name} {}: {estimate:?} for {measured}, {found:.3}", step.name());
                }
            }
        }
    }

    #[test]
    fn what_was_not_measured_has_no_time() {
        let device = Device::named("m4", 100.0).unwrap();
        assert_eq!(device.milliseconds(&[Some(150_000), Some(50_000)]), Some(2.0));
        assert_eq!(device.milliseconds(&[Some(150_000), None]), None);
    }
}
