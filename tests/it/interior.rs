//! The interior point method over parts: the optimum of all rows together for features of any scale, and a bias that is free.

use crate::parts::{BLOCK_LIMITS, Impatient, Memory, Rows, deal, joined, rows, sent, setting};
use crate::support::{kinds, resized};
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Dense, Features, Scaler, SelectedRows};
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::Objective;
use burn_svm::internals::solver::SolveError;
use burn_svm::internals::solver::parts::{
    Answers, BlockLimits, BlockOutcome, BlockStore, Leader, Limits, Part, PartVariables, Request, Setting, Shape,
    answer_interior, solve_blocks,
};
use burn_svm::{Certificate, Fraction, NewtonConfig, NewtonMethod, SolverConfig, StopReason};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const GAP: f64 = 1e-6;
const LIMITS: BlockLimits = BlockLimits { gap: GAP, passes: 400, interior: true, ..BLOCK_LIMITS };
/// Orders of an iteration, each a pass over the rows.
const ORDERS: u64 = 3;

/// Rows with features of scales from 1e-3 to 1e4, two of which say the same, one of which says nothing.
fn raw(n: usize, d: usize, n_classes: usize) -> Rows {
    let plain = rows(n, d, n_classes, false);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let scales: Vec<f32> = (0..d).map(|_| 10f32.powf(rng.random_range(-3.0..4.0))).collect();
    let Features::F32(dense) = &plain.features else { unreachable!("dense rows") };
    let mut values = Vec::new();
    for row in dense.values().chunks_exact(d) {
        let scaled: Vec<f32> = row.iter().zip(&scales).map(|(x, scale)| x * scale + 3.0 * scale).collect();
        values.extend_from_slice(&scaled);
        values.extend([2.0 * scaled[0], 0.1]);
    }
    Rows { features: Features::F32(Dense::new(d + 2, values)), ..plain }
}

fn in_memory(rows: &Rows, objective: &Objective) -> Certificate {
    let scaler = Scaler::default();
    let source = Source {
        features: &rows.features,
        labels: &rows.labels,
        scaler: &scaler,
        weights: Some(rows.weights.as_slice()),
    };
    #[allow(clippy::cast_possible_truncation)]
    let train: Vec<u32> = (0..rows.labels.len() as u32).collect();
    let config = NewtonConfig {
        gap: Fraction::new(1e-8).unwrap(),
        method: NewtonMethod::InteriorPoint,
        ..NewtonConfig::default()
    };
    let setting = setting(rows, &scaler, objective);
    let fit = SolverConfig::Newton(config).solve(&setting.problem(source, &train), &mut ()).unwrap();
    fit.certificate.unwrap()
}

fn solve(rows: &Rows, objective: &Objective, blocks: Vec<Vec<u32>>, limits: BlockLimits) -> BlockOutcome {
    let scaler = Scaler::default();
    let mut store = Memory::new(rows, &scaler, blocks);
    solve_blocks(&setting(rows, &scaler, objective), limits, &mut store, &mut ()).unwrap()
}

fn check(name: &str, run: &BlockOutcome, optimum: Certificate) {
    let found = run.outcome.certificate;
    let name = format!("{name}: {} passes, {:e}", run.passes, found.relative_gap);
    assert_eq!(run.stop, StopReason::GapReached, "{name}");
    assert!(found.relative_gap <= GAP, "{name}");
    assert!(found.dual <= optimum.primal * (1.0 + 1e-9), "{name}: {found:?}, {optimum:?}");
    assert!(found.primal >= optimum.dual * (1.0 - 1e-9), "{name}: {found:?}, {optimum:?}");
}

#[test]
fn parts_of_raw_rows_end_at_the_optimum_of_all_losses_and_biases() {
    let (n, k) = (240, 4);
    let rows = raw(n, 5, k);
    let mut most = 0;
    for loss in kinds().iter().map(|loss| resized(loss, k)) {
        for bias in [BiasRule::None, BiasRule::Regularised { scale: 2.0 }, BiasRule::Free] {
            let objective = Objective { loss: loss.clone(), lambda: 1.0 / n as f64, bias };
            let optimum = in_memory(&rows, &objective);
            for (n_blocks, sorted) in [(1, false), (2, true), (5, true)] {
                let mut blocks = deal(&rows.labels, n_blocks, sorted);
                blocks.insert(n_blocks / 2, Vec::new());
                let run = solve(&rows, &objective, blocks, LIMITS);
                let name = format!("{:?}, {bias:?}, {n_blocks} blocks", objective.loss);
                check(&name, &run, optimum);
                most = most.max(run.passes);
                assert!(run.passes <= 73 * ORDERS + 1, "{name}: {} passes", run.passes);
            }
        }
    }
    println!("at most {most} passes");
}

/// Weak and strong regularisation, at which ascent takes for ever.
#[test]
fn the_strength_of_the_regulariser_does_not_matter() {
    let rows = raw(300, 6, 3);
    for c in [1e-3, 1.0, 1e3] {
        for formulation in Formulation::ALL {
            let loss = Loss::new(formulation, 1.0, Power::One);
            for bias in [BiasRule::Regularised { scale: 1.0 }, BiasRule::Free] {
                let objective = Objective { loss: loss.clone(), lambda: 1.0 / (c * 300.0), bias };
                let run = solve(&rows, &objective, deal(&rows.labels, 3, true), LIMITS);
                check(&format!("C = {c}, {formulation:?}, {bias:?}"), &run, in_memory(&rows, &objective));
            }
        }
    }
}

fn crammer_singer(n: usize, bias: BiasRule) -> Objective {
    Objective { loss: Loss::new(Formulation::CrammerSinger, 1.0, Power::One), lambda: 1.0 / n as f64, bias }
}

/// Ascent gives way where features of different scales keep it from the goal, and goes its own way where they do not.
#[test]
fn the_method_is_chosen_by_its_price() {
    let n = 400;
    let objective = crammer_singer(n, BiasRule::Regularised { scale: 1.0 });
    let limits = BlockLimits { interior: false, passes: 1_000, ..LIMITS };
    let raw = raw(n, 6, 4);
    check("raw rows", &solve(&raw, &objective, deal(&raw.labels, 4, true), limits), in_memory(&raw, &objective));
    let plain = rows(n, 6, 4, false);
    let scaler = Scaler::default();
    let mut store = Memory::new(&plain, &scaler, deal(&plain.labels, 4, true));
    let limits = BlockLimits { gap: 1e-3, ..limits };
    solve_blocks(&setting(&plain, &scaler, &objective), limits, &mut store, &mut ()).unwrap();
    assert!(store.points.is_empty(), "the interior point method was used");
    let small = BlockLimits { memory: 1.0, ..LIMITS };
    let setting = setting(&plain, &scaler, &objective);
    assert!(matches!(solve_blocks(&setting, small, &mut store, &mut ()), Err(SolveError::NewtonInParts { .. })));
}

/// Whatever ends a run, and wherever: the next one goes on from the weights and the points that were kept.
#[test]
fn a_run_is_taken_up_again() {
    let n = 400;
    let (rows, scaler) = (raw(n, 6, 4), Scaler::default());
    for bias in [BiasRule::None, BiasRule::Free] {
        let objective = crammer_singer(n, bias);
        let optimum = in_memory(&rows, &objective);
        let setting = setting(&rows, &scaler, &objective);
        let blocks = deal(&rows.labels, 5, true);
        let alone = solve(&rows, &objective, blocks.clone(), LIMITS);
        for at in [2, 7, 23, 48, 101] {
            let mut store = Memory::new(&rows, &scaler, blocks.clone());
            store.fails_at = at;
            assert!(matches!(solve_blocks(&setting, LIMITS, &mut store, &mut ()), Err(SolveError::Storage(_))));
            store.fails_at = usize::MAX;
            let run = solve_blocks(&setting, LIMITS, &mut store, &mut ()).unwrap();
            check(&format!("lost at {at}"), &run, optimum);
            let all = run.passes + at as u64 / 5;
            assert!(all <= alone.passes + 5 * ORDERS, "{all} passes after a loss at {at}, {} alone", alone.passes);
        }
        let mut store = Memory::new(&rows, &scaler, blocks);
        let run = solve_blocks(&setting, LIMITS, &mut store, &mut Impatient(63)).unwrap();
        assert_eq!(run.stop, StopReason::Interrupted);
        assert!(run.outcome.certificate.dual <= optimum.primal);
        check("interrupted", &solve_blocks(&setting, LIMITS, &mut store, &mut ()).unwrap(), optimum);
        assert!(store.point(None).unwrap().is_some_and(|kept| kept.is_empty()), "a run that is done is not taken up");
    }
}

/// Parts with messages that travel as bytes; those that an event names have lost their variables, and their answers.
fn lead(rows: &Rows, objective: &Objective, parts: &[Vec<u32>], mut lost: impl FnMut(u64) -> Option<usize>) -> Leader {
    let scaler = Scaler::default();
    let setting = setting(rows, &scaler, objective);
    let shape = Shape { n_features: setting.n_features, n_classes: setting.n_classes };
    let limits = Limits { gap: GAP, rounds: 500, hot_rows: 100, double: false };
    let mut leader = Leader::new(setting.clone(), limits, parts.len()).unwrap();
    let source = Source {
        features: &rows.features,
        labels: &rows.labels,
        scaler: &scaler,
        weights: Some(rows.weights.as_slice()),
    };
    let own: Vec<SelectedRows> = parts.iter().map(|part| SelectedRows::of(source, part)).collect();
    #[allow(clippy::cast_possible_truncation)]
    let numbers: Vec<Vec<u32>> = parts.iter().map(|part| (0..part.len() as u32).collect()).collect();
    let mut kept: Vec<PartVariables> = numbers.iter().map(|part| PartVariables::zero(part, rows.n_classes)).collect();
    for turn in 0.. {
        let request: Request = sent(leader.request(), shape);
        if request == Request::Done {
            break;
        }
        let (mut after, mut answers) = (Vec::new(), Vec::new());
        for (place, own) in own.iter().enumerate() {
            let source = Source {
                features: &own.features,
                labels: &own.labels,
                scaler: &scaler,
                weights: Some(own.weights.as_slice()),
            };
            let mut variables = kept[place].clone();
            let answer = match &request {
                Request::Interior(order) => answer_interior(&setting, source, order, &mut variables).unwrap(),
                Request::Round(..) | Request::Proof(..) => std::thread::scope(|scope| {
                    let problem = setting.problem(source, &numbers[place]);
                    let mut part = Part::new(&problem, setting.n_train, place, variables.clone(), true, scope);
                    let answer = match &request {
                        Request::Round(order, home) => Answers::Round(vec![part.answer(order, &home[place]).unwrap()]),
                        Request::Proof(order, home) => Answers::Proof(vec![part.prove(order, &home[place])]),
                        _ => unreachable!("not of ascent"),
                    };
                    variables = part.variables();
                    answer
                }),
                Request::Done => unreachable!("there is more to do"),
            };
            after.push(sent(variables, shape));
            answers.push(answer);
        }
        if let Some(place) = lost(turn) {
            leader.lost(Some(request));
            kept[place] = kept[place].restored(&numbers[place], &leader.away(place), rows.n_classes);
            continue;
        }
        leader.tell(&request, joined(answers, shape)).unwrap();
        kept = after;
    }
    leader
}

fn check_parts(name: &str, leader: &Leader, optimum: Certificate) {
    let found = leader.outcome().unwrap().certificate;
    let name = format!("{name}: {} rounds, {:e}", leader.progress().round, found.relative_gap);
    assert!(found.relative_gap <= GAP, "{name}");
    assert!(found.dual <= optimum.primal * (1.0 + 1e-9), "{name}: {found:?}, {optimum:?}");
    assert!(found.primal >= optimum.dual * (1.0 - 1e-9), "{name}: {found:?}, {optimum:?}");
}

/// A free bias from the first round on, another where ascent does not get on; parts are lost on the way.
#[test]
fn parts_that_send_messages_end_at_the_same_optimum() {
    let n = 300;
    let rows = raw(n, 6, 4);
    for bias in [BiasRule::Free, BiasRule::Regularised { scale: 1.0 }] {
        let objective = crammer_singer(n, bias);
        let optimum = in_memory(&rows, &objective);
        for n_parts in [1, 2, 5] {
            let mut parts = deal(&rows.labels, n_parts, true);
            parts.push(Vec::new());
            let name = format!("{bias:?}, {n_parts} parts");
            check_parts(&name, &lead(&rows, &objective, &parts, |_| None), optimum);
            let again = lead(&rows, &objective, &parts, |turn| {
                (turn % 13 == 7 && turn < 60).then_some(turn as usize % n_parts)
            });
            check_parts(&format!("{name}, lost"), &again, optimum);
        }
    }
    let wide = Objective { lambda: 1e-3, ..crammer_singer(n, BiasRule::Free) };
    let scaler = Scaler::default();
    let limits = Limits { gap: GAP, rounds: 500, hot_rows: 100, double: false };
    let wide = Setting { n_features: 10_000, n_train: 100_000, ..setting(&rows, &scaler, &wide) };
    assert!(matches!(Leader::new(wide, limits, 2), Err(SolveError::FreeInParts { .. })));
}

/// A block that has lost its point goes on from the middle of its sets.
#[test]
fn a_part_without_its_point_begins_again() {
    let n = 400;
    let (rows, scaler) = (raw(n, 6, 4), Scaler::default());
    let objective = crammer_singer(n, BiasRule::Free);
    let setting = setting(&rows, &scaler, &objective);
    let mut store = Memory::new(&rows, &scaler, deal(&rows.labels, 5, true));
    store.fails_at = 130;
    assert!(solve_blocks(&setting, LIMITS, &mut store, &mut ()).is_err());
    store.fails_at = usize::MAX;
    store.points.remove(&Some(3)).expect("a point");
    check("lost point", &solve_blocks(&setting, LIMITS, &mut store, &mut ()).unwrap(), in_memory(&rows, &objective));
}
