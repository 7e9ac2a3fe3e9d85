//! Every mistake in a configuration ends with exit code 2, a sentence with place and problem, and a hint.

use crate::program::{Case, Desk, SMALL, Verdict, outcome, shared};
use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use proptest::prelude::*;
use std::path::Path;

const REFERENCE: &str = "`burn-svm reference` lists every key with its default, unit and range";
const A_TABLE: &str = "a table is a line `[NAME]` with its keys below, or `--set NAME.KEY=VALUE` on the command line";
const TABLES: &str = "`burn-svm reference` lists every table and key";
const STRENGTH: &str = "lambda: ½λ‖W‖²; reg: CS231n's reg·ΣW², λ = 2·reg; c: LIBLINEAR's C = 1/(λ·n)";
const TOML: &str = "the file is TOML: lines `KEY = VALUE` below headings `[TABLE]`, with words in quotes";
const SMOOTH: &str = "weston_watkins and one_vs_rest with `power = 2`, and every loss with `smoothing`, are smooth; for the others use [solver.dual] or [solver.sgd]";
const SGD: &str = "[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n";
const RATE: &str = "learning_rate = 0.01";

/// The text replaced in [`SMALL`], its replacement, the problem behind `my.toml`, the hint.
const EDITS: &[(&str, &str, &str, &str)] = &[
    // Keys and tables that do not exist.
    (
        RATE,
        "learning_rte = 0.01",
        "19:1: unknown field `learning_rte`, expected one of `optimizer`, `learning_rate`, `schedule`, `warmup_steps`, `clip_norm`, `clip_value`, `batch_size`, `sampling`, `steps`, `epochs`, `init_std`, `log_every`, `resident_mb`, `momentum`, `nesterov`, `adam`, `adamw`, `rmsprop`, `adagrad`, `lion`, `adan`, `lamb`, `adafactor`, `muon`, `linear`, `cosine`, `exponential`, `step`",
        "did you mean `learning_rate`?",
    ),
    (
        "[split]\n",
        "[splt]\n",
        "6:2: unknown field `splt`, expected one of `seed`, `device`, `threads`, `gradient`, `data`, `split`, `preprocess`, `objective`, `loss`, `solver`, `early_stopping`, `calibration`, `checkpoint`, `search`",
        "did you mean `split`?",
    ),
    (
        "seed = 0",
        "sed = 0",
        "2:1: unknown field `sed`, expected one of `seed`, `device`, `threads`, `gradient`, `data`, `split`, `preprocess`, `objective`, `loss`, `solver`, `early_stopping`, `calibration`, `checkpoint`, `search`",
        "did you mean `seed`?",
    ),
    (
        "[data.digits]",
        "[data.digit]",
        "4:7: unknown variant `digit`, expected one of `digits`, `idx`, `cifar`, `libsvm`, `csv`, `npy`, `parquet`, `arrow`, `images`, `blocks`",
        "did you mean `digits`?",
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkin]",
        "16:7: unknown variant `weston_watkin`, expected one of `weston_watkins`, `crammer_singer`, `one_vs_rest`, `top_k`",
        "did you mean `weston_watkins`?",
    ),
    (
        "[solver.sgd]",
        "[solver.sdg]",
        "18:9: unknown variant `sdg`, expected one of `sgd`, `dual`, `lbfgs`, `newton`",
        REFERENCE,
    ),
    (
        "[data.digits]",
        "[dta.digits]",
        "there is no [data.*] table: expected one of [data.digits], [data.idx], [data.cifar], [data.libsvm], [data.csv], [data.npy], [data.parquet], [data.arrow], [data.images] or `blocks` in [data]",
        "did you mean `data` where the file says `dta`?",
    ),
    (
        "center = \"mean\"",
        "center = \"meen\"",
        "10:10: unknown variant `meen`, expected `none` or `mean`",
        "did you mean `mean`?",
    ),
    (
        "scale = \"std\"",
        "scale = \"zscore\"",
        "11:9: unknown variant `zscore`, expected one of `none`, `pixel`, `std`, `minmax`, `unit-row`",
        REFERENCE,
    ),
    (
        RATE,
        "learning_rate = 0.01\noptimizer = \"adm\"",
        "20:13: unknown variant `adm`, expected one of `sgd`, `momentum`, `nesterov`, `adam`, `adamw`, `rmsprop`, `adagrad`, `lion`, `adan`, `lamb`, `adafactor`, `muon`",
        "did you mean `adam`?",
    ),
    ("[data.digits]", "[data.digits]\ndir = \"x\"", "5:1: unknown field `dir`, there are no fields", REFERENCE),
    (
        RATE,
        "learning_rate = 0.01\n[solver.sgd.adam]\nbeta1 = 0.5",
        "21:1: unknown field `beta1`, expected one of `beta_1`, `beta_2`, `epsilon`, `amsgrad`",
        "did you mean `beta_1`?",
    ),
    // Wrong types.
    (RATE, "learning_rate = \"fast\"", "19:17: invalid type: string \"fast\", expected a number", REFERENCE),
    (
        "seed = 0",
        "seed = 1.5",
        "2:8: invalid type: floating point `1.5`, expected a whole number, zero or more",
        REFERENCE,
    ),
    ("seed = 0", "seed = \"x\"", "2:8: invalid type: string \"x\", expected a whole number, zero or more", REFERENCE),
    (
        "epochs = 2",
        "steps = 2.5",
        "20:9: invalid type: floating point `2.5`, expected a whole number, one or more",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nmargin = \"wide\"",
        "17:10: invalid type: string \"wide\", expected a number",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\npower = 1.0",
        "17:9: invalid type: floating point `1.0`, expected a whole number",
        REFERENCE,
    ),
    ("seed = 0", "seed = 0\nobjective = 3", "14:2: duplicate key", TOML),
    ("[split]\ntest = 0.2\n", "split = 0.2\n", "6:1: unknown field `split`, there are no fields", REFERENCE),
    ("[data.digits]", "data = 3", "4:8: expected a table", A_TABLE),
    (
        "[loss.weston_watkins]",
        "loss = \"hinge\"",
        "16:1: unknown field `loss`, expected one of `lambda`, `reg`, `c`",
        REFERENCE,
    ),
    (
        "[split]\n",
        "[split]\nvalidation = true\n",
        "7:14: invalid type: boolean `true`, expected a number of rows (an integer) or a fraction in the range [0, 1)",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nclass_weights = \"blanced\"",
        "17:17: expected `\"none\"`, `\"balanced\"` or a table of positive numbers such as `{ cat = 2.0 }`",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nclass_weights = { 1 = -2 }",
        "17:17: expected `\"none\"`, `\"balanced\"` or a table of positive numbers such as `{ cat = 2.0 }`",
        REFERENCE,
    ),
    // Out of range.
    (RATE, "learning_rate = -1", "19:17: -1 is out of range: expected a number in the range (0, inf)", REFERENCE),
    (RATE, "learning_rate = 0", "19:17: 0 is out of range: expected a number in the range (0, inf)", REFERENCE),
    (RATE, "learning_rate = inf", "19:17: inf is out of range: expected a number in the range (0, inf)", REFERENCE),
    (
        "test = 0.2",
        "test = 1.5",
        "7:8: invalid value: floating point `1.5`, expected a number of rows (an integer) or a fraction in the range [0, 1)",
        REFERENCE,
    ),
    (
        "test = 0.2",
        "validation = 1.5",
        "7:14: invalid value: floating point `1.5`, expected a number of rows (an integer) or a fraction in the range [0, 1)",
        REFERENCE,
    ),
    (
        "test = 0.2",
        "validation = -3",
        "7:14: invalid value: integer `-3`, expected a number of rows (an integer) or a fraction in the range [0, 1)",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nsmoothing = -1",
        "17:13: -1 is out of range: expected a number in the range [0, inf)",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.crammer_singer]\nsmoothing = 0.5\npower = 2",
        "loss.crammer_singer: both `smoothing` and power 2 are set",
        "the squared hinge is smooth already: set `power = 1`, or remove `smoothing`",
    ),
    ("[loss.weston_watkins]", "[loss.top_k]", "16:1: missing field `k`", REFERENCE),
    (
        "[loss.weston_watkins]",
        "[loss.top_k]\nk = 0",
        "17:5: invalid value: integer `0`, expected a whole number, one or more",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.top_k]\nk = 3\npower = 2",
        "18:1: unknown field `power`, expected one of `k`, `margin`, `smoothing`, `class_weights`",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\npower = 3",
        "17:9: 3 is not a power of the margin: expected 1 (hinge) or 2 (squared hinge)",
        REFERENCE,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nmargin = 0",
        "17:10: 0 is out of range: expected a number in the range (0, inf)",
        REFERENCE,
    ),
    ("seed = 0", "seed = -1", "2:8: invalid value: integer `-1`, expected a whole number, zero or more", REFERENCE),
    ("seed = 0", "threads = 5000", "threads: found 5000, expected at most 1024", "0 uses all cores"),
    ("epochs = 2", "epochs = 0", "20:10: 0 is out of range: expected a number in the range (0, inf)", REFERENCE),
    ("epochs = 2", "steps = 0", "20:9: invalid value: integer `0`, expected a whole number, one or more", REFERENCE),
    (
        "epochs = 2",
        "batch_size = 0",
        "20:14: invalid value: integer `0`, expected a whole number, one or more",
        REFERENCE,
    ),
    (
        "epochs = 2",
        "batch_size = 9000000000000000000\nsampling = \"with-replacement\"",
        "solver.sgd.batch_size: found 9000000000000000000 rows to draw from 1438, expected at most 65536",
        "a batch is held in memory; 100 to 1,000 rows are usual",
    ),
    (
        "lambda = 1e-3",
        "lambda = -1e-3",
        "14:10: -0.001 is out of range: expected a number in the range [0, inf)",
        REFERENCE,
    ),
    ("lambda = 1e-3", "lambda = nan", "14:10: NaN is out of range: expected a number in the range [0, inf)", REFERENCE),
    ("lambda = 1e-3", "c = 0", "14:5: 0 is out of range: expected a number in the range (0, inf)", REFERENCE),
    (
        RATE,
        "learning_rate = 0.01\noptimizer = \"adam\"\nadam = { beta_1 = 1.5 }",
        "21:19: 1.5 is out of range: expected a number in the range [0, 1)",
        REFERENCE,
    ),
    (
        "scale = \"std\"",
        "bias_scale = 0",
        "11:14: 0 is out of range: expected a number in the range (0, inf)",
        REFERENCE,
    ),
    ("epochs = 2", "init_std = -1", "20:12: -1 is out of range: expected a number in the range [0, inf)", REFERENCE),
    // Problems that the exact solver cannot solve.
    (
        "lambda = 1e-3\n\n[loss.weston_watkins]\n\n[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "lambda = 0.0\n\n[loss.weston_watkins]\n\n[solver.dual]\n",
        "[solver.dual] needs a regulariser: found a strength of 0 in [objective]",
        "without one there is no dual; give `lambda` or `reg` a value above 0, or use [solver.sgd]",
    ),
    (
        "lambda = 1e-3",
        "c = [0.1, 1.0]",
        "objective.c: found several values: only [solver.dual] follows a path",
        "give one value, or train with [solver.dual]",
    ),
    (
        "lambda = 1e-3\n\n[loss.weston_watkins]\n\n[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "c = [0.1, 1.0]\n\n[loss.weston_watkins]\n\n[solver.dual]\n",
        "objective.c: found several values and no validation rows to choose the model by",
        "`--set split.validation=0.2` holds a fifth of the training rows out; `burn-svm search` with `folds` of [search] chooses by cross-validation",
    ),
    ("lambda = 1e-3", "c = []", "14:5: found an empty list: expected at least one number", REFERENCE),
    ("lambda = 1e-3", "c = [0.1, -1]", "14:5: -1 is out of range: expected a number in the range (0, inf)", REFERENCE),
    (
        "lambda = 1e-3",
        "c = \"x\"",
        "14:5: invalid type: string \"x\", expected a number in the range (0, inf) or a list of them",
        REFERENCE,
    ),
    // None or several where there must be one.
    (
        "[solver.sgd]",
        "[solver.dual]\n[solver.sgd]",
        "found [solver.dual] and [solver.sgd]: expected exactly one [solver.*] table",
        TABLES,
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\n[loss.crammer_singer]",
        "found [loss.weston_watkins] and [loss.crammer_singer]: expected exactly one [loss.*] table",
        TABLES,
    ),
    (
        "[data.digits]\n",
        "",
        "there is no [data.*] table: expected one of [data.digits], [data.idx], [data.cifar], [data.libsvm], [data.csv], [data.npy], [data.parquet], [data.arrow], [data.images] or `blocks` in [data]",
        TABLES,
    ),
    (
        "[data.digits]",
        "[data.digits]\n[data.cifar]\ndir = \".\"",
        "found [data.digits] and [data.cifar]: expected exactly one [data.*] table",
        TABLES,
    ),
    ("lambda = 1e-3", "", "[objective] needs exactly one of `lambda`, `reg` and `c`: found none", STRENGTH),
    (
        "lambda = 1e-3",
        "lambda = 1e-3\nreg = 1",
        "[objective] needs exactly one of `lambda`, `reg` and `c`: found `lambda` and `reg`",
        STRENGTH,
    ),
    (
        "lambda = 1e-3",
        "lambda = 1e-3\nreg = 1\nc = 1",
        "[objective] needs exactly one of `lambda`, `reg` and `c`: found `lambda` and `reg` and `c`",
        STRENGTH,
    ),
    // Keys that do not go together, or not with the data.
    (
        "epochs = 2",
        "epochs = 2\nsteps = 3",
        "solver.sgd: both `steps` and `epochs` are set: expected at most one",
        "steps count updates, epochs count passes over the training rows",
    ),
    (
        "epochs = 2",
        "adam = { beta_1 = 0.5 }",
        "[solver.sgd.adam] is set, but the optimizer is `sgd`",
        "set `optimizer = \"adam\"`, or remove the table",
    ),
    (
        "epochs = 2",
        "cosine = { final = 0.5 }",
        "[solver.sgd.cosine] is set, but the schedule is `constant`",
        "set `schedule = \"cosine\"`, or remove the table",
    ),
    (
        "epochs = 2",
        "schedule = \"noam\"",
        "solver.sgd: the schedule `noam` needs `warmup_steps`: found 0",
        "it rises to `learning_rate` over that many steps, then falls with the root of the steps",
    ),
    (
        "epochs = 2",
        "clip_norm = 1\nclip_value = 1",
        "solver.sgd: both `clip_norm` and `clip_value` are set: expected at most one",
        "clip_norm scales a gradient that is too long, clip_value cuts each cell",
    ),
    (
        "epochs = 2",
        "schedule = \"step\"\n[solver.sgd.step]\ngamma = 1.5",
        "22:9: 1.5 is out of range: expected a number in the range (0, 1]",
        REFERENCE,
    ),
    (
        "epochs = 2",
        "epochs = 2\n[early_stopping]",
        "[early_stopping] watches validation rows, but [split] holds none out",
        "set `validation` of [split], for example `validation = 0.1`",
    ),
    (
        "[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "[early_stopping]\n[solver.dual]\n",
        "[early_stopping] is set, but [solver.dual] does not watch validation rows",
        "remove the table, or use [solver.sgd]: the other solvers end when the objective is solved",
    ),
    // Problems that L-BFGS cannot solve.
    (
        "[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "[solver.lbfgs]\n",
        "[solver.lbfgs] needs a smooth loss, but weston_watkins with `power = 1` has kinks",
        SMOOTH,
    ),
    (
        "[loss.weston_watkins]\n\n[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "[loss.crammer_singer]\npower = 2\n[solver.lbfgs]\n",
        "[solver.lbfgs] needs a smooth loss, but crammer_singer with `power = 2` has kinks",
        SMOOTH,
    ),
    (
        "[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n",
        "[solver.lbfgs]\ntolerance = 0\n",
        "19:13: 0 is out of range: expected a number in the range (0, inf)",
        REFERENCE,
    ),
    (
        "scale = \"std\"",
        "categories = \"one-hot\"",
        "preprocess.categories is set, but [data.digits] has no words",
        "it is for tables: [data.csv], [data.parquet], [data.arrow]",
    ),
    (
        "scale = \"std\"",
        "missing = \"mean\"",
        "preprocess.missing is set, but [data.digits] has no missing values",
        "it is for tables and arrays: [data.csv], [data.parquet], [data.arrow], [data.npy]",
    ),
    (
        "scale = \"std\"",
        "indicator = true",
        "preprocess.indicator is set, but missing values are refused",
        "set `missing = \"mean\"`, \"median\" or \"most-frequent\", too",
    ),
    (
        "scale = \"std\"",
        "bias = \"free\"\nbias_scale = 2",
        "preprocess.bias_scale is set, but the bias is not regularised",
        "remove `bias_scale`, or set `bias = \"regularised\"`",
    ),
    (
        "[loss.weston_watkins]",
        "[loss.top_k]\nk = 10",
        "loss.top_k.k: found 10, expected at most 9, the number of classes less one",
        "k = 1 is [loss.crammer_singer]; k = 9 is [loss.weston_watkins] divided by 9",
    ),
    (
        "[loss.weston_watkins]",
        "[loss.weston_watkins]\nclass_weights = { cat = 2 }",
        "loss.weston_watkins.class_weights: `cat` is not a class",
        "the classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ),
    (
        "test = 0.2",
        "test = 1797",
        "[split] holds out 1797 of 1797 rows, which leaves none to train on",
        "change `validation` or `test` of [split]",
    ),
    (
        "test = 0.2",
        "validation = 0.99\ntest = 0.99",
        "[split] holds out 1797 of 1797 rows, which leaves none to train on",
        "change `validation` or `test` of [split]",
    ),
    // Data that is not there.
    (
        "[data.digits]",
        "[data.libsvm]\ntrain = \"nope.txt\"",
        "data.libsvm.train: `nope.txt` is not there",
        "relative paths are looked up from the working directory, then from the folder of the configuration; `--set data.libsvm.train=PATH` names another",
    ),
    (
        "[data.digits]",
        "[data.cifar]\ndir = \"/nope\"",
        "data.cifar.dir: `/nope` is not there",
        "relative paths are looked up from the working directory, then from the folder of the configuration; `--set data.cifar.dir=PATH` names another",
    ),
    (
        "[data.digits]",
        "[data.cifar]\ndir = \"data/cifar-10-batches-bin\"",
        "data.cifar.dir: `data/cifar-10-batches-bin` is not there",
        "`burn-svm fetch cifar10` downloads it to data/cifar-10-batches-bin; relative paths are looked up from the working directory, then from the folder of the configuration; `--set data.cifar.dir=PATH` names another",
    ),
    (
        "[data.digits]",
        "[data.idx]\ntrain_images = \"my.toml\"\ntrain_labels = \"nope\"",
        "data.idx.train_labels: `nope` is not there",
        "relative paths are looked up from the working directory, then from the folder of the configuration; `--set data.idx.train_labels=PATH` names another",
    ),
    ("[data.digits]", "[data.idx]\ntrain_images = \"my.toml\"", "4:1: missing field `train_labels`", REFERENCE),
    (
        "[data.digits]",
        "[data.idx]\ntrain_images = \"my.toml\"\ntrain_labels = \"my.toml\"\ntest_images = \"my.toml\"",
        "`test_images` is given without `test_labels`",
        "give both, or neither and hold rows out with [split] `test`",
    ),
    // Devices and routes.
    (
        "seed = 0",
        "device = \"gpu\"",
        "2:10: `gpu` is not a device: expected `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan` or `cuda:0`",
        REFERENCE,
    ),
    (
        "seed = 0",
        "device = \"flex:1\"",
        "2:10: `flex:1` is not a device: expected `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan` or `cuda:0`",
        REFERENCE,
    ),
    (
        "seed = 0",
        "gradient = \"fast\"",
        "2:12: unknown variant `fast`, expected one of `auto`, `autodiff`, `analytic`, `fused`",
        REFERENCE,
    ),
    // Not TOML.
    ("seed = 0", "seed = ", "2:8: string values must be quoted, expected literal string", TOML),
    ("seed = 0", "seed = 0\nseed = 1", "3:1: duplicate key", TOML),
    ("[split]", "[split", "6:7: unclosed table, expected `]`", TOML),
    ("\"mean\"", "\"mean", "10:15: invalid basic string, expected `\"`", TOML),
    ("\"std\"", "std", "11:9: string values must be quoted, expected literal string", TOML),
    ("seed = 0", "seed 0", "2:6: key with no value, expected `=`", TOML),
    ("seed = 0", "seed = 18446744073709551615", "2:8: integer number overflowed", TOML),
];

/// Arguments behind `train my.toml`, the problem, the hint.
const ARGUMENTS: &[(&[&str], &str, &str)] = &[
    // --set
    (&["--set", "seed"], "invalid value 'seed' for '--set <KEY=VALUE>': `seed` is not of the form KEY=VALUE", ""),
    (
        &["--set", "=3"],
        "invalid value '=3' for '--set <KEY=VALUE>': `` is not a key such as `solver.sgd.learning_rate`",
        "",
    ),
    (
        &["--set", "a..b=1"],
        "invalid value 'a..b=1' for '--set <KEY=VALUE>': `a..b` is not a key such as `solver.sgd.learning_rate`",
        "",
    ),
    (&["--set", "seed.x=1"], "my.toml: --set seed.x: `seed` is not a table", ""),
    (
        &["--set", "solver.sgd.learning_rate.x=1"],
        "my.toml: --set solver.sgd.learning_rate.x: `solver.sgd.learning_rate` is not a table",
        "",
    ),
    (
        &["--set", "solver.sgd.learning_rte=1"],
        "my.toml:21:1: unknown field `learning_rte`, expected one of `optimizer`, `learning_rate`, `schedule`, `warmup_steps`, `clip_norm`, `clip_value`, `batch_size`, `sampling`, `steps`, `epochs`, `init_std`, `log_every`, `resident_mb`, `momentum`, `nesterov`, `adam`, `adamw`, `rmsprop`, `adagrad`, `lion`, `adan`, `lamb`, `adafactor`, `muon`, `linear`, `cosine`, `exponential`, `step` (a line that --set made)",
        "did you mean `learning_rate`?",
    ),
    (
        &["--set", "seed=x"],
        "my.toml:2:8: invalid type: string \"x\", expected a whole number, zero or more (a line that --set made)",
        REFERENCE,
    ),
    (
        &["--set", "solver.sgd.learning_rate=-1"],
        "my.toml:19:17: -1 is out of range: expected a number in the range (0, inf) (a line that --set made)",
        REFERENCE,
    ),
    (
        &["--set", "objective.c=1"],
        "my.toml: [objective] needs exactly one of `lambda`, `reg` and `c`: found `lambda` and `c`",
        STRENGTH,
    ),
    (
        &["--set", "loss.crammer_singer.margin=1"],
        "my.toml: found [loss.weston_watkins] and [loss.crammer_singer]: expected exactly one [loss.*] table",
        TABLES,
    ),
    (&["--set", "data=digits"], "my.toml:3:8: expected a table (a line that --set made)", A_TABLE),
    // Other options.
    (&["--threads", "-2"], "unexpected argument '-2' found", ""),
    (&["--threads=many"], "invalid value 'many' for '--threads <N>': expected a whole number, zero or more", ""),
    (&["--threads", "5000"], "my.toml: threads: found 5000, expected at most 1024", "0 uses all cores"),
    (
        &["--device", "gpu"],
        "invalid value 'gpu' for '--device <D>': `gpu` is not a device: expected `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan` or `cuda:0`",
        "",
    ),
    (
        &["--device", "flex:0"],
        "invalid value 'flex:0' for '--device <D>': `flex:0` is not a device: expected `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `wgpu:0`, `vulkan` or `cuda:0`",
        "",
    ),
    (&["--dvice", "flex"], "unexpected argument '--dvice' found", ""),
    (&["--out"], "a value is required for '--out <DIR>' but none was supplied", ""),
    (&["again.toml"], "unexpected argument 'again.toml' found", ""),
    (&["--quiet=1"], "unexpected value '1' for '--quiet' found; no more were expected", ""),
    // The run folder.
    (
        &["--out", "taken"],
        "taken: holds a run already",
        "resume it with --resume, name another folder with --out, or overwrite it with --force",
    ),
    (&["--out", "my.toml"], "my.toml: is a file, expected a folder", "a run folder is a folder that can be written"),
    (
        &["--out", "my.toml/run"],
        "my.toml/run: Not a directory (os error 20)",
        "a run folder is a folder that can be written",
    ),
];

#[test]
fn each_mistake_in_a_file_is_a_sentence_and_a_hint() {
    let desk = Desk::new();
    let mut verdict = Verdict::default();
    for (from, to, problem, hint) in EDITS {
        assert_eq!(SMALL.matches(from).count(), 1, "{from} is to be replaced");
        desk.write("my.toml", SMALL.replace(from, to));
        let outcome = desk.run(&["train", "my.toml", "--out", "run"]);
        let space = if problem.starts_with(|c: char| c.is_ascii_digit()) { "" } else { " " };
        let problem = format!("my.toml:{space}{problem}");
        verdict.hold(&Case { what: to, problem: &problem, hint }, &outcome, 2);
        assert_eq!(outcome.stdout, "");
        assert!(!desk.path("run").exists(), "{to}: a run that never began leaves no folder");
    }
    verdict.assert();
}

#[test]
fn each_mistake_in_the_arguments_is_a_sentence() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL)
        .write("taken/config.toml", SMALL)
        .write("taken/result.json", r#"{"version": "0.1.0", "stop_reason": "finished"}"#);
    let mut verdict = Verdict::default();
    for (arguments, problem, hint) in ARGUMENTS {
        let outcome = desk.run(&[&["train", "my.toml"], *arguments].concat());
        verdict.hold(&Case { what: &arguments.join(" "), problem, hint }, &outcome, 2);
    }
    verdict.assert();
    assert!(!desk.path("runs").exists(), "none of them began");
}

#[test]
fn the_place_is_shown_under_the_line() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL.replace(RATE, "learning_rate = -1 # slow"));
    let expected = "\
error: my.toml:19:17: -1 is out of range: expected a number in the range (0, inf)
   |
19 | learning_rate = -1 # slow
   |                 ^^

hint: `burn-svm reference` lists every key with its default, unit and range
";
    assert_eq!(desk.run(&["train", "my.toml"]).stderr, expected);
}

#[test]
fn a_configuration_that_cannot_be_read_says_why() {
    const HINT: &str = "`burn-svm init FILE` writes a configuration for a data file";
    let desk = Desk::new();
    desk.write("bytes.toml", b"seed = 0 # \xff").write("folder/x", "");
    let mut verdict = Verdict::default();
    for (file, problem) in [
        ("none.toml", "none.toml: cannot be read: No such file or directory (os error 2)"),
        ("folder", "folder: cannot be read: is a folder, expected a file"),
        ("bytes.toml", "bytes.toml: cannot be read: stream did not contain valid UTF-8"),
    ] {
        verdict.hold(&Case { what: file, problem, hint: HINT }, &desk.run(&["train", file]), 2);
    }
    desk.write("old/config.toml", SMALL);
    for (file, hint) in
        [("old", "a run folder: its configuration is old/config.toml"), ("byte.toml", "did you mean bytes.toml?")]
    {
        assert_eq!(desk.run(&["train", file]).hint(), hint);
    }
    desk.write("empty.toml", "");
    let problem = "empty.toml: there is no [data.*] table: expected one of [data.digits], [data.idx], [data.cifar], [data.libsvm], [data.csv], [data.npy], [data.parquet], [data.arrow], [data.images] or `blocks` in [data]";
    verdict.hold(&Case { what: "empty", problem, hint: TABLES }, &desk.run(&["train", "empty.toml"]), 2);
    verdict.assert();
    // Files from editors on Windows, with a byte order mark and CR LF, are read.
    desk.write("windows.toml", format!("\u{feff}{}", SMALL.replace('\n', "\r\n")));
    desk.succeed(&["train", "windows.toml", "--out", "run", "--quiet"]);
}

#[test]
fn a_device_that_is_not_there_is_a_sentence_and_a_hint() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let mut verdict = Verdict::default();
    let mut hold = |arguments: &[&str], problem: &str, hint: &str| {
        let mut command = desk.command(&[&["train", "my.toml", "--out", "run"], arguments].concat());
        // No driver, as on a machine without a GPU.
        for key in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
            command.env(key, "/nonexistent");
        }
        verdict.hold(&Case { what: &arguments.join(" "), problem, hint }, &outcome(&mut command), 2);
    };
    let in_build: Vec<&str> =
        burn_svm::internals::device::Backend::ALL.iter().filter(|b| b.compiled_in()).map(|b| b.name()).collect();
    for backend in burn_svm::internals::device::Backend::ALL.iter().filter(|b| !b.compiled_in()) {
        let name = backend.name();
        hold(
            &["--device", name],
            &format!("device `{name}`: the backend `{name}` is not compiled into this build"),
            &format!("compiled in: {}; build with `--features {name}` for this one", in_build.join(", ")),
        );
    }
    if cfg!(feature = "wgpu") {
        let hint = "install a Vulkan driver (Debian: `mesa-vulkan-drivers`, which also brings a software adapter for `wgpu:cpu`), \
                    or use `--device flex`";
        for name in ["wgpu", "wgpu:cpu", "wgpu:0", "wgpu:7"] {
            let problem = format!("device `{name}`: this machine has no such adapter");
            hold(&["--device", name], &problem, hint);
            hold(&["--set", &format!("device={name}")], &problem, hint);
        }
    }
    verdict.assert();
    assert!(!desk.path("run").exists());
    if burn_svm::internals::device::open("wgpu:0".parse().unwrap()).is_ok() {
        let outcome = desk.run(&["train", "my.toml", "--device", "wgpu:70"]);
        assert_eq!((outcome.code, outcome.problem()), (Some(2), "device `wgpu:70`: this machine has no such adapter"));
        assert!(outcome.hint().starts_with("found: 0 = "), "{}", outcome.hint());
    }
}

#[test]
fn a_path_is_chosen_by_validation_rows() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL.replace("lambda = 1e-3", "c = [0.001, 0.01]").replace(SGD, "[solver.dual]\n"));
    // A share of the rows that comes to none.
    let empty = desk.run(&["train", "my.toml", "--out", "run", "--set", "split.validation=1e-9"]);
    let problem = "my.toml: objective.c: found several values and no validation rows to choose the model by";
    assert_eq!((empty.code, empty.problem()), (Some(2), problem));
    assert!(!desk.path("run").exists());
    // The hint.
    desk.succeed(&["train", "my.toml", "--out", "run", "--set", "split.validation=0.2", "-q"]);
    let result = desk.json("run/result.json");
    let path = result["path"].as_array().unwrap();
    let best = path.iter().map(|point| point["validation_accuracy"].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(result["validation_accuracy"].as_f64(), Some(best));
}

#[test]
fn a_test_part_is_not_split_twice() {
    let Some(folder) = shared("data/libsvm") else { return };
    let desk = Desk::new();
    let data = |name: &str| {
        format!(
            "data.libsvm.{name}={}",
            folder.join(["vowel.scale", "vowel.scale.t"][usize::from(name == "test")]).display()
        )
    };
    desk.write("my.toml", SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = \"x\""));
    let outcome = desk.run(&["train", "my.toml", "--set", &data("train"), "--set", &data("test")]);
    let problem = "my.toml: split.test is set, but the data brings a test part of 462 rows of its own";
    assert_eq!((outcome.code, outcome.problem()), (Some(2), problem));
    assert_eq!(outcome.hint(), "change `validation` or `test` of [split]");
}

#[test]
fn set_keeps_the_rest_of_the_file_as_it_is() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let set = [
        "--set",
        "seed=3",
        "--set",
        "solver.sgd.learning_rate=0.02",
        "--set",
        "split.method=random",
        "--set",
        "threads = 1",
    ];
    desk.succeed(&[&["train", "my.toml", "--out", "run", "-q"], &set[..]].concat());
    let expected = SMALL
        .replace("seed = 0", "seed = 3")
        .replace("test = 0.2\n", "test = 0.2\nmethod = \"random\"\n")
        .replace(RATE, "learning_rate = 0.02")
        .replace("seed = 3\n", "seed = 3\nthreads = 1\n");
    assert_eq!(desk.read("run/config.toml"), expected);
}

fn parse(text: &str, sets: &[String]) {
    let sets: Vec<_> = sets.iter().filter_map(|s| parse_assignment(s).ok()).collect();
    if let Err(error) = LoadedConfig::parse(text, Path::new("x.toml"), &sets) {
        let sentence = error.to_string();
        assert!(sentence.starts_with("x.toml:"), "{sentence}");
        assert!(error.hint.is_some() || sentence.contains("--set"), "{sentence}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}", keys in prop::collection::vec("[a-z_.=\"\\[\\]{}0-9 -]{0,40}", 0..3)) {
        parse(&text, &keys);
        parse(SMALL, &keys);
    }

    #[test]
    fn no_change_of_a_configuration_makes_the_parser_panic(at in 0usize..220, cut in 0usize..20, put in "[\\[\\]a-z0-9\"'={}.,# \n\t\u{e9}\u{1f600}-]{0,12}") {
        let mut text = SMALL.to_owned();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &put);
        parse(&text, &[]);
    }

    #[test]
    fn no_number_makes_it_panic(
        key in prop::sample::select(vec!["seed", "threads", "split.validation", "split.test", "objective.lambda", "preprocess.bias_scale",
            "loss.weston_watkins.margin", "loss.weston_watkins.power", "solver.sgd.learning_rate", "solver.sgd.batch_size", "solver.sgd.steps",
            "solver.sgd.log_every", "solver.sgd.init_std"]),
        whole: i64, number: f64, in_words: bool,
    ) {
        parse(SMALL, &[if in_words { format!("{key}={whole}") } else { format!("{key}={number:?}") }]);
    }
}
