//! What the cells of a column are: the physical type says how they are stored, the logical one what they mean.

use super::footer::Element;

/// The number of the logical type of decimal numbers.
pub(super) const DECIMAL: i64 = 5;
/// The number of the logical type of integers.
pub(super) const INTEGER: i64 = 10;
const FLOAT16: i64 = 15;

/// The cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) meaning: Meaning,
    pub(super) store: Store,
}

/// What a cell means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Bool,
    Signed,
    Unsigned,
    /// An unsigned number of eight bits.
    Byte,
    Float,
    /// A whole number, little-endian where the store is that of integers, to divide by this power of ten.
    Decimal {
        big_endian: bool,
        scale: i32,
    },
    Text,
}

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// A bit each.
    Bits,
    /// So many bytes each.
    Fixed(usize),
    /// A length and as many bytes.
    Variable,
}

/// The kind of a column, or what it holds that cannot be read.
pub(super) fn of(element: &Element) -> Result<Kind, String> {
    let width = element.width.and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
    let store = match element.physical {
        Some(0) => Store::Bits,
        Some(1 | 4) => Store::Fixed(4),
        Some(2 | 5) => Store::Fixed(8),
        Some(3) => return Err("times".into()),
        Some(6) => Store::Variable,
        Some(7) if width > 0 => Store::Fixed(width),
        _ => return Err("values of an unknown type".into()),
    };
    let is_integer = matches!(element.physical, Some(1 | 2));
    let is_decimal = element.converted == Some(5) || matches!(element.logical, Some((DECIMAL, _)));
    let meaning = match element.physical {
        Some(0) => Meaning::Bool,
        Some(4 | 5) => Meaning::Float,
        Some(7) if width == 2 && matches!(element.logical, Some((FLOAT16, _))) => Meaning::Float,
        _ if is_decimal => match i32::try_from(element.scale) {
            Ok(scale @ 0..=400) => Meaning::Decimal { big_endian: !is_integer, scale },
            _ => return Err(format!("decimal numbers of scale {}", element.scale)),
        },
        Some(6 | 7) => Meaning::Text,
        _ => match integer_type(element)? {
            Some((8, false)) => Meaning::Byte,
            Some((_, false)) => Meaning::Unsigned,
            Some((_, true)) | None => Meaning::Signed,
        },
    };
    Ok(Kind { meaning, store })
}

/// Bits and sign of an integer where they are said; an error where the integer counts time.
fn integer_type(element: &Element) -> Result<Option<(i64, bool)>, &'static str> {
    match (element.logical, element.converted) {
        (Some((6, _)), _) | (_, Some(6)) => Err("dates"),
        (Some((7 | 8, _)), _) | (_, Some(7..=10)) => Err("times"),
        (Some((INTEGER, Some(integer))), _) => Ok(Some(integer)),
        (_, Some(converted @ 11..=14)) => Ok(Some((8 << (converted - 11), false))),
        (_, Some(converted @ 15..=18)) => Ok(Some((8 << (converted - 15), true))),
        _ => Ok(None),
    }
}

impl Kind {
    /// True for what fits a byte as it stands.
    pub(super) const fn is_byte(self) -> bool {
        matches!(self.meaning, Meaning::Byte | Meaning::Bool)
    }

    /// Whether there are numbers that single precision does not hold.
    pub(super) const fn is_double(self) -> bool {
        match (self.meaning, self.store) {
            (Meaning::Signed | Meaning::Unsigned, _) | (Meaning::Float, Store::Fixed(8)) => true,
            (Meaning::Decimal { .. }, _) => true,
            (Meaning::Float | Meaning::Bool | Meaning::Byte | Meaning::Text, _) => false,
        }
    }

    /// The number in a cell; not finite where there is none.
    #[allow(clippy::cast_precision_loss)]
    #[inline]
    pub(super) fn number(self, cell: &[u8]) -> f64 {
        match (self.meaning, cell) {
            (Meaning::Float, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Meaning::Float, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Meaning::Float, &[a, b]) => half::f16::from_le_bytes([a, b]).to_f64(),
            (Meaning::Float, _) => f64::NAN,
            (Meaning::Signed, _) => self.integer(cell).unwrap_or_default() as f64,
            (Meaning::Unsigned | Meaning::Byte | Meaning::Bool, _) => little_endian(cell) as f64,
            (Meaning::Decimal { scale, .. }, _) => {
                self.integer(cell).map_or(f64::NAN, |integer| integer as f64 / 10f64.powi(scale))
            }
            (Meaning::Text, _) => f64::NAN,
        }
    }

    /// A whole number with its sign, of sixteen bytes at most.
    fn integer(self, cell: &[u8]) -> Option<i128> {
        let big = matches!(self.meaning, Meaning::Decimal { big_endian: true, .. });
        let sign = if big { cell.first() } else { cell.last() }?;
        let mut bytes = [if sign & 0x80 == 0 { 0 } else { 0xff }; 16];
        if big {
            bytes.get_mut(16usize.checked_sub(cell.len())?..)?.copy_from_slice(cell);
            return Some(i128::from_be_bytes(bytes));
        }
        bytes.get_mut(..cell.len())?.copy_from_slice(cell);
        Some(i128::from_le_bytes(bytes))
    }

    /// The cell as a csv file would have it.
    pub(super) fn text(self, cell: &[u8]) -> Vec<u8> {
        match self.meaning {
            Meaning::Text => cell.to_vec(),
            Meaning::Bool => if little_endian(cell) == 0 { "false" } else { "true" }.into(),
            Meaning::Signed => self.integer(cell).unwrap_or_default().to_string().into(),
            Meaning::Unsigned | Meaning::Byte => little_endian(cell).to_string().into(),
            Meaning::Float | Meaning::Decimal { .. } => self.number(cell).to_string().into(),
        }
    }
}

fn little_endian(cell: &[u8]) -> u64 {
    cell.iter().take(8).rev().fold(0, |value, &byte| (value << 8) | u64::from(byte))
}
