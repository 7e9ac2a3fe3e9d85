//! `burn-svm export`

use super::refused::model_file;
use super::{ExportArgs, Failure, LOUD};
use crate::durable::Output;
use crate::model_file;
use crate::run::RunError;
use std::io::{self, Write};
use std::process::ExitCode;

pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    let exported = crate::export::export(&model, args.to).map_err(|e| RunError::Mismatch {
        problem: format!("{}: {}", args.model.display(), e.problem),
        hint: e.hint,
    })?;
    let to = args.file.display().to_string();
    let failed = |source| Failure::Output { to: to.clone(), source };
    let mut out = Output::open(&args.file, &[(&model_file(&args.model), "the model")]).map_err(failed)?;
    match out.write_all(&exported.bytes).and_then(|()| out.finish()) {
        // The reader has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        other => other.map_err(failed)?,
    }
    exported.notes.iter().for_each(|note| LOUD.note(note));
    LOUD.line(&format!(
        "{to}: {} features, {} classes, {} bytes",
        model.n_features(),
        model.n_classes(),
        exported.bytes.len()
    ));
    Ok(ExitCode::SUCCESS)
}
