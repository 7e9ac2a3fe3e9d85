//! One line: its label and its cells.

use crate::data::{Csr, LabelColumn};
use crate::format::float::{self, Float, is_blank, scan};
use crate::format::labels::push_text;
use crate::format::quote;

/// The largest index that is read; a wider matrix is surely a mistake.
const MAX_INDEX: u64 = 1 << 31;

/// Mistake in a line: byte in the line, counted from 0, and the words.
#[derive(Debug, PartialEq)]
pub(super) struct LineFault {
    pub(super) at: usize,
    pub(super) problem: String,
    pub(super) hint: Option<&'static str>,
    /// An index 0 where indices count from 1.
    pub(super) is_zero: bool,
}

impl LineFault {
    fn new(at: usize, problem: String) -> Self {
        Self { at, problem, hint: None, is_zero: false }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// Start of the first row with cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstCells {
    AfterLabel,
    WithoutLabel,
}

/// Looks for the first row with an `INDEX:` cell among the first bytes of a file. `None` where a row before it has other words.
pub(super) fn first_cells(head: &[u8]) -> Option<FirstCells> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    for line in head.split(|&b| b == b'\n') {
        let mut words = line.split(|&b| is_blank(b)).filter(|word| !word.is_empty()).take_while(|word| word[0] != b'#');
        let Some(first) = words.next() else { continue };
        if is_cell(first) {
            return Some(FirstCells::WithoutLabel);
        }
        match words.next() {
            Some(second) if is_cell(second) || second.starts_with(b"qid:") => return Some(FirstCells::AfterLabel),
            Some(_) => return None,
            // A row of zeros has a label only.
            None => (),
        }
    }
    None
}

fn is_cell(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && word.get(digits) == Some(&b':')
}

/// Reads a line without its end into a new row, with indices from `base`. Blank lines and comments make no row.
pub(super) fn read<T: Float>(
    line: &[u8],
    labelled: bool,
    base: u32,
    features: &mut Csr<'_, u32, T>,
    labels: &mut LabelColumn,
) -> Result<(), LineFault> {
    let mut at = skip_blanks(line, 0);
    if at == line.len() || line[at] == b'#' {
        return Ok(());
    }
    if labelled {
        at = read_label(line, at, labels)?;
    }
    let mut least = base;
    loop {
        at = skip_blanks(line, at);
        if at == line.len() || line[at] == b'#' {
            break;
        }
        let (index, value_at) = read_index(line, at, base)?;
        if index < least {
            let previous = least - 1;
            let problem = format!("feature index {index} follows {previous}; indices must increase within a line");
            return Err(
                LineFault::new(at, problem).hint("sort the cells of each line by their index, and write each once")
            );
        }
        least = index + 1;
        let (value, end) = value_at_or_behind_blanks(line, value_at).ok_or_else(|| bad_value(line, value_at))?;
        features.push_cell(index - base, value);
        at = end;
    }
    features.finish_row();
    Ok(())
}

fn read_label(line: &[u8], at: usize, labels: &mut LabelColumn) -> Result<usize, LineFault> {
    let word = word(line, at);
    if is_cell(word) {
        let problem = format!("found {}, expected a label before the first feature", shown(word));
        return Err(LineFault::new(at, problem).hint("a line is `LABEL INDEX:VALUE INDEX:VALUE ...`"));
    }
    let has_cells = line[at + word.len()..].contains(&b':');
    if has_cells && word.contains(&b',') && word.split(|&b| b == b',').all(|part| float::number::<f64>(part).is_some())
    {
        let problem = format!("found several labels, {}, expected one", shown(word));
        return Err(LineFault::new(at, problem)
            .hint("a row has one class here; a data set with several is one of them at a time"));
    }
    push_text(labels, word).map_err(|problem| LineFault::new(at, problem))?;
    Ok(at + word.len())
}

/// The index at `at` and where its value begins.
#[inline]
fn read_index(line: &[u8], at: usize, base: u32) -> Result<(u32, usize), LineFault> {
    let (mut index, mut end) = (0u64, at);
    while let Some(digit) = line.get(end).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
        index = index.saturating_mul(10).saturating_add(u64::from(digit));
        end += 1;
    }
    if end == at || line.get(end) != Some(&b':') {
        return Err(bad_cell(line, at));
    }
    match u32::try_from(index) {
        Ok(0) if base == 1 => {
            let fault = LineFault::new(at, "feature index 0; indices count from 1".to_owned());
            Err(LineFault { is_zero: true, ..fault }.hint("`index_base = 0` or \"auto\" of [data.libsvm] reads it"))
        }
        Ok(small) if index <= MAX_INDEX => Ok((small, end + 1)),
        Ok(_) | Err(_) => {
            let digits = shown(&line[at..end]);
            Err(LineFault::new(at, format!("feature index {digits} is too large, expected at most {MAX_INDEX}"))
                .hint("is the index right? the largest sets the number of features"))
        }
    }
}

/// The value at `at`, or behind the blanks there, and where it ends.
#[inline]
fn value_at_or_behind_blanks<T: Float>(line: &[u8], at: usize) -> Option<(T, usize)> {
    let value = |at: usize| scan(&line[at..]).map(|(value, len)| (value, at + len));
    value(at).or_else(|| value(skip_blanks(line, at)))
}

fn bad_cell(line: &[u8], at: usize) -> LineFault {
    let word = word(line, at);
    let fault = LineFault::new(at, format!("found {}, expected `INDEX:VALUE`", shown(word)));
    if word.starts_with(b"qid:") {
        let problem = format!("found {}; ranking data are not supported", shown(word));
        return LineFault { problem, ..fault }.hint("remove the `qid:` column");
    }
    if word.starts_with(b"-") && is_cell(&word[1..]) {
        return fault.hint("indices count from 1");
    }
    fault
}

fn bad_value(line: &[u8], at: usize) -> LineFault {
    let word = word(line, at);
    let word = &word[..word.iter().position(|&b| b == b'#').unwrap_or(word.len())];
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
    let problem = match number {
        _ if word.is_empty() => "found no value, expected a number after `INDEX:`".to_owned(),
        Some(number) if number.is_finite() || word.iter().any(u8::is_ascii_digit) => {
            format!("value {} is beyond the range of f32", shown(word))
        }
        Some(_) => format!("value {} is not finite", shown(word)),
        None => format!("found value {}, expected a number", shown(word)),
    };
    let fault = LineFault::new(at, problem);
    match number {
        None => fault,
        Some(number) if number.is_finite() => fault.hint("scale the feature down"),
        Some(_) => fault.hint("replace missing values, or leave their cells out"),
    }
}

/// The bytes from `at` to the next blank.
fn word(line: &[u8], at: usize) -> &[u8] {
    let rest = &line[at..];
    &rest[..rest.iter().position(|&b| is_blank(b)).unwrap_or(rest.len())]
}

fn shown(word: &[u8]) -> String {
    // Enough for the longest that is shown: a word may be the whole file.
    quote(&String::from_utf8_lossy(&word[..word.len().min(400)]))
}

#[inline]
fn skip_blanks(line: &[u8], mut at: usize) -> usize {
    while line.get(at).is_some_and(|&b| is_blank(b)) {
        at += 1;
    }
    at
}
