//! Data sets in pieces: rows as they are read, for those who do not keep them all.
//!
//! A piece has some megabytes. Formats that are read as a whole, and tables that have to be encoded by all their rows, are not read so.

use super::{DataConfig, DataError, Reading, arrow, parquet, weights};
use crate::data::blocks::DataPart;
use crate::data::precision::blurred;
use crate::data::{Features, ImageShape, LabelColumn};
use std::path::Path;

/// Bytes of the features of a piece, about.
pub(super) const PIECE: usize = 4 << 20;

/// Some rows of a part.
#[derive(Debug)]
pub struct RowPiece {
    /// One row a sample.
    pub features: Features<'static>,
    /// A label a row.
    pub labels: LabelColumn,
    /// A weight a row, where rows have weights.
    pub weights: Option<Vec<f32>>,
}

/// Target of pieces.
pub type PieceSink<'a> = dyn FnMut(DataPart, RowPiece) -> Result<(), DataError> + Send + 'a;

/// Facts about data that were read in pieces.
#[derive(Debug, Default)]
pub struct StreamedData {
    /// The classes in column order, where the format names them.
    pub class_names: Option<Vec<String>>,
    /// The names of the features.
    pub feature_names: Option<Vec<String>>,
    /// For image data.
    pub image_shape: Option<ImageShape>,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Whether the first column of sparse rows is that of index 0, which no row has and nobody has asked for.
    pub first_is_unused: bool,
}

impl DataConfig {
    /// Reads the data set in pieces, first the rows to train on; `None` where it has to be read as a whole.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`], and those of the sink. Mistakes that only all rows together can have are left to the sink.
    pub fn in_pieces(
        &self,
        reading: &Reading<'_>,
        sink: &mut PieceSink<'_>,
    ) -> Result<Option<StreamedData>, DataError> {
        let mut double = None;
        let mut settled = |part, piece: RowPiece| sink(part, settle(piece, &mut double));
        match self {
            Self::Csv(config) => config.in_pieces(reading, sink),
            Self::Libsvm(config) => config.in_pieces(sink).map(Some),
            Self::Parquet(config) => config.in_pieces::<parquet::ParquetFile>(reading, &mut settled),
            Self::Arrow(config) => config.in_pieces::<arrow::ArrowFile>(reading, &mut settled),
            Self::Idx(config) => config.in_pieces(sink).map(Some),
            Self::Npy(config) => config.in_pieces(reading, &mut settled),
            Self::Cifar(config) => config.in_pieces(sink),
            Self::Digits(_) | Self::Images(_) | Self::Blocks(_) => Ok(None),
        }
    }
}

/// Rows in double precision stay so where single precision would blur a column of the first of them.
fn settle(piece: RowPiece, double: &mut Option<bool>) -> RowPiece {
    if !matches!(piece.features, Features::F64(_)) {
        return piece;
    }
    let stays = *double.get_or_insert_with(|| !blurred(&piece.features).is_empty());
    RowPiece { features: if stays { piece.features } else { piece.features.in_single() }, ..piece }
}

/// Row weights of a text file, given to the rows of the train part as they come.
pub(super) struct WeightFeed<'a> {
    file: Option<&'a Path>,
    weights: Vec<f32>,
    taken: usize,
}

impl<'a> WeightFeed<'a> {
    pub(super) fn open(file: Option<&'a Path>) -> Result<Self, DataError> {
        let weights = file.map(weights::of_file).transpose()?.unwrap_or_default();
        Ok(Self { file, weights, taken: 0 })
    }

    /// Those of the next rows.
    pub(super) fn next(&mut self, rows: usize) -> Result<Option<Vec<f32>>, DataError> {
        let Some(file) = self.file else { return Ok(None) };
        self.taken += rows;
        match self.weights.get(self.taken - rows..self.taken) {
            Some(found) => Ok(Some(found.to_vec())),
            None => weights::fitting(self.weights.clone(), file, self.taken).map(Some),
        }
    }

    /// Refuses weights that are left over.
    pub(super) fn end(self) -> Result<(), DataError> {
        self.file.map_or(Ok(()), |file| weights::fitting(self.weights, file, self.taken).map(drop))
    }
}

/// Rows of so many bytes that make a piece.
pub(super) const fn rows_of(bytes: usize) -> usize {
    if bytes == 0 || bytes > PIECE { 1 } else { PIECE / bytes }
}
