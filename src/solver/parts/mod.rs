//! One problem in parts: rows in blocks on the disk, or on several machines.
//!
//! ```text
//! every round, part k:   measures its rows at W; gives up its worst rows; a few exact passes over the others from W, as if it were
//!                        alone  →  ΔW_k
//! coordinator:           W ← W + η·ΣΔW_k with the best η, 0 ≤ η ≤ 1 (the dual is a parabola along it);
//!                        passes over all rows that were given up, from there, until they are solved
//! until:                 Σ_i gap_i ≤ gap·P(W), which is then proved in f64: all sums are sums over parts
//! ```
//!
//! Each step raises the dual, and any dual variables are feasible: a part that is lost may begin again from earlier ones, or from 0, and no
//! bound that was proved is lost. Results depend on the parts and their order, not on which of them answers first. The step with the best
//! factor is that of C. Lee and K. Chang, *Distributed block-diagonal approximation methods for regularized empirical risk minimization*,
//! Machine Learning 109, 2020; rows that are kept apart, of K. Chang and D. Roth, *Selective block minimization for faster convergence
//! of limited memory large-scale linear models*, KDD 2011.

mod blocks;
mod certify;
mod conclusion;
mod coordinator;
mod hot;
mod interior;
mod leader;
mod messages;
mod part;
mod store;
mod wire;

pub use crate::solver::newton::{InteriorAnswer, InteriorOrder};
pub(in crate::solver) use blocks::source;
pub use blocks::{BlockLimits, BlockOutcome, solve_blocks};
pub use certify::{certify_blocks, measure_blocks};
pub use coordinator::{Coordinator, Limits, Outcome, Progress, Request};
pub use hot::{Setting, hot_rows};
pub use interior::system_bytes;
pub use leader::{Leader, answer_interior};
pub use messages::{Answer, Answers, Contribution, HotRow, Order, PartProof, ProofOrder, Returned};
pub use part::{Part, PartVariables};
pub use store::BlockStore;
pub use wire::{Message, Shape, WireError, from_bytes, to_bytes};
