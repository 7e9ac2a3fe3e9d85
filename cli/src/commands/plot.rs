//! `burn-svm plot`

use super::{Failure, LOUD, PlotArgs, print};
use std::process::ExitCode;

pub(super) fn run(args: &PlotArgs) -> Result<ExitCode, Failure> {
    let is_search = args.run.join(crate::search::table::JSON).exists();
    let draw = if is_search { crate::plot::draw_search } else { crate::plot::draw };
    let drawn = draw(&args.run, args.format)?;
    drawn.skipped.iter().for_each(|note| LOUD.note(note));
    let lines: String = drawn.files.iter().map(|f| format!("{}\n", f.display())).collect();
    print(&lines)?;
    Ok(ExitCode::SUCCESS)
}
