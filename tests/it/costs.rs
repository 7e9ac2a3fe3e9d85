//! Costs Δ(y, j) in the place of the margin: values by hand, stored forms, refusals.

use crate::support::{targets, worst};
use burn_svm::internals::loss::Loss;

#[test]
fn small_rows_have_these_values() {
    let costs = [vec![0.0, 1.0, 3.0], vec![2.0, 0.0, 0.5], vec![0.0, 4.0, 0.0]];
    // Rows of scores with their label: G = Δ(y, j) + s_j − s_y.
    let (scores, labels) = ([[1.0, 0.5, -1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]].concat(), [0, 1, 2]);
    // Row 0: 1 − 0.5 = 0.5, 3 − 2 = 1. Row 1: 2 − 1 = 1, 0.5 + 1 = 1.5. Row 2: 0 is exactly met, 4.
    let sum = Loss::weston_watkins().costs(&costs);
    let worst_class = Loss::crammer_singer().costs(&costs);
    let cases = [
        (sum.clone(), [1.5, 2.5, 4.0], [[-2.0, 1.0, 1.0], [1.0, -2.0, 1.0], [0.0, 1.0, -1.0]]),
        (sum.squared(), [1.25, 3.25, 16.0], [[-3.0, 1.0, 2.0], [2.0, -5.0, 3.0], [0.0, 8.0, -8.0]]),
        (worst_class.clone(), [1.0, 1.5, 4.0], [[-1.0, 0.0, 1.0], [0.0, -1.0, 1.0], [0.0, 1.0, -1.0]]),
        (worst_class.squared(), [1.0, 2.25, 16.0], [[-2.0, 0.0, 2.0], [0.0, -3.0, 3.0], [0.0, 8.0, -8.0]]),
    ];
    for target in targets() {
        for (loss, values, gradient) in &cases {
            assert_eq!(target.values(loss, &scores, &labels, 3), values, "{} {loss}", target.name);
            for (route, found) in target.routes(loss, &scores, &labels, 3) {
                assert!(
                    worst(&found, &gradient.concat()) <= target.tolerance(),
                    "{} {loss} {route}: {found:?}",
                    target.name
                );
            }
        }
    }
}

#[test]
fn stored_losses_keep_their_form() {
    let loss = Loss::weston_watkins().costs(&[vec![0.0, 2.0], vec![0.5, 0.0]]);
    let stored = r#"{"formulation":"weston_watkins","costs":[[0.0,2.0],[0.5,0.0]],"power":1,"class_weights":null}"#;
    assert_eq!(serde_json::to_string(&loss).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Loss>(stored).unwrap(), loss);
    let old = r#"{"formulation":"top_k","margin":0.1,"power":1,"k":2,"smoothing":0.5,"class_weights":[1.0,2.0]}"#;
    let loss = Loss::top_k(2).margin(0.1).smoothing(0.5).class_weights(vec![1.0, 2.0]);
    assert_eq!(serde_json::from_str::<Loss>(old).unwrap(), loss);
    assert_eq!(serde_json::to_string(&loss).unwrap(), old);
    for (wrong, problem) in [
        (old.replace("\"margin\":0.1,", ""), "found neither `margin` nor `costs`"),
        (stored.replace("\"power\"", "\"margin\":1.0,\"power\""), "found both `margin` and `costs`"),
    ] {
        let said = serde_json::from_str::<Loss>(&wrong).unwrap_err().to_string();
        assert!(said.starts_with(problem), "{said}");
    }
}

#[test]
fn what_is_no_cost_matrix_is_refused() {
    let said = |loss: Loss, n_classes: usize| loss.check(n_classes).unwrap_err().to_string();
    let of = |rows: &[Vec<f64>]| Loss::weston_watkins().costs(rows);
    assert_eq!(said(of(&[vec![0.0, 1.0], vec![1.0]]), 2), "costs: found 1 numbers for label 1 of 2, expected 2");
    let negative = said(of(&[vec![0.0, -1.0], vec![1.0, 0.0]]), 2);
    assert_eq!(negative, "costs: found -1 for label 0 and class 1, expected a finite number, at least 0");
    assert!(
        said(of(&[vec![0.0, f64::NAN], vec![1.0, 0.0]]), 2).starts_with("costs: found NaN for label 0 and class 1")
    );
    let own = said(of(&[vec![0.0, 1.0], vec![1.0, 2.0]]), 2);
    assert_eq!(own, "costs: found 2 for label 1 and class 1, expected 0: the right class costs nothing");
    assert_eq!(said(of(&[vec![0.0, 1.0], vec![1.0, 0.0]]), 3), "costs: found those of 2 classes, expected 3");
    let rest = Loss::one_vs_rest().costs(&[vec![0.0, 1.0], vec![1.0, 0.0]]);
    assert_eq!(said(rest, 2), "costs: one-vs-rest has no margin between two classes");
    assert!(said(of(&[vec![0.0, 0.0], vec![0.0, 0.0]]), 2).starts_with("costs: all are 0, expected one above 0"));
    assert_eq!(of(&[vec![0.0, 0.0], vec![7.0, 0.0]]).check(2), Ok(()));
}
