//! Labels as files have them, and the classes that they are.
//!
//! A label is a word. Where all words of a column are numbers, `+1`, `1.0` and `1` are one class, and where all are `true` or `false`, so is
//! each of them in every spelling; any other column stays as it is written. `007` and `1e3` are no numbers but codes.

use super::quote;
use crate::data::LabelColumn;
use std::borrow::Cow;
use std::collections::HashMap;

/// Appends to `labels` the label that a text file has.
///
/// # Errors
/// The sentence about a cell that can be no label: nothing, NaN, or bytes that are not UTF-8.
pub fn push_text(labels: &mut LabelColumn, word: &[u8]) -> Result<(), String> {
    if word.is_empty() {
        return Err("the label is missing".into());
    }
    let Ok(text) = std::str::from_utf8(word) else {
        return Err(format!("label {} is not UTF-8 text", quote(&String::from_utf8_lossy(word))));
    };
    if text.trim_start_matches(['+', '-']).eq_ignore_ascii_case("nan") {
        return Err(format!("found label {}, expected an integer or a word", quote(text)));
    }
    labels.push(text);
    Ok(())
}

/// Type that all words of a column share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WordKind {
    Number,
    Boolean,
    Word,
}

impl WordKind {
    fn of(names: &[String]) -> Self {
        if names.iter().all(|name| is_number(name)) {
            Self::Number
        } else if names.iter().all(|name| boolean(name.as_bytes()).is_some()) {
            Self::Boolean
        } else {
            Self::Word
        }
    }

    /// The one spelling of a word.
    fn spelt(self, name: &str) -> Cow<'_, str> {
        match self {
            #[allow(clippy::cast_possible_truncation)]
            Self::Number if is_number(name) => match name.parse::<f64>() {
                Ok(number) if number.fract() == 0.0 && number.abs() < 9e15 => (number as i64).to_string().into(),
                _ => name.into(),
            },
            Self::Boolean => {
                boolean(name.as_bytes()).map_or(name.into(), |is| if is { "true" } else { "false" }.into())
            }
            Self::Number | Self::Word => name.into(),
        }
    }
}

/// The truth value of a word, in upper or lower case.
pub(super) fn boolean(word: &[u8]) -> Option<bool> {
    let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
    if is("true") { Some(true) } else { is("false").then_some(false) }
}

/// A decimal number: no zeros in front, and an exponent only behind a point, as programs write one.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word).as_bytes();
    let has_exponent = digits.iter().any(|b| matches!(b, b'e' | b'E'));
    match digits {
        [b'0', b'0'..=b'9', ..] => false,
        [b'0'..=b'9' | b'.', ..] => word.parse::<f64>().is_ok() && (!has_exponent || digits.contains(&b'.')),
        _ => false,
    }
}

/// A label with decimals where all labels are numbers: an amount, not a class.
#[must_use]
pub fn fraction(labels: &LabelColumn) -> Option<&str> {
    let has_decimals = |name: &&String| name.parse::<f64>().is_ok_and(|number| number.fract() != 0.0);
    if WordKind::of(labels.names()) != WordKind::Number {
        return None;
    }
    labels.names().iter().find(has_decimals).map(String::as_str)
}

/// Number of classes that draw no warning, and the mean number of rows a class below which more of them do.
const FEW: usize = 100;
const ROWS_A_CLASS: usize = 5;
/// Classes that are many where most rows have one of their own.
const FEWER: usize = 10;

/// A sentence about a column of labels that hardly repeats itself: the wrong column, or a number to be predicted as a number.
#[must_use]
pub fn many_classes(class_names: &[String], n_train: usize) -> Option<String> {
    let k = class_names.len();
    let are_many = k > FEW && n_train < k.saturating_mul(ROWS_A_CLASS);
    let are_most = k > FEWER && n_train < k.saturating_mul(2);
    if !are_many && !are_most {
        return None;
    }
    let numbers = class_names.iter().all(|name| name.parse::<f64>().is_ok());
    let question = if numbers { "is this a regression target?" } else { "is this the column of the label?" };
    Some(format!("{k} different labels in {n_train} training rows: {question}"))
}

/// The classes of a column, in class order.
#[must_use]
pub fn class_names(labels: &LabelColumn) -> Vec<String> {
    let kind = WordKind::of(labels.names());
    let mut names = LabelColumn::new();
    labels.names().iter().for_each(|name| names.push(&kind.spelt(name)));
    names.class_names()
}

/// Classes by every spelling of their names.
#[derive(Debug)]
pub struct Classes<'a> {
    names: &'a [String],
    kind: WordKind,
    written: HashMap<&'a str, usize>,
    spelt: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Classes<'a> {
    /// Classes in class order.
    #[must_use]
    pub fn new(names: &'a [String]) -> Self {
        let kind = WordKind::of(names);
        let written = names.iter().map(String::as_str).zip(0..).collect();
        Self { names, kind, written, spelt: names.iter().map(|name| kind.spelt(name)).zip(0..).collect() }
    }

    /// The class of a label. Version 0.1.0 named the classes of NumPy's booleans `0` and `1`.
    #[must_use]
    pub fn of(&self, label: &str) -> Option<usize> {
        let found = self.written.get(label).or_else(|| self.spelt.get(&self.kind.spelt(label)));
        let is_binary = || self.names == ["0", "1"];
        found.copied().or_else(|| boolean(label.as_bytes()).filter(|_| is_binary()).map(usize::from))
    }

    /// A column with the names of the classes; labels of no class stay as they are.
    #[must_use]
    pub fn named<'l>(&self, labels: &'l LabelColumn) -> Cow<'l, LabelColumn> {
        if labels.names().iter().all(|name| self.written.contains_key(name.as_str())) {
            return Cow::Borrowed(labels);
        }
        let name = |label: &str| self.of(label).map_or(label, |class| &self.names[class]).to_owned();
        Cow::Owned(labels.renamed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(words: &[&str]) -> LabelColumn {
        let mut labels = LabelColumn::new();
        words.iter().for_each(|word| push_text(&mut labels, word.as_bytes()).unwrap());
        labels
    }

    #[test]
    fn a_column_is_numbers_or_truth_values_or_words_as_written() {
        for (words, expected) in [
            (&["+1", "-1", "1.0", "1"][..], &["-1", "1"][..]),
            (&["1.000000000000000000e+00", "0.000000000000000000e+00"], &["0", "1"]),
            (&["1.5", "1.0", "-0", "10."], &["0", "1", "1.5", "10"]),
            (&["007", "7"], &["007", "7"]),
            (&["007", "1.0", "+7"], &["+7", "007", "1.0"]),
            (&["1e3", "5.0"], &["1e3", "5.0"]),
            (&["cat", "1.0", "1"], &["1", "1.0", "cat"]),
            (&["inf", "1.0"], &["1.0", "inf"]),
            (&["9999999999999999999", "1.0"], &["1", "9999999999999999999"]),
            (&["True", "false", "TRUE", "FALSE", "true"], &["false", "true"]),
            (&["True", "1"], &["1", "True"]),
            (&["a\tb", "a\nb", "\"q\""], &["\"q\"", "a\tb", "a\nb"]),
        ] {
            let labels = column(words);
            let names = class_names(&labels);
            let (mut found, mut expected) = (names.clone(), expected.to_vec());
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected);
            // Every row has a class.
            assert_eq!(Classes::new(&names).named(&labels).to_classes(&names).unwrap().len(), words.len(), "{words:?}");
        }
        for word in ["", "nan", "NaN", "-nan"] {
            assert!(push_text(&mut LabelColumn::new(), word.as_bytes()).is_err(), "{word}");
        }
    }

    #[test]
    fn labels_of_other_files_are_spelt_as_the_classes_are() {
        for (classes, label, class) in [
            (&["0", "1"][..], "+1", Some(1)),
            (&["0", "1"], "1.0", Some(1)),
            (&["0", "1"], "001", None),
            (&["0", "1"], "True", Some(1)),
            (&["1", "1.0", "cat"], "1.0", Some(1)),
            (&["1", "cat"], "1.0", None),
            (&["False", "True"], "true", Some(1)),
            (&["false", "true"], "TRUE", Some(1)),
            (&["false", "true"], "1", None),
            (&["1000", "5"], "1e3", None),
        ] {
            let names: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(Classes::new(&names).of(label), class, "{classes:?} {label}");
        }
    }
}
