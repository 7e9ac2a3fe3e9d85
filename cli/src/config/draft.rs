//! A configuration drafted from a look at a data file: columns, kinds, missing values, classes, and the choices that suit.

use super::ConfigError;
use crate::calibration::FOLDS;
use crate::data::{CellKind, Cells, Dataset, Features, Frame, FrameColumn};
use crate::format::csv::Decimal;
use crate::format::date;
use crate::format::{
    ByteSource, CellRules, ColumnRef, CsvConfig, DataConfig, DataError, FloatType, Format, Reading, TypedConfig,
    many_classes, quote,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml_edit::Value;

/// Names that labels have, the likeliest first.
const LABELS: [&str; 10] =
    ["label", "labels", "target", "class", "classes", "y", "species", "category", "outcome", "diagnosis"];
/// Rows from which on some are held out to report on.
const ENOUGH: usize = 20;
/// Rows up to which a calibration is drafted: it trains a model for each of five folds.
const FEW: usize = 20_000;
/// Names that are listed.
const LISTED: usize = 4;
/// Columns of words that are something else.
const DATES: &str = "dates, perhaps, of a form that is not read: 2024-03-01, 2024/03/01 and 1.3.2024 are";

/// A column of a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenColumn {
    /// Its name, or its number.
    pub name: String,
    /// Kind of its cells.
    pub holds: &'static str,
    /// Missing cells.
    pub missing: usize,
    /// Range, categories or classes.
    pub values: String,
    /// Why it is left out.
    pub ignored: Option<String>,
}

/// A configuration for a data file, with a summary of the file.
#[derive(Debug, Clone)]
pub struct ConfigDraft {
    /// TOML, with comments.
    pub text: String,
    /// The columns of a table; empty for other data.
    pub columns: Vec<SeenColumn>,
    /// Rows, features, classes in a sentence.
    pub summary: String,
    /// Remarks on guesses.
    pub notes: Vec<String>,
    /// Probable mistakes.
    pub warnings: Vec<String>,
}

/// Looks at a data file, or at a folder of images.
///
/// # Errors
/// [`DataError`] for files that cannot be trained on, as training would say it.
pub fn draft(file: &Path, label: Option<&str>) -> Result<ConfigDraft, DataError> {
    let mut notes = Vec::new();
    let mut config = data_config(file, label, &mut notes)?;
    let mut data = load(&config)?;
    if let DataConfig::Csv(csv) = &config
        && data.frame.as_ref().is_some_and(has_decimal_commas)
    {
        let other = DataConfig::Csv(CsvConfig { decimal: Decimal::Comma, ..csv.clone() });
        if let Ok(found) = load(&other) {
            (config, data) = (other, found);
        }
    }
    notes.extend(data.notes.iter().cloned());
    // The columns of an array have no names to choose by.
    let is_array = matches!(config, DataConfig::Npy(_));
    let mut columns = data.frame.as_ref().filter(|_| !is_array).map_or_else(Vec::new, seen_columns);
    if matches!(config, DataConfig::Parquet(_) | DataConfig::Arrow(_)) {
        // The features of a column of lists stay together.
        let is_element = |column: &&mut SeenColumn| column.name.ends_with(']');
        columns.iter_mut().filter(is_element).for_each(|column| column.ignored = None);
    }
    let summary = format!(
        "{} rows, {}, {} classes: {}",
        data.n_train,
        match &data.frame {
            Some(frame) if is_array => format!("{} features, some values missing", frame.columns().len()),
            Some(_) => format!("{} columns", columns.len() + 1),
            None => format!("{} features ({})", data.features.n_features(), data.features.kind()),
        },
        data.n_classes(),
        classes(&data)
    );
    let text = written(file, &config, &data, &columns, &summary);
    let warnings = many_classes(&data.class_names, data.n_train).into_iter().collect();
    Ok(ConfigDraft { text, columns, summary, notes, warnings })
}

fn load(config: &DataConfig) -> Result<Dataset, DataError> {
    let load = |text, missing| {
        let cells = CellRules { text, missing };
        config.load_as(&Reading { float: FloatType::Auto, cells, encoding: None })
    };
    // An array is features as it is, unless values are missing.
    if matches!(config, DataConfig::Npy(_)) {
        return load(false, false).or_else(|error| load(false, true).map_err(|_| error));
    }
    load(true, true)
}

/// The `[data.*]` table of a file.
fn data_config(file: &Path, label: Option<&str>, notes: &mut Vec<String>) -> Result<DataConfig, DataError> {
    let refused = |problem: &str, hint: &str| Err(DataError::path(file, problem).with_hint(hint));
    let table = |name: &str, keys: &[(&str, &Path)]| {
        let mut text = format!("[{name}]\n");
        keys.iter()
            .for_each(|(key, path)| writeln!(text, "{key} = {}", toml(&path.display().to_string())).unwrap_or(()));
        text
    };
    if file.extension().is_some_and(|extension| extension == "toml") {
        let own = file.display();
        return refused("a configuration, expected a data file", &format!("`burn-svm train {own}` trains it"));
    }
    if file.join("config.toml").is_file() {
        return refused("a run folder, expected a data file", "its own configuration is `config.toml` in it");
    }
    if file.is_dir() {
        if let Some(format) = TypedConfig::format_of_folder(file) {
            return typed_config(format, file, label, notes);
        }
        let cifar = file.join("data_batch_1.bin").exists() || file.join("train.bin").exists();
        return parsed(
            file,
            &if cifar { table("cifar", &[("dir", file)]) } else { table("images", &[("train", file)]) },
        );
    }
    let source = ByteSource::open(file)?;
    let format = Format::detect(source.file(), source.head());
    let beside = |from: &str, to: &str| {
        let name = file.file_name()?.to_str()?;
        name.contains(from).then(|| file.with_file_name(name.replace(from, to))).filter(|path| path.exists())
    };
    match format {
        Some(Format::Csv) | None => csv_config(file, label, notes),
        Some(Format::Libsvm) => parsed(file, &table("libsvm", &[("train", file)])),
        Some(format @ (Format::Parquet | Format::Arrow)) => typed_config(format, file, label, notes),
        Some(Format::Npy) if file.extension().is_some_and(|e| e == "npz") => {
            parsed(file, &table("npy", &[("train", file)]))
        }
        Some(Format::Npy) => match beside("x", "y").or_else(|| beside("X", "y")) {
            Some(labels) => parsed(file, &table("npy", &[("train", file), ("train_labels", &labels)])),
            None => refused(
                "an array of features needs its labels, which are in a file of their own",
                "write `train` and `train_labels` of [data.npy] as in `burn-svm reference`",
            ),
        },
        Some(Format::Idx) => match beside("images-idx3", "labels-idx1") {
            Some(labels) => parsed(file, &table("idx", &[("train_images", file), ("train_labels", &labels)])),
            None => refused(
                "an idx file of images needs its labels, which are in a file of their own",
                "write `train_images` and `train_labels` of [data.idx] as in `burn-svm reference`",
            ),
        },
        Some(Format::Cifar) => match file.parent() {
            Some(folder) => parsed(file, &table("cifar", &[("dir", folder)])),
            None => refused("a CIFAR batch lies in a folder", "name the folder"),
        },
        Some(Format::Images) => {
            refused("a single image is no data set", "name the folder that has a folder of images for each class")
        }
    }
}

fn toml(text: &str) -> String {
    Value::from(text).to_string()
}

fn parsed(file: &Path, text: &str) -> Result<DataConfig, DataError> {
    toml::from_str(text).map_err(|e| DataError::path(file, e.message().to_owned()))
}

/// Csv text: the label is a column that is called like one, else the last.
fn csv_config(file: &Path, label: Option<&str>, notes: &mut Vec<String>) -> Result<DataConfig, DataError> {
    let mut config = CsvConfig::of(file);
    let names = config.names()?;
    match (&names, label.map(|label| (label, label.parse::<i64>()))) {
        (_, Some((_, Ok(number)))) if names.iter().flatten().all(|name| label != Some(name)) => {
            config.label = ColumnRef::Number(number);
        }
        (_, Some((label, _))) => config.label = ColumnRef::Name(label.to_owned()),
        (Some(names), None) => {
            let guess = guessed(names);
            notes.push(format!("the label is taken to be column {}; --label names another", quote(&guess)));
            config.label = ColumnRef::Name(guess);
        }
        (None, None) => {
            notes.push("the label is taken to be the last column; --label N says the number of another".into());
            config.header = Some(false);
        }
    }
    Ok(DataConfig::Csv(config))
}

fn guessed(names: &[String]) -> String {
    let named = |label: &&str| names.iter().find(|name| name.eq_ignore_ascii_case(label));
    LABELS.iter().find_map(named).or(names.last()).cloned().unwrap_or_default()
}

/// A Parquet or Arrow table: the label likewise.
fn typed_config(
    format: Format,
    file: &Path,
    label: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<DataConfig, DataError> {
    let label = match label {
        Some(label) => label.to_owned(),
        None => {
            let guess = guessed(&TypedConfig::names(format, file)?);
            notes.push(format!("the label is taken to be column {}; --label names another", quote(&guess)));
            guess
        }
    };
    let label = label.parse::<i64>().map_or_else(|_| toml(&label), |number| number.to_string());
    parsed(file, &format!("[{format}]\ntrain = {}\nlabel = {label}\n", toml(&file.display().to_string())))
}

/// Whether a word is a number with a point or a comma before decimals.
fn is_decimal(word: &str) -> bool {
    word.trim().replacen(',', ".", 1).parse::<f64>().is_ok()
}

/// Whether a word is a number with the sign of a currency, of thousands or of percent.
fn is_amount(word: &str) -> bool {
    let is_sign = |c: char| "$€£¥%.,' +-\u{a0}".contains(c);
    word.chars().any(|c| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_digit() || is_sign(c))
}

/// Whether a column of words is mostly one of numbers with a comma before decimals.
fn has_decimal_commas(frame: &Frame) -> bool {
    let is_so = |column: &FrameColumn| match &column.cells {
        Cells::Words(words) => {
            let with_comma = words.names().iter().filter(|word| word.contains(',') && is_decimal(word)).count();
            2 * with_comma > words.names().iter().filter(|word| !word.is_empty()).count()
        }
        Cells::Numbers(_) => false,
    };
    frame.columns().iter().any(is_so)
}

/// The reason to leave out a column that would be one of numbers, if it were not for some words.
fn numbers_with_words(names: &[&String]) -> String {
    let words = names.iter().filter(|name| !is_decimal(name)).map(|name| quote(name)).collect::<Vec<_>>();
    format!("numbers but for {}: empty cells, NA and - are missing values", listed(words.into_iter()))
}

/// The columns of a table.
fn seen_columns(frame: &Frame) -> Vec<SeenColumn> {
    frame.columns().iter().enumerate().map(|(at, column)| seen(column, at)).collect()
}

fn seen(column: &FrameColumn, at: usize) -> SeenColumn {
    let name = column.name.clone().unwrap_or_else(|| format!("feature {}", at + 1));
    let n = column.cells.len();
    let missing = (0..n).filter(|&row| column.cells.is_missing(row)).count();
    let holds = match column.kind {
        CellKind::Number => "numbers",
        CellKind::Date => "dates",
        CellKind::Time => "times",
        CellKind::Text => "words",
    };
    let (values, ignored) = match &column.cells {
        Cells::Numbers(values) => of_numbers(&name, values, column.kind),
        Cells::Words(words) => {
            let names: Vec<&String> = words.names().iter().filter(|name| !name.is_empty()).collect();
            let most = |is: &dyn Fn(&str) -> bool| 2 * names.iter().filter(|name| is(name)).count() > names.len();
            let ignored = match names.len() {
                0 => Some("no value in any row".to_owned()),
                1 => Some("the same in every row".to_owned()),
                k if k > ENOUGH && most(&date::is_doubtful) => Some(DATES.to_owned()),
                k if k > ENOUGH && most(&is_decimal) => Some(numbers_with_words(&names)),
                k if k > ENOUGH && most(&is_amount) => {
                    Some(format!("numbers with signs, such as {}: write digits and a point alone", quote(names[0])))
                }
                k if k > ENOUGH && 2 * k > n - missing => Some("names rows rather than categories".to_owned()),
                _ => None,
            };
            let values = format!("{}: {}", names.len(), listed(names.iter().map(|name| quote(name))));
            (if names.is_empty() { "none".into() } else { values }, ignored)
        }
    };
    SeenColumn { name, holds, missing, values, ignored }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", names.take(LISTED).collect::<Vec<_>>().join(", "))
}

/// The range of numbers or dates, and why they would be left out.
#[allow(clippy::cast_possible_truncation)]
fn of_numbers(name: &str, values: &[f64], kind: CellKind) -> (String, Option<String>) {
    let there = || values.iter().copied().filter(|x| !x.is_nan());
    let (low, high) = there().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return ("none".into(), Some("no value in any row".to_owned()));
    }
    let counts = values.windows(2).all(|pair| pair[1] == pair[0] + 1.0);
    let is_named = {
        let lower = name.to_ascii_lowercase();
        ["id", "index", "rowid", "uuid", "nr", "no"].contains(&lower.as_str())
            || lower.ends_with("_id")
            || lower.ends_with(" id")
    };
    let differ = || {
        let mut all: Vec<f64> = there().collect();
        all.sort_unstable_by(f64::total_cmp);
        all.windows(2).all(|pair| pair[0] != pair[1])
    };
    let whole = || there().all(|x| x.fract() == 0.0);
    let ignored = if low == high {
        Some("the same in every row".to_owned())
    } else if values.len() > LISTED && (counts || is_named && whole() && differ()) {
        Some("numbers rows".to_owned())
    } else {
        None
    };
    let shown = |x: f64| match kind {
        CellKind::Date => date::day(x as i64),
        CellKind::Time => date::time((x * 1e9) as i128, false),
        CellKind::Number | CellKind::Text => x.to_string(),
    };
    (format!("{} to {}", shown(low), shown(high)), ignored)
}

/// The training rows of each class.
fn class_counts(data: &Dataset) -> Vec<usize> {
    let mut counts = vec![0usize; data.n_classes()];
    data.labels[..data.n_train].iter().for_each(|&class| counts[class as usize] += 1);
    counts
}

/// The classes with their rows, the most frequent first.
fn classes(data: &Dataset) -> String {
    let counts = class_counts(data);
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(counts[class]));
    listed(order.iter().map(|&class| format!("{} {}", quote(&data.class_names[class]), counts[class])))
}

/// The text of the configuration.
fn written(file: &Path, config: &DataConfig, data: &Dataset, columns: &[SeenColumn], summary: &str) -> String {
    let mut text = format!(
        "# {}: {summary}.\n# A first try as `burn-svm init` writes it; `burn-svm reference` prints every key with its range.\n\n",
        file.display()
    );
    let mut put = |line: &str| writeln!(text, "{line}").unwrap_or(());
    put(&format!("[data.{}]", config.name()));
    let table = toml::Value::try_from(config).ok();
    let keys = table.as_ref().and_then(|table| table.get(config.name())).and_then(toml::Value::as_table);
    for (key, value) in keys.into_iter().flatten() {
        put(&format!("{key} = {value}"));
    }
    let ignored: Vec<&SeenColumn> = columns.iter().filter(|column| column.ignored.is_some()).collect();
    let named = data.feature_names.is_some();
    if !ignored.is_empty() && named {
        for column in &ignored {
            put(&format!("# {}: {}", quote(&column.name), column.ignored.as_deref().unwrap_or_default()));
        }
        let names: Vec<String> = ignored.iter().map(|column| toml(&column.name)).collect();
        put(&format!("ignore = [{}]", names.join(", ")));
    }
    if data.n_train == data.labels.len() && data.n_train >= ENOUGH {
        put("\n# A fifth of the rows of each class is held out, and only reported on.\n[split]\ntest = 0.2");
    }
    let kept = || columns.iter().filter(|column| column.ignored.is_none() || !named);
    put("\n[preprocess]");
    put(scale_of(&data.features, data.frame.is_some()));
    let count = |is: &dyn Fn(&SeenColumn) -> bool| kept().filter(|column| is(column)).count();
    if !columns.is_empty() {
        let (words, lacking) = (count(&|column| column.holds == "words"), count(&|column| column.missing > 0));
        put(&format!("# Columns of words: {words}. A feature, 1 or 0, for each category."));
        put("categories = \"one-hot\"");
        put(&format!(
            "# Columns that lack values: {lacking}. They get the median, or the most frequent category, in files to predict, too."
        ));
        put("missing = \"median\"");
    }
    if columns.is_empty() && data.frame.is_some() {
        put("# NaN gets the median of its column, in files to predict, too.\nmissing = \"median\"");
    }
    put("\n# LIBLINEAR's C: the weight of the loss against the size of the weights.\n[objective]\nc = 1.0");
    put("\n[loss.weston_watkins]");
    put("\n# The optimum, proved within a thousandth.\n[solver.dual]\ngap = 1e-3");
    let fewest = class_counts(data).into_iter().min().unwrap_or_default();
    if data.n_train <= FEW && fewest >= FOLDS {
        put(
            "\n# Probabilities, fitted on scores of rows that the scoring model has not seen.\n[calibration]\nmethod = \"temperature\"",
        );
    }
    text
}

/// Keys of [preprocess] that suit features.
const fn scale_of(features: &Features, is_table: bool) -> &'static str {
    match features {
        _ if is_table => "# Columns have scales of their own.\ncenter = \"mean\"\nscale = \"std\"",
        Features::U8(_) => "# Bytes, 0 to 255.\ncenter = \"mean\"\nscale = \"pixel\"",
        Features::F32(_) | Features::F64(_) => {
            "# Features have scales of their own.\ncenter = \"mean\"\nscale = \"std\""
        }
        Features::Sparse(_) => {
            "# Rows of one length, as counts of words need; \"std\" suits columns of different scales.\nscale = \"unit-row\""
        }
    }
}

/// The default name of the configuration of a file: its own, without extensions.
#[must_use]
pub fn name_of(file: &Path) -> PathBuf {
    let name = file.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    let stem = name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("data");
    PathBuf::from(format!("{stem}.toml"))
}

/// A configuration that is there already.
///
/// # Errors
/// [`ConfigError`] that says how to overwrite it.
pub fn refuse_existing(path: &Path) -> Result<(), ConfigError> {
    if path == Path::new("-") || !path.exists() {
        return Ok(());
    }
    Err(ConfigError::new(path, "is there already").with_hint("--force overwrites it, --out names another"))
}
