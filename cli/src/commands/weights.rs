//! `burn-svm weights`

use super::output::number;
use super::{Failure, WeightsArgs, print, print_json};
use crate::model::Classifier;
use crate::model_file;
use crate::run::RunError;
use crate::visible;
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The largest weights of a class.
struct Ranking {
    class: usize,
    /// Features, the largest absolute weight first.
    features: Vec<usize>,
}

pub(super) fn run(args: &WeightsArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    let ranking = |class| Ranking { class, features: model.largest_weights(class, args.top.get()) };
    let rankings: Vec<Ranking> = (0..model.n_classes()).map(ranking).collect();
    if args.json {
        print_json(&as_json(&model, &rankings))?;
    } else {
        print(&text(&model, &rankings))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A table of each class: weights of preprocessed features, which can be compared, and of raw ones where these differ.
fn text(model: &Classifier, rankings: &[Ranking]) -> String {
    let k = model.n_classes();
    let raw = model.scaler.scale.is_some().then(|| model.scaled_weights().0);
    let bias = model.bias_or_zeros();
    let mut out = String::new();
    for Ranking { class, features } in rankings {
        let names: Vec<String> =
            features.iter().map(|&j| visible::short(&model.feature_name(j)).into_owned()).collect();
        let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).clamp(20, 63);
        let end = if *class == 0 { "" } else { "\n" };
        let _ =
            writeln!(out, "{end}class {}, bias {}", visible::name(&model.class_names[*class]), number(bias[*class]));
        let _ = write!(out, "{:<wide$} {:>12}", "feature", "weight");
        let _ = writeln!(out, "{}", if raw.is_some() { format!("  {:>12}", "per raw unit") } else { String::new() });
        for (&j, name) in features.iter().zip(&names) {
            let at = j * k + class;
            let per_unit = raw.as_ref().map_or_else(String::new, |raw| format!("  {:>12}", number(raw[at])));
            let _ = writeln!(out, "{name:<wide$} {:>12}{per_unit}", number(model.weight[at]));
        }
    }
    out
}

fn as_json(model: &Classifier, rankings: &[Ranking]) -> serde_json::Value {
    let (k, raw, bias) = (model.n_classes(), model.scaled_weights().0, model.bias_or_zeros());
    let of_class = |Ranking { class, features }: &Ranking| {
        let weights = features.iter().map(|&j| {
            let at = j * k + class;
            json!({ "feature": model.feature_name(j), "index": j, "weight": model.weight[at], "raw_weight": raw[at] })
        });
        json!({ "class": model.class_names[*class], "bias": bias[*class], "weights": weights.collect::<Vec<_>>() })
    };
    rankings.iter().map(of_class).collect()
}
