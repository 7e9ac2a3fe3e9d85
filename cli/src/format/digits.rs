//! The handwritten digits inside the program: 1,797 images of 8×8, values 0 to 16, ten classes.
//!
//! The asset is gzip around records of 65 bytes: 64 pixels row by row, then the digit. `assets/README.md` has the source and
//! the licence, `assets/make_digits.py` makes it.
//!
//! # References
//! E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
//! doi 10.24432/C50P49.

use super::open::ByteSource;
use super::{FilePart, assemble};
use crate::data::{Dataset, Dense, Features, ImageShape, LabelColumn};
use crate::format::{DataError, Position};
use serde::{Deserialize, Serialize};
use std::io::Cursor;
use std::path::{Path, PathBuf};

const ASSET: &[u8] = include_bytes!("../../assets/digits.bin.gz");
const SIDE: usize = 8;
const N_PIXELS: usize = SIDE * SIDE;

/// `[data.digits]`: the bundled digits; the table is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigitsConfig {}

impl DigitsConfig {
    /// No paths.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }

    /// Unpacks the digits.
    ///
    /// # Errors
    /// None, unless the program itself is damaged.
    pub fn load(&self) -> Result<Dataset, DataError> {
        let file = Path::new("digits");
        let mut bytes = Vec::new();
        ByteSource::from_reader(file, Box::new(Cursor::new(ASSET)), None)?.read_all(&mut bytes)?;
        let (records, rest) = bytes.as_chunks::<{ N_PIXELS + 1 }>();
        if !rest.is_empty() {
            return Err(DataError::content(file, Position::Record(records.len() + 1), "the record is cut off"));
        }
        let mut values = Vec::with_capacity(records.len() * N_PIXELS);
        let mut labels = LabelColumn::new();
        for [pixels @ .., digit] in records {
            values.extend_from_slice(pixels);
            labels.push(&digit.to_string());
        }
        let features = Features::U8(Dense::new(N_PIXELS, values));
        let train = FilePart::new(file, file, features, labels);
        let image_shape = Some(ImageShape { channels: 1, height: SIDE, width: SIDE });
        Ok(Dataset { image_shape, ..assemble(train, None, None, Vec::new())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Counts and sums by NumPy 2.4.6 from scikit-learn 1.9.1 (`assets/make_digits.py` prints them).
    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        let digits = DigitsConfig {}.load().unwrap();
        let Features::U8(images) = &digits.features else { panic!("expected bytes") };
        assert_eq!((images.n_rows(), images.n_features(), digits.n_train), (1797, 64, 1797));
        assert_eq!(digits.image_shape, Some(ImageShape { channels: 1, height: 8, width: 8 }));
        let values = || images.values().iter().map(|&v| u64::from(v));
        assert_eq!(values().sum::<u64>(), 561_718);
        assert_eq!(values().zip(1..).map(|(v, i)| v * i).sum::<u64>(), 32_232_145_379);
        assert_eq!(values().max(), Some(16));
        assert_eq!(digits.class_names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        let mut counts = [0; 10];
        digits.labels.iter().for_each(|&class| counts[class as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!((digits.labels[0], digits.labels[1796]), (0, 8));
        assert!(digits.notes.is_empty());
    }
}
