//! Several configurations trained as one model: M members of K classes are M·K columns of one product.
//!
//! ```text
//! scores  [B, M·K] = X·[W_1 … W_M]            X is read once for all members
//! Q       [B, M·K]: the loss of each block by itself, with the labels of the batch for every block
//! W_m     ← W_m − η_m·(XᵀQ_m + λ_m·W_m)       a learning rate, a λ and a loss for each member
//! ```
//!
//! Members share the batches, the initial draws and the shape of the solver; each becomes what it would have become alone, up to
//! rounding. A column never meets another: what leaves the finite numbers stays in its own block until the next logged step, when
//! the member is switched off. Optimisers whose update of a cell depends on that cell's gradients alone, and is proportional to
//! the learning rate, can be stacked ([`hindrance`]).

mod columns;
mod teams;

use super::draws::initial_values;
use super::feed::{Drawn, Feed};
use super::in_place::{self, Parameters};
use super::optimizer::OptimizerName;
use super::sampler::Sampler;
use super::{SgdConfig, StopReason, is_diverged};
use crate::data::batch::Batch;
use crate::loss::Loss;
use crate::objective::{Block, block_gradient, block_losses};
use crate::solver::{EarlyStopping, Fit, GradientRoute, Observer, Problem, SolveError};
use burn::tensor::{Device, Tensor};
use columns::Columns;
use std::time::{Duration, Instant};

/// What one configuration of a stack has for itself; everything else is of the problem and the table that they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// η, before the schedule.
    pub learning_rate: f64,
    /// Deviation of the initial weights.
    pub init_std: f64,
    /// λ
    pub lambda: f64,
    /// ℓ
    pub loss: Loss,
}

/// What became of one member.
#[derive(Debug, Clone, PartialEq)]
pub struct Grown {
    /// As if trained alone; its time is the stack's divided by the number of members. A member that diverged has no weights.
    pub fit: Fit,
    /// Step and minibatch objective of every logged moment.
    pub curve: Vec<(u64, f64)>,
}

/// Why runs of this table cannot be stacked; `None` where they can.
#[must_use]
pub fn hindrance(config: &SgdConfig, early_stopping: Option<EarlyStopping>) -> Option<&'static str> {
    if early_stopping.is_some() {
        return Some("[early_stopping] ends each run at its own step");
    }
    if config.clip_norm.is_some() {
        return Some("`clip_norm` looks at a whole gradient");
    }
    match config.optimizer {
        OptimizerName::Sgd
        | OptimizerName::Momentum
        | OptimizerName::Nesterov
        | OptimizerName::Adam
        | OptimizerName::AdamW
        | OptimizerName::RmsProp
        | OptimizerName::AdaGrad
        | OptimizerName::Lion
        | OptimizerName::Adan => None,
        OptimizerName::Lamb => Some("the optimiser `lamb` looks at the norm of the whole weight matrix"),
        OptimizerName::Adafactor => Some("the optimiser `adafactor` looks at rows and columns of the whole gradient"),
        OptimizerName::Muon => Some("the optimiser `muon` makes the whole update orthogonal"),
    }
}

/// Trains all members of a stack; the results come in their order. `problem.objective` gives the bias rule only.
///
/// # Errors
/// [`SolveError`] when a label is out of range or the device fails.
///
/// # Panics
/// When the table has a [`hindrance`].
pub fn solve(
    config: &SgdConfig,
    problem: &Problem<'_>,
    members: &[Member],
    observer: &mut dyn Observer,
) -> Result<Vec<Grown>, SolveError> {
    assert!(hindrance(config, problem.early_stopping).is_none(), "these runs cannot be stacked");
    crate::loss::check_labels(problem.train.iter().map(|&r| problem.source.labels[r as usize]), problem.n_classes)?;
    let steps = config.total_steps(problem.train.len());
    observer.start(steps);
    let sampler = Sampler::new(problem.train, config.sampling, config.batch_size.get(), problem.seed);
    if in_place::serves(config, problem)
        && let Some(outcome) = teams::descend(config, problem, members, sampler.clone(), observer)
    {
        return Ok(outcome.grown(config, problem));
    }
    let mut stack = Stack::new(config, problem, members, steps);
    std::thread::scope(|scope| {
        let feed = Feed::start(scope, problem.source, sampler, steps, problem.threads > 1);
        stack.descend(feed, observer)
    })?;
    Ok(stack.outcome()?.grown(config, problem))
}

/// Where a member is.
#[derive(Debug, Clone, Default)]
struct State {
    first_loss: Option<f64>,
    curve: Vec<(u64, f64)>,
    /// Set once it has diverged: the logged step.
    lost: Option<u64>,
}

impl State {
    /// Notes the objective of a logged step; true where it has diverged.
    fn note(&mut self, step: u64, loss: f64) -> bool {
        let first = *self.first_loss.get_or_insert(loss);
        if loss.is_finite() {
            self.curve.push((step, loss));
        }
        if is_diverged(loss, first) {
            self.lost = Some(step);
        }
        self.lost.is_some()
    }
}

/// A stack at its end; states and weights in the order of the members.
struct Outcome {
    states: Vec<State>,
    /// Of those that have not diverged.
    weights: Vec<Option<Parameters>>,
    made: u64,
    stop: StopReason,
    solving: Duration,
}

impl Outcome {
    #[allow(clippy::cast_possible_truncation)]
    fn grown(self, config: &SgdConfig, problem: &Problem<'_>) -> Vec<Grown> {
        let share = self.solving / self.states.len().max(1) as u32;
        let grown = self.states.into_iter().zip(self.weights).map(|(state, weights)| {
            let is_finite = |(w, b): &Parameters| w.iter().chain(b.iter().flatten()).all(|v| v.is_finite());
            let weights = weights.filter(|w| state.lost.is_none() && is_finite(w));
            let stop = match (state.lost, &weights) {
                (Some(step), _) => StopReason::Diverged { step },
                (None, None) => StopReason::Diverged { step: self.made },
                (None, Some(_)) => self.stop,
            };
            // Alone, a run ends with the logged step that shows the divergence.
            let made = state.lost.map_or(self.made, |step| step + 1);
            let (weight, bias) = weights.unwrap_or_default();
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
            let fit = Fit {
                weight: wide(weight),
                bias: bias.map(wide),
                steps: made,
                epochs: config.epochs_after(made, problem.train.len()),
                stop,
                solve: share,
                evaluate: Duration::ZERO,
                certificate: None,
                evaluation: None,
                best_step: None,
            };
            Grown { fit, curve: state.curve }
        });
        grown.collect()
    }
}

/// A stack at work. `alive` holds the members in the order of their blocks.
struct Stack<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    device: Device,
    blocks: Vec<Block>,
    alive: Vec<usize>,
    columns: Columns,
    states: Vec<State>,
    steps: u64,
    made: u64,
    stop: StopReason,
    solving: Duration,
}

impl<'a> Stack<'a> {
    fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, members: &'a [Member], steps: u64) -> Self {
        let device = problem.device.device.clone();
        // Members of one loss stand side by side.
        let mut losses: Vec<&Loss> = Vec::new();
        let mut of: Vec<usize> = Vec::new();
        for member in members {
            let known = losses.iter().position(|l| **l == member.loss).unwrap_or(losses.len());
            if known == losses.len() {
                losses.push(&member.loss);
            }
            of.push(known);
        }
        let mut alive: Vec<usize> = (0..members.len()).collect();
        alive.sort_by_key(|&m| of[m]);
        let count = |loss: usize| of.iter().filter(|o| **o == loss).count();
        let blocks =
            losses.iter().enumerate().map(|(i, loss)| Block { loss: loss.init(&device), members: count(i) }).collect();
        let initial = alive.iter().map(|&m| initial_values(problem, members[m].init_std)).collect();
        let columns = Columns::new(config, problem, initial, &device);
        let states = vec![State::default(); members.len()];
        Self {
            config,
            problem,
            members,
            device,
            blocks,
            alive,
            columns,
            states,
            steps,
            made: 0,
            stop: StopReason::Finished,
            solving: Duration::ZERO,
        }
    }

    fn descend(&mut self, mut feed: Feed<'_>, observer: &mut dyn Observer) -> Result<(), SolveError> {
        let clock = Instant::now();
        let autodiff = self.problem.gradient == GradientRoute::Autodiff;
        for step in 0..self.steps {
            let Some(Drawn::Gathered(host)) = feed.next_batch() else {
                return Err(SolveError::Device("the thread that prepares batches ended early".into()));
            };
            let batch = host.to_device(&self.device);
            let last = step + 1 == self.steps;
            let scores = self.columns.scores(&batch.rows);
            let log = self.config.is_logged(step, self.steps);
            let losses = log.then(|| self.objectives(&scores, &batch));
            let q = block_gradient(&self.blocks, scores, &batch, autodiff);
            let factor = self.config.rate_factor(step, self.steps);
            let of =
                |value: fn(&Member) -> f64| self.alive.iter().map(|&m| value(&self.members[m])).collect::<Vec<_>>();
            let rates: Vec<f64> = of(|m| m.learning_rate).iter().map(|r| r * factor).collect();
            self.columns.update(&batch.rows, q, &rates, &of(|m| m.lambda));
            self.made = step + 1;
            if let Some(losses) = losses {
                self.log(step, losses)?;
            }
            observer.step(self.made);
            if self.columns.is_empty() {
                break;
            }
            if observer.interrupted() && !last {
                self.stop = StopReason::Interrupted;
                break;
            }
        }
        self.device.sync().map_err(|e| SolveError::Device(format!("{e:?}")))?;
        self.solving = clock.elapsed();
        Ok(())
    }

    /// Data loss, ‖W‖² and ‖b‖² of every block before the update, `[3, blocks]`.
    fn objectives(&self, scores: &Tensor<2>, batch: &Batch) -> Tensor<2> {
        let data = block_losses(&self.blocks, scores.clone(), batch);
        let (weight, bias) = self.columns.squares();
        Tensor::stack(vec![data, weight, bias], 0)
    }

    /// Notes the objectives of a logged step and switches off what has diverged.
    fn log(&mut self, step: u64, values: Tensor<2>) -> Result<(), SolveError> {
        let values = values.into_data().try_to_vec_as::<f64>().map_err(|e| SolveError::Device(format!("{e:?}")))?;
        let m = self.alive.len();
        let factor = self.problem.objective.bias.penalty_factor();
        let mut lost = vec![false; m];
        for (at, &member) in self.alive.iter().enumerate() {
            let state = &mut self.states[member];
            // A member that is masked, not taken out, is no longer looked at.
            if state.lost.is_some() {
                continue;
            }
            let [data, weight, bias] = [0, 1, 2].map(|row| values[row * m + at]);
            // Without a regulariser weights beyond all measure are no loss: 0·∞ would be one.
            let lambda = self.members[member].lambda;
            let penalty = if lambda == 0.0 { 0.0 } else { lambda / 2.0 * (weight + factor * bias) };
            lost[at] = state.note(step, data + penalty);
        }
        if lost.contains(&true) {
            self.switch_off(&lost);
        }
        Ok(())
    }

    /// Takes blocks out, or masks them where an optimiser holds a state for them.
    fn switch_off(&mut self, lost: &[bool]) {
        if !self.columns.switch_off(lost) {
            return;
        }
        let mut at = 0;
        for block in &mut self.blocks {
            let gone = lost[at..at + block.members].iter().filter(|l| **l).count();
            at += block.members;
            block.members -= gone;
        }
        self.blocks.retain(|block| block.members > 0);
        let mut lost = lost.iter();
        self.alive.retain(|_| !lost.next().copied().unwrap_or(false));
    }

    fn outcome(self) -> Result<Outcome, SolveError> {
        let mut weights: Vec<Option<Parameters>> = vec![None; self.members.len()];
        for (&member, values) in self.alive.iter().zip(self.columns.read()?) {
            weights[member] = Some(values);
        }
        let Self { states, made, stop, solving, .. } = self;
        Ok(Outcome { states, weights, made, stop, solving })
    }
}
