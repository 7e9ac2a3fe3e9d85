//! Zstandard streams (RFC 8878): frames one after another, skippable ones skipped, checksums held.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, ErrorKind, Read};

/// The largest window that is kept in memory: what `zstd --ultra -22` asks for, and no `--long=31`.
const WINDOW: u64 = 128 << 20;

/// Decompresses on the way.
pub(super) struct Zstd<R> {
    inner: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(inner: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW.min(super::limit::get()));
        Self { inner, decoder, in_frame: false }
    }

    /// An error at the end of the input is a stream that was cut off, whatever the decoder says of it.
    fn failed(&mut self, error: &dyn std::error::Error) -> io::Error {
        match self.inner.fill_buf() {
            Err(error) => error,
            Ok([]) => io::Error::from(ErrorKind::UnexpectedEof),
            Ok(_) => io::Error::new(ErrorKind::InvalidData, error.to_string()),
        }
    }

    /// Starts the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.inner.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.inner) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut self.inner.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::Error::from(ErrorKind::UnexpectedEof));
                    }
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the checksum does not match"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                if let Err(error) = self.decoder.decode_blocks(&mut self.inner, BlockDecodingStrategy::UptoBlocks(1)) {
                    return Err(self.failed(&error));
                }
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            self.end_frame()?;
        }
    }
}
