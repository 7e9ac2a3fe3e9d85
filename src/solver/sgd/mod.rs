//! Minibatch gradient descent over Burn's optimisers.
//!
//! ```text
//! given:   batches B_t of the training rows, a learning rate η_t, an optimiser u
//! repeat:  g_t = ∇ [ (1/|B_t|) Σ_{i∈B_t} weight_i·ℓ_i  +  (λ/2)‖W‖² + (λ/(2B²))‖b‖² ]      W ← W − u(η_t, g_t)
//! ```
//!
//! With the hinge (power 1) and the plain optimiser the weights shrink by the factor 1 − η·λ each step, which is stable only
//! for η < 2/λ = 1/reg. Nothing is read back from the device between logged steps.

mod draws;
pub mod feed;
pub mod optimizer;
pub mod sampler;
pub mod schedule;

use super::stop::{StopReason, is_diverged};
use super::{Fit, GradientRoute, LogEntry, Observer, Problem, SolveError};
use crate::bounded::{NonNegative, Positive};
use crate::data::batch::Batch;
use crate::loss::MarginLoss;
use crate::model::LinearSvm;
use crate::objective::{mean_loss, mean_loss_gradient};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor};
use draws::{estimate_rows, initial_values};
use feed::Feed;
use optimizer::OptimizerName;
use sampler::{Sampler, Sampling};
pub use schedule::Schedule;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Rows that are scored at once when accuracy is measured, and the cells that they may have together: 64 MB of floats, half of
/// what a storage buffer holds on many adapters.
const EVALUATION_ROWS: usize = 2_048;
const EVALUATION_CELLS: usize = 1 << 24;

/// The `[solver.sgd]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// The optimiser.
    pub optimizer: OptimizerName,
    /// η.
    pub learning_rate: Positive,
    /// η over the run.
    pub schedule: Schedule,
    /// Rows a step.
    pub batch_size: NonZeroUsize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Steps to make; or `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<NonZeroUsize>,
    /// Passes over the training rows to make; or `steps`. 10 where neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Positive>,
    /// Standard deviation of the initial weights and bias.
    pub init_std: NonNegative,
    /// Steps between two logged losses.
    pub log_every: NonZeroUsize,
    /// Options of `momentum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<optimizer::MomentumOptions>,
    /// Options of `nesterov`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<optimizer::MomentumOptions>,
    /// Options of `adam`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam: Option<optimizer::AdamOptions>,
    /// Options of `adamw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adamw: Option<optimizer::AdamOptions>,
    /// Options of `rmsprop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsprop: Option<optimizer::RmsPropOptions>,
    /// Options of `adagrad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adagrad: Option<optimizer::AdaGradOptions>,
    /// Options of `lion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lion: Option<optimizer::LionOptions>,
}

impl Default for SgdConfig {
    fn default() -> Self {
        let one = NonZeroUsize::MIN;
        Self {
            optimizer: OptimizerName::Sgd,
            learning_rate: Positive::new(0.01).unwrap_or_else(|_| unreachable!("0.01 is positive")),
            schedule: Schedule::Constant,
            batch_size: one.saturating_add(127),
            sampling: Sampling::Shuffle,
            steps: None,
            epochs: None,
            init_std: NonNegative::new(0.0).unwrap_or_else(|_| unreachable!("0 is not negative")),
            log_every: one.saturating_add(99),
            momentum: None,
            nesterov: None,
            adam: None,
            adamw: None,
            rmsprop: None,
            adagrad: None,
            lion: None,
        }
    }
}

impl SgdConfig {
    /// Rows of a step out of `n` training rows.
    fn rows_per_step(&self, n: usize) -> usize {
        match self.sampling {
            Sampling::Shuffle => self.batch_size.get().min(n),
            Sampling::WithReplacement => self.batch_size.get(),
        }
    }

    /// The number of steps for `n` training rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn total_steps(&self, n: usize) -> u64 {
        if let Some(steps) = self.steps {
            return steps.get() as u64;
        }
        let epochs = self.epochs.map_or(10.0, Positive::get);
        let batch = self.rows_per_step(n);
        let per_epoch = match self.sampling {
            Sampling::Shuffle => n.div_ceil(batch) as f64,
            Sampling::WithReplacement => n as f64 / batch as f64,
        };
        ((epochs * per_epoch).round() as u64).max(1)
    }

    /// Passes over `n` training rows after `steps` steps.
    #[allow(clippy::cast_precision_loss)]
    fn epochs_after(&self, steps: u64, n: usize) -> f64 {
        let batch = self.rows_per_step(n);
        match self.sampling {
            Sampling::WithReplacement => steps as f64 * batch as f64 / n as f64,
            Sampling::Shuffle => {
                let per_epoch = n.div_ceil(batch) as u64;
                let rows = ((steps % per_epoch) * batch as u64) as f64;
                (steps / per_epoch) as f64 + rows / n as f64
            }
        }
    }
}

/// One update, and the objective before it where it is asked for.
struct Stepper<'a> {
    problem: &'a Problem<'a>,
    loss: Box<dyn MarginLoss>,
    offset: Option<Tensor<2>>,
    optimizer: ModuleOptimizer,
}

impl Stepper<'_> {
    /// Mean loss of the batch plus the regulariser, `[1]`.
    fn objective(&self, model: &LinearSvm, batch: &Batch) -> Tensor<1> {
        let objective = self.problem.objective;
        let scores = model.scores(&batch.rows, self.offset.as_ref());
        let data = mean_loss(self.loss.as_ref(), scores, batch);
        if objective.lambda == 0.0 {
            return data;
        }
        let weight = model.linear.weight.val();
        let mut total = data.add(weight.clone().mul(weight).sum().mul_scalar(objective.lambda / 2.0));
        let factor = objective.bias.penalty_factor();
        if let Some(bias) = model.linear.bias.as_ref().filter(|_| factor > 0.0) {
            let bias = bias.val();
            total = total.add(bias.clone().mul(bias).sum().mul_scalar(factor * objective.lambda / 2.0));
        }
        total
    }

    /// XᵀQ/n + λW and its bias part, by hand, at the values of `model`, registered for the parameters of `owner`.
    fn analytic(&self, model: &LinearSvm, owner: &LinearSvm, batch: &Batch) -> GradientsParams {
        let objective = self.problem.objective;
        let scores = model.scores(&batch.rows, self.offset.as_ref());
        let q = mean_loss_gradient(self.loss.as_ref(), scores, batch);
        let (mut dw, db) = model.backward(&batch.rows, self.offset.as_ref(), q);
        if objective.lambda > 0.0 {
            dw = model.linear.weight.val().mul_scalar(objective.lambda).add(dw);
        }
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(owner.linear.weight.id, dw);
        if let (Some(owner), Some(bias), Some(mut db)) = (&owner.linear.bias, &model.linear.bias, db) {
            let factor = objective.lambda * objective.bias.penalty_factor();
            if factor > 0.0 {
                db = db.add(bias.val().mul_scalar(factor));
            }
            gradients.register::<1>(owner.id, db);
        }
        gradients
    }

    fn step(
        &mut self,
        model: LinearSvm,
        batch: &Batch,
        learning_rate: f64,
        want_loss: bool,
    ) -> (LinearSvm, Option<Tensor<1>>) {
        match self.problem.gradient {
            GradientRoute::Autodiff => {
                let total = self.objective(&model, batch);
                let logged = want_loss.then(|| total.clone().inner());
                let gradients = GradientsParams::from_grads(total.backward(), &model);
                (self.optimizer.step(learning_rate, model, gradients), logged)
            }
            GradientRoute::Analytic => {
                // The optimiser wants parameters that are tied to autodiff; the gradient is computed on untied ones.
                let plain = model.valid();
                let logged = want_loss.then(|| self.objective(&plain, batch));
                let gradients = self.analytic(&plain, &model, batch);
                (self.optimizer.step(learning_rate, model, gradients), logged)
            }
        }
    }

    /// The share of `rows` that the model gets right, measured on the device with one read at the end.
    #[allow(clippy::cast_precision_loss)]
    fn accuracy(&self, model: &LinearSvm, rows: &[u32], device: &Device) -> Result<Option<f64>, SolveError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let model = model.clone().valid();
        let mut right: Option<Tensor<1, Int>> = None;
        let most = (EVALUATION_CELLS / self.problem.source.features.n_features().max(1)).clamp(1, EVALUATION_ROWS);
        for chunk in rows.chunks(most) {
            let batch = self.problem.source.gather(chunk).to_device(device);
            let hits = model.predict(&batch.rows, self.offset.as_ref()).equal(batch.labels).int().sum();
            right = Some(right.map_or(hits.clone(), |sum| sum.add(hits)));
        }
        let count = match right {
            None => 0,
            Some(sum) => sum.try_into_scalar::<i64>().map_err(|e| SolveError::Device(e.to_string()))?,
        };
        Ok(Some(count as f64 / rows.len() as f64))
    }
}

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when the device fails.
pub fn solve(config: &SgdConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let device = problem.device.device.clone();
    let (weight, bias) = initial_values(problem, config.init_std.get());
    let model = LinearSvm::from_values(weight, bias, problem.n_classes, &device.clone().autodiff());
    let stepper = Stepper {
        problem,
        loss: problem.objective.loss.init(&device),
        offset: problem.source.sparse_offset(&device),
        optimizer: config.build_optimizer(),
    };
    let n = problem.train.len();
    let steps = config.total_steps(n);
    let sampler = Sampler::new(problem.train, config.sampling, config.batch_size.get(), problem.seed);
    observer.start(steps);
    let mut run = Run {
        config,
        stepper,
        estimate: estimate_rows(problem),
        device,
        steps,
        made: 0,
        first_loss: None,
        stop: StopReason::Finished,
        solving: Duration::ZERO,
        evaluating: Duration::ZERO,
        clock: Instant::now(),
    };
    let model = std::thread::scope(|scope| {
        let feed = Feed::start(scope, problem.source, sampler, steps, problem.threads > 1);
        run.descend(model, feed, observer)
    })?;
    run.finish(&model)
}

/// The state of a run besides the model.
struct Run<'a> {
    config: &'a SgdConfig,
    stepper: Stepper<'a>,
    estimate: Vec<u32>,
    device: Device,
    steps: u64,
    made: u64,
    first_loss: Option<f64>,
    stop: StopReason,
    solving: Duration,
    evaluating: Duration,
    clock: Instant,
}

impl Run<'_> {
    /// Makes the steps; returns the last model.
    fn descend(
        &mut self,
        mut model: LinearSvm,
        mut feed: Feed<'_>,
        observer: &mut dyn Observer,
    ) -> Result<LinearSvm, SolveError> {
        let config = self.config;
        let n = self.stepper.problem.train.len();
        self.clock = Instant::now();
        for step in 0..self.steps {
            let Some(host) = feed.next_batch() else {
                return Err(SolveError::Device("the thread that prepares batches ended early".into()));
            };
            let batch = host.to_device(&self.device);
            let last = step + 1 == self.steps;
            let log = step % config.log_every.get() as u64 == 0 || last;
            let rate = config.learning_rate.get() * config.schedule.factor(step, self.steps);
            let loss;
            (model, loss) = self.stepper.step(model, &batch, rate, log);
            self.made = step + 1;
            if let Some(loss) = loss
                && self.log_loss(step, loss, observer)?
            {
                break;
            }
            let epoch_ends = config.epochs_after(step, n).floor() < config.epochs_after(self.made, n).floor();
            if epoch_ends || last {
                self.log_accuracies(&model, observer)?;
            }
            observer.step(self.made);
            if observer.interrupted() && !last {
                self.stop = StopReason::Interrupted;
                break;
            }
        }
        self.pause()?;
        Ok(model)
    }

    /// Waits for the device and stops the clock of the solver.
    fn pause(&mut self) -> Result<(), SolveError> {
        self.device.sync().map_err(|e| SolveError::Device(format!("{e:?}")))?;
        self.solving += self.clock.elapsed();
        Ok(())
    }

    /// Reads a loss back and logs it; true when the run has diverged.
    fn log_loss(&mut self, step: u64, loss: Tensor<1>, observer: &mut dyn Observer) -> Result<bool, SolveError> {
        let loss = loss.try_into_scalar::<f64>().map_err(|e| SolveError::Device(e.to_string()))?;
        let first = *self.first_loss.get_or_insert(loss);
        observer.log(&LogEntry {
            step,
            epoch: self.config.epochs_after(step, self.stepper.problem.train.len()),
            loss: Some(loss),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: (self.solving + self.clock.elapsed()).as_secs_f64(),
        });
        if is_diverged(loss, first) {
            self.stop = StopReason::Diverged { step };
            return Ok(true);
        }
        Ok(false)
    }

    /// Measures and logs the accuracies of the weights as they are, outside the solver's clock.
    fn log_accuracies(&mut self, model: &LinearSvm, observer: &mut dyn Observer) -> Result<(), SolveError> {
        self.pause()?;
        let start = Instant::now();
        let problem = self.stepper.problem;
        let train_accuracy = self.stepper.accuracy(model, &self.estimate, &self.device)?;
        let validation_accuracy = self.stepper.accuracy(model, problem.validation, &self.device)?;
        self.evaluating += start.elapsed();
        observer.log(&LogEntry {
            step: self.made,
            epoch: self.config.epochs_after(self.made, problem.train.len()),
            loss: None,
            train_accuracy,
            validation_accuracy,
            seconds: self.solving.as_secs_f64(),
        });
        self.clock = Instant::now();
        Ok(())
    }

    /// Reads the parameters back.
    fn finish(self, model: &LinearSvm) -> Result<Fit, SolveError> {
        let read = |data: burn::tensor::TensorData| {
            data.try_to_vec_as::<f32>().map_err(|e| SolveError::Device(format!("{e:?}")))
        };
        let weight = read(model.linear.weight.val().into_data())?;
        let bias = model.linear.bias.as_ref().map(|b| read(b.val().into_data())).transpose()?;
        let finite = weight.iter().chain(bias.iter().flatten()).all(|w| w.is_finite());
        let stop = match self.stop {
            StopReason::Finished | StopReason::Interrupted if !finite => StopReason::Diverged { step: self.made },
            stop => stop,
        };
        let epochs = self.config.epochs_after(self.made, self.stepper.problem.train.len());
        Ok(Fit {
            weight,
            bias,
            steps: self.made,
            epochs,
            stop,
            solve: self.solving,
            evaluate: self.evaluating,
            certificate: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_epochs_agree() {
        let shuffle = SgdConfig { batch_size: NonZeroUsize::new(30).unwrap(), ..SgdConfig::default() };
        assert_eq!(shuffle.total_steps(100), 40);
        assert!(
            (shuffle.epochs_after(4, 100) - 1.0).abs() < 1e-12 && (shuffle.epochs_after(5, 100) - 1.3).abs() < 1e-12
        );
        let notebook = SgdConfig {
            batch_size: NonZeroUsize::new(200).unwrap(),
            sampling: Sampling::WithReplacement,
            steps: NonZeroUsize::new(1500),
            ..SgdConfig::default()
        };
        assert_eq!(notebook.total_steps(49_000), 1500);
        assert!((notebook.epochs_after(1500, 49_000) - 6.122_448_979).abs() < 1e-6);
    }
}
