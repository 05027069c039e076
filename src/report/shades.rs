//! Tables in shades: confusion matrices, and one figure of many runs.

use super::canvas::{Drawing, INK, LETTERS, WIDTH, drawn, font, letters, picture};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// From the least to the most: a dark blue to a pale yellow whose brightness alone says it (five points of cividis, made for every kind of
/// colour vision: Nuñez, Anderton and Renslow, PLOS ONE 13, 2018).
const SCALE: [[u8; 3]; 5] = [[0, 34, 78], [53, 69, 108], [124, 123, 120], [188, 175, 111], [254, 232, 56]];
/// A cell without a value.
const EMPTY: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// A table whose cells are shaded.
#[derive(Clone, Debug)]
pub(super) struct Shades<'a> {
    pub(super) title: &'a str,
    /// What rows and columns are.
    pub(super) down: &'a str,
    pub(super) across: &'a str,
    pub(super) rows: Vec<String>,
    pub(super) columns: Vec<String>,
    /// By row: what is written, and its shade from 0 to 1.
    pub(super) cells: Vec<Vec<Option<(String, f64)>>>,
}

/// A shade between the points of the scale.
fn shade(at: f64) -> RGBColor {
    let place = at.clamp(0.0, 1.0) * (SCALE.len() - 1) as f64;
    let below = (place as usize).min(SCALE.len() - 2);
    let part = place - below as f64;
    let mix = |i: usize| {
        let (low, high) = (f64::from(SCALE[below][i]), f64::from(SCALE[below + 1][i]));
        (low + part * (high - low)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}

impl Shades<'_> {
    /// As SVG.
    pub(super) fn svg(&self) -> Drawing<String> {
        let longest = self.rows.iter().map(|row| super::canvas::width_of(row, LETTERS)).max().unwrap_or(0) as i32;
        let left = 26 + longest + 8;
        let columns = self.columns.len().max(1) as i32;
        let width = (WIDTH as i32 - left - 10) / columns;
        let height = if self.rows.len() > 9 { 30 } else { 32 };
        let top = 46;
        let bottom = top + height * self.rows.len() as i32;
        picture(self.title, 28 + bottom as u32 + 8, |area| {
            let middle = letters(LETTERS, INK, HPos::Center, VPos::Center);
            let words = |words: &str, place: (i32, i32), style: &TextStyle<'_>| {
                area.draw(&Text::new(words.to_owned(), place, style.clone())).map_err(drawn)
            };
            words(self.across, (left + width * columns / 2, 12), &middle)?;
            let turned = font(LETTERS).transform(FontTransform::Rotate270);
            let turned = TextStyle::from(turned).color(&INK).pos(middle.pos);
            words(self.down, (12, (top + bottom) / 2), &turned)?;
            for (i, column) in self.columns.iter().enumerate() {
                words(column, (left + width * i as i32 + width / 2, 34), &middle)?;
            }
            let right = letters(LETTERS, INK, HPos::Right, VPos::Center);
            for (i, (row, cells)) in self.rows.iter().zip(&self.cells).enumerate() {
                let y = top + height * i as i32;
                words(row, (left - 8, y + height / 2), &right)?;
                for (j, cell) in cells.iter().enumerate() {
                    let x = left + width * j as i32;
                    let colour = cell.as_ref().map_or(EMPTY, |(_, at)| shade(*at));
                    let frame = [(x, y), (x + width - 1, y + height - 1)];
                    area.draw(&Rectangle::new(frame, colour.filled())).map_err(drawn)?;
                    let Some((text, _)) = cell else { continue };
                    // Luma of ITU-R BT.601: dark words on bright cells, bright ones on dark.
                    let luma = 0.299 * f64::from(colour.0) + 0.587 * f64::from(colour.1) + 0.114 * f64::from(colour.2);
                    let words_in = if luma > 120.0 { BLACK } else { WHITE };
                    let size = if width < 46 { LETTERS - 2 } else { LETTERS };
                    let style = letters(size, RGBColor(words_in.0, words_in.1, words_in.2), HPos::Center, VPos::Center);
                    words(text, (x + width / 2, y + height / 2), &style)?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_grow_brighter_all_the_way() {
        let luma = |at: f64| {
            let RGBColor(r, g, b) = shade(at);
            0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
        };
        assert!((0..100).all(|i| luma(f64::from(i) / 100.0) <= luma(f64::from(i + 1) / 100.0) + 0.5));
        assert_eq!((shade(-1.0), shade(2.0)), (RGBColor(0, 34, 78), RGBColor(254, 232, 56)));
    }
}
