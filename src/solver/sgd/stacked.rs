//! Several configurations trained over the same batches, by one engine.
//!
//! Members share the batches, the initial draws and the shape of the solver; each becomes what it would have become alone, up to
//! rounding. A column never meets another: what leaves the finite numbers stays in its own block until the next logged step, when
//! the member is switched off. Optimisers whose update of a cell depends on that cell's gradients alone, and is proportional to
//! the learning rate, can be stacked ([`hindrance`]).

use super::{SgdConfig, run};
use crate::objective::Objective;
use crate::solver::{EarlyStopping, Fit, Observer, Problem, SolveError};

/// Parameters of one configuration of a stack; everything else is of the problem and the table that they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// η, before the schedule.
    pub learning_rate: f64,
    /// Deviation of the initial weights.
    pub init_std: f64,
    /// Loss, λ and the bias rule, which all members share.
    pub objective: Objective,
}

impl Member {
    /// The member that a table makes with an objective.
    #[must_use]
    pub fn new(config: &SgdConfig, objective: &Objective) -> Self {
        let (learning_rate, init_std) = (config.learning_rate.get(), config.init_std.get());
        Self { learning_rate, init_std, objective: objective.clone() }
    }
}

/// The result of one member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberFit {
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
    config.optimizer.looks_across()
}

/// Trains all members of a stack; the results come in their order. `problem.objective` gives the bias rule only.
///
/// # Errors
/// [`SolveError`] when a label is out of range, the device fails or a gradient disagrees with autodiff.
///
/// # Panics
/// When the table has a [`hindrance`].
pub fn solve(
    config: &SgdConfig,
    problem: &Problem<'_>,
    members: &[Member],
    observer: &mut dyn Observer,
) -> Result<Vec<MemberFit>, SolveError> {
    assert!(hindrance(config, problem.early_stopping).is_none(), "these runs cannot be stacked");
    crate::loss::check_labels(problem.train.iter().map(|&r| problem.source.labels[r as usize]), problem.n_classes)?;
    problem.in_single(|problem| run::train(config, problem, members, observer))
}
