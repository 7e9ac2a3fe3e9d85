//! Help for people: examples that parse, completions, the manual, weights by name, and the next step after a bare mistake.

use crate::program::{Desk, SMALL, outcome};
use std::fs;

const COMMANDS: [&str; 17] = [
    "init",
    "train",
    "evaluate",
    "certify",
    "predict",
    "weights",
    "gradcheck",
    "search",
    "plot",
    "report",
    "export",
    "fetch",
    "devices",
    "selfcheck",
    "reference",
    "completions",
    "man",
];

#[test]
fn every_command_has_a_sentence_and_an_example() {
    let desk = Desk::new();
    let whole = desk.succeed(&["--help"]).stdout;
    let listed =
        whole.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  ")).map(|(name, _)| name.trim());
    let listed: Vec<&str> =
        listed.filter(|name| !name.is_empty() && !name.starts_with('-') && *name != "help").collect();
    for command in &listed {
        let help = desk.succeed(&[command, "--help"]).stdout;
        let example = help.lines().find_map(|line| line.strip_prefix("  burn-svm "));
        let example = example.unwrap_or_else(|| panic!("{command} has no example: {help}"));
        assert!(example.contains(&format!("{command} ")) || example == *command, "{command}: {example}");
    }
    for command in COMMANDS {
        assert!(listed.contains(&command), "{command}: {listed:?}");
    }
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = desk.succeed(&["completions", shell]).stdout;
        COMMANDS.iter().for_each(|command| assert!(script.contains(command), "{shell}: {command}"));
        assert!(script.contains("--probabilities") || script.contains("probabilities"), "{shell}");
    }
    let refused = desk.run(&["completions", "tcsh"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("bash"), "{refused:?}");
    let manual = desk.succeed(&["man"]).stdout;
    assert!(manual.contains(".TH") && manual.contains("Exit codes"), "{manual}");
    COMMANDS.iter().for_each(|command| assert!(manual.contains(command), "{command}"));
}

/// Two classes that the first feature separates, by far the larger weight.
const TABLE: &str =
    "size,noise,kind\n-2,0.1,small\n-1,-0.2,small\n-1.5,0.3,small\n1,0.2,large\n2,-0.1,large\n1.5,0.0,large\n";
const CONFIG: &str = "[data.csv]\ntrain = \"table.csv\"\nlabel = \"kind\"\n[preprocess]\nscale = \"std\"\n[objective]\nc = 1.0\n\
                      [loss.weston_watkins]\n[solver.dual]\n";

#[test]
fn weights_are_listed_by_name_the_largest_first() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let listed = desk.succeed(&["weights", "run", "--top", "1"]).stdout;
    for class in ["class large, bias ", "class small, bias "] {
        let lines: Vec<&str> = listed.lines().skip_while(|line| !line.starts_with(class)).take(3).collect();
        assert!(lines[1].starts_with("feature") && lines[1].ends_with("per raw unit"), "{listed}");
        assert!(lines[2].starts_with("size "), "{listed}");
    }
    assert!(!listed.contains("noise"), "{listed}");
    let json: serde_json::Value = serde_json::from_str(&desk.succeed(&["weights", "run", "--json"]).stdout).unwrap();
    let first = &json[0]["weights"];
    assert_eq!((json[0]["class"].as_str(), first[0]["feature"].as_str()), (Some("large"), Some("size")));
    // W of two classes is a mirror, and the weight of a scaled column is that of the raw one times its deviation.
    let number = |class: usize, key: &str| json[class]["weights"][0][key].as_f64().unwrap();
    assert!((number(0, "weight") + number(1, "weight")).abs() < 1e-9, "{json}");
    let deviation = ((4.0 + 1.0 + 2.25) / 3.0f64).sqrt();
    assert!((number(0, "weight") / number(0, "raw_weight") - deviation).abs() < 1e-6, "{json}");
    // Without names, features have the numbers of the rows of `weight`.
    desk.write("digits.toml", SMALL);
    desk.succeed(&["train", "digits.toml", "--out", "digits", "-q"]);
    assert!(desk.succeed(&["weights", "digits"]).stdout.contains("\nfeature 2"));
    assert_eq!(desk.run(&["weights", "digits", "--top", "0"]).code, Some(2));
}

#[test]
fn a_bare_mistake_gets_the_next_step() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "runs/mine", "-q"]);
    let of_folder = desk.run(&["predict", "runs", "table.csv"]);
    assert_eq!(of_folder.hint(), "the folder holds a run: name runs/mine");
    desk.succeed(&["train", "my.toml", "--out", "runs/other", "-q"]);
    let of_folder = desk.run(&["evaluate", "runs"]);
    assert_eq!(of_folder.hint(), "the folder holds runs, name one of them: runs/other, runs/mine");
    let of_data = desk.run(&["train", "table.csv"]);
    assert_eq!(
        (of_data.code, of_data.problem()),
        (Some(2), "table.csv: found a data file (csv), expected a configuration")
    );
    assert!(of_data.hint().starts_with("`burn-svm init FILE`"), "{of_data:?}");
    for (key, hint) in [
        ("validation=0.1", "did you mean `split.validation`?"),
        ("margin=2", "did you mean `loss.weston_watkins.margin`?"),
        ("gap=1e-4", "did you mean `solver.dual.gap`?"),
        ("label=x", "did you mean `data.csv.label`?"),
        ("scale=std", "did you mean `preprocess.scale`?"),
    ] {
        let refused = desk.run(&["train", "my.toml", "--set", key]);
        assert_eq!((refused.code, refused.hint()), (Some(2), hint), "{refused:?}");
    }
    desk.write("sgd.toml", SMALL);
    assert_eq!(desk.run(&["train", "sgd.toml", "--set", "log_every=1"]).hint(), "did you mean `solver.sgd.log_every`?");
}

#[test]
fn a_run_folder_is_evaluated_from_any_folder() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("here/data")).unwrap();
    fs::create_dir_all(desk.path("there/data")).unwrap();
    desk.write("here/data/table.csv", TABLE);
    desk.write("here/my.toml", CONFIG.replace("table.csv", "data/table.csv"));
    let inside = |folder: &str, arguments: &[&str]| {
        let mut command = desk.command(arguments);
        outcome(command.current_dir(desk.path(folder)))
    };
    assert_eq!(inside("here", &["train", "my.toml", "--out", "run", "-q"]).code, Some(0));
    let near = inside("here", &["evaluate", "run"]);
    let far = inside("there", &["evaluate", "../here/run"]);
    assert_eq!((near.code, far.code), (Some(0), Some(0)), "{far:?}");
    let table = |text: &str| text.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(table(&near.stdout), table(&far.stdout));
    assert!(far.stderr.contains(&desk.path("here/data/table.csv").display().to_string()), "{far:?}");
    // A file of the same name in the folder of the command is not the one that was trained on.
    desk.write("there/data/table.csv", TABLE.replace("small", "large"));
    assert_eq!(table(&inside("there", &["evaluate", "../here/run"]).stdout), table(&near.stdout));
    // Data that are gone there are looked for as before.
    fs::rename(desk.path("here/data"), desk.path("here/gone")).unwrap();
    desk.write("there/data/table.csv", TABLE);
    assert_eq!(table(&inside("there", &["evaluate", "../here/run"]).stdout), table(&near.stdout));
}
