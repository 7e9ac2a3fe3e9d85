//! libsvm (svmlight) text: a line a row, only the cells that are not zero.
//!
//! ```text
//! LABEL INDEX:VALUE INDEX:VALUE ...  # comment
//! ```
//! Indices increase within a line; they count from 1, or from 0 where `index_base` says so or an index 0 is seen. A label is an integer (`1`, `+1` and `1.0` are the same) or any other
//! word. Blank lines and comments are skipped; blanks may be tabs, lines may end in CRLF. Ranking data (`qid:`) are refused.
//!
//! # References
//! C.-C. Chang and C.-J. Lin, *LIBSVM: a library for support vector machines*, README, section "Usage";
//! T. Joachims, *SVMlight*, section "How to use".

mod blocks;
mod line;

use super::columns::ModelColumns;
use super::foreign;
use super::open::{ByteSource, is_text};
use super::pieces::{PieceSink, RowPiece, StreamedData, WeightFeed};
use super::precision::{FloatType, dense_in_double, exact, is_regular};
use super::{FilePart, assemble, quote};
use crate::data::blocks::DataPart;
use crate::data::{Csr, Dataset, Features, LabelColumn, precision};
use crate::format::{DataError, Position, Table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[data.libsvm]`: text files, plain or compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibsvmConfig {
    /// The rows to train on.
    pub train: PathBuf,
    /// The rows of the test part; features that train does not have are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// A text file with a weight a line for each row to train on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The index of the first feature.
    #[serde(default, skip_serializing_if = "IndexBase::is_auto")]
    pub index_base: IndexBase,
}

/// The index of the first feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BaseText", into = "BaseText")]
pub enum IndexBase {
    /// 0 where an index 0 is seen, else 1.
    #[default]
    Auto,
    /// 0, as scikit-learn's `dump_svmlight_file` counts by default.
    Zero,
    /// 1, as LIBSVM counts.
    One,
}

/// As TOML has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected 0, 1 or \"auto\"")]
enum BaseText {
    Number(i64),
    Name(String),
}

impl TryFrom<BaseText> for IndexBase {
    type Error = String;

    fn try_from(text: BaseText) -> Result<Self, String> {
        match text {
            BaseText::Number(0) => Ok(Self::Zero),
            BaseText::Number(1) => Ok(Self::One),
            BaseText::Name(name) if name == "auto" => Ok(Self::Auto),
            BaseText::Number(number) => Err(format!("found {number}, expected 0, 1 or \"auto\"")),
            BaseText::Name(name) => Err(format!("found {}, expected 0, 1 or \"auto\"", quote(&name))),
        }
    }
}

impl From<IndexBase> for BaseText {
    fn from(base: IndexBase) -> Self {
        match base {
            IndexBase::Auto => Self::Name("auto".into()),
            IndexBase::Zero => Self::Number(0),
            IndexBase::One => Self::Number(1),
        }
    }
}

impl IndexBase {
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl LibsvmConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths.extend(self.weights.as_mut().map(|path| ("weights", path)));
        paths
    }

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load_as(&self, float: FloatType) -> Result<Dataset, DataError> {
        self.load_by(float, self.index_base)
    }

    /// Reads both parts in pieces, in single precision. Where the base is open, indices are taken as they stand.
    pub(super) fn in_pieces(&self, sink: &mut PieceSink<'_>) -> Result<StreamedData, DataError> {
        let base = u32::from(self.index_base == IndexBase::One);
        let mut has_zero = false;
        let mut feed = WeightFeed::open(self.weights.as_deref())?;
        let mut part = |part: DataPart, path: &Path| {
            blocks::visit(opened(path)?, base, &mut |rows, labels| {
                has_zero |= (0..rows.n_rows()).any(|row| rows.row(row).0.first() == Some(&0));
                let weights = if part == DataPart::Train { feed.next(labels.len())? } else { None };
                sink(part, RowPiece { features: Features::Sparse(rows), labels, weights })
            })
        };
        part(DataPart::Train, &self.train)?;
        self.test.as_deref().map_or(Ok(()), |test| part(DataPart::Test, test))?;
        feed.end()?;
        let first_is_unused = self.index_base == IndexBase::Auto && !has_zero;
        let mut facts = StreamedData { first_is_unused, ..StreamedData::default() };
        facts.notes.extend((self.index_base == IndexBase::Auto && has_zero).then(|| self.note_of_zero()));
        Ok(facts)
    }

    fn note_of_zero(&self) -> String {
        format!(
            "{}: found an index 0, indices count from 0: `index_base = 0` of [data.libsvm] says so of files without one, too",
            self.train.display()
        )
    }

    /// The same with indices from a base; `auto` is decided by both parts together.
    fn load_by(&self, float: FloatType, base: IndexBase) -> Result<Dataset, DataError> {
        let (mut notes, mut base_of_test, mut base_of_train) = (Vec::new(), base, base);
        let single = |path: &Path, base: &mut IndexBase| read_part(path, CellStorage::Single, base, &mut Vec::new());
        // A file that can be read twice is read at the same time.
        let meanwhile = self.test.as_deref().filter(|path| float != FloatType::F64 && is_regular(path));
        let (train, early) = rayon::join(
            || read_part(&self.train, float.into(), &mut base_of_train, &mut notes),
            || meanwhile.map(|path| single(path, &mut base_of_test)).transpose(),
        );
        let (train, early) = (train?, early?);
        let test = match (&train.features, &self.test, early) {
            (_, None, _) => None,
            (Features::F64(rows), Some(path), _) => {
                Some(read_part(path, CellStorage::Double(Some(rows.n_features())), &mut base_of_test, &mut notes)?)
            }
            (_, Some(_), Some(early)) => Some(early),
            (_, Some(path), None) => Some(single(path, &mut base_of_test)?),
        };
        if test.is_some() && base_of_test != base_of_train {
            return self.load_by(float, IndexBase::Zero);
        }
        if self.index_base == IndexBase::Auto && base_of_train == IndexBase::Zero {
            notes.push(self.note_of_zero());
        }
        assemble(train.weighted_by(self.weights.as_deref())?, test, None, notes)
    }
}

/// Representation of the cells.
#[derive(Debug, Clone, Copy)]
enum CellStorage {
    /// Sparse rows in single precision.
    Single,
    /// Dense rows in double precision, with the number of features where it is known.
    Double(Option<usize>),
    /// The latter where single precision would blur a column and most cells are stored.
    Auto,
}

impl From<FloatType> for CellStorage {
    fn from(float: FloatType) -> Self {
        match float {
            FloatType::F32 => Self::Single,
            FloatType::F64 => Self::Double(None),
            FloatType::Auto => Self::Auto,
        }
    }
}

/// True for the first bytes of a text with `INDEX:VALUE` cells.
pub(super) fn detect(head: &[u8]) -> bool {
    is_text(head) && line::first_cells(head).is_some()
}

/// Reads a file whose rows all have a label, or all have none.
pub(super) fn read(source: ByteSource, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    let labelled = line::first_cells(source.head()) != Some(line::FirstCells::WithoutLabel);
    let width = wanted.filter(|wanted| wanted.double).map(|wanted| wanted.n_features);
    let file = source.file().to_path_buf();
    let base = &mut wanted.map_or(IndexBase::Auto, |wanted| wanted.index_base);
    let (features, labels) = match width {
        Some(_) => {
            let (rows, labels) = blocks::read(source, labelled, base)?;
            (dense_in_double(rows, width, &file, &mut Vec::new())?, labels)
        }
        None => single(blocks::read(source, labelled, base)?),
    };
    let labels = if labelled { Some(labels) } else { None };
    Ok(Table { labels, ..Table::of(features) })
}

fn read_part(
    path: &Path,
    cells: CellStorage,
    base: &mut IndexBase,
    notes: &mut Vec<String>,
) -> Result<FilePart, DataError> {
    let open = || opened(path);
    let (features, labels) = match cells {
        CellStorage::Single => single(blocks::read(open()?, true, base)?),
        CellStorage::Double(width) => {
            let (rows, labels) = blocks::read(open()?, true, base)?;
            (dense_in_double(rows, width, path, notes)?, labels)
        }
        CellStorage::Auto if is_regular(path) => {
            let (found, labels) = single(blocks::read(open()?, true, base)?);
            let doubtful = !precision::blurred(&found).is_empty();
            let rows = if doubtful { exact(blocks::read(open()?, true, base)?.0, path, notes)? } else { None };
            (rows.unwrap_or(found), labels)
        }
        CellStorage::Auto => {
            let (rows, labels) = blocks::read::<f64>(open()?, true, base)?;
            let rounded = rows.in_single();
            (exact(rows, path, notes)?.unwrap_or(Features::Sparse(rounded)), labels)
        }
    };
    Ok(FilePart::new(path, path, features, labels))
}

fn opened(path: &Path) -> Result<ByteSource, DataError> {
    let source = ByteSource::open(path)?;
    if !source.head().is_empty() && !is_text(source.head()) {
        return Err(foreign::unexpected(path, source.head(), Position::File, "libsvm text"));
    }
    Ok(source)
}

fn single((rows, labels): (Csr<'static, u32, f32>, LabelColumn)) -> (Features<'static>, LabelColumn) {
    (Features::Sparse(rows), labels)
}

#[cfg(test)]
mod tests;
