//! A trained classifier: weights with everything needed to apply them to raw features.
//!
//! Scores are computed on the host in f64 with the preprocessing folded into the weights, whatever device trained them, so
//! that every report of an objective or an accuracy comes from one evaluator.

use super::scorer::Scorer;
use super::{Origin, Training};
use crate::calibration::Calibrator;
use crate::data::{Encoding, Features, ImageShape, Scaler};
use crate::loss::Loss;

/// A trained linear classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// `[n_features, n_classes]`, row-major, for preprocessed features.
    pub weight: Vec<f64>,
    /// `[n_classes]`.
    pub bias: Option<Vec<f64>>,
    /// Fitted preprocessing.
    pub scaler: Scaler,
    /// The encoding that makes features of a table, where the rows were not features as they came.
    pub encoding: Option<Encoding>,
    /// Names in column order.
    pub class_names: Vec<String>,
    /// Names of the features, if the training data have any.
    pub feature_names: Option<Vec<String>>,
    /// For image data.
    pub image_shape: Option<ImageShape>,
    /// Source of the weights.
    pub origin: Origin,
}

impl Classifier {
    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.weight.len() / self.n_classes()
    }

    /// Record of the training, for a model trained here.
    #[must_use]
    pub const fn training(&self) -> Option<&Training> {
        match &self.origin {
            Origin::Trained(training) => Some(training),
            Origin::Liblinear(_) => None,
        }
    }

    /// Map from scores to probabilities, if one was fitted.
    #[must_use]
    pub fn calibration(&self) -> Option<&Calibrator> {
        self.training().and_then(|training| training.calibration.as_ref())
    }

    /// The margin loss that it was trained for; `None` for another program's model of another loss.
    #[must_use]
    pub fn loss(&self) -> Option<&Loss> {
        match &self.origin {
            Origin::Trained(training) => Some(&training.loss),
            Origin::Liblinear(model) => model.loss.as_ref(),
        }
    }

    /// The bias, zeros where there is none.
    #[must_use]
    pub fn bias_or_zeros(&self) -> Vec<f64> {
        self.bias.clone().unwrap_or_else(|| vec![0.0; self.n_classes()])
    }

    /// The features of the `most` largest absolute weights of a class, the largest first; those of weight 0 are left out.
    #[must_use]
    pub fn largest_weights(&self, class: usize, most: usize) -> Vec<usize> {
        let size = |&j: &usize| self.weight[j * self.n_classes() + class].abs();
        let mut features: Vec<usize> = (0..self.n_features()).filter(|j| size(j) > 0.0).collect();
        features.sort_by(|a, b| size(b).total_cmp(&size(a)));
        features.truncate(most);
        features
    }

    /// The name of a feature, or its number from 0.
    #[must_use]
    pub fn feature_name(&self, feature: usize) -> String {
        let named = self.feature_names.as_ref().map(|names| names[feature].clone());
        named.unwrap_or_else(|| format!("feature {feature}"))
    }

    /// Weight and bias in single precision, as a device computes with them.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn narrow(&self) -> (Vec<f32>, Option<Vec<f32>>) {
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        (narrow(&self.weight), self.bias.as_deref().map(narrow))
    }

    /// Weights and bias for raw features, in f64: `weight[j, k] / scale_j` and `bias_k − Σ_j mean_j·weight[j, k]/scale_j`.
    ///
    /// `None` where rows are brought to unit length, which no weights can express.
    #[must_use]
    pub fn folded_weights(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        if self.scaler.unit_row {
            return None;
        }
        let (weight, offset, bias) = self.scorer().folded();
        Some((weight, bias.iter().zip(&offset).map(|(b, o)| b + o).collect()))
    }

    /// Weights divided by the scale of their feature, and the bias, in f64: for rows that were centred and brought to unit length.
    #[must_use]
    pub fn scaled_weights(&self) -> (Vec<f64>, Vec<f64>) {
        let (weight, _, bias) = self.scorer().folded();
        (weight, bias)
    }

    /// Scorer of raw rows.
    pub(crate) fn scorer(&self) -> Scorer<'_> {
        Scorer::new(&self.weight, self.bias.as_deref(), &self.scaler, self.n_classes())
    }

    /// Folds a function over the scores of the given rows, in parallel over fixed chunks; the results come in row order, so
    /// that a sum over them does not depend on the number of threads.
    ///
    /// `visit` gets the accumulator, the position in `rows` and the scores `[n_classes]`.
    pub fn fold_scores<T: Send>(
        &self,
        features: &Features,
        rows: &[u32],
        init: impl Fn() -> T + Sync,
        visit: impl Fn(&mut T, usize, &[f64]) + Sync,
    ) -> Vec<T> {
        let visit = |state: &mut T, position: usize, scores: &[f64], _: f64| visit(state, position, scores);
        self.scorer().fold(features, rows, false, init, visit)
    }

    /// The scores of the given rows, `[rows, n_classes]` row-major.
    #[must_use]
    pub fn scores(&self, features: &Features, rows: &[u32]) -> Vec<f64> {
        self.fold_scores(features, rows, Vec::new, |out: &mut Vec<f64>, _, s| out.extend_from_slice(s)).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Center, Scale};
    use crate::data::{Csr, Dense};
    use crate::loss::{Formulation, Power};
    use crate::model::BiasRule;

    fn classifier(scaler: Scaler, d: u32) -> Classifier {
        Classifier {
            weight: (0..d * 3).map(|i| (f64::from(i) * 0.37).sin()).collect(),
            bias: Some(vec![0.5, -1.0, 0.25]),
            scaler,
            encoding: None,
            class_names: ["a", "b", "c"].map(String::from).to_vec(),
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(Training {
                loss: Loss::new(Formulation::WestonWatkins, 1.0, Power::One),
                lambda: 1.0,
                n_samples: 1,
                bias: BiasRule::Free,
                center: Center::None,
                scale: Scale::None,
                config: String::new(),
                calibration: None,
            }),
        }
    }

    #[test]
    fn folded_scores_equal_scores_of_preprocessed_rows() {
        let d = 11usize;
        let bytes: Vec<u8> = (0..d * 9).map(|i| ((i * 37) % 23) as u8).collect();
        let mut csr = Csr::new(d);
        for row in bytes.chunks(d) {
            row.iter().enumerate().filter(|(_, v)| **v > 0).for_each(|(j, &v)| csr.push_cell(j as u32, f32::from(v)));
            csr.finish_row();
        }
        let dense = Features::U8(Dense::new(d, bytes));
        let rows: Vec<u32> = vec![8, 0, 3, 3, 7, 1];
        for center in [Center::None, Center::Mean] {
            for scale in [Scale::None, Scale::Pixel, Scale::Std, Scale::Minmax, Scale::UnitRow] {
                let model = classifier(Scaler::fit(&dense, &[0, 1, 2, 3, 4], center, scale), 11);
                for features in [&dense, &Features::Sparse(csr.clone())] {
                    let scores = model.scores(features, &rows);
                    let mut x = vec![0.0f32; d];
                    for (i, &row) in rows.iter().enumerate() {
                        model.scaler.write_row(features, row as usize, &mut x);
                        for c in 0..3 {
                            let dot: f64 = (0..d).map(|j| f64::from(x[j]) * model.weight[j * 3 + c]).sum();
                            let expected = dot + model.bias.as_ref().unwrap()[c];
                            let found = scores[i * 3 + c];
                            assert!((found - expected).abs() < 1e-4, "{center:?} {scale:?} {found} {expected}");
                        }
                    }
                }
            }
        }
    }
}
