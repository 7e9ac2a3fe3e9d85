//! Model files: those of runs and of old versions are read, damaged ones are refused in a sentence.

use crate::program::{Case, Desk, Verdict, repository};
use burn_svm::internals::model::Classifier;
use proptest::prelude::*;
use std::path::Path;

/// Four features, the classes cat, dog and owl, centred and scaled, written by format version 1; every later version must load it.
const V1: &str = "cli/tests/fixtures/model-v1.safetensors";
/// The rows that it was trained on, and its predictions for them.
const ROWS: &str = "cli/tests/fixtures/model-v1.rows";

fn v1() -> Vec<u8> {
    std::fs::read(repository(V1)).unwrap()
}

/// Labels and scores of the first rows, the scores to within a tolerance.
fn assert_scores(predicted: &str, expected: &[&str], tolerance: f64) {
    for (found, expected) in predicted.lines().zip(expected) {
        let split = |line: &str| -> (String, Vec<f64>) {
            let (label, scores) = line.split_once('\t').unwrap();
            (label.to_owned(), scores.split('\t').map(|s| s.parse().unwrap()).collect())
        };
        let ((label, scores), (expected_label, expected_scores)) = (split(found), split(expected));
        assert_eq!(label, expected_label);
        assert!(scores.iter().zip(&expected_scores).all(|(a, b)| (a - b).abs() < tolerance), "{found}\n{expected}");
    }
    assert!(predicted.lines().count() >= expected.len());
}

#[test]
fn version_1_loads_for_ever() {
    let desk = Desk::new();
    let predicted = desk.succeed(&["predict", &repository(V1), &repository(ROWS), "--scores"]).stdout;
    let expected = [
        "cat\t0.318293563\t-0.182933125\t-0.159579596",
        "cat\t0.393596269\t-0.204712401\t-0.215729718",
        "cat\t0.324812665\t-0.129742822\t-0.221547230",
        "dog\t-0.149147857\t0.349247264\t-0.222839629",
        "dog\t-0.155666958\t0.296056960\t-0.160871995",
        "dog\t-0.113595046\t0.354701236\t-0.265354013",
        "owl\t-0.133385367\t-0.230138521\t0.355835274",
        "owl\t-0.224723300\t-0.133075999\t0.351324625",
        "owl\t-0.179054333\t-0.181607260\t0.353579950",
    ];
    assert_eq!(predicted.lines().count(), expected.len());
    assert_scores(&predicted, &expected, 1e-6);
    let evaluated = desk.succeed(&["evaluate", &repository(V1), "--data", &repository(ROWS), "--json"]).stdout;
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["accuracy"], 1.0);
    let model = burn_svm_cli::model_file::load(Path::new(&repository(V1))).unwrap();
    assert_eq!((model.n_features(), model.class_names.join(" ")), (4, "cat dog owl".to_owned()));
    assert!(model.bias.is_some() && model.scaler.mean.is_some() && model.scaler.scale.is_some());
    assert!(model.training().unwrap().config.contains("[loss.crammer_singer]"));
}

#[test]
fn version_1_is_still_what_is_written() {
    let model = Classifier::from_bytes(&v1(), Path::new("v1")).unwrap();
    assert_eq!(model.to_bytes(), v1(), "a change of the format needs a new version and a fixture of its own");
}

/// The same with the exact solver, whose weights need double precision: format version 2.
const V2: &str = "cli/tests/fixtures/model-v2.safetensors";

#[test]
fn version_2_loads_for_ever_and_is_still_what_is_written() {
    let bytes = std::fs::read(repository(V2)).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"format_version\":\"2\""));
    let model = Classifier::from_bytes(&bytes, Path::new("v2")).unwrap();
    assert!(!model.scaler.double_rows);
    assert_eq!(model.to_bytes(), bytes, "a change of the format needs a new version and a fixture of its own");
    let predicted = Desk::new().succeed(&["predict", &repository(V2), &repository(ROWS), "--scores"]).stdout;
    let expected = [
        "cat\t0.3235677549639539\t-0.1704336579271586\t-0.15313409703679537",
        "cat\t0.39992520347441224\t-0.18986386716411335\t-0.21006133631029886",
        "cat\t0.33173438989443\t-0.1164246358813095\t-0.21530975401312058",
    ];
    assert_scores(&predicted, &expected, 1e-12);
}

/// Times in double precision, with mean and scale in double precision: format version 3.
const V3: &str = "cli/tests/fixtures/model-v3.safetensors";

#[test]
fn version_3_loads_for_ever_and_is_still_what_is_written() {
    let bytes = std::fs::read(repository(V3)).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"format_version\":\"3\""));
    let model = Classifier::from_bytes(&bytes, Path::new("v3")).unwrap();
    assert!(model.scaler.double_rows && model.scaler.mean.is_some() && model.scaler.scale.is_some());
    assert_eq!(model.to_bytes(), bytes, "a change of the format needs a new version and a fixture of its own");
    let rows = repository("cli/tests/fixtures/formats/times.parquet");
    let predicted = Desk::new().succeed(&["predict", &repository(V3), &rows, "--scores"]).stdout;
    let expected = [
        "c0\t1.6667325186621103\t0.666673057822904\t-2.3334060932063516",
        "c1\t-0.33335007622692836\t0.6666976077049377\t-0.3333474400608454",
        "c2\t-2.333390839642881\t0.6666923003671961\t1.6666984675153418",
    ];
    assert_scores(&predicted, &expected, 1e-12);
}

/// A table with words, missing values and times, written by format version 4; every later version must load it.
const V4: &str = "cli/tests/fixtures/model-v4.safetensors";

#[test]
fn version_4_loads_for_ever_and_is_still_what_is_written() {
    let bytes = std::fs::read(repository(V4)).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"format_version\":\"4\""));
    let model = Classifier::from_bytes(&bytes, Path::new("v4")).unwrap();
    assert_eq!(model.encoding.as_ref().map(|encoding| encoding.columns().len()), Some(4));
    assert_eq!(model.to_bytes(), bytes, "a change of the format needs a new version and a fixture of its own");
    let rows = repository("cli/tests/fixtures/model-v4.rows");
    let predicted = Desk::new().succeed(&["predict", &repository(V4), &rows, "--scores"]).stdout;
    let expected = [
        "cat\t1.1285197774746745\t0.12851977747468643\t-1.257039554949361",
        "dog\t-0.3333333333333298\t0.6666666666666635\t-0.33333333333333326",
        "cat\t1.1275518210100437\t-0.060290543133272506\t-1.0672612778767716",
        "dog\t-0.33333333333334003\t0.6666666666666606\t-0.3333333333333206",
    ];
    assert_scores(&predicted, &expected, 1e-12);
    // An encoding that does not make the features of the weights.
    let fill = br#"\"fill\":3"#;
    let at = bytes.windows(fill.len()).position(|window| window == fill).unwrap();
    let mut fewer = bytes;
    fewer[at + fill.len() - 1] = b'2';
    let error = Classifier::from_bytes(&fewer, Path::new("v4")).unwrap_err().to_string();
    assert_eq!(error, "v4: metadata `encoding` does not make the 10 features of `weight`");
}

#[test]
fn damaged_models_are_refused_in_a_sentence() {
    const HINT: &str = "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`";
    const PATH: &str = "MODEL is a run folder or its `model.safetensors`";
    let desk = Desk::new();
    let whole = v1();
    let changed = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        assert_eq!(from.len(), to.len());
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mut infinite = whole.clone();
    let end = infinite.len();
    infinite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut zero = whole.clone();
    zero[end - 4..].copy_from_slice(&0f32.to_le_bytes());
    desk.write("cut", &whole[..whole.len() / 2])
        .write("short", &whole[..5])
        .write("empty", "")
        .write("text", "not a model at all\n")
        .write("newer", changed(r#""format_version":"1""#, r#""format_version":"5""#))
        .write("foreign", changed(r#""format":"burn-svm""#, r#""format":"burn-sv!""#))
        .write("names", changed(r#"dog\",\"owl"#, "dog-----owl"))
        .write("infinite", infinite)
        .write("zero", zero)
        .write("folder/x", "");
    let mut verdict = Verdict::default();
    for (file, code, problem, hint) in [
        ("cut", 1, "cut: not a safetensors file: invalid header length", HINT),
        ("short", 1, "short: not a safetensors file: header too small", HINT),
        ("empty", 1, "empty: not a safetensors file: header too small", HINT),
        ("text", 1, "text: not a safetensors file: header too large", HINT),
        ("newer", 1, "newer: model format version `5`, expected at most 4", HINT),
        (
            "foreign",
            1,
            "foreign: a safetensors file, but not a burn-svm model (metadata `format` is not `burn-svm`)",
            HINT,
        ),
        ("names", 1, "names: tensor `weight` has shape [4, 3], expected [n_features, 2]", HINT),
        ("infinite", 1, "infinite: tensor `scale` holds NaN, expected finite numbers", HINT),
        ("zero", 1, "zero: tensor `scale` holds 0, expected divisors other than 0", HINT),
        ("none", 2, "none: No such file or directory (os error 2)", PATH),
        ("folder", 2, "folder/model.safetensors: No such file or directory (os error 2)", PATH),
    ] {
        let rows = repository(ROWS);
        for arguments in [&["predict", file, &rows][..], &["evaluate", file]] {
            let outcome = desk.run(arguments);
            verdict.hold(&Case { what: &arguments.join(" "), problem, hint }, &outcome, code);
            assert_eq!(outcome.stdout, "");
        }
    }
    verdict.assert();
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Classifier::from_bytes(&bytes, Path::new("m")).is_err());
    }

    // A model that loads can be used, with any changed byte.
    #[test]
    fn no_change_of_a_model_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(), cuts: bool) {
        let mut bytes = v1();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Classifier::from_bytes(&bytes, Path::new("m")) {
            use_it(&model);
        }
    }

    // The header is where damage hurts: digits, brackets and words of it, for others.
    #[test]
    fn no_change_of_the_header_makes_it_panic(at in any::<prop::sample::Index>(), put in "[0-9\\[\\]{}\":,a-z.-]{1,3}") {
        let mut bytes = v1();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let at = 8 + at.index(header - 3);
        bytes[at..at + put.len()].copy_from_slice(put.as_bytes());
        if let Ok(model) = Classifier::from_bytes(&bytes, Path::new("m")) {
            use_it(&model);
        }
    }
}

fn use_it(model: &Classifier) {
    let table = burn_svm_cli::format::read_table(Path::new(&repository(ROWS)), None).unwrap();
    let features = burn_svm_cli::run::conform(table.features, model, Path::new("rows")).unwrap();
    let scores = model.scores(&features, &burn_svm_cli::run::all_rows(&features));
    assert_eq!(scores.len(), features.n_rows() * model.n_classes());
    let _ = model.folded_weights();
    let _ = model.to_bytes();
}

/// A model that was fitted in code is taken by every command that takes a model.
#[test]
fn a_model_made_in_code_works_with_every_command() {
    let desk = Desk::new();
    let cell = |i: usize, j: usize| f32::from(u8::from(i % 3 == j)) + ((i * i * 31 + j * 17) % 11) as f32 / 10.0;
    let x: Vec<[f32; 3]> = (0..45).map(|i| std::array::from_fn(|j| cell(i, j))).collect();
    let labels: Vec<usize> = (0..45).map(|i| i % 3).collect();
    let line = |(row, label): (&[f32; 3], &usize)| format!("{label} 1:{} 2:{} 3:{}\n", row[0], row[1], row[2]);
    desk.write("rows.libsvm", x.iter().zip(&labels).map(line).collect::<String>());
    let svm = burn_svm::Svm::new(burn_svm::Loss::weston_watkins()).center(burn_svm::Center::Mean);
    let model = svm.calibration(burn_svm::Calibration::Temperature).fit(&x, &labels).unwrap();
    model.save(desk.path("m.safetensors")).unwrap();
    let predicted = desk.succeed(&["predict", "m.safetensors", "rows.libsvm"]).stdout;
    assert_eq!(predicted.lines().collect::<Vec<_>>(), model.predict(&x).unwrap());
    let row: Vec<f64> = (desk.succeed(&["predict", "m.safetensors", "rows.libsvm", "--probabilities"]).stdout)
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let expected = &model.probabilities(&x).unwrap()[..3];
    assert!(expected.iter().all(|p| row.iter().any(|q| (p - q).abs() < 1e-4)), "{row:?} {expected:?}");
    let measured: serde_json::Value =
        serde_json::from_str(&desk.succeed(&["evaluate", "m.safetensors", "--data", "rows.libsvm", "--json"]).stdout)
            .unwrap();
    assert_eq!(measured["accuracy"].as_f64().unwrap(), model.train_accuracy());
    let proved = desk.succeed(&["certify", "m.safetensors", "--data", "rows.libsvm", "--json"]).stdout;
    let proved: serde_json::Value = serde_json::from_str(&proved).unwrap();
    assert!((proved["objective"].as_f64().unwrap() - model.objective()).abs() <= 1e-9 * model.objective());
    assert!(proved["dual_objective"].as_f64().unwrap() <= model.objective());
    for format in ["npz", "liblinear", "onnx"] {
        desk.succeed(&["export", "m.safetensors", "--to", format, &format!("m.{format}")]);
    }
    for command in ["evaluate", "certify"] {
        let outcome = desk.run(&[command, "m.safetensors"]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("a model that was made in code does not name the data"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("with --data"), "{}", outcome.stderr);
    }
}
