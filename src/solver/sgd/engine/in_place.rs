//! Plain SGD on the host, on weights that change where they lie. Several models go in teams, one team a thread at a time: a team's
//! weights stay in the second-level cache, and teams meet only where somebody looks at the run. One model has the threads to itself.

use super::gradient::accuracy;
use super::models::{Models, Rule};
use super::{Engine, Objectives, Parameters, Single, Step, Tensors, failed};
use crate::objective::{DenseRows, FusedPass};
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
/// Multiplications of a step that are not worth a second thread.
const ALONE: usize = 1_000_000;
/// Learning rate of the step that shows a gradient, beside which W is nothing. A power of two, so that nothing is rounded.
const LONG: f64 = 4096.0;

/// Whether a run of one model goes this way: with batches that the caches hold while they are read twice, and no scale, by which
/// weights would be divided and multiplied when they are read and kept.
pub(super) fn suits(config: &SgdConfig, pass: &FusedPass<'_>) -> bool {
    let bytes = config.batch_size.get().saturating_mul(pass.rows.row_bytes());
    pass.rows.scale.is_none() && bytes <= BATCH_BYTES
}

/// The models of a run in teams.
pub(super) struct InPlace<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    /// The rows, and what predicts.
    pass: FusedPass<'a>,
    teams: Vec<Team>,
}

/// Some members and their weights.
struct Team {
    /// The members in the order of their models, without those that have diverged.
    alive: Vec<usize>,
    models: Models,
}

impl<'a> InPlace<'a> {
    /// The members in teams of equal size, as many as the threads share evenly.
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, members: &'a [Member], pass: FusedPass<'a>) -> Self {
        let most = (TEAM_BYTES / (4 * pass.rows.n_features * problem.n_classes).max(1)).max(1);
        let threads = rayon::current_num_threads();
        let turns = members.len().div_ceil(most * threads);
        let size = members.len().div_ceil(turns * threads).max(1);
        let all: Vec<usize> = (0..members.len()).collect();
        let team = |alive: &[usize]| {
            let values: Vec<_> = alive.iter().map(|&m| initial_values(problem, members[m].init_std)).collect();
            Team { alive: alive.to_vec(), models: Models::new(&pass.rows, problem.n_classes, &values) }
        };
        let teams = all.chunks(size).map(team).collect();
        Self { config, problem, members, pass, teams }
    }
}

impl Team {
    /// Makes steps; the objectives before the last where they are wanted.
    fn advance(
        &mut self,
        pass: &FusedPass<'_>,
        members: &[Member],
        steps: &[Step],
        want_loss: bool,
        parallel: bool,
    ) -> Objectives {
        let mut objectives = Vec::new();
        for (Step { drawn, factor }, number) in steps.iter().zip(1..) {
            if self.alive.is_empty() {
                break;
            }
            let penalties = (want_loss && number == steps.len()).then(|| self.penalties(&pass.rows, members));
            let rule = |&member: &usize| {
                let Member { learning_rate, objective, .. } = &members[member];
                Rule { objective, rate: learning_rate * factor }
            };
            let rules: Vec<Rule<'_>> = self.alive.iter().map(rule).collect();
            let losses = self.models.step(pass, &drawn.rows, &rules, parallel);
            // In single precision, as the other engines read it from their device.
            #[allow(clippy::cast_possible_truncation)]
            let total = |(data, penalty): (f64, f64)| f64::from((data + penalty) as f32);
            let totals = losses.into_iter().zip(penalties.into_iter().flatten()).map(total);
            objectives = self.alive.iter().copied().zip(totals).collect();
        }
        objectives
    }

    fn penalties(&self, rows: &DenseRows<'_>, members: &[Member]) -> Vec<f64> {
        let of =
            |(&member, at): (&usize, Parameters)| members[member].objective.penalty(&at.weight, at.bias.as_deref());
        self.alive.iter().zip(self.models.values(rows)).map(of).collect()
    }
}

impl Engine for InPlace<'_> {
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
        let (pass, members, k) = (&self.pass, self.members, self.problem.n_classes);
        let work = steps.iter().map(|step| step.drawn.rows.len()).max().unwrap_or(0) * pass.rows.n_features * k;
        if let [team] = &mut self.teams[..] {
            let parallel = work > ALONE && rayon::current_num_threads() > 1;
            return Ok(team.advance(pass, members, &steps, want_loss, parallel));
        }
        let teams = self.teams.par_iter_mut();
        let objectives = teams.map(|team| team.advance(pass, members, &steps, want_loss, false));
        Ok(objectives.collect::<Vec<_>>().concat())
    }

    fn remove(&mut self, lost: &[usize]) {
        for team in &mut self.teams {
            let (alive, values) = (&team.alive, team.models.values(&self.pass.rows));
            let kept: Vec<_> = alive.iter().copied().zip(values).filter(|(member, _)| !lost.contains(member)).collect();
            if kept.len() < alive.len() {
                let values: Vec<Parameters>;
                (team.alive, values) = kept.into_iter().unzip();
                team.models = Models::new(&self.pass.rows, self.problem.n_classes, &values);
            }
        }
    }

    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        let of = |team: &Team| team.alive.iter().copied().zip(team.models.values(&self.pass.rows)).collect::<Vec<_>>();
        Ok(self.teams.iter().flat_map(of).collect())
    }

    /// (W − W')/η of a step that is made by a model of its own.
    #[allow(clippy::cast_possible_truncation)]
    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        let table = &self.pass.rows;
        let mut model = Models::new(table, self.problem.n_classes, std::slice::from_ref(at));
        model.step(&self.pass, rows, &[Rule { objective: &member.objective, rate: LONG }], false);
        let moved = model.values(table).swap_remove(0);
        let slope = |(from, to): (&f32, &f32)| ((f64::from(*from) - f64::from(*to)) / LONG) as f32;
        let slopes = |from: &[f32], to: &[f32]| from.iter().zip(to).map(slope).collect();
        let bias = at.bias.as_deref().zip(moved.bias.as_deref()).map(|(from, to)| slopes(from, to));
        Ok(Parameters { weight: slopes(&at.weight, &moved.weight), bias })
    }

    fn single(&mut self) -> Option<&mut dyn Single> {
        if self.members.len() == 1 { Some(self) } else { None }
    }
}

impl Single for InPlace<'_> {
    fn measure(&mut self, rows: &[u32], metric: WatchedMetric) -> Result<f64, SolveError> {
        let at = self.teams[0].models.values(&self.pass.rows).swap_remove(0);
        match metric {
            WatchedMetric::Accuracy => Ok(accuracy(&mut self.pass, &at, rows)),
            WatchedMetric::Loss => {
                let tensors = Tensors::new(self.problem, &self.members[0].objective);
                tensors.measure(&tensors.model(at), rows, metric, |rows| tensors.batch(rows))
            }
        }
    }

    /// That of Burn's plain SGD, which has none.
    fn optimizer(&self) -> Result<Vec<u8>, SolveError> {
        self.config.build_optimizer().into_bytes().map(|bytes| bytes.to_vec()).map_err(failed)
    }

    fn restore(&mut self, parameters: Parameters, optimizer: Vec<u8>) -> Result<(), SolveError> {
        restored(self.config.build_optimizer(), optimizer, &self.problem.device.device)?;
        self.teams[0].models = Models::new(&self.pass.rows, self.problem.n_classes, &[parameters]);
        Ok(())
    }
}
