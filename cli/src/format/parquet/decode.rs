//! The encodings of values within a page, and of the levels that say which cells are there.

use super::kind::Store;
use super::thrift::Problem;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA_BINARY: i64 = 5;
const DELTA_LENGTH: i64 = 6;
const DELTA_BYTES: i64 = 7;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;

/// True for values that are positions in a dictionary.
pub(super) const fn is_dictionary(encoding: i64) -> bool {
    matches!(encoding, PLAIN_DICTIONARY | RLE_DICTIONARY)
}

fn short() -> Problem {
    "a page ends within its values".into()
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), Problem> {
    bytes.split_at_checked(at).ok_or_else(short)
}

/// Passes `n` values, as their bytes, to `sink`.
pub(super) fn values<E: From<Problem>>(
    encoding: i64,
    store: Store,
    bytes: &[u8],
    n: usize,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    match (encoding, store) {
        (PLAIN | PLAIN_DICTIONARY, Store::Fixed(width)) => {
            let len = n.checked_mul(width).ok_or_else(short)?;
            split(bytes, len)?.0.chunks_exact(width).try_for_each(sink)
        }
        (PLAIN | PLAIN_DICTIONARY, Store::Variable) => {
            let mut rest = bytes;
            for _ in 0..n {
                let (len, tail) = rest.split_first_chunk().ok_or_else(short)?;
                let (value, tail) = split(tail, u32::from_le_bytes(*len) as usize)?;
                sink(value)?;
                rest = tail;
            }
            Ok(())
        }
        (PLAIN, Store::Bits) => {
            let bytes = split(bytes, n.div_ceil(8))?.0;
            (0..n).try_for_each(|i| sink(&[bytes[i / 8] >> (i % 8) & 1]))
        }
        (RLE, Store::Bits) => {
            let (len, rest) = bytes.split_first_chunk().ok_or_else(short)?;
            let runs = split(rest, u32::from_le_bytes(*len) as usize)?.0;
            hybrid(runs, 1, n, |value, count| (0..count).try_for_each(|_| sink(&[u8::from(value != 0)])))
        }
        (BYTE_STREAM_SPLIT, Store::Fixed(width)) => {
            let streams = split(bytes, n.checked_mul(width).ok_or_else(short)?)?.0;
            let mut value = vec![0; width];
            (0..n).try_for_each(|i| {
                value.iter_mut().zip(streams[i..].iter().step_by(n)).for_each(|(to, from)| *to = *from);
                sink(&value)
            })
        }
        (DELTA_BINARY, Store::Fixed(width @ (4 | 8))) => {
            let mut deltas = Deltas::new(bytes, n)?;
            (0..n).try_for_each(|_| sink(&deltas.next()?.to_le_bytes()[..width]))
        }
        (DELTA_LENGTH, Store::Variable) => {
            let (lengths, mut rest) = lengths(bytes, n)?;
            for len in lengths {
                let (value, tail) = split(rest, len)?;
                sink(value)?;
                rest = tail;
            }
            Ok(())
        }
        (DELTA_BYTES, Store::Variable | Store::Fixed(_)) => prefixed(bytes, n, store, sink),
        _ => Err(E::from(format!("values have the encoding {encoding}, which does not fit their type"))),
    }
}

/// Values that share their beginning with the one before: lengths of what is shared, then of what follows, then that.
fn prefixed<E: From<Problem>>(
    bytes: &[u8],
    n: usize,
    store: Store,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (shared, rest) = lengths(bytes, n)?;
    let (own, mut rest) = lengths(rest, n)?;
    let mut value = Vec::new();
    for (shared, own) in shared.into_iter().zip(own) {
        let (suffix, tail) = split(rest, own)?;
        if shared > value.len() {
            return Err(E::from("a value shares more with the one before than that has".into()));
        }
        value.truncate(shared);
        value.extend_from_slice(suffix);
        if let Store::Fixed(width) = store
            && value.len() != width
        {
            return Err(E::from(format!("a value has {} bytes, expected {width}", value.len())));
        }
        sink(&value)?;
        rest = tail;
    }
    Ok(())
}

/// Positions in a dictionary: their bits in one byte, then runs.
pub(super) fn positions<E: From<Problem>>(
    bytes: &[u8],
    n: usize,
    mut sink: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let Some((&bits, runs)) = bytes.split_first() else {
        return if n == 0 { Ok(()) } else { Err(E::from(short())) };
    };
    if bits > 32 {
        return Err(E::from(format!("positions in a dictionary have {bits} bits")));
    }
    hybrid(runs, bits, n, |value, count| sink(value as usize, count))
}

/// The first of `n` cells that is missing, by levels of one bit.
pub(super) fn first_missing(runs: &[u8], n: usize) -> Result<Option<usize>, Problem> {
    let (mut at, mut missing) = (0, None);
    hybrid(runs, 1, n, |value, count| {
        if value == 0 && missing.is_none() {
            missing = Some(at);
        }
        at += count;
        Ok::<_, Problem>(())
    })?;
    Ok(missing)
}

/// Runs of equal values and groups of eight packed ones, `n` values in all: passes each value and how often it comes.
fn hybrid<E: From<Problem>>(
    mut bytes: &[u8],
    bits: u8,
    n: usize,
    mut sink: impl FnMut(u32, usize) -> Result<(), E>,
) -> Result<(), E> {
    let (width, mut left) = (usize::from(bits), n);
    while left > 0 {
        let header = varint(&mut bytes)?;
        let count = usize::try_from(header >> 1).map_err(|_| short())?;
        if count == 0 {
            return Err(E::from("a run has no values".into()));
        }
        if header & 1 == 0 {
            let (value, rest) = split(bytes, width.div_ceil(8))?;
            let value = value.iter().rev().fold(0, |value, &byte| (value << 8) | u32::from(byte));
            let count = count.min(left);
            sink(value, count)?;
            (bytes, left) = (rest, left - count);
            continue;
        }
        // The last group may be cut off where its values are.
        let here = count.saturating_mul(8).min(left);
        let packed = split(bytes, (here * width).div_ceil(8))?.0;
        (0..here).try_for_each(|i| sink(unpack(packed, i * width, width), 1))?;
        bytes = &bytes[count.saturating_mul(width).min(bytes.len())..];
        left -= here;
    }
    Ok(())
}

/// The number of `width` bits, 32 at most, at a bit.
#[allow(clippy::cast_possible_truncation)]
#[inline]
fn unpack(bytes: &[u8], bit: usize, width: usize) -> u32 {
    match bytes.get(bit / 8..).and_then(<[u8]>::first_chunk) {
        Some(window) => (u64::from_le_bytes(*window) >> (bit % 8) & ((1 << width) - 1)) as u32,
        None => unpack_wide(bytes, bit, width) as u32,
    }
}

#[inline]
fn unpack_wide(bytes: &[u8], bit: usize, width: usize) -> u64 {
    let (at, shift) = (bit / 8, bit % 8);
    let mut window = [0; 16];
    let len = (bytes.len() - at.min(bytes.len())).min(16);
    window[..len].copy_from_slice(&bytes[at..at + len]);
    let value = u128::from_le_bytes(window) >> shift;
    #[allow(clippy::cast_possible_truncation)]
    let low = value as u64;
    if width >= 64 { low } else { low & ((1 << width) - 1) }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Problem> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(short)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number has too many bytes".into())
}

#[allow(clippy::cast_possible_wrap)]
fn zigzag(bytes: &mut &[u8]) -> Result<i64, Problem> {
    let value = varint(bytes)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// `n` lengths, and the bytes behind them.
fn lengths(bytes: &[u8], n: usize) -> Result<(Vec<usize>, &[u8]), Problem> {
    let mut deltas = Deltas::new(bytes, n)?;
    if deltas.n != n {
        return Err(format!("a page has {} lengths for {n} values", deltas.n));
    }
    let mut lengths = Vec::new();
    for _ in 0..n {
        let len = usize::try_from(deltas.next()?).map_err(|_| "a length is negative")?;
        lengths.push(len);
    }
    Ok((lengths, deltas.bytes))
}

/// Whole numbers by their differences, packed in blocks of miniblocks, each with bits of its own.
struct Deltas<'a> {
    bytes: &'a [u8],
    value: i64,
    first: bool,
    /// Values that are still to come.
    n: usize,
    per_miniblock: usize,
    n_miniblocks: usize,
    least: i64,
    /// Of the miniblocks of this block that are still to come.
    widths: &'a [u8],
    packed: &'a [u8],
    width: usize,
    at: usize,
}

impl<'a> Deltas<'a> {
    fn new(mut bytes: &'a [u8], n: usize) -> Result<Self, Problem> {
        let (block, miniblocks) = (varint(&mut bytes)?, varint(&mut bytes)?);
        let total = varint(&mut bytes)?;
        let value = zigzag(&mut bytes)?;
        let sizes = usize::try_from(block).ok().zip(usize::try_from(miniblocks).ok());
        let Some((block, n_miniblocks)) = sizes.filter(|&(b, m)| m > 0 && b > 0 && b % m == 0 && b <= 1 << 20) else {
            return Err("blocks of differences have an impossible size".into());
        };
        if total < n as u64 {
            return Err(short());
        }
        let per_miniblock = block / n_miniblocks;
        let none: &[u8] = &[];
        Ok(Self {
            bytes,
            value,
            first: true,
            n: usize::try_from(total).unwrap_or(usize::MAX),
            per_miniblock,
            n_miniblocks,
            least: 0,
            widths: none,
            packed: none,
            width: 0,
            at: per_miniblock,
        })
    }

    fn next(&mut self) -> Result<i64, Problem> {
        self.n = self.n.checked_sub(1).ok_or_else(short)?;
        if std::mem::take(&mut self.first) {
            return Ok(self.value);
        }
        if self.at == self.per_miniblock {
            self.miniblock()?;
        }
        let delta = unpack_wide(self.packed, self.at * self.width, self.width).cast_signed();
        self.at += 1;
        self.value = self.value.wrapping_add(self.least).wrapping_add(delta);
        Ok(self.value)
    }

    fn miniblock(&mut self) -> Result<(), Problem> {
        if self.widths.is_empty() {
            self.least = zigzag(&mut self.bytes)?;
            (self.widths, self.bytes) = split(self.bytes, self.n_miniblocks)?;
        }
        let (&width, widths) = self.widths.split_first().ok_or_else(short)?;
        if width > 64 {
            return Err(format!("differences have {width} bits"));
        }
        (self.widths, self.width, self.at) = (widths, usize::from(width), 0);
        (self.packed, self.bytes) = split(self.bytes, (self.per_miniblock * self.width).div_ceil(8))?;
        Ok(())
    }
}
