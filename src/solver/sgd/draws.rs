//! Random draws on the host besides the batches: initial weights, rows of the accuracy estimate, and batches that fit into memory.

use super::engine::Parameters;
use super::sampler::Sampling;
use crate::data::{sample, streams};
use crate::solver::{Problem, SolverConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Training rows on which the accuracy is estimated during a run.
pub const ESTIMATE_ROWS: usize = 5_000;

/// The initial model: normal weights and bias of the given deviation, drawn on the host.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn initial_values(problem: &Problem<'_>, deviation: f64) -> Parameters {
    let mut rng = ChaCha8Rng::seed_from_u64(problem.seed);
    rng.set_stream(streams::INIT);
    let mut draw = |count: usize| -> Vec<f32> {
        if deviation == 0.0 {
            return vec![0.0; count];
        }
        (0..count).map(|_| (deviation * Distribution::<f64>::sample(&StandardNormal, &mut rng)) as f32).collect()
    };
    let weight = draw(problem.source.features.n_features() * problem.n_classes);
    let bias = problem.objective.bias.has_bias().then(|| draw(problem.n_classes));
    Parameters { weight, bias }
}

/// The training rows on which accuracy is estimated during a run: all, or a fixed seeded sample.
pub(super) fn estimate_rows(problem: &Problem<'_>) -> Vec<u32> {
    sample(problem.train, ESTIMATE_ROWS, problem.seed)
}

impl SolverConfig {
    /// Checks the rows that a step draws with replacement: their number is not bounded by that of the data, and a batch is held in
    /// memory.
    ///
    /// # Errors
    /// A sentence with the sizes found and expected.
    pub fn check_draws(&self, n_train: usize) -> Result<(), String> {
        /// Rows that may be drawn from fewer.
        const MOST_DRAWN: usize = 65_536;
        let most = n_train.max(MOST_DRAWN);
        match self {
            Self::Sgd(config) if config.sampling == Sampling::WithReplacement => {
                let drawn = config.batch_size.get();
                let problem =
                    || format!("batch_size: found {drawn} rows to draw from {n_train}, expected at most {most}");
                (drawn <= most).then_some(()).ok_or_else(problem)
            }
            Self::Sgd(_) | Self::Dual(_) | Self::Lbfgs(_) | Self::Newton(_) => Ok(()),
        }
    }
}
