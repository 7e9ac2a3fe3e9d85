//! The gradient of a run's first batch, by its engine and by Burn's autodiff.

use super::draws::initial_values;
use super::engine::{Engine, autodiff};
use super::sampler::Sampler;
use super::stacked::Member;
use crate::solver::agreement::{MOST_WEIGHTS, difference, judged, sample, tolerance};
use crate::solver::{Problem, Route, SolveError};

/// Points at which a gradient may disagree by chance, because a margin lies within rounding of a kink, before it is wrong.
const POINTS: u64 = 3;
/// Standard deviation of the weights of another point where those of the run begin at zero.
const DEVIATION: f64 = 1e-4;

/// The largest difference from autodiff over the losses of a run, at its initial weights; `None` for autodiff itself and where there
/// is nothing to compare. `sampler` is at the beginning of the run, and stays there: a resumed run repeats the result.
///
/// # Errors
/// [`SolveError::Gradient`] where a gradient disagrees at the initial weights and at two other points.
pub(super) fn of_first_batch(
    engine: &mut dyn Engine,
    problem: &Problem<'_>,
    members: &[Member],
    sampler: &Sampler,
) -> Result<Option<f64>, SolveError> {
    let (d, k) = (problem.source.features.n_features(), problem.n_classes);
    if engine.route() == Route::Autodiff || d * k > MOST_WEIGHTS {
        return Ok(None);
    }
    let batch = sampler.clone().next_batch();
    let rows = sample(&batch, d.max(k));
    let mut largest: Option<f64> = None;
    for (i, member) in members.iter().enumerate() {
        // One member stands for all of its loss.
        if members[..i].iter().any(|earlier| earlier.objective.loss == member.objective.loss) {
            continue;
        }
        if let Some(found) = of_member(engine, problem, member, rows)? {
            largest = Some(largest.map_or(found, |largest| largest.max(found)));
        }
    }
    Ok(largest)
}

fn of_member(
    engine: &mut dyn Engine,
    problem: &Problem<'_>,
    member: &Member,
    rows: &[u32],
) -> Result<Option<f64>, SolveError> {
    let mut found = f64::INFINITY;
    for point in 0..POINTS {
        let deviation = if point > 0 && member.init_std == 0.0 { DEVIATION } else { member.init_std };
        let at = initial_values(&Problem { seed: problem.seed.wrapping_add(point), ..*problem }, deviation);
        let by_engine = engine.gradient(member, &at, rows)?;
        let judge = autodiff(problem, member, &at, rows)?;
        let row = autodiff(problem, member, &at, &rows[..rows.len().min(1)])?;
        let Some(here) = difference(by_engine.values(), judge.values(), row.values()) else { return Ok(None) };
        found = found.min(here);
        if found <= tolerance(false) {
            break;
        }
    }
    judged(engine.route(), found, tolerance(false)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::SgdConfig;
    use super::super::engine::{self, Objectives, Parameters, Step};
    use super::super::optimizer::OptimizerName;
    use super::super::run::SgdRun;
    use super::*;
    use crate::bounded::NonNegative;
    use crate::data::batch::Source;
    use crate::data::{Dense, Features, Scaler};
    use crate::loss::{Formulation, Loss, Power};
    use crate::model::BiasRule;
    use crate::objective::Objective;
    use crate::solver::{GradientReport, GradientRoute, LogEntry, Observer};

    /// An engine whose gradient has one wrong cell.
    struct WrongEngine<'a> {
        engine: Box<dyn Engine + 'a>,
        factor: f32,
    }

    impl Engine for WrongEngine<'_> {
        fn route(&self) -> Route {
            self.engine.route()
        }

        fn step(&mut self, step: Step, want_loss: bool) -> Result<Objectives, SolveError> {
            self.engine.step(step, want_loss)
        }

        fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
            self.engine.parameters()
        }

        fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
            let mut found = self.engine.gradient(member, at, rows)?;
            let largest = found.weight.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            *largest *= self.factor;
            Ok(found)
        }
    }

    /// Keeps the report.
    #[derive(Default)]
    struct Reports(Vec<GradientReport>);

    impl Observer for Reports {
        fn log(&mut self, _: &LogEntry) {}

        fn gradient(&mut self, report: GradientReport) {
            self.0.push(report);
        }
    }

    fn with_problem(gradient: GradientRoute, test: impl Fn(&Problem<'_>)) {
        let (n, d) = (40u32, 7u32);
        let cells = (0..n * d).map(|i| (i * i % 251) as u8).collect();
        let features = Features::U8(Dense::new(d as usize, cells));
        let (labels, rows) = ((0..n).map(|i| i * i % 3).collect::<Vec<u32>>(), (0..n).collect::<Vec<u32>>());
        let scaler = Scaler { mean: Some(vec![120.0; d as usize]), ..Scaler::default() };
        let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One);
        let objective = Objective { loss, lambda: 0.5, bias: BiasRule::Regularised { scale: 2.0 } };
        let device = crate::device::open_cpu().unwrap();
        test(&Problem {
            source: Source { features: &features, labels: &labels, scaler: &scaler, weights: None },
            train: &rows,
            validation: &[],
            n_classes: 3,
            objective: &objective,
            device: &device,
            gradient,
            seed: 1,
            threads: 1,
            early_stopping: None,
        });
    }

    fn config(optimizer: OptimizerName) -> SgdConfig {
        SgdConfig { optimizer, init_std: NonNegative::new(1e-2).unwrap(), ..SgdConfig::default() }
    }

    #[test]
    fn every_engine_agrees_with_autodiff_and_says_how_far() {
        use GradientRoute::{Analytic, Auto, Autodiff};
        let (plain, adam) = (config(OptimizerName::Sgd), config(OptimizerName::Adam));
        for (gradient, config, count, route) in [
            (Autodiff, &plain, 1, Route::Autodiff),
            (Autodiff, &adam, 2, Route::Autodiff),
            (Analytic, &plain, 1, Route::Analytic),
            (Analytic, &plain, 2, Route::Analytic),
            (Auto, &adam, 2, Route::Analytic),
            (Auto, &adam, 1, Route::Fused),
            (Auto, &plain, 1, Route::Fused),
            (Auto, &plain, 3, Route::Fused),
        ] {
            with_problem(gradient, |problem| {
                let members = vec![Member::new(config, problem.objective); count];
                let engine = engine::choose(config, problem, &members);
                let mut reports = Reports::default();
                SgdRun::new(config, problem, &members, engine).train(&mut reports).unwrap();
                let [report] = reports.0[..] else { panic!("{} reports", reports.0.len()) };
                assert_eq!(report.route, route);
                assert_eq!(report.agreement.is_none(), route == Route::Autodiff);
                assert!(report.agreement.is_none_or(|found| found < 1e-5), "{report:?}");
            });
        }
    }

    #[test]
    fn a_gradient_that_is_wrong_stops_the_run_with_both_numbers() {
        let config = config(OptimizerName::Sgd);
        with_problem(GradientRoute::Auto, |problem| {
            let members = [Member::new(&config, problem.objective)];
            let run = |factor: f32| {
                let engine = Box::new(WrongEngine { engine: engine::choose(&config, problem, &members), factor });
                SgdRun::new(&config, problem, &members, engine).train(&mut Reports::default())
            };
            assert!(run(1.0).is_ok());
            let error = run(1.01).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the fused gradient of the first batch differs from Burn's autodiff by 1.0e-2 of its largest entry, \
                 expected at most 1e-3"
            );
            assert!(error.hint().contains("gradient = \"autodiff\""), "{}", error.hint());
            assert!(matches!(run(f32::NAN), Err(SolveError::Gradient { .. })));
        });
    }
}
