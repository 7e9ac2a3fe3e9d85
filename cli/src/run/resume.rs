//! Resuming a run that was ended: the content of its folder, and whether it is the same run.

use super::checkpoint::{Identity, Shelf};
use super::folder;
use super::record::{RecordError, RunFolder, RunResult};
use super::{LoadedConfig, PreparedData};
use crate::config::RunConfig;
use crate::solver::SolverConfig;
use crate::visible;
use std::fs;
use std::path::{Path, PathBuf};

/// State of a run folder that a run may resume from.
#[derive(Debug)]
pub enum FolderState {
    /// Nothing: the run begins.
    Fresh,
    /// A checkpoint.
    Stopped,
    /// The run is finished.
    Finished(Box<RunResult>),
}

/// Keys that a run may be given anew: its model agrees within rounding, or altogether. The data are known by their digest.
const FREE: [&str; 5] = ["device", "threads", "data", "checkpoint", "search"];
/// Differences that are named.
const NAMED: usize = 3;

fn other_run(folder: &Path, problem: String) -> RecordError {
    RecordError::Differs {
        problem,
        hint: format!(
            "`burn-svm train {config} --out {folder} --resume` resumes the run as it is; another run needs another --out, or --force",
            config = folder.join("config.toml").display(),
            folder = folder.display()
        ),
    }
}

/// State of the folder `path` for a run of `config`.
///
/// # Errors
/// [`RecordError::Differs`] when it holds another run, [`RecordError::Io`] or [`RecordError::Content`] when it cannot be read.
pub fn standing(path: &Path, config: &LoadedConfig) -> Result<FolderState, RecordError> {
    // A finished run has no checkpoints; if it was ended before the last was removed, the end of it is done again.
    if has_checkpoint(path) {
        return Ok(FolderState::Stopped);
    }
    let result = path.join("result.json");
    let finished = match folder::read_text(path, "result.json")? {
        Some(text) => {
            let found: RunResult = serde_json::from_str(&text)
                .map_err(|e| RecordError::Content { file: result.clone(), problem: e.to_string() })?;
            Some(found).filter(|found| found.stop_reason != "interrupted")
        }
        None => None,
    };
    if let Some(text) = folder::read_text(path, "config.toml")? {
        let changed = same_config(path, &text, config)?;
        if let (Some(_), Some(changed)) = (&finished, changed) {
            return Err(RecordError::Differs {
                problem: format!("{}: the run is finished and its checkpoints are gone: {changed}", path.display()),
                hint: "a run goes on to another end only while it has a checkpoint, after Ctrl-C for example; train from the \
                       beginning with --force, or into another --out"
                    .into(),
            });
        }
    }
    Ok(finished.map_or(FolderState::Fresh, |result| FolderState::Finished(Box::new(result))))
}

/// The newest run of a configuration that has not been given a folder by name: `runs/<name>-<time>`.
#[must_use]
pub fn newest_folder(name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir("runs").ok()?.flatten();
    let ours = |path: &PathBuf| {
        let rest = path.file_name().and_then(|f| f.to_str()).and_then(|f| f.strip_prefix(name)?.strip_prefix('-'));
        let dated = rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '-'));
        // A search of the configuration has a folder of such a name, too.
        dated && path.is_dir() && !path.join("search.toml").exists()
    };
    entries.map(|entry| entry.path()).filter(ours).max()
}

/// Whether a run folder holds a checkpoint.
#[must_use]
pub fn has_checkpoint(path: &Path) -> bool {
    !Shelf::of(path).is_empty()
}

/// A resumed run folder, and remarks for the user.
#[derive(Debug)]
pub struct ResumedFolder {
    /// The folder.
    pub folder: RunFolder,
    /// From where.
    pub from: String,
    /// Damaged checkpoints, and differences that may change the model.
    pub notes: Vec<String>,
}

/// Goes on with the run in `path` from its newest checkpoint.
///
/// # Errors
/// [`RecordError::Differs`] when that is of another configuration, other data or a newer program; [`RecordError::Content`] when
/// none can be read; [`RecordError::Busy`] or [`RecordError::Io`] when the folder cannot be opened.
pub fn resume(
    path: &Path,
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: String,
) -> Result<ResumedFolder, RecordError> {
    let mut shelf = Shelf::of(path);
    let (checkpoint, file, mut notes) = shelf.newest()?;
    let (was, now) = (&checkpoint.identity, Identity::of(config, prepared, device));
    let changed = same_config(path, &was.config, config)?;
    if let Some(steps) = total_steps(config, prepared).filter(|&steps| steps < checkpoint.progress) {
        return Err(RecordError::Differs {
            problem: format!(
                "{}: the run is at step {} already, and would now end with step {steps}",
                path.display(),
                checkpoint.progress
            ),
            hint: "ask for more steps, or for a shorter run in another --out".into(),
        });
    }
    if was.data != now.data {
        let what = if was.shape == now.shape {
            format!("there are still {}, but not the same ones", now.shape)
        } else {
            format!("the run had {}, there are now {}", was.shape, now.shape)
        };
        return Err(RecordError::Differs {
            problem: format!("{}: cannot resume with other data: {what}", path.display()),
            hint: "put the files back as they were, or train from the beginning with --force".into(),
        });
    }
    if was.device != now.device {
        notes.push(format!(
            "the run was on {}, and resumes on {}: its model will agree within rounding with that of a run on one device",
            was.device, now.device
        ));
    } else if was.threads != now.threads {
        notes.push(format!(
            "the run had {}, and resumes with {}: its model will agree within rounding with that of a run that never stopped",
            count(was.threads),
            count(now.threads)
        ));
    }
    let unit = if matches!(config.run.solver, SolverConfig::Dual(_)) { "epoch" } else { "step" };
    let changed = changed.map_or_else(String::new, |changed| format!("; {changed}"));
    let from = format!("{} ({unit} {}){changed}", file.display(), checkpoint.progress);
    let folder = RunFolder::go_on(path, &config.text, shelf, checkpoint)?;
    Ok(ResumedFolder { folder, from, notes })
}

fn count(threads: usize) -> String {
    if threads == 1 { "1 thread".into() } else { format!("{threads} threads") }
}

/// Keys that say where a run ends and nothing of the way there: a run that was stopped may be given others.
fn ends(config: &RunConfig) -> &'static [&'static str] {
    match &config.solver {
        SolverConfig::Sgd(sgd) if sgd.schedule.knows_the_end() => &[],
        SolverConfig::Sgd(_) => &["solver.sgd.steps", "solver.sgd.epochs"],
        // The values of C that are done have ended as they were told.
        SolverConfig::Dual(_) if config.objective.is_path() => &[],
        SolverConfig::Dual(_) => &["solver.dual.epochs", "solver.dual.seconds"],
        SolverConfig::Lbfgs(_) => &["solver.lbfgs.epochs", "solver.lbfgs.seconds"],
        SolverConfig::Newton(_) => &["solver.newton.seconds"],
    }
}

/// The steps of `[solver.sgd]`, where they are fixed.
fn total_steps(config: &LoadedConfig, prepared: &PreparedData) -> Option<u64> {
    match &config.run.solver {
        SolverConfig::Sgd(sgd) => Some(sgd.total_steps(prepared.split.train.len())),
        SolverConfig::Dual(_) | SolverConfig::Lbfgs(_) | SolverConfig::Newton(_) => None,
    }
}

/// Compares two configurations, but for the keys that a resumed run may change; names the changed keys that move its end.
pub(super) fn same_config(folder: &Path, of_run: &str, now: &LoadedConfig) -> Result<Option<String>, RecordError> {
    let used = folder.join("config.toml");
    let was = LoadedConfig::parse(of_run, &used, &[]).map_err(|e| RecordError::Content {
        file: used.clone(),
        problem: format!("this program does not understand the configuration of the run: {}", e.problem),
    })?;
    let differences = differences(&was.run, &now.run);
    let named = |all: &[&Difference]| {
        let named: Vec<&str> = all.iter().take(NAMED).map(|d| d.sentence.as_str()).collect();
        let more = all.len().saturating_sub(NAMED);
        named.join("; ") + &if more > 0 { format!("; and {more} more") } else { String::new() }
    };
    let (of_end, other): (Vec<&Difference>, Vec<&Difference>) =
        differences.iter().partition(|d| ends(&now.run).contains(&d.key.as_str()));
    if other.is_empty() {
        return Ok((!of_end.is_empty()).then(|| named(&of_end)));
    }
    let all: Vec<&Difference> = differences.iter().collect();
    let mut problem = format!("{}: cannot resume with another configuration: {}", folder.display(), named(&all));
    if let SolverConfig::Sgd(sgd) = &now.run.solver
        && sgd.schedule.knows_the_end()
        && other.iter().all(|d| ["solver.sgd.steps", "solver.sgd.epochs"].contains(&d.key.as_str()))
    {
        problem += &format!("; every learning rate of the schedule `{}` depends on it", sgd.schedule.name());
    }
    Err(other_run(folder, problem))
}

/// A key that two configurations have differently.
struct Difference {
    key: String,
    sentence: String,
}

fn differences(was: &RunConfig, now: &RunConfig) -> Vec<Difference> {
    let table = |config: &RunConfig| {
        let mut table = toml::Table::try_from(config).unwrap_or_default();
        FREE.iter().for_each(|key| drop(table.remove(*key)));
        table
    };
    let mut found = Vec::new();
    compare("", &table(was), &table(now), &mut found);
    found
}

fn compare(path: &str, was: &toml::Table, now: &toml::Table, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = was.keys().chain(now.keys().filter(|key| !was.contains_key(*key))).collect();
    keys.sort_unstable();
    for key in keys {
        let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (was.get(key), now.get(key)) {
            (Some(toml::Value::Table(was)), Some(toml::Value::Table(now))) => compare(&name, was, now, found),
            (was, now) if was != now => {
                let say = |value: Option<&toml::Value>| match value {
                    None => "not set".to_owned(),
                    Some(toml::Value::Table(_)) => "a table".to_owned(),
                    Some(value) => value.to_string(),
                };
                // Of a folder that may be a stranger's.
                let sentence = format!("{name} was {}, is {}", say(was), say(now));
                let sentence = visible::name(&sentence).into_owned();
                found.push(Difference { key: name, sentence });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[data.digits]\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\n";

    #[test]
    fn configurations_differ_in_what_makes_another_model() {
        let config = |extra: &str| LoadedConfig::parse(&format!("{extra}\n{SMALL}"), Path::new("x"), &[]).unwrap().run;
        let sentences = |all: Vec<Difference>| all.into_iter().map(|d| d.sentence).collect::<Vec<_>>();
        let lines = |extra: &str| sentences(differences(&config(""), &config(extra)));
        for same in ["", "device = \"ndarray\"", "threads = 3", "[checkpoint]\nevery_steps = 3"] {
            assert_eq!(lines(same), Vec::<String>::new());
        }
        assert_eq!(lines("seed = 1"), ["seed was 0, is 1"]);
        assert_eq!(lines("[early_stopping]"), ["early_stopping was not set, is a table"]);
        let solver = |solver: &str| {
            let text = SMALL.replace("[solver.sgd]", solver);
            LoadedConfig::parse(&text, Path::new("x"), &[]).unwrap().run
        };
        assert_eq!(
            sentences(differences(&config(""), &solver("[solver.sgd]\nlearning_rate = 0.02\nsteps = 3"))),
            ["solver.sgd.learning_rate was 0.01, is 0.02", "solver.sgd.steps was not set, is 3"]
        );
        assert_eq!(
            sentences(differences(&config(""), &solver("[solver.dual]"))),
            ["solver.dual was not set, is a table", "solver.sgd was a table, is not set"]
        );
    }
}
