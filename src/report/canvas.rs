//! What all plots have in common: size, colours, and an SVG that says what it shows.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, TextStyle};
use std::error::Error;

/// Width of every plot: on a phone of 390 pixels its letters are still two thirds of their size.
pub(super) const WIDTH: u32 = 560;
/// Letters, and those of titles.
pub(super) const LETTERS: u32 = 13;
const TITLE: u32 = 15;
/// Height of the band that holds the title.
const TITLE_BAND: u32 = 28;

/// Words and axes, which the page gives the colour of its own words.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// The palette of Okabe and Ito without its yellow, which vanishes on white: every kind of colour vision tells them apart.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x88, 0x88, 0x88),
];

/// What goes wrong where plots are drawn, which is nothing that data can cause.
pub(super) type Drawing<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A place to draw on, below the title.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Where lines and dots are drawn, in the units of two axes.
pub(super) type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes from end to end with the words beside them, on `area`.
pub(super) fn plane<'a, 'b>(
    area: &'a Area<'b>,
    [x, y]: [[f64; 2]; 2],
    [across, up]: [&str; 2],
) -> Drawing<Plane<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .margin_top(4)
        .x_label_area_size(44)
        .y_label_area_size(66)
        .build_cartesian_2d(x[0]..x[1], y[0]..y[1])
        .map_err(drawn)?;
    let digits = (1.0 - (y[1] - y[0]).log10()).ceil().clamp(0.0, 6.0) as usize;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(letters(LETTERS, INK, HPos::Left, VPos::Top))
        .axis_desc_style(letters(LETTERS, INK, HPos::Left, VPos::Top))
        .x_desc(across)
        .y_desc(up)
        .x_labels(8)
        .y_labels(7)
        // Short plots have marks between whole numbers.
        .x_label_formatter(&|x| if (x - x.round()).abs() > 1e-6 { String::new() } else { format!("{x:.0}") })
        .y_label_formatter(&|y| format!("{y:.digits$}"))
        .draw()
        .map_err(drawn)?;
    Ok(chart)
}

/// The library takes this for the height of a font whose size is 1, and writes the size that a height would be of.
const HEIGHT: f64 = 1.24;

/// A font of `size` pixels.
pub(super) fn font(size: u32) -> FontDesc<'static> {
    ("sans-serif", f64::from(size) * HEIGHT).into_font()
}

/// Letters of a size and colour, at their place from where `horizontal` and `vertical` say.
pub(super) fn letters(size: u32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle { font: font(size), color: colour.to_backend_color(), pos: Pos::new(horizontal, vertical) }
}

/// About how wide words are: no font is asked, so that plots are equal on all machines.
pub(super) fn width_of(words: &str, size: u32) -> u32 {
    (words.chars().count() as f64 * f64::from(size) * 0.56).ceil() as u32
}

/// An SVG of `WIDTH` by `height`, with a title, drawn on by `draw`.
pub(super) fn picture(title: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawing<()>) -> Drawing<String> {
    let mut svg = String::new();
    {
        let whole = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let (band, below) = whole.split_vertically(TITLE_BAND);
        let mut size = TITLE;
        // Bold letters are a tenth wider.
        while size > 10 && width_of(title, size) * 11 / 10 > WIDTH - 16 {
            size -= 1;
        }
        let style =
            TextStyle::from(font(size).style(FontStyle::Bold)).color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
        band.draw(&Text::new(title, (WIDTH as i32 / 2, TITLE_BAND as i32 / 2), style)).map_err(drawn)?;
        draw(&below)?;
        whole.present().map_err(drawn)?;
    }
    // Readers of screens are told the title.
    let label = title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Ok(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1))
}

/// An error of the library as ours.
pub(super) fn drawn<E: Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> Box<dyn Error + Send + Sync> {
    format!("a plot cannot be drawn: {error}").into()
}
