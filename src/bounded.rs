//! Numbers that cannot be out of range: a configuration that parses holds only values that make sense.
//!
//! Each type is a newtype over `f64` or `usize` whose serde form checks the range, so that the TOML reader puts our sentence under
//! the offending value. Imports nothing.

use serde::de::{self, Deserializer, Unexpected};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A value outside the range of its type.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{found} is out of range: expected {expected}")]
pub struct OutOfRange {
    /// The value that was given.
    pub found: f64,
    /// The range, in words.
    pub expected: &'static str,
}

macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks the range.
            ///
            /// # Errors
            /// [`OutOfRange`] when the value is outside the range or not finite.
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                let inside: fn(f64) -> bool = $test;
                if value.is_finite() && inside(value) {
                    Ok(Self(value))
                } else {
                    Err(OutOfRange { found: value, expected: $expected })
                }
            }

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;
            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded!(
    /// A finite number above zero.
    Positive,
    "a number in the range (0, inf)",
    |v| v > 0.0
);
bounded!(
    /// A finite number that is zero or more.
    NonNegative,
    "a number in the range [0, inf)",
    |v| v >= 0.0
);
bounded!(
    /// A number above zero, one at most.
    Share,
    "a number in the range (0, 1]",
    |v| v > 0.0 && v <= 1.0
);
bounded!(
    /// A number from zero up to, but not including, one.
    Fraction,
    "a number in the range [0, 1)",
    |v| (0.0..1.0).contains(&v)
);

/// A whole number from `LOW` to `HIGH`, both included: what it counts fits into memory and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WholeNumber<const LOW: usize, const HIGH: usize>(usize);

impl<const LOW: usize, const HIGH: usize> WholeNumber<LOW, HIGH> {
    /// The number, or the end of the range that it is beyond.
    #[must_use]
    pub const fn clamped(value: usize) -> Self {
        Self(if value < LOW {
            LOW
        } else if value > HIGH {
            HIGH
        } else {
            value
        })
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl<const LOW: usize, const HIGH: usize> fmt::Display for WholeNumber<LOW, HIGH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const LOW: usize, const HIGH: usize> Serialize for WholeNumber<LOW, HIGH> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const LOW: usize, const HIGH: usize> Deserialize<'de> for WholeNumber<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const LOW: usize, const HIGH: usize>;

        impl<const LOW: usize, const HIGH: usize> de::Visitor<'_> for Visitor<LOW, HIGH> {
            type Value = WholeNumber<LOW, HIGH>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LOW} to {HIGH}")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                let inside = usize::try_from(value).ok().filter(|v| (LOW..=HIGH).contains(v));
                inside.map(WholeNumber).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
                }
            }
        }

        deserializer.deserialize_u64(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_hold_their_range() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Table {
            n: WholeNumber<1, 100>,
        }
        for n in [1, 7, 100] {
            let table: Table = toml::from_str(&format!("n = {n}\n")).unwrap();
            assert_eq!(table.n.get(), n);
            assert_eq!(toml::to_string(&table).unwrap(), format!("n = {n}\n"));
        }
        for (text, problem) in [
            ("0", "invalid value: integer `0`, expected a whole number from 1 to 100"),
            ("-1", "invalid value: integer `-1`, expected a whole number from 1 to 100"),
            ("9223372036854775807", "expected a whole number from 1 to 100"),
            ("1.5", "invalid type: floating point `1.5`, expected a whole number from 1 to 100"),
            ("\"x\"", "invalid type: string \"x\", expected a whole number from 1 to 100"),
        ] {
            let error = toml::from_str::<Table>(&format!("n = {text}\n")).unwrap_err();
            assert!(error.message().contains(problem), "{error}");
        }
        assert_eq!((WholeNumber::<1, 9>::clamped(0).get(), WholeNumber::<1, 9>::clamped(10).get()), (1, 9));
    }

    #[test]
    fn ranges_hold_at_their_ends() {
        assert!(Positive::new(0.0).is_err());
        assert!(Positive::new(f64::MIN_POSITIVE).is_ok());
        assert!(Positive::new(f64::INFINITY).is_err());
        assert!(NonNegative::new(0.0).is_ok());
        assert!(NonNegative::new(-1e-300).is_err());
        assert!(Share::new(0.0).is_err() && Share::new(1.0).is_ok());
        assert!(Fraction::new(0.0).is_ok());
        assert!(Fraction::new(1.0).is_err());
        assert!(Fraction::new(f64::NAN).is_err());
    }

    #[test]
    fn the_message_names_value_and_range() {
        let error = Positive::new(-2.0).unwrap_err().to_string();
        assert_eq!(error, "-2 is out of range: expected a number in the range (0, inf)");
    }
}
