//! Everyday tables: words, missing values, truth values, dates, columns that number rows; from `init` to predictions on raw rows.

use crate::program::{Case, Desk, Verdict, outcome, repository};
use burn_svm::{Cells, Frame, FrameColumn, Model};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

/// A newcomer's table: an id, two columns of words, two of numbers, a date, a truth value, and 3 % of the cells missing. The kind follows
/// from island and bill, mostly.
fn birds(n: usize, labelled: bool) -> String {
    let mut text = String::from(if labelled {
        "id,island,sex,bill,mass,seen,tagged,kind\n"
    } else {
        "id,island,sex,bill,mass,seen,tagged\n"
    });
    let noise = |i: usize, j: usize| {
        let x = (i * 7 + j * 3 + 1) as f64 * 0.618_033_988_749_894_9;
        x - x.floor()
    };
    for i in 0..n {
        let kind = i % 3;
        let island = ["Biscoe", "Dream", "\"Cape, the\""][(kind + usize::from(noise(i, 1) > 0.9)) % 3];
        let sex = if noise(i, 2) > 0.5 { "male" } else { "female" };
        let bill = format!("{:.1}", 38.0 + 6.0 * kind as f64 + 4.0 * noise(i, 3));
        let mass = format!("{:.0}", 3500.0 + 900.0 * noise(i, 4));
        let seen = format!("2007-{:02}-{:02}", 1 + i % 12, 1 + i % 28);
        let tagged = if noise(i, 5) > 0.5 { "True" } else { "False" };
        let cells = [island.to_owned(), sex.into(), bill, mass, seen, tagged.into()];
        write!(text, "{}", 1001 + i).unwrap();
        for (j, cell) in cells.iter().enumerate() {
            let missing = ["", "NA", "NaN", "?"][(i + j) % 4];
            write!(text, ",{}", if noise(i, 6 + j) < 0.03 { missing } else { cell }).unwrap();
        }
        writeln!(text, "{}", if labelled { [",ant", ",bee", ",cat"][kind] } else { "" }).unwrap();
    }
    text
}

/// Feeds text to a command.
fn fed(desk: &Desk, args: &[&str], input: &str) -> crate::program::Outcome {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    outcome(desk.command(args).stdin(Stdio::from(file.reopen().unwrap())))
}

#[test]
fn a_newcomers_table_trains_and_predicts_without_an_edit() {
    let desk = Desk::new();
    desk.write("birds.csv", birds(600, true)).write("new.csv", birds(60, false));
    let seen = desk.succeed(&["init", "birds.csv"]).stderr;
    for line in [
        "the label is taken to be column `kind`",
        "id      numbers        0  1001 to 1600; left out: numbers rows",
        "words",
        "dates",
        "600 rows, 8 columns, 3 classes: `ant` 200, `bee` 200, `cat` 200",
        "birds.toml is written. To train: burn-svm train birds.toml",
    ] {
        assert!(seen.contains(line), "{line}\n{seen}");
    }
    let trained = desk.succeed(&["train", "birds.toml", "--out", "run"]);
    assert!(
        trained.stderr.contains("480 train, 0 validation, 120 test rows; 9 features (f32), 3 classes"),
        "{}",
        trained.stderr
    );
    assert!(desk.json("run/result.json")["test_accuracy"].as_f64().unwrap() > 0.9);
    let weights = desk.succeed(&["weights", "run"]).stdout;
    for name in ["island=Biscoe", "island=Cape, the", "sex=male", "bill", "seen", "tagged"] {
        assert!(weights.contains(name), "{name}\n{weights}");
    }
    // Raw rows, with and without the columns that are no features, in any order, and a bare one.
    let labels = desk.succeed(&["predict", "run", "new.csv"]).stdout;
    let right = labels.lines().enumerate().filter(|(i, label)| ["ant", "bee", "cat"][i % 3] == *label).count();
    assert!(labels.lines().count() == 60 && right > 54, "{right}");
    let turned = "tagged,mass,sex,seen,bill,island\nTrue,4000,male,2007-03-04,45,Dream\n";
    let own = desk.write("one.csv", turned).succeed(&["predict", "run", "one.csv", "--scores"]).stdout;
    let bare = fed(&desk, &["predict", "run", "-", "--scores"], "Dream,male,45,4000,2007-03-04,True\n");
    assert_eq!((bare.code, &bare.stdout), (Some(0), &own), "{}", bare.stderr);
    let unseen = fed(&desk, &["predict", "run", "-"], "Elsewhere,male,45,4000,2007-03-04,True\n");
    let note = "note: column `island`: 1 row has a category that no training row has, as `Elsewhere`: none of its features is set\n";
    assert_eq!(unseen.stderr, note);
    desk.write("more.csv", birds(90, true).replace("Dream", "Elsewhere"));
    let evaluated = desk.succeed(&["evaluate", "run", "--data", "more.csv"]);
    assert!(
        evaluated.stderr.contains("have a category that no training row has, as `Elsewhere`"),
        "{}",
        evaluated.stderr
    );
    assert!(evaluated.stdout.starts_with("90 rows: more.csv\n"));
    // The run's own data, and a proof on them.
    let evaluated = desk.succeed(&["evaluate", "run", "--json"]).stdout;
    let accuracy = serde_json::from_str::<serde_json::Value>(&evaluated).unwrap()["accuracy"].clone();
    assert_eq!(accuracy, desk.json("run/result.json")["test_accuracy"]);
    assert!(desk.succeed(&["certify", "run"]).stdout.contains("gap"));
    desk.succeed(&["report", "run"]);
}

/// Marks of missing values among numbers, dates of other forms, and the probabilities of a first model.
#[test]
fn a_table_with_marks_and_written_dates_trains_as_it_is() {
    let desk = Desk::new();
    let row = |i: usize, label: &str| {
        let price =
            if i % 9 == 4 { ["-", "--", "unknown"][i % 3].to_owned() } else { format!("{}.5", 3 * (i % 3) + i % 4) };
        let day =
            if i.is_multiple_of(5) { format!("2022-10-{:02}", 1 + i % 28) } else { format!("{}.10.2022", 1 + i % 28) };
        format!("{price};{day};{:02}/{:02}/{};{}\n", 1 + i % 12, 1 + i % 28, 1990 + i, label)
    };
    let rows: String = (0..300).map(|i| row(i, ["low", "mid", "top"][i % 3])).collect();
    let seen = desk.write("shop.csv", format!("price;day;other;kind\n{rows}")).succeed(&["init", "shop.csv"]).stderr;
    for line in [
        "price   numbers       33  0.5 to 9.5",
        "day     dates          0  2022-10-01 to 2022-10-28",
        "left out: dates, perhaps, of a form that is not read",
    ] {
        assert!(seen.contains(line), "{line}\n{seen}");
    }
    desk.succeed(&["train", "shop.toml", "--out", "run", "-q"]);
    let said = fed(&desk, &["predict", "run", "-", "--probabilities"], "-,3.10.2022\n4.5,2022/10/03\n");
    assert_eq!((said.code, said.stdout.lines().count()), (Some(0), 2), "{}", said.stderr);
    for line in said.stdout.lines() {
        let sum: f64 = line.split('\t').skip(1).map(|word| word.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{line}");
    }
    // Among words a mark is a word.
    desk.write("words.csv", "a,b,kind\nx,1,u\n-,2,v\ny,3,u\n-,4,v\n");
    let args = ["train", "words.toml", "--out", "words", "-q"];
    desk.write("words.toml", "[data.csv]\ntrain = 'words.csv'\nlabel = 'kind'\n[preprocess]\ncategories = 'one-hot'\n");
    desk.succeed(&args);
    assert!(desk.succeed(&["weights", "words"]).stdout.contains("a=-"));
    let strict = desk
        .write("words.toml", "[data.csv]\ntrain = 'words.csv'\nlabel = 'kind'\n")
        .write("words.csv", "b,kind\n1,u\n-,v\n");
    let refused = strict.run(&["train", "words.toml", "--out", "strict"]);
    assert!(refused.stderr.contains("words.csv:3: column `b`: the value is missing, found `-`"), "{}", refused.stderr);
}

/// The same table as a program has it in memory.
#[test]
fn the_library_takes_the_table_of_a_model_file() {
    let desk = Desk::new();
    desk.write("birds.csv", birds(300, true)).succeed(&["init", "birds.csv"]);
    desk.succeed(&["train", "birds.toml", "--out", "run", "-q"]);
    let model = Model::load(desk.path("run")).unwrap();
    let one = |name: &str, value: f64| FrameColumn::numbers(name, vec![value]);
    let word = |name: &str, word: &str| FrameColumn::words(name, [Some(word)]);
    let frame = Frame::new(vec![
        word("sex", "male"),
        word("island", "Dream"),
        one("bill", 45.0),
        one("mass", f64::NAN),
        one("seen", 13_576.0),
        one("tagged", 1.0),
    ]);
    let frame = frame.unwrap();
    assert!(matches!(&frame.columns()[2].cells, Cells::Numbers(values) if values == &[45.0]));
    let scores = model.scores(&model.encode(&frame).unwrap()).unwrap();
    // 2007-03-04 is day 13,576; what is missing in the file is missing there, too.
    let told = fed(&desk, &["predict", "run", "-", "--scores"], "Dream,male,45,,2007-03-04,true\n").stdout;
    let told: Vec<f64> = told.trim().split('\t').skip(1).map(|word| word.parse().unwrap()).collect();
    assert_eq!(scores, told);
}

#[test]
fn cells_that_nothing_was_said_about_are_refused_with_the_key() {
    let config = "[data.csv]\ntrain = 'train.csv'\nlabel = 'kind'\n";
    let word = "`categories = \"one-hot\"` of [preprocess] takes words as categories; `ignore` leaves the column out";
    let lacks = "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out";
    let mixed = "a column is of one kind; `categories = \"one-hot\"` of [preprocess] takes any as words, `ignore` leaves it out";
    let mut verdict = Verdict::default();
    for (what, cells, problem, hint) in [
        ("a word", ["1", "red"], "found `red`, expected a number", word),
        ("missing", ["1", ""], "the value is missing", lacks),
        ("missing by name", ["1", "<NA>"], "the value is missing, found `<NA>`", lacks),
        (
            "infinite",
            ["1", "inf"],
            "`inf` is not finite",
            "leave the cell empty and set `missing` of [preprocess], or `ignore` the column",
        ),
        (
            "thousands",
            ["1", "\"1,234\""],
            "found `1,234`, expected a number",
            "write numbers without a sign between thousands: 1234, not 1,234",
        ),
        ("no more numbers", ["2024-03-01", "7"], "found `7` in a column of dates", mixed),
        ("no more dates", ["2024-03-01", "red"], "found `red`, expected a date as 2024-03-01", word),
        ("a missing date", ["2024-03-01", "NA"], "the value is missing, found `NA`", lacks),
    ] {
        let desk = Desk::new();
        desk.write("my.toml", config);
        // Beyond the lines that are looked at first.
        let mut text = String::from("size,kind\n");
        (0..1500).for_each(|i| writeln!(text, "{},{}", cells[0], ["u", "v"][i % 2]).unwrap());
        writeln!(text, "{},u", cells[1]).unwrap();
        desk.write("train.csv", text);
        let problem = format!("train.csv:1502: column `size`: {problem}");
        verdict.hold(&Case { what, problem: &problem, hint }, &desk.run(&["train", "my.toml", "--out", "run"]), 1);
    }
    verdict.assert();
}

#[test]
fn a_model_says_what_it_was_trained_on() {
    let desk = Desk::new();
    let config = "[data.csv]\ntrain = 'train.csv'\nlabel = 'kind'\n[preprocess]\ncategories = 'one-hot'\n";
    desk.write("my.toml", config);
    desk.write(
        "train.csv",
        "size,hue,day,kind\n1,red,2024-03-01,u\n2,blue,2024-03-02,v\n3,red,2024-03-03,u\n9,blue,2024-03-09,v\n",
    );
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let mut verdict = Verdict::default();
    for (what, row, problem, hint) in [
        (
            "a word",
            "red,red,2024-03-01",
            "column `size`: found `red`, expected a number",
            "the model was trained on numbers in this column",
        ),
        (
            "a missing number",
            ",red,2024-03-01",
            "column `size`: the value is missing",
            "the model was trained without `missing` of [preprocess], which would fill the value in",
        ),
        (
            "a missing word",
            "1,NA,2024-03-01",
            "column `hue`: the value is missing, found `NA`",
            "the model was trained without `missing` of [preprocess], which would fill the value in",
        ),
        (
            "no date",
            "1,red,7",
            "column `day`: found `7`, expected a date as 2024-03-01",
            "the model was trained on dates in this column",
        ),
    ] {
        desk.write("x.csv", format!("size,hue,day\n{row}\n"));
        let problem = format!("x.csv:2: {problem}");
        verdict.hold(&Case { what, problem: &problem, hint }, &desk.run(&["predict", "run", "x.csv"]), 1);
    }
    verdict.assert();
}

/// Each table, the label that is asked for, and features of the model that comes of it.
#[test]
fn what_init_writes_trains_whatever_the_table_is_like() {
    let mut many = String::from("name,code,amount,flag,Target\n");
    (0..80).for_each(|i| writeln!(many, "person {i},{:03},{},{},{}", i % 4, i * i % 7, i % 2 == 0, i % 2).unwrap());
    let semicolons = (0..30).fold("größe;farbe;klasse\n".to_owned(), |t, i| {
        t + &format!("{},5;{};k{}\n", i % 5, ["rot", "blau"][i % 2], i % 2)
    });
    let bare = (0..30).fold(String::new(), |t, i| t + &format!("{}\t{}\t{}\n", i % 2, i % 5, ["no", "yes"][i % 2]));
    let times = (0..30).fold("when,what\n".to_owned(), |t, i| {
        t + &format!("2024-03-{:02} 12:00:00,{}\n", 1 + i % 28, ["a", "b"][i % 2])
    });
    let quoted = (0..30).fold("\"a \"\"b\"\"\",\"c\nd\",y\n".to_owned(), |t, i| {
        t + &format!("\"x, {}\",{},\"{}\"\n", i % 3, i, ["p", "q"][i % 2])
    });
    let constant =
        (0..30).fold("same,none,x,class\n".to_owned(), |t, i| t + &format!("1,,{},{}\n", i % 4, ["p", "q"][i % 2]));
    let index = (0..30).fold(",x,colour,last\n".to_owned(), |t, i| {
        t + &format!("{i},{},{},{}\n", i % 4, ["r", "g"][i % 2], ["p", "q"][i % 2])
    });
    for (what, text, args, features) in [
        ("ids, codes and truth values", many.as_str(), &[][..], &["code", "amount", "flag"][..]),
        ("another label", &many, &["--label", "flag"], &["code", "amount", "Target"]),
        ("decimal commas", &semicolons, &[], &["größe", "farbe=blau", "farbe=rot"]),
        ("no header", &bare, &[], &["x1", "x2"]),
        ("times", &times, &[], &["when"]),
        ("quotes", &quoted, &["--label", "-1"], &["a \"b\"=x, 0", "a \"b\"=x, 1", "a \"b\"=x, 2"]),
        ("columns that say nothing", &constant, &[], &["x"]),
        ("the index of pandas", &index, &[], &["x", "colour=g", "colour=r"]),
    ] {
        let desk = Desk::new();
        desk.write("table.csv", text);
        let mut init = vec!["init", "table.csv"];
        init.extend(args);
        let seen = desk.succeed(&init).stderr;
        desk.succeed(&["train", "table.toml", "--out", "run", "-q"]);
        let model = burn_svm_cli::model_file::load(&desk.path("run")).unwrap();
        assert_eq!(model.feature_names.unwrap(), features, "{what}\n{seen}\n{}", desk.read("table.toml"));
        let again = desk.run(&["init", "table.csv"]);
        assert_eq!((again.code, again.problem()), (Some(2), "table.toml: is there already"), "{what}");
        init.push("--force");
        desk.succeed(&init);
    }
}

#[test]
fn init_knows_data_that_are_no_tables() {
    let desk = Desk::new();
    for file in ["cli/tests/fixtures/model-v1.rows", "cli/tests/fixtures/formats/pandas.parquet"] {
        let stem = file.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned() + ".toml";
        let label = if file.ends_with("parquet") { &["--label", "kind"][..] } else { &[] };
        let file = repository(file);
        let mut args = vec!["init", &file];
        args.extend(label);
        desk.succeed(&args);
        desk.succeed(&["train", &stem, "--out", "run", "-q", "--force"]);
    }
    // A folder of part files.
    std::fs::create_dir(desk.path("parts")).unwrap();
    desk.write("parts/0.parquet", std::fs::read(repository("cli/tests/fixtures/formats/birds.parquet")).unwrap());
    let seen = desk.succeed(&["init", "parts"]).stderr;
    assert!(
        seen.contains("the label is taken to be column `species`") && seen.contains("150 rows, 7 columns"),
        "{seen}"
    );
    desk.succeed(&["train", "parts.toml", "--out", "run", "-q", "--force"]);
    let on_stdout = desk.write("a.csv", birds(30, true)).succeed(&["init", "a.csv", "--out", "-"]).stdout;
    assert!(on_stdout.contains("[data.csv]\n") && !desk.path("a.toml").exists());
    let problem = desk.write("prices.csv", "x,y\n1,2.5\n2,3.25\n3,1.75\n").run(&["init", "prices.csv"]);
    assert_eq!(problem.problem(), "prices.csv: found label `2.5` among labels that are all numbers, expected classes");
}

/// One table as csv and as Parquet: one model, whichever it was trained on and whichever is predicted.
#[test]
fn a_table_is_the_same_in_every_format() {
    let desk = Desk::new();
    let mut scores = Vec::new();
    for format in ["csv", "parquet"] {
        let file = format!("birds.{format}");
        desk.write(&file, std::fs::read(repository(&format!("cli/tests/fixtures/formats/{file}"))).unwrap());
        let toml = format!("{format}.toml");
        desk.succeed(&["init", &file, "--out", &toml]);
        let seen = desk.read(&toml);
        assert!(seen.contains("ignore = [\"id\"]") && seen.contains("label = \"species\""), "{seen}");
        let category = format!("data.{format}.category=[\"zip\"]");
        desk.succeed(&["train", &toml, "--out", format, "--set", &category, "-q"]);
    }
    for run in ["csv", "parquet"] {
        let names = burn_svm_cli::model_file::load(&desk.path(run)).unwrap().feature_names.unwrap();
        let all = [
            "island=Biscoe",
            "island=Dream",
            "island=Torgersen",
            "bill",
            "zip=8000",
            "zip=8001",
            "zip=8002",
            "zip=8003",
        ];
        assert_eq!(names[..8], all, "{run}");
        for file in ["birds.csv", "birds.parquet"] {
            scores.push((run, file, desk.succeed(&["predict", run, file, "--scores"]).stdout));
        }
        desk.succeed(&["evaluate", run, "--data", "birds.parquet"]);
    }
    assert!(scores[0].2.lines().count() == 150);
    // Times that are all midnights are dates.
    scores.iter().for_each(|(run, file, found)| assert_eq!(*found, scores[0].2, "{run} {file}"));
    let mut verdict = Verdict::default();
    let hint = "`categories = \"one-hot\"` of [preprocess] takes words as categories; `ignore` leaves the column out";
    let problem = "birds.parquet: record 1: column `island`: found `Biscoe`, expected a number";
    desk.write("my.toml", "[data.parquet]\ntrain = 'birds.parquet'\nlabel = 'species'\n");
    verdict.hold(&Case { what: "words", problem, hint }, &desk.run(&["train", "my.toml", "--out", "x"]), 1);
    let hint = "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out";
    let outcome = desk.run(&["train", "my.toml", "--out", "x", "--set", "preprocess.categories=one-hot"]);
    assert!(outcome.problem().contains("the value is missing") && outcome.hint() == hint, "{}", outcome.stderr);
    verdict.assert();
}

/// The scores of a search are those of models whose tables were encoded on the rows of their folds.
#[test]
fn the_folds_of_a_search_encode_their_own_rows() {
    let desk = Desk::new();
    let config = "[data.csv]\ntrain = 'birds.csv'\nlabel = 'kind'\nignore = ['id']\n[preprocess]\ncenter = 'mean'\nscale = 'std'\n\
                  categories = 'one-hot'\nmissing = 'mean'\n[search]\nfolds = 3\nrefit = true\n[search.space]\n\"objective.c\" = [0.1, 1.0]\n\
                  \"preprocess.missing\" = ['mean', 'median']\n";
    desk.write("birds.csv", birds(120, true)).write("my.toml", config);
    desk.succeed(&["search", "my.toml", "--out", "found", "-q"]);
    let best = burn_svm_cli::model_file::load(&desk.path("found/best")).unwrap();
    assert!(best.encoding.is_some());
    assert_eq!(desk.succeed(&["predict", "found/best", "birds.csv"]).stdout.lines().count(), 120);
}

#[test]
fn labels_that_are_no_classes_are_questioned() {
    let desk = Desk::new();
    desk.write("my.toml", "[data.csv]\ntrain = 'train.csv'\nlabel = 'y'\n");
    let mut text = String::from("x,y\n");
    (0..60).for_each(|i| writeln!(text, "{},{}", i % 7, 1000 + 13 * i).unwrap());
    desk.write("train.csv", &text);
    let warning = "warning: 60 different labels in 60 training rows: is this a regression target?";
    assert!(desk.succeed(&["train", "my.toml", "--out", "run"]).stderr.contains(warning));
    let mut verdict = Verdict::default();
    let amounts = Case {
        what: "amounts",
        problem: "train.csv: found label `1000.5` among labels that are all numbers, expected classes",
        hint: "amounts are predicted by regression; steps such as 1.5 are classes where they are written as words, as `grade 1.5`",
    };
    desk.write("train.csv", text.replace(",1000\n", ",1000.5\n"));
    verdict.hold(&amounts, &desk.run(&["train", "my.toml", "--out", "run", "--force"]), 1);
    let several = Case {
        what: "several labels",
        problem: "two.svm:2:1: found several labels, `1,3`, expected one",
        hint: "a row has one class here; a data set with several is one of them at a time",
    };
    desk.write("two.svm", "1 1:2\n1,3 1:3\n2 1:1\n").write("svm.toml", "[data.libsvm]\ntrain = 'two.svm'\n");
    verdict.hold(&several, &desk.run(&["train", "svm.toml", "--out", "run", "--force"]), 1);
    verdict.assert();
}

#[test]
fn columns_that_are_probably_mistakes_are_named() {
    let desk = Desk::new();
    let config = "[data.csv]\ntrain = 'train.csv'\nlabel = 'y'\n[preprocess]\ncategories = 'one-hot'\n";
    let mut text = String::from("who,size,zip,y\n");
    for i in 0..120 {
        let size = if i == 77 { "12.5x".to_owned() } else { (i % 7).to_string() };
        writeln!(text, "person {i},{size},{},{}", 8000 + i % 3, ["u", "v"][i % 2]).unwrap();
    }
    desk.write("my.toml", config).write("train.csv", text);
    let trained = desk.succeed(&["train", "my.toml", "--out", "run", "--set", "data.csv.category=[\"zip\"]"]).stderr;
    for warning in [
        "column `who` has 120 categories in 120 training rows: does it name the rows? `ignore` of [data.csv] leaves it out",
        "column `size` is taken for categories, because 1 of its cells are no numbers, as `12.5x` of record 78; 119 are numbers",
    ] {
        assert!(trained.contains(warning), "{warning}\n{trained}");
    }
    assert!(trained.contains("features (sparse)"));
    let names = burn_svm_cli::model_file::load(&desk.path("run")).unwrap().feature_names.unwrap();
    assert!(names.ends_with(&["zip=8000".to_owned(), "zip=8001".into(), "zip=8002".into()]), "{names:?}");
}
