//! Runs the program in a folder of its own, as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A configuration that trains in a few milliseconds.
pub const SMALL: &str = "\
# digits
seed = 0

[data.digits]

[split]
test = 0.2

[preprocess]
center = \"mean\"
scale = \"std\"

[objective]
lambda = 1e-3

[loss.weston_watkins]

[solver.sgd]
learning_rate = 0.01
epochs = 2
";

/// Exit code and output of the program.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The sentence behind `error:`, without the lines that show the place.
    pub fn problem(&self) -> &str {
        self.labelled("error: ")
    }

    /// The sentence behind `hint:`.
    pub fn hint(&self) -> &str {
        self.labelled("hint: ")
    }

    // The last: drivers may have something to say before.
    fn labelled(&self, label: &str) -> &str {
        self.stderr.lines().rev().find_map(|line| line.strip_prefix(label)).unwrap_or_default()
    }
}

/// A working directory with files in it.
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The program with its working directory here, reading nothing.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_burn-svm"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end. A panic fails every test.
    pub fn run(&self, args: &[&str]) -> Outcome {
        outcome(&mut self.command(args))
    }

    /// Runs it and expects success.
    pub fn succeed(&self, args: &[&str]) -> Outcome {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}\n{}", outcome.stderr);
        outcome
    }
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let outcome = Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    assert!(!outcome.stderr.contains("panicked"), "{command:?}\n{}", outcome.stderr);
    outcome
}

/// A file or folder next to the repository with real data, or `None` with a line that says so.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if !path.exists() {
        println!("skipped: no shared data ({name})");
        return None;
    }
    Some(path.canonicalize().unwrap())
}

/// A file of the repository.
pub fn repository(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name).to_str().unwrap().to_owned()
}

/// A row of a table of mistakes: the action, and the problem and hint that the user must read.
pub struct Case<'a> {
    pub what: &'a str,
    pub problem: &'a str,
    pub hint: &'a str,
}

/// Collects every row that is not as pinned, so that one run of the test shows them all.
#[derive(Default)]
pub struct Verdict {
    wrong: String,
}

impl Verdict {
    pub fn hold(&mut self, case: &Case<'_>, outcome: &Outcome, code: i32) {
        if (outcome.code, outcome.problem(), outcome.hint()) != (Some(code), case.problem, case.hint) {
            let found = (outcome.problem(), outcome.hint());
            self.wrong += &format!(
                "{}: exit {:?}, expected {code}\n  found    {found:?}\n  expected {:?}\n",
                case.what,
                outcome.code,
                (case.problem, case.hint)
            );
        }
    }

    pub fn assert(self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong);
    }
}
