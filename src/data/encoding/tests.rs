use super::*;

fn frame() -> Frame {
    let nan = f64::NAN;
    Frame::new(vec![
        FrameColumn::numbers("age", vec![1.0, nan, 3.0, 8.0, 3.0, 100.0]),
        FrameColumn::words("kind", [Some("b"), Some("a"), None, Some("b"), Some("a"), Some("c")]),
        FrameColumn::numbers("time", (0..6).map(|i| 1.7e9 + f64::from(i)).collect()),
    ])
    .unwrap()
}

const ROWS: [u32; 5] = [0, 1, 2, 3, 4];

fn fitted(rule: MissingRule, indicator: bool) -> (Vec<String>, Vec<Vec<f32>>) {
    let encoding = Encoding::fit(&frame(), &ROWS, MissingConfig { rule, indicator }).unwrap();
    let encoded = encoding.apply(&frame()).unwrap();
    assert_eq!(encoded.unseen, [UnseenCategories { column: "kind".into(), first: "c".into(), rows: 1 }]);
    assert!(encoding.is_sound(encoded.features.n_features()));
    (encoding.names(), dense(&encoded.features))
}

fn dense(features: &Features) -> Vec<Vec<f32>> {
    let row = |i| {
        let mut row = vec![0.0; features.n_features()];
        features.for_each_cell(i, |j, x| row[j] = x as f32);
        row
    };
    (0..features.n_rows()).map(row).collect()
}

#[test]
fn categories_are_one_hot_and_missing_values_are_filled_by_the_training_rows() {
    let (names, rows) = fitted(MissingRule::Mean, false);
    assert_eq!(names, ["age", "kind=a", "kind=b", "time"]);
    // The mean of 1, 3, 8, 3; the first of two categories of two rows each; times less their rounded mean.
    assert_eq!(rows[1], [3.75, 1.0, 0.0, -1.0]);
    assert_eq!(rows[2], [3.0, 1.0, 0.0, 0.0]);
    assert_eq!(rows[5], [100.0, 0.0, 0.0, 3.0], "an unseen category");
    assert_eq!(fitted(MissingRule::Median, false).1[1][0], 3.0);
    assert_eq!(fitted(MissingRule::MostFrequent, false).1[1][0], 3.0);
    let (names, rows) = fitted(MissingRule::Mean, true);
    assert_eq!(names, ["age", "age is missing", "kind=a", "kind=b", "kind is missing", "time"]);
    assert_eq!(rows[1], [3.75, 1.0, 1.0, 0.0, 0.0, -1.0]);
    assert_eq!(rows[2], [3.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn features_of_our_own_are_known() {
    let missing = MissingConfig { rule: MissingRule::Mean, indicator: true };
    let encoding = Encoding::fit(&frame(), &ROWS, missing).unwrap();
    assert_eq!(encoding.binary().collect::<Vec<_>>(), [1, 2, 3, 4]);
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
    assert_eq!(encoding.column_names().unwrap(), ["age", "kind", "time"]);
    assert!(!encoding.is_sound(5));
}

#[test]
fn many_categories_are_sparse() {
    let words = (0..100).map(|i| Some(format!("{:02}", i % 50)));
    let numbers = (0..100).map(f64::from).collect();
    let frame = Frame::new(vec![FrameColumn::words("w", words), FrameColumn::numbers("x", numbers)]).unwrap();
    let rows: Vec<u32> = (0..100).collect();
    let encoding = Encoding::fit(&frame, &rows, MissingConfig::default()).unwrap();
    let features = encoding.apply(&frame).unwrap().features;
    let Features::Sparse(csr) = &features else { panic!("expected sparse rows") };
    assert_eq!((csr.n_features(), csr.nnz(), csr.n_rows()), (51, 199, 100));
    assert_eq!(csr.row(57), (&[7, 50][..], &[1.0, 57.0][..]));
    // The same columns in another order.
    let turned = Frame::new(frame.columns().iter().rev().cloned().collect()).unwrap();
    assert_eq!(encoding.apply(&turned).unwrap().features, features);
}

#[test]
fn what_does_not_fit_is_refused_by_row_and_column() {
    let said = |frame: &Frame, encoding: &Encoding| encoding.apply(frame).unwrap_err().to_string();
    let whole = |name: &str| FrameColumn::numbers(name, vec![1.0, 2.0]);
    let words = |second: Option<&str>| FrameColumn::words("w", [Some("u"), second]);
    let of = |columns: Vec<FrameColumn>| Frame::new(columns).unwrap();
    let encoding = Encoding::fit(&of(vec![whole("x"), words(Some("v"))]), &[0, 1], MissingConfig::default()).unwrap();
    let lacks = |name: &str| FrameColumn::numbers(name, vec![1.0, f64::NAN]);
    assert_eq!(said(&of(vec![lacks("x"), words(Some("v"))]), &encoding), "row 1, column `x`: the value is missing");
    assert_eq!(said(&of(vec![whole("x"), words(None)]), &encoding), "row 1, column `w`: the value is missing");
    assert_eq!(
        said(&of(vec![whole("y"), words(None)]), &encoding),
        "column `x`: found no such column, expected it as in training"
    );
    assert_eq!(
        said(&of(vec![whole("x"), whole("w")]), &encoding),
        "column `w`: found numbers, expected words as in training"
    );
    let infinite = FrameColumn::numbers("x", vec![1.0, 1e39]);
    assert!(said(&of(vec![infinite, words(None)]), &encoding).starts_with("row 1, column `x`: found a number that"));
    let error = Encoding::fit(&of(vec![lacks("x")]), &[0, 1], MissingConfig::default()).unwrap_err();
    assert_eq!(error.to_string(), "row 1, column `x`: the value is missing");
    assert!(Encoding::fit(&of(vec![lacks("x")]), &[0], MissingConfig::default()).is_ok(), "no training row lacks it");
    assert!(Frame::new(vec![whole("x"), FrameColumn::numbers("y", vec![1.0])]).is_none());
}

/// Times of three years, of which two columns differ by half a minute: an origin alone would leave seconds to round.
#[test]
fn columns_that_blur_are_kept_in_double_precision() {
    let times = |add: f64| (0..200).map(|i| 1.6e9 + 499_979.0 * f64::from(i) + add * f64::from(29 + i % 2)).collect();
    let columns = |word: &dyn Fn(usize) -> String| {
        let words: Vec<String> = (0..200).map(word).collect();
        Frame::new(vec![
            FrameColumn::numbers("from", times(0.0)),
            FrameColumn::numbers("to", times(1.0)),
            FrameColumn::words("kind", words.iter().map(|word| Some(word.as_str()))),
        ])
        .unwrap()
    };
    let rows: Vec<u32> = (0..200).collect();
    let fit = |frame: &Frame| Encoding::fit(frame, &rows, MissingConfig::default()).unwrap();
    let frame = columns(&|i| ["a", "b"][i % 2].into());
    let encoding = fit(&frame);
    let Features::F64(found) = encoding.apply(&frame).unwrap().features else { panic!("not in double precision") };
    let origins: Vec<f64> = encoding.origins().map(|(_, origin)| origin).collect();
    let origin = |at: usize| origins.get(at).copied().unwrap_or(0.0);
    for (i, row) in (0..200).map(|i| (i, found.row(i))) {
        let apart = match origins.len() {
            2 => row[1] + origin(1) - (row[0] + origin(0)),
            1 => row[1] + origin(0) - row[0],
            _ => row[1] - row[0],
        };
        assert_eq!(apart, f64::from(29 + i as u32 % 2), "{origins:?}");
    }
    // The file says so; one without the word is of single precision.
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
    let before: Encoding = serde_json::from_str(&text.replace(",\"double\":true", "")).unwrap();
    assert!(!before.is_double() && matches!(before.apply(&frame).unwrap().features, Features::F32(_)));
    // Of many categories most cells are zero: sparse rows are in single precision.
    let frame = columns(&|i| format!("word {i}"));
    assert!(!fit(&frame).is_double() && matches!(fit(&frame).apply(&frame).unwrap().features, Features::Sparse(_)));
}
