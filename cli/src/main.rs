//! The `burn-svm` program; everything it does is in its library.

use std::process::ExitCode;

/// Mesa's drivers complain on stderr, once an adapter, where a session has not set this (a server, a container).
fn quiet_drivers() {
    const RUNTIME: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(RUNTIME).is_none() {
        // SAFETY: this is the first thing the program does; there is no other thread that could read the environment.
        unsafe { std::env::set_var(RUNTIME, std::env::temp_dir()) };
    }
}

fn main() -> ExitCode {
    quiet_drivers();
    burn_svm_cli::main(std::env::args_os())
}
