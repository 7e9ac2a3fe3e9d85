//! A trained classifier: weights with everything needed to apply them to raw features.
//!
//! Scores are computed on the host in f64 with the preprocessing folded into the weights, whatever device trained them, so
//! that every report of an objective or an accuracy comes from one evaluator.

use super::BiasRule;
use super::liblinear::Liblinear;
use crate::calibration::Calibrator;
use crate::data::{Center, Features, ImageShape, Scale, Scaler};
use crate::kernel::{ClassWeights, RowBlock};
use crate::loss::Loss;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a model was trained for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The loss.
    pub loss: Loss,
    /// λ of the objective.
    pub lambda: f64,
    /// Rows of the training split, n of the objective.
    pub n_samples: usize,
    /// The bias rule.
    pub bias: BiasRule,
    /// `center` of the preprocessing.
    pub center: Center,
    /// `scale` of the preprocessing.
    pub scale: Scale,
    /// The configuration as used, TOML.
    pub config: String,
    /// What makes probabilities of its scores, where that was fitted.
    #[serde(default)]
    pub calibration: Option<Calibrator>,
}

/// Where a model comes from, and what is known of its training.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Trained here.
    Trained(Training),
    /// Read from a model file of LIBLINEAR.
    Liblinear(Liblinear),
}

/// A trained linear classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// `[n_features, n_classes]`, row-major, for preprocessed features.
    pub weight: Vec<f32>,
    /// `[n_classes]`.
    pub bias: Option<Vec<f32>>,
    /// Fitted preprocessing.
    pub scaler: Scaler,
    /// Names in column order.
    pub class_names: Vec<String>,
    /// Names of the features, where the training data had them.
    pub feature_names: Option<Vec<String>>,
    /// For image data.
    pub image_shape: Option<ImageShape>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Rows that are scored together by one thread.
const CHUNK: usize = 512;
/// Rows that are widened and multiplied at a time: they and the weights stay in the second-level cache.
const ROWS: usize = 8;

/// Weights for raw features: `s = r·(x·weight + offset) + bias`.
struct Folded {
    n_features: usize,
    n_classes: usize,
    /// `[n_features, n_classes]`
    weight: Vec<f64>,
    offset: Vec<f64>,
    bias: Vec<f64>,
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

    /// What it was trained for, where it was trained here.
    #[must_use]
    pub const fn training(&self) -> Option<&Training> {
        match &self.origin {
            Origin::Trained(training) => Some(training),
            Origin::Liblinear(_) => None,
        }
    }

    /// What makes probabilities of its scores, where that was fitted.
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

    /// Weight and bias for preprocessed features in f64, zeros where there is no bias: those of a model that was read in double
    /// precision lose nothing.
    #[must_use]
    pub fn wide(&self) -> (Vec<f64>, Vec<f64>) {
        let widened = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let (weight, bias) = match &self.origin {
            Origin::Trained(_) => (widened(&self.weight), self.bias.as_deref().map(widened)),
            Origin::Liblinear(model) => (model.weight.clone(), model.bias.clone()),
        };
        (weight, bias.unwrap_or_else(|| vec![0.0; self.n_classes()]))
    }

    /// Weights and bias for raw features, in f64: `weight[j, k] / scale_j` and `bias_k − Σ_j mean_j·weight[j, k]/scale_j`.
    ///
    /// `None` where rows are brought to unit length, which no weights can express.
    #[must_use]
    pub fn folded_weights(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        if self.scaler.unit_row {
            return None;
        }
        let folded = self.fold();
        let bias = folded.bias.iter().zip(&folded.offset).map(|(b, o)| b + o).collect();
        Some((folded.weight, bias))
    }

    /// Weights divided by the scale of their feature, and the bias, in f64: for rows that were centred and brought to unit length.
    pub(super) fn scaled_weights(&self) -> (Vec<f64>, Vec<f64>) {
        let folded = self.fold();
        (folded.weight, folded.bias)
    }

    fn fold(&self) -> Folded {
        let (d, k) = (self.n_features(), self.n_classes());
        let (wide, bias) = self.wide();
        let mut weight = vec![0.0; d * k];
        let mut offset = vec![0.0; k];
        for j in 0..d {
            let scale = self.scaler.scale.as_ref().map_or(1.0, |s| f64::from(s[j]));
            let mean = self.scaler.mean.as_ref().map_or(0.0, |m| f64::from(m[j]));
            for c in 0..k {
                let w = wide[j * k + c] / scale;
                offset[c] -= mean * w;
                weight[j * k + c] = w;
            }
        }
        Folded { n_features: d, n_classes: k, weight, offset, bias }
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
        let folded = self.fold();
        let is_dense = !matches!(features, Features::Sparse(_));
        let by_class = is_dense.then(|| ClassWeights::<f64>::from_rows(&folded.weight, folded.n_classes));
        let chunk = |(index, rows): (usize, &[u32])| {
            let mut state = init();
            let mut scores = vec![0.0; ROWS * folded.n_classes];
            let mut cells = is_dense.then(|| RowBlock::new(ROWS, folded.n_features));
            for (block, group) in rows.chunks(ROWS).enumerate() {
                match (&by_class, &mut cells) {
                    (Some(weights), Some(cells)) => {
                        folded.widen(features, group, cells);
                        weights.scores(cells, group.len(), &mut scores, folded.n_classes);
                    }
                    _ => folded.sparse_scores(features, group, &mut scores),
                }
                for (i, &row) in group.iter().enumerate() {
                    let scores = &mut scores[i * folded.n_classes..(i + 1) * folded.n_classes];
                    let factor = self.scaler.row_factor(features, row as usize);
                    for (c, s) in scores.iter_mut().enumerate() {
                        *s = factor * (*s + folded.offset[c]) + folded.bias[c];
                    }
                    visit(&mut state, index * CHUNK + block * ROWS + i, scores);
                }
            }
            state
        };
        rows.par_chunks(CHUNK).enumerate().map(chunk).collect()
    }

    /// The scores of the given rows, `[rows, n_classes]` row-major.
    #[must_use]
    pub fn scores(&self, features: &Features, rows: &[u32]) -> Vec<f64> {
        self.fold_scores(features, rows, Vec::new, |out: &mut Vec<f64>, _, s| out.extend_from_slice(s)).concat()
    }
}

impl Folded {
    fn sparse_scores(&self, features: &Features, rows: &[u32], scores: &mut [f64]) {
        let k = self.n_classes;
        scores.fill(0.0);
        for (scores, &row) in scores.chunks_exact_mut(k).zip(rows) {
            features.for_each_cell(row as usize, |j, x| {
                if j < self.n_features {
                    let x = f64::from(x);
                    scores.iter_mut().zip(&self.weight[j * k..(j + 1) * k]).for_each(|(s, w)| *s += x * w);
                }
            });
        }
    }

    /// Dense rows in double precision. Features that the model does not have are left out, those that the rows do not have stay zero.
    fn widen(&self, features: &Features, rows: &[u32], block: &mut RowBlock<f64>) {
        fn widen<T: Copy + Into<f64>>(cells: &[T], out: &mut [f64]) {
            out.iter_mut().zip(cells).for_each(|(out, &cell)| *out = cell.into());
        }
        for (out, &row) in block.rows_mut().zip(rows) {
            let out = &mut out[..self.n_features];
            match features {
                Features::U8(dense) => widen(dense.row(row as usize), out),
                Features::F32(dense) => widen(dense.row(row as usize), out),
                Features::Sparse(_) => unreachable!("sparse rows go another way"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Csr, Dense};
    use crate::loss::{Formulation, Power};

    fn classifier(scaler: Scaler, d: usize) -> Classifier {
        Classifier {
            weight: (0..d * 3).map(|i| (i as f32 * 0.37).sin()).collect(),
            bias: Some(vec![0.5, -1.0, 0.25]),
            scaler,
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
        let d = 11;
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
                let model = classifier(Scaler::fit(&dense, &[0, 1, 2, 3, 4], center, scale), d);
                for features in [&dense, &Features::Sparse(csr.clone())] {
                    let scores = model.scores(features, &rows);
                    let mut x = vec![0.0f32; d];
                    for (i, &row) in rows.iter().enumerate() {
                        model.scaler.write_row(features, row as usize, &mut x);
                        for c in 0..3 {
                            let dot: f64 = (0..d).map(|j| f64::from(x[j]) * f64::from(model.weight[j * 3 + c])).sum();
                            let expected = dot + f64::from(model.bias.as_ref().unwrap()[c]);
                            let found = scores[i * 3 + c];
                            assert!((found - expected).abs() < 1e-4, "{center:?} {scale:?} {found} {expected}");
                        }
                    }
                }
            }
        }
    }
}
