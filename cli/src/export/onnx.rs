//! ONNX: a graph of a few operators, in the messages of `onnx.proto` that it needs.
//!
//! ```text
//! features f32 [N, n_features] → Cast to f64 → [Sub mean → Div by its length] → Gemm weight, bias → ArgMax → label i64 [N] → Gather → class string [N]
//!                                                                                        ├→ Cast to f32 → scores [N, n_classes]
//!                                                                                        └→ [the calibration → Softmax → Cast → probabilities]
//! ```
//! The graph computes in double precision between single-precision ends, so that features of any scale lose nothing and the labels
//! are those of `burn-svm predict`, on a tie the lowest index. A model of a table takes the columns as they come ([`table`]). Of a model of rows in double precision features and scores are f64, and the mean
//! is always subtracted before the product, as it is there. `label` is an index into the class names, which are in the model's metadata, `class_names`,
//! as JSON, and `class` the name itself. A model with a calibration has probabilities.
//!
//! # References
//! ONNX, `onnx.proto` of IR version 7, operators of opset 13; Protocol Buffers, *Encoding*.

mod table;

use super::{Classifier, ExportError, ExportFile, too_large};
use crate::calibration::Calibrator;
use crate::protobuf::ProtobufMessage;
use table::GraphInputs;

const IR_VERSION: u64 = 7;
const OPSET: u64 = 13;
/// That of `ai.onnx.ml`, which has the encoder of words.
const ML_OPSET: u64 = 2;
/// A protobuf message may not be larger; some room for all that is not weights.
const MOST_BYTES: usize = (1 << 31) - (1 << 24);

/// Element types of `TensorProto`.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
const STRING: u64 = 8;
const DOUBLE: u64 = 11;

/// `TensorProto` of doubles: dims 1, data_type 2, name 8, raw_data 9.
fn tensor(name: &str, dims: &[usize], values: &[f64]) -> ProtobufMessage {
    let tensor = dims.iter().fold(ProtobufMessage::new(), |m, &dim| m.int(1, dim as u64)).int(2, DOUBLE).text(8, name);
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor.content(9, &raw)
}

/// `TensorProto` of texts: dims 1, data_type 2, string_data 6, name 8.
fn text_tensor(name: &str, values: &[String]) -> ProtobufMessage {
    let tensor = ProtobufMessage::new().int(1, values.len() as u64).int(2, STRING);
    values.iter().fold(tensor, |m, value| m.text(6, value)).text(8, name)
}

/// `ValueInfoProto` of `[n_samples]` or `[n_samples, width]`: name 1, type 2; its tensor_type 1: elem_type 1, shape 2; its dim 1:
/// dim_value 1 or dim_param 2.
fn value(name: &str, elem_type: u64, width: Option<usize>) -> ProtobufMessage {
    let rows = ProtobufMessage::new().message(1, &ProtobufMessage::new().text(2, "n_samples"));
    let shape = width.into_iter().fold(rows, |m, width| m.message(1, &ProtobufMessage::new().int(1, width as u64)));
    let kind = ProtobufMessage::new().message(1, &ProtobufMessage::new().int(1, elem_type).message(2, &shape));
    ProtobufMessage::new().text(1, name).message(2, &kind)
}

/// `NodeProto`: input 1, output 2, name 3, op_type 4, attribute 5.
fn node(op_type: &str, input: &[&str], output: &str, attributes: &[ProtobufMessage]) -> ProtobufMessage {
    let node = input.iter().fold(ProtobufMessage::new(), |m, name| m.text(1, name));
    let node = node.text(2, output).text(3, &format!("{op_type}_{output}")).text(4, op_type);
    attributes.iter().fold(node, |m, attribute| m.message(5, attribute))
}

/// `AttributeProto` of one whole number: name 1, i 3, type 20 INT.
fn whole(name: &str, value: u64) -> ProtobufMessage {
    ProtobufMessage::new().text(1, name).int(3, value).int(20, 2)
}

/// Nodes and tensors of the graph.
struct Graph {
    nodes: Vec<ProtobufMessage>,
    tensors: Vec<ProtobufMessage>,
}

impl Graph {
    /// Subtracts the mean, where there is one. Gives the result's name.
    fn centred(&mut self, rows: &'static str, model: &Classifier) -> &'static str {
        let Some(mean) = &model.scaler.mean else { return rows };
        self.tensors.push(tensor("mean", &[mean.len()], mean));
        self.nodes.push(node("Sub", &[rows, "mean"], "centred", &[]));
        "centred"
    }

    /// Brings rows to unit length as `row_factor` of [`crate::data::Scaler`] does; a row of length 0 stays. Gives the result's name.
    fn unit_rows(&mut self, rows: &'static str) -> &'static str {
        self.tensors.extend([tensor("zero", &[1], &[0.0]), tensor("one", &[1], &[1.0])]);
        // axes = [1]: ints 8, type 20 INTS.
        let axes = ProtobufMessage::new().text(1, "axes").int(8, 1).int(20, 7);
        self.nodes.extend([
            node("ReduceL2", &[rows], "length", &[axes, whole("keepdims", 1)]),
            node("Equal", &["length", "zero"], "is_zero", &[]),
            node("Where", &["is_zero", "one", "length"], "divisor", &[]),
            node("Div", &[rows, "divisor"], "unit_rows", &[]),
        ]);
        "unit_rows"
    }

    /// Makes the logarithms of probabilities, up to a common term, of scores, and the probabilities of these.
    fn probabilities(&mut self, calibrator: &Calibrator, scores: &str, elem_type: u64) {
        match calibrator {
            Calibrator::Temperature { temperature } => {
                self.tensors.push(tensor("temperature", &[1], &[*temperature]));
                self.nodes.push(node("Div", &[scores, "temperature"], "logits", &[]));
            }
            // log σ(z) = min(z, 0) − log(1 + exp(−|z|)), which no z takes out of range.
            Calibrator::Platt { slope, offset } => {
                let (nought, unit) = (tensor("nought", &[1], &[0.0]), tensor("unit", &[1], &[1.0]));
                self.tensors
                    .extend([tensor("slope", &[slope.len()], slope), tensor("offset", &[offset.len()], offset)]);
                self.tensors.extend([nought, unit]);
                self.nodes.extend([
                    node("Mul", &[scores, "slope"], "sloped", &[]),
                    node("Add", &["sloped", "offset"], "z", &[]),
                    node("Min", &["z", "nought"], "z_below", &[]),
                    node("Abs", &["z"], "z_size", &[]),
                    node("Neg", &["z_size"], "z_negative", &[]),
                    node("Exp", &["z_negative"], "z_exp", &[]),
                    node("Add", &["z_exp", "unit"], "z_sum", &[]),
                    node("Log", &["z_sum"], "z_log", &[]),
                    node("Sub", &["z_below", "z_log"], "logits", &[]),
                ]);
            }
        }
        self.nodes.push(node("Softmax", &["logits"], "probabilities_f64", &[whole("axis", 1)]));
        self.nodes.push(node("Cast", &["probabilities_f64"], "probabilities", &[whole("to", elem_type)]));
    }

    /// `GraphProto`: node 1, name 2, initializer 5, input 11, output 12.
    fn message(self, inputs: &[ProtobufMessage], outputs: &[ProtobufMessage]) -> ProtobufMessage {
        let graph = self.nodes.iter().fold(ProtobufMessage::new(), |m, node| m.message(1, node)).text(2, "linear_svm");
        let graph = self.tensors.iter().fold(graph, |m, tensor| m.message(5, tensor));
        let graph = inputs.iter().fold(graph, |m, input| m.message(11, input));
        outputs.iter().fold(graph, |m, output| m.message(12, output))
    }
}

pub(super) fn write(model: &Classifier) -> Result<ExportFile, ExportError> {
    let (d, k) = (model.n_features(), model.n_classes());
    if d.saturating_mul(k).saturating_mul(8) > MOST_BYTES {
        return Err(too_large(model, "ONNX", "2 GiB"));
    }
    let mut graph = Graph { nodes: Vec::new(), tensors: Vec::new() };
    let double = model.scaler.double_rows;
    let (mut rows, scores) = ("features", if double { "scores" } else { "scores_f64" });
    let elem_type = if double { DOUBLE } else { FLOAT };
    let mut inputs = GraphInputs { messages: vec![value(rows, elem_type, Some(d))], notes: Vec::new() };
    if let Some(encoding) = &model.encoding {
        inputs = graph.encoded(encoding);
        rows = "features_f64";
    } else if !double {
        graph.nodes.push(node("Cast", &[rows], "features_f64", &[whole("to", DOUBLE)]));
        rows = "features_f64";
    }
    let (weight, bias) = match model.folded_weights().filter(|_| !double) {
        Some(folded) => folded,
        None => {
            rows = graph.centred(rows, model);
            if model.scaler.unit_row {
                rows = graph.unit_rows(rows);
            }
            model.scaled_weights()
        }
    };
    graph.tensors.extend([tensor("weight", &[d, k], &weight), tensor("bias", &[k], &bias)]);
    graph.nodes.push(node("Gemm", &[rows, "weight", "bias"], scores, &[]));
    if !double {
        graph.nodes.push(node("Cast", &[scores], "scores", &[whole("to", FLOAT)]));
    }
    graph.nodes.push(node("ArgMax", &[scores], "label", &[whole("axis", 1), whole("keepdims", 0)]));
    graph.tensors.push(text_tensor("class_names", &model.class_names));
    graph.nodes.push(node("Gather", &["class_names", "label"], "class", &[whole("axis", 0)]));
    let mut outputs =
        vec![value("scores", elem_type, Some(k)), value("label", INT64, None), value("class", STRING, None)];
    if let Some(calibrator) = model.calibration() {
        graph.probabilities(calibrator, scores, elem_type);
        outputs.push(value("probabilities", elem_type, Some(k)));
    }
    let names = serde_json::to_string(&model.class_names).unwrap_or_default();
    // `ModelProto`: ir_version 1, producer_name 2, producer_version 3, doc_string 6, graph 7, opset_import 8, metadata_props 14.
    let file = ProtobufMessage::new()
        .int(1, IR_VERSION)
        .text(2, "burn-svm")
        .text(3, env!("CARGO_PKG_VERSION"))
        .text(6, "A linear classifier: scores, the index of the largest into class_names, and its name.")
        .message(7, &graph.message(&inputs.messages, &outputs))
        .message(8, &ProtobufMessage::new().text(1, "").int(2, OPSET));
    let file = match &model.encoding {
        None => file,
        Some(encoding) => file.message(8, &ProtobufMessage::new().text(1, "ai.onnx.ml").int(2, ML_OPSET)).message(
            14,
            &ProtobufMessage::new().text(1, "encoding").text(2, &serde_json::to_string(encoding).unwrap_or_default()),
        ),
    };
    let file = file.message(14, &ProtobufMessage::new().text(1, "class_names").text(2, &names));
    Ok(ExportFile { bytes: file.into_bytes(), notes: inputs.notes })
}
