//! The rows that hold the parts together, solved in one place.
//!
//! Variables that end strictly inside their set are what parts would have to agree on; all others end at a bound, whatever the others do.
//! At the optimum of a hinge there are about d·(K − 1) of the former, however many rows there are.

use super::messages::{Contribution, HotRow, Order, PartProof, Returned};
use super::part::{Part, PartVariables, prove_rows};
use crate::data::batch::Source;
use crate::data::blocks::{DataPart, Manifest};
use crate::data::{Scaler, SelectedRows};
use crate::device::OpenDevice;
use crate::objective::Objective;
use crate::solver::{GradientRoute, Problem, SolveError};

/// Share of the memory, and of the rows, that hot rows may have; copies of a hot row's cells and numbers a class, when it is worked on.
const SHARE: u64 = 4;
const OF_ROWS: f64 = 0.15;
const COPIES: u64 = 5;
const NUMBERS: u64 = 64;
const HEAD: u64 = 256;

/// Hot rows, at most, of `n_train` rows to train on of a folder, in a run that may take so many bytes of memory.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn hot_rows(manifest: &Manifest, n_train: usize, memory: u64) -> usize {
    let all = (manifest.rows(DataPart::Train) + manifest.rows(DataPart::Test)).max(1);
    let cells = manifest.in_memory() / all;
    let row = COPIES * cells + NUMBERS * manifest.class_names.len() as u64 + HEAD;
    let fitting = memory / SHARE / row;
    (fitting as usize).min((OF_ROWS * n_train as f64).ceil() as usize)
}

/// A row's home, and how long it has been at its optimum.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Guest {
    part: usize,
    row: u32,
    calm: u8,
}

/// The hot rows with their variables.
#[derive(Debug, Clone, Default)]
pub(super) struct HotRows {
    rows: Option<SelectedRows>,
    guests: Vec<Guest>,
    /// `[rows, n_classes]`
    a: Vec<f64>,
    /// Of the rows at the last order their shares of the gap.
    gaps: Vec<f64>,
}

/// Common ground of all parts: all but the rows.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Loss, λ and bias rule.
    pub objective: Objective,
    /// Preprocessing, fitted to all training rows.
    pub scaler: Scaler,
    /// Number of columns of the rows.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Rows of all parts.
    pub n_train: usize,
    /// The processor.
    pub device: OpenDevice,
    /// Of the orders in which rows are visited.
    pub seed: u64,
}

impl Setting {
    /// The problem that some rows pose.
    #[must_use]
    pub fn problem<'a>(&'a self, source: Source<'a>, train: &'a [u32]) -> Problem<'a> {
        Problem {
            source,
            train,
            validation: &[],
            n_classes: self.n_classes,
            objective: &self.objective,
            device: &self.device,
            gradient: GradientRoute::Auto,
            seed: self.seed,
            threads: 1,
            early_stopping: None,
        }
    }
}

impl HotRows {
    pub fn len(&self) -> usize {
        self.guests.len()
    }

    /// The rows of a part that are here.
    pub fn of_part(&self, part: usize) -> Vec<u32> {
        self.guests.iter().filter(|guest| guest.part == part).map(|guest| guest.row).collect()
    }

    /// Takes rows in.
    pub fn welcome(&mut self, part: usize, offers: &[HotRow], cells: &SelectedRows) {
        for offer in offers {
            self.guests.push(Guest { part, row: offer.row, calm: 0 });
            self.a.extend_from_slice(&offer.a);
        }
        match &mut self.rows {
            _ if offers.is_empty() => {}
            None => self.rows = Some(cells.clone()),
            Some(rows) => rows.append(cells),
        }
    }

    /// Makes an order with the hot rows as their own part; nothing where there are none.
    pub fn work(&mut self, setting: &Setting, order: &Order) -> Result<Option<Contribution>, SolveError> {
        let Some(rows) = self.rows.as_ref().filter(|rows| !rows.is_empty()) else { return Ok(None) };
        let all = numbers(rows.len());
        let source = Source {
            features: &rows.features,
            labels: &rows.labels,
            scaler: &setting.scaler,
            weights: Some(&rows.weights),
        };
        let problem = setting.problem(source, &all);
        let variables = PartVariables { rows: all.clone(), a: std::mem::take(&mut self.a), ..PartVariables::default() };
        let (contribution, a, gaps) = std::thread::scope(|scope| {
            let mut part = Part::new(&problem, setting.n_train, usize::MAX, variables, order.double, scope);
            let contribution = part.round(order, &[])?;
            Ok::<_, SolveError>((contribution, part.variables().a, part.gaps()))
        })?;
        self.a = a;
        self.gaps = gaps;
        Ok(Some(contribution))
    }

    /// Counts the rounds that rows have been at their optimum: within a share of the gap, when they were last met.
    pub fn count_calm(&mut self, settled: f64) {
        self.guests.iter_mut().zip(&self.gaps).for_each(|(guest, &gap)| {
            guest.calm = if gap <= settled { guest.calm.saturating_add(1) } else { 0 };
        });
    }

    /// The rows that have been at their optimum for `calm` rounds, taken out: of each of the parts their indices and variables.
    pub fn farewell(&mut self, calm: u8, n_parts: usize, n_classes: usize) -> Vec<Vec<Returned>> {
        let mut returned = vec![Vec::new(); n_parts];
        let stays = |guest: &Guest| guest.calm < calm;
        if self.guests.iter().all(stays) {
            return returned;
        }
        let (mut kept, mut guests, mut variables) = (Vec::new(), Vec::new(), Vec::new());
        for ((guest, a), at) in self.guests.iter().zip(self.a.chunks_exact(n_classes)).zip(0..) {
            if stays(guest) {
                kept.push(at);
                guests.push(*guest);
                variables.extend_from_slice(a);
            } else {
                returned[guest.part].push((guest.row, a.to_vec()));
            }
        }
        self.rows = self.rows.as_ref().map(|rows| rows.kept(&kept));
        (self.guests, self.a) = (guests, variables);
        returned
    }

    /// All rows with the parts that they come from, and their variables.
    pub fn list(&self, n_classes: usize) -> Vec<(usize, HotRow)> {
        let rows = self.guests.iter().zip(self.a.chunks_exact(n_classes));
        rows.map(|(guest, a)| (guest.part, HotRow { row: guest.row, a: a.to_vec(), gap: 0.0 })).collect()
    }

    /// The share of a proof.
    pub fn prove(&self, setting: &Setting, weights: &[f64]) -> Option<PartProof> {
        let rows = self.rows.as_ref().filter(|rows| !rows.is_empty())?;
        let all = numbers(rows.len());
        let source = Source {
            features: &rows.features,
            labels: &rows.labels,
            scaler: &setting.scaler,
            weights: Some(&rows.weights),
        };
        let problem = setting.problem(source, &all);
        Some(prove_rows(&problem, setting.n_train, &all, &self.a, setting.n_classes, weights))
    }
}

/// 0, 1, 2, ..
#[allow(clippy::cast_possible_truncation)]
pub(super) fn numbers(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}
