//! Bounds in a few digits: rounded to the side on which they still hold.

/// Doublings of a step that are enough for any number of digits.
const DOUBLINGS: u32 = 64;

/// A lower bound as `show` writes it, or the next number below that it can write.
pub(crate) fn at_least(value: f64, show: impl Fn(f64) -> String) -> String {
    to_side(value, -1.0, show)
}

/// An upper bound as `show` writes it, or the next number above that it can write.
pub(crate) fn at_most(value: f64, show: impl Fn(f64) -> String) -> String {
    to_side(value, 1.0, show)
}

/// A relative gap in three digits, rounded up.
pub(crate) fn gap(value: f64) -> String {
    at_most(value, |value| format!("{value:.2e}"))
}

/// An upper bound of an objective with such a relative gap, in words that "the optimum" follows.
pub(crate) fn above(gap: f64, show: impl Fn(f64) -> String) -> String {
    match 1.0 / (1.0 - gap) {
        ratio if gap >= 1.0 || !ratio.is_finite() => "any number of times".into(),
        ratio if ratio >= 10.0 => format!("{} times", at_most(ratio, show)),
        _ => format!("{} % above", at_most(100.0 * gap / (1.0 - gap), show)),
    }
}

fn to_side(value: f64, side: f64, show: impl Fn(f64) -> String) -> String {
    let off = |text: &str| text.parse::<f64>().map_or(f64::NAN, |shown| side * (value - shown));
    let text = show(value);
    let excess = off(&text);
    // Not more than half a unit of the last digit: twice that is the next number.
    let steps = (0..DOUBLINGS).map(|doubling| show(value + side * excess * 2f64.powi(doubling as i32)));
    if excess > 0.0 { steps.into_iter().find(|text| off(text) <= 0.0).unwrap_or(text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_rounded_to_the_side_on_which_they_hold() {
        let six = |v: f64| format!("{v:.6}");
        assert_eq!(at_least(0.501_159_7, six), "0.501159");
        assert_eq!(at_most(0.501_159_2, six), "0.501160");
        assert_eq!((at_least(0.5, six), at_most(0.5, six)), ("0.500000".into(), "0.500000".into()));
        assert_eq!(
            (gap(1e-3), gap(9.999e-4), gap(0.0), gap(1.0001e-3)),
            ("1.00e-3".into(), "1.00e-3".into(), "0.00e0".into(), "1.01e-3".into())
        );
        let rounded = |v: f64| format!("{v:.1}");
        assert_eq!((above(0.5, rounded), above(1.0, rounded)), ("100.0 % above".into(), "any number of times".into()));
        assert_eq!((above(0.1, rounded), above(0.75, rounded)), ("11.2 % above".into(), "300.0 % above".into()));
        assert_eq!(
            (above(0.99, rounded), above(f64::NAN, rounded)),
            ("100.0 times".into(), "any number of times".into())
        );
        for i in 0..2000 {
            let value = (f64::from(i) * 0.618).sin().abs() * 10f64.powi(i % 40 - 20);
            let short = |v: f64| format!("{v:.3e}");
            let (below, above) = (at_least(value, short), at_most(value, short));
            let [low, high] = [below, above].map(|text| text.parse::<f64>().unwrap());
            assert!(low <= value && value <= high && high - low <= 1.001e-3 * high, "{value:e} {low:e} {high:e}");
        }
    }
}
