//! `burn-svm report`

use super::{Failure, LOUD, ReportArgs, print};
use std::process::ExitCode;

pub(super) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let written = crate::report::write(&args.folder)?;
    written.notes.iter().for_each(|note| LOUD.note(note));
    print(&format!("{}\n", written.file.display()))?;
    Ok(ExitCode::SUCCESS)
}
