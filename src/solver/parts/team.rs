//! Parts of one problem on the threads of one process.

use super::messages::{Answer, Order, Returned};
use super::part::{Part, PartVariables};
use crate::solver::dual::state::Bounds;
use crate::solver::{Problem, SolveError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

/// Work of a part.
enum Task {
    /// A round, with the rows that come home.
    Round(Arc<Order>, Vec<Returned>),
    /// The variables, with the share of the last round's steps that counts.
    Variables(f64),
}

/// Result of a part.
enum TaskResult {
    Answer(Result<Answer, SolveError>),
    Variables(PartVariables, Vec<Bounds>),
}

struct Worker {
    tasks: Sender<Task>,
    results: Receiver<TaskResult>,
}

/// The threads, one a part; they end when the team is dropped.
pub(in crate::solver) struct PartTeam {
    workers: Vec<Worker>,
}

/// Reaction to a thread that is gone: it has panicked, and the panic comes to light when its scope ends.
fn gone() -> SolveError {
    SolveError::Device("a thread of the exact solver has ended".into())
}

impl PartTeam {
    /// Starts a thread for each part.
    pub fn new<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        problem: &Problem<'env>,
        parts: Vec<PartVariables>,
        double: bool,
    ) -> Self
    where
        'env: 'scope,
    {
        let n_train = parts.iter().map(|part| part.rows().0.len()).sum();
        let start = |(place, variables)| {
            let (tasks, inbox) = channel();
            let (outbox, results) = channel();
            let problem = *problem;
            scope.spawn(move || serve(&problem, n_train, place, variables, double, &inbox, &outbox));
            Worker { tasks, results }
        };
        Self { workers: parts.into_iter().enumerate().map(start).collect() }
    }

    /// A round of every part.
    ///
    /// # Errors
    /// Those of the parts.
    pub fn round(&self, order: &Arc<Order>, returned: Vec<Vec<Returned>>) -> Result<Vec<Answer>, SolveError> {
        for (worker, own) in self.workers.iter().zip(returned) {
            worker.tasks.send(Task::Round(Arc::clone(order), own)).map_err(|_| gone())?;
        }
        let answer = |worker: &Worker| match worker.results.recv() {
            Ok(TaskResult::Answer(answer)) => answer,
            _ => Err(gone()),
        };
        self.workers.iter().map(answer).collect()
    }

    /// The variables of every part, once the share `eta` of the last round's steps is settled, and the bounds of its rows at their last visits.
    ///
    /// # Errors
    /// [`SolveError::Device`] where a thread is gone.
    pub fn variables(&self, eta: f64) -> Result<Vec<(PartVariables, Vec<Bounds>)>, SolveError> {
        for worker in &self.workers {
            worker.tasks.send(Task::Variables(eta)).map_err(|_| gone())?;
        }
        let variables = |worker: &Worker| match worker.results.recv() {
            Ok(TaskResult::Variables(variables, seen)) => Ok((variables, seen)),
            _ => Err(gone()),
        };
        self.workers.iter().map(variables).collect()
    }
}

/// The life of a thread.
fn serve(
    problem: &Problem<'_>,
    n_train: usize,
    place: usize,
    variables: PartVariables,
    double: bool,
    inbox: &Receiver<Task>,
    outbox: &Sender<TaskResult>,
) {
    std::thread::scope(|scope| {
        let mut part = Part::new(problem, n_train, place, variables, double, scope);
        while let Ok(task) = inbox.recv() {
            let result = match task {
                Task::Round(order, returned) => TaskResult::Answer(part.answer(&order, &returned)),
                Task::Variables(eta) => {
                    part.settle(eta);
                    TaskResult::Variables(part.variables(), part.seen().to_vec())
                }
            };
            if outbox.send(result).is_err() {
                return;
            }
        }
    });
}
