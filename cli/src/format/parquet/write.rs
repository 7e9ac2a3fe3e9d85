//! Tables of columns written as Parquet.

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use std::io::{self, Write};
use std::sync::Arc;

/// A column of predictions.
pub struct ParquetColumn {
    /// The name.
    pub name: String,
    /// Type of its cells.
    pub kind: DataType,
}

impl ParquetColumn {
    /// A column of numbers.
    #[must_use]
    pub const fn of_numbers(name: String) -> Self {
        Self { name, kind: DataType::Float64 }
    }
}

/// A file of typed columns on its way out, compressed by Snappy.
pub struct ParquetTable<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        // The error of the output, by which a closed pipe is known.
        ParquetError::External(inner) => inner.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error),
        other => io::Error::other(other),
    }
}

impl<W: Write + Send> ParquetTable<W> {
    /// A table of columns without rows.
    ///
    /// # Errors
    /// The error of the output, or a column of a type that Parquet has not.
    pub fn new(out: W, columns: Vec<ParquetColumn>) -> io::Result<Self> {
        let fields: Vec<Field> = columns.into_iter().map(|column| Field::new(column.name, column.kind, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).map_err(failed)?;
        Ok(Self { writer, schema })
    }

    /// Writes rows below those before.
    ///
    /// # Errors
    /// The error of the output, or columns of another type.
    pub fn write(&mut self, columns: Vec<ArrayRef>) -> io::Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(failed)
    }

    /// The output, with the whole table in it.
    ///
    /// # Errors
    /// The error of the output.
    pub fn into_inner(self) -> io::Result<W> {
        self.writer.into_inner().map_err(failed)
    }
}

/// The names of classes as a column: whole numbers and truth values as such, where all are.
pub struct ClassColumn(ArrayRef);

impl ClassColumn {
    /// Those of a model.
    #[must_use]
    pub fn of(names: &[String]) -> Self {
        let number = |name: &String| name.parse::<i64>().ok().filter(|number| number.to_string() == *name);
        let truth = |name: &String| name.parse::<bool>().ok();
        if let Some(numbers) = names.iter().map(number).collect::<Option<Vec<_>>>() {
            return Self(Arc::new(Int64Array::from(numbers)));
        }
        if let Some(truths) = names.iter().map(truth).collect::<Option<Vec<_>>>() {
            return Self(Arc::new(BooleanArray::from(truths)));
        }
        Self(Arc::new(StringArray::from_iter_values(names)))
    }

    /// Type of its cells.
    #[must_use]
    pub fn kind(&self) -> DataType {
        self.0.data_type().clone()
    }

    /// The names of some classes.
    ///
    /// # Errors
    /// A class that is not there.
    pub fn cells(&self, classes: &[u32]) -> io::Result<ArrayRef> {
        take(&self.0, &UInt32Array::from(classes.to_vec()), None).map_err(io::Error::other)
    }
}

/// A column of numbers.
#[must_use]
pub fn number_column(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}
