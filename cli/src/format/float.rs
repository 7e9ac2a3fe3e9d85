//! Decimal text to `f32` or `f64`, exactly rounded: what `str::parse` gives, faster for the short decimals that data files hold.

use crate::data::precision::single;
use crate::data::{Dense, Features};
use std::str::FromStr;

/// Powers of ten that are exact in `f64`.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A float as rows hold it.
pub(super) trait Float: Copy + Default + Into<f64> + FromStr + Send + Sync + 'static {
    /// The one next to a number in double precision.
    fn of(value: f64) -> Self;

    /// The one next to a decimal number of which `value` is the next in double precision; `None` where that leaves it open.
    fn of_decimal(value: f64) -> Option<Self>;

    /// Row-major values, `width` to a row.
    fn features(width: usize, values: Vec<Self>) -> Features<'static>;
}

impl Float for f32 {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn of_decimal(value: f64) -> Option<Self> {
        let rounded = Self::of(value);
        // The 29 bits that f32 does not have: 1 and zeros is halfway. Subnormal numbers have fewer bits, infinity none.
        let halfway = value.to_bits() & ((1 << 29) - 1) == 1 << 28;
        (!halfway && (rounded.is_normal() || value == 0.0)).then_some(rounded)
    }

    fn features(width: usize, values: Vec<Self>) -> Features<'static> {
        Features::F32(Dense::new(width, values))
    }
}

impl Float for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn of_decimal(value: f64) -> Option<Self> {
        Some(value)
    }

    fn features(width: usize, values: Vec<Self>) -> Features<'static> {
        Features::F64(Dense::new(width, values))
    }
}

/// True for the blanks between cells; a line's end is not among them.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// The number at the start of `text` and its length, or `None` where it is not finite, as `f32` neither.
///
/// The number ends at a blank, at `#` or with the text.
pub(super) fn scan<T: Float>(text: &[u8]) -> Option<(T, usize)> {
    let ends = |at: usize| text.get(at).is_none_or(|&b| is_blank(b) || b == b'#');
    let short = prefix(text).filter(|(.., len)| ends(*len));
    short.map(|(value, _, len)| (value, len)).or_else(|| {
        let len = text.iter().position(|&b| is_blank(b) || b == b'#').unwrap_or(text.len());
        let value: T = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
        single(value.into()).is_finite().then_some((value, len))
    })
}

/// The whole `text` as a number that is finite, as `f32`, too.
pub(super) fn number<T: Float>(text: &[u8]) -> Option<T> {
    scan(text).and_then(|(value, len)| (len == text.len()).then_some(value))
}

/// The number that `text` begins with, where it is short, with the same in double precision and its length; the caller looks at what
/// follows.
///
/// The fast path: up to 18 digits whose integer is below 2^53, and a power of ten up to 22. Then both are exact in `f64` and
/// their product or quotient is the `f64` next to the true value (W. D. Clinger, *How to read floating point numbers
/// accurately*, 1990). Rounding that once more to `f32` is exact unless it lies halfway between two of them.
#[allow(clippy::cast_precision_loss)]
#[inline]
pub(super) fn prefix<T: Float>(text: &[u8]) -> Option<(T, f64, usize)> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut integer, mut n_digits, mut exponent) = (0u64, rest.len(), 0i32);
    // A slice pattern needs no check of bounds.
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = tail;
    }
    n_digits -= rest.len();
    if let [b'.', tail @ ..] = rest {
        rest = tail;
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            rest = tail;
        }
        let decimals = tail.len() - rest.len();
        n_digits += decimals;
        exponent = -i32::try_from(decimals).ok()?;
    }
    let mut at = text.len() - rest.len();
    if n_digits == 0 || n_digits > 18 || integer >= 1 << 53 {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let (shift, end) = small_exponent(text, at + 1)?;
        exponent += shift;
        at = end;
    }
    let power = POWERS.get(exponent.unsigned_abs() as usize)?;
    let exact = integer as f64;
    let value = if exponent < 0 { exact / power } else { exact * power };
    let value = if negative { -value } else { value };
    Some((T::of_decimal(value)?, value, at))
}

/// A sign and one or two digits.
fn small_exponent(text: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let negative = text.get(at) == Some(&b'-');
    at += usize::from(matches!(text.get(at), Some(b'-' | b'+')));
    let (start, mut value) = (at, 0i32);
    while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10 && at - start < 3) {
        value = value * 10 + i32::from(digit);
        at += 1;
    }
    (at > start && at - start <= 2).then_some((if negative { -value } else { value }, at))
}

/// `f16` by its bits.
pub(super) fn half(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10) & 31, f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(i32::from(e) - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected(text: &str) -> Option<u32> {
        text.parse::<f32>().ok().filter(|value| value.is_finite()).map(f32::to_bits)
    }

    fn found(text: &str) -> Option<u32> {
        let (value, len) = scan::<f32>(text.as_bytes())?;
        assert_eq!(len, text.len());
        let double = scan::<f64>(text.as_bytes()).map(|(value, len)| (value.to_bits(), len));
        assert_eq!(double, Some((text.parse::<f64>().unwrap().to_bits(), len)));
        Some(value.to_bits())
    }

    #[test]
    fn odd_numbers_are_read_as_the_standard_library_reads_them() {
        for text in [
            "0",
            "-0",
            "+1",
            "1.",
            ".5",
            "-.5",
            ".",
            "",
            "-",
            "+",
            "1e5",
            "1E-5",
            "1e",
            "1e+",
            "1e400",
            "1e-400",
            "3.4028235e38",
            "3.4028236e38",
            "3.5e38",
            "1e-45",
            "7e-46",
            "1.17549435e-38",
            "1.1754942e-38",
            "16777217",
            "16777219",
            "33554433.0",
            "0.1",
            "123456789012345678",
            "9007199254740993",
            "99999999999999999999",
            "0.000000000000000000001",
            "nan",
            "inf",
            "-infinity",
            "0x10",
            "1_000",
            "1,5",
            "--1",
            "1e2.5",
            "1.5e",
            "8388608.5",
            "8388609.5",
            "1e022",
            "2e-022",
        ] {
            assert_eq!(found(text), expected(text), "{text}");
        }
        assert_eq!(scan(b"1.5 2"), Some((1.5f32, 3)));
        assert_eq!(scan(b"12345678901234567890#x"), Some((12_345_678_901_234_567_890.0f32, 20)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn decimals_are_exactly_rounded(text in "[+-]?[0-9]{0,12}(\\.[0-9]{0,12})?([eE][+-]?[0-9]{1,3})?") {
            prop_assert_eq!(found(&text), expected(&text));
        }

        #[test]
        fn any_float_comes_back(bits in any::<u32>(), digits in 0usize..12) {
            let value = f32::from_bits(bits);
            for text in [format!("{value}"), format!("{value:e}"), format!("{value:.digits$e}")] {
                prop_assert_eq!(found(&text), expected(&text));
            }
        }

        #[test]
        fn neighbours_of_halfway_points_are_exactly_rounded(bits in 0x0080_0000u32..0x7f7f_ffff, digits in 7usize..17) {
            let middle = (f64::from(f32::from_bits(bits)) + f64::from(f32::from_bits(bits + 1))) / 2.0;
            let text = format!("{middle:.digits$e}");
            prop_assert_eq!(found(&text), expected(&text));
            let text = format!("{middle}");
            prop_assert_eq!(found(&text), expected(&text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let end = bytes.iter().position(|&b| is_blank(b) || b == b'#').unwrap_or(bytes.len());
            let token = std::str::from_utf8(&bytes[..end]).unwrap_or("x");
            prop_assert_eq!(scan::<f32>(&bytes).map(|(v, n)| (v.to_bits(), n)), expected(token).map(|v| (v, end)));
        }
    }
}
