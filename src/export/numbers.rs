//! Numbers in the text of a source.

use std::fmt::Display;

/// Numbers, as many a line of at most `width` columns as fit, with a comma behind each.
pub(super) fn lines<T: Display>(values: &[T], indent: &str, width: usize) -> String {
    let (mut text, mut line) = (String::new(), String::from(indent));
    for value in values {
        let value = format!("{value},");
        if line.len() > indent.len() && line.len() + 1 + value.len() > width {
            text.push_str(&line);
            text.push('\n');
            line.truncate(indent.len());
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(&value);
    }
    text + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        assert_eq!(lines(&[1, -20, 300], "  ", 80), "  1, -20, 300,\n");
        assert_eq!(lines(&[1, -20, 300], "  ", 10), "  1, -20,\n  300,\n");
        assert_eq!(lines(&[1, -20, 300], "  ", 8), "  1,\n  -20,\n  300,\n", "one has nine columns");
        assert_eq!(lines::<u8>(&[], "  ", 8), "  \n");
        assert_eq!(lines(&[12_345], "  ", 4), "  12345,\n", "one that is too long stands alone");
    }
}
