//! First steps with a table of one's own: raw cells, wrong labels, models that tell little, rows that were learned from.

use crate::program::{Desk, repository};

/// Customers as a German spreadsheet exports them: decimal commas, `k.A.` where nothing is known, and a class that is rare.
fn customers(rows: usize) -> String {
    let mut text = String::from("nr;since;usage (kWh);town;result\r\n");
    for i in 0..rows {
        let usage = match i % 20 {
            7 => "k.A.".to_owned(),
            _ => format!("{},{}", 4_000 + 37 * (i * 7 % 53), i % 10),
        };
        let result = if i % 25 == 3 { "complained" } else { ["left", "stayed"][i % 2] };
        let town = ["Bonn", "Köln", ""][i * i % 3];
        text += &format!("K-{};{:02}.{:02}.2019;{usage};{town};{result}\r\n", 9_000 + 13 * i, 1 + i % 28, 1 + i % 12);
    }
    text
}

#[test]
fn a_raw_table_gets_its_numbers_and_its_probabilities() {
    let desk = Desk::new();
    let seen = desk.write("customers.csv", customers(300)).succeed(&["init", "customers.csv", "--label", "result"]);
    let line = |name: &str| seen.stderr.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("usage").contains("numbers"), "{seen:?}");
    assert!(line("nr").contains("left out: names rows"), "{seen:?}");
    let config = desk.read("customers.toml");
    assert!(config.contains("decimal = \",\"") && config.contains("ignore = [\"nr\"]"), "{config}");
    // The rare class has 12 rows, enough for the folds of a calibration.
    desk.succeed(&["train", "customers.toml", "--out", "run", "-q"]);
    desk.write("new.csv", "nr;since;usage (kWh);town\r\nK-1;3.4.2021;4123,5;Bonn\r\nK-2;4.4.2021;k.A.;\r\n");
    let args = ["predict", "run", "new.csv", "--output", "csv", "--keep", "nr", "--probabilities"];
    let predicted = desk.succeed(&args).stdout;
    assert!(predicted.starts_with("nr,prediction,probability_complained,"), "{predicted}");
    assert_eq!(predicted.lines().count(), 3);
}

#[test]
fn a_word_among_numbers_is_named() {
    let desk = Desk::new();
    desk.write("table.csv", customers(300).replace("k.A.", "ask Eva"));
    let seen = desk.succeed(&["init", "table.csv"]).stderr;
    assert!(seen.contains("left out: numbers but for `ask Eva`: empty cells, NA and - are missing values"), "{seen}");
    assert!(desk.read("table.toml").contains("decimal = \",\""));
}

#[test]
fn amounts_and_rows_without_a_label_get_the_next_step() {
    let desk = Desk::new();
    let row = |i: usize| format!("\"${},{:03}.50\",{}%,{}\n", 1 + i % 3, 7 * i, i % 4, ["a", "b"][i % 2]);
    let table = String::from("price,discount,label\n") + &(0..60).map(row).collect::<String>();
    let seen = desk.write("my table.csv", &table).succeed(&["init", "my table.csv"]).stderr;
    assert!(
        seen.contains("left out: numbers with signs, such as `$1,000.50`: write digits and a point alone"),
        "{seen}"
    );
    assert!(seen.contains("To train: burn-svm train 'my table.toml'"), "{seen}");
    let refused = desk.write("open.csv", table + "\"$1.00\",1%,\n").run(&["init", "open.csv"]);
    assert_eq!(refused.problem(), "open.csv:62: column `label`: the label is missing");
    assert!(refused.hint().starts_with("a row without a label cannot be learned from"), "{refused:?}");
}

#[test]
fn a_label_of_one_row_each_is_questioned_before_training() {
    let desk = Desk::new();
    let seen = desk.write("customers.csv", customers(60)).succeed(&["init", "customers.csv", "--label", "nr"]).stderr;
    let warning = "warning: 60 different labels in 60 training rows: is this the column of the label?";
    assert!(seen.contains(warning), "{seen}");
}

/// A feature that says nothing, and 12 of 100 labels that are rare.
fn noise() -> String {
    let row = |i: usize| format!("{},{}\n", i * i % 7, if i % 8 == 7 { "rare" } else { "common" });
    String::from("x,label\n") + &(0..100).map(row).collect::<String>()
}

const CONFIG: &str = "[data.csv]\ntrain = \"table.csv\"\nlabel = \"label\"\n[preprocess]\nscale = \"std\"\n";

#[test]
fn a_constant_prediction_is_remarked_on() {
    let desk = Desk::new();
    desk.write("table.csv", noise()).write("my.toml", CONFIG);
    let trained = desk.succeed(&["train", "my.toml", "--out", "run"]);
    let note = "note: class rare is predicted for none of the train rows; 88 % of the train rows are predicted right; predicting `common` \
                for every row would get 88 % right; `class_weights = \"balanced\"` in the table of the loss gives small classes the \
                weight of large ones";
    assert!(trained.stderr.contains(note), "{}", trained.stderr);
    // With the weights that it asks for the advice is not repeated; a model that tells the classes apart gets no remark.
    let set = "loss={weston_watkins={class_weights=\"balanced\"}}";
    let balanced = desk.succeed(&["train", "my.toml", "--out", "balanced", "--set", set]).stderr;
    assert!(!balanced.contains("class_weights ="), "{balanced}");
    let iris = repository("configs/csv.toml");
    let told_apart = desk.succeed(&[
        "train",
        &iris,
        "--set",
        &format!("data.csv.train={}", repository("cli/assets/iris.csv")),
        "--out",
        "iris",
    ]);
    assert!(!told_apart.stderr.contains("would get"), "{}", told_apart.stderr);
}

#[test]
fn rows_that_were_learned_from_are_said_to_be() {
    let desk = Desk::new();
    desk.write("table.csv", noise()).write("new.csv", noise()).write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let said = |data: &str| desk.succeed(&["evaluate", "run", "--data", data]).stderr;
    let note = "holds rows that the model has learned from";
    assert!(said("table.csv").contains(note) && said("./table.csv").contains(note));
    assert!(!said("new.csv").contains(note));
    // The paths that a model file by itself carries are not looked at.
    let bare = desk.succeed(&["evaluate", "run/model.safetensors", "--data", "table.csv"]).stderr;
    assert!(!bare.contains(note), "{bare}");
}

#[test]
fn the_reference_is_in_the_program() {
    let printed = Desk::new().succeed(&["reference"]).stdout;
    assert_eq!(printed, std::fs::read_to_string(repository("configs/reference.toml")).unwrap());
}

/// Rows to predict with the other sign before decimals than the rows of training, with a header and without.
#[test]
fn decimals_of_rows_to_predict_are_those_of_training() {
    let desk = Desk::new();
    let commas = "a;b;label\n1,5;2;u\n2,5;1;v\n1,75;2,5;u\n3,5;1;v\n";
    desk.write("commas.csv", commas).write("points.csv", commas.replace(',', "."));
    for (run, decimal) in [("commas", "decimal = \",\"\n"), ("points", "")] {
        let config = format!("[data.csv]\ntrain = \"{run}.csv\"\nlabel = \"label\"\n{decimal}");
        desk.write("my.toml", config).succeed(&["train", "my.toml", "--out", run, "-q"]);
    }
    let (commas, points) = (
        "the model was trained on decimal commas: write 1,5, not 1.5",
        "the model was trained on decimal points: write 1.5, not 1,5",
    );
    for (run, rows, place, hint) in [
        ("commas", "1.5;2\n", "new.csv:1: column 1", commas),
        ("commas", "a;b\n1.5;2\n", "new.csv:2: column `a`", commas),
        ("points", "a;b\n1,5;2\n", "new.csv:2: column `a`", points),
    ] {
        let refused = desk.write("new.csv", rows).run(&["predict", run, "new.csv"]);
        assert_eq!((refused.code, refused.hint()), (Some(1), hint), "{refused:?}");
        assert!(refused.problem().starts_with(place), "{refused:?}");
    }
}

/// Kept cells stay beside the prediction of their row, whatever stands between the rows: a byte order mark, as Excel writes it, blank
/// lines, lines of blanks.
#[test]
fn kept_cells_are_those_of_their_rows() {
    let desk = Desk::new();
    let rows = "id;x;label\n1;-1;low\n2;-2;low\n3;1;high\n4;2;high\n";
    let config = "[data.csv]\ntrain = \"rows.csv\"\nlabel = \"label\"\nignore = [\"id\"]\n";
    desk.write("rows.csv", rows).write("my.toml", config).succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let text = "id;x\r\na;-1\r\n\r\nb;2\r\n  \r\n \"c;\" ;-2\r\nd;1";
    for new in [text.to_owned(), format!("\u{feff}{text}"), text.replace("\r\n", "\n")] {
        let predicted =
            desk.write("new.csv", new).succeed(&["predict", "run", "new.csv", "--output", "csv", "--keep", "id"]);
        assert_eq!(predicted.stdout, "id,prediction\na,low\nb,high\nc;,low\nd,high\n");
    }
    let open = desk
        .write("new.csv", "id;x\na;1\n\"b;1\n")
        .run(&["predict", "run", "new.csv", "--output", "csv", "--keep", "id"]);
    assert!(open.problem().starts_with("new.csv:3: a quote is opened and never closed"), "{open:?}");
}
