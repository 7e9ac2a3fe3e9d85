//! Layouts of predictions: plain lines, csv with a header, JSON lines.

use super::arguments::PredictionLayout;
use crate::visible;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::{self, Write};

/// The numbers of each class behind a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassNumbers {
    None,
    Scores,
    Probabilities,
}

/// A writer of predictions, a row at a time.
pub(super) struct PredictionWriter<'a, W: Write> {
    sink: Sink<'a, W>,
    columns: Columns<'a>,
}

/// Columns of the output, in order.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// Names of the columns that are carried along.
    pub(super) kept: &'a [String],
    pub(super) numbers: ClassNumbers,
    pub(super) class_names: &'a [String],
}

enum Sink<'a, W: Write> {
    /// With the class names as lines have them.
    Plain(W, Vec<Cow<'a, str>>),
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
}

impl<'a, W: Write> PredictionWriter<'a, W> {
    /// Writes the header of csv: the kept columns, `prediction`, then `score_<class>` or `probability_<class>` in the order of the classes.
    pub(super) fn new(out: W, layout: PredictionLayout, columns: Columns<'a>) -> io::Result<Self> {
        let Columns { kept, numbers, class_names } = columns;
        let sink = match layout {
            PredictionLayout::Plain => Sink::Plain(out, class_names.iter().map(|name| visible::name(name)).collect()),
            PredictionLayout::Jsonl => Sink::Jsonl(out),
            PredictionLayout::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                let prefix = match numbers {
                    ClassNumbers::None => None,
                    ClassNumbers::Scores => Some("score"),
                    ClassNumbers::Probabilities => Some("probability"),
                };
                let of_classes =
                    prefix.into_iter().flat_map(|p| class_names.iter().map(move |class| format!("{p}_{class}")));
                let names = kept.iter().cloned().chain(["prediction".to_owned()]).chain(of_classes);
                csv.write_record(names.map(|name| visible::cell(&name).into_owned()))?;
                Sink::Csv(Box::new(csv))
            }
        };
        Ok(Self { sink, columns })
    }

    /// A row: its kept cells, the class of the largest score and, where they were asked for, the numbers of all classes.
    pub(super) fn row<'c>(
        &mut self,
        mut kept: impl Iterator<Item = &'c str>,
        class: usize,
        numbers: &[f64],
    ) -> io::Result<()> {
        let Columns { kept: kept_names, numbers: wanted, class_names } = self.columns;
        let label = &class_names[class];
        let numbers = if wanted == ClassNumbers::None { &[] } else { numbers };
        match &mut self.sink {
            Sink::Plain(out, names) => {
                out.write_all(names[class].as_bytes())?;
                numbers.iter().try_for_each(|value| write!(out, "\t{value}"))?;
                out.write_all(b"\n")
            }
            Sink::Csv(csv) => {
                kept.try_for_each(|cell| csv.write_field(visible::cell(cell).as_bytes()))?;
                csv.write_field(visible::cell(label).as_bytes())?;
                // The shortest digits that read back as the same number.
                numbers.iter().try_for_each(|value| csv.write_field(json!(value).to_string()))?;
                Ok(csv.write_record(None::<&[u8]>)?)
            }
            Sink::Jsonl(out) => {
                let kept = kept_names.iter().cloned().zip(kept.map(|cell| json!(cell)));
                let mut object: Map<String, Value> = kept.chain([("prediction".to_owned(), json!(label))]).collect();
                let key = match wanted {
                    ClassNumbers::None => None,
                    ClassNumbers::Scores => Some("scores"),
                    ClassNumbers::Probabilities => Some("probabilities"),
                };
                if let Some(key) = key {
                    let by_class = class_names.iter().cloned().zip(numbers.iter().map(|value| json!(value)));
                    object.insert(key.to_owned(), by_class.collect::<Map<_, _>>().into());
                }
                writeln!(out, "{}", visible::json(&Value::Object(object).to_string()))
            }
        }
    }

    pub(super) const fn n_classes(&self) -> usize {
        self.columns.class_names.len()
    }

    /// Brings the rows so far to the reader.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(out, _) | Sink::Jsonl(out) => out.flush(),
            Sink::Csv(csv) => csv.flush(),
        }
    }

    /// The output, with all rows in it.
    pub(super) fn into_inner(self) -> io::Result<W> {
        match self.sink {
            Sink::Plain(out, _) | Sink::Jsonl(out) => Ok(out),
            Sink::Csv(csv) => csv.into_inner().map_err(csv::IntoInnerError::into_error),
        }
    }
}
