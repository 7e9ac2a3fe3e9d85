//! `burn-svm predict`

use super::layout::{ClassNumbers, Columns, PredictionBlock, PredictionWriter};
use super::refused::model_file;
use super::{Failure, LOUD, PredictArgs, PredictionLayout};
use crate::calibration::Calibrator;
use crate::data::Features;
use crate::data::blocks::ReadAhead;
use crate::durable::Output;
use crate::format::stream::TextStream;
use crate::format::{BlocksConfig, ByteSource, ColumnRef, ModelColumns, Table, quote, read_source, read_table_for};
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
    check_layout(args)?;
    let mut wanted = run::model_columns(&model);
    wanted.keep = args.keep.iter().map(|name| ColumnRef::of_text(name)).collect();
    if args.header {
        wanted.header = Some(true);
    }
    let numbers = match (args.scores, args.probabilities) {
        (true, _) => ClassNumbers::Scores,
        (_, true) => ClassNumbers::Probabilities,
        _ => ClassNumbers::None,
    };
    let mut rows = PredictedRows::open(args, &wanted)?;
    // The first rows are read before the output is opened, so that bad data replace no file.
    let mut arrived = rows.next(&wanted)?;
    let target = args.out.as_ref().map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
    let failed = |source| Failure::Output { to: target.clone(), source };
    let kept = arrived.as_ref().map_or(&[][..], |table| &table.kept);
    let columns = Columns::new(kept, numbers, &model.class_names).map_err(|name| {
        let problem = format!("--keep: column {} would stand in the output twice", quote(&name));
        mismatch(problem, "give it another name in the file, or leave it out of --keep")
    })?;
    let out = output(args).map_err(failed)?;
    let mut writer = PredictionWriter::new(out, args.output, columns).map_err(failed)?;
    let mut said = HashSet::new();
    while let Some(Table { features, kept, notes, .. }) = arrived {
        notes.into_iter().filter(|note| said.insert(note.clone())).for_each(|note| LOUD.note(&note));
        let features = run::conform(features, &model, &args.file)?;
        let all = run::all_rows(&features);
        for (block, first) in all.chunks(rows_together(&model)).zip((0..).step_by(rows_together(&model))) {
            let block = predicted(model.scores(&features, block), model.n_classes(), calibration);
            let written = writer.rows(&kept, first, &block).and_then(|()| writer.flush());
            match written {
                // The reader has seen enough.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                other => other.map_err(failed)?,
            }
        }
        arrived = rows.next(&wanted)?;
    }
    match writer.into_inner().and_then(Output::finish) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).map_err(failed),
    }
}

/// Refuses options that do not go together.
fn check_layout(args: &PredictArgs) -> Result<(), Failure> {
    if !args.keep.is_empty() && args.output == PredictionLayout::Plain {
        return Err(mismatch(
            "--keep: plain lines have no columns".into(),
            "`--output csv`, `jsonl` and `parquet` have the kept columns before the prediction",
        ));
    }
    if args.output == PredictionLayout::Parquet && args.out.is_none() {
        let problem = "--output parquet: found no --out, and a terminal cannot show the file";
        return Err(mismatch(problem.into(), "`--out FILE` names it, `--out -` sends it to standard output"));
    }
    Ok(())
}

fn mismatch(problem: String, hint: &str) -> Failure {
    Failure::Run(RunError::Mismatch { problem, hint: hint.into() })
}

fn calibration<'m>(args: &PredictArgs, model: &'m Classifier) -> Result<Option<&'m Calibrator>, Failure> {
    match (args.probabilities, model.calibration()) {
        (false, _) => Ok(None),
        (true, Some(calibration)) => Ok(Some(calibration)),
        (true, None) => {
            let model = args.model.display();
            let again = match args.model.is_dir() {
                true => format!("train {model}/config.toml --set calibration.method=temperature --out {model} --force"),
                false => "train CONFIG.toml --set calibration.method=temperature".to_owned(),
            };
            Err(mismatch(
                format!("{model}: the model has no probabilities, only scores"),
                &format!("they come with a calibration: `burn-svm {again}`"),
            ))
        }
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

/// The classes of some rows, and the numbers that are printed behind them.
fn predicted(mut scores: Vec<f64>, n_classes: usize, calibration: Option<&Calibrator>) -> PredictionBlock {
    let mut classes = Vec::with_capacity(scores.len() / n_classes);
    for row in scores.chunks_exact_mut(n_classes) {
        // The prediction is the class of the largest score, whatever is printed behind it.
        classes.push(argmax(row));
        if let Some(calibration) = calibration {
            calibration.log_probabilities(row);
            row.iter_mut().for_each(|p| *p = p.exp());
        }
    }
    PredictionBlock { classes, numbers: scores }
}

/// Rows to predict: a whole file, text as it arrives, or block after block.
enum PredictedRows {
    Whole(Option<Table>),
    Stream(TextStream),
    Blocks(ReadAhead),
}

impl PredictedRows {
    /// Standard input is a stream where it is text; so is a file of text of which columns are kept.
    fn open(args: &PredictArgs, wanted: &ModelColumns) -> Result<Self, Failure> {
        let (path, format) = (&args.file, args.format);
        if BlocksConfig::is_folder(path) {
            return Ok(Self::Blocks(BlocksConfig::read_ahead(path).map_err(RunError::from)?));
        }
        let opened = if path == Path::new("-") {
            TextStream::open(io::stdin(), Path::new("stdin"), format)
        } else {
            let is_kept = !wanted.keep.is_empty() && !path.is_dir();
            let text = is_kept.then(|| ByteSource::open(path)).transpose().map_err(RunError::from)?;
            let Some(source) = text.filter(TextStream::is_likely) else {
                let table = read_table_for(path, format, wanted).map_err(RunError::from)?;
                return Ok(Self::Whole(Some(table)));
            };
            TextStream::open(source, path, format)
        };
        match opened.map_err(RunError::from)? {
            Ok(stream) => Ok(Self::Stream(stream)),
            Err(source) => {
                let table = read_source(source, format, Some(wanted)).map_err(RunError::from)?;
                Ok(Self::Whole(Some(table)))
            }
        }
    }

    fn next(&mut self, wanted: &ModelColumns) -> Result<Option<Table>, Failure> {
        match self {
            Self::Whole(table) => Ok(table.take()),
            Self::Stream(stream) => Ok(stream.next(wanted).map_err(RunError::from)?),
            Self::Blocks(blocks) => {
                let block = blocks.next().transpose().map_err(|error| RunError::Data(error.into()))?;
                let single = |features: Features<'static>| if wanted.double { features } else { features.in_single() };
                Ok(block.map(|(_, block)| Table::of(single(block.features))))
            }
        }
    }
}
