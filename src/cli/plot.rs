//! `burn-svm plot`

use super::{Failure, LOUD, PlotArgs, print};
use std::process::ExitCode;

pub(super) fn run(args: &PlotArgs) -> Result<ExitCode, Failure> {
    let drawn = crate::plot::draw(&args.run, args.format)?;
    drawn.skipped.iter().for_each(|note| LOUD.note(note));
    let lines: String = drawn.files.iter().map(|f| format!("{}\n", f.display())).collect();
    print(&lines)?;
    Ok(ExitCode::SUCCESS)
}
