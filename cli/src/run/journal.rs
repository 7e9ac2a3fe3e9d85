//! Records for those who watch a run: `metrics.jsonl`, a JSON object a line, and event files of TensorBoard.
//!
//! An event file is a sequence of records: length (u64), checksum of the length, an `Event` message, checksum of the message; checksums are
//! CRC-32C, rotated by 15 bits and shifted by a constant.
//!
//! # References
//! TensorFlow, `tensorflow/core/lib/io/record_writer.h` (format), `event.proto`, `summary.proto`.

use super::record::{RecordError, failed, lines};
use crate::durable::OwnFiles;
use crate::protobuf::ProtobufMessage;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the JSON lines.
pub(super) const JSON_LINES: &str = "metrics.jsonl";
/// Folder of the event files.
pub(super) const EVENTS: &str = "tensorboard";

/// Both records of a run.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    json_lines: crate::durable::GrowingFile,
    events: Option<(PathBuf, File)>,
}

impl Journal {
    /// Begins with the lines of a run that is resumed, or with none.
    pub(super) fn begin(made: &OwnFiles, rows: &[u8]) -> Result<Self, RecordError> {
        Ok(Self { path: made.folder().join(JSON_LINES), json_lines: lines(made, JSON_LINES, rows)?, events: None })
    }

    /// Begins an event file. Steps from `step` on that an earlier file of a resumed run has are no longer shown.
    pub(super) fn open_events(&mut self, made: &OwnFiles, step: u64) -> Result<(), RecordError> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let folder = made.folder().join(EVENTS);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let names = (seconds..).map(|number| format!("{EVENTS}/events.out.tfevents.{number}.burn-svm"));
        let mut free = { names }.skip_while(|name| made.folder().join(name).exists());
        let name = free.next().unwrap_or_default();
        let path = made.ours(&name)?;
        let file = File::options().write(true).create_new(true).open(&path).map_err(failed(&path))?;
        self.events = Some((path, file));
        // file_version 3; session_log 7: status 1, START 1.
        self.event(0, |event| event.text(3, "brain.Event:2"))?;
        self.event(step, |event| event.message(7, &ProtobufMessage::new().int(1, 1)))
    }

    /// Writes the numbers of a step; `kind` tells the lines apart.
    pub(super) fn add(&mut self, kind: &str, step: u64, row: &impl Serialize) -> Result<(), RecordError> {
        let mut line = json!({ "kind": kind, "step": step });
        if let (Some(line), Ok(Value::Object(row))) = (line.as_object_mut(), serde_json::to_value(row)) {
            line.extend(row);
        }
        self.json_lines
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.json_lines.flush())
            .map_err(failed(&self.path))?;
        let fields = line.as_object().into_iter().flatten();
        let numbers = fields.filter(|(name, _)| !["kind", "step", "epoch", "seconds"].contains(&name.as_str()));
        let values = numbers.filter_map(|(name, value)| {
            #[allow(clippy::cast_possible_truncation)]
            let value = value.as_f64()? as f32;
            // tag 1, simple_value 2.
            Some(ProtobufMessage::new().text(1, name).float(2, value))
        });
        let summary = values.fold(ProtobufMessage::new(), |summary, value| summary.message(1, &value));
        self.event(step, |event| event.message(5, &summary))
    }

    /// Writes an `Event`: wall_time 1, step 2, and what `content` adds.
    fn event(
        &mut self,
        step: u64,
        content: impl FnOnce(ProtobufMessage) -> ProtobufMessage,
    ) -> Result<(), RecordError> {
        let Some((path, file)) = &mut self.events else { return Ok(()) };
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let event = content(ProtobufMessage::new().double(1, seconds).int(2, step)).into_bytes();
        file.write_all(&record(&event)).map_err(failed(path))
    }
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), message, &checksum(message)].concat()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The event files in the folder of a run.
pub(super) fn event_files(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| name.starts_with("tensorboard/events.out.tfevents."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_that_of_tensorflow() {
        // CRC-32C of "123456789" is 0xe3069283 (RFC 3720, appendix B.4 uses the same polynomial).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let masked = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(checksum(b"123456789"), masked.to_le_bytes());
        let bytes = record(b"123456789");
        assert_eq!((bytes.len(), &bytes[..8], &bytes[12..21]), (25, &[9, 0, 0, 0, 0, 0, 0, 0][..], &b"123456789"[..]));
    }
}
