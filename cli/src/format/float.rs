//! Decimal text to `f32` or `f64`, exactly rounded: what `str::parse` gives, by `fast-float2`.

use crate::data::precision::single;
use crate::data::{Dense, Features};
use fast_float2::{FastFloat, parse_partial};

/// A float as rows hold it.
pub(super) trait Float: Copy + Default + Into<f64> + FastFloat + Send + Sync + 'static {
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
#[inline]
pub(super) fn scan<T: Float>(text: &[u8]) -> Option<(T, usize)> {
    let (value, len): (T, usize) = parse_partial(text).ok()?;
    let ends = text.get(len).is_none_or(|&b| is_blank(b) || b == b'#');
    (ends && single(value.into()).is_finite()).then_some((value, len))
}

/// The whole `text` as a number that is finite, as `f32`, too.
pub(super) fn number<T: Float>(text: &[u8]) -> Option<T> {
    scan(text).and_then(|(value, len)| (len == text.len()).then_some(value))
}

/// The number that `text` begins with, where it is finite, with the same in double precision and its length; the caller looks at what
/// follows.
#[inline]
pub(super) fn prefix<T: Float>(text: &[u8]) -> Option<(T, f64, usize)> {
    let (exact, len) = parse_partial::<f64, _>(text).ok()?;
    let value = T::of_decimal(exact).or_else(|| parse_partial(text).ok().map(|(value, _): (T, usize)| value))?;
    single(value.into()).is_finite().then_some((value, exact, len))
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
