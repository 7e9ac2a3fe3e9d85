//! The `[solver.newton]` table.

use crate::bounded::{Fraction, Positive};
use crate::solver::DualConfig;
use serde::{Deserialize, Serialize};

/// The `[solver.newton]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewtonConfig {
    /// Stop at this relative duality gap, (primal − dual)/primal.
    pub gap: Fraction,
    /// Or after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
}

impl Default for NewtonConfig {
    fn default() -> Self {
        Self { gap: DualConfig::default().gap, seconds: None }
    }
}
