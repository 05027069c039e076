//! One figure of each run as a dot with its interval, and of pairs of runs against each other.

use super::canvas::{Drawing, GRID, INK, LETTERS, PALETTE, WIDTH, drawn, letters, picture, plane, width_of};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Height of a row.
const ROW: i32 = 21;

/// A figure of a run.
#[derive(Clone, Debug)]
pub(super) struct Dot {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) interval: Option<[f64; 2]>,
}

/// A row for each run.
#[derive(Clone, Debug)]
pub(super) struct Dots<'a> {
    pub(super) title: &'a str,
    /// What stands below the axis, with its unit.
    pub(super) across: &'a str,
    pub(super) dots: Vec<Dot>,
}

impl Dots<'_> {
    /// As SVG.
    pub(super) fn svg(&self) -> Drawing<String> {
        let longest = self.dots.iter().map(|dot| width_of(&dot.label, LETTERS)).max().unwrap_or(0) as i32;
        let (left, right) = ((longest + 12).min(300), WIDTH as i32 - 62);
        let values = || self.dots.iter().flat_map(|dot| dot.interval.unwrap_or([dot.value; 2]));
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        let span = (high - low).max(1e-9);
        let place = |value: f64| left + ((value - low) / span * f64::from(right - left)).round() as i32;
        let bottom = 8 + ROW * self.dots.len() as i32;
        picture(self.title, 28 + bottom as u32 + 46, |area| {
            // About five round numbers.
            let raw = span / 5.0;
            let unit = 10f64.powf(raw.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|step| *step >= raw).unwrap_or(raw);
            let digits = (-step.log10()).ceil().max(0.0) as usize;
            let first = (low / step).ceil() * step;
            for tick in (0..12).map(|i| first + f64::from(i) * step).take_while(|tick| *tick <= high + 1e-9 * span) {
                let x = place(tick);
                area.draw(&PathElement::new([(x, 4), (x, bottom)], GRID.stroke_width(1))).map_err(drawn)?;
                let style = letters(LETTERS, INK, HPos::Center, VPos::Top);
                area.draw(&Text::new(format!("{tick:.digits$}"), (x, bottom + 5), style)).map_err(drawn)?;
            }
            let style = letters(LETTERS, INK, HPos::Center, VPos::Top);
            area.draw(&Text::new(self.across, ((left + right) / 2, bottom + 24), style)).map_err(drawn)?;
            for (i, dot) in self.dots.iter().enumerate() {
                let y = 8 + ROW * i as i32 + ROW / 2;
                let style = letters(LETTERS, INK, HPos::Right, VPos::Center);
                area.draw(&Text::new(dot.label.as_str(), (left - 10, y), style)).map_err(drawn)?;
                if let Some([from, to]) = dot.interval {
                    let bar = PathElement::new([(place(from), y), (place(to), y)], PALETTE[0].stroke_width(2));
                    area.draw(&bar).map_err(drawn)?;
                }
                area.draw(&Circle::new((place(dot.value), y), 4, PALETTE[1].filled())).map_err(drawn)?;
                let style = letters(LETTERS, INK, HPos::Left, VPos::Center);
                area.draw(&Text::new(format!("{:.2}", dot.value), (right + 10, y), style)).map_err(drawn)?;
            }
            Ok(())
        })
    }
}

/// Pairs of runs: one figure of the second against that of the first.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    pub(super) title: &'a str,
    pub(super) across: String,
    pub(super) up: String,
    /// Which colour and what the legend calls it, by group, with its pairs.
    pub(super) groups: Vec<(String, Vec<(f64, f64)>)>,
}

impl Pairs<'_> {
    /// As SVG.
    pub(super) fn svg(&self) -> Drawing<String> {
        let all = || self.groups.iter().flat_map(|(_, pairs)| pairs).flat_map(|(x, y)| [*x, *y]);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let room = 0.04 * (high - low).max(1e-9);
        let ends = [low - room, high + room];
        picture(self.title, 28 + 400 + 30, |area| {
            let (plot, legend) = area.split_vertically(400);
            let mut chart = plane(&plot, [ends; 2], [&self.across, &self.up])?;
            // Above it the second is better.
            let equal = ends.map(|end| (end, end));
            chart.draw_series(LineSeries::new(equal, INK.stroke_width(1))).map_err(drawn)?;
            let mut x = 66;
            for (i, (label, pairs)) in self.groups.iter().enumerate() {
                let colour = PALETTE[i % PALETTE.len()];
                chart.draw_series(pairs.iter().map(|pair| Circle::new(*pair, 4, colour.filled()))).map_err(drawn)?;
                legend.draw(&Circle::new((x, 14), 4, colour.filled())).map_err(drawn)?;
                let style = letters(LETTERS, INK, HPos::Left, VPos::Center);
                legend.draw(&Text::new(label.as_str(), (x + 12, 14), style)).map_err(drawn)?;
                x += 12 + width_of(label, LETTERS) as i32 + 22;
            }
            Ok(())
        })
    }
}
