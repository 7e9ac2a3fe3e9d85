//! `burn-svm gradcheck`
use super::{Failure, GradcheckArgs};
use std::process::ExitCode;
pub(super) fn run(args: &GradcheckArgs) -> Result<ExitCode, Failure> {
    let _ = (args.coordinates, &args.model, args.json, args.config.overrides(None));
    Ok(ExitCode::FAILURE)
}
