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
    /// Which of the two methods.
    pub method: NewtonMethod,
    /// Or after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
}

impl Default for NewtonConfig {
    fn default() -> Self {
        Self { gap: DualConfig::default().gap, method: NewtonMethod::Auto, seconds: None }
    }
}

/// `method` of the `[solver.newton]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewtonMethod {
    /// The interior point method where its price is known to be small, else the proximal one.
    #[default]
    Auto,
    /// A system of all weights, factorised.
    InteriorPoint,
    /// The proximal semismooth Newton method: products of the rows with weights only, on any device.
    Proximal,
}
