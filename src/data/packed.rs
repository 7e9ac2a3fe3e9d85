//! Numbers as bytes on their way, for serde: `#[serde(with = "packed")]`.
//!
//! Little-endian, one after another. Of `f64` the first byte says the form: numbers that single precision holds take 4 bytes each, and of
//! those that are mostly zero the others are listed with their places.

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A number that is packed.
pub trait PackedNumber: Copy {
    /// The bytes of some numbers.
    fn pack(values: &[Self]) -> Vec<u8>;

    /// The numbers of some bytes; `None` where there are none.
    fn unpack(bytes: &[u8]) -> Option<Vec<Self>>;
}

macro_rules! plain {
    ($($number:ty)*) => {$(
        impl PackedNumber for $number {
            fn pack(values: &[Self]) -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }

            fn unpack(bytes: &[u8]) -> Option<Vec<Self>> {
                let (numbers, rest) = bytes.as_chunks();
                rest.is_empty().then(|| numbers.iter().map(|&bytes| Self::from_le_bytes(bytes)).collect())
            }
        }
    )*};
}

plain! { u8 u32 u64 f32 }

/// Bits of the first byte of packed `f64`.
const SINGLE: u8 = 1;
const LISTED: u8 = 2;

impl PackedNumber for f64 {
    #[allow(clippy::cast_possible_truncation)]
    fn pack(values: &[Self]) -> Vec<u8> {
        let is_zero = |value: &&Self| value.to_bits() == 0;
        let zeros = values.iter().filter(is_zero).count();
        let listed = 2 * zeros > values.len() && u32::try_from(values.len()).is_ok();
        let single = values.iter().all(|&value| Self::from(value as f32).to_bits() == value.to_bits());
        let mut bytes = Vec::with_capacity(1 + if single { 4 } else { 8 } * values.len());
        bytes.push(u8::from(single) * SINGLE + u8::from(listed) * LISTED);
        let mut kept = Vec::new();
        let mut sent = values;
        if listed {
            bytes.extend((values.len() as u32).to_le_bytes());
            bytes.extend(((values.len() - zeros) as u32).to_le_bytes());
            for (at, value) in values.iter().enumerate().filter(|(_, value)| !is_zero(value)) {
                bytes.extend((at as u32).to_le_bytes());
                kept.push(*value);
            }
            sent = &kept;
        }
        match single {
            true => sent.iter().for_each(|&value| bytes.extend((value as f32).to_le_bytes())),
            false => sent.iter().for_each(|&value| bytes.extend(value.to_le_bytes())),
        }
        bytes
    }

    fn unpack(bytes: &[u8]) -> Option<Vec<Self>> {
        let (&form, bytes) = bytes.split_first()?;
        let numbers = |bytes: &[u8]| match form & SINGLE {
            0 => {
                let (numbers, rest) = bytes.as_chunks();
                rest.is_empty().then(|| numbers.iter().map(|&bytes| Self::from_le_bytes(bytes)).collect())
            }
            _ => f32::unpack(bytes).map(|numbers| numbers.into_iter().map(Self::from).collect::<Vec<Self>>()),
        };
        if form > SINGLE + LISTED {
            return None;
        }
        if form & LISTED == 0 {
            return numbers(bytes);
        }
        let (length, bytes) = bytes.split_first_chunk()?;
        let (stored, bytes) = bytes.split_first_chunk()?;
        let stored = u32::from_le_bytes(*stored) as usize;
        let (places, bytes) = bytes.split_at_checked(stored.checked_mul(4)?)?;
        let (places, numbers) = (u32::unpack(places)?, numbers(bytes)?);
        let mut values = vec![0.0; u32::from_le_bytes(*length) as usize];
        if numbers.len() != stored || places.iter().any(|&at| at as usize >= values.len()) {
            return None;
        }
        places.into_iter().zip(numbers).for_each(|(at, number)| values[at as usize] = number);
        Some(values)
    }
}

/// Serialises numbers.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: PackedNumber, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&T::pack(values))
}

/// Deserialises numbers.
///
/// # Errors
/// Those of the deserializer, and bytes that are no numbers.
pub fn deserialize<'de, T: PackedNumber, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_byte_buf(BytesVisitor(PhantomData))
}

struct BytesVisitor<T>(PhantomData<T>);

impl<T: PackedNumber> Visitor<'_> for BytesVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers as bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
        T::unpack(bytes).ok_or_else(|| E::custom("numbers that are cut off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_to_the_last_bit_in_few_bytes() {
        let long: Vec<f64> = (0..1000).map(|i| f64::from(i).sqrt()).collect();
        let short: Vec<f64> = (0..1000).map(f64::from).collect();
        let mut rare = vec![0.0; 1000];
        rare[7] = 0.1;
        rare[999] = -0.0;
        for (values, bytes) in [(long, 8001), (short, 4001), (rare, 9 + 2 * 12), (vec![], 1), (vec![f64::NAN; 3], 25)] {
            let packed = f64::pack(&values);
            assert!(packed.len() <= bytes, "{} bytes for {} numbers", packed.len(), values.len());
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&f64::unpack(&packed).unwrap()), bits(&values));
            for cut in 1..packed.len().min(40) {
                let _ = f64::unpack(&packed[..packed.len() - cut]);
            }
        }
        assert_eq!(u32::unpack(&u32::pack(&[1, 2, 3])), Some(vec![1, 2, 3]));
        assert_eq!(u32::unpack(&[1, 2, 3]), None);
        assert_eq!(f64::unpack(&[]), None);
        assert_eq!(f64::unpack(&[9, 1]), None);
    }
}
