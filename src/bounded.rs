//! Numbers that cannot be out of range: a configuration that parses holds only values that make sense.
//!
//! Each type is a newtype over `f64` whose serde form checks the range, so that the TOML reader puts our sentence under
//! the offending value. Imports nothing.

use serde::{Deserialize, Serialize};
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

#[cfg(test)]
mod tests {
    use super::*;

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
