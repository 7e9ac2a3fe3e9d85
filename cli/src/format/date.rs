//! Dates as ISO 8601 writes them, as numbers: days, or seconds where there is a time of day, since 1970-01-01 UTC.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

/// Bytes of `2024-03-01`.
const DATE: usize = 10;

/// Whether a text begins as `2024-03-01`.
fn begins(text: &[u8]) -> bool {
    text.len() >= DATE
        && text[..DATE]
            .iter()
            .enumerate()
            .all(|(at, b)| if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() })
}

/// Days since 1970 of `2024-03-01`.
pub(super) fn days(text: &[u8]) -> Option<f64> {
    if text.len() != DATE || !begins(text) {
        return None;
    }
    seconds_of(std::str::from_utf8(text).ok()?.parse::<Date>().ok()?.into()).map(|seconds| seconds / 86_400.0)
}

/// Seconds since 1970 of `2024-03-01 12:30:00`, with a `T` or a blank, perhaps decimals, perhaps `Z` or an offset; without one the time is
/// taken as UTC.
pub(super) fn seconds(text: &[u8]) -> Option<f64> {
    if !begins(text) || !matches!(text.get(DATE), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let zoned = text.ends_with(['Z', 'z']) || text[DATE..].contains(['+', '-']);
    if zoned { text.parse::<Timestamp>().ok().map(seconds_at) } else { seconds_of(text.parse::<DateTime>().ok()?) }
}

fn seconds_of(civil: DateTime) -> Option<f64> {
    Offset::UTC.to_timestamp(civil).ok().map(seconds_at)
}

#[allow(clippy::cast_precision_loss)]
fn seconds_at(time: Timestamp) -> f64 {
    time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_and_times_are_seconds() {
        for (text, expected) in [("1970-01-01", Some(0.0)), ("2024-03-01", Some(19_783.0)), ("1969-12-31", Some(-1.0))]
        {
            assert_eq!((days(text.as_bytes()), seconds(text.as_bytes())), (expected, None), "{text}");
        }
        for (text, expected) in [
            ("1970-01-01 00:01:00", 60.0),
            ("1970-01-01T00:01", 60.0),
            ("1970-01-01T00:00:00.25Z", 0.25),
            ("1970-01-01T01:00:00+01:00", 0.0),
            ("2024-03-01 12:30:00", 19_783.0 * 86_400.0 + 45_000.0),
        ] {
            assert_eq!((days(text.as_bytes()), seconds(text.as_bytes())), (None, Some(expected)), "{text}");
        }
        for text in
            ["", "2024-13-01", "2024-02-30", "20240301", "2024-3-1", "01/03/2024", "2024-03-01x", "2024-03-01 25:00"]
        {
            assert_eq!((days(text.as_bytes()), seconds(text.as_bytes())), (None, None), "{text}");
        }
    }
}
