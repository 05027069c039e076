//! Pictures in text: galleries of digits and the confusion matrix.

use inkstone::data::ascii;

/// Columns that a gallery may take: the width of a plain terminal.
const WIDTH: usize = 80;
/// Columns between two digits.
const GAP: usize = 2;

/// An image of a digit and the words under it.
pub(crate) struct Exhibit<'a> {
    /// Pixels, row by row.
    pub(crate) image: &'a [u8],
    /// At most as many characters as the image has columns, or they are cut.
    pub(crate) caption: String,
}

/// The rectangle around all ink of all images, as rows and columns.
fn ink_box(exhibits: &[Exhibit<'_>], rows: usize, cols: usize) -> [std::ops::Range<usize>; 2] {
    let (mut row_range, mut col_range) = (rows..0, cols..0);
    for (at, &pixel) in exhibits.iter().flat_map(|exhibit| exhibit.image.iter().enumerate()) {
        if pixel > 0 {
            let (row, col) = (at / cols, at % cols);
            row_range = row_range.start.min(row)..row_range.end.max(row + 1);
            col_range = col_range.start.min(col)..col_range.end.max(col + 1);
        }
    }
    if row_range.is_empty() { [0..rows, 0..cols] } else { [row_range, col_range] }
}

/// Images of `rows x cols` side by side, as many as fit a line, without the margins that none of them uses.
pub(crate) fn gallery(exhibits: &[Exhibit<'_>], rows: usize, cols: usize) -> String {
    let [row_range, col_range] = ink_box(exhibits, rows, cols);
    let longest = exhibits.iter().map(|exhibit| exhibit.caption.chars().count()).max().unwrap_or(0);
    let (height, width) = (row_range.len(), col_range.len().max(longest));
    let margin = (width - col_range.len()) / 2; // so that a caption stands under the middle
    let crop = |image: &[u8]| {
        let mut crop = vec![0; height * width];
        for (row, line) in row_range.clone().zip(crop.chunks_exact_mut(width)) {
            line[margin..][..col_range.len()].copy_from_slice(&image[row * cols..][col_range.clone()]);
        }
        crop
    };
    let per_line = ((WIDTH + GAP) / (width + GAP)).max(1);
    let mut text = String::new();
    for line in exhibits.chunks(per_line) {
        let crops: Vec<Vec<u8>> = line.iter().map(|exhibit| crop(exhibit.image)).collect();
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        text.push_str(&ascii::draw_row(&crops, height, width));
        let captions: Vec<String> = line.iter().map(|exhibit| format!("{:^width$}", exhibit.caption)).collect();
        text.push_str(captions.join(&" ".repeat(GAP)).trim_end());
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    text
}

/// One whole image in a frame, so that its place in it can be seen.
pub(crate) fn framed(image: &[u8], rows: usize, cols: usize) -> String {
    let edge = "─".repeat(cols);
    let lines: String = ascii::draw(image, rows, cols).lines().map(|line| format!("│{line:<cols$}│\n")).collect();
    format!("┌{edge}┐\n{lines}└{edge}┘")
}

/// The confusion matrix: a line for each true class, a column for each answer, and at the end the share answered right.
///
/// Zeros are dots, so that the mistakes stand out.
pub(crate) fn confusion(counts: &[Vec<u64>], classes: &[String]) -> String {
    let name = classes.iter().map(|class| class.chars().count()).max().unwrap_or(1);
    let widest = counts.iter().flatten().max().map_or(1, |count| count.to_string().len());
    let width = widest.max(name) + 1;
    let mut text = format!("{:name$} ", "");
    for class in classes {
        text.push_str(&format!(" {class:>width$}"));
    }
    text.push_str("    right");
    for (class, (line, name_of)) in counts.iter().zip(classes).enumerate() {
        text.push_str(&format!("\n{name_of:>name$} "));
        for &count in line {
            let cell = if count == 0 { "·".to_owned() } else { count.to_string() };
            text.push_str(&format!(" {cell:>width$}"));
        }
        let total: u64 = line.iter().sum();
        if total > 0 {
            text.push_str(&format!("  {:5.1} %", 100.0 * line[class] as f64 / total as f64));
        }
    }
    text
}

/// Columns of text, the first of them words and the others numbers; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let width = |column| rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") });
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_leaves_out_common_margins_and_centres_captions() {
        let mut image = [0; 64];
        image[3 * 8 + 3] = 255; // one dot at (3, 3) and one at (4, 4): a box of 2 x 2
        image[4 * 8 + 4] = 255;
        let exhibit = |caption: &str| Exhibit { image: &image, caption: caption.to_owned() };
        assert_eq!(gallery(&[exhibit("7")], 8, 8), "▀▄\n7");
        assert_eq!(gallery(&[exhibit("is 7"), exhibit("a")], 8, 8), " ▀▄    ▀▄\nis 7   a");
        let blank = [0; 64];
        assert_eq!(gallery(&[Exhibit { image: &blank, caption: "none".to_owned() }], 8, 8).trim(), "none");
        assert_eq!(gallery(&[], 8, 8), "");
    }

    #[test]
    fn a_frame_holds_the_whole_image() {
        assert_eq!(framed(&[255, 0, 0, 0, 255, 0], 2, 3), "┌───┐\n│▀▄ │\n└───┘");
    }

    #[test]
    fn a_confusion_matrix_lines_up() {
        let classes = ["0".to_owned(), "1".to_owned()];
        let text = confusion(&[vec![980, 0], vec![3, 97]], &classes);
        assert_eq!(text, "      0    1    right\n0   980    ·  100.0 %\n1     3   97   97.0 %");
        assert_eq!(
            confusion(&[vec![0]], &classes[..1]),
            "    0    right\n0   ·",
            "a class without samples has no share"
        );
    }

    #[test]
    fn a_table_lines_up() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(table(&[row("layer", "n"), row("linear", "1,000")]), "layer       n\nlinear  1,000");
    }
}
