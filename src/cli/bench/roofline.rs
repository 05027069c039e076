//! The roofline plot: operations a second over operations a byte, under the limits of the machine, as an SVG of its own.

use inkstone::bench::{Family, Peaks, Row};

/// Size of the picture.
const WIDTH: f64 = 1040.0;
const HEIGHT: f64 = 640.0;
/// Edges of the plot in it: horizontal ones from the bottom up, as values grow.
const ACROSS: [f64; 2] = [80.0, 690.0];
const UP: [f64; 2] = [540.0, 64.0];
/// Where the legend begins, and how far its lines are apart.
const LEGEND: [f64; 2] = [718.0, 78.0];
const LINE: f64 = 22.0;
/// From the middle of a marker to its edge.
const RADIUS: f64 = 5.0;

/// Corners of a marker around its middle; none for a circle.
type Corners = &'static [[f64; 2]];

/// Colour and corners of a family's markers. The palette is Okabe and Ito's and a grey, which every kind of colour
/// vision tells apart.
const fn look(family: Family) -> (&'static str, Corners) {
    match family {
        Family::GemmF32 => ("#0072B2", &[]),
        Family::GemmF16 => ("#56B4E9", &[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
        Family::GemmI8 => ("#D55E00", &[[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]]),
        Family::ConvF32 => ("#009E73", &[[0.0, -1.3], [1.1, 0.0], [0.0, 1.3], [-1.1, 0.0]]),
        Family::ConvF16 => ("#999999", &[[0.0, -1.1], [1.1, -0.3], [0.7, 1.0], [-0.7, 1.0], [-1.1, -0.3]]),
        Family::ConvI8 => ("#E69F00", &[[0.0, 1.2], [1.1, -0.8], [-1.1, -0.8]]),
        Family::Inference => (
            "#000000",
            &[[0.0, -1.3], [0.4, -0.4], [1.3, 0.0], [0.4, 0.4], [0.0, 1.3], [-0.4, 0.4], [-1.3, 0.0], [-0.4, -0.4]],
        ),
        Family::Memory => (
            "#CC79A7",
            &[
                [-0.4, -1.2],
                [0.4, -1.2],
                [0.4, -0.4],
                [1.2, -0.4],
                [1.2, 0.4],
                [0.4, 0.4],
                [0.4, 1.2],
                [-0.4, 1.2],
                [-0.4, 0.4],
                [-1.2, 0.4],
                [-1.2, -0.4],
                [-0.4, -0.4],
            ],
        ),
    }
}

/// How a marker is filled.
#[derive(Clone, Copy)]
enum Fill {
    /// Ours, on one thread.
    Plain,
    /// Ours, on several.
    Edged,
    /// What ours is compared with.
    Hollow,
}

impl Fill {
    fn of(row: &Row) -> Self {
        match (row.variant.name, row.variant.threads) {
            ("inkstone" | "packed", 1) => Self::Plain,
            ("inkstone" | "packed", _) => Self::Edged,
            _ => Self::Hollow,
        }
    }
}

/// A logarithmic axis over whole decades.
struct Axis {
    decades: [i32; 2],
    edges: [f64; 2],
}

impl Axis {
    /// The decades that hold all `values`.
    fn around(values: impl Iterator<Item = f64>, edges: [f64; 2]) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (least, most) = (least.min(value.log10()), most.max(value.log10()));
        }
        if least > most {
            (least, most) = (0.0, 1.0); // nothing to hold
        }
        let from = least.floor() as i32;
        Self { decades: [from, (most.ceil() as i32).max(from + 1)], edges }
    }

    /// Where `value` lies, in units of the picture.
    fn at(&self, value: f64) -> f64 {
        let ([from, to], [start, end]) = (self.decades.map(f64::from), self.edges);
        start + (value.log10() - from) / (to - from) * (end - start)
    }

    /// The first and the last value.
    fn ends(&self) -> [f64; 2] {
        self.decades.map(|decade| 10f64.powi(decade))
    }

    /// Places of grid lines, with their labels where they are whole decades.
    fn ticks(&self) -> Vec<(f64, Option<String>)> {
        let [from, to] = self.decades;
        let mut ticks = Vec::new();
        for decade in from..=to {
            let value = 10f64.powi(decade);
            ticks.push((self.at(value), Some(format!("{value:.*}", usize::try_from(-decade).unwrap_or(0)))));
            if decade < to {
                ticks.extend([2.0, 5.0].map(|times| (self.at(times * value), None)));
            }
        }
        ticks
    }
}

/// A limit: the slope of reading up to the ridge, then the peak of an arithmetic.
struct Roof {
    label: String,
    /// 1e9 bytes a second.
    slope: f64,
    /// 1e9 operations a second.
    height: f64,
    stroke: &'static str,
}

/// Roofs of all threads and, over them, of one: in the order in which they are drawn.
fn roofs(peaks: &Peaks) -> Vec<Roof> {
    const STROKES: [[&str; 2]; 2] = [
        [r##"stroke="#888888" stroke-width="1.4" stroke-dasharray="9 4""##, r##"stroke="#888888" stroke-width="1.4""##],
        [r##"stroke="#222222" stroke-width="1.8" stroke-dasharray="9 4""##, r##"stroke="#222222" stroke-width="1.8""##],
    ];
    let of = |threads: usize, slope: f64, strokes: [&'static str; 2]| {
        let words = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        let (pairs, single) = (threads as f64 * peaks.i16_gops, threads as f64 * peaks.f32_gflops);
        [
            Roof {
                label: format!("16-bit pairs, {words}: {pairs:.1} GOP/s"),
                slope,
                height: pairs,
                stroke: strokes[0],
            },
            Roof { label: format!("f32, {words}: {single:.1} GFLOP/s"), slope, height: single, stroke: strokes[1] },
        ]
    };
    let mut roofs = Vec::new();
    if peaks.threads > 1 {
        roofs.extend(of(peaks.threads, peaks.read_gb_per_s_threads, STROKES[0]));
    }
    roofs.extend(of(1, peaks.read_gb_per_s, STROKES[1]));
    roofs
}

/// The plot of `rows` under `peaks`: one marker a row.
pub(super) fn svg(peaks: &Peaks, rows: &[Row]) -> String {
    let roofs = roofs(peaks);
    let ridges = roofs.iter().map(|roof| roof.height / roof.slope);
    let x = Axis::around(rows.iter().map(|row| row.variant.cost.intensity()).chain(ridges), ACROSS);
    let y = Axis::around(rows.iter().map(|row| row.gflops).chain(roofs.iter().map(|roof| roof.height)), UP);

    let mut svg = format!(
        r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#222222">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
"##
    );
    let threads = if peaks.threads == 1 { "1 thread".to_owned() } else { format!("1 and {} threads", peaks.threads) };
    let title = format!("Inkstone's kernels under the roofs of this machine: {}, {threads}", peaks.isa);
    svg.push_str(&text([ACROSS[0], 36.0], r#"font-size="17""#, &title));
    grid(&mut svg, &x, &y);
    svg.push_str(&format!(
        r#"<clipPath id="plot"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>
"#,
        ACROSS[0],
        UP[1],
        ACROSS[1] - ACROSS[0],
        UP[0] - UP[1]
    ));
    for roof in &roofs {
        let ridge = roof.height / roof.slope;
        let [start, end] = x.ends();
        let points = [[start, roof.slope * start], [ridge, roof.height], [end.max(ridge), roof.height]];
        let points = points.map(|[across, up]| format!("{:.1},{:.1}", x.at(across), y.at(up)));
        let (points, stroke) = (points.join(" "), roof.stroke);
        svg.push_str(&format!("<polyline points=\"{points}\" fill=\"none\" {stroke} clip-path=\"url(#plot)\"/>\n"));
    }
    for row in rows {
        let place = [x.at(row.variant.cost.intensity()), y.at(row.gflops)];
        let (label, unit) = (row.variant.label(), row.family.unit());
        let words = format!("{} {label}: {:.2} {unit}, {:.1} % of peak", row.bench, row.gflops, row.percent_of_peak);
        svg.push_str(&marker(place, row.family, Fill::of(row), Some(&words)));
    }
    legend(&mut svg, peaks, &roofs, rows);
    svg.push_str("</svg>\n");
    svg
}

/// Grid lines, the labels of the axes, and what has to be known to read the plot.
fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let mut line = |[x1, y1]: [f64; 2], [x2, y2]: [f64; 2], is_whole: bool| {
        let colour = if is_whole { "#cccccc" } else { "#eeeeee" };
        svg.push_str(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>\n"
        ));
    };
    let (across, up) = (x.ticks(), y.ticks());
    across.iter().for_each(|(at, label)| line([*at, UP[0]], [*at, UP[1]], label.is_some()));
    up.iter().for_each(|(at, label)| line([ACROSS[0], *at], [ACROSS[1], *at], label.is_some()));
    for (at, label) in across {
        let label = label.unwrap_or_default();
        svg.push_str(&text([at, UP[0] + 19.0], r#"text-anchor="middle""#, &label));
    }
    for (at, label) in up {
        let label = label.unwrap_or_default();
        svg.push_str(&text([ACROSS[0] - 8.0, at + 4.5], r#"text-anchor="end""#, &label));
    }
    let middle = |[start, end]: [f64; 2]| (start + end) / 2.0;
    svg.push_str(&text(
        [middle(ACROSS), UP[0] + 43.0],
        r#"text-anchor="middle""#,
        "arithmetic intensity, operations/byte (operands read once, output written once)",
    ));
    let turned = format!(r#"text-anchor="middle" transform="rotate(-90 24 {})""#, middle(UP));
    svg.push_str(&text([24.0, middle(UP)], &turned, "GFLOP/s, of bytes GOP/s"));
    let notes = [
        "The slopes are of reading memory out of cache: what a cache holds can lie above them.",
        "Convolutions count the operations of their definition: transforms that save some can pass a roof.",
    ];
    for (i, note) in notes.iter().enumerate() {
        let place = [ACROSS[0], UP[0] + 68.0 + 17.0 * i as f64];
        svg.push_str(&text(place, r##"font-size="11.5" fill="#555555""##, note));
    }
}

/// Right of the plot: families, kinds of markers, roofs.
fn legend(svg: &mut String, peaks: &Peaks, roofs: &[Roof], rows: &[Row]) {
    let mut place = LEGEND;
    let mut next = || {
        let here = place;
        place[1] += LINE;
        here
    };
    let words = |[x, y]: [f64; 2], words: &str| text([x + 34.0, y + 4.5], "", words);
    for family in Family::ALL.into_iter().filter(|family| rows.iter().any(|row| row.family == *family)) {
        let here = next();
        svg.push_str(&marker([here[0] + 14.0, here[1]], family, Fill::Plain, None));
        svg.push_str(&words(here, family.name()));
    }
    next();
    let threads = format!("Inkstone, {} threads", peaks.threads);
    let mut fills = vec![(Fill::Plain, "Inkstone, 1 thread")];
    if peaks.threads > 1 {
        fills.push((Fill::Edged, threads.as_str()));
    }
    fills.push((Fill::Hollow, "compared with: plain loops, others"));
    for (fill, label) in fills {
        let here = next();
        svg.push_str(&marker([here[0] + 14.0, here[1]], Family::GemmF32, fill, None));
        svg.push_str(&words(here, label));
    }
    next();
    for roof in roofs.iter().rev() {
        let ([x, y], stroke) = (next(), roof.stroke);
        svg.push_str(&format!("<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" {stroke}/>\n", x + 28.0));
        svg.push_str(&words([x, y], &roof.label));
    }
    svg.push_str(&words(next(), &format!("slope, 1 thread: memory, {:.1} GB/s", peaks.read_gb_per_s)));
    if peaks.threads > 1 {
        let label = format!("slope, {} threads: memory, {:.1} GB/s", peaks.threads, peaks.read_gb_per_s_threads);
        svg.push_str(&words(next(), &label));
    }
}

/// A marker; with `words`, which a pointer over it shows, it is that of a row.
fn marker([x, y]: [f64; 2], family: Family, fill: Fill, words: Option<&str>) -> String {
    let (colour, corners) = look(family);
    let paint = match fill {
        Fill::Plain => format!(r##"fill="{colour}" stroke="#ffffff" stroke-width="0.7""##),
        Fill::Edged => format!(r##"fill="{colour}" stroke="#000000" stroke-width="1.4""##),
        Fill::Hollow => format!(r##"fill="#ffffff" fill-opacity="0.6" stroke="{colour}" stroke-width="1.5""##),
    };
    let (class, title) = match words {
        Some(words) => (r#"class="row" "#, format!("<title>{}</title>", escaped(words))),
        None => ("", String::new()),
    };
    if corners.is_empty() {
        return format!("<circle {class}cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\" {paint}>{title}</circle>\n");
    }
    let points: Vec<String> =
        corners.iter().map(|[dx, dy]| format!("{:.1},{:.1}", x + RADIUS * dx, y + RADIUS * dy)).collect();
    format!("<polygon {class}points=\"{}\" {paint}>{title}</polygon>\n", points.join(" "))
}

/// Words at a place, with further attributes; nothing for no words.
fn text([x, y]: [f64; 2], attributes: &str, words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let space = if attributes.is_empty() { "" } else { " " };
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{}</text>\n", escaped(words))
}

/// `words` as XML has them.
fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
