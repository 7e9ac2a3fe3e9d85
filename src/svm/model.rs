//! A model at work.

use super::fit::check_weights;
use super::{AsLabels, AsRows, Rows, SvmError, labels};
use crate::bounded::Fraction;
use crate::calibration::Calibrator;
use crate::data::batch::Source;
use crate::data::{Encoding, Frame};
use crate::device;
use crate::evaluation::{self, Evaluation};
use crate::metric::argmax;
use crate::model::{Classifier, Origin};
use crate::objective::Objective;
use crate::solver::dual::certificate;
use crate::solver::{Certificate, DualConfig, GradientRoute, Observer, Problem, SolveError};
use burn::tensor::Tensor;
use std::path::Path;

/// A linear classifier: weights, preprocessing, names of the classes, and the objective that it was trained for.
///
/// Scores are computed on the host in f64 with the preprocessing folded in, so that they are the same whatever device trained it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    classifier: Classifier,
}

impl Model {
    pub(super) const fn of(classifier: Classifier) -> Self {
        Self { classifier }
    }

    pub(super) const fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    pub(super) fn calibrate(&mut self, calibrator: Option<Calibrator>) {
        if let Origin::Trained(training) = &mut self.classifier.origin {
            training.calibration = calibrator;
        }
    }

    /// Reads a model file of this program, made in code or by a command.
    ///
    /// # Errors
    /// [`SvmError::File`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SvmError> {
        Ok(Self::of(Classifier::load(path.as_ref())?))
    }

    /// Writes the model file, all or nothing; the commands of `burn-svm` take it.
    ///
    /// # Errors
    /// [`SvmError::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SvmError> {
        Ok(self.classifier.save(path.as_ref())?)
    }

    /// Names of the classes, in the order of scores.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.classifier.class_names
    }

    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.classifier.n_classes()
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.classifier.n_features()
    }

    /// Weights `[n_features, n_classes]`, row-major, and bias `[n_classes]` for raw rows: scores are `x·W + b`. `None` where rows are
    /// brought to unit length, which no weights can do.
    #[must_use]
    pub fn coefficients(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        self.classifier.folded_weights()
    }

    /// The features of a table as it came, by the encoding that the model keeps.
    ///
    /// # Errors
    /// [`SvmError::Option`] for a model without an encoding; [`SvmError::Encoding`] for a table that does not fit it.
    pub fn encode(&self, frame: &Frame) -> Result<Rows<'static>, SvmError> {
        let Some(encoding) = &self.classifier.encoding else {
            return Err(SvmError::Option(
                "the model was trained on features, not on a table: it has no encoding".into(),
            ));
        };
        Ok(Rows { features: encoding.apply(frame)?.features })
    }

    /// The model with the encoding that made the rows of its training, so that it takes tables: it is written with the model, and names
    /// the features.
    ///
    /// # Errors
    /// [`SvmError::Width`] where the encoding makes another number of features.
    pub fn with_encoding(mut self, encoding: Encoding) -> Result<Self, SvmError> {
        if encoding.n_features() != self.n_features() {
            return Err(SvmError::Width { found: encoding.n_features(), expected: self.n_features() });
        }
        self.classifier.feature_names = Some(encoding.names());
        self.classifier.encoding = Some(encoding);
        Ok(self)
    }

    /// Rows of the model's width, in the precision of those of its training.
    fn rows<'a, X: AsRows + ?Sized>(&self, x: &'a X) -> Result<(Rows<'a>, Vec<u32>), SvmError> {
        let mut rows = x.as_rows()?;
        if rows.n_features() != self.n_features() {
            return Err(SvmError::Width { found: rows.n_features(), expected: self.n_features() });
        }
        if !self.classifier.scaler.double_rows {
            rows.features = rows.features.in_single();
        }
        #[allow(clippy::cast_possible_truncation)]
        let all = (0..rows.n_rows() as u32).collect();
        Ok((rows, all))
    }

    /// Scores `[n_samples, n_classes]`, row-major.
    ///
    /// # Errors
    /// [`SvmError`] for rows that are bad or of another width.
    pub fn scores<X: AsRows + ?Sized>(&self, x: &X) -> Result<Vec<f64>, SvmError> {
        let (rows, all) = self.rows(x)?;
        Ok(self.classifier.scores(&rows.features, &all))
    }

    /// The name of the class with the largest score of each row; the first on a tie.
    ///
    /// # Errors
    /// As [`Model::scores`].
    pub fn predict<X: AsRows + ?Sized>(&self, x: &X) -> Result<Vec<&str>, SvmError> {
        Ok(self.predict_indices(x)?.into_iter().map(|class| self.class_names()[class].as_str()).collect())
    }

    /// The index of that class.
    ///
    /// # Errors
    /// As [`Model::scores`].
    pub fn predict_indices<X: AsRows + ?Sized>(&self, x: &X) -> Result<Vec<usize>, SvmError> {
        let (rows, all) = self.rows(x)?;
        let put = |out: &mut Vec<usize>, _: usize, scores: &[f64]| out.push(argmax(scores));
        Ok(self.classifier.fold_scores(&rows.features, &all, Vec::new, put).concat())
    }

    /// Probabilities `[n_samples, n_classes]`, row-major, of a model that was fitted with [`Svm::calibration`](super::Svm::calibration).
    ///
    /// # Errors
    /// [`SvmError::Option`] where it was not; else as [`Model::scores`].
    pub fn probabilities<X: AsRows + ?Sized>(&self, x: &X) -> Result<Vec<f64>, SvmError> {
        let Some(calibrator) = self.classifier.calibration() else {
            let problem = "the model has no calibration: fit it with Svm::calibration";
            return Err(SvmError::Option(problem.into()));
        };
        let mut scores = self.scores(x)?;
        for row in scores.chunks_exact_mut(self.n_classes()) {
            calibrator.log_probabilities(row);
            row.iter_mut().for_each(|p| *p = p.exp());
        }
        Ok(scores)
    }

    /// Measures the model on labelled rows; the loss is that of its training, NaN for a model of another program's loss.
    ///
    /// # Errors
    /// [`SvmError`] for rows as in [`Model::scores`], and labels that the model does not know.
    pub fn evaluate<X: AsRows + ?Sized, L: AsLabels + ?Sized>(
        &self,
        x: &X,
        labels: &L,
    ) -> Result<Evaluation, SvmError> {
        let (rows, all) = self.rows(x)?;
        let labels = labels::known(labels, rows.n_rows(), self.class_names())?;
        let source =
            Source { features: &rows.features, labels: &labels, scaler: &self.classifier.scaler, weights: None };
        Ok(evaluation::of_scorer(self.classifier.loss(), &self.classifier.scorer(), source, &all, &[]))
    }

    /// Proves how far the model is from the optimum of its objective at most, on the rows that it was trained on, each with the weight
    /// of its class alone: a bound from its own scores, tightened by the exact solver until the relative gap is `gap` or that solver
    /// can do no more. [`Model::certify_with`] takes weights of rows.
    ///
    /// # Errors
    /// [`SvmError::Option`] for a gap outside (0, 1) and for a model that does not say its objective; [`SvmError::Solve`], for example
    /// where λ is 0.
    pub fn certify<X: AsRows + ?Sized, L: AsLabels + ?Sized>(
        &self,
        x: &X,
        labels: &L,
        gap: f64,
    ) -> Result<Certificate, SvmError> {
        self.certify_with(x, labels, None, gap, &mut ())
    }

    /// [`Model::certify`] with a weight a row, and an observer that is told how it goes.
    ///
    /// # Errors
    /// As [`Model::certify`], and [`SvmError::Shape`] and [`SvmError::Option`] for weights that do not fit.
    pub fn certify_with<X: AsRows + ?Sized, L: AsLabels + ?Sized>(
        &self,
        x: &X,
        labels: &L,
        row_weights: Option<&[f32]>,
        gap: f64,
        observer: &mut dyn Observer,
    ) -> Result<Certificate, SvmError> {
        let (rows, all) = self.rows(x)?;
        let labels = labels::known(labels, rows.n_rows(), self.class_names())?;
        check_weights(row_weights, rows.n_rows())?;
        let Some(training) = self.classifier.training() else {
            return Err(SvmError::Option(
                "a model of LIBLINEAR does not say which objective it was trained for".into(),
            ));
        };
        let config = DualConfig {
            gap: Fraction::new(gap)
                .map_err(|_| SvmError::Option(format!("gap: found {gap}, expected a number in (0, 1)")))?,
            ..DualConfig::default()
        };
        let objective = Objective { loss: training.loss.clone(), lambda: training.lambda, bias: training.bias };
        let device = device::open_cpu()
            .ok_or_else(|| SvmError::Device("no CPU backend is compiled in; build with `flex`".into()))?;
        let classifier = &self.classifier;
        let problem = Problem {
            source: Source {
                features: &rows.features,
                labels: &labels,
                scaler: &classifier.scaler,
                weights: row_weights,
            },
            train: &all,
            validation: &[],
            n_classes: self.n_classes(),
            objective: &objective,
            device: &device,
            gradient: GradientRoute::Auto,
            seed: 0,
            threads: rayon::current_num_threads(),
            early_stopping: None,
        };
        let proof = certificate::certify(&config, &problem, &classifier.weight, classifier.bias.as_deref(), observer);
        Ok(proof.map_err(|e: SolveError| SvmError::from(e))?.tightened)
    }
}

/// The numbers of a parameter whose rows have `n_classes`.
pub(super) fn numbers<const D: usize>(parameter: Tensor<D>, n_classes: usize) -> Result<Vec<f64>, SvmError> {
    let values = parameter.without_autodiff().into_data().try_to_vec_as::<f64>();
    let values = values.map_err(|e| SvmError::Device(format!("the layer cannot be read: {e:?}")))?;
    finite(&values, n_classes).map(|()| values)
}

/// The first number that is not finite as an error, of rows of `n_classes`.
pub(super) fn finite(values: &[f64], n_classes: usize) -> Result<(), SvmError> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(SvmError::NotFinite { row: at / n_classes, column: at % n_classes, found: values[at] }),
    }
}

#[doc(hidden)]
impl From<Classifier> for Model {
    fn from(classifier: Classifier) -> Self {
        Self::of(classifier)
    }
}

#[doc(hidden)]
impl AsRef<Classifier> for Model {
    fn as_ref(&self) -> &Classifier {
        &self.classifier
    }
}
