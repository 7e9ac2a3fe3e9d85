//! Minibatch gradient descent over Burn's optimisers.
//!
//! ```text
//! given:   batches B_t of the training rows, a learning rate η_t, an optimiser u
//! repeat:  g_t = ∇ [ (1/|B_t|) Σ_{i∈B_t} weight_i·ℓ_i  +  (λ/2)‖W‖² + (λ/(2B²))‖b‖² ]      W ← W − u(η_t, g_t)
//! ```
//!
//! With the hinge (power 1) and the plain optimiser the weights shrink by the factor 1 − η·λ each step, which is stable only
//! for η < 2/λ = 1/reg. Nothing is read back from the device between logged steps.
//!
//! One loop (`run`) asks one engine (`engine`) for the steps, of a run alone and of a stack ([`stacked`]); the gradient of the first
//! batch is compared with Burn's autodiff (`agreement`).

mod agreement;
mod blocks;
pub mod config;
mod draws;
mod engine;
mod feed;
pub mod optimizer;
mod options;
mod resume;
mod run;
pub mod sampler;
pub mod schedule;
pub mod stacked;

use super::{Fit, Observer, Problem, SolveError};
pub use blocks::{BlockInput, solve_blocks};
pub use config::SgdConfig;
pub use draws::ESTIMATE_ROWS;
pub use schedule::Schedule;
use stacked::Member;

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError::Device`] when the device fails, [`SolveError::Gradient`] when the gradient disagrees with autodiff on it.
pub fn solve(config: &SgdConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let mut fits = run::train(config, problem, &[Member::new(config, problem.objective)], observer)?;
    Ok(fits.swap_remove(0).fit)
}
