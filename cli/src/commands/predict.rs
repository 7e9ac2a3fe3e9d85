//! `burn-svm predict`

use super::layout::{ClassNumbers, PredictionWriter};
use super::refused::model_file;
use super::{Failure, LOUD, PredictArgs};
use crate::durable::Output;
use crate::format::read_table_for;
use crate::metric::argmax;
use crate::model_file;
use crate::run::{self, RunError};
use std::io;
use std::process::ExitCode;

/// Rows that are scored before they are written, and the scores that they may have together: 64 MB of them.
const BLOCK: usize = 8192;
const SCORES: usize = 1 << 23;

pub(super) fn run(args: &PredictArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    let calibration = match (args.probabilities, model.calibration()) {
        (false, _) => None,
        (true, Some(calibration)) => Some(calibration),
        (true, None) => {
            return Err(Failure::Run(RunError::Mismatch {
                problem: format!("{}: the model has no probabilities, only scores", args.model.display()),
                hint: "train it with `--set calibration.method=temperature` and a validation split".into(),
            }));
        }
    };
    let mut wanted = run::wanted(&model);
    if args.header {
        wanted.header = Some(true);
    }
    let table = read_table_for(&args.file, args.format, &wanted).map_err(RunError::from)?;
    table.notes.iter().for_each(|note| LOUD.note(note));
    let features = run::conform(table.features, &model, &args.file)?;
    let rows = run::all_rows(&features);
    let target = args.out.as_ref().map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
    let failed = |source| Failure::Output { to: target.clone(), source };
    let out = match &args.out {
        Some(path) => {
            let inputs = [(model_file(&args.model), "the model"), (args.file.clone(), "the input")];
            let inputs = inputs.each_ref().map(|(path, what)| (path.as_path(), *what));
            Output::open(path, &inputs).map_err(failed)?
        }
        None => Output::standard(),
    };
    let numbers = match (args.scores, args.probabilities) {
        (true, _) => ClassNumbers::Scores,
        (_, true) => ClassNumbers::Probabilities,
        _ => ClassNumbers::None,
    };
    let write = || -> io::Result<()> {
        let mut writer = PredictionWriter::new(out, args.output, numbers, &model.class_names)?;
        for block in rows.chunks((SCORES / model.n_classes()).clamp(1, BLOCK)) {
            let mut scores = model.scores(&features, block);
            for row in scores.chunks_exact_mut(model.n_classes()) {
                // The prediction is the class of the largest score, whatever is printed behind it.
                let best = argmax(row);
                if let Some(calibration) = calibration {
                    calibration.log_probabilities(row);
                    row.iter_mut().for_each(|p| *p = p.exp());
                }
                writer.row(best, row)?;
            }
            writer.flush()?;
        }
        writer.into_inner()?.finish()
    };
    match write() {
        // The reader has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(failed),
    }
}
