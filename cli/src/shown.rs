//! Numbers as figures and reports write them, and bounds in a few digits, rounded to the side on which they still hold.

/// Doublings of a step that are enough for any number of digits.
const DOUBLINGS: u32 = 64;

/// A number in so many significant digits: a decimal from 0.001 to below a million, with its thousands apart from 10,000 on, else with a
/// power of ten (`1e-7`, `2.5e6`).
pub(crate) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    if rounded == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&rounded.abs()) {
        return format!("{rounded:e}");
    }
    let text = rounded.abs().to_string();
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if rounded < 0.0 { "-" } else { "" };
    format!("{sign}{}{rest}", grouped(whole.parse().unwrap_or(0)))
}

/// A count, its thousands apart from 10,000 on.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A share in percent, in so many significant digits.
pub(crate) fn percent(share: f64, digits: usize) -> String {
    format!("{} %", number(100.0 * share, digits))
}

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

/// An upper bound of an objective with such a relative gap, in words that "the optimum" follows; `None` where there is none.
pub(crate) fn above(gap: f64, show: impl Fn(f64) -> String) -> Option<String> {
    match 1.0 / (1.0 - gap) {
        ratio if gap >= 1.0 || !ratio.is_finite() => None,
        ratio if ratio >= 10.0 => Some(format!("{} times", at_most(ratio, show))),
        _ => Some(format!("{} % above", at_most(100.0 * gap / (1.0 - gap), show))),
    }
}

fn to_side(value: f64, side: f64, show: impl Fn(f64) -> String) -> String {
    let off = |text: &str| text.replace(',', "").parse::<f64>().map_or(f64::NAN, |shown| side * (value - shown));
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
    fn numbers_have_one_notation() {
        for (value, digits, text) in [
            (1e-7, 3, "1e-7"),
            (0.001, 3, "0.001"),
            (9.994e-4, 3, "9.99e-4"),
            (0.25, 3, "0.25"),
            (9999.0, 4, "9999"),
            (10_000.0, 3, "10,000"),
            (-123_456.7, 6, "-123,457"),
            (-12_345.5, 6, "-12,345.5"),
            (2.5e6, 3, "2.5e6"),
            (999_999.9, 3, "1e6"),
            (-0.0, 3, "0"),
            (f64::NAN, 3, "NaN"),
        ] {
            assert_eq!(number(value, digits), text);
        }
        assert_eq!([0, 9999, 12_345, 1_000_000].map(grouped), ["0", "9999", "12,345", "1,000,000"]);
        assert_eq!((percent(0.3658, 4), percent(1.0, 4)), ("36.58 %".into(), "100 %".into()));
        // Thousands apart are no hindrance to a bound.
        let six = |v: f64| number(v, 6);
        assert_eq!((at_least(12_345.678, six), at_most(12_345.671, six)), ("12,345.6".into(), "12,345.7".into()));
    }

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
        let words = [0.5, 0.1, 0.75, 0.99].map(|gap| above(gap, rounded).unwrap());
        assert_eq!(words, ["100.0 % above", "11.2 % above", "300.0 % above", "100.0 times"]);
        assert_eq!((above(1.0, rounded), above(f64::NAN, rounded)), (None, None));
        for i in 0..2000 {
            let value = (f64::from(i) * 0.618).sin().abs() * 10f64.powi(i % 40 - 20);
            let short = |v: f64| format!("{v:.3e}");
            let (below, above) = (at_least(value, short), at_most(value, short));
            let [low, high] = [below, above].map(|text| text.parse::<f64>().unwrap());
            assert!(low <= value && value <= high && high - low <= 1.001e-3 * high, "{value:e} {low:e} {high:e}");
        }
    }
}
