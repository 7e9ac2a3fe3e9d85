//! `burn-svm export`

use super::{ExportArgs, Failure, LOUD};
use crate::model::Classifier;
use crate::run::RunError;
use std::process::ExitCode;

pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let model = Classifier::load(&args.model).map_err(RunError::from)?;
    let exported = model.export(args.to).map_err(|e| RunError::Mismatch {
        problem: format!("{}: {}", args.model.display(), e.problem),
        hint: e.hint,
    })?;
    let to = args.file.display().to_string();
    exported.save(&args.file).map_err(|source| Failure::Output { to: to.clone(), source })?;
    exported.notes.iter().for_each(|note| LOUD.note(note));
    LOUD.line(&format!(
        "{to}: {} features, {} classes, {} bytes",
        model.n_features(),
        model.n_classes(),
        exported.bytes.len()
    ));
    Ok(ExitCode::SUCCESS)
}
