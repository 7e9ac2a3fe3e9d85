//! The origin of a model: trained here, or read from a model file of LIBLINEAR.

use super::BiasRule;
use crate::calibration::Calibrator;
use crate::data::{Center, Scale};
use crate::loss::Loss;
use serde::{Deserialize, Serialize};

/// The objective and preprocessing of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The loss.
    pub loss: Loss,
    /// λ of the objective.
    pub lambda: f64,
    /// Rows of the training split, n of the objective.
    pub n_samples: usize,
    /// The bias rule.
    pub bias: BiasRule,
    /// `center` of the preprocessing.
    pub center: Center,
    /// `scale` of the preprocessing.
    pub scale: Scale,
    /// The configuration as used, TOML.
    pub config: String,
    /// The map from its scores to probabilities, where one was fitted.
    #[serde(default)]
    pub calibration: Option<Calibrator>,
}

/// The source of a model, with the facts of its training.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Trained here.
    Trained(Training),
    /// Read from a model file of LIBLINEAR.
    Liblinear(Liblinear),
}

/// The solvers of LIBLINEAR that train classifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiblinearSolver {
    /// 0: logistic regression, primal.
    L2rLr,
    /// 1: one-vs-rest squared hinge, dual.
    L2rL2lossSvcDual,
    /// 2: one-vs-rest squared hinge, primal.
    L2rL2lossSvc,
    /// 3: one-vs-rest hinge, dual.
    L2rL1lossSvcDual,
    /// 4: Crammer-Singer.
    McsvmCs,
    /// 5: one-vs-rest squared hinge with ‖w‖₁.
    L1rL2lossSvc,
    /// 6: logistic regression with ‖w‖₁.
    L1rLr,
    /// 7: logistic regression, dual.
    L2rLrDual,
}

impl LiblinearSolver {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::L2rLr,
        Self::L2rL2lossSvcDual,
        Self::L2rL2lossSvc,
        Self::L2rL1lossSvcDual,
        Self::McsvmCs,
        Self::L1rL2lossSvc,
        Self::L1rLr,
        Self::L2rLrDual,
    ];

    /// The name as model files spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2rLr => "L2R_LR",
            Self::L2rL2lossSvcDual => "L2R_L2LOSS_SVC_DUAL",
            Self::L2rL2lossSvc => "L2R_L2LOSS_SVC",
            Self::L2rL1lossSvcDual => "L2R_L1LOSS_SVC_DUAL",
            Self::McsvmCs => "MCSVM_CS",
            Self::L1rL2lossSvc => "L1R_L2LOSS_SVC",
            Self::L1rLr => "L1R_LR",
            Self::L2rLrDual => "L2R_LR_DUAL",
        }
    }

    /// The solver of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|solver| solver.name() == name)
    }

    /// The margin loss that it minimises, with margin 1; `None` for the logistic loss.
    ///
    /// One-vs-rest between two classes counts both mirror images of LIBLINEAR's one problem, so its value is twice LIBLINEAR's.
    #[must_use]
    pub fn loss(self) -> Option<Loss> {
        match self {
            Self::L2rL2lossSvcDual | Self::L2rL2lossSvc | Self::L1rL2lossSvc => Some(Loss::one_vs_rest().squared()),
            Self::L2rL1lossSvcDual => Some(Loss::one_vs_rest()),
            Self::McsvmCs => Some(Loss::crammer_singer()),
            Self::L2rLr | Self::L1rLr | Self::L2rLrDual => None,
        }
    }
}

/// The solver of a model of LIBLINEAR and its loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Liblinear {
    /// Its solver.
    pub solver: LiblinearSolver,
    /// [`LiblinearSolver::loss`].
    pub loss: Option<Loss>,
}

impl Liblinear {
    /// With the loss of the solver.
    #[must_use]
    pub fn new(solver: LiblinearSolver) -> Self {
        Self { solver, loss: solver.loss() }
    }
}
