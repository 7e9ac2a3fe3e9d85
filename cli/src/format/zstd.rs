//! Zstandard streams (RFC 8878): frames one after another, skippable ones skipped, checksums held.

use std::io::{self, BufRead, Read};

/// The largest window that is kept in memory, as a power of two: what `zstd --ultra -22` asks for, and no `--long=31`.
const WINDOW: u32 = 27;

/// A reader that decompresses on the way.
///
/// # Errors
/// The memory for a decoder.
pub(super) fn reader<'a>(inner: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut decoder = ::zstd::stream::read::Decoder::with_buffer(inner)?;
    decoder.window_log_max(super::limit::get().max(1).ilog2().clamp(10, WINDOW))?;
    Ok(Box::new(decoder))
}
