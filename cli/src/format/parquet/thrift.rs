//! Thrift's compact protocol, as much of it as Parquet's headers have. What is not asked for is skipped.
//!
//! # References
//! Apache Thrift, *Thrift compact protocol*, `doc/specs/thrift-compact-protocol.md`.

/// What is wrong with the bytes.
pub(super) type Problem = String;

/// Structures within structures; Parquet has six.
const DEEPEST: usize = 32;

/// The type of a field, as the protocol numbers it.
pub(super) type Kind = u8;
const TRUE: Kind = 1;
const FALSE: Kind = 2;
const BYTE: Kind = 3;
const I64: Kind = 6;
const DOUBLE: Kind = 7;
const BINARY: Kind = 8;
const LIST: Kind = 9;
const SET: Kind = 10;
const MAP: Kind = 11;
pub(super) const STRUCT: Kind = 12;

/// Bytes on their way through a reader.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Thrift<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that were read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let byte = *self.bytes.get(self.at).ok_or("it ends early")?;
        self.at += 1;
        Ok(byte)
    }

    fn slice(&mut self, len: u64) -> Result<&'a [u8], Problem> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let slice = end.and_then(|end| self.bytes.get(self.at..end)).ok_or("it ends early")?;
        self.at += slice.len();
        Ok(slice)
    }

    fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number has too many bytes".into())
    }

    fn zigzag(&mut self) -> Result<i64, Problem> {
        let value = self.varint()?;
        #[allow(clippy::cast_possible_wrap)]
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Calls `visit` with the number and type of each field; it reads the value or skips it.
    pub(super) fn structure(
        &mut self,
        mut visit: impl FnMut(&mut Self, i64, Kind) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut id = 0i64;
        loop {
            let header = self.byte()?;
            let kind = header & 15;
            if kind == 0 {
                return Ok(());
            }
            id = if header >> 4 == 0 { self.zigzag()? } else { id.saturating_add(i64::from(header >> 4)) };
            visit(self, id, kind)?;
        }
    }

    /// A whole number of any width.
    pub(super) fn int(&mut self, kind: Kind) -> Result<i64, Problem> {
        match kind {
            #[allow(clippy::cast_possible_wrap)]
            BYTE => Ok(i64::from(self.byte()? as i8)),
            4..=I64 => self.zigzag(),
            _ => Err(unexpected(kind, "a whole number")),
        }
    }

    /// A whole number that cannot be negative.
    pub(super) fn size(&mut self, kind: Kind) -> Result<u64, Problem> {
        let value = self.int(kind)?;
        u64::try_from(value).map_err(|_| format!("a size is {value}"))
    }

    /// True or false, which the type itself says.
    pub(super) fn bool(kind: Kind) -> Result<bool, Problem> {
        match kind {
            TRUE => Ok(true),
            FALSE => Ok(false),
            _ => Err(unexpected(kind, "true or false")),
        }
    }

    /// Text; bytes that are not UTF-8 are replaced.
    pub(super) fn text(&mut self, kind: Kind) -> Result<String, Problem> {
        if kind != BINARY {
            return Err(unexpected(kind, "text"));
        }
        let len = self.varint()?;
        Ok(String::from_utf8_lossy(self.slice(len)?).into_owned())
    }

    /// Reads a list of structures, one by one.
    pub(super) fn structures<T>(
        &mut self,
        kind: Kind,
        mut read: impl FnMut(&mut Self) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let (inner, n) = if kind == LIST { self.list()? } else { return Err(unexpected(kind, "a list")) };
        if inner != STRUCT && n > 0 {
            return Err(unexpected(inner, "structures"));
        }
        // No memory for what is promised: an element has a byte at least, and is refused where it is incomplete.
        let mut items = Vec::new();
        for _ in 0..n {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn list(&mut self) -> Result<(Kind, u64), Problem> {
        let header = self.byte()?;
        let n = if header >> 4 == 15 { self.varint()? } else { u64::from(header >> 4) };
        if n > (self.bytes.len() - self.at) as u64 {
            return Err(format!("a list of {n} elements does not fit into it"));
        }
        Ok((header & 15, n))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), Problem> {
        self.skip_to(kind, false, 0)
    }

    fn skip_to(&mut self, kind: Kind, in_list: bool, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err("its structures are too deep".into());
        }
        match kind {
            TRUE | FALSE if !in_list => {}
            TRUE | FALSE | BYTE => drop(self.byte()?),
            4..=I64 => drop(self.varint()?),
            DOUBLE => drop(self.slice(8)?),
            BINARY => {
                let len = self.varint()?;
                self.slice(len)?;
            }
            LIST | SET => {
                let (inner, n) = self.list()?;
                for _ in 0..n {
                    self.skip_to(inner, true, depth + 1)?;
                }
            }
            MAP => self.skip_map(depth)?,
            STRUCT => loop {
                let header = self.byte()?;
                if header & 15 == 0 {
                    break;
                }
                if header >> 4 == 0 {
                    self.varint()?;
                }
                self.skip_to(header & 15, false, depth + 1)?;
            },
            _ => return Err(format!("a field has the unknown type {kind}")),
        }
        Ok(())
    }

    fn skip_map(&mut self, depth: usize) -> Result<(), Problem> {
        let n = self.varint()?;
        if n == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        for _ in 0..n {
            self.skip_to(kinds >> 4, true, depth + 1)?;
            self.skip_to(kinds & 15, true, depth + 1)?;
        }
        Ok(())
    }
}

fn unexpected(kind: Kind, expected: &str) -> Problem {
    format!("a field has the type {kind}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_skipped() {
        // 1: i32 -3, 2: true, 4: "ab", 20: i64 300, 21: list of two bytes, 22: map, 23: struct with a double.
        let bytes = [
            0x15, 5, 0x11, 0x28, 2, b'a', b'b', 0x06, 40, 0xd8, 0x04, 0x19, 0x23, 7, 8, 0x1b, 1, 0x83, 1, b'k', 9,
            0x1c, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let mut seen = Vec::new();
        let mut thrift = Thrift::new(&bytes);
        thrift
            .structure(|t, id, kind| {
                seen.push(match id {
                    1 | 20 => t.int(kind)?.to_string(),
                    2 => Thrift::bool(kind)?.to_string(),
                    4 => t.text(kind)?,
                    _ => {
                        t.skip(kind)?;
                        format!("skipped {id}")
                    }
                });
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, ["-3", "true", "ab", "300", "skipped 21", "skipped 22", "skipped 23"]);
        assert_eq!(thrift.at(), bytes.len());
        for cut in 0..bytes.len() {
            assert!(Thrift::new(&bytes[..cut]).structure(|t, _, kind| t.skip(kind)).is_err(), "{cut}");
        }
    }

    #[test]
    fn absurd_lists_and_depths_are_refused() {
        let problem = |bytes: &[u8]| Thrift::new(bytes).structure(|t, _, kind| t.skip(kind)).unwrap_err();
        assert!(problem(&[0x19, 0xf3, 0xff, 0xff, 0xff, 0x7f, 0]).contains("a list of 268435455 elements"));
        assert_eq!(problem(&[0x1c; 1000]), "its structures are too deep");
        assert!(problem(&[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).contains("too many"));
        assert!(problem(&[0x1f]).contains("unknown type 15"));
        // A map of nothing but true and false costs no byte an element elsewhere: here it must end.
        assert_eq!(problem(&[0x1b, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x11]), "it ends early");
    }
}
