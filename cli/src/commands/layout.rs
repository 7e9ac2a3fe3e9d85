//! Layouts of predictions: plain lines, csv with a header, JSON lines, Parquet.

use super::arguments::PredictionLayout;
use crate::format::KeptColumn;
use crate::format::parquet::write::{ClassColumn, ParquetColumn, ParquetTable, number_column};
use crate::visible;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};

/// The numbers of each class behind a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassNumbers {
    None,
    Scores,
    Probabilities,
}

/// A writer of predictions, some rows at a time.
pub(super) struct PredictionWriter<'a, W: Write + Send> {
    sink: Sink<'a, W>,
    columns: Columns<'a>,
}

/// Predictions of some rows.
pub(super) struct PredictionBlock {
    /// The class of the largest score, one a row.
    pub(super) classes: Vec<usize>,
    /// The numbers of all classes, row by row.
    pub(super) numbers: Vec<f64>,
}

/// Columns of the output, in order.
pub(super) struct Columns<'a> {
    /// Columns that are carried along.
    kept: Vec<ParquetColumn>,
    numbers: ClassNumbers,
    class_names: &'a [String],
}

enum Sink<'a, W: Write + Send> {
    /// With the class names as lines have them.
    Plain(W, Vec<Cow<'a, str>>),
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
    Parquet(Box<ParquetTable<W>>, ClassColumn),
}

const PREDICTION: &str = "prediction";

impl<'a> Columns<'a> {
    /// The kept columns of the first rows, then the prediction, then numbers; else a name that would be there twice.
    pub(super) fn new(kept: &[KeptColumn], numbers: ClassNumbers, class_names: &'a [String]) -> Result<Self, String> {
        let column = |kept: &KeptColumn| ParquetColumn { name: kept.name().to_owned(), kind: kept.kind() };
        let columns = Self { kept: kept.iter().map(column).collect(), numbers, class_names };
        let mut seen: HashSet<String> = [PREDICTION.to_owned()].into_iter().chain(columns.of_classes()).collect();
        match kept.iter().find(|kept| !seen.insert(kept.name().to_owned())) {
            Some(kept) => Err(kept.name().to_owned()),
            None => Ok(columns),
        }
    }

    /// The names of the numbers: `score_<class>` or `probability_<class>` in the order of the classes.
    fn of_classes(&self) -> impl Iterator<Item = String> {
        let prefix = match self.numbers {
            ClassNumbers::None => None,
            ClassNumbers::Scores => Some("score"),
            ClassNumbers::Probabilities => Some("probability"),
        };
        prefix.into_iter().flat_map(|p| self.class_names.iter().map(move |class| format!("{p}_{class}")))
    }

    /// The columns with their types.
    fn typed(&self, label: &ClassColumn) -> Vec<ParquetColumn> {
        let kept = self.kept.iter().map(|kept| ParquetColumn { name: kept.name.clone(), kind: kept.kind.clone() });
        let label = ParquetColumn { name: PREDICTION.into(), kind: label.kind() };
        kept.chain([label]).chain(self.of_classes().map(ParquetColumn::of_numbers)).collect()
    }
}

impl<'a, W: Write + Send> PredictionWriter<'a, W> {
    /// Writes the header of csv.
    pub(super) fn new(out: W, layout: PredictionLayout, columns: Columns<'a>) -> io::Result<Self> {
        let class_names = columns.class_names;
        let sink = match layout {
            PredictionLayout::Plain => Sink::Plain(out, class_names.iter().map(|name| visible::name(name)).collect()),
            PredictionLayout::Jsonl => Sink::Jsonl(out),
            PredictionLayout::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                let kept = columns.kept.iter().map(|column| column.name.clone());
                let names = kept.chain([PREDICTION.to_owned()]).chain(columns.of_classes());
                csv.write_record(names.map(|name| visible::cell(&name).into_owned()))?;
                Sink::Csv(Box::new(csv))
            }
            PredictionLayout::Parquet => {
                let label = ClassColumn::of(class_names);
                Sink::Parquet(Box::new(ParquetTable::new(out, columns.typed(&label))?), label)
            }
        };
        Ok(Self { sink, columns })
    }

    /// Rows: their kept cells, which begin with row `first`, the classes and, where they were asked for, the numbers of all classes.
    pub(super) fn rows(&mut self, kept: &[KeptColumn], first: usize, block: &PredictionBlock) -> io::Result<()> {
        let n_classes = self.columns.class_names.len();
        if let Sink::Parquet(table, label) = &mut self.sink {
            let classes: Vec<u32> =
                block.classes.iter().map(|&class| u32::try_from(class).unwrap_or(u32::MAX)).collect();
            let mut columns: Vec<_> = kept.iter().map(|kept| kept.slice(first, classes.len())).collect();
            columns.push(label.cells(&classes)?);
            let of_class = |class| number_column(block.numbers.iter().skip(class).step_by(n_classes).copied());
            if self.columns.numbers != ClassNumbers::None {
                columns.extend((0..n_classes).map(of_class));
            }
            return table.write(columns);
        }
        let rows = block.numbers.chunks_exact(n_classes).zip(&block.classes).zip(first..);
        rows.into_iter().try_for_each(|((numbers, &class), at)| self.row(kept, at, class, numbers))
    }

    fn row(&mut self, kept: &[KeptColumn], at: usize, class: usize, numbers: &[f64]) -> io::Result<()> {
        let Columns { numbers: wanted, class_names, .. } = self.columns;
        let label = &class_names[class];
        let numbers = if wanted == ClassNumbers::None { &[] } else { numbers };
        match &mut self.sink {
            Sink::Plain(out, names) => {
                out.write_all(names[class].as_bytes())?;
                numbers.iter().try_for_each(|value| write!(out, "\t{value}"))?;
                out.write_all(b"\n")
            }
            Sink::Csv(csv) => {
                kept.iter().try_for_each(|kept| csv.write_field(visible::cell(&kept.text(at)).as_bytes()))?;
                csv.write_field(visible::cell(label).as_bytes())?;
                // The shortest digits that read back as the same number.
                numbers.iter().try_for_each(|value| csv.write_field(json!(value).to_string()))?;
                Ok(csv.write_record(None::<&[u8]>)?)
            }
            Sink::Jsonl(out) => {
                let kept = kept.iter().map(|kept| (kept.name().to_owned(), kept.json(at)));
                let mut object: Map<String, Value> = kept.chain([(PREDICTION.to_owned(), json!(label))]).collect();
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
            Sink::Parquet(..) => Ok(()),
        }
    }

    /// Brings the rows so far to the reader.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(out, _) | Sink::Jsonl(out) => out.flush(),
            Sink::Csv(csv) => csv.flush(),
            Sink::Parquet(..) => Ok(()),
        }
    }

    /// The output, with all rows in it.
    pub(super) fn into_inner(self) -> io::Result<W> {
        match self.sink {
            Sink::Plain(out, _) | Sink::Jsonl(out) => Ok(out),
            Sink::Csv(csv) => csv.into_inner().map_err(csv::IntoInnerError::into_error),
            Sink::Parquet(table, _) => table.into_inner(),
        }
    }
}
