//! Vectors of an array: labels, row weights, cells to carry along.

use super::array::Array;
use super::header::OBJECT;
use crate::data::LabelColumn;
use crate::format::labels::push_text;
use crate::format::{DataError, Position, weights};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use std::sync::Arc;

pub(super) fn ascii(element: &[u8]) -> String {
    String::from_utf8_lossy(element).trim_end_matches('\0').to_owned()
}

impl Array {
    /// A column to carry along: numbers, truth values or text with their types.
    pub(super) fn column(mut self) -> Result<ArrayRef, DataError> {
        self.expect_vector("cells to keep")?;
        if self.kind == OBJECT {
            return Err(self
                .wrong("elements are Python objects, expected numbers or strings".into())
                .with_hint("save x.astype(str)"));
        }
        let mut bytes = Vec::new();
        let got = self.source.read_up_to(&mut bytes, self.n_bytes)?;
        self.expect_whole(got)?;
        let (elements, spare) = (bytes.chunks_exact(self.size), 64 - 8 * self.size.min(8));
        Ok(match self.kind {
            b'U' => Arc::new(StringArray::from_iter_values(elements.map(|element| self.text(element)))),
            b'S' => Arc::new(StringArray::from_iter_values(elements.map(ascii))),
            b'f' => Arc::new(Float64Array::from_iter_values(elements.map(|element| self.number(element)))),
            b'b' => Arc::new(elements.map(|element| Some(self.bits(element) != 0)).collect::<BooleanArray>()),
            #[allow(clippy::cast_possible_wrap)]
            b'i' => Arc::new(Int64Array::from_iter_values(
                elements.map(|element| (self.bits(element) << spare) as i64 >> spare),
            )),
            _ => Arc::new(UInt64Array::from_iter_values(elements.map(|element| self.bits(element)))),
        })
    }

    /// The labels of a matrix with a column a class: in each row a 1, and zeros.
    fn one_hot(mut self, n_columns: usize) -> Result<LabelColumn, DataError> {
        self.expect_numbers()?;
        let values = self.floats::<f32>("the label")?;
        let values = self.arranged(values, &[0, 1]);
        let mut labels = LabelColumn::new();
        for (row, values) in values.chunks_exact(n_columns).enumerate() {
            let mut stored = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
            let (Some((class, 1.0)), None) = (stored.next().map(|(class, value)| (class, *value)), stored.next())
            else {
                let problem = "a matrix of labels has a single 1 a row (one-hot), this row has not".to_owned();
                return Err(DataError::content(&self.file, Position::Record(row + 1), problem)
                    .with_hint("labels are a vector: of probabilities, save y.argmax(axis=1)"));
            };
            labels.push(&class.to_string());
        }
        Ok(labels)
    }

    /// One label a row; of a one-hot matrix the number of the column, from 0.
    pub(super) fn labels(mut self) -> Result<LabelColumn, DataError> {
        if self.kind == OBJECT {
            return Err(self
                .wrong("elements are Python objects, expected integers or strings".into())
                .with_hint("save y.astype(str)"));
        }
        if let Some(n_columns) = self.n_columns() {
            return self.one_hot(n_columns);
        }
        self.expect_vector("labels")?;
        let mut bytes = Vec::new();
        let got = self.source.read_up_to(&mut bytes, self.n_bytes)?;
        self.expect_whole(got)?;
        let mut labels = LabelColumn::new();
        for (element, row) in bytes.chunks_exact(self.size).zip(1..) {
            let text = match self.kind {
                b'U' => self.text(element),
                b'S' => ascii(element),
                b'f' => self.number(element).to_string(),
                b'b' => (if self.number(element) == 0.0 { "false" } else { "true" }).to_owned(),
                _ => {
                    labels.push(&self.number(element).to_string());
                    continue;
                }
            };
            push_text(&mut labels, text.as_bytes()).map_err(|problem| {
                DataError::content(&self.file, Position::Record(row), problem)
                    .with_hint("a label is a whole number or a word")
            })?;
        }
        Ok(labels)
    }

    /// UCS-4 without the zeros that fill it up.
    pub(super) fn text(&self, element: &[u8]) -> String {
        let (units, _) = element.as_chunks::<4>();
        let code = |unit: &[u8; 4]| if self.big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) };
        let chars = units.iter().map(|unit| char::from_u32(code(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
        chars.collect::<String>().trim_end_matches('\0').to_owned()
    }

    /// One weight a row.
    pub(super) fn weights(mut self, n_rows: usize) -> Result<Vec<f32>, DataError> {
        self.expect_vector("weights")?;
        self.expect_numbers()?;
        let found = self.floats::<f32>("the weight")?;
        if let Some(row) = found.iter().position(|w| !weights::is_weight(*w)) {
            return Err(DataError::content(
                &self.file,
                Position::Record(row + 1),
                weights::problem(&found[row].to_string()),
            )
            .with_hint(weights::HINT));
        }
        weights::fitting(found, &self.file, n_rows)
    }
}
