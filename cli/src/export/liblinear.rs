//! LIBLINEAR's text model, as [`crate::model::liblinear`] describes it.

use super::{Classifier, ExportError, ExportFile, affine, encoding_note, folded_note, integers};
use crate::loss::Loss;
use crate::model::LiblinearSolver;
use crate::model::Origin;
use crate::visible;
use std::fmt::Write as _;

pub(super) fn write(model: &Classifier) -> Result<ExportFile, ExportError> {
    let (weight, bias) = affine(model, "LIBLINEAR")?;
    let mut notes = folded_note(model, &bias);
    notes.extend(encoding_note(model, "LIBLINEAR"));
    let labels = labels(&model.class_names, &mut notes);
    let solver = solver(model, &mut notes);
    let has_bias = bias.iter().any(|&b| b != 0.0);
    let mut out = format!("solver_type {}\nnr_class {}\nlabel", solver.name(), labels.len());
    // Of two classes the first of the file is said where the value is above 0, so that a tie goes to our first.
    let order: Vec<usize> = if labels.len() == 2 { vec![1, 0] } else { (0..labels.len()).collect() };
    for k in order {
        let _ = write!(out, " {}", labels[k]);
    }
    let _ = write!(out, "\nnr_feature {}\nbias {}\nw\n", model.n_features(), if has_bias { 1 } else { -1 });
    let mut row = |scores: &[f64]| {
        match scores {
            // LIBLINEAR knows one value between two classes: half their difference keeps its sign, and is the second score
            // itself where the two mirror each other.
            &[first, second] => {
                let value = (second - first) / 2.0;
                let _ = write!(out, "{value:?} ");
                if solver == LiblinearSolver::McsvmCs {
                    let _ = write!(out, "{:?} ", -value);
                }
            }
            scores => {
                for w in scores {
                    let _ = write!(out, "{w:?} ");
                }
            }
        }
        out.push('\n');
    };
    weight.chunks_exact(labels.len()).for_each(&mut row);
    if has_bias {
        row(&bias);
    }
    if labels.len() == 2 {
        notes.push("two classes: LIBLINEAR's decision value is half the difference of the two scores".into());
    }
    Ok(ExportFile { bytes: out.into_bytes(), notes })
}

/// LIBLINEAR's labels are integers of 32 bits: other class names become their column numbers.
fn labels(names: &[String], notes: &mut Vec<String>) -> Vec<i32> {
    integers(names).unwrap_or_else(|| {
        const MOST: usize = 20;
        let mut mapping: Vec<String> =
            names.iter().take(MOST).enumerate().map(|(k, name)| format!("{k} {}", visible::name(name))).collect();
        if names.len() > MOST {
            mapping.push("...".into());
        }
        notes.push(format!("LIBLINEAR's labels are integers, the classes became: {}", mapping.join(", ")));
        (0..).take(names.len()).collect()
    })
}

/// The solver that minimises the model's loss. `predict` of LIBLINEAR takes the largest score for any solver.
fn solver(model: &Classifier, notes: &mut Vec<String>) -> LiblinearSolver {
    if let Origin::Liblinear(model) = &model.origin {
        return model.solver;
    }
    // At any margin: another Δ scales the weights.
    let constant = model.loss().filter(|loss| loss.margins.constant().is_some());
    let loss = constant.map(|loss| Loss { class_weights: None, ..loss.clone().margin(1.0) });
    let known = [LiblinearSolver::L2rL1lossSvcDual, LiblinearSolver::L2rL2lossSvcDual, LiblinearSolver::McsvmCs];
    match known.into_iter().find(|solver| loss.is_some() && solver.loss() == loss) {
        Some(solver) => solver,
        None => {
            let name = LiblinearSolver::McsvmCs.name();
            notes.push(format!(
                "LIBLINEAR has no solver of the model's loss: written as {name}, which predicts the same"
            ));
            LiblinearSolver::McsvmCs
        }
    }
}
