//! `burn-svm predict`

use super::{Failure, PredictArgs};
use crate::data::format::read_table;
use crate::metric::argmax;
use crate::model::Classifier;
use crate::run::{self, RunError};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Rows that are scored before they are written.
const BLOCK: usize = 8192;

pub(super) fn run(args: &PredictArgs) -> Result<ExitCode, Failure> {
    let model = Classifier::load(&args.model).map_err(RunError::from)?;
    let table = read_table(&args.file, args.format).map_err(RunError::from)?;
    let features = run::conform(table.features, &model, &args.file)?;
    let rows = run::all_rows(&features);
    let target = args.out.as_ref().map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
    let failed = |source| Failure::Output { to: target.clone(), source };
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(BufWriter::new(File::create(path).map_err(failed)?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    for block in rows.chunks(BLOCK) {
        let scores = model.scores(&features, block);
        for row in scores.chunks_exact(model.n_classes()) {
            match write_row(&mut out, &model, row, args.scores) {
                // The reader has seen enough.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                other => other.map_err(failed)?,
            }
        }
    }
    match out.flush() {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(failed),
    }
}

fn write_row(out: &mut dyn Write, model: &Classifier, scores: &[f64], with_scores: bool) -> io::Result<()> {
    out.write_all(model.class_names[argmax(scores)].as_bytes())?;
    if with_scores {
        for s in scores {
            write!(out, "\t{s}")?;
        }
    }
    out.write_all(b"\n")
}
