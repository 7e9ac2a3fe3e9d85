//! `burn-svm init`

use super::output::in_shell;
use super::{Failure, InitArgs, LOUD};
use crate::config::draft::{self, SeenColumn};
use crate::durable::Output;
use crate::run::RunError;
use crate::visible;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(args: &InitArgs) -> Result<ExitCode, Failure> {
    let out = args.out.clone().unwrap_or_else(|| draft::name_of(&args.file));
    if !args.force {
        draft::refuse_existing(&out).map_err(RunError::from)?;
    }
    let draft = draft::draft(&args.file, args.label.as_deref()).map_err(RunError::from)?;
    draft.notes.iter().for_each(|note| LOUD.note(note));
    table(&draft.columns).iter().for_each(|line| LOUD.line(line));
    LOUD.line(&draft.summary);
    draft.warnings.iter().for_each(|warning| LOUD.warning(warning));
    let failed = |source| Failure::Output { to: out.display().to_string(), source };
    let mut file = Output::open(&out, &[(&args.file, "the data")]).map_err(failed)?;
    file.write_all(draft.text.as_bytes()).map_err(failed)?;
    file.finish().map_err(failed)?;
    if out != Path::new("-") {
        LOUD.note(&format!("{} is written. To train: burn-svm train {}", out.display(), in_shell(&out)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines of a table, a column of the data each.
fn table(columns: &[SeenColumn]) -> Vec<String> {
    if columns.is_empty() {
        return Vec::new();
    }
    let head = ["column", "holds", "missing", "values"].map(str::to_owned);
    let row = |column: &SeenColumn| {
        let ignored = column.ignored.as_ref().map_or_else(String::new, |why| format!("; left out: {why}"));
        let name = visible::short(&column.name).into_owned();
        [name, column.holds.to_owned(), column.missing.to_string(), format!("{}{ignored}", column.values)]
    };
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(columns.iter().map(row)).collect();
    let wide = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [wide(0), wide(1), wide(2)];
    let line = |[name, holds, missing, values]: &[String; 4]| {
        let [a, b, c] = widths;
        format!("{name:<a$}  {holds:<b$}  {missing:>c$}  {values}")
    };
    rows.iter().map(line).collect()
}
