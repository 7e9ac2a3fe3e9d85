use super::*;
use crate::data::{Center, Encoding, Frame, FrameColumn, ImageShape, MissingConfig, MissingRule, Scale};
use crate::loss::{Formulation, Loss, Power};
use crate::model::{BiasRule, Training};

fn sample() -> Classifier {
    Classifier {
        weight: vec![1.0, -2.0, 0.5, 0.25, 3.0, -0.125],
        bias: Some(vec![0.125, 0.25]),
        scaler: Scaler { mean: Some(vec![1.0, 2.0, 3.0]), unit_row: true, ..Scaler::default() },
        encoding: None,
        class_names: vec!["cat".into(), "dög \"x\"".into()],
        feature_names: Some(vec!["a".into(), "b".into(), "c \"d\"".into()]),
        image_shape: Some(ImageShape { channels: 1, height: 1, width: 3 }),
        origin: Origin::Trained(Training {
            loss: Loss {
                class_weights: Some(vec![1.0, 0.5]),
                ..Loss::new(Formulation::CrammerSinger, 2.0, Power::Two)
            },
            lambda: 0.1 + 0.2,
            n_samples: 7,
            bias: BiasRule::Regularised { scale: 2.0 },
            center: Center::Mean,
            scale: Scale::UnitRow,
            config: "seed = 0\n".into(),
            calibration: None,
        }),
    }
}

#[test]
fn a_model_survives_its_file_and_the_bytes_are_always_the_same() {
    let model = sample();
    let bytes = model.to_bytes();
    assert_eq!(Classifier::from_bytes(&bytes, Path::new("m")).unwrap(), model);
    assert_eq!(bytes, sample().to_bytes());
    // The crate of the format's authors reads our header.
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("weight").unwrap().shape(), [3, 2]);
}

#[test]
fn weights_are_written_in_the_precision_that_they_need() {
    let single = sample();
    let text = |model: &Classifier| String::from_utf8_lossy(&model.to_bytes()).into_owned();
    assert!(text(&single).contains("\"format_version\":\"1\"") && !text(&single).contains("F64"));
    for (weight, bias) in [(0.1, 0.5), (0.5, 0.1), (1e60, 0.5), (1e-60, 0.5)] {
        let mut model = sample();
        model.weight[3] = weight;
        model.bias = Some(vec![bias, 0.0]);
        assert!(text(&model).contains("\"format_version\":\"2\""), "{weight} {bias}");
        assert_eq!(Classifier::from_bytes(&model.to_bytes(), Path::new("m")).unwrap(), model);
    }
}

#[test]
fn preprocessing_is_written_in_the_precision_that_it_needs() {
    let version = |model: &Classifier| {
        let text = String::from_utf8_lossy(&model.to_bytes()).into_owned();
        assert_eq!(&Classifier::from_bytes(&model.to_bytes(), Path::new("m")).unwrap(), model);
        ["1", "2", "3", "4"].into_iter().find(|v| text.contains(&format!("\"format_version\":\"{v}\""))).unwrap()
    };
    let mut model = sample();
    model.scaler.mean = Some(vec![1.7e9 + 0.25, 2.0, 3.0]);
    assert_eq!(version(&model), "3");
    let mut model = sample();
    model.scaler.double_rows = true;
    assert_eq!(version(&model), "3");
    let mut model = sample();
    let frame =
        Frame::new(vec![FrameColumn::numbers("a", vec![0.1, 1.7e9 + 0.5]), FrameColumn::words("b", [Some("x"), None])]);
    let missing = MissingConfig { rule: MissingRule::Mean, indicator: true };
    model.encoding = Some(Encoding::fit(&frame.unwrap(), &[0, 1], missing).unwrap());
    assert_eq!(version(&model), "4");
    let mut model = sample();
    (model.scaler.scale, model.weight[0]) = (Some(vec![0.5, 1.0, 2.0]), 0.1);
    assert_eq!(version(&model), "2");
}

#[test]
fn a_divisor_of_zero_is_refused() {
    let mut model = sample();
    model.scaler.scale = Some(vec![1.0, 0.0, 2.0]);
    let error = Classifier::from_bytes(&model.to_bytes(), Path::new("m")).unwrap_err().to_string();
    assert_eq!(error, "m: tensor `scale` holds 0, expected divisors other than 0");
}

fn calibrated(map: Calibrator) -> Classifier {
    let mut model = sample();
    if let Origin::Trained(training) = &mut model.origin {
        training.calibration = Some(map);
    }
    model
}

#[test]
fn a_calibration_survives_the_file_and_is_checked() {
    let load = |bytes: &[u8]| Classifier::from_bytes(bytes, Path::new("m"));
    for map in [
        Calibrator::Temperature { temperature: 0.1 + 0.2 },
        Calibrator::Platt { slope: vec![1.5, -0.25], offset: vec![0.0, 1e-9] },
    ] {
        let model = calibrated(map);
        assert_eq!(load(&model.to_bytes()).unwrap(), model);
    }
    for map in
        [Calibrator::Temperature { temperature: -1.0 }, Calibrator::Platt { slope: vec![1.0; 3], offset: vec![1.0; 3] }]
    {
        let error = load(&calibrated(map).to_bytes()).unwrap_err().to_string();
        assert_eq!(error, "m: metadata `calibration` has not finite parameters for each of 2 classes");
    }
    let whole = calibrated(Calibrator::Temperature { temperature: 2.0 }).to_bytes();
    for (from, to, problem) in [
        ("version\\\":1", "version\\\":2", "m: metadata `calibration` has version 2, expected at most 1"),
        ("method\\\":\\\"temperature", "method\\\":\\\"temperatura", "unknown variant `temperatura`"),
    ] {
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = load(&bytes).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn damaged_files_are_refused_in_a_sentence() {
    let bytes = sample().to_bytes();
    for cut in [0, 7, 8, 100, bytes.len() - 1] {
        let error = Classifier::from_bytes(&bytes[..cut], Path::new("m")).unwrap_err().to_string();
        assert!(error.starts_with("m: not a safetensors file"), "{error}");
    }
    let key = b"\"format_version\":\"";
    let newer = bytes.windows(key.len()).position(|w| w == key).unwrap();
    let mut changed = bytes.clone();
    changed[newer + key.len()] = b'9';
    let error = Classifier::from_bytes(&changed, Path::new("m")).unwrap_err().to_string();
    assert_eq!(error, "m: model format version `9`, expected at most 4");
    let mut infinite = bytes.clone();
    let end = bytes.len();
    infinite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let error = Classifier::from_bytes(&infinite, Path::new("m")).unwrap_err().to_string();
    assert_eq!(error, "m: tensor `mean` holds inf, expected finite numbers");
}
