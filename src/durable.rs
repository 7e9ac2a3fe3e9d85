//! Files that are whole or not there, and digests that know them again.
//!
//! A file is written under a temporary name, brought to the disk, renamed, and its folder brought to the disk: whatever happens in
//! between, power cuts included, the final name holds the old content or the new, never half of one. Imports nothing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The ending of files that are being written.
pub const PARTIAL: &str = ".partial";

/// Writes `bytes` to `file`, all or nothing.
///
/// # Errors
/// What the system says; the temporary file is removed then, and what `file` held is still there.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(file, |out| out.write_all(bytes))
}

/// Writes what `content` writes to `file`, all or nothing.
///
/// # Errors
/// As [`write()`], or what `content` returns.
pub fn write_with(file: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = PathBuf::from(partial);
    let written = (|| {
        let mut out = BufWriter::new(File::create(&partial)?);
        content(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, file)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    sync_folder_of(file)
}

/// Brings the names in the folder of `file` to the disk.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    // Windows keeps no such promise and opens no folders.
    if cfg!(unix) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder that may be written but not read cannot be opened; the file is there all the same.
        if let Ok(folder) = File::open(folder) {
            return folder.sync_all();
        }
    }
    Ok(())
}

/// An odd number without structure: the golden ratio's digits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A digest of 64 bits against damage and mistakes, not against an enemy. Equal on every machine.
///
/// `p = (h ⊕ word)·f,  h ← (p ⊕ p/2³²)·f` for each 8 bytes. Every step is a bijection of h, so that damage within one word is always
/// noticed, and any other with a chance of 2⁻⁶⁴ to be missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(FACTOR)
    }
}

impl Digest {
    /// Adds a number.
    #[inline]
    pub fn number(&mut self, word: u64) {
        let product = (self.0 ^ word).wrapping_mul(FACTOR);
        self.0 = (product ^ (product >> 32)).wrapping_mul(FACTOR);
    }

    /// Adds bytes and their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(8);
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        for word in words {
            self.number(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        self.number(u64::from_le_bytes(last));
        self.number(bytes.len() as u64);
    }

    /// Adds numbers of four bytes and how many they are.
    pub fn words(&mut self, words: impl ExactSizeIterator<Item = u32>) {
        let count = words.len() as u64;
        let mut half = None;
        for word in words {
            match half.take() {
                None => half = Some(word),
                Some(low) => self.number(u64::from(low) | u64::from(word) << 32),
            }
        }
        self.number(half.map_or(0, u64::from));
        self.number(count);
    }

    /// Sixteen hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        format!("{:016x}", self.0 ^ (self.0 >> 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        write(&file, b"old").unwrap();
        let broken = write_with(&file, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(broken.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        write(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(write(&folder.path().join("missing/a.txt"), b"x").is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_length_changes_the_digest() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest::default();
            digest.bytes(bytes);
            digest.hex()
        };
        let bytes: Vec<u8> = (0..100).collect();
        let mut seen = std::collections::BTreeSet::from([of(&bytes)]);
        for bit in 0..800 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(of(&changed)), "bit {bit}");
        }
        for len in 0..100 {
            assert!(seen.insert(of(&bytes[..len])), "{len} bytes");
            assert!(seen.insert(of(&vec![0; len + 2])), "{len} zeros and two more");
        }
        // The digest is part of files: it must not change.
        assert_eq!(of(b"burn-svm"), "39bf28c8ef65a8ee");
    }

    #[test]
    fn words_are_their_bytes_in_pairs() {
        let of = |words: &[u32]| {
            let mut digest = Digest::default();
            digest.words(words.iter().copied());
            digest.hex()
        };
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1]), of(&[1, 0]));
        assert_eq!(of(&[7, 8, 9]), of(&[7, 8, 9]));
    }
}
