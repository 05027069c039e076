//! Lines against epochs or updates, with a legend below that covers nothing.

use super::canvas::{Drawing, INK, LETTERS, PALETTE, WIDTH, drawn, letters, picture, plane, width_of};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Height of the plot itself, with its axes.
const PLOT: u32 = 300;
/// Height of a line of the legend, width of the sample before its words, and the space behind them.
const LINE: u32 = 19;
const SAMPLE: u32 = 26;
const GAP: u32 = 18;
/// Lines beyond which each is drawn thin.
const CROWD: usize = 10;
/// Where a line of the legend begins.
const LEFT: u32 = 24;

/// A line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What the legend calls it; lines of one colour may share an entry by leaving this empty.
    pub(super) label: String,
    /// Which colour, from 0; beyond the palette the same come again, dashed.
    pub(super) colour: usize,
    /// As those of training are.
    pub(super) dotted: bool,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
    /// A point in a circle, over a vertical line.
    pub(super) mark: Option<(f64, f64)>,
}

/// A plot of lines.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    /// What stands at the axes, with units.
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    /// Ends of the upright axis where those of the data would hide something.
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
    pub(super) lines: Vec<Line>,
}

/// Ends of an axis that holds all of `values`, a twentieth more on both sides.
fn ends(values: impl Iterator<Item = f64>, from: Option<f64>, to: Option<f64>) -> [f64; 2] {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    let room = 0.05 * (high - low).max(1e-9 * high.abs()).max(1e-12);
    // Values stop at what is asked for, if some of them are on this side of it.
    let low = from.filter(|from| *from < high).unwrap_or(if low >= 0.0 { (low - room).max(0.0) } else { low - room });
    [low, to.filter(|to| *to > low).unwrap_or(high + room)]
}

/// The pieces of a line that lie between two heights, cut where it crosses them.
fn within(points: &[(f64, f64)], [low, high]: [f64; 2]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut open = false;
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        if !(y0.is_finite() && y1.is_finite()) {
            open = false;
            continue;
        }
        // The part of the way from the first to the second point that is between the heights.
        let at = |height: f64| if y1 == y0 { 0.0 } else { (height - y0) / (y1 - y0) };
        let (down, up) = (at(low), at(high));
        let (enter, leave) = if y1 == y0 {
            if (low..=high).contains(&y0) { (0.0, 1.0) } else { (1.0, 0.0) }
        } else {
            (down.min(up).max(0.0), down.max(up).min(1.0))
        };
        if enter > leave {
            open = false;
            continue;
        }
        let place = |part: f64| (x0 + part * (x1 - x0), (y0 + part * (y1 - y0)).clamp(low, high));
        match pieces.last_mut() {
            Some(piece) if open && enter == 0.0 => piece.push(place(leave)),
            _ => pieces.push(vec![place(enter), place(leave)]),
        }
        open = leave == 1.0;
    }
    pieces
}

/// Places of the entries of a legend, line by line, and how many lines it takes.
fn layout(labels: &[&str]) -> (Vec<(u32, u32)>, u32) {
    let (mut places, mut x, mut y) = (Vec::new(), LEFT, 0);
    for label in labels {
        let width = SAMPLE + 6 + width_of(label, LETTERS) + GAP;
        if x + width > WIDTH && x > LEFT {
            (x, y) = (LEFT, y + 1);
        }
        places.push((x, y));
        x += width;
    }
    (places, y + 1)
}

impl Lines<'_> {
    /// As SVG.
    pub(super) fn svg(&self) -> Drawing<String> {
        let entries: Vec<&Line> = self.lines.iter().filter(|line| !line.label.is_empty()).collect();
        let labels: Vec<&str> = entries.iter().map(|line| line.label.as_str()).collect();
        let (places, rows) = layout(&labels);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = {
            let [low, high] = ends(points().map(|(x, _)| *x), None, None);
            let most = points().map(|(x, _)| *x).fold(0.0, f64::max);
            if low <= 2.0 { [0.0, most.max(1.0)] } else { [low, high] }
        };
        let y = ends(points().map(|(_, y)| *y), self.from, self.to);
        // Many lines are thin, or they are one surface.
        let thick = if self.lines.len() > CROWD { 1 } else { 2 };
        picture(self.title, 28 + PLOT + rows * LINE + 10, |area| {
            let (plot, legend) = area.split_vertically(PLOT);
            let mut chart = plane(&plot, [x, y], [self.across, self.up])?;
            for line in &self.lines {
                let colour = PALETTE[line.colour % PALETTE.len()];
                if let Some((at, _)) = line.mark {
                    let upright = [(at, y[0]), (at, y[1])];
                    chart.draw_series(LineSeries::new(upright, colour.mix(0.6).stroke_width(1))).map_err(drawn)?;
                }
            }
            for line in &self.lines {
                let colour = PALETTE[line.colour % PALETTE.len()];
                for piece in within(&line.points, y) {
                    match (line.dotted, line.colour >= PALETTE.len()) {
                        (true, _) => {
                            let dots = DashedLineSeries::new(piece, 2, 3, colour.stroke_width(thick));
                            chart.draw_series(dots).map_err(drawn)?;
                        }
                        (false, true) => {
                            let dashes = DashedLineSeries::new(piece, 9, 4, colour.stroke_width(thick));
                            chart.draw_series(dashes).map_err(drawn)?;
                        }
                        (false, false) => {
                            chart.draw_series(LineSeries::new(piece, colour.stroke_width(thick))).map_err(drawn)?;
                        }
                    }
                }
                // A line of one point is nothing to see.
                if let [point] = line.points[..]
                    && (y[0]..=y[1]).contains(&point.1)
                {
                    chart.draw_series([Circle::new(point, 3, colour.filled())]).map_err(drawn)?;
                }
                if let Some(point) = line.mark.filter(|(_, at)| (y[0]..=y[1]).contains(at)) {
                    chart.draw_series([Circle::new(point, 5, colour.stroke_width(2))]).map_err(drawn)?;
                }
            }
            for (line, (x, row)) in entries.iter().zip(places) {
                let colour = PALETTE[line.colour % PALETTE.len()];
                let (x, y) = (x as i32, (row * LINE + LINE / 2) as i32);
                let (dash, gap) = match (line.dotted, line.colour >= PALETTE.len()) {
                    (true, _) => (2, 3),
                    (false, true) => (9, 4),
                    (false, false) => (SAMPLE as i32, 1),
                };
                let mut from = 0;
                while from < SAMPLE as i32 {
                    let to = (from + dash).min(SAMPLE as i32);
                    let piece = PathElement::new([(x + from, y), (x + to, y)], colour.stroke_width(2));
                    legend.draw(&piece).map_err(drawn)?;
                    from = to + gap;
                }
                let style = letters(LETTERS, INK, HPos::Left, VPos::Center);
                legend.draw(&Text::new(line.label.as_str(), (x + SAMPLE as i32 + 6, y), style)).map_err(drawn)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_begins_a_line_where_the_last_is_full() {
        let (places, rows) =
            layout(&["a", "a label that is rather long, as some are", "another one of the same length"]);
        assert_eq!((places[0], places[1].1, places[2].1, rows), ((LEFT, 0), 0, 1, 2));
    }

    #[test]
    fn lines_are_cut_at_the_edge() {
        let points =
            [(0.0, 4.0), (1.0, 2.0), (2.0, 1.0), (3.0, 1.0), (4.0, 0.0), (5.0, f64::NAN), (6.0, 1.0), (7.0, 3.0)];
        let want = [vec![(0.5, 3.0), (1.0, 2.0), (2.0, 1.0), (3.0, 1.0), (3.5, 0.5)], vec![(6.0, 1.0), (7.0, 3.0)]];
        assert_eq!(within(&points, [0.5, 3.0]), want);
        assert!(within(&[(0.0, 9.0), (1.0, 9.0), (2.0, 5.0)], [0.0, 1.0]).is_empty());
    }

    #[test]
    fn an_axis_holds_its_values() {
        assert_eq!(ends([].into_iter(), None, None)[0], 0.0);
        let [low, high] = ends([1.0, 3.0, f64::NAN].into_iter(), None, None);
        assert!(low > 0.8 && low < 1.0 && high > 3.0 && high < 3.2);
        assert_eq!(ends([1.0, 3.0].into_iter(), Some(2.0), Some(2.5)), [2.0, 2.5]);
        let [low, high] = ends([1.0, 3.0].into_iter(), Some(5.0), Some(0.0));
        assert!(low < 1.0 && high > 3.0, "an end on the other side of all values is none");
    }
}
