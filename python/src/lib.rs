//! The native module of the Python package `burn_svm`: the library on borrowed arrays, and the program.
//!
//! The meaning of estimators, and the checks of what users pass, are in Python (`burn_svm/`); here are the entries that it calls.
#![forbid(unsafe_code)]

mod blocks;
mod fit;
mod gradient;
mod model;
mod options;
mod parts;
mod rows;
mod supervise;

use pyo3::prelude::*;

/// The native module.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::blocks::{FolderWriter, fit_folder, folder_content, folder_totals};
    #[pymodule_export]
    use super::fit::{fit, paths};
    #[pymodule_export]
    use super::gradient::{check_gradient, gradcheck, gradient};
    #[pymodule_export]
    use super::model::NativeModel;
    #[pymodule_export]
    use super::parts::{NativePartVariables, PartsCoordinator, PartsSetting, column_sums, merge_answers, part_answer};
    #[pymodule_export]
    use super::rows::is_blurred;
    #[pymodule_export]
    use super::run_program;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Runs the program `burn-svm` with the words of a command line, the first of which is its name; its exit code.
#[pyfunction]
fn run_program(py: Python<'_>, words: Vec<std::ffi::OsString>) -> u8 {
    let code = py.detach(|| burn_svm_cli::main(words));
    (0..=u8::MAX).find(|&number| std::process::ExitCode::from(number) == code).unwrap_or(1)
}
