//! Ascent in parts (`parts`) on several threads: rows whose products are too small to be shared are shared out themselves.
//!
//! It pays where each part has many times as many rows as there are weights. Where it has not, parts disagree, and visit more rows together
//! than one thread would alone.

use super::state::Bounds;
use super::{Ascent, BestWeights, Pace, Problem, SHORT, SolveError, sweep};
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::parts::{Coordinator, Limits, PartTeam, PartVariables, Request, Setting};
use crate::solver::{Fit, Observer, StopReason};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Rows of a part, at least, and for each of the weights.
const LEAST: usize = 20_000;
const A_WEIGHT: usize = 50;
/// Visits of the slowest part, as a share of those to hot rows, below which the rows that are still being solved are in one place anyway:
/// ascent alone, which knows when to look at each again, is faster then. It looks at the others within so many epochs.
const LATE: f64 = 0.25;
const LOOK: usize = 15;
/// Multiple of the goal from which rounds go on to it.
const NEAR: f64 = 4.0;

/// The parts, a thread each; `None` where one thread goes through all rows, or several share the features or the classes.
fn parts(problem: &Problem<'_>, is_shared: bool) -> Option<usize> {
    let weights = problem.source.features.n_features().saturating_mul(problem.n_classes);
    let parts = problem.threads.min(problem.train.len() / LEAST.max(A_WEIGHT.saturating_mul(weights)));
    let suits = problem.objective.bias != BiasRule::Free && problem.device.name.backend.is_cpu();
    (parts > 1 && suits && !is_shared).then_some(parts)
}

/// The end of some rounds.
enum RoundsEnd {
    Fit(Box<Fit>),
    /// Ascent goes on alone.
    Alone,
    /// A snapshot was kept; rounds begin again from there.
    Snapshot,
}

impl Ascent<'_, '_> {
    /// Runs in parts until the goal is measured, another method takes over, or a limit is met; `None` where ascent goes on alone.
    pub(super) fn run_in_parts(&mut self, observer: &mut dyn Observer) -> Result<Option<Fit>, SolveError> {
        // A run of a few epochs has none to give away.
        let is_short = self.config.epochs.is_some_and(|epochs| epochs.get() as u64 <= SHORT);
        let Some(n_parts) = parts(self.problem, self.rows.is_shared()).filter(|_| !is_short) else { return Ok(None) };
        let objective = Objective { lambda: self.lambda, ..self.problem.objective.clone() };
        let problem = Problem { objective: &objective, ..*self.problem };
        let setting = Setting {
            objective: objective.clone(),
            scaler: problem.source.scaler.clone(),
            n_features: problem.source.features.n_features(),
            n_classes: problem.n_classes,
            n_train: problem.train.len(),
            device: problem.device.clone(),
            seed: problem.seed,
        };
        let limits = Limits {
            gap: self.config.gap.get(),
            rounds: u64::MAX,
            hot_rows: problem.train.len(),
            double: self.double,
            cheap_rounds: true,
        };
        loop {
            let end = std::thread::scope(|scope| {
                let team = PartTeam::new(scope, &problem, self.deal(n_parts), self.double);
                let mut weights = self.rows.weights()?;
                weights.extend_from_slice(&self.state.constant);
                let mut coordinator = Coordinator::at(weights, setting.clone(), limits, n_parts);
                self.rounds(&team, &mut coordinator, observer)
            })?;
            match end {
                RoundsEnd::Fit(fit) => return Ok(Some(*fit)),
                RoundsEnd::Alone => return Ok(None),
                RoundsEnd::Snapshot => {}
            }
        }
    }

    /// Shares the rows out at random, and gives their variables away, until [`Ascent::collect`].
    fn deal(&mut self, n_parts: usize) -> Vec<PartVariables> {
        let (k, stride) = (self.state.n_classes, self.state.stride);
        let mut order: Vec<usize> = (0..self.state.rows.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.problem.seed));
        let share = order.len().div_ceil(n_parts);
        let of = |positions: &mut [usize]| {
            positions.sort_unstable();
            let rows = positions.iter().map(|&i| self.state.rows[i]).collect();
            let mut a = vec![0.0; positions.len() * k];
            a.chunks_exact_mut(k)
                .zip(&*positions)
                .for_each(|(a, &i)| a.copy_from_slice(&self.state.a[i * stride..][..k]));
            PartVariables::of(rows, a)
        };
        let parts = order.chunks_mut(share).map(of).collect();
        self.state.a = Vec::new();
        parts
    }

    fn rounds(
        &mut self,
        team: &PartTeam,
        coordinator: &mut Coordinator,
        observer: &mut dyn Observer,
    ) -> Result<RoundsEnd, SolveError> {
        let (n, before) = (self.state.rows.len() as u64, self.visited);
        let limit = self.config.epochs.map_or(u64::MAX, |epochs| epochs.get() as u64).saturating_mul(n);
        let mut done = *coordinator.progress();
        loop {
            let interrupted = observer.interrupted();
            if interrupted || observer.wants_snapshot() {
                self.collect(team, coordinator)?;
                sweep::rebuild(&mut *self.rows, &mut self.state)?;
                if interrupted {
                    return Ok(RoundsEnd::Alone);
                }
                observer.snapshot(self.snapshot()?);
                return Ok(RoundsEnd::Snapshot);
            }
            let Request::Round(order, returned) = coordinator.request() else {
                unreachable!("a proof is only asked for where all rounds are measured");
            };
            let order = Arc::new(order);
            coordinator.tell(&order, team.round(&order, returned)?)?;
            let now = *coordinator.progress();
            self.visited = before + now.visits + now.hot_visits;
            self.sweeps += 1;
            observer.step(self.visited / n);
            let bounds = Bounds { primal: now.primal / self.lambda, gap: now.relative_gap * now.primal / self.lambda };
            if order.measure {
                self.report(observer, self.measurement(bounds));
                self.note_gap(bounds);
            }
            let time_up = self.config.seconds.is_some_and(|s| self.clock.elapsed().as_secs_f64() >= s.get());
            let reached = order.measure && now.relative_gap <= self.config.gap.get();
            let last = time_up || self.visited >= limit;
            let own = ((now.slowest - done.slowest) as f64, (now.hot_visits - done.hot_visits) as f64);
            let is_late = !order.measure && own.0 < LATE * own.1 && now.relative_gap > NEAR * self.config.gap.get();
            done = now;
            if is_late && !last {
                self.collect(team, coordinator)?;
                self.pace = Pace { next: self.visited, measured: self.visited, ..self.pace };
                sweep::rebuild(&mut *self.rows, &mut self.state)?;
                return Ok(RoundsEnd::Alone);
            }
            if !(reached || last || order.measure && self.is_dear()) {
                continue;
            }
            self.collect(team, coordinator)?;
            if reached && let Some((found, certificate)) = self.verify(bounds)? {
                return Ok(RoundsEnd::Fit(Box::new(self.hand_out(
                    observer,
                    found,
                    certificate,
                    StopReason::GapReached,
                ))));
            }
            sweep::rebuild(&mut *self.rows, &mut self.state)?;
            let now = self.measure(None)?;
            if now.relative() <= self.config.gap.get()
                && let Some((found, certificate)) = self.verify(now)?
            {
                let fit = self.hand_out(observer, found, certificate, StopReason::GapReached);
                return Ok(RoundsEnd::Fit(Box::new(fit)));
            }
            let other = if last { self.is_affordable() && !time_up } else { !reached };
            if reached {
                return Ok(RoundsEnd::Alone);
            }
            let stop = if time_up { StopReason::TimeLimit } else { StopReason::EpochLimit };
            let fit = if other { self.hand_over(observer)? } else { self.finish(observer, stop)? };
            return Ok(RoundsEnd::Fit(Box::new(fit)));
        }
    }

    /// Takes the variables of all parts back, and the best weights.
    fn collect(&mut self, team: &PartTeam, coordinator: &mut Coordinator) -> Result<(), SolveError> {
        let (k, stride) = (self.state.n_classes, self.state.stride);
        let mut place = vec![0usize; self.problem.source.features.n_rows()];
        self.state.rows.iter().zip(0..).for_each(|(&row, at)| place[row as usize] = at);
        let parts = team.variables(coordinator.eta())?;
        self.state.a = vec![0.0; self.state.rows.len() * stride];
        for (part, seen) in &parts {
            let (rows, a) = part.rows();
            for ((row, a), (at, seen)) in rows.iter().zip(a.chunks_exact(k)).zip(seen.iter().enumerate()) {
                let place = place[*row as usize];
                self.state.a[place * stride..][..k].copy_from_slice(a);
                self.state.seen[place] = *seen;
                self.state.sleep_for(place, 1 + at % LOOK);
            }
        }
        for hot in coordinator.dissolve() {
            let place = place[hot.row as usize];
            self.state.a[place * stride..][..k].copy_from_slice(&hot.a);
            self.state.sleep_for(place, 0);
        }
        if let Some((primal, weights)) = coordinator.best() {
            let (weight, constant) = weights.split_at(weights.len() - k);
            let bias = constant.iter().map(|w| self.state.bias_scale * w).collect();
            self.best = Some(BestWeights { primal, weight: weight.to_vec(), bias });
        }
        Ok(())
    }
}
