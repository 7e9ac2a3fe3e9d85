//! Whether a run fits into memory: asked before it takes any, because a system that has none left ends a program without a word.
//!
//! The estimate counts only memory that is certainly held at one time: a run that is refused cannot succeed.

use crate::calibration::Calibration;
use crate::config::RunConfig;
use crate::data::Features;
use crate::format::{Complaint, limit};
use crate::solver::newton::{NewtonConfig, NewtonMethod};
use crate::solver::sgd::sampler::Sampling;
use crate::solver::{DualConfig, LbfgsConfig, SolverConfig, used_columns};

/// A part of a run, and its memory in bytes.
struct Need {
    what: String,
    bytes: f64,
}

/// Refuses a request, besides the data and the model, that does not fit into memory.
///
/// # Errors
/// [`Complaint`] when `bytes` are not free.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn afford(what: &str, bytes: f64, hint: &str) -> Result<(), Complaint> {
    match free() {
        Some(free) if bytes > free as f64 => {
            let (needed, free) = (size(bytes), size(free as f64));
            Err(Complaint::new(format!("{what} need at least {needed} of memory, but {free} are free"), hint))
        }
        _ => Ok(()),
    }
}

/// Size of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunSize {
    /// Training rows.
    pub rows: usize,
    pub classes: usize,
    /// Validation rows.
    pub validation: usize,
}

/// Refuses a run that does not fit into memory.
pub(super) fn check(run: &RunConfig, features: &Features, asked: RunSize) -> Result<(), Complaint> {
    match free() {
        Some(free) => fits(&needs(run, features, asked), free),
        None => Ok(()),
    }
}

/// Bytes that training takes at least, besides the rows.
pub(super) fn forecast(run: &RunConfig, features: &Features, asked: RunSize) -> f64 {
    needs(run, features, asked).iter().map(|need| need.bytes).sum()
}

#[allow(clippy::cast_precision_loss)]
fn fits(needs: &[Need], free: u64) -> Result<(), Complaint> {
    let total: f64 = needs.iter().map(|need| need.bytes).sum();
    if total <= free as f64 {
        return Ok(());
    }
    let parts: Vec<String> = needs.iter().map(|need| format!("{} for {}", size(need.bytes), need.what)).collect();
    Err(Complaint::new(
        format!(
            "training needs at least {} of memory ({}), but {} are free",
            size(total),
            parts.join(", "),
            size(free as f64)
        ),
        "feature numbers far beyond the number of features are the usual cause; or fewer classes, smaller batches, another solver",
    ))
}

fn size(bytes: f64) -> String {
    if bytes >= 1e9 { format!("{:.1} GB", bytes / 1e9) } else { format!("{:.0} MB", (bytes / 1e6).ceil()) }
}

/// Bytes that are held at the peak, as measured: those of `sparse_peaks_are_forecast` of the program's tests.
struct PeakBytes {
    a_weight: f64,
    a_feature: f64,
}

/// The exact solver over sparse rows: the weights in single precision and padded, those of the best point, of the proof and of the fit in
/// double, the norms of the columns.
const SPARSE: PeakBytes = PeakBytes { a_weight: 18.0, a_feature: 50.0 };
/// Features of a model that no row has: a weight in double precision and one in the bytes of the file, the place of the feature.
const MODEL: PeakBytes = PeakBytes { a_weight: 12.0, a_feature: 8.0 };

/// Bytes that a dual variable takes: in ascent, in the proximal method, and with the slacks of the interior point method.
const VARIABLE: f64 = 8.0;
const PROXIMAL: f64 = 48.0;
const INTERIOR: f64 = 96.0;

/// Bytes that a solver of dual variables holds of each row beside the row itself.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn of_row(solver: &SolverConfig, (n_features, n_classes): (usize, usize)) -> u64 {
    let (d, k) = (n_features as f64, n_classes as f64);
    let bytes = match solver {
        SolverConfig::Dual(_) => k * VARIABLE,
        SolverConfig::Newton(NewtonConfig { method: NewtonMethod::InteriorPoint, .. }) => k * INTERIOR + d * 8.0,
        SolverConfig::Newton(_) => k * PROXIMAL,
        SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_) => 0.0,
    };
    bytes as u64
}

#[allow(clippy::cast_precision_loss)]
fn needs(run: &RunConfig, features: &Features, asked: RunSize) -> Vec<Need> {
    let (n, k) = (asked.rows as f64, asked.classes as f64);
    let dense = !matches!(features, Features::Sparse(_));
    // Solvers but SGD leave features out that do not occur; the model has them all.
    let solved = match run.solver {
        SolverConfig::Sgd(_) => None,
        _ => used_columns(features, asked.classes).map(|used| used.len()),
    };
    let d = solved.unwrap_or(features.n_features()) as f64;
    let model = solved.map(|_| {
        let weights = features.n_features() as f64 * k;
        let bytes = MODEL.a_weight * weights + MODEL.a_feature * features.n_features() as f64;
        Need { what: format!("{weights} weights of the model and its file"), bytes }
    });
    let weights = |bytes: f64, copies: f64| Need {
        what: format!("{} weights, held {copies} times in {bytes} bytes", d * k),
        bytes: d * k * bytes * copies,
    };
    // Of rows in double precision these solvers see a copy.
    let copy = matches!((features, &run.solver), (Features::F64(_), SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_)));
    let copy = copy.then(|| Need {
        what: format!("{} rows in single precision", features.n_rows()),
        bytes: features.n_rows() as f64 * d * 4.0,
    });
    let mut needs = match &run.solver {
        SolverConfig::Sgd(config) => {
            // A permutation is dealt out, so that a batch has no more rows than there are.
            let rows = match config.sampling {
                Sampling::Shuffle => (config.batch_size.get() as f64).min(n),
                Sampling::WithReplacement => config.batch_size.get() as f64,
            };
            // Weights, gradient, the updated weights, and the optimiser's state.
            let mut needs = vec![weights(4.0, 3.0 + f64::from(config.optimizer.states()))];
            if dense {
                needs.push(Need { what: format!("a batch of {rows} rows"), bytes: rows * d * 4.0 });
            }
            needs
        }
        SolverConfig::Dual(DualConfig { .. }) => {
            let variables = Need { what: format!("{} dual variables", n * k), bytes: n * k * VARIABLE };
            match features {
                Features::Sparse(csr) => {
                    let bytes = SPARSE.a_weight * d * k + SPARSE.a_feature * d;
                    let what = format!("{} weights, held in {} bytes, and their proof", d * k, SPARSE.a_weight);
                    let cells = Need { what: format!("{} cells once more", csr.nnz()), bytes: csr.nnz() as f64 * 8.0 };
                    vec![Need { what, bytes }, cells, variables]
                }
                // In single precision, and the best so far in double.
                _ => vec![weights(4.0, 3.0), variables],
            }
        }
        // The interior point method, if that is chosen by price, has its own limit of a gibibyte.
        SolverConfig::Newton(NewtonConfig { method: NewtonMethod::Auto | NewtonMethod::Proximal, .. }) => {
            let variables = Need { what: format!("{} dual variables, held 6 times", n * k), bytes: n * k * PROXIMAL };
            vec![weights(8.0, 12.0), variables]
        }
        SolverConfig::Newton(_) => {
            let variables =
                Need { what: format!("{} dual variables with their slacks", n * k), bytes: n * k * INTERIOR };
            vec![
                weights(8.0, 6.0),
                variables,
                Need { what: format!("{n} rows in double precision"), bytes: n * d * 8.0 },
            ]
        }
        SolverConfig::Lbfgs(LbfgsConfig { memory, .. }) => vec![weights(8.0, 3.0 + 2.0 * memory.get() as f64)],
    };
    needs.extend(copy);
    needs.extend(model);
    if run.calibration.method != Calibration::None {
        let scores = asked.validation as f64 * k;
        needs.push(Need { what: format!("{scores} scores of validation rows to calibrate on"), bytes: scores * 8.0 });
    }
    needs
}

/// Bytes that this process may still take, and no more than `--memory`; `None` where the system does not say and nothing was set.
fn free() -> Option<u64> {
    [limit::Memory::look().free, limit::asked()].into_iter().flatten().min()
}

/// The largest resident memory of this process so far, in bytes; `None` where the system does not say.
#[must_use]
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadedConfig;
    use crate::data::Csr;
    use std::path::Path;

    fn sparse(n_features: usize) -> Features<'static> {
        Features::Sparse(Csr::new(n_features))
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_estimate() {
        let config = |solver: &str| {
            let text = format!("[data.digits]\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\npower = 2\n{solver}");
            LoadedConfig::parse(&text, Path::new("x"), &[]).unwrap().run
        };
        let asked = RunSize { rows: 1_000, classes: 10, validation: 200 };
        let total = |solver: &str, d: usize| {
            needs(&config(solver), &sparse(d), asked).iter().map(|need| need.bytes).sum::<f64>()
        };
        assert_eq!(total("[solver.sgd]\n", 1_000_000), 3.0 * 4e7);
        assert_eq!(total("[solver.sgd]\noptimizer = \"adan\"\n", 1_000_000), 7.0 * 4e7);
        // No feature occurs: these solvers have nothing but the model.
        assert_eq!(total("[solver.dual]\n", 1_000_000), 12e7 + 8e6 + 8e4);
        assert_eq!(total("[solver.lbfgs]\nmemory = 5\n", 1_000_000), 12e7 + 8e6);
        assert_eq!(total("[solver.dual]\n", 10_000), 18e5 + 50e4 + 8e4);
        assert_eq!(total("[solver.lbfgs]\nmemory = 5\n", 10_000), 13.0 * 8e5);
        let calibrated = "[solver.sgd]\n[calibration]\nmethod = \"platt\"\n[split]\nvalidation = 200\n";
        assert_eq!(total(calibrated, 1_000_000), 12e7 + 200.0 * 10.0 * 8.0);
        let needs = needs(&config("[solver.sgd]\n"), &sparse(1_000_000_000), asked);
        assert!(fits(&needs, 200_000_000_000).is_ok());
        let problem = fits(&needs, 16_000_000_000).unwrap_err().problem;
        assert_eq!(
            problem,
            "training needs at least 120.0 GB of memory (120.0 GB for 10000000000 weights, held 3 times in 4 bytes), but 16.0 GB are free"
        );
    }

    #[test]
    fn the_system_is_understood() {
        let memory = limit::Memory::look();
        assert!(free().is_some_and(|free| free > 1_000_000), "{memory:?}");
        assert!(memory.free <= memory.total.map(|total| total * 4), "{memory:?}");
    }
}
