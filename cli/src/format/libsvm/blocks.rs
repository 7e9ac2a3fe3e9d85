//! The whole file, in blocks of lines that are read and parsed at the same time, and cut into pieces for all cores.

use super::{IndexBase, line};
use crate::data::{Csr, LabelColumn};
use crate::format::float::Float;
use crate::format::foreign;
use crate::format::limit;
use crate::format::open::{ByteSource, looks_like};
use crate::format::{DataError, Position};
use rayon::prelude::*;
use std::path::Path;

/// Bytes that are read while the block before is parsed.
const BLOCK: u64 = 8 << 20;
/// Bytes that one task parses.
const PIECE: usize = 1 << 20;

const LINE: &str = "a line is `LABEL INDEX:VALUE INDEX:VALUE ...`";
const UNLABELLED: &str = "the first row has no label, so no row may have one";

/// The rows of some lines.
struct LineBlock<T: Clone + 'static> {
    features: Csr<'static, u32, T>,
    labels: LabelColumn,
    n_lines: usize,
}

/// Reads all rows; `labelled` says whether a row begins with a label. The base that is found is put in the place of `auto`: 1 until
/// an index 0 is seen, which moves what was read before.
pub(super) fn read<T: Float>(
    mut source: ByteSource,
    labelled: bool,
    index_base: &mut IndexBase,
) -> Result<(Csr<'static, u32, T>, LabelColumn), DataError> {
    let file = source.file().to_path_buf();
    let found = looks_like(source.head());
    begin(&mut source)?;
    let (mut features, mut labels, mut n_lines) = (Csr::with_capacity(0, 0), LabelColumn::new(), 0);
    let may_be_zero = *index_base == IndexBase::Auto;
    let mut base = u32::from(*index_base != IndexBase::Zero);
    let (mut block, mut carry) = next_block(&mut source, Vec::new())?;
    while !block.is_empty() {
        let (pieces, next) = rayon::join(
            || match parse(&block, labelled, base, n_lines, &file) {
                Err((_, true)) if may_be_zero && base == 1 => Ok((parse(&block, labelled, 0, n_lines, &file)?, 0)),
                other => other.map(|pieces| (pieces, base)),
            },
            || next_block(&mut source, std::mem::take(&mut carry)),
        );
        let (pieces, found) = pieces.map_err(|(error, _)| error)?;
        if found < base {
            features.shift();
            base = found;
        }
        for piece in pieces {
            labels.append(&piece.labels);
            n_lines += piece.n_lines;
            let bytes = bytes(&features) + bytes(&piece.features);
            limit::check(&file, bytes)?;
            features.make_room(&piece.features, limit::growth(bytes));
            features.append(&piece.features);
        }
        (block, carry) = next?;
    }
    features.shrink_to_fit();
    if features.n_rows() == 0 {
        return Err(DataError::content(
            &file,
            Position::File,
            format!("found {found} without a row, expected libsvm text"),
        ));
    }
    if features.n_features() == 0 {
        let problem = format!("found no feature in {} rows, expected `INDEX:VALUE` after the label", features.n_rows());
        return Err(DataError::content(&file, Position::File, problem).with_hint(LINE));
    }
    *index_base = if base == 0 { IndexBase::Zero } else { IndexBase::One };
    Ok((features, labels))
}

/// Bytes of rows with their labels.
fn bytes<T: Float>(rows: &Csr<'_, u32, T>) -> u64 {
    (4 + size_of::<T>() as u64) * rows.nnz() as u64 + (8 + 4) * rows.n_rows() as u64
}

/// Passes all rows on as they are read, their indices counted from `base`.
pub(super) fn visit(
    mut source: ByteSource,
    base: u32,
    take: &mut (dyn FnMut(Csr<'static>, LabelColumn) -> Result<(), DataError> + Send),
) -> Result<(), DataError> {
    let file = source.file().to_path_buf();
    begin(&mut source)?;
    let (mut parsed, mut n_lines) = (Vec::new(), 0);
    let (mut block, mut carry) = next_block(&mut source, Vec::new())?;
    let mut pass =
        |pieces: Vec<LineBlock<f32>>| pieces.into_iter().try_for_each(|piece| take(piece.features, piece.labels));
    while !block.is_empty() {
        let (pieces, next) = rayon::join(
            || parse(&block, true, base, n_lines, &file),
            || {
                pass(std::mem::take(&mut parsed))?;
                next_block(&mut source, std::mem::take(&mut carry))
            },
        );
        parsed = pieces.map_err(|(error, _)| error)?;
        n_lines += parsed.iter().map(|piece| piece.n_lines).sum::<usize>();
        (block, carry) = next?;
    }
    pass(parsed)
}

/// Refuses files that can be no libsvm text, and passes the byte order mark over.
fn begin(source: &mut ByteSource) -> Result<(), DataError> {
    if matches!(looks_like(source.head()), "an empty file" | foreign::UTF_16) {
        return Err(foreign::unexpected(source.file(), source.head(), Position::File, "libsvm text"));
    }
    if source.head().starts_with(b"\xef\xbb\xbf") {
        source.read_up_to(&mut Vec::new(), 3)?;
    }
    Ok(())
}

/// The next whole lines, and the beginning of a line after them.
fn next_block(source: &mut ByteSource, mut block: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    loop {
        let old = block.len();
        if source.read_up_to(&mut block, BLOCK)? == 0 {
            return Ok((block, Vec::new()));
        }
        if let Some(end) = memchr::memrchr(b'\n', &block[old..]) {
            let carry = block.split_off(old + end + 1);
            return Ok((block, carry));
        }
    }
}

/// Parses whole lines. An error counts from the lines before the block, so the first of them all is found in order; with it, whether
/// it is an index 0 where they count from 1.
fn parse<T: Float>(
    block: &[u8],
    labelled: bool,
    base: u32,
    lines_before: usize,
    file: &Path,
) -> Result<Vec<LineBlock<T>>, (DataError, bool)> {
    let pieces: Vec<Result<LineBlock<T>, (usize, line::LineFault)>> =
        cut(block).into_par_iter().map(|lines| parse_piece(lines, labelled, base)).collect();
    let (mut parsed, mut n_lines) = (Vec::with_capacity(pieces.len()), lines_before);
    for piece in pieces {
        let piece = piece.map_err(|(line, fault)| {
            let position = Position::LineColumn(n_lines + line, fault.at + 1);
            let hint = fault.hint.or(Some(if labelled { LINE } else { UNLABELLED })).map(str::to_owned);
            (DataError { hint, ..DataError::content(file, position, fault.problem) }, fault.is_zero)
        })?;
        n_lines += piece.n_lines;
        parsed.push(piece);
    }
    Ok(parsed)
}

/// Pieces of about [`PIECE`] bytes that end with a line.
fn cut(mut block: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while block.len() > PIECE {
        let Some(end) = memchr::memchr(b'\n', &block[PIECE..]) else { break };
        let (piece, rest) = block.split_at(PIECE + end + 1);
        pieces.push(piece);
        block = rest;
    }
    pieces.push(block);
    pieces
}

fn parse_piece<T: Float>(lines: &[u8], labelled: bool, base: u32) -> Result<LineBlock<T>, (usize, line::LineFault)> {
    let n_rows = memchr::memchr_iter(b'\n', lines).count() + 1;
    let mut features = Csr::with_capacity(n_rows, memchr::memchr_iter(b':', lines).count());
    let (mut labels, mut n_lines, mut rest) = (LabelColumn::new(), 0, lines);
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        n_lines += 1;
        line::read(&rest[..end], labelled, base, &mut features, &mut labels).map_err(|fault| (n_lines, fault))?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(LineBlock { features, labels, n_lines })
}
