//! File formats: one file each, behind one list.
//!
//! A format adds a file with its config table, its `load` for a whole data set and its `read` for one file, a variant and an
//! arm in each match below. Readers give a [`Table`] a file; `assemble` makes a [`Dataset`] of a train and a test part and is
//! the one place that decides about classes. Files are opened in `open` only.

mod append;
mod arrow;
mod assemble;
pub mod blocks;
mod caught;
pub mod cifar;
pub mod columns;
pub mod csv;
pub(crate) mod date;
pub mod digits;
mod error;
mod float;
mod foreign;
pub mod idx;
pub mod images;
mod known;
mod labels;
pub mod libsvm;
pub mod limit;
pub mod npy;
pub mod open;
pub mod parquet;
pub mod pieces;
mod precision;
mod random;
pub mod reading;
pub mod stream;
mod table;
mod weights;
mod zstd;

pub use arrow::table::TypedConfig;
pub use arrow::text::KeptColumn;
pub(crate) use assemble::{FilePart, assemble, check_classes, check_size, class_rule, unseen_label};
pub use blocks::BlocksConfig;
pub use cifar::{CifarConfig, CifarLabels};
pub use columns::{ColumnRef, ModelColumns};
pub use csv::CsvConfig;
pub use digits::DigitsConfig;
pub(crate) use error::Complaint;
pub use error::{DataError, DataErrorKind, Position};
pub use idx::IdxConfig;
pub use images::ImagesConfig;
pub use labels::{Classes, class_names, many_classes};
pub use libsvm::LibsvmConfig;
pub use npy::NpyConfig;
pub use open::ByteSource;
pub use precision::FloatType;
pub use reading::{CellRules, Reading};
pub use table::Table;

use crate::data::Dataset;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The `[data.*]` table of a configuration: which format, and where its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataConfig {
    /// The digits inside the program.
    Digits(DigitsConfig),
    /// MNIST-style idx files.
    Idx(IdxConfig),
    /// CIFAR binary batches.
    Cifar(CifarConfig),
    /// libsvm text.
    Libsvm(LibsvmConfig),
    /// csv and tsv text.
    Csv(CsvConfig),
    /// NumPy's arrays and archives.
    Npy(NpyConfig),
    /// Parquet tables.
    Parquet(TypedConfig),
    /// Tables of Arrow IPC and Feather.
    Arrow(TypedConfig),
    /// Folders of images.
    Images(ImagesConfig),
    /// A folder of packed blocks.
    Blocks(BlocksConfig),
}

impl DataConfig {
    /// The name of the table in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Digits(_) => "digits",
            Self::Idx(_) => "idx",
            Self::Cifar(_) => "cifar",
            Self::Libsvm(_) => "libsvm",
            Self::Csv(_) => "csv",
            Self::Npy(_) => "npy",
            Self::Parquet(_) => "parquet",
            Self::Arrow(_) => "arrow",
            Self::Images(_) => "images",
            Self::Blocks(_) => "blocks",
        }
    }

    /// The table or key of the configuration, as it is written there.
    #[must_use]
    pub fn heading(&self) -> String {
        match self {
            Self::Blocks(_) => "`blocks` of [data]".into(),
            other => format!("[data.{}]", other.name()),
        }
    }

    /// The configured paths with their keys, of which that of blocks is empty, to be resolved and checked before anything is read.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        match self {
            Self::Digits(config) => config.paths_mut(),
            Self::Idx(config) => config.paths_mut(),
            Self::Cifar(config) => config.paths_mut(),
            Self::Libsvm(config) => config.paths_mut(),
            Self::Csv(config) => config.paths_mut(),
            Self::Npy(config) => config.paths_mut(),
            Self::Parquet(config) | Self::Arrow(config) => config.paths_mut(),
            Self::Images(config) => config.paths_mut(),
            Self::Blocks(config) => config.paths_mut(),
        }
    }

    /// Reads the whole data set as features.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`].
    pub fn load(&self) -> Result<Dataset, DataError> {
        self.load_as(&Reading { float: FloatType::Auto, ..Reading::default() })
    }

    /// Reads the whole data set. Of a table with something to encode it has a frame, and no features yet.
    ///
    /// # Errors
    /// Path: a file that is not there or cannot be opened. Content: a file that does not hold what its format says, a test
    /// part that does not fit the train part, fewer than two classes.
    pub fn load_as(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let float = reading.float;
        match self {
            Self::Digits(config) => config.load(),
            Self::Idx(config) => config.load(),
            Self::Cifar(config) => config.load(),
            Self::Libsvm(config) => config.load_as(float),
            Self::Csv(config) => config.load(reading),
            Self::Npy(config) => config.load(reading),
            Self::Parquet(config) => config.load_as::<parquet::ParquetFile>(reading),
            Self::Arrow(config) => config.load_as::<arrow::ArrowFile>(reading),
            Self::Images(config) => config.load(),
            Self::Blocks(config) => config.load(float),
        }
    }
}

/// The formats of single files, as `predict` and `evaluate` take them; files are held against them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// NumPy's `.npy` or `.npz`.
    Npy,
    /// A Parquet table.
    Parquet,
    /// A table of Arrow IPC or Feather.
    Arrow,
    /// An image: one row.
    Images,
    /// MNIST-style idx images.
    Idx,
    /// CIFAR binary batch.
    Cifar,
    /// libsvm text.
    Libsvm,
    /// csv or tsv text.
    Csv,
}

impl Format {
    /// The name, as `--format` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idx => "idx",
            Self::Cifar => "cifar",
            Self::Libsvm => "libsvm",
            Self::Csv => "csv",
            Self::Npy => "npy",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Images => "images",
        }
    }

    /// Tells the format by the file's name and its first bytes after decompression.
    #[must_use]
    pub fn detect(path: &Path, head: &[u8]) -> Option<Self> {
        Self::value_variants().iter().copied().find(|format| match format {
            Self::Idx => idx::detect(head),
            Self::Cifar => cifar::detect(path, head),
            Self::Libsvm => libsvm::detect(head) && !csv::is_likelier(path, head),
            Self::Csv => csv::detect(path, head),
            Self::Npy => npy::detect(head),
            Self::Parquet => parquet::detect(head),
            Self::Arrow => arrow::detect(head),
            Self::Images => images::detect(head),
        })
    }

    fn read(self, source: ByteSource, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
        let is_table = matches!(self, Self::Csv | Self::Npy | Self::Parquet | Self::Arrow);
        if wanted.is_some_and(|wanted| !wanted.keep.is_empty()) && !is_table {
            let problem = format!("--keep: found {self}, which has no columns to keep");
            return Err(DataError::content(source.file(), Position::File, problem)
                .with_hint("columns can be kept of csv, Parquet, Arrow and npz files"));
        }
        match self {
            Self::Idx => idx::read(source),
            Self::Cifar => cifar::read(source),
            Self::Libsvm => libsvm::read(source, wanted),
            Self::Csv => csv::read(source, wanted),
            Self::Npy => npy::read(source, wanted),
            Self::Parquet => arrow::table::read::<parquet::ParquetFile>(source, wanted),
            Self::Arrow => arrow::table::read::<arrow::ArrowFile>(source, wanted),
            Self::Images => images::read(source, wanted),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads one file, a folder of Parquet or Arrow part files, or standard input for `-`, with its labels where it has them.
///
/// # Errors
/// Path: the file is not there or cannot be opened. Content: it is not of the format, or no format is given and none fits.
pub fn read_table(path: &Path, format: Option<Format>) -> Result<Table, DataError> {
    read_for(path, format, None)
}

/// Reads one file for a model, which expects a table with the columns of `wanted`.
///
/// # Errors
/// As [`read_table`], and content where a column that the model has as a feature is not there.
pub fn read_table_for(path: &Path, format: Option<Format>, wanted: &ModelColumns) -> Result<Table, DataError> {
    read_for(path, format, Some(wanted))
}

fn read_for(path: &Path, format: Option<Format>, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    if path.is_dir()
        && format.is_none()
        && let Some(table) = arrow::table::read_folder(path, wanted)
    {
        return table;
    }
    read_source(ByteSource::open(path)?, format, wanted)
}

/// Reads a source that is open already, bytes in memory for example, as [`read_table_for`] does.
///
/// # Errors
/// As [`read_table_for`].
pub fn read_source(
    source: ByteSource,
    format: Option<Format>,
    wanted: Option<&ModelColumns>,
) -> Result<Table, DataError> {
    let Some(format) = format.or_else(|| Format::detect(source.file(), source.head())) else {
        let found = open::looks_like(source.head());
        let names = Format::value_variants().iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
        let problem = format!("found {found}, expected one of {names}");
        let error = DataError::content(source.file(), Position::File, problem);
        return Err(match found {
            "an empty file" => error,
            "text" => error
                .with_hint("name the format with --format: `csv` for cells between commas, semicolons, tabs or blanks"),
            _ => error.with_hint("name the format with --format"),
        });
    };
    format.read(source, wanted)
}

/// Text of the user's in backticks: shortened, control characters escaped.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 40;
    let cut = if text.chars().count() > LONGEST { "..." } else { "" };
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    format!("`{shown}{cut}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn each_table_is_read_and_written() {
        for (text, keys) in [
            ("[digits]\n", &[][..]),
            ("[idx]\ntrain_images = \"a\"\ntrain_labels = \"b\"\n", &["train_images", "train_labels"]),
            ("[cifar]\ndir = \"a\"\nlabels = \"coarse\"\n", &["dir"]),
            ("[libsvm]\ntrain = \"a\"\ntest = \"b\"\n", &["train", "test"]),
            ("[csv]\ntrain = \"a\"\nlabel = -1\nignore = [\"id\", 3]\ndelimiter = \"\\t\"\n", &["train"]),
            ("[npy]\ntrain = \"a\"\n\n[npy.arrays]\nlabels = \"l\"\n", &["train"]),
            ("[parquet]\ntrain = \"a\"\ntest = \"b\"\nlabel = \"y\"\n", &["train", "test"]),
            ("[arrow]\ntrain = \"a\"\nlabel = -1\nignore = [\"id\"]\n", &["train"]),
            ("[images]\ntrain = \"a\"\ntest = \"b\"\n", &["train", "test"]),
            ("blocks = \"a\"\n", &[""]),
        ] {
            let mut config = parse(text).unwrap();
            assert_eq!(toml::to_string(&config).unwrap(), text);
            assert_eq!(config.paths_mut().into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
        }
        assert!(parse("[digits]\ndir = \"a\"\n").unwrap_err().to_string().contains("unknown field `dir`"));
        assert!(parse("[cifar]\n").unwrap_err().to_string().contains("missing field `dir`"));
    }

    #[test]
    fn every_format_is_known_by_its_name() {
        for format in Format::value_variants() {
            assert_eq!(Format::from_str(format.name(), false), Ok(*format));
        }
    }

    #[test]
    fn a_quoted_text_is_short_and_printable() {
        assert_eq!(quote("a\u{1b}b"), "`a\\u{1b}b`");
        assert_eq!(quote(&"x".repeat(100)), format!("`{}...`", "x".repeat(40)));
    }
}
