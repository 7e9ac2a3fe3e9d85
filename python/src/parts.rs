//! Training in parts: a coordinator, and the work of a part on borrowed rows. Messages are bytes, so that anything may carry them.

use crate::fit::Fitted;
use crate::options::Options;
use crate::rows::{Matrix, refused, slice};
use crate::supervise::supervise;
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Csr, Dense, Features, Moments};
use burn_svm::internals::solver::parts::{
    self, Answer, Answers, Limits, Message, Part, Request, Shape, answer_interior,
};
use burn_svm::{ClassIndices, Fraction, Svm};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::time::Duration;

/// Sums over the columns of some rows: number of rows, and six sums of each column.
type ColumnSums<'py> = (u64, Vec<PyReadonlyArray1<'py, f64>>);

/// The common ground of all parts.
#[pyclass(frozen, module = "burn_svm._native")]
pub struct PartsSetting {
    svm: Svm,
    names: Vec<String>,
    setting: parts::Setting,
}

impl PartsSetting {
    const fn shape(&self) -> Shape {
        Shape { n_features: self.setting.n_features, n_classes: self.setting.n_classes }
    }

    fn read<M: Message>(&self, bytes: &[u8]) -> PyResult<M> {
        parts::from_bytes(bytes, self.shape()).map_err(refused)
    }
}

#[pymethods]
impl PartsSetting {
    /// Of options, names of classes, numbers of features and of rows of all parts, whether these are in double precision, and the sums over
    /// their columns, where the preprocessing needs them.
    #[new]
    #[pyo3(signature = (options, names, n_features, n_train, double_rows, sums=None))]
    #[allow(clippy::needless_pass_by_value)]
    fn new(
        options: Options,
        names: Vec<String>,
        n_features: usize,
        n_train: usize,
        double_rows: bool,
        sums: Option<ColumnSums<'_>>,
    ) -> PyResult<Self> {
        let moments = sums.map(|(rows, sums)| {
            let sums = sums.iter().map(|sums| slice(sums.as_slice())).collect::<PyResult<Vec<&[f64]>>>()?;
            if sums.iter().any(|sums| sums.len() != n_features) {
                return Err(refused("sums over columns: expected one of each column"));
            }
            Moments::of_columns(rows, sums.into_iter()).ok_or_else(|| refused("sums over columns: expected six"))
        });
        let svm = options.svm()?;
        let setting = svm.setting(&names, n_features, n_train, moments.transpose()?.as_ref(), double_rows);
        Ok(Self { svm, names, setting: setting.map_err(refused)? })
    }
}

/// The dual variables of a part.
#[pyclass(frozen, name = "PartVariables", module = "burn_svm._native")]
pub struct NativePartVariables(parts::PartVariables);

#[pymethods]
impl NativePartVariables {
    /// All zero.
    #[staticmethod]
    fn zero(n_rows: u32, n_classes: usize) -> Self {
        Self(parts::PartVariables::zero(&(0..n_rows).collect::<Vec<u32>>(), n_classes))
    }

    /// Those of a part of so many rows that begins again from these, without the rows that are away.
    #[allow(clippy::needless_pass_by_value)]
    fn restored(&self, n_rows: u32, away: PyReadonlyArray1<'_, u32>, n_classes: usize) -> PyResult<Self> {
        let all: Vec<u32> = (0..n_rows).collect();
        Ok(Self(self.0.restored(&all, slice(away.as_slice())?, n_classes)))
    }

    /// A copy of these of so many classes, in single precision, to be kept elsewhere.
    fn snapshot(&self, n_classes: usize) -> Self {
        Self(self.0.snapshot(n_classes))
    }

    /// With those of rows that these do not have, from others.
    #[allow(clippy::needless_pass_by_value)]
    fn filled(&self, others: PyRef<'_, Self>, n_classes: usize) -> Self {
        Self(self.0.filled(&others.0, n_classes))
    }

    /// Bytes for [`NativePartVariables::from_bytes`].
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &parts::to_bytes(&self.0).map_err(refused)?))
    }

    /// From bytes, of so many classes.
    #[staticmethod]
    fn from_bytes(bytes: &[u8], n_classes: usize) -> PyResult<Self> {
        let shape = Shape { n_features: 0, n_classes };
        parts::from_bytes(bytes, shape).map(Self).map_err(refused)
    }
}

/// Rows as the library keeps them; those of an empty part in the form of the others.
pub fn features<'a>(rows: &'a Matrix<'_>, n_features: usize) -> PyResult<Features<'a>> {
    Ok(match rows {
        Matrix::U8(x) if x.as_array().nrows() == 0 => Features::U8(Dense::new(n_features, Vec::new())),
        Matrix::F32(x) if x.as_array().nrows() == 0 => Features::F32(Dense::new(n_features, Vec::new())),
        Matrix::F64(x) if x.as_array().nrows() == 0 => Features::F64(Dense::new(n_features, Vec::new())),
        Matrix::Csr(_, offsets, ..) if slice(offsets.as_slice())?.len() < 2 => Features::Sparse(Csr::new(n_features)),
        _ => rows.rows()?.into_features(),
    })
}

/// Work in one thread, with the interpreter free for others.
fn alone<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, String> + Send) -> PyResult<T> {
    let outcome = supervise(py, 1, None, |_| work())?;
    match outcome.exception {
        Some(exception) => Err(exception),
        None => outcome.value.map_err(refused),
    }
}

/// Sums over the columns of some rows less a row `shift`: number of rows, and six sums of each column.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)]
pub fn column_sums<'py>(
    py: Python<'py>,
    rows: Matrix<'py>,
    shift: PyReadonlyArray1<'py, f64>,
) -> PyResult<(u64, Vec<Bound<'py, PyArray1<f64>>>)> {
    let shift = slice(shift.as_slice())?;
    let features = features(&rows, shift.len())?;
    if features.n_features() != shift.len() {
        return Err(refused(format!("shift: found {} numbers for {} columns", shift.len(), features.n_features())));
    }
    let moments = alone(py, || {
        let mut moments = Moments::new(shift.to_vec());
        moments.add_rows(&features, 0..features.n_rows());
        Ok(moments)
    })?;
    Ok((moments.rows, moments.columns().map(|sums| sums.to_vec().into_pyarray(py)).into()))
}

/// The work of part `place` for a request: its variables thereafter, and its answer.
#[pyfunction]
#[pyo3(signature = (setting, rows, classes, place, variables, request, weights=None))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
pub fn part_answer<'py>(
    py: Python<'py>,
    setting: PyRef<'py, PartsSetting>,
    rows: Matrix<'py>,
    classes: PyReadonlyArray1<'py, u32>,
    place: usize,
    variables: PyRef<'py, NativePartVariables>,
    request: &[u8],
    weights: Option<PyReadonlyArray1<'py, f32>>,
) -> PyResult<(NativePartVariables, Bound<'py, PyBytes>)> {
    let (setting, variables) = (&*setting, &variables.0);
    let features = features(&rows, setting.setting.n_features)?;
    let labels = slice(classes.as_slice())?;
    ClassIndices::new(&setting.names, labels).map_err(refused)?;
    let weights = weights.as_ref().map(|weights| slice(weights.as_slice())).transpose()?;
    let n = features.n_rows();
    if labels.len() != n || weights.is_some_and(|weights| weights.len() != n) {
        return Err(refused(format!("classes and weights: expected one for each of {n} rows")));
    }
    let source = Source { features: &features, labels, scaler: &setting.setting.scaler, weights };
    let (after, answer) = alone(py, || work(setting, source, place, variables, request))?;
    Ok((NativePartVariables(after), PyBytes::new(py, &answer)))
}

/// [`part_answer`] without the interpreter.
fn work(
    setting: &PartsSetting,
    source: Source<'_>,
    place: usize,
    variables: &parts::PartVariables,
    request: &[u8],
) -> Result<(parts::PartVariables, Vec<u8>), String> {
    let shape = setting.shape();
    let request: Request = parts::from_bytes(request, shape).map_err(|e| e.to_string())?;
    let n = source.features.n_rows();
    if source.features.n_features() != shape.n_features {
        return Err(format!("found rows of {} features, expected {}", source.features.n_features(), shape.n_features));
    }
    let returned = match &request {
        Request::Round(_, returned) | Request::Proof(_, returned) => returned.get(place).map(Vec::as_slice),
        Request::Interior(_) => Some(&[][..]),
        Request::Done => return Err("a request: found that all is done, expected work".into()),
    };
    let is_of_part = variables.fits(shape)
        && variables.rows().0.iter().all(|&row| (row as usize) < n)
        && returned.is_some_and(|returned| returned.iter().all(|(row, _)| (*row as usize) < n));
    if !is_of_part {
        return Err(format!("a request to part {place}: found variables of other rows, expected those of {n} rows"));
    }
    if let Request::Interior(order) = &request {
        let mut after = variables.clone();
        let answers = answer_interior(&setting.setting, source, order, &mut after).map_err(|e| e.to_string())?;
        return Ok((after, parts::to_bytes(&answers).map_err(|e| e.to_string())?));
    }
    let train: Vec<u32> = (0..).take(n).collect();
    let problem = setting.setting.problem(source, &train);
    let double = matches!(&request, Request::Round(order, _) if order.double);
    std::thread::scope(|scope| {
        let mut part = Part::new(&problem, setting.setting.n_train, place, variables.clone(), double, scope);
        let answers = match &request {
            Request::Round(order, returned) => {
                let mut answer: Answer = part.answer(order, &returned[place]).map_err(|e| e.to_string())?;
                if !order.double {
                    answer.contribution.shorten();
                }
                Answers::Round(vec![answer])
            }
            Request::Proof(order, returned) => Answers::Proof(vec![part.prove(order, &returned[place])]),
            Request::Interior(_) | Request::Done => Answers::Round(Vec::new()),
        };
        Ok((part.variables(), parts::to_bytes(&answers).map_err(|e| e.to_string())?))
    })
}

/// The answers of parts that follow each other, in their order, as one.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)]
pub fn merge_answers<'py>(
    py: Python<'py>,
    setting: PyRef<'py, PartsSetting>,
    answers: Vec<Vec<u8>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let setting = &*setting;
    let bytes = alone(py, || merged(setting, &answers))?;
    Ok(PyBytes::new(py, &bytes))
}

fn merged(setting: &PartsSetting, answers: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let mut all: Option<Answers> = None;
    for bytes in answers {
        let more = parts::from_bytes(bytes, setting.shape()).map_err(|e| e.to_string())?;
        all = match all {
            None => Some(more),
            Some(before) => Some(before.merge(more).ok_or("answers to different requests")?),
        };
    }
    parts::to_bytes(&all.ok_or("no answers")?).map_err(|e| e.to_string())
}

/// Progress after a round, as a dictionary in Python.
#[derive(IntoPyObject)]
struct Round {
    round: u64,
    objective: f64,
    gap: f64,
    hot_rows: usize,
    step: f64,
    visits: u64,
    slowest: u64,
    hot_visits: u64,
}

/// The coordinator of the parts.
#[pyclass(module = "burn_svm._native")]
pub struct PartsCoordinator {
    coordinator: parts::Leader,
    n_parts: usize,
    goal: f64,
    /// The request that has not been answered.
    request: Option<Request>,
}

#[pymethods]
impl PartsCoordinator {
    /// Of `n_parts` parts whose variables may be any, until the relative gap `gap` is proved, or `rounds` are made.
    #[new]
    #[allow(clippy::needless_pass_by_value)]
    fn new(setting: PyRef<'_, PartsSetting>, n_parts: usize, gap: f64, rounds: u64, hot_rows: usize) -> PyResult<Self> {
        let goal = Fraction::new(gap).map_err(|e| refused(format!("tol: {e}")))?.get();
        let limits = Limits { gap: goal, rounds, hot_rows, double: false };
        let coordinator = parts::Leader::new(setting.setting.clone(), limits, n_parts);
        let coordinator = coordinator.map_err(|e| refused(format!("{e}; {}", e.hint())))?;
        Ok(Self { coordinator, n_parts, goal, request: None })
    }

    /// Some parts were lost, or those of an earlier coordinator are taken over: W is put together anew. A request without answers is withdrawn.
    fn lost(&mut self) {
        self.coordinator.lost(self.request.take());
    }

    /// Ends after the next proof.
    fn stop(&mut self) {
        self.coordinator.stop();
    }

    /// Rows of a part that are not with it.
    fn away<'py>(&self, py: Python<'py>, part: usize) -> PyResult<Bound<'py, PyArray1<u32>>> {
        if part < self.n_parts {
            return Ok(self.coordinator.away(part).into_pyarray(py));
        }
        Err(refused(format!("part {part}: expected one below {}", self.n_parts)))
    }

    /// The dual variables of those rows.
    fn variables_away(&self, part: usize) -> PyResult<NativePartVariables> {
        if part < self.n_parts {
            return Ok(NativePartVariables(self.coordinator.variables_away(part)));
        }
        Err(refused(format!("part {part}: expected one below {}", self.n_parts)))
    }

    /// The next request; none when all is done.
    fn request<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut request = self.coordinator.request();
        if let Request::Round(order, _) = &mut request {
            order.shorten();
        }
        if request == Request::Done {
            return Ok(None);
        }
        let bytes = parts::to_bytes(&request).map_err(refused)?;
        self.request = Some(request);
        Ok(Some(PyBytes::new(py, &bytes)))
    }

    /// Takes the answers of all parts to the request.
    fn tell(&mut self, py: Python<'_>, setting: PyRef<'_, PartsSetting>, answers: &[u8]) -> PyResult<()> {
        let answers: Answers = setting.read(answers)?;
        let Self { coordinator, request, .. } = self;
        alone(py, || {
            let request = request.take().unwrap_or(Request::Done);
            coordinator.tell(&request, answers).map_err(|e| e.to_string())
        })
    }

    /// Progress after the last round.
    #[getter]
    fn progress(&self) -> Round {
        let progress = self.coordinator.progress();
        Round {
            round: progress.round,
            objective: progress.primal,
            gap: progress.relative_gap,
            hot_rows: progress.hot_rows,
            step: progress.eta,
            visits: progress.visits,
            slowest: progress.slowest,
            hot_visits: progress.hot_visits,
        }
    }

    /// The result; none before the end.
    #[allow(clippy::needless_pass_by_value)]
    fn fitted<'py>(
        &self,
        py: Python<'py>,
        setting: PyRef<'py, PartsSetting>,
        seconds: f64,
    ) -> PyResult<Option<Fitted<'py>>> {
        let Some(outcome) = self.coordinator.outcome() else { return Ok(None) };
        let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let PartsSetting { svm, names, setting } = &*setting;
        let solution = svm.solution_of_parts(setting, names, outcome, self.coordinator.progress(), self.goal, seconds);
        Fitted::new(py, &solution).map(Some)
    }
}
