mod backends; // devices: what opens, what is missing with a sentence, drivers that keep quiet
mod certify; // what can be proved of any model; regularisation paths; invariances of the optimum
mod classes; // many classes: models are saved before they are measured, and measured in the memory of their rows
mod cli; // the commands: what they print where, what they leave behind, how they end
mod columns; // columns whose digits single precision would lose: kept from every format, through every solver, proof and export
mod config; // mistakes in configurations and arguments: exit code 2, where and what, a hint; no text makes the parser panic
mod costs; // costs in the place of the margin: values by hand, a slow solver, configurations, model files
#[path = "../../../tests/it/devices.rs"]
mod devices; // devices, and numbers that are compared: those of the tests of the library
mod disk; // rows that stay on the disk: the optimum, kills, damage, refusals, memory
mod double; // the objective in twice the digits of f64
mod engines;
mod evaluation; // measures and probabilities: the numbers of scikit-learn and SciPy, and the commands that show them
mod everyday; // words, missing values, dates and truth values in tables, from `init` to predictions on raw rows
mod export; // models in the formats of other programs, read back by small readers of their own
mod faults; // kills, full disks, folders that cannot be written or are gone, data that change, sizes beyond the memory
#[cfg(feature = "fetch")]
mod fetch; // downloads from servers that behave and from those that do not: nothing bad gets the final name
mod foreign; // files that are not ours: neither overwritten nor taken away; links, pipes and devices in folders of strangers
mod formats; // bad data files of each format through train, predict and evaluate: exit code 1, file and place, a hint
mod guidance; // help with examples, completions, the manual, weights by name, the next step after a bare mistake
mod hostile; // small files that unpack to large ones or promise them, with a limit: exit code 1 and a sentence
mod kinds; // whole kinds of input: each spelling of a truth value, each kind of label in every format; runs that stop short
mod lbfgs; // L-BFGS: certified optima, agreement with the exact solver, devices, limits
mod lesson; // a gradient of one's own, pictures of kinks, the page of a run that goes
mod liblinear; // model files of LIBLINEAR: read as it means them, refused with a line where damaged
mod model_file; // model files: round trip, the fixture of each format version, damage
mod names; // names of strangers: nothing in them acts on a terminal, breaks a line or begins a formula
mod newcomers; // first steps with a table of one's own: raw cells, wrong labels, models that tell little, rows that were learned from
mod newton; // the interior point method: every loss and bias on features of all scales, and where ascent hands over to it
mod numbers; // extreme numbers for every key and argument: a sentence, or a run that ends when it is told to
mod optima; // the exact solver and the losses against certified optima of an independent method
mod optimizers; // the optimisers by name: each trains, the plain ones make the steps of the textbook
mod pack; // folders of blocks: the rows of every format come back; damaged, foreign and half done ones are refused
mod parts; // ascent in parts on several threads: the optimum of one, limits, interruptions, paths
mod pipeline; // from configuration to model: determinism, routes, backends, storages, known optima, real data
mod primal; // Newton's method on the objective: its gradient at the end, and the optimum of the interior point method on awkward rows
mod program; // runs the binary in a folder of its own; tables of mistakes with the sentences that users read
mod proofs; // certificates in twice the digits: no bound above, no stored model outside, on random problems of every kind
mod proximal; // the proximal Newton method: every loss and bias against the interior point method, storages, devices, ends
mod reference_config; // configs/reference.toml names every key of the code, and nothing else
mod report;
mod resume; // checkpoints: pieces make the whole byte for byte, under every solver; what is refused, and with which sentence
mod search; // `burn-svm search`: ranked tables, budgets, mistakes, kills
mod selfcheck; // the parity table of a device against f64 loops
mod soak; // an hour in one process, by command: memory and open files stay where they are
mod solvers; // the exact solver: certified optima, monotone duals, one optimum for every storage
mod stacked; // stacked training: each member as if alone, whatever its neighbours do
mod tables; // tables with named columns from training to prediction
mod tidy; // the house rules, read from the source: layers, printing, lengths, configurations
mod typed; // typed tables and arrays for models of other formats, kept columns, predictions as Parquet, learning curves
mod watching; // JSON lines, event files, dry runs, layouts of predictions
mod weights; // row weights: copies of rows, naive gradients, both solvers // engines of SGD as the program runs them: one result, memory that stays, rows that do not fit
