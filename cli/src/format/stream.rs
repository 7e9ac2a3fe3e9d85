//! Rows of csv and libsvm text as they arrive, and the text of columns that are carried along.
//!
//! A thread reads; whole records are parsed as soon as they are there, many together where they come fast. The header of a csv is put
//! before each part, so that every part is a text of its own, and positions in errors are those of the whole.

use super::columns::{ColumnRef, find};
use super::open::{ByteSource, is_text};
use super::{Complaint, DataError, Format, KeptColumn, ModelColumns, Position, Table, csv, limit, read_source};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a read, reads that may wait, and bytes that are parsed together.
const READ: usize = 1 << 16;
const WAITING: usize = 128;
const PART: usize = 8 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Text that arrives bit by bit.
pub struct TextStream {
    file: PathBuf,
    format: Format,
    arrivals: Arrivals,
    header: Option<CsvHeader>,
    lines_before: usize,
    rows_before: usize,
}

/// The header of a csv, or what stands for it.
struct CsvHeader {
    text: Vec<u8>,
    delimiter: u8,
    names: Option<Vec<String>>,
    n_columns: usize,
}

/// Bytes from a thread that reads.
struct Arrivals {
    receiver: Receiver<io::Result<Vec<u8>>>,
    pending: Vec<u8>,
    ended: bool,
}

impl Arrivals {
    fn of(mut reader: impl Read + Send + 'static) -> Self {
        let (sender, receiver): (SyncSender<io::Result<Vec<u8>>>, _) = sync_channel(WAITING);
        std::thread::spawn(move || {
            let mut buffer = vec![0; READ];
            loop {
                let arrived = match reader.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => Ok(buffer[..n].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = arrived.is_err();
                // Nobody listens any more, or there is nothing more to say.
                if sender.send(arrived).is_err() || failed {
                    return;
                }
            }
        });
        Self { receiver, pending: Vec::new(), ended: false }
    }

    /// Waits for more bytes; false at the end.
    fn wait(&mut self) -> io::Result<bool> {
        match self.receiver.recv() {
            Ok(arrived) => self.pending.extend(arrived?),
            Err(_) => self.ended = true,
        }
        while self.pending.len() < PART
            && let Ok(arrived) = self.receiver.try_recv()
        {
            self.pending.extend(arrived?);
        }
        Ok(!self.ended)
    }

    /// The end of the last whole record.
    fn whole(&self) -> Option<usize> {
        if self.ended {
            return Some(self.pending.len()).filter(|&len| len > 0);
        }
        csv::last_record_end(&self.pending)
    }
}

impl Read for Arrivals {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.is_empty() && self.wait()? {}
        let n = self.pending.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.pending[..n]);
        self.pending.drain(..n);
        Ok(n)
    }
}

impl TextStream {
    /// Whether a source may be one, by its first bytes.
    #[must_use]
    pub fn is_likely(source: &ByteSource) -> bool {
        is_text(source.head())
    }

    /// A stream of rows, or the same bytes as a source where they are no plain csv or libsvm text.
    ///
    /// # Errors
    /// The device fails, or a compression is broken.
    pub fn open(
        reader: impl Read + Send + 'static,
        file: &Path,
        format: Option<Format>,
    ) -> Result<Result<Self, ByteSource>, DataError> {
        let mut arrivals = Arrivals::of(reader);
        let failed = |error: io::Error| DataError::path(file, format!("cannot be read: {error}"));
        while arrivals.whole().is_none() && arrivals.pending.len() < READ && arrivals.wait().map_err(failed)? {}
        let head = &arrivals.pending[..arrivals.whole().unwrap_or(arrivals.pending.len())];
        let found = if is_text(head) { format.or_else(|| Format::detect(file, head)) } else { None };
        Ok(match found {
            Some(format @ (Format::Csv | Format::Libsvm)) => {
                Ok(Self { file: file.to_path_buf(), format, arrivals, header: None, lines_before: 0, rows_before: 0 })
            }
            _ => Err(ByteSource::from_reader(file, Box::new(arrivals), None)?),
        })
    }

    /// The rows that have arrived since, at least one; `None` at the end.
    ///
    /// # Errors
    /// As [`super::read_table_for`]; a kept column that is not there.
    pub fn next(&mut self, wanted: &ModelColumns) -> Result<Option<Table>, DataError> {
        let part = loop {
            match self.arrivals.whole() {
                Some(end) => {
                    let rest = self.arrivals.pending.split_off(end);
                    let part = std::mem::replace(&mut self.arrivals.pending, rest);
                    let part = self.without_header(part, wanted)?;
                    if !part.iter().all(u8::is_ascii_whitespace) {
                        break part;
                    }
                    self.lines_before += lines(&part);
                }
                None if self.arrivals.ended => return Ok(None),
                None => {
                    limit::check(&self.file, self.arrivals.pending.len() as u64)?;
                    let more = self.arrivals.wait();
                    more.map_err(|error| DataError::path(&self.file, format!("cannot be read: {error}")))?;
                }
            }
        };
        let kept = self.kept(&part, &wanted.keep)?;
        let header = self.header.as_ref();
        let text = header.map_or_else(Vec::new, |header| header.text.clone());
        let lines_of_header = lines(&text);
        let source = ByteSource::from_reader(&self.file, Box::new(Cursor::new([text, part.clone()].concat())), None)?;
        let header = header.map(|header| header.names.is_some());
        let wanted = ModelColumns { header: header.or(wanted.header), keep: Vec::new(), ..wanted.clone() };
        let table = read_source(source, Some(self.format), Some(&wanted));
        let table = table.map_err(|error| self.moved(error, lines_of_header))?;
        self.lines_before += lines(&part);
        self.rows_before += table.features.n_rows();
        Ok(Some(Table { kept, ..table }))
    }

    /// The part behind the header of the text, which is looked for once.
    fn without_header(&mut self, mut part: Vec<u8>, wanted: &ModelColumns) -> Result<Vec<u8>, DataError> {
        if self.format != Format::Csv || self.header.is_some() || part.iter().all(u8::is_ascii_whitespace) {
            return Ok(part);
        }
        if part.starts_with(BYTE_ORDER_MARK) {
            part.drain(..BYTE_ORDER_MARK.len());
        }
        let source = ByteSource::from_reader(&self.file, Box::new(Cursor::new(part.clone())), None)?;
        let head = csv::head(source, wanted)?;
        let rest = part.split_off(head.len);
        self.lines_before += lines(&part);
        let csv::CsvHead { delimiter, names, n_columns, .. } = head;
        self.header = Some(CsvHeader { text: part, delimiter, names, n_columns });
        Ok(rest)
    }

    /// The cells of the kept columns.
    fn kept(&self, part: &[u8], keep: &[ColumnRef]) -> Result<Vec<KeptColumn>, DataError> {
        if keep.is_empty() {
            return Ok(Vec::new());
        }
        let whole = |problem: String| DataError::content(&self.file, Position::File, problem);
        let Some(header) = &self.header else {
            return Err(whole("found libsvm text, which has no columns to keep".into()));
        };
        let found = keep.iter().map(|column| find(column, header.names.as_deref(), header.n_columns));
        let found: Vec<usize> =
            found.collect::<Result<_, _>>().map_err(|Complaint { problem, hint }| whole(problem).with_hint(hint))?;
        let kept = csv::cells_of(&self.file, part, header.delimiter, &found).map_err(|error| self.moved(error, 0))?;
        let names = header.names.as_ref();
        let name = |(column, at): (&ColumnRef, &usize)| names.map_or_else(|| column.name(), |names| names[*at].clone());
        let named = keep.iter().zip(&found).map(name);
        Ok(named.zip(kept).map(|(name, cells)| KeptColumn::of_text(name, cells)).collect())
    }

    /// An error of a part, at its place in the whole.
    fn moved(&self, error: DataError, lines_of_header: usize) -> DataError {
        let line = |line: usize| (line + self.lines_before).saturating_sub(lines_of_header);
        let position = match error.position {
            Position::Line(at) => Position::Line(line(at)),
            Position::LineColumn(at, column) => Position::LineColumn(line(at), column),
            Position::Record(row) => Position::Record(row + self.rows_before),
            other => other,
        };
        DataError { position, ..error }
    }
}

fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}
