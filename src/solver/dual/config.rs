//! The `[solver.dual]` table.

use crate::bounded::{Fraction, Positive};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// The `[solver.dual]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DualConfig {
    /// Stop at this relative duality gap, (primal − dual)/primal.
    pub gap: Fraction,
    /// Ascend for no more than this many passes over the training rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<NonZeroUsize>,
    /// Or after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
    /// On a path of several C, start each from the dual variables of the one before.
    pub warm_start: bool,
    /// The precision of the passes; by default single, and double where the gap asked for needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Whether a method of second order may finish a run in which ascent takes too long.
    pub finish: Finish,
}

/// `finish` of the `[solver.dual]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The method of second order, if it is cheaper than further ascent.
    #[default]
    Auto,
    /// Ascent alone.
    Never,
}

/// `precision` of the `[solver.dual]` table: of W and of products with it; dual variables and sums are in double precision always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single.
    F32,
    /// Double.
    F64,
}

impl Default for DualConfig {
    fn default() -> Self {
        Self {
            gap: Fraction::new(1e-3).unwrap_or_else(|_| unreachable!("1e-3 is a fraction")),
            epochs: None,
            seconds: None,
            warm_start: true,
            precision: None,
            finish: Finish::Auto,
        }
    }
}
