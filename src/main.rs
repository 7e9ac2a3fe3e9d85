//! The `burn-svm` program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    burn_svm::cli::run()
}
