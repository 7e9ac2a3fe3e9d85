//! Snapshots of minibatch descent between two steps, resumed to the last bit.
//!
//! The batches are not kept: a new sampler draws and drops those that were made. The state of the optimiser is kept as Burn
//! writes it (burnpack). Burn's own `load_record` first brings it to the device that the build prefers, whether or not the
//! machine has that; [`PlacedOptimizer`] brings it to the device of the run.

use super::engine::Parameters;
use super::run::SgdRun;
use crate::model::LinearSvm;
use crate::solver::stop::BestState;
use crate::solver::{Observer, Problem, Snapshot, SolveError};
use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer, OptimizerRecord, RecordState, StateSink, StateSource};
use burn::tensor::{Bytes, Device, Tensor};
use std::cell::RefCell;
use std::time::Instant;

/// The model of a run on the device with autodiff. Its parameters have the same numbers in every process: the optimiser's state
/// is kept by them.
pub(super) fn model(weight: Vec<f32>, bias: Option<Vec<f32>>, n_classes: usize, device: &Device) -> LinearSvm {
    let svm = LinearSvm::from_values(weight, bias, n_classes, &device.clone().autodiff());
    let Linear { weight, bias } = svm.linear;
    LinearSvm { linear: Linear { weight: numbered(weight, 1), bias: bias.map(|bias| numbered(bias, 2)) } }
}

fn numbered<const D: usize>(parameter: Param<Tensor<D>>, number: u64) -> Param<Tensor<D>> {
    let (_, value, mapper) = parameter.consume();
    Param::from_mapped_value(ParamId::from(number), value, mapper)
}

thread_local! {
    /// Device to which the state of an optimiser is read.
    static HOME: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// An optimiser whose state is read to the device of the run.
#[derive(Clone)]
struct PlacedOptimizer<O>(O);

/// Its state.
#[derive(Clone)]
struct PlacedState<S>(S);

/// As Burn's `init`, but its state can be read on any machine.
pub(super) fn placed(optimizer: impl Optimizer) -> ModuleOptimizer {
    ModuleOptimizer::from(PlacedOptimizer(optimizer))
}

/// The same for one group of parameters.
pub(super) fn placed_group(optimizer: impl Optimizer) -> impl Optimizer {
    PlacedOptimizer(optimizer)
}

impl<O: Optimizer> Optimizer for PlacedOptimizer<O> {
    type State<const D: usize> = PlacedState<O::State<D>>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (tensor, state) = self.0.step(rate, tensor, gradient, state.map(|state| state.0));
        (tensor, state.map(PlacedState))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        PlacedState(O::to_device(state.0, device))
    }
}

impl<S: RecordState> RecordState for PlacedState<S> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let device = HOME.with_borrow(Clone::clone).unwrap_or_else(|| device.clone());
        S::state_unflatten(prefix, source, &device).map(PlacedState)
    }
}

/// The optimiser with its state as it was kept, on `device`.
pub(super) fn restored(
    optimizer: ModuleOptimizer,
    kept: Vec<u8>,
    device: &Device,
) -> Result<ModuleOptimizer, SolveError> {
    let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(kept))
        .map_err(|e| SolveError::Snapshot(format!("the state of the optimiser: {e:?}")))?;
    HOME.set(Some(device.clone()));
    let optimizer = optimizer.load_record(record);
    HOME.set(None);
    Ok(optimizer)
}

impl SgdRun<'_> {
    /// Between two steps: keeps a snapshot where one is due; true when the run should end.
    pub(super) fn pass_by(&mut self, observer: &mut dyn Observer) -> Result<bool, SolveError> {
        let interrupted = observer.interrupted();
        if self.engine.single().is_some() && (interrupted || observer.wants_snapshot()) {
            self.pause()?;
            if let Some(snapshot) = self.snapshot()? {
                observer.snapshot(snapshot);
            }
            self.clock = Instant::now();
        }
        Ok(interrupted)
    }

    /// The state to resume from, of a run of one model.
    pub(super) fn snapshot(&mut self) -> Result<Option<Snapshot>, SolveError> {
        let Some(optimizer) = self.engine.single().map(|single| single.optimizer()) else { return Ok(None) };
        let mut kept = Snapshot::default();
        for (_, parameters) in self.engine.parameters()? {
            put_parameters(&mut kept, "", &parameters);
        }
        kept.put("optimizer", optimizer?);
        kept.put_one("made", self.made);
        kept.put("first_loss", self.states[0].first_loss.into_iter().collect::<Vec<f64>>());
        kept.put_time("solving", self.solving);
        kept.put_time("evaluating", self.evaluating);
        if let Some(best) = &self.best {
            let (held, waited) = best.parts();
            kept.put_one("best.waited", waited as u64);
            if let Some((value, step, parameters)) = held {
                kept.put_one("best.value", value);
                kept.put_one("best.step", step);
                put_parameters(&mut kept, "best.", parameters);
            }
        }
        Ok(Some(kept))
    }

    /// Goes back to where an earlier run of one model was kept.
    ///
    /// # Errors
    /// [`SolveError::Snapshot`] when it is not of this problem.
    pub(super) fn restore(&mut self, mut kept: Snapshot) -> Result<(), SolveError> {
        let Some(single) = self.engine.single() else { return Ok(()) };
        let parameters = take_parameters(self.problem, &mut kept, "")?;
        let made: u64 = kept.take_one("made")?;
        if made > self.steps {
            return Err(SolveError::Snapshot(format!("it is at step {made} of {}", self.steps)));
        }
        self.made = made;
        single.restore(parameters, kept.take("optimizer")?)?;
        self.states[0].first_loss = kept.take::<f64>("first_loss")?.first().copied();
        self.solving = kept.take_time("solving")?;
        self.evaluating = kept.take_time("evaluating")?;
        if let Some(rule) = self.problem.early_stopping {
            let waited = usize::try_from(kept.take_one::<u64>("best.waited")?).unwrap_or(usize::MAX);
            let held = if kept.has("best.value") {
                let (value, step) = (kept.take_one("best.value")?, kept.take_one("best.step")?);
                Some((value, step, take_parameters(self.problem, &mut kept, "best.")?))
            } else {
                None
            };
            self.best = Some(BestState::of_parts(rule, held, waited));
        }
        Ok(())
    }
}

fn put_parameters(kept: &mut Snapshot, prefix: &str, Parameters { weight, bias }: &Parameters) {
    kept.put(&format!("{prefix}weight"), weight.clone());
    if let Some(bias) = bias {
        kept.put(&format!("{prefix}bias"), bias.clone());
    }
}

fn take_parameters(problem: &Problem<'_>, kept: &mut Snapshot, prefix: &str) -> Result<Parameters, SolveError> {
    let k = problem.n_classes;
    let weight = kept.take_exactly(&format!("{prefix}weight"), problem.source.features.n_features() * k)?;
    let bias = problem.objective.bias.has_bias().then(|| kept.take_exactly(&format!("{prefix}bias"), k));
    Ok(Parameters { weight, bias: bias.transpose()? })
}
