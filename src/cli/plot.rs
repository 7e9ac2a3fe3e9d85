//! `burn-svm plot`

use super::{Failure, PlotArgs, print};
use std::process::ExitCode;

pub(super) fn run(args: &PlotArgs) -> Result<ExitCode, Failure> {
    let files = crate::plot::draw(&args.run)?;
    let lines: String = files.iter().map(|f| format!("{}\n", f.display())).collect();
    print(&lines)?;
    Ok(ExitCode::SUCCESS)
}
