//! Rounding errors of sums in f64, as bounds that hold.
//!
//! With the unit roundoff u = 2⁻⁵³ a sum of m rounded products, in any order and with fused operations or not, is off by at most
//! `γ_m · Σ|terms|`, γ_m = m·u/(1 − m·u). (N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1.)

/// The unit roundoff of f64.
pub(crate) const UNIT: f64 = f64::EPSILON / 2.0;

/// γ_m: the largest relative error that `m` roundings leave in a sum of products.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn gamma(m: usize) -> f64 {
    let error = m as f64 * UNIT;
    if error < 0.5 { error / (1.0 - error) } else { f64::INFINITY }
}

/// A sum that carries the rounding errors along. For terms of one sign it is off by less than [`Sum::ERROR`] of itself.
///
/// A. Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, ZAMM 54, 1974.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sum {
    value: f64,
    lost: f64,
}

impl Sum {
    /// u for the last rounding, and u²n², which is below u for fewer than 10⁷·7 terms; doubled.
    pub const ERROR: f64 = 4.0 * UNIT;

    /// Adds a term.
    #[inline(always)]
    pub fn add(&mut self, term: f64) {
        let sum = self.value + term;
        self.lost += if self.value.abs() >= term.abs() { (self.value - sum) + term } else { (term - sum) + self.value };
        self.value = sum;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.add(other.value);
        self.lost += other.lost;
    }

    /// The sum. Not a number where a term was none, or where the sum is infinite.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value + self.lost
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }
}

/// `value` less `error`, rounded down; never below 0, which bounds every objective from below, and 0 where the numbers are none.
pub(crate) fn rounded_down(value: f64, error: f64) -> f64 {
    let below = (value - error).next_down();
    if below > 0.0 { below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_a_plain_one_loses() {
        let terms = [1.0, 1e100, 1.0, -1e100];
        assert_eq!(terms.into_iter().collect::<Sum>().value(), 2.0);
        let mut halves = [Sum::default(), Sum::default()];
        (0..1_000_001).for_each(|i| halves[i % 2].add(0.1));
        let mut all = halves[0];
        all.merge(halves[1]);
        // 0.1 is 0.1000000000000000055511151231257827..
        assert!((all.value() - 100_000.1).abs() <= 100_000.1 * Sum::ERROR, "{:e}", all.value() - 100_000.1);
    }

    #[test]
    fn bounds_are_rounded_down_and_never_below_zero() {
        assert!(rounded_down(1.0, 0.0) < 1.0 && rounded_down(1.0, 0.25) < 0.75);
        for (value, error) in [(1.0, 2.0), (f64::NAN, 0.0), (1.0, f64::INFINITY), (f64::INFINITY, f64::INFINITY)] {
            assert_eq!(rounded_down(value, error), 0.0);
        }
        assert!(gamma(1) >= UNIT && gamma(100) > 100.0 * UNIT && gamma(usize::MAX).is_infinite());
    }
}
