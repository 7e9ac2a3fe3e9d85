//! Apache Parquet: tables whose columns have names and types, written by pandas, pyarrow, polars, DuckDB, Spark.
//!
//! ```text
//! PAR1 | column chunks: pages of values, each compressed | footer: schema, row groups, where the chunks lie | length | PAR1
//! ```
//! The crate `parquet` decodes pages into arrays of Arrow, a column of some rows at a time; `arrow` has what
//! becomes of those. Compressions: none, snappy, gzip, zstd, lz4_raw. Here are the limits of memory: the crate asks for what
//! the header of a page promises, so each header is held against the bytes behind it first.
//!
//! # References
//! Apache Parquet, *File format* and *Encodings*, <https://parquet.apache.org/docs/file-format/>.

mod chunks;
pub mod write;

use super::arrow::parts::{ColumnBatch, Portion, TypedFile, damaged, in_words, wrong};
use super::caught::caught;
use super::foreign;
use super::open::ByteSource;
use super::random::RandomBytes;
use super::{DataError, Position, quote};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::Compression;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use arrow_array::{Array, ArrayRef};
use arrow_schema::SchemaRef;
use chunks::{Chunk, Chunks};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8] = b"PAR1";
/// True for the first bytes of a file.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// A file whose footer has been read.
pub(super) struct ParquetFile {
    bytes: RandomBytes,
    metadata: ArrowReaderMetadata,
}

impl TypedFile for ParquetFile {
    const EXTENSIONS: &'static [&'static str] = &["parquet", "parq", "pq"];

    /// Reads the footer; a file from a pipe, or compressed once more, is kept in memory.
    fn open(source: ByteSource) -> Result<Self, DataError> {
        if !source.head().starts_with(MAGIC) {
            return Err(foreign::unexpected(source.file(), source.head(), Position::Byte(0), "a Parquet file"));
        }
        let bytes = RandomBytes::of(source)?;
        let (path, len) = (bytes.path(), bytes.len());
        let tail = bytes.range(len.saturating_sub(8), len.min(8))?;
        let footer_len = match tail.split_first_chunk() {
            Some((len, b"PAR1")) => u64::from(u32::from_le_bytes(*len)),
            Some((_, b"PARE")) => {
                return Err(wrong(path, "the file is encrypted").with_hint("write it again without encryption"));
            }
            _ => {
                let problem = "the file is cut off: its footer is missing";
                return Err(wrong(path, problem).with_hint("get the file again"));
            }
        };
        let Some(start) = len.checked_sub(footer_len + 12) else {
            return Err(damaged(path, "the footer is longer than the file"));
        };
        let footer = bytes.range(start + 4, footer_len)?;
        let metadata = caught(|| metadata(&footer)).unwrap_or_else(|| Err("its numbers do not fit together".into()));
        let metadata = metadata.map_err(|problem| damaged(path, &format!("the footer is damaged: {problem}")))?;
        Ok(Self { bytes, metadata })
    }

    fn path(&self) -> &Path {
        self.bytes.path()
    }

    fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    fn n_rows(&self) -> Option<u64> {
        Some(self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().unsigned_abs()).sum())
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn beginning(&mut self, column: usize) -> Result<Option<ArrayRef>, DataError> {
        let groups = self.metadata.metadata().row_groups();
        let Some(group) = groups.iter().position(|group| group.num_rows() > 0) else { return Ok(None) };
        self.next(column, &mut self.reader(group, column, 1)?).map(Some)
    }

    fn read(
        &mut self,
        columns: &[usize],
        portion: Portion,
        sink: &mut dyn FnMut(ColumnBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut first = 0;
        for (group, about) in self.metadata.metadata().row_groups().iter().enumerate() {
            let n_rows = usize::try_from(about.num_rows()).unwrap_or(0);
            for some in columns.chunks(portion.columns) {
                let readers = some.iter().map(|&c| Ok((c, self.reader(group, c, portion.rows.min(n_rows))?)));
                let mut readers = readers.collect::<Result<Vec<_>, DataError>>()?;
                let mut at = 0;
                while at < n_rows {
                    let next = |(column, reader): &mut (usize, _)| Ok((*column, self.next(*column, reader)?));
                    let columns: Vec<Result<(usize, ArrayRef), DataError>> = readers.par_iter_mut().map(next).collect();
                    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
                    let n = columns[0].1.len();
                    if n == 0 || n > n_rows - at || columns.iter().any(|(_, array)| array.len() != n) {
                        return Err(damaged(self.path(), "its columns are not equally long"));
                    }
                    sink(ColumnBatch { first: first + at, columns })?;
                    at += n;
                }
            }
            first += n_rows;
        }
        Ok(())
    }
}

impl ParquetFile {
    /// A reader of one column in one row group.
    fn reader(&self, group: usize, column: usize, most: usize) -> Result<ParquetRecordBatchReader, DataError> {
        let (schema, about) = (self.metadata.parquet_schema(), self.metadata.metadata().row_group(group));
        let name = self.schema().field(column).name();
        let shown = |problem: &str| format!("column {}: {problem}", quote(name));
        let leaves =
            { about.columns().iter().enumerate() }.filter(|(leaf, _)| schema.get_column_root_idx(*leaf) == column);
        let mut chunks = Vec::new();
        for (_, chunk) in leaves {
            check_codec(chunk).map_err(|(problem, hint)| wrong(self.path(), &shown(&problem)).with_hint(hint))?;
            let (start, len) = chunk.byte_range();
            let bytes = self.bytes.range(start, len)?;
            chunks.push(Chunk { start, bytes: bytes.into(), codec: chunk.compression() });
        }
        let build = || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(
                Chunks::new(self.bytes.len(), chunks),
                self.metadata.clone(),
            )
            .with_row_groups(vec![group])
            .with_projection(ProjectionMask::roots(schema, [column]))
            .with_batch_size(most)
            .build()
        };
        let unreadable = || damaged(self.path(), &shown(UNREADABLE));
        caught(build).ok_or_else(unreadable)?.map_err(|e| damaged(self.path(), &shown(&in_words(&e))))
    }

    /// The next rows of a column; none where there are none.
    fn next(&self, column: usize, reader: &mut ParquetRecordBatchReader) -> Result<ArrayRef, DataError> {
        let shown = |problem: &str| format!("column {}: {problem}", quote(self.schema().field(column).name()));
        match caught(|| reader.next()) {
            Some(Some(Ok(batch))) if batch.num_columns() == 1 => Ok(Arc::clone(batch.column(0))),
            Some(Some(Err(error))) => Err(chunks::limit_of(self.path(), &error)
                .unwrap_or_else(|| damaged(self.path(), &shown(&in_words(&error))))),
            Some(None) => Err(damaged(self.path(), &shown("it has fewer values than the footer promises"))),
            Some(Some(Ok(_))) | None => Err(damaged(self.path(), &shown(UNREADABLE))),
        }
    }
}

const UNREADABLE: &str = "its pages do not fit together";

/// Reads the footer, and holds its numbers against each other.
fn metadata(footer: &[u8]) -> Result<ArrowReaderMetadata, String> {
    let metadata = ParquetMetaDataReader::decode_metadata(footer).map_err(|e| in_words(&e))?;
    let rows = { metadata.row_groups().iter() }
        .try_fold(0u64, |sum, group| sum.checked_add(group.num_rows().try_into().ok()?));
    if rows.is_none() || rows != u64::try_from(metadata.file_metadata().num_rows()).ok() {
        return Err("the numbers of rows do not add up".into());
    }
    let n_leaves = metadata.file_metadata().schema_descr().num_columns();
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    if metadata.row_groups().iter().any(|group| group.num_columns() != n_leaves) {
        return Err("a row group has other columns than the schema".into());
    }
    if columns.clone().any(|chunk| chunk.file_path().is_some()) {
        return Err("its data lie in another file".into());
    }
    if columns.any(|chunk| chunk.compressed_size() < 0 || chunk.data_page_offset() < 0) {
        return Err("a column lies before the beginning of the file".into());
    }
    let metadata = Arc::new(without_false_dictionaries(metadata).map_err(|e| in_words(&e))?);
    // The schema of Arrow that pyarrow adds has types that Parquet lacks; where it does not fit, Parquet's own will do.
    let load = |plain| {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(plain);
        ArrowReaderMetadata::try_new(Arc::clone(&metadata), options)
    };
    let loaded =
        caught(|| load(false)).and_then(Result::ok).map_or_else(|| load(true), Ok).map_err(|e| in_words(&e))?;
    if loaded.schema().fields().len() != loaded.parquet_schema().root_schema().get_fields().len() {
        return Err("a column has no type".into());
    }
    Ok(loaded)
}

/// Some writers say that the dictionary lies at byte 0 where there is none.
fn without_false_dictionaries(metadata: ParquetMetaData) -> ::parquet::errors::Result<ParquetMetaData> {
    let is_false = |chunk: &ColumnChunkMetaData| chunk.dictionary_page_offset().is_some_and(|at| at <= 0);
    if !metadata.row_groups().iter().any(|group| group.columns().iter().any(is_false)) {
        return Ok(metadata);
    }
    let mut builder = metadata.into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| {
        let columns = group.columns().iter().cloned().map(|chunk| {
            if is_false(&chunk) { chunk.into_builder().set_dictionary_page_offset(None).build() } else { Ok(chunk) }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        group.into_builder().set_column_metadata(columns).build()
    });
    Ok(builder.set_row_groups(groups.collect::<Result<Vec<_>, _>>()?).build())
}

/// Refuses compressions that are not read.
fn check_codec(chunk: &ColumnChunkMetaData) -> Result<(), (String, &'static str)> {
    let name = match chunk.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) => return Ok(()),
        Compression::ZSTD(_) | Compression::LZ4_RAW => return Ok(()),
        Compression::LZO => "LZO",
        Compression::BROTLI(_) => "Brotli",
        Compression::LZ4 => "Hadoop's LZ4",
    };
    let problem = format!("it is compressed by {name}, expected none, snappy, gzip, zstd or lz4_raw");
    Err((problem, "write it with another compression, for example `pandas.read_parquet(FILE).to_parquet(FILE)`"))
}

#[cfg(test)]
mod tests;
