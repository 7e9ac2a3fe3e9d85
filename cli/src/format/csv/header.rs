//! The first lines: which is the delimiter, whether the first is a header, and what the columns hold.

use super::cell::{Kinds, Marks};
use super::text::CsvText;
use crate::format::columns::{ColumnRef, ModelColumns, SpecialColumns};
use crate::format::quote;
use crate::format::reading::is_missing;
use std::borrow::Cow;

/// Possible separators, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Records and bytes that are looked at below the first line.
const RECORDS: usize = 1000;
const BYTES: usize = 1 << 18;

type CsvRecord<'a> = Vec<Cow<'a, [u8]>>;

/// True for text whose first two lines have the same number of cells, two or more.
pub(super) fn looks_tabular(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut text = CsvText::new(head, Marks { delimiter: likeliest(head, false), comma: false });
    text.skip_blank_lines();
    let Ok(first) = text.record() else { return false };
    let n_cells = first.len();
    text.skip_blank_lines();
    n_cells > 1 && (text.at == head.len() || text.record().is_ok_and(|second| second.len() == n_cells))
}

/// The delimiter that is most frequent outside quotes in the first line.
pub(super) fn likeliest(text: &[u8], comma: bool) -> u8 {
    let (mut counts, mut quoted) = ([0usize; DELIMITERS.len()], false);
    let start = text.iter().position(|b| !matches!(b, b'\n' | b'\r')).unwrap_or(0);
    for &byte in &text[start..] {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().zip(DELIMITERS).filter(|(_, d)| *d == byte).for_each(|(n, _)| *n += 1),
        }
    }
    counts[0] *= usize::from(!comma);
    let most = counts.iter().copied().max().unwrap_or(0);
    let best = counts.iter().position(|n| *n == most && most > 0);
    best.map_or(if comma { b';' } else { b',' }, |i| DELIMITERS[i])
}

/// The first line and some below it.
pub(super) struct Opening<'a> {
    first: &'a CsvRecord<'a>,
    rows: Vec<CsvRecord<'a>>,
    comma: bool,
}

/// Whether the first line is a header, and a note where that is not plain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeaderVerdict {
    pub(super) is_header: bool,
    pub(super) note: Option<String>,
}

impl HeaderVerdict {
    const fn plain(is_header: bool) -> Self {
        Self { is_header, note: None }
    }
}

impl<'a> Opening<'a> {
    /// Looks at the lines below the first one, with the text behind it.
    pub(super) fn new(first: &'a CsvRecord<'a>, text: &CsvText<'a>) -> Self {
        let mut text = CsvText::new(text.bytes.get(text.at..).unwrap_or_default(), text.marks);
        let mut rows = Vec::new();
        while rows.len() < RECORDS && text.at < BYTES {
            text.skip_blank_lines();
            if text.at == text.bytes.len() {
                break;
            }
            match text.record() {
                Ok(row) if row.len() == first.len() => rows.push(row),
                _ => break,
            }
        }
        Self { first, rows, comma: text.marks.comma }
    }

    /// The kinds of cells of a column below the first line, and in it where that is no header.
    pub(super) fn kinds(&self, column: usize, is_header: bool) -> Kinds {
        let own = if is_header { Kinds::default() } else { self.of_first(column) };
        self.rows.iter().fold(own, |kinds, row| kinds.and(Kinds::of(&row[column], self.comma)))
    }

    fn of_first(&self, column: usize) -> Kinds {
        Kinds::of(&self.first[column], self.comma)
    }

    /// For a table to train on: a header is what has words over numbers, or words that do not come again.
    pub(super) fn verdict(&self, special: &SpecialColumns) -> HeaderVerdict {
        use ColumnRef::{Name, Number};
        let given = || special.label.iter().chain(&special.weights).chain(&special.ignore).chain(&special.category);
        if given().any(|column| matches!(column, Name(_))) {
            return HeaderVerdict::plain(true);
        }
        let n = i64::try_from(self.first.len()).unwrap_or(i64::MAX);
        let is_number = |column: &ColumnRef, at: i64| matches!(column, Number(k) if *k == at + 1 || n + *k == at);
        let features: Vec<usize> =
            (0..n).zip(0..).filter(|(at, _)| !given().any(|column| is_number(column, *at))).map(|(_, at)| at).collect();
        let label = (0..n).zip(0..).find(|(at, _)| special.label.iter().any(|column| is_number(column, *at)));
        self.by_evidence(&features, label.map(|(_, at)| at))
    }

    fn by_evidence(&self, features: &[usize], label: Option<usize>) -> HeaderVerdict {
        let named = |at: usize| format!("`header = {}` of [data.csv] says otherwise", at == 0);
        let numbers = features.iter().filter(|&&at| self.of_first(at) == Kinds::NUMBER).count();
        let over_numbers = features.iter().chain(&label).filter(|&&at| self.stands_over(at)).count();
        if over_numbers > 0 {
            let note = || {
                format!(
                    "line 1 is taken for a header, because it has words over numbers, though it has numbers, too; {}",
                    named(1)
                )
            };
            return HeaderVerdict { is_header: true, note: (numbers > 0).then(note) };
        }
        if numbers > 0 {
            let is_header = self.counts(features) && label.is_none_or(|at| !self.comes_again(at));
            let note = || format!("line 1 is taken for a header, because it counts the columns; {}", named(1));
            return HeaderVerdict { is_header, note: is_header.then(note) };
        }
        let words: Vec<usize> = features.iter().copied().filter(|&at| !is_missing(&self.first[at])).collect();
        if let Some(&at) = words.iter().find(|&&at| self.comes_again(at)) {
            let cell = quote(&String::from_utf8_lossy(&self.first[at]));
            let note = format!(
                "line 1 is taken for a row, because {cell} of column {} comes again below; {}",
                at + 1,
                named(0)
            );
            return HeaderVerdict { is_header: false, note: Some(note) };
        }
        HeaderVerdict::plain(!words.is_empty())
    }

    /// Whether a word, or a date, stands over nothing but numbers, or a word over nothing but dates.
    fn stands_over(&self, column: usize) -> bool {
        let (own, below) = (self.of_first(column), self.kinds(column, true));
        let alike = below == Kinds::NUMBER || below == Kinds::DATE || below == Kinds::TIME;
        alike && !own.is_empty() && own != below
    }

    /// Whether the cell of the first line is found below it in its column.
    fn comes_again(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column] == self.first[column])
    }

    /// Whether the features are called 0, 1, 2, ... or 1, 2, 3, ...
    fn counts(&self, features: &[usize]) -> bool {
        let from = |start: usize| {
            features.iter().zip(start..).all(|(&at, number)| *self.first[at] == *number.to_string().as_bytes())
        };
        !self.rows.is_empty() && (from(0) || features.len() > 2 && from(1))
    }

    /// For a model: a header has names of the model's columns, and a row as many cells as the model has features, all numbers where
    /// those are numbers.
    pub(super) fn verdict_for(&self, wanted: &ModelColumns) -> HeaderVerdict {
        let Some(names) = &wanted.feature_names else { return self.verdict(&wanted.special) };
        let label = wanted.special.label.iter().filter_map(|column| match column {
            ColumnRef::Name(name) => Some(name),
            ColumnRef::Number(_) => None,
        });
        let known: Vec<&[u8]> = names.iter().chain(label).map(|name| name.as_bytes()).collect();
        if self.first.iter().any(|cell| known.contains(&&**cell)) || self.first.len() != wanted.n_features {
            return HeaderVerdict::plain(true);
        }
        let is_text = |at: usize| {
            let column = wanted.encoding.as_ref().and_then(|encoding| encoding.columns().get(at));
            column.is_some_and(|column| column.kind() == crate::data::CellKind::Text)
        };
        // Numbers with the other sign before their decimals are numbers, too, with which a row goes on to its own error.
        let is_number =
            |at: usize| [false, true].map(|comma| Kinds::of(&self.first[at], comma)).contains(&Kinds::NUMBER);
        let fits = |at: usize| is_text(at) || self.of_first(at) != Kinds::WORD || is_number(at);
        HeaderVerdict::plain(!(0..self.first.len()).all(fits))
    }
}
