//! Which trainings are done together: stacks of trials, paths in C, and the rest one by one.

use super::space::Trial;
use crate::bounded::{NonNegative, Positive};
use crate::config::search::SearchConfig;
use crate::data::Features;
use crate::loss::LossConfig;
use crate::objective::ObjectiveConfig;
use crate::solver::SolverConfig;
use crate::solver::sgd::stacked::hindrance;

/// Method of training the trials of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingKind {
    /// One trial by its own solver.
    Alone,
    /// As blocks of one model.
    Stack,
    /// One after another from the strongest regularisation to the weakest, each from the dual variables of the one before.
    Path,
}

/// Trials that are trained together on a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Method of training.
    pub kind: TrainingKind,
    /// Their numbers, ascending.
    pub trials: Vec<usize>,
}

/// Cells that the gathered weights of a sparse batch may have.
const SPARSE_CELLS: usize = 1 << 25;
/// Weights that a stack may have together, and scores of a batch.
const WEIGHTS: usize = 1 << 27;
const SCORES: usize = 1 << 26;

/// Sizes of the data.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Number of features.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Stored cells of a sparse row on average; `None` for dense rows.
    pub cells_a_row: Option<usize>,
}

impl Sizes {
    /// Of a data set.
    #[must_use]
    pub fn of(features: &Features, n_classes: usize) -> Self {
        let cells_a_row = match features {
            Features::Sparse(csr) => Some(((csr.density() * csr.n_features() as f64).ceil() as usize).max(1)),
            Features::U8(_) | Features::F32(_) | Features::F64(_) => None,
        };
        Self { n_features: features.n_features(), n_classes, cells_a_row }
    }

    /// The trials of a stack that memory has room for.
    fn room(self, batch: usize) -> usize {
        let weights = WEIGHTS / (self.n_features * self.n_classes).max(1);
        let cells = self.cells_a_row.map_or(usize::MAX, |cells| {
            SPARSE_CELLS / cells.saturating_mul(batch).saturating_mul(self.n_classes).max(1)
        });
        let scores = SCORES / batch.saturating_mul(self.n_classes).max(1);
        weights.min(scores).min(cells).max(1)
    }
}

/// Why a trial is trained alone although others are there; `None` where it need not be.
#[must_use]
pub fn alone_because(trial: &Trial, search: &SearchConfig) -> Option<&'static str> {
    match &trial.config.run.solver {
        SolverConfig::Sgd(_) if search.stacked.get() == 1 => Some("`stacked = 1` of [search]"),
        SolverConfig::Sgd(sgd) => hindrance(sgd, trial.config.run.early_stopping),
        SolverConfig::Dual(dual) if !dual.warm_start => Some("`warm_start = false` of [solver.dual]"),
        SolverConfig::Dual(_) => None,
        SolverConfig::Lbfgs(_) => Some("[solver.lbfgs] goes its own way from each point"),
        SolverConfig::Newton(_) => Some("[solver.newton] begins each trial anew"),
    }
}

/// Configuration that trials must share to be trained together: all but the keys that each may have for itself.
fn shape(trial: &Trial) -> String {
    let mut run = trial.config.run.clone();
    let one = Positive::new(1.0).unwrap_or_else(|_| unreachable!("1 is positive"));
    let zero = NonNegative::new(0.0).unwrap_or_else(|_| unreachable!("0 is not negative"));
    run.objective = ObjectiveConfig::default();
    if let SolverConfig::Sgd(sgd) = &mut run.solver {
        sgd.learning_rate = one;
        sgd.init_std = zero;
        run.loss = LossConfig::WestonWatkins(crate::loss::DifferenceOptions::default());
    }
    // Every part of it can be written as TOML; a part that could not would share with none.
    toml::to_string(&run).unwrap_or_else(|_| format!("trial {}", trial.index))
}

/// Groups the trials that take part in a rung; the groups are the same for every fold and every session.
#[must_use]
pub fn groups(trials: &[Trial], chosen: &[usize], search: &SearchConfig, sizes: Sizes) -> Vec<Group> {
    let mut shapes: Vec<(String, Group, usize)> = Vec::new();
    for &index in chosen {
        let trial = &trials[index];
        let (kind, room) = match (&trial.config.run.solver, alone_because(trial, search)) {
            (_, Some(_)) | (SolverConfig::Lbfgs(_) | SolverConfig::Newton(_), None) => (TrainingKind::Alone, 1),
            (SolverConfig::Sgd(sgd), None) => {
                (TrainingKind::Stack, search.stacked.get().min(sizes.room(sgd.batch_size.get())))
            }
            (SolverConfig::Dual(_), None) => (TrainingKind::Path, usize::MAX),
        };
        let shape = if kind == TrainingKind::Alone { format!("alone {index}") } else { shape(trial) };
        let open = shapes.iter_mut().find(|(s, group, room)| *s == shape && group.trials.len() < *room);
        match open {
            Some((_, group, _)) => group.trials.push(index),
            None => shapes.push((shape, Group { kind, trials: vec![index] }, room)),
        }
    }
    shapes
        .into_iter()
        .map(|(_, group, _)| if group.trials.len() == 1 { Group { kind: TrainingKind::Alone, ..group } } else { group })
        .collect()
}

/// The name of a job: the trials, fold and rung that determine its result, by which a record of it is found.
#[must_use]
pub fn job_name(rung: usize, fold: usize, group: &Group) -> String {
    let trials: Vec<String> = group.trials.iter().map(ToString::to_string).collect();
    let kind = match group.kind {
        TrainingKind::Alone => "alone",
        TrainingKind::Stack => "stack",
        TrainingKind::Path => "path",
    };
    format!("rung {rung} fold {fold} {kind} {}", trials.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadedConfig;
    use crate::search::space;
    use std::path::Path;

    fn plan(solver: &str, search: &str) -> Vec<Group> {
        let text = format!(
            "[data.digits]\n[split]\nvalidation = 0.2\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n{solver}\n[search]\n{search}\n"
        );
        let config = LoadedConfig::parse(&text, Path::new("x.toml"), &[]).unwrap();
        let search = space::table(&config).unwrap();
        let trials = space::trials(&config, search).unwrap();
        let all: Vec<usize> = (0..trials.len()).collect();
        groups(&trials, &all, search, Sizes { n_features: 64, n_classes: 10, cells_a_row: None })
    }

    #[test]
    fn rates_strengths_and_losses_share_a_stack_and_preprocessing_does_not() {
        let of = |trials: &[usize]| Group { kind: TrainingKind::Stack, trials: trials.to_vec() };
        let space = "[search.space]\n\"objective.lambda\" = [1e-3, 1e-2]\n\"loss.weston_watkins.margin\" = [1.0, 2.0]\n\"preprocess.scale\" = [\"none\", \"std\"]";
        assert_eq!(plan("[solver.sgd]", space), [of(&[0, 2, 4, 6]), of(&[1, 3, 5, 7])]);
        let few = format!("stacked = 3\n{space}");
        assert_eq!(plan("[solver.sgd]", &few)[..2], [of(&[0, 2, 4]), of(&[1, 3, 5])]);
        assert!(plan("[solver.sgd]\noptimizer = \"lamb\"", space).iter().all(|g| g.kind == TrainingKind::Alone));
        assert!(plan("[solver.sgd]", &format!("stacked = 1\n{space}")).iter().all(|g| g.kind == TrainingKind::Alone));
    }

    #[test]
    fn a_stack_of_many_classes_is_small() {
        let sizes = |n_classes| Sizes { n_features: 2, n_classes, cells_a_row: None };
        assert!(sizes(10).room(128) > 1_000);
        assert_eq!((sizes(30_000).room(128), sizes(30_000).room(usize::MAX)), (17, 1));
    }

    #[test]
    fn strengths_of_the_exact_solver_are_a_path_for_each_loss() {
        let space = "[search.space]\n\"objective.lambda\" = [1e-3, 1e-2]\n\"loss.weston_watkins.power\" = [1, 2]";
        let of = |trials: &[usize]| Group { kind: TrainingKind::Path, trials: trials.to_vec() };
        assert_eq!(plan("[solver.dual]", space), [of(&[0, 1]), of(&[2, 3])]);
        assert_eq!(job_name(0, 2, &of(&[0, 2])), "rung 0 fold 2 path 0,2");
    }
}
