//! `burn-svm predict`

use super::layout::{ClassNumbers, Columns, PredictionWriter};
use super::refused::model_file;
use super::{Failure, LOUD, PredictArgs, PredictionLayout};
use crate::calibration::Calibrator;
use crate::durable::Output;
use crate::format::stream::{Arrived, TextStream};
use crate::format::{Column, Format, Source, Table, Wanted, read_source, read_table_for};
use crate::metric::argmax;
use crate::model::Classifier;
use crate::model_file;
use crate::run::{self, RunError};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Rows that are scored before they are written, and the scores that they may have together: 64 MB of them.
const BLOCK: usize = 8192;
const SCORES: usize = 1 << 23;

pub(super) fn run(args: &PredictArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    let calibration = calibration(args, &model)?;
    let keep: Vec<Column> = args.keep.iter().map(|name| Column::of_text(name)).collect();
    if !keep.is_empty() && args.output == PredictionLayout::Plain {
        return Err(mismatch(
            "--keep: plain lines have no columns".into(),
            "`--output csv` or `--output jsonl` has the kept columns before the prediction",
        ));
    }
    let mut wanted = run::wanted(&model);
    if args.header {
        wanted.header = Some(true);
    }
    let numbers = match (args.scores, args.probabilities) {
        (true, _) => ClassNumbers::Scores,
        (_, true) => ClassNumbers::Probabilities,
        _ => ClassNumbers::None,
    };
    let mut rows = Rows::open(args, &wanted, &keep)?;
    // The first rows are read before the output is opened, so that bad data replace no file.
    let mut arrived = rows.next(&wanted, &keep)?;
    let target = args.out.as_ref().map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
    let failed = |source| Failure::Output { to: target.clone(), source };
    let columns = Columns { kept: &args.keep, numbers, class_names: &model.class_names };
    let out = output(args).map_err(failed)?;
    let mut writer = PredictionWriter::new(out, args.output, columns).map_err(failed)?;
    let mut said = HashSet::new();
    while let Some(Arrived { table, kept }) = arrived {
        table.notes.into_iter().filter(|note| said.insert(note.clone())).for_each(|note| LOUD.note(&note));
        let features = run::conform(table.features, &model, &args.file)?;
        let all = run::all_rows(&features);
        for (block, first) in all.chunks(rows_together(&model)).zip((0..).step_by(rows_together(&model))) {
            let scores = model.scores(&features, block);
            let written = write(&mut writer, scores, calibration, &kept, first).and_then(|()| writer.flush());
            match written {
                // The reader has seen enough.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                other => other.map_err(failed)?,
            }
        }
        arrived = rows.next(&wanted, &keep)?;
    }
    match writer.into_inner().and_then(Output::finish) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(failed),
    }
}

fn mismatch(problem: String, hint: &str) -> Failure {
    Failure::Run(RunError::Mismatch { problem, hint: hint.into() })
}

fn calibration<'m>(args: &PredictArgs, model: &'m Classifier) -> Result<Option<&'m Calibrator>, Failure> {
    match (args.probabilities, model.calibration()) {
        (false, _) => Ok(None),
        (true, Some(calibration)) => Ok(Some(calibration)),
        (true, None) => Err(mismatch(
            format!("{}: the model has no probabilities, only scores", args.model.display()),
            "train it with `--set calibration.method=temperature`",
        )),
    }
}

fn output(args: &PredictArgs) -> io::Result<Output> {
    let Some(path) = &args.out else { return Ok(Output::standard()) };
    let inputs = [(model_file(&args.model), "the model"), (args.file.clone(), "the input")];
    let inputs = inputs.each_ref().map(|(path, what)| (path.as_path(), *what));
    Output::open(path, &inputs)
}

fn rows_together(model: &Classifier) -> usize {
    (SCORES / model.n_classes()).clamp(1, BLOCK)
}

/// Writes the rows of a block, the first of which has the kept cells at `first`.
fn write(
    writer: &mut PredictionWriter<'_, Output>,
    mut scores: Vec<f64>,
    calibration: Option<&Calibrator>,
    kept: &[Vec<String>],
    first: usize,
) -> io::Result<()> {
    let n_classes = writer.n_classes();
    for (row, at) in scores.chunks_exact_mut(n_classes).zip(first..) {
        // The prediction is the class of the largest score, whatever is printed behind it.
        let best = argmax(row);
        if let Some(calibration) = calibration {
            calibration.log_probabilities(row);
            row.iter_mut().for_each(|p| *p = p.exp());
        }
        writer.row(kept.iter().map(|cells| cells[at].as_str()), best, row)?;
    }
    Ok(())
}

/// Rows to predict: a whole file, or text as it arrives.
enum Rows {
    Whole(Option<Table>),
    Stream(TextStream),
}

impl Rows {
    /// Standard input is a stream where it is text; so is a file of which columns are kept.
    fn open(args: &PredictArgs, wanted: &Wanted, keep: &[Column]) -> Result<Self, Failure> {
        let (path, format) = (&args.file, args.format);
        let opened = if path == Path::new("-") {
            TextStream::open(io::stdin(), Path::new("stdin"), format)
        } else if keep.is_empty() {
            let table = read_table_for(path, format, wanted).map_err(RunError::from)?;
            return Ok(Self::Whole(Some(table)));
        } else {
            let source = Source::open(path).map_err(RunError::from)?;
            TextStream::open(source, path, format)
        };
        match opened.map_err(RunError::from)? {
            Ok(stream) => Ok(Self::Stream(stream)),
            Err(source) if keep.is_empty() => {
                let table = read_source(source, format, Some(wanted)).map_err(RunError::from)?;
                Ok(Self::Whole(Some(table)))
            }
            Err(source) => {
                let found = format.or_else(|| Format::detect(source.file(), source.head()));
                let found = found.map_or_else(|| "data".to_owned(), |format| format.to_string());
                Err(mismatch(format!("--keep: found {found}, expected csv"), "columns can be kept of csv and tsv text"))
            }
        }
    }

    fn next(&mut self, wanted: &Wanted, keep: &[Column]) -> Result<Option<Arrived>, Failure> {
        match self {
            Self::Whole(table) => Ok(table.take().map(|table| Arrived { table, kept: Vec::new() })),
            Self::Stream(stream) => Ok(stream.next(wanted, keep).map_err(RunError::from)?),
        }
    }
}
