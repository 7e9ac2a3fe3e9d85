//! One problem in parts: whatever the parts are, the optimum is that of all rows together, and bounds hold on the way.

use crate::support::{kinds, resized};
use burn_svm::internals::data::SelectedRows;
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Csr, Dense, Features, Scaler};
use burn_svm::internals::device::open_cpu;
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::Objective;
use burn_svm::internals::solver::SolveError;
use burn_svm::internals::solver::parts::{
    Answers, BlockLimits, BlockStore, Coordinator, HotRow, Limits, Message, Outcome, Part, PartVariables, Progress,
    Request, Setting, Shape, certify_blocks, from_bytes, solve_blocks, to_bytes,
};
use burn_svm::{
    Center, Certificate, DualConfig, Finish, Fraction, LogEntry, Observer, Scale, SolverConfig, StopReason,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Rows around a centre a class, with overlap.
pub(crate) struct Rows {
    pub features: Features<'static>,
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
    pub n_classes: usize,
}

pub(crate) fn rows(n: usize, d: usize, n_classes: usize, sparse: bool) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut normal = move || (0..12).map(|_| rng.random_range(0.0f32..1.0)).sum::<f32>() - 6.0;
    let centres: Vec<f32> = (0..n_classes * d).map(|_| 0.7 * normal()).collect();
    #[allow(clippy::cast_possible_truncation)]
    let labels: Vec<u32> = (0..n).map(|i| (i % n_classes) as u32).collect();
    let mut values = Vec::new();
    for &label in &labels {
        for j in 0..d {
            let x = centres[label as usize * d + j] + normal();
            values.push(if sparse && x < 0.5 { 0.0 } else { x });
        }
    }
    let weights = (0..n).map(|i| 0.5 + (i % 3) as f32).collect();
    let dense = Dense::new(d, values);
    let features = if sparse { Features::Sparse(Csr::from_dense(&dense)) } else { Features::F32(dense) };
    Rows { features, labels, weights, n_classes }
}

/// The rows of each part: at random, or sorted by label.
pub(crate) fn deal(labels: &[u32], n_parts: usize, sorted: bool) -> Vec<Vec<u32>> {
    #[allow(clippy::cast_possible_truncation)]
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    if sorted {
        order.sort_by_key(|&row| labels[row as usize]);
    } else {
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    }
    order.chunks(labels.len().div_ceil(n_parts)).map(<[u32]>::to_vec).collect()
}

struct Run {
    outcome: Outcome,
    progress: Progress,
}

/// Parts in one thread, with messages that travel as bytes; `event` may tamper with the variables between rounds.
fn solve(
    rows: &Rows,
    scaler: &Scaler,
    objective: &Objective,
    parts: &[Vec<u32>],
    limits: Limits,
    mut event: impl FnMut(&mut Coordinator, &mut Vec<PartVariables>),
) -> Run {
    let device = open_cpu().expect("a CPU backend");
    let setting = Setting {
        objective: objective.clone(),
        scaler: scaler.clone(),
        n_features: rows.features.n_features(),
        n_classes: rows.n_classes,
        n_train: rows.labels.len(),
        device,
        seed: 3,
    };
    let source =
        Source { features: &rows.features, labels: &rows.labels, scaler, weights: Some(rows.weights.as_slice()) };
    let mut coordinator = Coordinator::new(setting.clone(), limits, parts.len());
    let mut kept: Vec<PartVariables> = parts.iter().map(|own| PartVariables::zero(own, rows.n_classes)).collect();
    let shape = Shape { n_features: setting.n_features, n_classes: rows.n_classes };
    loop {
        event(&mut coordinator, &mut kept);
        let request = sent(coordinator.request(), shape);
        let n_train = rows.labels.len();
        let double = matches!(&request, Request::Round(order, _) if order.double);
        // As on a cluster: a part is made anew for every request, of its rows and the variables that were kept.
        let part = |place: usize, work: &mut dyn FnMut(&mut Part<'_, '_>)| {
            let problem = setting.problem(source, &parts[place]);
            std::thread::scope(|scope| {
                let mut part = Part::new(&problem, n_train, place, kept[place].clone(), double, scope);
                work(&mut part);
                part.variables()
            })
        };
        let mut after = Vec::new();
        match request {
            Request::Done => break,
            Request::Interior(_) => unreachable!("ascent alone"),
            Request::Round(order, returned) => {
                let mut answers = Vec::new();
                for (place, returned) in returned.iter().enumerate() {
                    after.push(part(place, &mut |part| {
                        answers.push(Answers::Round(vec![part.answer(&order, returned).unwrap()]));
                    }));
                }
                let Answers::Round(answers) = joined(answers, shape) else { unreachable!("answers to a round") };
                coordinator.tell(&order, answers).unwrap();
            }
            Request::Proof(order, returned) => {
                let mut proofs = Vec::new();
                for (place, returned) in returned.iter().enumerate() {
                    after.push(part(place, &mut |part| {
                        proofs.push(Answers::Proof(vec![part.prove(&order, returned)]));
                    }));
                }
                let Answers::Proof(proofs) = joined(proofs, shape) else { unreachable!("shares of a proof") };
                coordinator.conclude(&order, proofs).unwrap();
            }
        }
        kept = after.into_iter().map(|variables| sent(variables, shape)).collect();
    }
    Run { outcome: coordinator.outcome().unwrap().clone(), progress: *coordinator.progress() }
}

/// A message as it arrives.
pub(crate) fn sent<M: Message>(message: M, shape: Shape) -> M {
    from_bytes(&to_bytes(&message).unwrap(), shape).unwrap()
}

/// The answers of all parts, joined on their way.
pub(crate) fn joined(answers: Vec<Answers>, shape: Shape) -> Answers {
    let arrived = answers.into_iter().map(|answer| sent(answer, shape));
    sent(arrived.reduce(|all, other| all.merge(other).unwrap()).unwrap(), shape)
}

fn alone(rows: &Rows, scaler: &Scaler, objective: &Objective) -> Certificate {
    let device = open_cpu().expect("a CPU backend");
    let source =
        Source { features: &rows.features, labels: &rows.labels, scaler, weights: Some(rows.weights.as_slice()) };
    #[allow(clippy::cast_possible_truncation)]
    let train: Vec<u32> = (0..rows.labels.len() as u32).collect();
    let setting = Setting {
        objective: objective.clone(),
        scaler: scaler.clone(),
        n_features: rows.features.n_features(),
        n_classes: rows.n_classes,
        n_train: train.len(),
        device,
        seed: 0,
    };
    let config = DualConfig { gap: Fraction::new(1e-7).unwrap(), finish: Finish::Auto, ..DualConfig::default() };
    let fit = SolverConfig::Dual(config).solve(&setting.problem(source, &train), &mut ()).unwrap();
    fit.certificate.unwrap()
}

const LIMITS: Limits = Limits { gap: 1e-4, rounds: 300, hot_rows: 1_000, double: false };

fn check(name: &str, run: &Run, optimum: Certificate, gap: f64) {
    let found = run.outcome.certificate;
    assert!(found.relative_gap <= gap, "{name}: gap {:e} after {} rounds", found.relative_gap, run.progress.round);
    let room = 1e-6 * optimum.primal;
    assert!(found.dual <= optimum.primal + room, "{name}: bound {} above the optimum {}", found.dual, optimum.primal);
    assert!(found.primal >= optimum.dual - room, "{name}: objective {} below {}", found.primal, optimum.dual);
}

#[test]
fn parts_of_any_rows_end_at_the_optimum_of_all_losses() {
    let (n, d, k) = (240, 6, 4);
    for sparse in [false, true] {
        let rows = rows(n, d, k, sparse);
        let all: Vec<u32> = (0..240).collect();
        let scaler = Scaler::fit(&rows.features, &all, Center::Mean, Scale::Std);
        for (at, loss) in kinds().iter().map(|loss| resized(loss, k)).enumerate() {
            let bias = if at % 2 == 0 { BiasRule::None } else { BiasRule::Regularised { scale: 2.0 } };
            let objective = Objective { loss, lambda: 1.0 / (0.1 * n as f64), bias };
            let optimum = alone(&rows, &scaler, &objective);
            for (n_parts, sorted) in [(1, false), (3, true), (8, false)] {
                let parts = deal(&rows.labels, n_parts, sorted);
                let run = solve(&rows, &scaler, &objective, &parts, LIMITS, |_, _| ());
                check(&format!("{:?}, {n_parts} parts", objective.loss), &run, optimum, LIMITS.gap);
            }
        }
    }
}

fn crammer_singer(n: usize) -> Objective {
    let loss = Loss::new(Formulation::CrammerSinger, 1.0, Power::One);
    Objective { loss, lambda: 1.0 / (0.1 * n as f64), bias: BiasRule::Regularised { scale: 1.0 } }
}

#[test]
fn empty_parts_and_parts_without_some_classes_are_parts() {
    let rows = rows(300, 8, 5, false);
    let objective = crammer_singer(300);
    let scaler = Scaler::default();
    let optimum = alone(&rows, &scaler, &objective);
    let mut parts = deal(&rows.labels, 5, true);
    parts.insert(2, Vec::new());
    parts.push(Vec::new());
    let run = solve(&rows, &scaler, &objective, &parts, LIMITS, |_, _| ());
    check("empty parts", &run, optimum, LIMITS.gap);
}

#[test]
fn a_tight_goal_is_proved_in_double_precision() {
    let rows = rows(300, 8, 5, false);
    let objective = crammer_singer(300);
    let scaler = Scaler::default();
    let optimum = alone(&rows, &scaler, &objective);
    let limits = Limits { gap: 1e-7, ..LIMITS };
    let run = solve(&rows, &scaler, &objective, &deal(&rows.labels, 4, false), limits, |_, _| ());
    check("1e-7", &run, optimum, 1e-7);
}

#[test]
fn the_same_parts_give_the_same_weights() {
    let rows = rows(300, 8, 5, true);
    let (objective, scaler) = (crammer_singer(300), Scaler::default());
    let parts = deal(&rows.labels, 4, false);
    let weights = || solve(&rows, &scaler, &objective, &parts, LIMITS, |_, _| ()).outcome.weight;
    assert_eq!(weights(), weights());
}

/// A part that is lost comes back with the variables of an earlier round, or with none; the rows that are hot stay so.
#[test]
fn a_part_that_is_lost_begins_again() {
    let rows = rows(400, 8, 5, false);
    let (objective, scaler) = (crammer_singer(400), Scaler::default());
    let optimum = alone(&rows, &scaler, &objective);
    let parts = deal(&rows.labels, 4, false);
    for with_snapshot in [false, true] {
        let (mut snapshot, mut lost) = (None, 0);
        let run = solve(&rows, &scaler, &objective, &parts, LIMITS, |coordinator, kept| {
            let round = coordinator.progress().round;
            if round == 2 {
                snapshot = Some(kept[1].clone());
            }
            if round == 4 && lost == 0 {
                lost = 1;
                let before = if with_snapshot { snapshot.clone().unwrap() } else { PartVariables::default() };
                kept[1] = before.restored(&parts[1], &coordinator.away(1), rows.n_classes);
                coordinator.lost();
            }
        });
        assert_eq!(lost, 1, "no part was lost");
        check("a part was lost", &run, optimum, LIMITS.gap);
    }
}

#[test]
fn a_run_that_meets_its_limit_ends_with_the_bounds_that_it_has() {
    let rows = rows(300, 8, 5, false);
    let (objective, scaler) = (crammer_singer(300), Scaler::default());
    let optimum = alone(&rows, &scaler, &objective);
    let limits = Limits { rounds: 2, ..LIMITS };
    let run = solve(&rows, &scaler, &objective, &deal(&rows.labels, 4, false), limits, |_, _| ());
    assert_eq!(run.progress.round, 2);
    assert!(run.outcome.certificate.relative_gap > LIMITS.gap);
    check("two rounds", &run, optimum, 1.0);
}

/// Blocks in memory, which counts what is read.
pub(crate) struct Memory<'r> {
    rows: &'r Rows,
    scaler: &'r Scaler,
    blocks: Vec<Vec<u32>>,
    variables: Vec<Option<PartVariables>>,
    hot: Vec<(usize, HotRow)>,
    pub(crate) points: HashMap<Option<usize>, Vec<f64>>,
    pub reads: usize,
    pub fails_at: usize,
}

impl<'r> Memory<'r> {
    pub(crate) fn new(rows: &'r Rows, scaler: &'r Scaler, blocks: Vec<Vec<u32>>) -> Self {
        let variables = vec![None; blocks.len()];
        Self {
            rows,
            scaler,
            blocks,
            variables,
            hot: Vec::new(),
            points: HashMap::new(),
            reads: 0,
            fails_at: usize::MAX,
        }
    }
}

impl BlockStore for Memory<'_> {
    fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn read(&mut self, block: usize, _: Option<usize>) -> Result<SelectedRows, SolveError> {
        self.reads += 1;
        if self.reads > self.fails_at {
            return Err(SolveError::Storage("the disk is gone".into()));
        }
        let Rows { features, labels, weights, .. } = self.rows;
        let source = Source { features, labels, scaler: self.scaler, weights: Some(weights.as_slice()) };
        Ok(SelectedRows::of(source, &self.blocks[block]))
    }

    fn variables(&mut self, block: usize) -> Result<Option<PartVariables>, SolveError> {
        Ok(self.variables[block].clone())
    }

    fn keep(&mut self, block: usize, variables: &PartVariables) -> Result<(), SolveError> {
        self.variables[block] = Some(variables.clone());
        Ok(())
    }

    fn hot(&mut self) -> Result<Vec<(usize, HotRow)>, SolveError> {
        Ok(self.hot.clone())
    }

    fn keep_hot(&mut self, rows: &[(usize, HotRow)]) -> Result<(), SolveError> {
        self.hot = rows.to_vec();
        Ok(())
    }

    fn point(&mut self, block: Option<usize>) -> Result<Option<Vec<f64>>, SolveError> {
        Ok(self.points.get(&block).cloned())
    }

    fn keep_point(&mut self, block: Option<usize>, point: &[f64]) -> Result<(), SolveError> {
        self.points.insert(block, point.to_vec());
        Ok(())
    }
}

pub(crate) fn setting(rows: &Rows, scaler: &Scaler, objective: &Objective) -> Setting {
    Setting {
        objective: objective.clone(),
        scaler: scaler.clone(),
        n_features: rows.features.n_features(),
        n_classes: rows.n_classes,
        n_train: rows.labels.len(),
        device: open_cpu().expect("a CPU backend"),
        seed: 3,
    }
}

pub(crate) const BLOCK_LIMITS: BlockLimits = BlockLimits {
    gap: 1e-4,
    passes: 60,
    seconds: None,
    hot_rows: 160,
    double: false,
    memory: f64::INFINITY,
    interior: false,
};

#[test]
fn blocks_one_after_another_end_at_the_optimum_of_all_losses() {
    let (n, k) = (400, 4);
    for sparse in [false, true] {
        let rows = rows(n, 6, k, sparse);
        let scaler = Scaler::default();
        for (at, loss) in kinds().iter().map(|loss| resized(loss, k)).enumerate() {
            let bias = if at % 2 == 0 { BiasRule::None } else { BiasRule::Regularised { scale: 2.0 } };
            let objective = Objective { loss, lambda: 1.0 / (0.1 * n as f64), bias };
            let optimum = alone(&rows, &scaler, &objective);
            let mut blocks = deal(&rows.labels, 5, at % 3 == 0);
            blocks.insert(1, Vec::new());
            let mut store = Memory::new(&rows, &scaler, blocks);
            let setting = setting(&rows, &scaler, &objective);
            let run = solve_blocks(&setting, BLOCK_LIMITS, &mut store, &mut ()).unwrap();
            let found = run.outcome.certificate;
            let name = format!("{:?}: {} passes, {:e}", objective.loss, run.passes, found.relative_gap);
            assert_eq!(run.stop, StopReason::GapReached, "{name}");
            assert!(found.relative_gap <= 1e-4 && found.dual <= optimum.primal * (1.0 + 1e-9), "{name}");
            assert!(found.primal >= optimum.dual * (1.0 - 1e-9), "{name}");
        }
    }
}

/// Ends the run after some steps.
pub(crate) struct Impatient(pub usize);

impl Observer for Impatient {
    fn log(&mut self, _: &LogEntry) {}

    fn step(&mut self, _: u64) {
        self.0 = self.0.saturating_sub(1);
    }

    fn interrupted(&self) -> bool {
        self.0 == 0
    }
}

/// Whatever ends a run, and wherever: the next one goes on from what was kept, and ends at the optimum.
#[test]
fn a_run_over_blocks_is_taken_up_again() {
    let rows = rows(400, 8, 5, false);
    let (objective, scaler) = (crammer_singer(400), Scaler::default());
    let optimum = alone(&rows, &scaler, &objective);
    let setting = setting(&rows, &scaler, &objective);
    let limits = BlockLimits { gap: 1e-5, ..BLOCK_LIMITS };
    let blocks = deal(&rows.labels, 5, true);
    let alone = solve_blocks(&setting, limits, &mut Memory::new(&rows, &scaler, blocks.clone()), &mut ()).unwrap();
    for at in [1, 3, 7, 12, 26] {
        let mut store = Memory::new(&rows, &scaler, blocks.clone());
        store.fails_at = at;
        assert!(matches!(
            solve_blocks(&setting, limits, &mut store, &mut ()),
            Err(SolveError::Storage(problem)) if problem == "the disk is gone"
        ));
        store.fails_at = usize::MAX;
        let run = solve_blocks(&setting, limits, &mut store, &mut ()).unwrap();
        assert_eq!(run.stop, StopReason::GapReached);
        assert!(run.passes <= 2 * alone.passes, "{} passes after a loss at {at}, {} alone", run.passes, alone.passes);
        let found = run.outcome.certificate;
        assert!(found.dual <= optimum.primal * (1.0 + 1e-9) && found.primal >= optimum.dual * (1.0 - 1e-9));
    }
    let mut store = Memory::new(&rows, &scaler, blocks);
    let run = solve_blocks(&setting, limits, &mut store, &mut Impatient(7)).unwrap();
    assert_eq!(run.stop, StopReason::Interrupted);
    assert!(run.outcome.certificate.dual <= optimum.primal);
    let run = solve_blocks(&setting, limits, &mut store, &mut ()).unwrap();
    assert_eq!(run.stop, StopReason::GapReached);
    // Variables of other rows.
    store.variables[0] = Some(PartVariables::zero(&[1_000], 5));
    assert!(matches!(solve_blocks(&setting, limits, &mut store, &mut ()), Err(SolveError::Storage(_))));
}

/// Weights of all bits take 8 bytes each, of single precision 4, and zeros next to none.
#[test]
fn messages_are_short_and_damaged_ones_are_errors() {
    let rows = rows(60, 40, 3, false);
    let device = open_cpu().expect("a CPU backend");
    let setting = Setting {
        objective: crammer_singer(60),
        scaler: Scaler::default(),
        n_features: 40,
        n_classes: 3,
        n_train: 60,
        device,
        seed: 3,
    };
    let shape = Shape { n_features: 40, n_classes: 3 };
    let weights: Vec<f64> = (0..41 * 3).map(|i| f64::from(i).sqrt()).collect();
    let mut first = Coordinator::new(setting.clone(), LIMITS, 1).request();
    assert!(to_bytes(&first).unwrap().len() < 300);
    let Request::Round(order, _) = &mut first else { panic!("a round comes first") };
    order.weights.clone_from(&weights);
    let long = to_bytes(&first).unwrap().len();
    let Request::Round(order, _) = &mut first else { panic!("a round comes first") };
    order.shorten();
    let request = to_bytes(&first).unwrap();
    assert!(long < 8 * weights.len() + 300 && request.len() < 4 * weights.len() + 300, "{long}, {}", request.len());
    let source = Source { features: &rows.features, labels: &rows.labels, scaler: &setting.scaler, weights: None };
    let all: Vec<u32> = (0..60).collect();
    let problem = setting.problem(source, &all);
    let answer = std::thread::scope(|scope| {
        let mut part = Part::new(&problem, 60, 0, PartVariables::zero(&all, 3), false, scope);
        let Request::Round(order, returned) = &mut first else { panic!("a round comes first") };
        order.quota = 5;
        order.tolerance = -1.0;
        let answer = part.answer(order, &returned[0]).unwrap();
        assert_eq!(answer.contribution.offers.len(), 5);
        to_bytes(&Answers::Round(vec![answer])).unwrap()
    });
    let other = Shape { n_classes: 4, ..shape };
    assert!(from_bytes::<Request>(&request, shape).is_ok() && from_bytes::<Answers>(&answer, shape).is_ok());
    assert!(from_bytes::<Request>(&request, other).is_err() && from_bytes::<Answers>(&answer, other).is_err());
    assert!(from_bytes::<Answers>(&request, shape).is_err());
    for bytes in [request, answer] {
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let cut = &bytes[..at];
            assert!(from_bytes::<Request>(&damaged, shape).is_err() && from_bytes::<Request>(cut, shape).is_err());
            assert!(from_bytes::<Answers>(&damaged, shape).is_err() && from_bytes::<Answers>(cut, shape).is_err());
        }
    }
}

/// Weights of any quality are bounded over blocks as over all rows, and tightened from there.
#[test]
fn weights_are_certified_over_blocks() {
    let rows = rows(400, 8, 5, false);
    let (objective, scaler) = (crammer_singer(400), Scaler::default());
    let optimum = alone(&rows, &scaler, &objective);
    let setting = setting(&rows, &scaler, &objective);
    let blocks = deal(&rows.labels, 5, true);
    let mut store = Memory::new(&rows, &scaler, blocks.clone());
    let trained = solve_blocks(&setting, BLOCK_LIMITS, &mut store, &mut ()).unwrap().outcome;
    let bias = trained.bias.unwrap();
    for factor in [1.0, 0.5, 0.0] {
        let weight: Vec<f64> = trained.weight.iter().map(|w| factor * w).collect();
        let bias: Vec<f64> = bias.iter().map(|b| factor * b).collect();
        let mut store = Memory::new(&rows, &scaler, blocks.clone());
        let proof = certify_blocks(&setting, BLOCK_LIMITS, &mut store, &weight, &bias, &mut ()).unwrap();
        for certificate in [proof.own, proof.tightened] {
            assert!(certificate.dual <= optimum.primal * (1.0 + 1e-9), "{factor}: {proof:?}");
            assert!(certificate.primal >= optimum.dual * (1.0 - 1e-9), "{factor}: {proof:?}");
        }
        assert!(proof.tightened.dual >= optimum.dual * (1.0 - 2e-4), "{factor}: {proof:?}");
        if factor == 1.0 {
            assert!((proof.own.primal - trained.certificate.primal).abs() < 1e-9 * proof.own.primal, "{proof:?}");
            assert!(proof.tightened.relative_gap < 3e-4, "{proof:?}");
        }
    }
}
