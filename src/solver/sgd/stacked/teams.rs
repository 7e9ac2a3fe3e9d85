//! A stack of plain SGD on the host, in place: members go in teams, one team a thread at a time. A team's weights stay in the
//! second-level cache, and teams meet only where somebody looks at the run.

use super::{Member, Outcome, State, initial_values};
use crate::solver::sgd::in_place::{Models, Parameters, Rule, Table};
use crate::solver::sgd::sampler::Sampler;
use crate::solver::sgd::{SgdConfig, StopReason};
use crate::solver::{Observer, Problem};
use rayon::prelude::*;
use std::time::Instant;

/// Bytes of the weights of a team.
const TEAM_BYTES: usize = 1 << 20;
/// Steps that teams make between two meetings.
const STEPS: u64 = 50;

/// What all teams share.
struct Shared<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    table: Table<'a>,
    steps: u64,
}

/// Trains all members; `None` where the rows are sparse.
pub(super) fn descend(
    config: &SgdConfig,
    problem: &Problem<'_>,
    members: &[Member],
    mut sampler: Sampler,
    observer: &mut dyn Observer,
) -> Option<Outcome> {
    let steps = config.total_steps(problem.train.len());
    let shared = Shared { config, problem, members, table: Table::new(problem.source)?, steps };
    let mut teams = teams(&shared);
    let clock = Instant::now();
    let (mut made, mut stop) = (0, StopReason::Finished);
    while made < steps && teams.iter().any(|team| !team.alive.is_empty()) {
        let batches: Vec<Vec<u32>> = (0..STEPS.min(steps - made)).map(|_| sampler.next_batch()).collect();
        teams.par_iter_mut().for_each(|team| {
            for (step, batch) in (made..).zip(&batches) {
                team.step(&shared, step, batch);
            }
        });
        made += batches.len() as u64;
        observer.step(made);
        if observer.interrupted() && made < steps {
            stop = StopReason::Interrupted;
            break;
        }
    }
    let solving = clock.elapsed();
    let mut weights = vec![None; members.len()];
    let mut states: Vec<(usize, State)> = Vec::with_capacity(members.len());
    for team in teams {
        for (&member, values) in team.alive.iter().zip(team.models.values(&shared.table)) {
            weights[member] = Some(values);
        }
        states.extend(team.states);
    }
    states.sort_by_key(|(member, _)| *member);
    let states = states.into_iter().map(|(_, state)| state).collect();
    Some(Outcome { states, weights, made, stop, solving })
}

/// The members in teams of equal size, as many as the threads share evenly.
fn teams(shared: &Shared<'_>) -> Vec<Team> {
    let most = (TEAM_BYTES / (4 * shared.table.n_features() * shared.problem.n_classes).max(1)).max(1);
    let threads = rayon::current_num_threads();
    let n = shared.members.len();
    let turns = n.div_ceil(most * threads);
    let size = n.div_ceil(turns * threads).max(1);
    let all: Vec<usize> = (0..n).collect();
    all.chunks(size).map(|members| Team::new(shared, members)).collect()
}

/// Some members and their weights.
struct Team {
    /// The members in the order of their models, without those that have diverged.
    alive: Vec<usize>,
    states: Vec<(usize, State)>,
    models: Models,
}

impl Team {
    fn new(shared: &Shared<'_>, members: &[usize]) -> Self {
        let values = members.iter().map(|&m| initial_values(shared.problem, shared.members[m].init_std)).collect();
        Self {
            alive: members.to_vec(),
            states: members.iter().map(|&m| (m, State::default())).collect(),
            models: Models::new(&shared.table, shared.problem.n_classes, values),
        }
    }

    fn step(&mut self, shared: &Shared<'_>, step: u64, batch: &[u32]) {
        if self.alive.is_empty() {
            return;
        }
        let penalties = shared.config.is_logged(step, shared.steps).then(|| self.penalties(shared));
        let schedule = shared.config.rate_factor(step, shared.steps);
        let factor = shared.problem.objective.bias.penalty_factor();
        let rule = |&member: &usize| {
            let member = &shared.members[member];
            let rate = member.learning_rate * schedule;
            let shrink = rate * member.lambda;
            Rule { loss: &member.loss, rate, shrink, shrink_bias: shrink * factor }
        };
        let rules: Vec<Rule<'_>> = self.alive.iter().map(rule).collect();
        let losses = self.models.step(&shared.table, batch, &rules, false);
        if let Some(penalties) = penalties {
            self.log(shared, step, &losses, &penalties);
        }
    }

    /// What the regulariser costs each member.
    fn penalties(&self, shared: &Shared<'_>) -> Vec<f64> {
        let square = |values: &[f32]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let factor = shared.problem.objective.bias.penalty_factor();
        let of = |(&member, (weight, bias)): (&usize, Parameters)| {
            let lambda = shared.members[member].lambda;
            // Without a regulariser weights beyond all measure are no loss: 0·∞ would be one.
            let all = || square(&weight) + factor * bias.as_deref().map_or(0.0, square);
            if lambda == 0.0 { 0.0 } else { lambda / 2.0 * all() }
        };
        self.alive.iter().zip(self.models.values(&shared.table)).map(of).collect()
    }

    /// Notes the objectives before a step, and takes out what has diverged.
    #[allow(clippy::cast_possible_truncation)]
    fn log(&mut self, shared: &Shared<'_>, step: u64, data: &[f64], penalties: &[f64]) {
        let mut kept = Vec::new();
        for (at, &member) in self.alive.iter().enumerate() {
            let Some((_, state)) = self.states.iter_mut().find(|(m, _)| *m == member) else { continue };
            // In single precision, as a run alone reads it from its device.
            if !state.note(step, f64::from((data[at] + penalties[at]) as f32)) {
                kept.push(at);
            }
        }
        if kept.is_empty() {
            self.alive.clear();
        } else if kept.len() < self.alive.len() {
            let values = self.models.values(&shared.table);
            self.alive = kept.iter().map(|&at| self.alive[at]).collect();
            let values = kept.iter().map(|&at| values[at].clone()).collect();
            self.models = Models::new(&shared.table, shared.problem.n_classes, values);
        }
    }
}
