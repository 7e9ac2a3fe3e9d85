//! Plain SGD on the host, on weights that are updated in place. Several models go in teams, one team a thread at a time: a team's
//! weights stay in the second-level cache, and teams meet only when the run is logged or measured. One model has the threads to itself.

use super::team::MemberTeam;
use super::{Engine, Objectives, Parameters, SingleModel, Step, Tensors, accuracy, failed};
use crate::objective::FusedPass;
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::draws::initial_values;
use crate::solver::sgd::resume::restored;
use crate::solver::sgd::stacked::Member;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, Route, SolveError};
use rayon::prelude::*;

/// Bytes of the weights of a team.
const TEAM_BYTES: usize = 1 << 20;
/// Steps that teams make between two meetings.
const STEPS: u64 = 50;
/// Bytes of the rows of a batch, which are read twice.
const BATCH_BYTES: usize = 8 << 20;
/// Learning rate of the step that yields a gradient: so large that W vanishes in the rounding. A power of two, so that nothing is rounded.
const LONG: f64 = 4096.0;

/// Whether a run of one model takes this engine: with batches that the caches hold while they are read twice, and no scale, by which
/// weights would be divided and multiplied when they are read and kept.
pub(super) fn suits(config: &SgdConfig, pass: &FusedPass<'_>) -> bool {
    let bytes = config.batch_size.get().saturating_mul(pass.rows.row_bytes());
    pass.rows.scale.is_none() && bytes <= BATCH_BYTES
}

/// The models of a run in teams.
pub(super) struct InPlaceEngine<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    /// The rows, for steps and predictions.
    pass: FusedPass<'a>,
    teams: Vec<MemberTeam>,
}

impl<'a> InPlaceEngine<'a> {
    /// The members in teams of equal size, as many as the threads share evenly.
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, members: &'a [Member], pass: FusedPass<'a>) -> Self {
        let most = (TEAM_BYTES / (4 * pass.rows.n_features * problem.n_classes).max(1)).max(1);
        let threads = rayon::current_num_threads();
        let turns = members.len().div_ceil(most * threads);
        let size = members.len().div_ceil(turns * threads).max(1);
        let initial: Vec<_> =
            members.iter().enumerate().map(|(i, m)| (i, initial_values(problem, m.init_std))).collect();
        let teams = initial.chunks(size).map(|team| MemberTeam::new(&pass.rows, problem.n_classes, team)).collect();
        Self { config, problem, members, pass, teams }
    }
}

impl Engine for InPlaceEngine<'_> {
    fn route(&self) -> Route {
        Route::Fused
    }

    fn reads_in_place(&self) -> bool {
        true
    }

    fn stride(&self) -> u64 {
        if self.members.len() > 1 { STEPS } else { 1 }
    }

    fn step(&mut self, step: Step, want_loss: bool) -> Result<Objectives, SolveError> {
        self.advance(vec![step], want_loss)
    }

    fn advance(&mut self, steps: Vec<Step>, want_loss: bool) -> Result<Objectives, SolveError> {
        let (pass, members) = (&self.pass, self.members);
        if let [team] = &mut self.teams[..] {
            return Ok(team.advance(pass, members, &steps, want_loss, rayon::current_num_threads() > 1));
        }
        let teams = self.teams.par_iter_mut();
        let objectives = teams.map(|team| team.advance(pass, members, &steps, want_loss, false));
        Ok(objectives.collect::<Vec<_>>().concat())
    }

    fn remove(&mut self, lost: &[usize]) {
        let (rows, k) = (&self.pass.rows, self.problem.n_classes);
        for team in self.teams.iter_mut().filter(|team| team.alive.iter().any(|member| lost.contains(member))) {
            let mut kept = team.values(rows);
            kept.retain(|(member, _)| !lost.contains(member));
            if kept.is_empty() {
                team.alive.clear();
            } else {
                *team = MemberTeam::new(rows, k, &kept);
            }
        }
    }

    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        Ok(self.teams.iter().flat_map(|team| team.values(&self.pass.rows)).collect())
    }

    /// (W − W')/η of a step that is made by a model of its own.
    #[allow(clippy::cast_possible_truncation)]
    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        let mut team = MemberTeam::new(&self.pass.rows, self.problem.n_classes, &[(0, at.clone())]);
        team.step(&self.pass, &[Member { learning_rate: LONG, ..member.clone() }], rows, 1.0, false);
        let (_, moved) = team.values(&self.pass.rows).swap_remove(0);
        let slope = |(from, to): (&f32, &f32)| ((f64::from(*from) - f64::from(*to)) / LONG) as f32;
        let slopes = |from: &[f32], to: &[f32]| from.iter().zip(to).map(slope).collect();
        let bias = at.bias.as_deref().zip(moved.bias.as_deref()).map(|(from, to)| slopes(from, to));
        Ok(Parameters { weight: slopes(&at.weight, &moved.weight), bias })
    }

    fn single(&mut self) -> Option<&mut dyn SingleModel> {
        if self.members.len() == 1 { Some(self) } else { None }
    }
}

impl SingleModel for InPlaceEngine<'_> {
    fn measure(&mut self, rows: &[u32], metric: WatchedMetric) -> Result<f64, SolveError> {
        let (_, at) = self.teams[0].values(&self.pass.rows).swap_remove(0);
        if metric == WatchedMetric::Accuracy {
            return Ok(accuracy(&mut self.pass, &at, rows));
        }
        let tensors = Tensors::new(self.problem, &self.members[0].objective);
        tensors.measure(&tensors.model(at), rows, metric, |rows| tensors.batch(rows))
    }

    /// That of Burn's plain SGD, which has none.
    fn optimizer(&self) -> Result<Vec<u8>, SolveError> {
        self.config.build_optimizer().into_bytes().map(|bytes| bytes.to_vec()).map_err(failed)
    }

    fn restore(&mut self, parameters: Parameters, optimizer: Vec<u8>) -> Result<(), SolveError> {
        restored(self.config.build_optimizer(), optimizer, &self.problem.device.device)?;
        self.teams[0] = MemberTeam::new(&self.pass.rows, self.problem.n_classes, &[(0, parameters)]);
        Ok(())
    }
}
