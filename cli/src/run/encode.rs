//! The encoding of a table: fitted on the training rows, or that of a model.

use super::RunError;
use crate::config::LoadedConfig;
use crate::data::encoding::{Code, EncodedColumn};
use crate::data::{Cells, Dataset, Encoding, EncodingError, Frame, LabelColumn, Scaler};
use crate::format::reading::{encoding_error, unseen_note};
use crate::format::{DataError, Position, quote};
use std::path::PathBuf;

/// The data encoded on some rows, or as it is where nothing has to be encoded.
///
/// # Errors
/// [`RunError::Data`] for a missing cell that nothing fills.
pub(crate) fn encoded_on(config: &LoadedConfig, data: &Dataset, rows: &[u32]) -> Result<Option<Dataset>, RunError> {
    let Some(frame) = &data.frame else { return Ok(None) };
    let wrong = |e: EncodingError| located(config, data, &e);
    let encoding = Encoding::fit(frame, rows, config.run.preprocess.missing_config()).map_err(wrong)?;
    Ok(Some(data.encoded(encoding).map_err(wrong)?.0))
}

/// The data encoded as a model has it, with notes about categories that it has not seen.
pub(super) fn encoded_by(
    config: &LoadedConfig,
    data: &Dataset,
    encoding: &Encoding,
) -> Result<(Dataset, Vec<String>), RunError> {
    let (encoded, unseen) = data.encoded(encoding.clone()).map_err(|e| located(config, data, &e))?;
    Ok((encoded, unseen.iter().map(unseen_note).collect()))
}

/// The preprocessing of a configuration, fitted on some rows; categories and indicators are left as they are.
pub(crate) fn scaler(config: &LoadedConfig, data: &Dataset, rows: &[u32]) -> Scaler {
    let preprocess = &config.run.preprocess;
    let fitted = Scaler::fit(&data.features, rows, preprocess.center, preprocess.scale);
    fitted.without(data.encoding.iter().flat_map(Encoding::binary))
}

/// An error at its record of the train or the test part.
fn located(config: &LoadedConfig, data: &Dataset, error: &EncodingError) -> RunError {
    let files: Vec<PathBuf> = config.run.data.clone().paths_mut().into_iter().map(|(_, path)| path.clone()).collect();
    let train = files.first().cloned().unwrap_or_default();
    let found = encoding_error(&train, error);
    match found.position {
        Position::Record(row) if row > data.n_train => {
            let file = files.get(1).cloned().unwrap_or(train);
            DataError { file, position: Position::Record(row - data.n_train), ..found }.into()
        }
        _ => found.into(),
    }
}

/// Number of categories that draws no warning.
const FEW: usize = 50;

/// Probable mistakes in columns of words: names of rows rather than categories, and numbers with a slip among them.
pub(super) fn warnings(frame: &Frame, encoding: &Encoding, n_train: usize) -> Vec<String> {
    let columns = encoding.columns().iter().zip(frame.columns());
    columns
        .filter_map(|(column, found)| match (&column.code, &found.cells) {
            (Code::Category { names, .. }, Cells::Words(words)) => warning(column, names, words, n_train),
            _ => None,
        })
        .collect()
}

fn warning(column: &EncodedColumn, names: &[String], words: &LabelColumn, n_train: usize) -> Option<String> {
    let name = column.name.as_deref().map_or_else(|| "a column".to_owned(), |name| format!("column {}", quote(name)));
    let is_number: Vec<bool> = words.names().iter().map(|word| word.parse::<f64>().is_ok()).collect();
    let (mut numbers, mut others, mut first) = (0usize, 0usize, None);
    for (row, &id) in words.ids().iter().enumerate() {
        if is_number[id as usize] {
            numbers += 1;
        } else if !words.names()[id as usize].is_empty() {
            others += 1;
            first.get_or_insert(row);
        }
    }
    if let Some(row) = first.filter(|_| numbers > 9 * others) {
        return Some(format!(
            "{name} is taken for categories, because {others} of its cells are no numbers, as {} of record {}; {numbers} are numbers",
            quote(words.name(row)),
            row + 1
        ));
    }
    (names.len() > FEW && 2 * names.len() > n_train).then(|| {
        format!(
            "{name} has {} categories in {n_train} training rows: does it name the rows? `ignore` of [data.csv] leaves it out",
            names.len()
        )
    })
}
