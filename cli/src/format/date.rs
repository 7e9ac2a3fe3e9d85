//! Dates as ISO 8601 writes them, as numbers: days, or seconds where there is a time of day, since 1970-01-01 UTC.

use crate::data::CellKind;
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

/// The number in a cell of dates or of times, which may be a date, too.
pub(super) fn number(text: &[u8], kind: CellKind) -> Option<f64> {
    match kind {
        CellKind::Date => days(text),
        CellKind::Time => seconds(text).or_else(|| days(text).map(|days| days * 86_400.0)),
        CellKind::Number | CellKind::Text => None,
    }
}

/// A date or a time, as messages say it.
pub(super) const fn example(kind: CellKind) -> &'static str {
    if matches!(kind, CellKind::Date) { "a date as 2024-03-01" } else { "a time as 2024-03-01 12:30:00" }
}

/// Days since 1970 of `2024-03-01`, `2024/03/01` and `1.3.2024`.
pub(super) fn days(text: &[u8]) -> Option<f64> {
    if !(8..=DATE).contains(&text.len()) || !text[0].is_ascii_digit() {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let date = if begins(text.as_bytes()) { text.parse::<Date>().ok()? } else { written_otherwise(text)? };
    seconds_of(date.into()).map(|seconds| seconds / 86_400.0)
}

/// The date of `2024/03/01` or `1.3.2024`.
fn written_otherwise(text: &str) -> Option<Date> {
    let mark = if text.contains('/') { '/' } else { '.' };
    let mut parts = text.split(mark).map(|part| {
        let is_number = part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<i16>().ok()).flatten().map(|number| (part.len(), number))
    });
    let [first, (_, month), last] = [parts.next()??, parts.next()??, parts.next()??];
    let (year, day) = if mark == '/' { (first, last) } else { (last, first) };
    let month = i8::try_from(month).ok()?;
    if year.0 != 4 || day.0 > 2 || parts.next().is_some() {
        return None;
    }
    Date::new(year.1, month, i8::try_from(day.1).ok()?).ok()
}

/// Whether a text looks like a date whose order of day and month is anybody's guess: `03/01/2024`, `01-03-24`.
pub(crate) fn is_doubtful(text: &str) -> bool {
    let mut parts = text.split(['/', '-', '.']);
    let digits =
        |part: Option<&str>| part.is_some_and(|p| (1..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    digits(parts.next()) && digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
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

/// `2024-03-01` of days since 1970; empty beyond the years of the calendar.
pub(crate) fn day(days: i64) -> String {
    let time = Timestamp::from_second(days.saturating_mul(86_400));
    time.map_or_else(|_| String::new(), |time| Offset::UTC.to_datetime(time).date().to_string())
}

/// `2024-03-01 12:30:00` of nanoseconds since 1970, `Z` behind it where there is a time zone; empty beyond the years of the calendar.
pub(crate) fn time(nanoseconds: i128, is_zoned: bool) -> String {
    let zone = if is_zoned { "Z" } else { "" };
    let civil = Timestamp::from_nanosecond(nanoseconds).map(|time| Offset::UTC.to_datetime(time).to_string());
    civil.map_or_else(|_| String::new(), |civil| civil.replacen('T', " ", 1) + zone)
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
        assert_eq!((day(19_783), day(-1), day(i64::MAX)), ("2024-03-01".into(), "1969-12-31".into(), String::new()));
        assert_eq!(
            (time(60_250_000_000, false), time(0, true)),
            ("1970-01-01 00:01:00.25".into(), "1970-01-01 00:00:00Z".into())
        );
        for text in ["2024/03/01", "2024/3/1", "1.3.2024", "01.03.2024"] {
            assert_eq!((days(text.as_bytes()), seconds(text.as_bytes())), (Some(19_783.0), None), "{text}");
            assert!(is_doubtful(text));
        }
        for text in [
            "03/01/2024",
            "1.3.24",
            "32.1.2024",
            "1.13.2024",
            "1.1.2024.",
            "1.-1.2024",
            "2024/02/30",
            "1..2024",
            "10.0.0.1",
        ] {
            assert_eq!(days(text.as_bytes()), None, "{text}");
        }
        assert!(is_doubtful("03/01/24") && !is_doubtful("10.0.0.1") && !is_doubtful("1.5") && !is_doubtful("a/b/c"));
        for text in
            ["", "2024-13-01", "2024-02-30", "20240301", "2024-3-1", "01/03/2024", "2024-03-01x", "2024-03-01 25:00"]
        {
            assert_eq!((days(text.as_bytes()), seconds(text.as_bytes())), (None, None), "{text}");
        }
    }
}
