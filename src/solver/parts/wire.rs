//! Messages as bytes: a mark, a checksum, and CBOR (RFC 8949) with arrays of numbers as byte strings.

use super::coordinator::Request;
use super::messages::{Answers, Contribution, HotRow, Order, Returned};
use super::part::PartVariables;
use crate::data::precision::single;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first bytes, with a version: all machines of a run have the same.
const MARK: &[u8; 8] = b"bsvm p03";
/// Bytes of the mark and the checksum.
const HEADER: usize = MARK.len() + 4;

/// Bytes that are no message of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message between parts: found {found}, expected {expected}")]
pub struct WireError {
    found: String,
    expected: &'static str,
}

/// Sizes that the messages of a run agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of columns of the rows.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
}

impl Shape {
    const fn weights(self) -> usize {
        self.n_features.saturating_add(1).saturating_mul(self.n_classes)
    }
}

/// Anything that is sent.
pub trait Message: Serialize + DeserializeOwned {
    /// Whether its parts fit each other, and a run of this shape.
    fn fits(&self, shape: Shape) -> bool;
}

impl Message for Request {
    fn fits(&self, shape: Shape) -> bool {
        let of_class = |(_, a): &Returned| a.len() == shape.n_classes;
        let all = |returned: &[Vec<Returned>]| returned.iter().flatten().all(of_class);
        match self {
            Self::Round(order, returned) => {
                let mean = order.mean.as_ref().is_none_or(|mean| mean.len() == shape.weights());
                order.weights.len() == shape.weights() && mean && all(returned)
            }
            Self::Proof(order, returned) => order.weights.len() == shape.weights() && all(returned),
            Self::Interior(order) => order.is_of(shape.n_features, shape.n_classes),
            Self::Done => true,
        }
    }
}

impl Message for Answers {
    fn fits(&self, shape: Shape) -> bool {
        match self {
            Self::Round(answers) => answers.iter().enumerate().all(|(at, answer)| {
                let Contribution { delta, offers, .. } = &answer.contribution;
                let of_class = |offer: &HotRow| offer.a.len() == shape.n_classes;
                let cells = answer.cells.as_ref();
                (delta.len() == shape.weights() || (at > 0 && delta.is_empty()))
                    && offers.iter().all(of_class)
                    && cells.map_or(0, |cells| cells.len()) == offers.len()
                    && cells.is_none_or(|cells| cells.features.n_features() == shape.n_features)
            }),
            Self::Interior(answer) => answer.is_of(shape.n_features, shape.n_classes),
            Self::Proof(proofs) => proofs.iter().all(|proof| {
                proof.sums.fits(shape.n_features, shape.n_classes) && proof.evaluation.confusion.fits(shape.n_classes)
            }),
        }
    }
}

impl Message for PartVariables {
    fn fits(&self, shape: Shape) -> bool {
        let of = |rows: usize| rows.checked_mul(shape.n_classes);
        of(self.rows.len()) == Some(self.a.len())
            && of(self.moved.len()) == Some(self.before.len())
            && self.moved.iter().all(|&at| (at as usize) < self.rows.len())
    }
}

impl Order {
    /// Rounds weights that are held in single precision to it: they then take half the bytes.
    pub fn shorten(&mut self) {
        if !self.double {
            self.weights.iter_mut().chain(self.mean.iter_mut().flatten()).for_each(|w| *w = single(*w));
        }
    }
}

impl Contribution {
    /// Rounds ΔW to single precision, for weights that are held in it.
    pub fn shorten(&mut self) {
        self.delta.iter_mut().for_each(|d| *d = single(*d));
    }
}

/// The bytes of a message.
///
/// # Errors
/// [`WireError`] where memory is short.
pub fn to_bytes(message: &impl Message) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![0; HEADER];
    let written = ciborium::into_writer(message, &mut bytes);
    written.map_err(|e| WireError { found: e.to_string(), expected: "room for it" })?;
    let sum = crc32c::crc32c(&bytes[HEADER..]);
    bytes[..MARK.len()].copy_from_slice(MARK);
    bytes[MARK.len()..HEADER].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// The message of bytes, of a run of this shape.
///
/// # Errors
/// [`WireError`] for bytes of another version, damaged ones, and those of another run.
pub fn from_bytes<M: Message>(bytes: &[u8], shape: Shape) -> Result<M, WireError> {
    let wrong = |found: &str, expected| Err(WireError { found: found.into(), expected });
    let marked = bytes.strip_prefix(MARK).and_then(<[u8]>::split_first_chunk);
    let Some((sum, content)) = marked else {
        return wrong("other bytes", "one of this version of burn-svm, which all machines are to have");
    };
    if u32::from_le_bytes(*sum) != crc32c::crc32c(content) {
        return wrong("another checksum", "the bytes that were sent");
    }
    match ciborium::from_reader::<M, _>(content) {
        Ok(message) if message.fits(shape) => Ok(message),
        Ok(_) => wrong("another number of features, classes or rows", "those of the run"),
        Err(e) => wrong(&e.to_string(), "a message"),
    }
}
