//! Digests that know bytes again.

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
