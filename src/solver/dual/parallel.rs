//! Rows that are shared out among threads, each with weights of its own: for rows whose products are too small to be shared themselves.
//!
//! Every thread makes some visits from weights W that all have in common, which changes its own by ΔW_t; then all go on from W + Σ ΔW_t. A
//! visit does not know what the others have changed since they met last, which is little if that is not long ago:
//!
//! ```text
//! D(a + Σ Δa_t) − D(a) = Σ_t [D(a + Δa_t) − D(a)] − Σ_{s<t} ⟨ΔW_s, ΔW_t⟩
//! ```
//!
//! The first sum grows by what each visit gains, and the products are known when the threads meet. They meet more often where the products
//! take away much of the sum. Visits of which too little is left are taken back, and made again with shorter ways between meetings; where the
//! shortest is of no use, one thread makes the visits that are left of the sweep.

use super::state::{Bounds, DualState, StateView};
use super::sweep::{Changes, RowStorage, measure_rows, rebuild_rows};
use super::team::{ThreadTeam, WorkShare};
use crate::data::Features;
use crate::loss::dual::Scratch;
use crate::model::BiasRule;
use crate::solver::{Problem, SolveError};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Visits between two meetings for rows with a cell of every feature, more for sparser ones as W is as large; and the least.
const VISITS: (usize, usize) = (64, 16);
/// Rows of a thread, at least.
const LEAST: usize = 10_000;
/// Meetings of a sweep below which one thread is as fast.
const MEETINGS: usize = 8;
/// Share of the threads' gains that is left of them together below which visits are taken back, below which the threads meet more often, and
/// above which less often.
const LEFT: f64 = 0.25;
const FEW: f64 = 0.7;
const MANY: f64 = 0.9;
/// Shortest and longest way between meetings, relative to the usual one, and meetings in a row with too little left even on the shortest.
const SHORTEST: usize = 4;
const LONGEST: usize = 16;
const PATIENCE: u32 = 16;
/// Rows of a thread for each weight, at least: where there are fewer, rows depend on one another so much that threads make up to twice the visits.
const ROWS: usize = 50;

/// Visits between two meetings of threads that share the rows of a problem out.
fn visits_between(problem: &Problem<'_>) -> usize {
    let features = problem.source.features;
    let cells = match features {
        Features::Sparse(csr) => csr.nnz() / csr.n_rows().max(1),
        _ => features.n_features(),
    };
    (VISITS.0 * (features.n_features() + 3) / cells.max(1)).max(VISITS.1)
}

/// The number of threads that it is worth sharing the rows of a problem out to.
pub(super) fn thread_count(problem: &Problem<'_>) -> usize {
    let suits = problem.objective.bias != BiasRule::Free && problem.device.name.backend.is_cpu();
    let weights = problem.source.features.n_features().saturating_mul(problem.n_classes);
    let least = LEAST.max(ROWS.saturating_mul(weights));
    if suits { problem.threads.min(problem.train.len() / least).max(1) } else { 1 }
}

/// Storages of the same rows, one for each thread. The weights of the first are those of all.
pub(super) struct RowShares<'a> {
    storages: Vec<Box<dyn RowStorage + 'a>>,
    n_classes: usize,
    /// Visits between two meetings.
    visits: usize,
}

/// Visits of a thread to its rows.
struct ThreadShare<'v> {
    storage: &'v mut dyn RowStorage,
    state: StateView<'v>,
    /// The rows that are due, and how many have been visited, now and before the last meeting.
    order: &'v mut [usize],
    done: usize,
    before: usize,
    /// Of their order, until that is drawn.
    rng: Option<ChaCha8Rng>,
    scratch: Scratch,
}

/// Visits from common weights.
struct Visits {
    /// As they are held, and those of the constant feature.
    weights: Arc<Vec<f64>>,
    count: usize,
    /// Whether those before are taken back first.
    again: bool,
}

impl ThreadShare<'_> {
    /// Makes visits; their gain, and the change of the weights.
    fn visit(&mut self, visits: &Visits) -> Result<Vec<f64>, SolveError> {
        let weights = &visits.weights;
        let (held, constant) = weights.split_at(weights.len() - self.state.constant.len());
        self.storage.hold(held)?;
        self.state.constant.copy_from_slice(constant);
        if visits.again {
            self.state.take_back();
            self.done = self.before;
        }
        if let Some(mut rng) = self.rng.take() {
            self.order.shuffle(&mut rng);
        }
        self.state.begin_trail();
        let left = &self.order[self.done..];
        let count = visits.count.min(left.len());
        self.storage.ascend(left, count, &mut self.state, &mut self.scratch)?;
        (self.before, self.done) = (self.done, self.done + count);
        let mut out = vec![0.0; weights.len() + 1];
        self.storage.copy_held(&mut out)?;
        out[held.len()..weights.len()].copy_from_slice(self.state.constant);
        out.iter_mut().zip(&**weights).for_each(|(now, before)| *now -= before);
        out[weights.len()] = self.state.trail.as_ref().map_or(0.0, |trail| trail.gain);
        Ok(out)
    }
}

impl WorkShare<Visits> for ThreadShare<'_> {
    fn act(&mut self, visits: &Visits) -> Vec<f64> {
        self.visit(visits).unwrap_or_default()
    }
}

/// Changes of all threads.
struct Meeting {
    sum: Vec<f64>,
    /// Part of the gains of all threads that is left.
    share: f64,
}

impl Meeting {
    /// Of the results of [`ThreadShare::visit`]; `None` where one of them has failed.
    fn of(results: &[Vec<f64>], length: usize) -> Option<Self> {
        let mut sum = vec![0.0; length];
        let (mut gain, mut own) = (0.0, 0.0);
        for result in results {
            let (change, gained) = (result.get(..length)?, result.get(length)?);
            sum.iter_mut().zip(change).for_each(|(sum, change)| *sum += change);
            gain += gained;
            own += square(change);
        }
        let conflict = (square(&sum) - own) / 2.0;
        // Rounding is no conflict.
        Some(Self { sum, share: if conflict > 0.0 { 1.0 - conflict / gain } else { 1.0 } })
    }
}

/// The position after every thread's last row, and the rows that are due, counted from its first.
fn shares_of(due: &[usize], n_rows: usize, count: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
    let border = |t: usize| due.len() * t / count;
    let start = |t: usize| if t == 0 { 0 } else { due.get(border(t)).map_or(n_rows, |&i| i) };
    let ends = (1..=count).map(|t| if t == count { n_rows } else { start(t) }).collect();
    let of = |t: usize| due[border(t)..border(t + 1)].iter().map(|i| i - start(t)).collect();
    (ends, (0..count).map(of).collect())
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum()
}

impl<'a> RowShares<'a> {
    /// Storages of all rows on one thread each.
    pub fn new(storages: Vec<Box<dyn RowStorage + 'a>>, problem: &Problem<'_>) -> Self {
        Self { storages, n_classes: problem.n_classes, visits: visits_between(problem) }
    }

    /// Has every thread do something with its storage and its rows, of which each has as many, at the weights of the first.
    fn each<R: Send>(
        &mut self,
        state: &mut DualState<'_>,
        constants: &mut [f64],
        work: impl Fn(&mut dyn RowStorage, &mut StateView<'_>) -> Result<R, SolveError> + Sync,
    ) -> Result<Vec<R>, SolveError> {
        let (n, count) = (state.rows.len(), self.storages.len());
        let ends: Vec<usize> = (1..=count).map(|t| n * t / count).collect();
        let views = state.view().split(&ends, constants);
        let work = &work;
        std::thread::scope(|scope| {
            let mut pairs = self.storages.iter_mut().zip(views);
            let own = pairs.next();
            let others: Vec<_> =
                pairs.map(|(storage, mut view)| scope.spawn(move || work(&mut **storage, &mut view))).collect();
            let own = own.map(|(storage, mut view)| work(&mut **storage, &mut view));
            let others = others.into_iter().map(|other| match other.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            own.into_iter().chain(others).collect()
        })
    }

    /// The weights of the constant feature for each thread.
    fn constants(&self, state: &DualState<'_>) -> Vec<f64> {
        state.constant.repeat(self.storages.len())
    }

    /// Gives all threads the weights of the first.
    fn even_out(&mut self) -> Result<(), SolveError> {
        let held = self.storages[0].held()?;
        self.storages[1..].iter_mut().try_for_each(|storage| storage.hold(&held))
    }
}

/// Visits until all rows that are due have been visited, or it is of no use; the number of visits of each thread.
fn meet(
    team: &mut ThreadTeam<ThreadShare<'_>, Visits>,
    weights: &mut [f64],
    longest: usize,
    usual: usize,
) -> Result<usize, SolveError> {
    let shortest = (usual / SHORTEST).max(1);
    let (mut count, mut done, mut futile, mut again) = (usual, 0, 0, false);
    while done < longest && futile < PATIENCE {
        let results = team.call(Visits { weights: Arc::new(weights.to_vec()), count, again });
        let Some(meeting) = Meeting::of(&results, weights.len()) else {
            return Err(SolveError::Device("a thread of the exact solver has failed".into()));
        };
        again = meeting.share < LEFT;
        if again && count == shortest {
            team.call(Visits { weights: Arc::new(weights.to_vec()), count: 0, again });
            break;
        }
        if !again {
            weights.iter_mut().zip(&meeting.sum).for_each(|(w, change)| *w += change);
            done += count;
        }
        futile = if meeting.share < FEW && count == shortest { futile + 1 } else { 0 };
        if meeting.share < FEW {
            count = (count / 2).max(shortest);
        } else if meeting.share > MANY {
            count = (count * 2).min(LONGEST * usual);
        }
    }
    Ok(done.min(longest))
}

impl RowStorage for RowShares<'_> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        self.storages[0].turn(done, next, scores)
    }

    fn ascend(
        &mut self,
        order: &[usize],
        count: usize,
        state: &mut StateView<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), SolveError> {
        self.storages[0].ascend(order, count, state, scratch)
    }

    fn sweep(
        &mut self,
        mut due: Vec<usize>,
        state: &mut DualState<'_>,
        scratch: &mut Scratch,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), SolveError> {
        let count = self.storages.len();
        if due.len() < count * MEETINGS * self.visits {
            due.shuffle(rng);
            return self.ascend(&due, due.len(), &mut state.view(), scratch);
        }
        let mut weights = self.held()?;
        weights.extend_from_slice(&state.constant);
        let (ends, mut orders) = shares_of(&due, state.rows.len(), count);
        let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
        let (k, usual, seed) = (self.n_classes, self.visits, rng.next_u64());
        let mut constants = self.constants(state);
        let views = state.view().split(&ends, &mut constants);
        let shares = self.storages.iter_mut().zip(views).zip(&mut orders).zip(0..);
        let shares = shares.map(|(((storage, state), order), place)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(place);
            ThreadShare {
                storage: &mut **storage,
                state,
                order,
                done: 0,
                before: 0,
                rng: Some(rng),
                scratch: Scratch::new(k),
            }
        });
        let shares: Vec<ThreadShare<'_>> = shares.collect();
        let done = std::thread::scope(|scope| {
            let mut team = ThreadTeam::new(scope, shares);
            meet(&mut team, &mut weights, longest, usual)
        })?;
        let (held, constant) = weights.split_at(weights.len() - k);
        self.storages[0].hold(held)?;
        state.constant.copy_from_slice(constant);
        let starts = std::iter::once(0).chain(ends);
        let left = orders.iter().zip(starts).flat_map(|(order, start)| order.iter().skip(done).map(move |i| start + i));
        let mut left: Vec<usize> = left.collect();
        left.shuffle(rng);
        self.ascend(&left, left.len(), &mut state.view(), scratch)
    }

    fn measure(&mut self, state: &mut DualState<'_>, _: &mut Scratch, own: bool) -> Result<Bounds, SolveError> {
        self.even_out()?;
        let (mut constants, k) = (self.constants(state), self.n_classes);
        let bounds =
            self.each(state, &mut constants, |storage, view| measure_rows(storage, view, &mut Scratch::new(k), own))?;
        Ok(bounds.into_iter().fold(Bounds { primal: 0.0, gap: 0.0 }, |sum, bounds| sum + bounds))
    }

    fn rebuild(&mut self, state: &mut DualState<'_>) -> Result<(), SolveError> {
        let (mut constants, k) = (self.constants(state), self.n_classes);
        let parts = self.each(state, &mut constants, |storage, view| {
            rebuild_rows(storage, view)?;
            storage.held()
        })?;
        let mut held = vec![0.0; self.held_len()];
        parts.iter().for_each(|part| held.iter_mut().zip(part).for_each(|(sum, w)| *sum += w));
        self.storages[0].hold(&held)?;
        state.constant.fill(0.0);
        for own in constants.chunks_exact(k) {
            state.constant.iter_mut().zip(own).for_each(|(sum, w)| *sum += w);
        }
        Ok(())
    }

    fn is_shared_out(&self) -> bool {
        true
    }

    fn block_size(&self) -> usize {
        self.storages[0].block_size()
    }

    fn clear(&mut self) {
        self.storages[0].clear();
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        self.storages[0].square_of_weights()
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        self.storages[0].weights()
    }

    fn held(&mut self) -> Result<Vec<f64>, SolveError> {
        self.storages[0].held()
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        self.storages[0].hold(values)
    }

    fn set_weights(&mut self, weights: &[f64]) -> Result<(), SolveError> {
        self.storages[0].set_weights(weights)
    }

    fn held_len(&self) -> usize {
        self.storages[0].held_len()
    }
}
