//! Names out of files (of classes, of columns, of files) in what people read: nothing in them acts on a terminal, breaks a line
//! or a table, or begins a formula. The one place for it. Imports nothing.
//!
//! A character that acts is written as Rust writes it, `\n`, `\t`, `\u{1b}`; a backslash is left alone, so that ordinary names are
//! as they are in the data.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Names of a list that are written out, and characters of one.
const MOST: usize = 20;
const LONGEST: usize = 60;

/// Whether a character does something instead of being seen: controls (C0, DEL, C1), line and paragraph separators, and the marks
/// that turn the direction of the text behind them.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replaced<'a>(text: &'a str, wanted: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'a, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wanted(c) { write(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A name in a line of text: all that acts is escaped, line ends and tabs included.
#[must_use]
pub fn name(text: &str) -> Cow<'_, str> {
    replaced(text, acts, |out, c| out.extend(c.escape_default()))
}

/// Text of several lines: all that acts is escaped but the line ends.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| acts(c) && c != '\n', |out, c| out.extend(c.escape_default()))
}

/// JSON text: the same JSON, in which all that acts is escaped as JSON escapes it, but the line ends between values.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| acts(c) && c != '\n',
        |out, c| match c {
            // Between values; within a text they are escaped already.
            '\t' | '\r' => out.push(' '),
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        },
    )
}

/// A name in a message: its beginning, where it is long.
#[must_use]
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => name(text),
        Some((end, _)) => Cow::Owned(format!("{}...", name(&text[..end]))),
    }
}

/// The first names of a list, for messages.
#[must_use]
pub fn listed(names: &[String]) -> String {
    let shown: Vec<Cow<'_, str>> = names.iter().take(MOST).map(|text| short(text)).collect();
    let rest = if names.len() > MOST { ", ..." } else { "" };
    format!("{}{rest}", shown.join(", "))
}

/// Whether a spreadsheet would take a cell for a formula; plain numbers, such as the label -1, are none.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err()
}

/// A name as a cell of a table: what a spreadsheet would take for a formula begins with an apostrophe. [`of_cell`] takes it away
/// again.
#[must_use]
pub fn cell(name: &str) -> Cow<'_, str> {
    if is_formula(name.trim_start_matches('\'')) { Cow::Owned(format!("'{name}")) } else { Cow::Borrowed(name) }
}

/// The name that [`cell`] made a cell of.
#[must_use]
pub fn of_cell(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest.trim_start_matches('\''))).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_seen_and_what_is_seen_stays() {
        for plain in ["", "cat", "dög \"x\"", "C:\\new", "日本", "🦉", "a,b;c", "-1"] {
            assert!(matches!(name(plain), Cow::Borrowed(text) if text == plain));
        }
        assert_eq!(name("a\nb\r\tc\0"), "a\\nb\\r\\tc\\u{0}");
        assert_eq!(name("\u{1b}[31m\u{9b}0m\u{7f}"), "\\u{1b}[31m\\u{9b}0m\\u{7f}");
        assert_eq!(name("\u{1b}]0;t\u{7}\u{202e}\u{2066}\u{2028}"), "\\u{1b}]0;t\\u{7}\\u{202e}\\u{2066}\\u{2028}");
        assert_eq!(lines("a\nb\u{1b}\r\n"), "a\nb\\u{1b}\\r\n");
        for code in (0..0x20).chain(0x7f..0xa0) {
            let c = char::from_u32(code).unwrap();
            assert!(!name(&format!("x{c}y")).contains(acts), "{code}");
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{9b}": ["\u{7f}\n\t\u{202e}", 1]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(!shown.replace('\n', "").contains(acts) && text.contains(acts), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn cells_are_no_formulas_and_come_back() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+x", "'+x"),
            ("-cmd", "'-cmd"),
            ("@a", "'@a"),
            ("\tx", "'\tx"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("-1", "-1"),
            ("+1.5e3", "+1.5e3"),
            ("'tis", "'tis"),
            ("cat", "cat"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
            assert_eq!(of_cell(&cell(text)), text);
        }
    }

    #[test]
    fn long_names_and_lists_are_cut() {
        let names: Vec<String> = (0..30).map(|i| format!("c{i}\n")).collect();
        assert!(listed(&names).starts_with("c0\\n, c1\\n, ") && listed(&names).ends_with("c19\\n, ..."));
        assert_eq!(listed(&names[..2]), "c0\\n, c1\\n");
        assert_eq!(short(&"ω".repeat(60)), "ω".repeat(60));
        assert_eq!(short(&"ω\n".repeat(70_000)), "ω\\n".repeat(30) + "...");
    }
}
