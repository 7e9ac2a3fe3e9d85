//! The encoding of a table in a graph: an input a column, numbers f64 and words string, `[n_samples, 1]` each.
//!
//! ```text
//! number → Sub origin → Cast to f32 or f64 → Where IsNaN fill                 (IsNaN is the indicator)
//! word   → LabelEncoder → Equal 0, 1, 2, ...                           (words of no category give zeros)
//!                                                                      all → Cast to f64 → Concat → features_f64
//! ```

use super::{DOUBLE, FLOAT, Graph, INT64, ProtobufMessage, STRING, node, tensor, value, whole};
use crate::data::Encoding;
use crate::data::encoding::Code;
use crate::format::reading::MISSING;

/// Names that the graph has for itself.
const TAKEN: [&str; 33] = [
    "features",
    "features_f64",
    "centred",
    "mean",
    "zero",
    "one",
    "length",
    "is_zero",
    "divisor",
    "unit_rows",
    "weight",
    "bias",
    "scores_f64",
    "scores",
    "label",
    "class",
    "class_names",
    "probabilities",
    "probabilities_f64",
    "logits",
    "temperature",
    "slope",
    "offset",
    "sloped",
    "nought",
    "unit",
    "z",
    "z_below",
    "z_size",
    "z_negative",
    "z_exp",
    "z_sum",
    "z_log",
];

/// The inputs of a graph that takes a table.
pub(super) struct GraphInputs {
    pub(super) messages: Vec<ProtobufMessage>,
    pub(super) notes: Vec<String>,
}

/// `AttributeProto` of texts: name 1, strings 9, type 20 STRINGS.
fn texts<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> ProtobufMessage {
    values.fold(ProtobufMessage::new().text(1, name), |m, value| m.text(9, value)).int(20, 8)
}

/// `AttributeProto` of whole numbers: name 1, ints 8, type 20 INTS.
fn wholes(name: &str, values: impl Iterator<Item = usize>) -> ProtobufMessage {
    values.fold(ProtobufMessage::new().text(1, name), |m, value| m.int(8, value as u64)).int(20, 7)
}

/// `TensorProto` of the whole numbers below `n`.
fn counting(name: &str, n: usize) -> ProtobufMessage {
    let raw: Vec<u8> = (0..n as u64).flat_map(u64::to_le_bytes).collect();
    ProtobufMessage::new().int(1, n as u64).int(2, INT64).text(8, name).content(9, &raw)
}

impl Graph {
    /// Makes `features_f64` of the columns of a table.
    pub(super) fn encoded(&mut self, encoding: &Encoding) -> GraphInputs {
        let (mut messages, mut notes, mut parts, mut names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, column) in encoding.columns().iter().enumerate() {
            let mut name = column.name.clone().unwrap_or_else(|| format!("x{}", at + 1));
            if TAKEN.contains(&name.as_str()) || names.contains(&name) {
                let own = format!("column {} {name}", at + 1);
                notes.push(format!("the input of column {name} is called {own}"));
                name = own;
            }
            names.push(name.clone());
            let elem_type = if matches!(column.code, Code::Category { .. }) { STRING } else { DOUBLE };
            messages.push(value(&name, elem_type, Some(1)));
            match &column.code {
                Code::Number { origin, fill, indicator, .. } => {
                    let elem_type = if encoding.is_double() { DOUBLE } else { FLOAT };
                    parts.extend(self.number(&name, at, elem_type, (*origin, *fill, *indicator)));
                }
                Code::Category { names, fill } => parts.push(self.category(&name, at, names, *fill)),
            }
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.nodes.push(node("Concat", &parts, "features_f64", &[whole("axis", 1)]));
        GraphInputs { messages, notes }
    }

    /// A node between names that are this column's own.
    fn step(&mut self, op_type: &str, inputs: &[&str], at: usize, attributes: &[ProtobufMessage]) -> String {
        let output = format!("burn_svm.{at}.{}.{op_type}", self.nodes.len());
        self.nodes.push(node(op_type, inputs, &output, attributes));
        output
    }

    fn constant(&mut self, at: usize, value: f64, elem_type: u64) -> String {
        let name = format!("burn_svm.{at}.{}.constant", self.tensors.len());
        self.tensors.push(tensor(&name, &[1], &[value]));
        if elem_type == DOUBLE { name } else { self.step("Cast", &[&name], at, &[whole("to", elem_type)]) }
    }

    /// Of a column of numbers in single or double precision, with its origin, its replacement of what is missing, and whether it says where.
    fn number(
        &mut self,
        name: &str,
        at: usize,
        elem_type: u64,
        (origin, fill, indicator): (f64, Option<f32>, bool),
    ) -> Vec<String> {
        let origin = self.constant(at, origin, DOUBLE);
        let shifted = self.step("Sub", &[name, &origin], at, &[]);
        let mut number = self.step("Cast", &[&shifted], at, &[whole("to", elem_type)]);
        let missing = self.step("IsNaN", &[&number], at, &[]);
        if let Some(fill) = fill {
            let fill = self.constant(at, f64::from(fill), elem_type);
            number = self.step("Where", &[&missing, &fill, &number], at, &[]);
        }
        let mut parts = vec![self.step("Cast", &[&number], at, &[whole("to", DOUBLE)])];
        if indicator {
            parts.push(self.step("Cast", &[&missing], at, &[whole("to", DOUBLE)]));
        }
        parts
    }

    fn category(&mut self, name: &str, at: usize, names: &[String], fill: Option<usize>) -> String {
        let missing = || MISSING.iter().filter(|spelling| fill.is_some() && !names.iter().any(|n| n == *spelling));
        let keys = texts("keys_strings", names.iter().map(String::as_str).chain(missing().copied()));
        let places = (0..names.len()).chain(missing().filter_map(|_| fill));
        // The number of no category: −1 as protobuf writes it.
        let none = whole("default_int64", u64::MAX);
        let output = format!("burn_svm.{at}.{}.LabelEncoder", self.nodes.len());
        let encoder = node("LabelEncoder", &[name], &output, &[keys, wholes("values_int64s", places), none]);
        // domain 7
        self.nodes.push(encoder.text(7, "ai.onnx.ml"));
        let range = format!("burn_svm.{at}.{}.range", self.tensors.len());
        let width = names.len() + usize::from(fill == Some(names.len()));
        self.tensors.push(counting(&range, width));
        let equal = self.step("Equal", &[&output, &range], at, &[]);
        self.step("Cast", &[&equal], at, &[whole("to", DOUBLE)])
    }
}
