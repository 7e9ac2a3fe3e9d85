//! Whether the text that a model carries fits into the header of its file, asked before anything is trained.

use crate::data::Encoding;

/// Bytes that the reader of model files takes a header of.
const MOST: usize = 100_000_000;
/// Bytes of a header besides the names and the configuration, and of the numbers that each class has there: class weights, and the
/// slope and offset of a calibration.
const REST: usize = 100_000;
const A_CLASS: usize = 3 * 32;

/// Problem of a model's names and configuration that could not be read again; `None` if they could.
#[must_use]
pub fn header_problem(
    class_names: &[String],
    feature_names: &[String],
    encoding: Option<&Encoding>,
    config: &str,
) -> Option<String> {
    // Names are JSON within JSON: a quote in one is four bytes.
    let twice = |name: &String| escaped(&serde_json::to_string(name).unwrap_or_default()) + 1;
    let of = |names: &[String]| names.iter().map(twice).sum::<usize>();
    let encoding = encoding.map_or(0, |e| escaped(&serde_json::to_string(e).unwrap_or_default()));
    let names = of(class_names) + of(feature_names) + encoding;
    let bytes = names + escaped(config) + A_CLASS * class_names.len() + REST;
    (bytes > MOST).then(|| {
        format!(
            "the names of {} classes and {} columns take {names} bytes of the model file: expected at most {MOST}",
            class_names.len(),
            feature_names.len()
        )
    })
}

/// Bytes of a text as JSON.
fn escaped(text: &str) -> usize {
    serde_json::to_string(text).map_or(usize::MAX / 4, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibrator;
    use crate::data::{Center, Scale, Scaler};
    use crate::loss::{Formulation, Loss, Power};
    use crate::model::{BiasRule, Classifier, Origin, Training};

    #[test]
    fn what_is_allowed_is_read_again() {
        // Quotes and backslashes grow most.
        let (k, d) = (2_000, 30);
        let names: Vec<String> = (0..k).map(|i| format!("{i}{}", "\"\\\n".repeat(4_200))).collect();
        let class_weights = Some(vec![1.0 / 3.0; k]);
        let map = Calibrator::Platt { slope: vec![-1e-300 / 3.0; k], offset: vec![-1.0 / 3.0; k] };
        let loss = Loss { class_weights, ..Loss::new(Formulation::OneVsRest, 1.0, Power::One) };
        let config = "a = \"\\\"\"\n".repeat(90_000);
        let model = Classifier {
            weight: vec![0.0; k * d],
            bias: None,
            scaler: Scaler::default(),
            encoding: None,
            class_names: names.clone(),
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(Training {
                loss,
                lambda: 1e-3,
                n_samples: 10,
                bias: BiasRule::None,
                center: Center::None,
                scale: Scale::None,
                config: config.clone(),
                calibration: Some(map),
            }),
        };
        let bytes = model.to_bytes();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert!(header > MOST / 10 * 9, "{header} bytes");
        assert_eq!(header_problem(&names, &[], None, &config), None);
        assert_eq!(Classifier::from_bytes(&bytes, std::path::Path::new("m")).unwrap().class_names, names);
        // The estimate is at least the size written.
        let most = vec!["\"".repeat(25_000_000)];
        assert!(header_problem(&most, &[], None, "").unwrap().contains("1 classes and 0 columns take 100000"));
        assert!(header_problem(&[], &most, None, "").is_some());
    }
}
