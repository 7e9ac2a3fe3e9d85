//! The options of the optimisers, each a table of `[solver.sgd]`.
//!
//! Defaults are PyTorch's or the paper's where Burn's differ (dampening 0, epsilon 1e-8). Burn keeps options in f32;
//! [`single`] and [`share`] bring what a file may say into the range of that.

use crate::bounded::{Fraction, Positive, WholeNumber};
use serde::{Deserialize, Serialize};

/// A table of a configuration: its fields with their defaults.
macro_rules! table {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$about:meta])* pub $key:ident: $kind:ty = $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$about])* pub $key: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $value,)* }
            }
        }
    };
}
pub(super) use table;

pub(super) fn fraction(value: f64) -> Fraction {
    Fraction::new(value).unwrap_or_else(|_| unreachable!("a default in range"))
}

pub(super) fn positive(value: f64) -> Positive {
    Positive::new(value).unwrap_or_else(|_| unreachable!("a default in range"))
}

/// A positive number in single precision, neither 0 nor infinite.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn single(value: Positive) -> f32 {
    (value.get() as f32).clamp(f32::MIN_POSITIVE, f32::MAX)
}

/// A fraction in single precision, below 1 still.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn share(value: Fraction) -> f32 {
    (value.get() as f32).min(1.0 - f32::EPSILON)
}

table! {
/// `[solver.sgd.momentum]` and `[solver.sgd.nesterov]`.
pub struct MomentumOptions {
    /// The share of the last step that is kept.
    pub momentum: Fraction = fraction(0.9),
    /// Damping of the new gradient.
    pub dampening: Fraction = fraction(0.0),
}
}

table! {
/// `[solver.sgd.adam]` and `[solver.sgd.adamw]`.
pub struct AdamOptions {
    /// Decay of the first moment.
    pub beta_1: Fraction = fraction(0.9),
    /// Decay of the second moment.
    pub beta_2: Fraction = fraction(0.999),
    /// Added to the root of the second moment.
    pub epsilon: Positive = positive(1e-8),
    /// Whether the second moment never shrinks.
    pub amsgrad: bool = false,
}
}

table! {
/// `[solver.sgd.rmsprop]`.
pub struct RmsPropOptions {
    /// Decay of the mean square.
    pub alpha: Fraction = fraction(0.99),
    /// The share of the last step that is kept.
    pub momentum: Fraction = fraction(0.0),
    /// Added to the root of the mean square.
    pub epsilon: Positive = positive(1e-8),
    /// Whether the mean is subtracted from the mean square.
    pub centered: bool = false,
}
}

table! {
/// `[solver.sgd.adagrad]`.
pub struct AdaGradOptions {
    /// The learning rate is divided by 1 + step·lr_decay.
    pub lr_decay: Fraction = fraction(0.0),
    /// Added to the root of the sum of squares.
    pub epsilon: Positive = positive(1e-10),
}
}

table! {
/// `[solver.sgd.lion]`.
pub struct LionOptions {
    /// Weight of the momentum in the update.
    pub beta_1: Fraction = fraction(0.9),
    /// Decay of the momentum.
    pub beta_2: Fraction = fraction(0.99),
}
}

table! {
/// `[solver.sgd.adan]`: Xie et al., *Adan: Adaptive Nesterov Momentum Algorithm*, 2022.
pub struct AdanOptions {
    /// Decay of the first moment.
    pub beta_1: Fraction = fraction(0.98),
    /// Decay of the gradient's differences.
    pub beta_2: Fraction = fraction(0.92),
    /// Decay of the second moment.
    pub beta_3: Fraction = fraction(0.99),
    /// Added to the root of the second moment.
    pub epsilon: Positive = positive(1e-8),
}
}

table! {
/// `[solver.sgd.lamb]`: You et al., *Large Batch Optimization for Deep Learning*, 2020.
pub struct LambOptions {
    /// Decay of the first moment.
    pub beta_1: Fraction = fraction(0.9),
    /// Decay of the second moment.
    pub beta_2: Fraction = fraction(0.999),
    /// Added to the root of the second moment.
    pub epsilon: Positive = positive(1e-6),
    /// Whether a step is scaled by the norm of the weights over that of the update.
    pub trust_ratio: bool = true,
}
}

table! {
/// `[solver.sgd.adafactor]`: Shazeer and Stern, *Adafactor: Adaptive Learning Rates with Sublinear Memory Cost*, 2018.
pub struct AdafactorOptions {
    /// Added to the squared gradient.
    pub epsilon_1: Positive = positive(1e-30),
    /// The least root mean square that the weights count with when they scale the step.
    pub epsilon_2: Positive = positive(1e-3),
    /// The largest root mean square of an update before the learning rate.
    pub clip_threshold: Positive = positive(1.0),
    /// The second moment decays by 1 − step^(−decay).
    pub decay: Positive = positive(0.8),
    /// Whether the learning rate is at most 1/√step.
    pub relative_step: bool = true,
    /// Whether a step is scaled by the root mean square of the weights.
    pub scale_parameter: bool = true,
}
}

/// Muon's scale of the learning rate of a matrix `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuonRate {
    /// By √max(1, rows/columns).
    #[default]
    Original,
    /// By 0.2·√max(rows, columns): updates as large as AdamW's.
    MatchAdamw,
}

table! {
/// `[solver.sgd.muon]`: Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024.
pub struct MuonOptions {
    /// The share of the last step that is kept.
    pub momentum: Fraction = fraction(0.95),
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool = true,
    /// Newton-Schulz iterations that make an update orthogonal.
    pub newton_schulz_steps: WholeNumber<1, 100> = WholeNumber::clamped(5),
    /// Scale of the learning rate.
    pub rate: MuonRate = MuonRate::Original,
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_file_may_say_leaves_the_range_of_single_precision() {
        assert_eq!(single(positive(1e-300)), f32::MIN_POSITIVE);
        assert_eq!(single(positive(1e300)), f32::MAX);
        assert!(share(fraction(1.0 - 1e-12)) < 1.0);
        assert_eq!((single(positive(0.5)), share(fraction(0.5))), (0.5, 0.5));
    }
}
