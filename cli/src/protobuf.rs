//! Messages of Protocol Buffers, written field by field: ONNX and the events of TensorBoard need a handful of them.
//!
//! # References
//! Protocol Buffers, *Encoding*.

/// A message that grows field by field; fields are named by their numbers.
#[derive(Default)]
pub(crate) struct ProtobufMessage {
    bytes: Vec<u8>,
}

impl ProtobufMessage {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }

    /// A whole number.
    pub(crate) fn int(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Text, bytes or a message.
    pub(crate) fn content(mut self, field: u64, content: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(content.len() as u64);
        self.bytes.extend_from_slice(content);
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.content(field, text.as_bytes())
    }

    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.content(field, &message.bytes)
    }

    /// A double.
    pub(crate) fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A float.
    pub(crate) fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
