//! Rounds of parts and passes over blocks that a gap takes: `cargo bench --bench parts -- FILE LOSS C PARTS.. [sorted]`.
//!
//! FILE is libsvm text, LOSS `ww`, `cs` or `ovr`; PARTS are numbers of parts, `b20` 20 blocks. There is no bias. Parts are simulated in
//! one thread: rounds do not depend on where parts are.

use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Csr, Features, Scaler, SelectedRows};
use burn_svm::internals::device::open_cpu;
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::Objective;
use burn_svm::internals::solver::SolveError;
use burn_svm::internals::solver::parts::{
    BlockLimits, BlockStore, Coordinator, HotRow, Limits, Part, PartVariables, Request, Setting, solve_blocks,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::fs;

struct Blocks<'a> {
    source: Source<'a>,
    blocks: Vec<Vec<u32>>,
    variables: Vec<Option<PartVariables>>,
}

impl BlockStore for Blocks<'_> {
    fn n_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn read(&mut self, block: usize, _: Option<usize>) -> Result<SelectedRows, SolveError> {
        Ok(SelectedRows::of(self.source, &self.blocks[block]))
    }

    fn variables(&mut self, block: usize) -> Result<Option<PartVariables>, SolveError> {
        Ok(self.variables[block].clone())
    }

    fn keep(&mut self, block: usize, variables: &PartVariables) -> Result<(), SolveError> {
        self.variables[block] = Some(variables.clone());
        Ok(())
    }

    fn hot(&mut self) -> Result<Vec<(usize, HotRow)>, SolveError> {
        Ok(Vec::new())
    }

    fn keep_hot(&mut self, _: &[(usize, HotRow)]) -> Result<(), SolveError> {
        Ok(())
    }

    fn point(&mut self, _: Option<usize>) -> Result<Option<Vec<f64>>, SolveError> {
        Ok(None)
    }

    fn keep_point(&mut self, _: Option<usize>, _: &[f64]) -> Result<(), SolveError> {
        Ok(())
    }
}

const GOALS: [f64; 3] = [1e-2, 1e-3, 1e-4];

fn read(path: &str) -> (Features<'static>, Vec<u32>) {
    let text = fs::read_to_string(path).expect("a file of libsvm text");
    let mut csr = Csr::with_capacity(0, 0);
    let mut names: Vec<i64> = Vec::new();
    let labels: Vec<i64> = text
        .lines()
        .map(|line| {
            let mut fields = line.split_whitespace();
            let label = fields.next().expect("a label").parse::<f64>().expect("a label") as i64;
            for cell in fields {
                let (column, value) = cell.split_once(':').expect("column:value");
                csr.push_cell(column.parse::<u32>().expect("a column") - 1, value.parse().expect("a value"));
            }
            csr.finish_row();
            names.push(label);
            label
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let places = labels.iter().map(|label| names.binary_search(label).expect("a name") as u32).collect();
    (Features::Sparse(csr).densified(), places)
}

fn shown(rounds: &[Option<u64>; 3]) -> String {
    rounds.map(|r| r.map_or("-".into(), |r| r.to_string())).join("/")
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let (Some(path), Some(name), Some(c)) = (arguments.next(), arguments.next(), arguments.next()) else {
        println!("usage: cargo bench --bench parts -- FILE LOSS C PARTS.. [sorted]");
        return;
    };
    let rest: Vec<String> = arguments.collect();
    let (features, labels) = read(&path);
    let k = *labels.iter().max().expect("rows") as usize + 1;
    let formulation = match name.as_str() {
        "ww" => Formulation::WestonWatkins,
        "ovr" => Formulation::OneVsRest,
        _ => Formulation::CrammerSinger,
    };
    let n = labels.len();
    let objective = Objective {
        loss: Loss::new(formulation, 1.0, Power::One),
        lambda: 1.0 / (c.parse::<f64>().expect("C") * n as f64),
        bias: BiasRule::None,
    };
    let scaler = Scaler::default();
    let source = Source { features: &features, labels: &labels, scaler: &scaler, weights: None };
    let setting = Setting {
        objective,
        scaler: scaler.clone(),
        n_features: features.n_features(),
        n_classes: k,
        n_train: n,
        device: open_cpu().expect("a CPU backend"),
        seed: 0,
    };
    let sorted = rest.iter().any(|word| word == "sorted");
    let deal = |parts: usize| -> Vec<Vec<u32>> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        if sorted {
            order.sort_by_key(|&row| labels[row as usize]);
        } else {
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        }
        order.chunks(n.div_ceil(parts)).map(<[u32]>::to_vec).collect()
    };
    for word in rest.iter().filter(|word| *word != "sorted") {
        match word.strip_prefix('b') {
            Some(count) => {
                let mut passes = [None; 3];
                let mut last = String::new();
                for (at, &gap) in GOALS.iter().enumerate() {
                    let blocks = deal(count.parse().expect("a number of blocks"));
                    let variables = vec![None; blocks.len()];
                    let mut store = Blocks { source, blocks, variables };
                    // Of ascent alone.
                    let (hot_rows, memory) = (3 * n / 20, 0.0);
                    let limits = BlockLimits {
                        gap,
                        passes: 100,
                        seconds: None,
                        hot_rows,
                        double: false,
                        memory,
                        interior: false,
                    };
                    let run = solve_blocks(&setting, limits, &mut store, &mut ()).expect("a run");
                    if run.outcome.certificate.relative_gap <= gap {
                        passes[at] = Some(run.passes + run.proofs);
                    }
                    last = format!("{} hot rows, {:.1} epochs", run.hot_rows, run.visits as f64 / n as f64);
                }
                println!("{path} {name} C {c}: {count} blocks, passes with proofs {}, {last}", shown(&passes));
            }
            None => {
                let parts = deal(word.parse().expect("a number of parts"));
                let (rounds, hot) = rounds(&setting, source, &parts);
                println!("{path} {name} C {c}: {word} parts, rounds {}, at most {hot} hot rows", shown(&rounds));
            }
        }
    }
}

/// Rounds to each goal, and the most hot rows.
fn rounds(setting: &Setting, source: Source<'_>, parts: &[Vec<u32>]) -> ([Option<u64>; 3], usize) {
    let n = setting.n_train;
    let limits = Limits { gap: GOALS[2], rounds: 100, hot_rows: n, double: false };
    let mut coordinator = Coordinator::new(setting.clone(), limits, parts.len());
    let (mut found, mut hot) = ([None; 3], 0);
    std::thread::scope(|scope| {
        let problems: Vec<_> = parts.iter().map(|rows| setting.problem(source, rows)).collect();
        let new = |(place, rows): (usize, &Vec<u32>)| {
            let variables = PartVariables::zero(rows, setting.n_classes);
            Part::new(&problems[place], n, place, variables, false, scope)
        };
        let mut workers: Vec<Part<'_, '_>> = parts.iter().enumerate().map(new).collect();
        while let Request::Round(order, returned) = coordinator.request() {
            let answers = workers.iter_mut().zip(&returned).map(|(part, own)| part.answer(&order, own));
            let answers = answers.collect::<Result<Vec<_>, _>>().expect("a round");
            coordinator.tell(&order, answers).expect("a round");
            let progress = coordinator.progress();
            hot = hot.max(progress.hot_rows);
            for (found, goal) in found.iter_mut().zip(GOALS) {
                if found.is_none() && progress.relative_gap <= goal {
                    *found = Some(progress.round - 1);
                }
            }
        }
    });
    (found, hot)
}
