//! `burn-svm search`: the ranked table, the files of a search, budgets, mistakes, and searches that are killed.

use crate::program::{Case, Desk, Outcome, SMALL, Verdict};
use burn_svm_cli::search::ledger::Ledger;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::time::Duration;

/// A search over digits that trains for some milliseconds; more tables may follow.
fn searching(table: &str, space: &str) -> String {
    let base = SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2");
    format!("{base}\n[search]\n{table}\n[search.space]\n{space}\n")
}

const RATES: &str = "\"solver.sgd.learning_rate\" = [1e-3, 1e-2, 1e-1]\n";
const BOTH: &str = "\"solver.sgd.learning_rate\" = [1e-3, 1e-2, 1e-1]\n\"objective.lambda\" = [1e-4, 1e-2]\n";

/// The rows of a search's table without their last column, the seconds.
fn table(desk: &Desk, folder: &str) -> Vec<Vec<String>> {
    let text = desk.read(&format!("{folder}/search.csv"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
    rows.map(|mut row| {
        row.pop();
        row
    })
    .collect()
}

fn search(config: &str, more: &[&str]) -> (Desk, Outcome) {
    let desk = Desk::new();
    desk.write("my.toml", config);
    let outcome = desk.succeed(&[&["search", "my.toml", "--out", "s"], more].concat());
    (desk, outcome)
}

fn numbers(rows: &[Vec<String>], column: &str) -> Vec<f64> {
    let at = rows[0].iter().position(|c| c == column).unwrap_or_else(|| panic!("{column}: {:?}", rows[0]));
    rows[1..].iter().map(|r| r[at].parse().unwrap_or(f64::NAN)).collect()
}

#[test]
fn a_grid_is_ranked_written_and_its_best_trained_once_more() {
    let (desk, outcome) = search(&searching("refit = true", BOTH), &[]);
    let rows = table(&desk, "s");
    assert_eq!(
        rows[0].join(","),
        "rank,trial,objective.lambda,solver.sgd.learning_rate,rung,folds,score,standard_error,accuracy,macro_f1,loss,train_accuracy,relative_gap,stop"
    );
    assert_eq!(rows.len(), 7);
    let scores = numbers(&rows, "score");
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] > 0.9, "{scores:?}");
    let json = desk.json("s/search.json");
    assert_eq!(
        (json["end"].as_str(), json["stacked"].as_u64(), json["fits"].as_u64()),
        (Some("finished"), Some(6), Some(6))
    );
    assert_eq!(json["standings"].as_array().unwrap().len(), 6);
    assert!((json["standings"][0]["score"].as_f64().unwrap() - scores[0]).abs() < 1e-12);
    assert!(
        outcome.stdout.starts_with("rank  trial") && outcome.stdout.ends_with("search       s\n"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stderr.contains("6 / 6: 6 trials as one model; best so far 0."), "{}", outcome.stderr);
    // The best, on training and validation rows; 1,797 less a fifth for the test.
    let result = desk.json("s/best/result.json");
    assert_eq!(result["n_samples"].as_u64(), Some(1438));
    assert_eq!(json["refit"]["test_accuracy"], result["test_accuracy"]);
    assert!(result["validation_accuracy"].is_null() && result["test_accuracy"].as_f64().unwrap() > 0.9);
    for file in [
        "figures/scatter.png",
        "figures/scatter.svg",
        "figures/heatmap.png",
        "figures/curves.svg",
        "best/figures/weights.png",
    ] {
        assert!(desk.path("s").join(file).exists(), "{file}");
    }
    // The file that is left for `train` trains the very trial: the same rows, the same accuracy.
    desk.succeed(&["train", "s/best.toml", "--out", "again", "-q"]);
    let again = desk.json("again/result.json")["validation_accuracy"].as_f64().unwrap();
    assert!((again - numbers(&rows, "accuracy")[0]).abs() <= 1.0 / 280.0, "{again}");
    // And plot draws it again.
    fs::remove_dir_all(desk.path("s/figures")).unwrap();
    let drawn = desk.succeed(&["plot", "s", "--format", "svg"]).stdout;
    assert!(drawn.contains("scatter.svg") && !drawn.contains(".png"), "{drawn}");
}

#[test]
fn stacked_and_alone_are_one_table() {
    let space = format!("{BOTH}\"loss.weston_watkins.margin\" = [1.0, 2.0]\n\"solver.sgd.batch_size\" = [64, 200]\n");
    let config = searching("", &space);
    let (desk, _) = search(&config, &[]);
    let stacked = table(&desk, "s");
    desk.succeed(&["search", "my.toml", "--out", "alone", "--set", "search.stacked=1", "-q"]);
    let alone = table(&desk, "alone");
    assert_eq!((stacked.len(), alone.len()), (25, 25));
    // A row of 287 may be on the other side by rounding; and the order with it.
    let by_trial = |rows: &[Vec<String>]| {
        let (trials, scores) = (numbers(rows, "trial"), numbers(rows, "accuracy"));
        let mut pairs: Vec<(u64, f64)> = trials.iter().map(|t| *t as u64).zip(scores).collect();
        pairs.sort_by_key(|p| p.0);
        pairs
    };
    for (a, b) in by_trial(&stacked).iter().zip(by_trial(&alone)) {
        assert!((a.1 - b.1).abs() <= 1.5 / 287.0, "trial {}: {} stacked, {} alone", a.0, a.1, b.1);
    }
    assert_eq!(desk.json("s/search.json")["stacked"].as_u64(), Some(24));
    assert_eq!(desk.json("alone/search.json")["alone"][0]["reason"].as_str(), Some("`stacked = 1` of [search]"));
}

#[test]
fn what_diverges_is_last_and_says_so() {
    let (desk, outcome) =
        search(&searching("", "\"solver.sgd.learning_rate\" = [1e-2, 1e9]\n"), &["--set", "objective.lambda=1.0"]);
    let rows = table(&desk, "s");
    assert_eq!(rows[2].last().map(String::as_str), Some("diverged"));
    assert!(
        rows[2][6..10].iter().all(String::is_empty) || rows[2].iter().filter(|c| c.is_empty()).count() >= 5,
        "{rows:?}"
    );
    assert!(outcome.stdout.contains("1 diverged"), "{}", outcome.stdout);
    let all = desk.run(&[
        "search",
        "my.toml",
        "--out",
        "t",
        "--set",
        "objective.lambda=1.0",
        "--set",
        "search.space={\"solver.sgd.learning_rate\"=[1e9,2e9]}",
    ]);
    assert_eq!((all.code, all.problem()), (Some(1), "every trial diverged"));
}

#[test]
fn folds_repeats_and_metrics() {
    for (table_text, folds, metric) in [
        ("folds = 3\nrepeats = 2", 6, "accuracy"),
        ("folds = 4\nmetric = \"macro_f1\"", 4, "macro_f1"),
        ("repeats = 3\nmetric = \"loss\"", 3, "loss"),
    ] {
        let (desk, _) = search(&searching(table_text, RATES), &["-q"]);
        let rows = table(&desk, "s");
        assert_eq!(numbers(&rows, "folds"), [f64::from(folds); 3], "{table_text}");
        let (scores, of_metric) = (numbers(&rows, "score"), numbers(&rows, metric));
        assert_eq!(scores, of_metric);
        assert!(scores.is_sorted_by(|a, b| if metric == "loss" { a <= b } else { a >= b }), "{scores:?}");
        assert!(numbers(&rows, "standard_error").iter().all(|e| *e > 0.0 && *e < 0.2));
    }
}

#[test]
fn the_exact_solver_follows_paths_side_by_side_and_certifies_every_model() {
    let config = searching("folds = 3", "\"objective.lambda\" = [1e-3, 1e-1, 1e-2]\n")
        .replace("[solver.sgd]\nlearning_rate = 0.01\nepochs = 2", "[solver.dual]\ngap = 1e-4");
    let (desk, outcome) = search(&config, &[]);
    assert!(outcome.stderr.contains("a path of 3 trials, fold "), "{}", outcome.stderr);
    let rows = table(&desk, "s");
    assert!(numbers(&rows, "relative_gap").iter().all(|gap| *gap > 0.0 && *gap <= 1e-4), "{rows:?}");
    assert_eq!(numbers(&rows, "folds"), [3.0; 3]);
    // The same bytes with one thread: a job has a thread to itself.
    desk.succeed(&["search", "my.toml", "--out", "one", "--threads", "1", "-q"]);
    assert_eq!(table(&desk, "one"), rows);
}

#[test]
fn halving_gives_the_best_more_and_ranks_them_first() {
    for resource in ["rows", "steps"] {
        let space = "\"solver.sgd.learning_rate\" = { log = [1e-5, 1e-1], points = 9 }\n";
        let halving = format!("\n[search.halving]\nfactor = 3\nrungs = 3\nresource = \"{resource}\"\n");
        let (desk, _) = search(&(searching("", space) + &halving), &["-q"]);
        let rows = table(&desk, "s");
        assert_eq!(numbers(&rows, "rung"), [2.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "{resource}");
        assert_eq!(desk.json("s/search.json")["fits"].as_u64(), Some(13));
        let text = desk.read("s/trials.jsonl");
        let work = |rung: u64| -> f64 {
            let of = text
                .lines()
                .flat_map(|l| serde_json::from_str::<Value>(l).unwrap()["fits"].as_array().unwrap().clone());
            of.filter(|f| f["rung"].as_u64() == Some(rung)).map(|f| f["steps"].as_f64().unwrap()).fold(0.0, f64::max)
        };
        // Two epochs of 1,151 rows in batches of 128: 18 steps; a third and a ninth of them, rounded to whole batches.
        assert_eq!(work(2), 18.0, "{resource}");
        assert!(work(1) <= 8.0 && work(0) <= 4.0, "{resource}: {} {}", work(1), work(0));
    }
}

#[test]
fn random_trials_and_budgets() {
    let space = "\"solver.sgd.learning_rate\" = { log = [1e-4, 1e-1] }\n\"preprocess.scale\" = [\"none\", \"std\"]\n";
    let (desk, _) = search(&searching("method = \"random\"\ntrials = 7", space), &["-q"]);
    let rows = table(&desk, "s");
    assert_eq!(rows.len(), 8);
    let rates = numbers(&rows, "solver.sgd.learning_rate");
    assert!(rates.iter().all(|r| (1e-4..=1e-1).contains(r)) && rates.iter().any(|r| *r != rates[0]), "{rates:?}");
    // A budget that is over at once trains nothing, and one that is not trains everything.
    let out = desk.run(&["search", "my.toml", "--out", "t", "--set", "search.seconds=1e-9"]);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    assert!(out.stderr.contains("the seconds of [search] were over"), "{}", out.stderr);
    assert_eq!(out.problem(), "no trial was trained");
    desk.succeed(&["search", "my.toml", "--out", "u", "--set", "search.seconds=600", "-q"]);
    assert_eq!(table(&desk, "u"), rows);
}

/// The number of kills in the test of them; 20 with `BURN_SVM_KILLS=20`. A search that is killed more often lasts longer.
fn kills() -> u64 {
    std::env::var("BURN_SVM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

#[test]
fn a_search_that_is_killed_again_and_again_ends_with_the_same_table() {
    let space = "\"solver.sgd.learning_rate\" = { log = [1e-4, 1e-1], points = 4 }\n\"objective.lambda\" = [1e-3, 1e-2]\n\"solver.sgd.optimizer\" = [\"sgd\", \"lamb\"]\n";
    let config = searching("folds = 3\nstacked = 4\nrefit = true", space)
        .replace("epochs = 2", &format!("epochs = {}", 12 * kills()));
    let (desk, _) = search(&config, &["-q"]);
    let whole = table(&desk, "s");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut kept: Vec<String> = Vec::new();
    let mut cut = 0;
    let mut delay = 7_u64;
    for kill in 0..kills() {
        let mut args = vec!["search", "my.toml", "--out", "k", "-q"];
        args.extend((kill > 0).then_some("--resume"));
        if kill > 0 && !desk.path("k/search.toml").exists() {
            args.pop();
        }
        let mut child = desk
            .command(&args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        delay = delay.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(30 + (delay >> 33) % 500));
        child.kill().unwrap();
        child.wait().unwrap();
        let Ok(text) = fs::read_to_string(desk.path("k/trials.jsonl")) else { continue };
        cut += usize::from(!text.is_empty() && !text.ends_with('\n'));
        let now: Vec<String> = lines(&text[..text.rfind('\n').map_or(0, |at| at + 1)]);
        assert_eq!(now[..kept.len()], kept, "kill {kill} lost finished trials");
        kept = now;
    }
    println!("{} jobs were done before the last kill; {cut} lines were cut off", kept.len());
    let resume = desk.path("k/search.toml").exists();
    let more: &[&str] = if resume { &["--resume"] } else { &[] };
    desk.succeed(&[&["search", "my.toml", "--out", "k", "-q"], more].concat());
    assert_eq!(table(&desk, "k"), whole);
    assert_eq!(lines(&desk.read("k/trials.jsonl"))[..kept.len()], kept);
    assert_eq!(
        desk.json("k/search.json")["refit"]["test_accuracy"],
        desk.json("s/search.json")["refit"]["test_accuracy"]
    );
    assert_eq!(desk.bytes("k/best/model.safetensors"), desk.bytes("s/best/model.safetensors"));
    // One that is done is not done again.
    let before = desk.read("k/trials.jsonl");
    desk.succeed(&["search", "my.toml", "--out", "k", "-q", "--resume"]);
    assert_eq!(desk.read("k/trials.jsonl"), before);
}

#[test]
fn an_interrupted_search_says_how_to_go_on() {
    let desk = Desk::new();
    desk.write("my.toml", searching("stacked = 1", BOTH).replace("epochs = 2", "epochs = 3000"));
    let child = desk
        .command(&["search", "my.toml", "--out", "s"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &id]).status();
    let output = child.wait_with_output().unwrap();
    if sent.is_ok_and(|s| s.success()) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("--resume takes the search up"), "{stderr}");
        assert!(desk.path("s/search.json").exists());
    }
}

#[test]
fn ctrl_c_while_the_best_is_trained_once_more_loses_nothing() {
    let desk = Desk::new();
    desk.write("my.toml", searching("refit = true", RATES).replace("epochs = 2", "epochs = 1500"));
    desk.succeed(&["search", "my.toml", "--out", "s", "-q"]);
    let mut child = desk
        .command(&["search", "my.toml", "--out", "k"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.by_ref().find(|line| line.contains("is trained once more, on 1438 rows")).unwrap();
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let stderr: Vec<String> = lines.collect();
    let code = child.wait().unwrap().code();
    if !sent.is_ok_and(|s| s.success()) {
        println!("skipped: there is no `kill`");
        return;
    }
    assert_eq!(code, Some(130), "{stderr:?}");
    assert!(stderr.iter().any(|line| line.contains("--resume takes the search up")), "{stderr:?}");
    let json = desk.json("k/search.json");
    assert_eq!((json["end"].as_str(), json["fits"].as_u64()), (Some("interrupted"), Some(3)));
    assert!(json["refit"].is_null());
    let done = desk.read("k/trials.jsonl");
    // Resumed, it continues from the checkpoint to the same bytes, and is then not done again.
    let resume = ["search", "my.toml", "--out", "k", "--resume"];
    let outcome = desk.succeed(&resume);
    assert!(outcome.stderr.contains("resuming from k/best/checkpoint"), "{}", outcome.stderr);
    assert_eq!(desk.read("k/trials.jsonl"), done);
    assert_eq!(desk.bytes("k/best/model.safetensors"), desk.bytes("s/best/model.safetensors"));
    let refit = desk.json("k/search.json")["refit"].clone();
    assert_eq!(refit["test_accuracy"], desk.json("s/search.json")["refit"]["test_accuracy"]);
    let outcome = desk.succeed(&resume);
    assert!(!outcome.stderr.contains("once more"), "{}", outcome.stderr);
    assert_eq!(desk.json("k/search.json")["refit"], refit);
    // A search that begins anew takes nothing of an earlier one's.
    let outcome = desk.succeed(&["search", "my.toml", "--out", "k", "--force"]);
    assert!(outcome.stderr.contains("once more") && !outcome.stderr.contains("going on"), "{}", outcome.stderr);
}

/// Two searches on one folder would do jobs twice, and one that begins anew would take the files of the other away.
#[test]
fn two_processes_do_not_write_one_search() {
    if !cfg!(unix) {
        println!("skipped: locks are used on Unix only");
        return;
    }
    let (desk, _) = search(&searching("refit = true", RATES), &["-q"]);
    let held = Ledger::resume(&desk.path("s"), &desk.read("s/search.toml")).unwrap().unwrap();
    let before = desk.read("s/trials.jsonl");
    for how in ["--resume", "--force"] {
        let busy = desk.run(&["search", "my.toml", "--out", "s", "-q", how]);
        assert_eq!((busy.code, busy.problem()), (Some(2), "s: another process is writing this search"), "{how}");
        assert_eq!(busy.hint(), "wait for it to end, or name another folder with --out");
    }
    assert_eq!(desk.read("s/trials.jsonl"), before);
    drop(held);
    desk.succeed(&["search", "my.toml", "--out", "s", "-q", "--resume"]);
    // Several at once: one does the jobs, and the others are refused meanwhile.
    desk.write("my.toml", searching("stacked = 1", BOTH).replace("epochs = 2", "epochs = 300"));
    let start = |_| {
        desk.command(&["search", "my.toml", "--out", "t", "-q", "--force"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let started: Vec<_> = (0..3).map(start).collect();
    let ended: Vec<_> = started.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    assert!(ended.contains(&Some(0)) && ended.iter().all(|code| matches!(code, Some(0 | 2))), "{ended:?}");
    let text = desk.read("t/trials.jsonl");
    let jobs: BTreeSet<String> =
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["job"].to_string()).collect();
    assert_eq!((jobs.len(), text.lines().count()), (6, 6), "{text}");
    // One that is killed holds nothing.
    let mut killed = desk.command(&["search", "my.toml", "--out", "k", "-q"]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while fs::read_to_string(desk.path("k/trials.jsonl")).map_or(0, |text| text.lines().count()) < 1 {
        assert!(begun.elapsed().as_secs() < 60, "no job ends");
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    desk.succeed(&["search", "my.toml", "--out", "k", "-q", "--resume"]);
    assert_eq!(desk.read("k/trials.jsonl").lines().count(), 6);
}

/// A line that stands twice, as two processes of an older version could write it, is one job.
#[test]
fn a_job_that_stands_twice_counts_once() {
    let (desk, _) = search(&searching("folds = 3\nrefit = true", BOTH), &["-q"]);
    let (whole, ledger) = (table(&desk, "s"), desk.read("s/trials.jsonl"));
    let best = desk.bytes("s/best/model.safetensors");
    let lines: Vec<&str> = ledger.lines().collect();
    // Again as it was, and with another score and other seconds: the first counts.
    let other = lines[1].replace("\"accuracy\":0.", "\"accuracy\":0.0").replace("\"wall\":", "\"wall\":1");
    assert_ne!(other, lines[1]);
    let twice = [&lines[..], &[lines[0], &other, lines[2]]].concat().join("\n") + "\n";
    desk.write("s/trials.jsonl", twice);
    let resumed = desk.succeed(&["search", "my.toml", "--out", "s", "--resume"]);
    assert!(resumed.stderr.contains("18 of them done before"), "{}", resumed.stderr);
    assert_eq!(table(&desk, "s"), whole);
    assert_eq!(desk.json("s/search.json")["fits"].as_u64(), Some(18));
    assert_eq!(desk.bytes("s/best/model.safetensors"), best);
    desk.succeed(&["report", "s"]);
}

/// The `[search]` table and the text behind it, the problem behind `my.toml: `, the hint.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "",
        "search.space is empty: there is nothing to search",
        "name keys and their values: \"solver.sgd.learning_rate\" = { log = [1e-4, 1.0], points = 5 }",
    ),
    (
        "",
        "\"data.digits\" = [1]\n",
        "search.space.data.digits: all trials share this key",
        "the space is over seed, gradient, preprocess, objective, loss, solver, early_stopping and split.train_rows",
    ),
    ("folds = 1", RATES, "search.folds: found 1, expected 0, or 2 or more", "0 takes the validation rows of [split]"),
    ("folds = 5000", RATES, "search.folds: found 5000 folds of 1438 rows", "each fold needs a row"),
    (
        "",
        "\"solver.sgd.learning_rate\" = { log = [1e-3, 1.0] }\n",
        "search.space.solver.sgd.learning_rate: a grid needs to know how many `points` of the range",
        "add `points = 5`, or set `method = \"random\"`",
    ),
    (
        "",
        "\"solver.sgd.learning_rte\" = [1.0]\n",
        "search.space: with solver.sgd.learning_rte = 1.0: unknown field `learning_rte`, expected one of `optimizer`, `learning_rate`, `schedule`, `warmup_steps`, `clip_norm`, `clip_value`, `batch_size`, `sampling`, `steps`, `epochs`, `init_std`, `log_every`, `resident_mb`, `momentum`, `nesterov`, `adam`, `adamw`, `rmsprop`, `adagrad`, `lion`, `adan`, `lamb`, `adafactor`, `muon`, `linear`, `cosine`, `exponential`, `step`",
        "did you mean `learning_rate`?",
    ),
    (
        "",
        "\"objective.c\" = [1.0]\n",
        "search.space: with objective.c = 1.0: [objective] needs exactly one of `lambda`, `reg` and `c`: found `lambda` and `c`",
        "lambda: ½λ‖W‖²; reg: CS231n's reg·ΣW², λ = 2·reg; c: LIBLINEAR's C = 1/(λ·n)",
    ),
    (
        "metric = \"loss\"",
        "\"loss.weston_watkins.power\" = [1, 2]\n",
        "search.metric is `loss`, but the space is over losses, which have different scales",
        "rank by `metric = \"accuracy\"` or \"macro_f1\"",
    ),
    (
        "",
        "a = { uniform = [0.0, 1.0], points = 1000 }\nb = { uniform = [0.0, 1.0], points = 1000 }\n",
        "search.space: found 1000000 trials, expected at most 100000",
        "set `trials`, which takes a drawn part",
    ),
];

#[test]
fn mistakes_in_a_search_are_sentences_with_hints() {
    let desk = Desk::new();
    let mut verdict = Verdict::default();
    for (table, space, problem, hint) in MISTAKES {
        desk.write("my.toml", searching(table, space));
        let outcome = desk.run(&["search", "my.toml", "--out", "s"]);
        verdict.hold(
            &Case { what: &format!("{table} {space}"), problem: &format!("my.toml: {problem}"), hint },
            &outcome,
            2,
        );
        assert!(!desk.path("s/search.toml").exists(), "{space}: a folder was made");
    }
    // Not about the table itself.
    desk.write("my.toml", SMALL);
    let none = desk.run(&["search", "my.toml"]);
    verdict.hold(
        &Case {
            what: "no table",
            problem: "my.toml: there is no [search] table",
            hint: "configs/search-cs231n.toml is an example",
        },
        &none,
        2,
    );
    desk.write("my.toml", searching("", RATES).replace("validation = 0.2", ""));
    let rows = desk.run(&["search", "my.toml"]);
    verdict.hold(&Case { what: "no rows", problem: "my.toml: a search needs rows to judge trials by, but [split] holds none out and `folds` is not set", hint: "set `validation` of [split], for example 0.1, or `folds = 5` of [search]" }, &rows, 2);
    desk.write(
        "my.toml",
        searching("repeats = 2", RATES).replace("validation = 0.2", "validation = 0.2\nmethod = \"last\""),
    );
    let same = desk.run(&["search", "my.toml"]);
    verdict.hold(
        &Case {
            what: "last",
            problem: "my.toml: search.repeats: the last rows are the same each time",
            hint: "set `method = \"stratified\"` of [split], or `folds` of [search]",
        },
        &same,
        2,
    );
    desk.write("my.toml", searching("", RATES));
    let resume = desk.run(&["search", "my.toml", "--out", "s", "--resume"]);
    verdict.hold(
        &Case {
            what: "nothing to resume",
            problem: "s: --resume: there is no `search.toml`, the folder holds no search",
            hint: "leave --resume out to begin one",
        },
        &resume,
        2,
    );
    desk.succeed(&["search", "my.toml", "--out", "s", "-q"]);
    let taken = desk.run(&["search", "my.toml", "--out", "s"]);
    verdict.hold(
        &Case {
            what: "taken",
            problem: "s: holds a run already",
            hint: "resume it with --resume, name another folder with --out, or overwrite it with --force",
        },
        &taken,
        2,
    );
    let other = desk.run(&["search", "my.toml", "--out", "s", "--resume", "--set", "seed=1"]);
    verdict.hold(
        &Case {
            what: "another",
            problem: "s: --resume: the search was begun with another configuration, different in line 2",
            hint: "`search.toml` there is the configuration it was begun with",
        },
        &other,
        2,
    );
    let nowhere = desk.run(&["search", "my.toml", "--resume"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stderr);
    verdict.assert();
}
