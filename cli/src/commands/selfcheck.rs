//! `burn-svm selfcheck`

use super::{Failure, SelfcheckArgs, output, print, print_json};
use crate::device;
use crate::run::RunError;
use crate::run::selfcheck::{Parity, selfcheck};
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(args: &SelfcheckArgs) -> Result<ExitCode, Failure> {
    let device = device::open(args.device.unwrap_or_default()).map_err(RunError::from)?;
    let checked = device::guarded(&device, || selfcheck(&device));
    let parity = checked.map_err(|problem| RunError::Solve(crate::solver::SolveError::Device(problem)))??;
    if args.json {
        print_json(&parity)?;
    } else {
        print(&table(&parity))?;
    }
    if parity.ok {
        return Ok(ExitCode::SUCCESS);
    }
    let wrong = parity.lines.iter().filter(|line| !line.ok).count();
    output::error(
        &format!("{} disagrees with the reference in {wrong} of {} lines", parity.device, parity.lines.len()),
        Some("the driver is the usual cause: try a newer one, another backend, or `--device flex`"),
    );
    Ok(ExitCode::FAILURE)
}

fn table(parity: &Parity) -> String {
    let mut out = format!("{} against f64 on the host\n\n", parity.device);
    let _ = writeln!(out, "{:<52} {:>10} {:>10}", "", "error", "allowed");
    for line in &parity.lines {
        let mark = if line.ok { "" } else { "  WRONG" };
        let _ = writeln!(out, "{:<52} {:>10.1e} {:>10.1e}{mark}", line.what, line.error, line.tolerance);
    }
    out
}
