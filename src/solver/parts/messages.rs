//! Messages between a coordinator and its parts.

use crate::data::{SelectedRows, packed};
use crate::evaluation::Evaluation;
use crate::objective::DualSums;
use crate::solver::newton::InteriorAnswer;
use serde::{Deserialize, Serialize};

/// A round that a part is to make. Weights are `[n_features + 1, n_classes]`: those of the constant feature are the last row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// W
    #[serde(with = "packed")]
    pub weights: Vec<f64>,
    /// The share of the last round's steps that counts.
    pub eta: f64,
    /// Share of the gap up to which a row is left alone.
    pub tolerance: f64,
    /// Rows that the part may offer.
    pub quota: usize,
    /// Passes over the rows.
    pub passes: u32,
    /// Whether weights are held in double precision.
    pub double: bool,
    /// Of the order in which rows are visited.
    pub seed: u64,
    /// Other weights at which the losses are to be measured.
    pub mean: Option<Vec<f64>>,
}

/// A row that comes home to its part, with its variables `[n_classes]`.
pub type Returned = (u32, Vec<f64>);

/// The answer to an [`Order`]. All but the sums of bounds is of the change that the passes have made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Σ c·ℓ of the rows at home at the weights of the order, and their share of the gap.
    pub loss: f64,
    /// See `loss`.
    pub gap: f64,
    /// Σ c·ℓ at the other weights.
    pub mean_loss: Option<f64>,
    /// ΔW; nothing where it is added to that of another part.
    #[serde(with = "packed")]
    pub delta: Vec<f64>,
    /// Σ Δ·δ
    pub linear: f64,
    /// Slope and curvature of pen along the change.
    pub penalty_slope: f64,
    /// See `penalty_slope`.
    pub penalty_curvature: f64,
    /// Rows that the part gives up.
    pub offers: Vec<HotRow>,
    /// Visits to rows.
    pub visited: u64,
}

/// A part's [`Contribution`], with copies of the rows that it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Sums and changes.
    pub contribution: Contribution,
    /// The rows of its offers, in their order.
    pub cells: Option<SelectedRows>,
}

/// A row that is worst off, with its variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HotRow {
    /// Its index within the data of its part.
    pub row: u32,
    /// `[n_classes]`
    #[serde(with = "packed")]
    pub a: Vec<f64>,
    /// Its share of the gap.
    pub gap: f64,
}

/// A share of a proof that a part is to give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofOrder {
    /// Weights that are to be proved, as in [`Order`].
    #[serde(with = "packed")]
    pub weights: Vec<f64>,
    /// The share of the last round's steps that counts.
    pub eta: f64,
}

/// The answer to a [`ProofOrder`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartProof {
    pub(super) sums: DualSums,
    /// The losses as shares of those of all rows.
    pub(super) evaluation: Evaluation,
}

/// The answers of parts that follow each other, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answers {
    /// To a [`Request::Round`](super::Request::Round).
    Round(Vec<Answer>),
    /// To a [`Request::Proof`](super::Request::Proof), or to a [`Request::Interior`](super::Request::Interior) that asks for one.
    Proof(Vec<PartProof>),
    /// To a [`Request::Interior`](super::Request::Interior): one of all parts.
    Interior(Box<InteriorAnswer>),
}

impl Answers {
    /// With the answers of the parts behind them; the sums of both are one. `None` where they answer different requests.
    #[must_use]
    pub fn merge(self, others: Self) -> Option<Self> {
        match (self, others) {
            (Self::Round(mut all), Self::Round(mut others)) => {
                for other in &mut others {
                    let delta = std::mem::take(&mut other.contribution.delta);
                    match all.first_mut() {
                        Some(first) if delta.len() == first.contribution.delta.len() => {
                            first.contribution.delta.iter_mut().zip(&delta).for_each(|(sum, d)| *sum += d);
                        }
                        _ => other.contribution.delta = delta,
                    }
                }
                all.append(&mut others);
                Some(Self::Round(all))
            }
            (Self::Proof(proofs), Self::Proof(others)) => {
                let joined = proofs.into_iter().chain(others).reduce(|mut all, other| {
                    all.merge(other);
                    all
                });
                Some(Self::Proof(joined.into_iter().collect()))
            }
            (Self::Interior(own), Self::Interior(others)) => {
                own.merge(*others).map(|all| Self::Interior(Box::new(all)))
            }
            _ => None,
        }
    }
}
