//! `burn-svm reference`

use super::{Failure, print};
use std::process::ExitCode;

/// `configs/reference.toml`, which the tests hold to the code.
const REFERENCE: &str = include_str!("../../assets/reference.toml");

pub(super) fn run() -> Result<ExitCode, Failure> {
    print(REFERENCE)?;
    Ok(ExitCode::SUCCESS)
}
