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
    let rankings: Vec<Ranking> = (0..model.n_classes()).map(|class| ranking(&model, class, args.top.get())).collect();
    if args.json {
        print_json(&as_json(&model, &rankings))?;
    } else {
        print(&text(&model, &rankings))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ranking(model: &Classifier, class: usize, top: usize) -> Ranking {
    let size = |&j: &usize| model.weight[j * model.n_classes() + class].abs();
    let mut features: Vec<usize> = (0..model.n_features()).filter(|j| size(j) > 0.0).collect();
    features.sort_by(|a, b| size(b).total_cmp(&size(a)));
    features.truncate(top);
    Ranking { class, features }
}

/// The name of a feature, or its number from 0.
fn name(model: &Classifier, feature: usize) -> String {
    let named = model.feature_names.as_ref().map(|names| names[feature].clone());
    named.unwrap_or_else(|| format!("feature {feature}"))
}

/// A table of each class: weights of preprocessed features, which can be compared, and of raw ones where these differ.
fn text(model: &Classifier, rankings: &[Ranking]) -> String {
    let k = model.n_classes();
    let raw = model.scaler.scale.is_some().then(|| model.scaled_weights().0);
    let bias = model.bias_or_zeros();
    let mut out = String::new();
    for Ranking { class, features } in rankings {
        let names: Vec<String> = features.iter().map(|&j| visible::short(&name(model, j)).into_owned()).collect();
        let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).clamp(20, 63);
        let end = if *class == 0 { "" } else { "\n" };
        let _ =
            writeln!(out, "{end}class {}, bias {}", visible::name(&model.class_names[*class]), number(bias[*class]));
        let _ = write!(out, "{:<wide$} {:>12}", "feature", "weight");
        let _ = writeln!(out, "{}", if raw.is_some() { format!(" {:>12}", "per raw unit") } else { String::new() });
        for (&j, name) in features.iter().zip(&names) {
            let at = j * k + class;
            let per_unit = raw.as_ref().map_or_else(String::new, |raw| format!(" {:>12}", number(raw[at])));
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
            json!({ "feature": name(model, j), "index": j, "weight": model.weight[at], "raw_weight": raw[at] })
        });
        json!({ "class": model.class_names[*class], "bias": bias[*class], "weights": weights.collect::<Vec<_>>() })
    };
    rankings.iter().map(of_class).collect()
}
