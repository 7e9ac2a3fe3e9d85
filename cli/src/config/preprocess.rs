//! The `[preprocess]` table.

use crate::bounded::Positive;
use crate::data::{Center, MissingConfig, MissingRule, Scale};
use crate::format::CellRules;
use crate::model::BiasRule;
use serde::{Deserialize, Serialize};

/// `bias` of the `[preprocess]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasKind {
    /// Penalised like the weights, through `bias_scale`.
    #[default]
    Regularised,
    /// Not penalised.
    Free,
    /// No bias.
    None,
}

/// `categories` of the `[preprocess]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Categories {
    /// Words are refused.
    #[default]
    Error,
    /// A feature for each category, 1 or 0.
    OneHot,
}

/// The `[preprocess]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreprocessConfig {
    /// Centre that is subtracted from each feature.
    pub center: Center,
    /// Divisor of each feature or row.
    pub scale: Scale,
    /// Encoding of columns of words.
    pub categories: Categories,
    /// Replacement of missing values.
    pub missing: MissingRule,
    /// Whether columns say where values were missing.
    pub indicator: bool,
    /// Regularisation of the bias.
    pub bias: BiasKind,
    /// The value B of the constant feature that a regularised bias amounts to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_scale: Option<Positive>,
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            center: Center::None,
            scale: Scale::None,
            categories: Categories::Error,
            missing: MissingRule::Error,
            indicator: false,
            bias: BiasKind::Regularised,
            bias_scale: None,
        }
    }
}

impl PreprocessConfig {
    /// The cells that a table may have beside numbers and dates.
    #[must_use]
    pub fn cell_rules(&self) -> CellRules {
        CellRules { text: self.categories == Categories::OneHot, missing: self.missing != MissingRule::Error }
    }

    /// The treatment of missing values.
    #[must_use]
    pub const fn missing_config(&self) -> MissingConfig {
        MissingConfig { rule: self.missing, indicator: self.indicator }
    }

    /// The bias rule of the objective.
    #[must_use]
    pub fn bias_rule(&self) -> BiasRule {
        match self.bias {
            BiasKind::Regularised => BiasRule::Regularised { scale: self.bias_scale.map_or(1.0, Positive::get) },
            BiasKind::Free => BiasRule::Free,
            BiasKind::None => BiasRule::None,
        }
    }
}
