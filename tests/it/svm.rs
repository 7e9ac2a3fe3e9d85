//! The front door: rows and labels of every kind to a model, with every solver; refusals; models that are saved and proved.

use crate::support::cpu_devices;
use burn::tensor::{Int, Tensor, TensorData};
use burn_svm::{
    AsRows, BiasRule, Calibration, Center, ClassIndices, ClassWeights, DualConfig, Finish, LbfgsConfig, LogEntry, Loss,
    Model, NewtonConfig, Observer, Rows, Scale, SgdConfig, Solution, SolverConfig, StopReason, Svm, SvmError,
};

const WORDS: [&str; 3] = ["ant", "bee", "cat"];

/// 60 rows of four features in three classes that overlap.
fn rows() -> (Vec<[f32; 4]>, Vec<usize>) {
    let mut state = 7u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let labels: Vec<usize> = (0..60).map(|i| i * 7 % 3).collect();
    let row = |&label: &usize| std::array::from_fn(|j| f32::from(u8::from(label == j)) + noise());
    (labels.iter().map(row).collect(), labels)
}

fn words(labels: &[usize]) -> Vec<&'static str> {
    labels.iter().map(|&label| WORDS[label]).collect()
}

fn same(a: &Model, b: &Model) -> bool {
    a.coefficients() == b.coefficients()
}

#[test]
fn every_kind_of_rows_and_labels_gives_one_model() {
    let (x, labels) = rows();
    let svm = Svm::new(Loss::crammer_singer());
    let plain = svm.fit(&x, &labels).unwrap();
    assert!(plain.certificate().relative_gap <= 1e-3 && plain.stop_reason() == StopReason::GapReached);
    assert_eq!(plain.class_names(), ["0", "1", "2"]);
    let flat: Vec<f32> = x.concat();
    let nested: Vec<Vec<f32>> = x.iter().map(|row| row.to_vec()).collect();
    let wide: Vec<[f64; 4]> = x.iter().map(|row| row.map(f64::from)).collect();
    let tensor = |device: &burn::tensor::Device| Tensor::<2>::from_data(TensorData::new(flat.clone(), [60, 4]), device);
    let signed: Vec<i64> = labels.iter().map(|&l| l as i64).collect();
    assert!(same(&plain, &svm.fit(&nested, &signed).unwrap()));
    assert!(same(&plain, &svm.fit(&wide, &labels).unwrap()));
    assert!(same(&plain, &svm.fit(&Rows::dense(&flat, 4).unwrap(), &labels).unwrap()));
    for open in cpu_devices() {
        let ints = Tensor::<1, Int>::from_data(TensorData::new(signed.clone(), [60]), &open.device);
        assert!(same(&plain, &svm.fit(&tensor(&open.device), &ints).unwrap()));
    }
    let named = svm.fit(&x, &words(&labels)).unwrap();
    assert!(same(&plain, &named));
    assert_eq!(named.class_names(), WORDS);
    assert_eq!(named.predict(&x[..5]).unwrap(), words(&plain.predict_indices(&x[..5]).unwrap()));
    // Stored zeros and rows without cells change nothing but the storage.
    let offsets: Vec<usize> = (0..=60).map(|i| 4 * i).collect();
    let columns: Vec<u32> = (0..240).map(|k| k % 4).collect();
    let sparse = svm.fit(&Rows::csr(4, &offsets, &columns, &flat).unwrap(), &labels).unwrap();
    assert!((sparse.objective() - plain.objective()).abs() <= 2e-3 * plain.objective());
    #[cfg(feature = "arrays")]
    {
        let array = ndarray::Array2::from_shape_vec((60, 4), flat.clone()).unwrap();
        assert!(same(&plain, &svm.fit(&array, &ndarray::Array1::from_vec(labels.clone())).unwrap()));
    }
}

#[test]
fn a_column_far_from_zero_costs_sparse_rows_no_digit() {
    let (x, labels) = rows();
    let ascent = DualConfig { finish: Finish::Never, epochs: Some(2_000.try_into().unwrap()), ..gap(1e-4) };
    let svm = Svm::new(Loss::weston_watkins()).center(Center::Mean).scale(Scale::Std).c(0.1).solver(ascent);
    // In every row, or in all but one, where the mean stays in the products.
    for (without, at) in [(60, 20_000.0), (7, 20_000.0), (60, 4e6)] {
        let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut dense = Vec::new();
        for (i, row) in x.iter().enumerate() {
            let shifted = if i == without { 0.0 } else { at + (row[1] * 64.0).round() };
            let cells = [row[0], shifted, row[2], 0.0, 0.0, 0.0, 0.0, 0.0];
            for (j, &value) in cells.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                columns.push(j as u32);
                values.push(value);
            }
            offsets.push(columns.len());
            dense.push(cells);
        }
        let sparse = svm.fit(&Rows::csr(8, &offsets, &columns, &values).unwrap(), &labels).unwrap();
        let dense = svm.fit(&dense, &labels).unwrap();
        let (found, expected) = (sparse.certificate(), dense.certificate());
        assert!(found.relative_gap <= 1e-4, "{without} {at} {found:?}");
        assert!(found.dual <= expected.primal && expected.dual <= found.primal, "{found:?} {expected:?}");
    }
}

#[test]
fn features_that_no_row_has_cost_nothing_and_weigh_nothing() {
    let (x, labels) = rows();
    let d = 3_000_000;
    let place = |j: usize| (d / 5 * j + 11) as u32;
    let offsets: Vec<usize> = (0..=60).map(|i| 4 * i).collect();
    let (flat, near): (Vec<f32>, Vec<u32>) = (x.concat(), (0..240).map(|k| k % 4).collect());
    let far: Vec<u32> = near.iter().map(|&j| place(j as usize)).collect();
    let (few, many) = (Rows::csr(4, &offsets, &near, &flat).unwrap(), Rows::csr(d, &offsets, &far, &flat).unwrap());
    let base = Svm::new(Loss::crammer_singer()).center(Center::Mean).scale(Scale::Std);
    let newton = NewtonConfig { gap: positive(1e-6), ..NewtonConfig::default() };
    for solver in [SolverConfig::from(gap(1e-6)), newton.into()] {
        let svm = base.clone().solver(solver);
        let (few, many) = (svm.fit(&few, &labels).unwrap(), svm.fit(&many, &labels).unwrap());
        assert_eq!(few.certificate(), many.certificate());
        let ((few, few_bias), (many, bias)) = (few.coefficients().unwrap(), many.coefficients().unwrap());
        let nonzero: Vec<usize> = (0..d).filter(|j| many[j * 3..][..3].iter().any(|w| *w != 0.0)).collect();
        assert_eq!(nonzero, (0..4).map(|j| place(j) as usize).collect::<Vec<_>>());
        let own: Vec<f64> = nonzero.iter().flat_map(|j| &many[j * 3..][..3]).copied().collect();
        assert_eq!((own, bias), (few, few_bias));
    }
    let path = base.fit_path(&many, &labels, &[0.01, 1.0], None, None, &mut ()).unwrap();
    let proof = path[0].certify(&many, &labels, 1e-6).unwrap();
    assert!(proof.relative_gap <= 1e-3 && proof.dual > 0.0, "{proof:?}");
}

#[test]
fn bytes_train_as_the_floats_that_they_are() {
    let (x, labels) = rows();
    let bytes: Vec<[u8; 4]> = x.iter().map(|row| row.map(|v| (v * 60.0 + 100.0) as u8)).collect();
    let floats: Vec<[f32; 4]> = bytes.iter().map(|row| row.map(f32::from)).collect();
    let svm = Svm::new(Loss::weston_watkins()).scale(Scale::Pixel).center(Center::Mean).c(10.0);
    let (of_bytes, of_floats) = (svm.fit(&bytes, &labels).unwrap(), svm.fit(&floats, &labels).unwrap());
    assert!((of_bytes.objective() - of_floats.objective()).abs() <= 2e-3 * of_floats.objective());
    assert_eq!(of_bytes.scores(&bytes).unwrap(), of_bytes.scores(&floats).unwrap());
}

#[test]
fn solvers_meet_at_the_optimum_and_each_says_what_it_proved() {
    let (x, labels) = rows();
    for bias in [BiasRule::Regularised { scale: 2.0 }, BiasRule::Free, BiasRule::None] {
        let svm = Svm::new(Loss::one_vs_rest().squared()).bias(bias).lambda(0.05);
        let exact = svm.clone().solver(gap(1e-7)).fit(&x, &labels).unwrap();
        let sgd = SgdConfig {
            batch_size: 20.try_into().unwrap(),
            epochs: Some(positive(400.0)),
            learning_rate: positive(0.05),
            ..SgdConfig::default()
        };
        let solvers: [SolverConfig; 2] = [LbfgsConfig::default().into(), sgd.into()];
        for (solver, near) in solvers.into_iter().zip([1e-6, 0.1]) {
            let fitted = svm.clone().solver(solver).fit(&x, &labels).unwrap();
            let certificate = fitted.certificate();
            let (found, best) = (fitted.objective(), exact.certificate());
            assert!(found >= best.dual && found <= best.primal * (1.0 + near), "{bias:?} {found} {best:?}");
            assert!(certificate.dual <= exact.objective() && certificate.dual >= 0.0, "{certificate:?}");
            if bias != BiasRule::Free {
                assert!(certificate.dual > 0.0 && certificate.relative_gap < 1.0, "{bias:?} {certificate:?}");
                let tight = fitted.certify(&x, &labels, 1e-6).unwrap();
                assert!(tight.dual >= exact.objective() * (1.0 - 1e-5), "{tight:?}");
            }
        }
    }
}

fn positive<T: TryFrom<f64>>(value: f64) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(value).unwrap()
}

fn gap(gap: f64) -> DualConfig {
    DualConfig { gap: positive(gap), ..DualConfig::default() }
}

#[test]
fn options_reach_the_objective() {
    let (x, labels) = rows();
    let n = 60.0;
    let at = |svm: Svm| svm.solver(gap(1e-6)).fit(&x, &labels).unwrap().objective();
    let base = at(Svm::new(Loss::crammer_singer()).c(0.5));
    assert!((base - at(Svm::new(Loss::crammer_singer()).lambda(1.0 / (0.5 * n)))).abs() <= 3e-6 * base);
    assert!((base - at(Svm::new(Loss::crammer_singer()).reg(0.5 / (0.5 * n)))).abs() <= 3e-6 * base);
    // A row of weight two is two rows: with λ held, and the mean over half as many rows.
    let twice = x.iter().chain(&x).copied().collect::<Vec<_>>();
    let both = [labels.clone(), labels.clone()].concat();
    let svm = Svm::new(Loss::weston_watkins()).lambda(0.1).solver(gap(1e-6));
    let weighted = svm.fit_with(&x, &labels, Some(&[2.0; 60]), &mut ()).unwrap();
    let copied = svm.clone().lambda(0.05).fit(&twice, &both).unwrap();
    let (one, two) = (weighted.objective(), 2.0 * copied.objective());
    let slack = weighted.certificate().relative_gap + copied.certificate().relative_gap;
    assert!((one - two).abs() <= slack * one && slack < 1e-3, "{one} {two} {slack}");
    // Balanced classes weigh n / (n_classes · n_k).
    let few: Vec<usize> = (0..60).filter(|&i| labels[i] != 2 || i < 12).collect();
    let (x, labels): (Vec<_>, Vec<_>) = few.iter().map(|&i| (x[i], labels[i])).unzip();
    let counts = [0, 1, 2].map(|k| labels.iter().filter(|&&l| l == k).count() as f64);
    let weights: Vec<f64> = counts.iter().map(|c| labels.len() as f64 / (3.0 * c)).collect();
    let balanced = ClassWeights::balanced();
    let balanced = Svm::new(Loss::crammer_singer()).class_weights(balanced).fit(&x, &labels).unwrap();
    let by_hand = Svm::new(Loss::crammer_singer().class_weights(weights)).fit(&x, &labels).unwrap();
    assert!(same(&balanced, &by_hand));
}

#[test]
fn probabilities_are_fitted_out_of_fold() {
    let (x, labels) = rows();
    let svm = Svm::new(Loss::weston_watkins());
    let plain = svm.fit(&x, &labels).unwrap();
    assert!(plain.probabilities(&x).unwrap_err().to_string().contains("Svm::calibration"));
    for method in [Calibration::Temperature, Calibration::Platt] {
        let fitted = svm.clone().calibration(method).fit(&x, &labels).unwrap();
        assert!(same(&plain, &fitted), "a calibration leaves the weights alone");
        let p = fitted.probabilities(&x).unwrap();
        assert!(p.chunks(3).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12), "{p:?}");
        assert!(p.iter().all(|p| *p > 0.0), "{p:?}");
        // Better than the prior, and than certainty: the classes overlap.
        let cost: f64 = p.chunks(3).zip(&labels).map(|(row, &label)| -row[label].ln()).sum::<f64>() / 60.0;
        assert!(cost < 3f64.ln() && cost > 0.05, "{method:?}: {cost}");
    }
    let error = svm.calibration(Calibration::Platt).fit(&x[..3], &["a", "a", "b"]).unwrap_err();
    assert_eq!(error.to_string(), "calibration: class `b` has 1 row, expected 2 or more");
}

#[test]
fn a_model_comes_back_from_its_file() {
    let (x, labels) = rows();
    let fitted = Svm::new(Loss::top_k(2)).scale(Scale::Std).fit(&x, &words(&labels)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.safetensors");
    fitted.save(&file).unwrap();
    let loaded = Model::load(&file).unwrap();
    assert_eq!(loaded.scores(&x).unwrap(), fitted.scores(&x).unwrap());
    let (of_fit, of_file) =
        (fitted.evaluate(&x, &words(&labels)).unwrap(), loaded.evaluate(&x, &words(&labels)).unwrap());
    assert_eq!(of_fit, of_file);
    assert_eq!(of_fit.confusion.accuracy(), fitted.train_accuracy());
    assert_eq!(of_fit.confusion.total(), 60);
    let certificate = loaded.certify(&x, &words(&labels), 1e-4).unwrap();
    assert!((certificate.primal - fitted.objective()).abs() <= 1e-12 * fitted.objective());
    assert!(Model::load(folder.path().join("none")).unwrap_err().to_string().contains("none"));
}

#[test]
fn bad_input_is_an_error_with_a_sentence() {
    let (x, labels) = rows();
    let svm = || Svm::new(Loss::weston_watkins());
    let said = |result: Result<Solution, SvmError>| result.map(|_| ()).unwrap_err().to_string();
    assert_eq!(said(svm().fit(&x, &labels[..59])), "found 59 labels for 60 rows, expected one a row");
    assert_eq!(said(svm().fit(&x, &[7; 60])), "every label is `7`: expected two classes or more");
    assert_eq!(said(svm().c(-1.0).fit(&x, &labels)), "c: found -1, expected a finite number above 0");
    assert_eq!(said(svm().c(f64::NAN).fit(&x, &labels)), "c: found NaN, expected a finite number above 0");
    assert_eq!(said(svm().reg(f64::INFINITY).fit(&x, &labels)), "reg: found inf, expected a finite number, 0 or more");
    assert!(said(svm().c(1e-320).fit(&x, &labels)).starts_with("c: found"));
    assert_eq!(
        said(svm().lambda(0.0).fit(&x, &labels)),
        "[solver.dual] and [solver.newton] need a regulariser, but lambda is 0"
    );
    let zero = svm().bias(BiasRule::Regularised { scale: 0.0 });
    assert_eq!(said(zero.fit(&x, &labels)), "bias: found the scale 0, expected a finite number above 0");
    let weights = svm().fit_with(&x, &labels, Some(&[1.0; 5]), &mut ());
    assert_eq!(said(weights), "rows: found 5 weights for 60 rows, expected one a row");
    let weights = svm().fit_with(&x, &labels, Some(&[-1.0; 60]), &mut ());
    assert_eq!(said(weights), "weight of row 0: found -1, expected a finite number, 0 or more");
    let top = Svm::new(Loss::top_k(3)).fit(&x, &labels);
    assert!(said(top).contains("k: found 3, expected at most 2"));
    assert_eq!(said(svm().threads(100_000).fit(&x, &labels)), "threads: found 100000, expected at most 1024");
    let drawn: SgdConfig = toml::from_str("batch_size = 1000000000000\nsampling = \"with-replacement\"").unwrap();
    let drawn = said(svm().solver(drawn).fit(&x, &labels));
    assert_eq!(drawn, "batch_size: found 1000000000000 rows to draw from 60, expected at most 65536");
    let wild = SgdConfig { learning_rate: positive(1e30), ..SgdConfig::default() };
    assert!(said(svm().lambda(1.0).solver(wild).fit(&x, &labels)).starts_with("the run diverged"));
    let kinks = svm().solver(LbfgsConfig::default()).fit(&x, &labels);
    assert!(said(kinks).contains("needs a smooth loss"));
    let model = svm().fit(&x, &labels).unwrap();
    assert_eq!(
        model.predict(&[[1.0f32; 3]]).unwrap_err().to_string(),
        "found rows of 3 features, expected 4 as in training"
    );
    let unknown = model.evaluate(&x[..2], &["0", "zebra"]).unwrap_err().to_string();
    assert!(unknown.starts_with("label `zebra` of row 1 is not a class of the model"), "{unknown}");
    assert!(model.certify(&x, &labels, 2.0).unwrap_err().to_string().starts_with("gap: found 2"));
    assert!([[f32::NAN]].as_rows().is_err());
    if !cfg!(feature = "cuda") {
        assert!(said(svm().device("cuda".parse().unwrap()).fit(&x, &labels)).contains("not compiled into this build"));
    }
}

/// Stops after the first measurement.
struct Impatient(bool);

impl Observer for Impatient {
    fn log(&mut self, _: &LogEntry) {
        self.0 = true;
    }

    fn interrupted(&self) -> bool {
        self.0
    }
}

#[test]
fn an_observer_can_end_a_fit_and_what_is_left_is_a_model() {
    let (x, labels) = rows();
    let svm = Svm::new(Loss::crammer_singer()).c(100.0).solver(gap(1e-9));
    let cut = svm.fit_with(&x, &labels, None, &mut Impatient(false)).unwrap();
    assert_eq!(cut.stop_reason(), StopReason::Interrupted);
    assert!(cut.certificate().dual <= cut.objective());
    assert_eq!(cut.predict(&x).unwrap().len(), 60);
}

#[test]
fn threads_change_nothing_but_time() {
    let (x, labels) = rows();
    let svm = Svm::new(Loss::weston_watkins());
    assert!(same(&svm.clone().threads(1).fit(&x, &labels).unwrap(), &svm.threads(3).fit(&x, &labels).unwrap()));
}

#[test]
fn the_head_of_a_network_becomes_a_model() {
    let device = burn_svm::cpu_device().unwrap().autodiff();
    let linear = burn::nn::LinearConfig::new(4, 3).init(&device);
    let (x, labels) = rows();
    let svm = Svm::new(Loss::weston_watkins()).lambda(0.1);
    let model = svm.head(&linear, &WORDS, 60).unwrap();
    let flat: Vec<f32> = x.concat();
    let expected = linear.forward(Tensor::<2>::from_data(TensorData::new(flat, [60, 4]), &device)).into_data();
    let expected = expected.try_to_vec_as::<f64>().unwrap();
    let scores = model.scores(&x).unwrap();
    assert!(scores.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs())));
    let exact = svm.fit(&x, &words(&labels)).unwrap();
    let certificate = model.certify(&x, &words(&labels), 1e-3).unwrap();
    assert!(certificate.primal > exact.objective() && certificate.dual <= exact.objective());
    let error = svm.head(&linear, &["a", "b"], 60).unwrap_err().to_string();
    assert_eq!(error, "rows: found 2 different names for 3 outputs, expected a name for each, and two or more");
    let error = svm.clone().class_weights(ClassWeights::balanced()).head(&linear, &WORDS, 60).unwrap_err().to_string();
    assert!(error.starts_with("class_weights: found balanced without labels"), "{error}");
    let error = svm.bias(BiasRule::None).head(&linear, &WORDS, 60).unwrap_err().to_string();
    assert_eq!(error, "bias: the layer has one, the options say that there is none");
}

/// Seconds since 1970 that tell three classes, and a number that tells nothing.
fn times() -> (Vec<[f64; 2]>, Vec<usize>) {
    let (x, labels) = rows();
    let x = x
        .iter()
        .zip(&labels)
        .map(|(row, &label)| [1.7e9 + 40.0 * label as f64 + 5.0 * f64::from(row[0]), f64::from(row[3])]);
    (x.collect(), labels)
}

#[test]
fn times_in_double_precision_are_told_apart() {
    let (x, labels) = times();
    let svm = Svm::new(Loss::crammer_singer()).center(Center::Mean).scale(Scale::Std);
    let smooth = Svm::new(Loss::crammer_singer().smoothing(0.5)).center(Center::Mean).scale(Scale::Std);
    let sgd = SgdConfig {
        epochs: Some(positive(200.0)),
        learning_rate: positive(0.1),
        batch_size: 20.try_into().unwrap(),
        ..SgdConfig::default()
    };
    let (sgd, lbfgs) = (smooth.clone().solver(sgd), smooth.solver(LbfgsConfig::default()));
    for (svm, name) in [(svm.clone().c(10.0), "dual"), (sgd.c(10.0), "sgd"), (lbfgs.c(10.0), "lbfgs")] {
        let model = svm.fit(&x, &labels).unwrap();
        assert_eq!(model.train_accuracy(), 1.0, "{name}");
        assert_eq!(model.evaluate(&x, &labels).unwrap().confusion.accuracy(), 1.0, "{name}");
        // A row alone has the score that it has among others.
        assert_eq!(model.scores(&x[3..4]).unwrap(), model.scores(&x).unwrap()[9..12], "{name}");
        let certificate = model.certify(&x, &labels, 1e-3).unwrap();
        assert!((certificate.primal / model.objective() - 1.0).abs() < 1e-12 && certificate.dual > 0.0, "{name}");
        assert!(certificate.relative_gap <= 1e-3 || name == "sgd", "{name} {certificate:?}");
        let file = std::env::temp_dir().join(format!("times-{name}-{}", std::process::id()));
        model.save(&file).unwrap();
        let loaded = Model::load(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(loaded.scores(&x).unwrap(), model.scores(&x).unwrap(), "{name}");
    }
    // In single precision all times of a class and of its neighbours are one.
    let single: Vec<[f32; 2]> = x.iter().map(|row| row.map(|v| v as f32)).collect();
    assert!(svm.fit(&single, &labels).unwrap().train_accuracy() < 0.8);
}

#[test]
fn a_column_that_single_precision_cannot_keep_is_named() {
    struct Warned(Vec<String>);
    impl Observer for Warned {
        fn log(&mut self, _: &LogEntry) {}
        fn warning(&mut self, text: &str) {
            self.0.push(text.to_owned());
        }
    }
    let (x, labels) = times();
    let sgd = SgdConfig { learning_rate: positive(1e-20), ..SgdConfig::default() };
    let svm = Svm::new(Loss::crammer_singer()).solver(sgd);
    let mut warned = Warned(Vec::new());
    svm.fit_with(&x, &labels, None, &mut warned).unwrap();
    assert_eq!(
        warned.0,
        [
            "column 0: its preprocessed values differ by less than they are rounded by in single precision, in which most products are \
         computed: center and scale it"
        ]
    );
    warned.0.clear();
    svm.center(Center::Mean).fit_with(&x, &labels, None, &mut warned).unwrap();
    assert!(warned.0.is_empty(), "{:?}", warned.0);
}

#[test]
fn a_path_is_its_fits_and_takes_some_of_the_rows() {
    let (x, labels) = rows();
    let cs = [0.01, 0.1, 1.0];
    let svm = Svm::new(Loss::weston_watkins()).solver(gap(1e-6));
    let path = svm.fit_path(&x, &labels, &cs, None, None, &mut ()).unwrap();
    for (c, found) in cs.iter().zip(&path) {
        let alone = svm.clone().c(*c).fit(&x, &labels).unwrap();
        assert!((found.objective() / alone.objective() - 1.0).abs() <= 2e-6, "{c}");
        assert_eq!(found.stop_reason(), StopReason::GapReached);
    }
    let part: Vec<u32> = (0..40).collect();
    let some = svm.fit_path(&x, &labels, &cs[2..], Some(&part), None, &mut ()).unwrap();
    let alone = svm.fit(&x[..40], &labels[..40]).unwrap();
    assert!((some[0].objective() / alone.objective() - 1.0).abs() <= 2e-6);
    let said = |cs: &[f64], part| svm.fit_path(&x, &labels, cs, part, None, &mut ()).unwrap_err().to_string();
    assert_eq!(said(&[1.0, 0.1], None), "a path in C: expected numbers that rise");
    assert_eq!(said(&[-1.0], None), "c: found -1, expected a finite number above 0");
    assert_eq!(said(&[1.0], Some(&[60])), "row 60: expected one of the 60 rows");
    let other = svm.clone().solver(LbfgsConfig::default()).fit_path(&x, &labels, &cs, None, None, &mut ());
    assert_eq!(other.unwrap_err().to_string(), "a path in C: found the solver lbfgs, expected dual");
}

#[test]
fn class_indices_keep_the_order_of_their_names() {
    let (x, labels) = rows();
    let names = ["cat", "ant", "bee"].map(str::to_owned);
    let indices: Vec<u32> = labels.iter().map(|&label| (label as u32 + 1) % 3).collect();
    let found = Svm::new(Loss::crammer_singer()).fit(&x, &ClassIndices::new(&names, &indices).unwrap()).unwrap();
    assert_eq!(found.class_names(), names);
    let sorted = Svm::new(Loss::crammer_singer()).fit(&x, &words(&labels)).unwrap();
    assert!((found.objective() / sorted.objective() - 1.0).abs() <= 2e-3);
    assert_eq!(found.predict(&x[..9]).unwrap(), sorted.predict(&x[..9]).unwrap());
    let said = |names: &[String], indices: &[u32]| ClassIndices::new(names, indices).unwrap_err().to_string();
    assert_eq!(said(&names, &[0, 3]), "label 3 of row 1 is out of range: expected a class index below 3");
    assert!(said(&["a".to_owned(), "a".to_owned()], &[0]).contains("found a name twice"));
    let one = Svm::new(Loss::crammer_singer()).fit(&x, &ClassIndices::new(&names[..1], &[0; 60]).unwrap());
    assert_eq!(one.unwrap_err().to_string(), "every label is `cat`: expected two classes or more");
}

#[test]
fn weights_of_others_are_proved_and_so_are_weighted_rows() {
    let (x, labels) = rows();
    let svm = Svm::new(Loss::one_vs_rest().squared()).c(0.5).double(true);
    let weights: Vec<f32> = (0..60).map(|i| (i % 3) as f32).collect();
    let fitted = svm.fit_with(&x, &labels, Some(&weights), &mut ()).unwrap();
    let (weight, bias) = fitted.coefficients().unwrap();
    let model = svm.model(weight.clone(), Some(bias), &["0", "1", "2"], 60).unwrap();
    let proof = model.certify_with(&x, &labels, Some(&weights), 1e-3, &mut ()).unwrap();
    assert!((proof.primal / fitted.objective() - 1.0).abs() < 1e-9 && proof.relative_gap <= 2e-3);
    let worse: Vec<f64> = weight.iter().map(|w| 2.0 * w).collect();
    let proof = svm.model(worse, None, &["0", "1", "2"], 60).unwrap().certify(&x, &labels, 1e-3).unwrap();
    assert!(proof.relative_gap > 0.01);
    let said = svm.model(vec![0.0; 7], None, &["a", "b"], 60).unwrap_err().to_string();
    assert_eq!(said, "rows: found 7 weights and 2 biases for 2 classes, expected a weight for each feature and class");
    let said = model.certify_with(&x, &labels, Some(&weights[1..]), 1e-3, &mut ()).unwrap_err().to_string();
    assert_eq!(said, "rows: found 59 weights for 60 rows, expected one a row");
}
