//! The header of an array: element, order and shape.

use crate::format::quote;

/// The kind of arrays of Python objects, which are pickled.
pub(super) const OBJECT: u8 = b'O';

/// The way to numbers from elements of a kind that is not read.
pub(super) fn conversion(descr: &str) -> &'static str {
    match descr.trim_start_matches(['<', '>', '|', '=']).as_bytes().first() {
        Some(b'M' | b'm') => "save x.astype(numpy.int64): times as whole numbers",
        Some(b'c') => "save numpy.hstack([x.real, x.imag])",
        _ => "save x.astype(numpy.float64)",
    }
}

/// A shape as Python writes it.
pub(super) fn shown(shape: &[usize]) -> String {
    format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

/// Kind, bytes and byte order (true for big-endian) of a descriptor such as `<f4`.
pub(super) fn element(descr: &str) -> Option<(u8, usize, bool)> {
    let (order, rest) = (descr.chars().next()?, descr.get(1..)?);
    let big = match order {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    if rest == "O" {
        return Some((OBJECT, 8, big));
    }
    let (kind, size) = (*rest.as_bytes().first()?, rest.get(1..)?.parse::<usize>().ok()?);
    match (kind, size) {
        (b'b', 1) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'f', 2 | 4 | 8) => Some((kind, size, big)),
        (b'U', 1..=1_000_000) => Some((kind, 4 * size, big)),
        (b'S', 1..=1_000_000) => Some((kind, size, big)),
        _ => None,
    }
}

/// Problem of a header.
pub(super) enum HeaderProblem {
    Records,
    Damaged(String),
}

/// Element, order and shape from the Python dictionary of a header.
pub(super) fn parse(header: &str) -> Result<(String, bool, Vec<usize>), HeaderProblem> {
    let after = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let at = quoted.iter().find_map(|q| header.find(q.as_str()).map(|at| at + q.len()));
        let rest = at.and_then(|at| header[at..].trim_start().strip_prefix(':'));
        rest.map(str::trim_start).ok_or_else(|| HeaderProblem::Damaged(format!("it has no {}", quote(key))))
    };
    let descr = after("descr")?;
    let mark = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let Some(mark) = mark else { return Err(HeaderProblem::Records) };
    let descr = descr[1..].split(mark).next().unwrap_or_default().to_owned();
    let fortran = after("fortran_order")?.starts_with("True");
    let inner = after("shape")?.strip_prefix('(').and_then(|s| s.split(')').next());
    let inner = inner.ok_or_else(|| HeaderProblem::Damaged("its shape is no tuple".into()))?;
    let dims = inner.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let size = |dim: &str| dim.parse().map_err(|_| HeaderProblem::Damaged(format!("its shape has {}", quote(dim))));
    Ok((descr, fortran, dims.map(size).collect::<Result<_, _>>()?))
}
