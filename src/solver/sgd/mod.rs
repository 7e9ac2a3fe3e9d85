//! Minibatch gradient descent over Burn's optimisers.
//!
//! ```text
//! given:   batches B_t of the training rows, a learning rate η_t, an optimiser u
//! repeat:  g_t = ∇ [ (1/|B_t|) Σ_{i∈B_t} weight_i·ℓ_i  +  (λ/2)‖W‖² + (λ/(2B²))‖b‖² ]      W ← W − u(η_t, g_t)
//! ```
//!
//! With the hinge (power 1) and the plain optimiser the weights shrink by the factor 1 − η·λ each step, which is stable only
//! for η < 2/λ = 1/reg. Nothing is read back from the device between logged steps.

pub mod config;
mod draws;
pub mod feed;
mod gradient;
mod in_place;
mod on_device;
pub mod optimizer;
mod options;
mod resume;
pub mod sampler;
pub mod schedule;
pub mod stacked;

use super::stop::{Best, StopReason, WatchedMetric, is_diverged};
use super::{Fit, LogEntry, Observer, Problem, Route, SolveError};
use crate::loss::MarginLoss;
use crate::model::LinearSvm;
use crate::objective::{DevicePass, FusedPass, mean_loss};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor};
pub use config::SgdConfig;
use draws::{estimate_rows, initial_values};
use feed::{Drawn, Feed};
use in_place::Alone;
use sampler::Sampler;
pub use schedule::Schedule;
use std::time::{Duration, Instant};

/// Rows that are scored at once when accuracy is measured, and the cells that they may have together: 64 MB of floats, half of
/// what a storage buffer holds on many adapters.
const EVALUATION_ROWS: usize = 2_048;
const EVALUATION_CELLS: usize = 1 << 24;

/// Steps after which autodiff is made to forget the parameters of earlier steps.
const FORGET: u32 = 64;

/// Burn's autodiff keeps a note of every parameter that an optimiser returns, until a backward pass looks for those that nobody
/// holds any more. The routes that have no backward pass of their own make one here, of nothing: else every step would leave some
/// kilobytes behind.
fn forget(device: &Device) {
    let _ = Tensor::<1>::zeros([1], &device.clone().autodiff()).require_grad().backward();
}

/// One update, and the objective before it where it is asked for.
struct Stepper<'a> {
    problem: &'a Problem<'a>,
    loss: Box<dyn MarginLoss>,
    offset: Option<Tensor<2>>,
    /// On the fused route, on the processor or on a GPU.
    fused: Option<FusedPass<'a>>,
    /// On the fused route where weights can change where they lie.
    alone: Option<Alone<'a>>,
    /// The rows on a GPU.
    on_device: Option<DevicePass<'a>>,
    /// Steps since autodiff was last made to forget.
    unseen: u32,
    optimizer: ModuleOptimizer,
}

impl Stepper<'_> {
    /// One update of the model by the rows that were drawn; the objective before it where that is wanted.
    fn step(
        &mut self,
        model: LinearSvm,
        drawn: Drawn,
        device: &Device,
        (learning_rate, want_loss): (f64, bool),
    ) -> Result<(LinearSvm, Option<Tensor<1>>), SolveError> {
        let (gradients, logged) = match (drawn, &self.on_device) {
            (Drawn::Rows(rows), _) if let Some(alone) = &mut self.alone => {
                let logged = alone.step(&model, self.problem, &rows, (learning_rate, want_loss))?;
                return Ok((model, logged.map(|loss| Tensor::from_data([loss], device))));
            }
            (Drawn::Rows(rows), Some(pass)) => self.on_device(pass, &model, pass.gather(&rows), want_loss),
            (Drawn::Gathered(host), Some(pass)) => self.on_device(pass, &model, pass.upload(host), want_loss),
            (Drawn::Rows(rows), None) => self.fused(&model, &rows, device, want_loss)?,
            (Drawn::Gathered(host), None) => {
                let batch = host.to_device(device);
                if self.problem.route() == Route::Autodiff {
                    let total = self.objective(&model, &batch);
                    let logged = want_loss.then(|| total.clone().inner());
                    (GradientsParams::from_grads(total.backward(), &model), logged)
                } else {
                    // The optimiser wants parameters that are tied to autodiff; the gradient is computed on untied ones.
                    let plain = model.valid();
                    let logged = want_loss.then(|| self.objective(&plain, &batch));
                    (self.analytic(&plain, &model, &batch), logged)
                }
            }
        };
        let model = self.optimizer.step(learning_rate, model, gradients);
        self.unseen += 1;
        if self.unseen == FORGET {
            self.unseen = 0;
            forget(device);
        }
        Ok((model, logged))
    }

    /// The model with the weights as they are.
    fn current(&mut self, model: LinearSvm, device: &Device) -> LinearSvm {
        let Some((weight, bias)) = self.alone.as_mut().and_then(Alone::take) else { return model };
        forget(device);
        resume::model(weight, bias, self.problem.n_classes, device)
    }

    /// Rows that are scored at once when a split is measured.
    fn evaluation_rows(&self) -> usize {
        let cells = self.problem.source.features.n_features().max(self.problem.n_classes).max(1);
        (EVALUATION_CELLS / cells).clamp(1, EVALUATION_ROWS)
    }

    /// The data loss over `rows`, measured on the device with one read at the end.
    #[allow(clippy::cast_precision_loss)]
    fn data_loss(&self, model: &LinearSvm, rows: &[u32], device: &Device) -> Result<f64, SolveError> {
        let model = model.clone().valid();
        let mut total: Option<Tensor<1>> = None;
        for chunk in rows.chunks(self.evaluation_rows()) {
            let batch = self.batch(chunk, device);
            let scores = model.scores(&batch.rows, self.offset.as_ref());
            let sum = mean_loss(self.loss.as_ref(), scores, &batch).mul_scalar(chunk.len() as f64);
            total = Some(total.map_or(sum.clone(), |t| t.add(sum)));
        }
        let sum = match total {
            None => 0.0,
            Some(sum) => sum.try_into_scalar::<f64>().map_err(|e| SolveError::Device(e.to_string()))?,
        };
        Ok(sum / rows.len().max(1) as f64)
    }

    /// The share of `rows` that the model gets right, measured on the device with one read at the end.
    #[allow(clippy::cast_precision_loss)]
    fn accuracy(&mut self, model: &LinearSvm, rows: &[u32], device: &Device) -> Result<Option<f64>, SolveError> {
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(pass) = &mut self.fused {
            let weight = values(model.linear.weight.val().inner())?;
            let bias = model.linear.bias.as_ref().map(|b| values(b.val().inner())).transpose()?;
            return Ok(Some(pass.hits(&weight, bias.as_deref(), rows) as f64 / rows.len() as f64));
        }
        let model = model.clone().valid();
        let mut right: Option<Tensor<1, Int>> = None;
        for chunk in rows.chunks(self.evaluation_rows()) {
            let batch = self.batch(chunk, device);
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
    let model = resume::model(weight, bias, problem.n_classes, &device);
    let stepper = Stepper {
        problem,
        loss: problem.objective.loss.init(&device),
        offset: problem.source.sparse_offset(&device),
        fused: (problem.route() == Route::Fused && FusedPass::serves(problem.source.features, problem.device))
            .then(|| FusedPass::new(problem.source, problem.n_classes, problem.objective))
            .flatten(),
        alone: Alone::new(config, problem),
        on_device: on_device::pass(config, problem),
        unseen: 0,
        optimizer: config.build_optimizer(),
    };
    let n = problem.train.len();
    let steps = config.total_steps(n);
    let mut sampler = Sampler::new(problem.train, config.sampling, config.batch_size.get(), problem.seed);
    observer.start(steps);
    if let Some(text) = on_device::notice(config, problem, stepper.on_device.as_ref()) {
        observer.warning(&text);
    }
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
        best: problem.early_stopping.map(Best::new),
        best_step: None,
    };
    let model = match observer.resume() {
        None => model,
        Some(snapshot) => run.restore(snapshot)?,
    };
    sampler.skip(run.made);
    let left = steps - run.made;
    let resident = run.stepper.on_device.as_ref().is_some_and(|pass| pass.n_chunks().is_some());
    let model = if run.stepper.fused.is_some() {
        // In a thread of the pool, whose others are at hand for each step.
        rayon::scope(|_| run.descend(model, Feed::InPlace(Box::new(sampler)), observer))?
    } else if resident {
        run.descend(model, Feed::InPlace(Box::new(sampler)), observer)?
    } else {
        std::thread::scope(|scope| {
            let feed = Feed::start(scope, problem.source, sampler, left, problem.threads > 1);
            run.descend(model, feed, observer)
        })?
    };
    let fit = run.finish(&model);
    drop(model);
    forget(&problem.device.device);
    fit
}

/// The values of a tensor on the host.
fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, SolveError> {
    tensor.into_data().try_to_vec_as::<f32>().map_err(|e| SolveError::Device(format!("{e:?}")))
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
    best: Option<Best<LinearSvm>>,
    best_step: Option<u64>,
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
        for step in self.made..self.steps {
            let Some(drawn) = feed.next_batch() else {
                return Err(SolveError::Device("the thread that prepares batches ended early".into()));
            };
            let last = step + 1 == self.steps;
            let log = config.is_logged(step, self.steps);
            let rate = config.learning_rate_at(step, self.steps);
            let loss;
            (model, loss) = self.stepper.step(model, drawn, &self.device, (rate, log))?;
            self.made = step + 1;
            if let Some(loss) = loss
                && self.log_loss(step, loss, observer)?
            {
                break;
            }
            let epoch_ends = config.epochs_after(step, n).floor() < config.epochs_after(self.made, n).floor();
            let watched = self.best.is_some() || observer.wants_accuracies();
            let enough = watched && (epoch_ends || last) && {
                model = self.stepper.current(model, &self.device);
                self.log_accuracies(&model, observer)?
            };
            observer.step(self.made);
            if enough && !last {
                self.stop = StopReason::EarlyStopping;
                break;
            }
            if !last && self.pass_by(&mut model, observer)? {
                self.stop = StopReason::Interrupted;
                break;
            }
        }
        self.pause()?;
        if let Some((step, best)) = self.best.take().and_then(Best::into_best) {
            self.best_step = Some(step);
            return Ok(best);
        }
        Ok(self.stepper.current(model, &self.device))
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

    /// Measures and logs the accuracies of the weights as they are, outside the solver's clock; true when early stopping has
    /// seen enough.
    fn log_accuracies(&mut self, model: &LinearSvm, observer: &mut dyn Observer) -> Result<bool, SolveError> {
        self.pause()?;
        let start = Instant::now();
        let problem = self.stepper.problem;
        let train_accuracy = self.stepper.accuracy(model, &self.estimate, &self.device)?;
        let validation_accuracy = self.stepper.accuracy(model, problem.validation, &self.device)?;
        let enough = match (&mut self.best, validation_accuracy) {
            (Some(best), Some(accuracy)) => {
                let value = match best.metric() {
                    WatchedMetric::Accuracy => accuracy,
                    WatchedMetric::Loss => self.stepper.data_loss(model, problem.validation, &self.device)?,
                };
                best.see(value, self.made, model)
            }
            _ => false,
        };
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
        Ok(enough)
    }

    /// Reads the parameters back.
    fn finish(self, model: &LinearSvm) -> Result<Fit, SolveError> {
        let weight = values(model.linear.weight.val())?;
        let bias = model.linear.bias.as_ref().map(|b| values(b.val())).transpose()?;
        let finite = weight.iter().chain(bias.iter().flatten()).all(|w| w.is_finite());
        let stop = match self.stop {
            StopReason::Finished | StopReason::EarlyStopping | StopReason::Interrupted if !finite => {
                StopReason::Diverged { step: self.made }
            }
            stop => stop,
        };
        let epochs = self.config.epochs_after(self.made, self.stepper.problem.train.len());
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        Ok(Fit {
            weight: wide(weight),
            bias: bias.map(wide),
            steps: self.made,
            epochs,
            stop,
            solve: self.solving,
            evaluate: self.evaluating,
            certificate: None,
            evaluation: None,
            best_step: self.best_step,
        })
    }
}
