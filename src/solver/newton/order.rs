//! Messages of the interior point method over parts: what all of them are asked, and the sums of their answers.

use super::basis::{RowMap, stack};
use super::iterate::shorter;
use super::system::{BlockPattern, BlockSums};
use crate::data::packed;
use crate::model::BiasRule;
use crate::objective::Objective;
use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

/// A step that is asked of all parts, at the weights `u` of the numbers of a row, class after class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteriorOrder {
    pub(in crate::solver) map: RowMap,
    #[serde(with = "packed")]
    pub(in crate::solver) u: Vec<f64>,
    pub(in crate::solver) work: InteriorWork,
}

/// Kinds of an [`InteriorOrder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) enum InteriorWork {
    /// A triangular factor of the rows.
    Survey,
    /// The system and the bounds, after a step.
    Build(Option<TakenStep>),
    /// The length of the step with this δu towards products of 0, and right-hand sides of the corrected one.
    Predict {
        #[serde(with = "packed")]
        direction: Vec<f64>,
        mu: f64,
    },
    /// The length of the corrected step.
    Correct(CorrectedStep),
    /// A proof of weights `[n_features + 1, n_classes]` by the variables, those of each label and class shrunk by a factor.
    Prove {
        #[serde(with = "packed")]
        weights: Vec<f64>,
        #[serde(with = "packed")]
        factors: Vec<f64>,
    },
}

/// A step towards products of `target`, corrected for the second order of a predicted one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) struct CorrectedStep {
    #[serde(with = "packed")]
    pub predicted: Vec<f64>,
    pub target: f64,
    #[serde(with = "packed")]
    pub direction: Vec<f64>,
}

/// A step of a length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) struct TakenStep {
    pub step: CorrectedStep,
    pub length: f64,
}

/// Sums over the rows of some parts: the answer to an [`InteriorOrder`] but for a proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum InteriorAnswer {
    /// See [`InteriorAnswer`].
    Survey(RowSurvey),
    /// See [`InteriorAnswer`].
    Build(Box<Built>),
    /// See [`InteriorAnswer`].
    Predict(Predicted),
    /// The length of the corrected step.
    Correct(f64),
}

/// Rows, and their triangular factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowSurvey {
    pub(super) rows: u64,
    pub(super) width: usize,
    /// Column after column.
    #[serde(with = "packed")]
    pub(super) triangle: Vec<f64>,
}

/// Sums for a system and for bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Built {
    pub(super) blocks: BlockSums,
    #[serde(with = "packed")]
    pub(super) right_hand_side: Vec<f64>,
    /// Σ c·ℓ at the weights.
    pub(super) loss: f64,
    /// Σ c·(products), and Σ c·(their number).
    pub(super) products: f64,
    pub(super) count: f64,
    /// Of dual variables in their set: Σ pen(a), Σ a and Σ a z of each label and class.
    pub(super) penalty: f64,
    #[serde(with = "packed")]
    pub(super) flows: Vec<f64>,
    #[serde(with = "packed")]
    pub(super) sums: Vec<f64>,
}

/// Effects of a predicted step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    pub(super) length: f64,
    /// Σ c·(products), and Σ c·(those of the steps).
    pub(super) products: [f64; 2],
    /// Right-hand sides of corrected steps towards products of 0 and of μ: one towards σμ lies between them.
    #[serde(with = "packed")]
    pub(super) none: Vec<f64>,
    #[serde(with = "packed")]
    pub(super) whole: Vec<f64>,
}

impl InteriorOrder {
    /// Whether it is of so many features and classes.
    pub(in crate::solver) fn is_of(&self, n_features: usize, n_classes: usize) -> bool {
        let length = self.u.len();
        let of_step = |step: &CorrectedStep| (step.predicted.len(), step.direction.len()) == (length, length);
        let is_of_work = match &self.work {
            InteriorWork::Survey => return true,
            InteriorWork::Build(taken) => taken.as_ref().is_none_or(|taken| of_step(&taken.step)),
            InteriorWork::Predict { direction, .. } => direction.len() == length,
            InteriorWork::Correct(step) => of_step(step),
            InteriorWork::Prove { weights, factors } => {
                return weights.len() == (n_features + 1) * n_classes && factors.len() == n_classes * n_classes;
            }
        };
        let (columns, rank) = self.map.size();
        is_of_work
            && self.map.is_whole()
            && (columns == n_features || columns == n_features + 1)
            && (length == rank * n_classes || length == (rank + 1) * n_classes)
    }

    /// Whether it is of a run with this objective.
    pub(in crate::solver) fn fits(&self, objective: &Objective, n_features: usize, n_classes: usize) -> bool {
        let constant = usize::from(matches!(objective.bias, BiasRule::Regularised { .. }));
        let free = usize::from(objective.bias == BiasRule::Free);
        let (columns, rank) = self.map.size();
        let is_of_rows = (columns, self.u.len()) == (n_features + constant, (rank + free) * n_classes);
        let needs_rows = !matches!(self.work, InteriorWork::Survey | InteriorWork::Prove { .. });
        self.is_of(n_features, n_classes) && (is_of_rows || !needs_rows)
    }
}

pub(super) fn add(sum: &mut [f64], more: &[f64]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

impl RowSurvey {
    pub(super) fn matrix(&self) -> MatRef<'_, f64> {
        let rows = self.triangle.len().checked_div(self.width).unwrap_or(0);
        MatRef::from_column_major_slice(&self.triangle, rows, self.width)
    }

    pub(super) fn of(rows: u64, triangle: &Mat<f64>) -> Self {
        let columns = triangle.col_iter().flat_map(|column| column.iter().copied().collect::<Vec<f64>>());
        Self { rows, width: triangle.ncols(), triangle: columns.collect() }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        *self = Self::of(self.rows + other.rows, &stack(&self.matrix().to_owned(), &[other.matrix()]));
    }
}

impl InteriorAnswer {
    /// Whether it is of so many features and classes.
    pub(in crate::solver) fn is_of(&self, n_features: usize, n_classes: usize) -> bool {
        match self {
            Self::Survey(RowSurvey { width, triangle, .. }) => {
                (*width == n_features || *width == n_features + 1) && triangle.len().is_multiple_of((*width).max(1))
            }
            Self::Build(built) => {
                let length = built.right_hand_side.len();
                built.flows.len() == n_classes * n_classes && built.sums.len() == length * n_classes
            }
            Self::Predict(found) => found.none.len() == found.whole.len(),
            Self::Correct(_) => true,
        }
    }

    /// Whether it is of weights of so many numbers; `blocks` is what their system is made of.
    pub(super) fn fits(&self, (width, n_classes): (usize, usize), blocks: BlockPattern) -> bool {
        match self {
            Self::Survey(_) | Self::Correct(_) => true,
            Self::Build(built) => {
                built.right_hand_side.len() == width * n_classes && built.blocks.fits(width, blocks, n_classes)
            }
            Self::Predict(found) => found.none.len() == width * n_classes,
        }
    }

    /// With the answer of the parts behind these; `None` where it is to another order.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Option<Self> {
        match (&mut self, &other) {
            (Self::Survey(all), Self::Survey(more)) if all.width == more.width => all.merge(more),
            (Self::Build(all), Self::Build(more)) => all.merge(more),
            (Self::Predict(all), Self::Predict(more)) => all.merge(more),
            (Self::Correct(length), Self::Correct(more)) => *length = shorter(*length, *more),
            _ => return None,
        }
        Some(self)
    }
}

impl Built {
    fn merge(&mut self, other: &Self) {
        self.blocks.merge(&other.blocks);
        for (sum, more) in [
            (&mut self.loss, other.loss),
            (&mut self.products, other.products),
            (&mut self.count, other.count),
            (&mut self.penalty, other.penalty),
        ] {
            *sum += more;
        }
        add(&mut self.right_hand_side, &other.right_hand_side);
        add(&mut self.flows, &other.flows);
        add(&mut self.sums, &other.sums);
    }
}

impl Predicted {
    fn merge(&mut self, other: &Self) {
        self.length = shorter(self.length, other.length);
        add(&mut self.products, &other.products);
        add(&mut self.none, &other.none);
        add(&mut self.whole, &other.whole);
    }
}
