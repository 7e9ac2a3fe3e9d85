//! One class against all others, as the threshold of its score falls: the ROC and the precision-recall curve, and the areas below them.

/// Points of a curve, about.
const POINTS: f64 = 200.0;

/// The curves of a class. With P rows of the class and N of others, of which TP and FP have at least a score: `TPR = TP/P` over
/// `FPR = FP/N`, and the precision `TP/(TP + FP)` over the recall `TP/P`. Rows of equal scores pass a threshold together.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassCurves {
    /// (false positive rate, true positive rate), thinned to about 200 points; empty where a rate divides by no rows.
    pub roc: Vec<(f64, f64)>,
    /// (recall, precision), thinned in the same way; empty for a class without rows.
    pub precision_recall: Vec<(f64, f64)>,
    /// The area below the ROC curve, by trapezia over all thresholds: the chance that a row of the class has a higher score than
    /// another row, a tie counting half. `None` where every row is of the class, or none is.
    pub roc_auc: Option<f64>,
    /// `Σ (R_n − R_{n−1})·P_n` over all thresholds; `None` for a class without rows.
    pub average_precision: Option<f64>,
}

impl ClassCurves {
    /// The curves of rows with their scores, and whether they are of the class.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn new(mut rows: Vec<(f64, bool)>) -> Self {
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let positives = rows.iter().filter(|row| row.1).count() as f64;
        let negatives = rows.len() as f64 - positives;
        let (mut hits, mut alarms, mut area, mut average) = (0.0f64, 0.0f64, 0.0, 0.0);
        let (mut roc, mut precision_recall) = (vec![(0.0, 0.0)], Vec::new());
        for tied in rows.chunk_by(|a, b| a.0 == b.0) {
            let of_class = tied.iter().filter(|row| row.1).count() as f64;
            let others = tied.len() as f64 - of_class;
            area += others * (hits + of_class / 2.0);
            (hits, alarms) = (hits + of_class, alarms + others);
            let precision = hits / (hits + alarms);
            average += of_class * precision;
            roc.push((alarms / negatives, hits / positives));
            precision_recall.push((hits / positives, precision));
        }
        if let Some(&(_, first)) = precision_recall.first() {
            precision_recall.insert(0, (0.0, first));
        }
        let some = |there: bool, value: f64| there.then_some(value);
        Self {
            roc: if positives * negatives > 0.0 { thinned(&roc) } else { Vec::new() },
            precision_recall: if positives > 0.0 { thinned(&precision_recall) } else { Vec::new() },
            roc_auc: some(positives * negatives > 0.0, area / (positives * negatives)),
            average_precision: some(positives > 0.0, average / positives),
        }
    }
}

/// The mean of the values that there are; `None` where there is none.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.flatten().fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

/// The mean of curves at 101 places from 0 to 1, each curve linear between its points; empty for no curves.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn mean_curve<'a>(curves: impl Iterator<Item = &'a [(f64, f64)]> + Clone) -> Vec<(f64, f64)> {
    let n = curves.clone().filter(|curve| !curve.is_empty()).count();
    if n == 0 {
        return Vec::new();
    }
    let at = |x: f64| curves.clone().filter(|curve| !curve.is_empty()).map(|curve| value_at(curve, x)).sum::<f64>();
    (0..=100).map(|i| f64::from(i) / 100.0).map(|x| (x, at(x) / n as f64)).collect()
}

/// The value of a curve whose places ascend; of several at one place the last.
fn value_at(curve: &[(f64, f64)], x: f64) -> f64 {
    let after = curve.partition_point(|p| p.0 <= x);
    let (before, after) = (curve[after.saturating_sub(1)], curve[after.min(curve.len() - 1)]);
    let width = after.0 - before.0;
    if width > 0.0 { before.1 + (after.1 - before.1) * ((x - before.0) / width).clamp(0.0, 1.0) } else { before.1 }
}

/// The points that are at least a little away from the one before, and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (i, &point) in points.iter().enumerate() {
        let far = kept.last().is_none_or(|last| (point.0 - last.0).abs() + (point.1 - last.1).abs() >= 2.0 / POINTS);
        if far || i + 1 == points.len() {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_by_hand() {
        // Of the rows of the class one is above the other row and one below it.
        let curves = ClassCurves::new(vec![(1.0, true), (3.0, true), (2.0, false)]);
        assert_eq!(curves.roc_auc, Some(0.5));
        assert_eq!(curves.average_precision, Some((1.0 + 2.0 / 3.0) / 2.0));
        assert_eq!(curves.roc, [(0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 1.0)]);
        // Ties count half, and the precision of all rows is what a coin has.
        let tied = ClassCurves::new(vec![(1.0, true), (1.0, false), (1.0, false), (1.0, false)]);
        assert_eq!((tied.roc_auc, tied.average_precision), (Some(0.5), Some(0.25)));
        let perfect = ClassCurves::new(vec![(2.0, true), (1.0, false)]);
        assert_eq!((perfect.roc_auc, perfect.average_precision), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn what_divides_by_no_rows_is_left_out() {
        let none = ClassCurves::new(vec![(2.0, false), (1.0, false)]);
        assert_eq!((none.roc_auc, none.average_precision), (None, None));
        assert!(none.roc.is_empty() && none.precision_recall.is_empty());
        let all = ClassCurves::new(vec![(2.0, true)]);
        assert_eq!((all.roc_auc, all.average_precision), (None, Some(1.0)));
        let empty = ClassCurves::new(Vec::new());
        assert_eq!((empty.roc_auc, empty.roc.len()), (None, 0));
        assert_eq!(mean([None, Some(1.0), Some(2.0)].into_iter()), Some(1.5));
        assert_eq!(mean(std::iter::once(None)), None);
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_ends_and_areas() {
        let rows = |i: u32| (f64::from(i * 7_919 % 100_003), (i % 17) * (i % 17) % 17 < 5);
        let curves = ClassCurves::new((0..100_000).map(rows).collect());
        assert!((100..=210).contains(&curves.roc.len()), "{}", curves.roc.len());
        assert_eq!((curves.roc[0], *curves.roc.last().unwrap()), ((0.0, 0.0), (1.0, 1.0)));
        let below: f64 = curves.roc.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        assert!((below - curves.roc_auc.unwrap()).abs() < 2e-3, "{below}");
    }

    #[test]
    fn the_mean_of_curves_is_taken_place_by_place() {
        let curves = [vec![(0.0, 0.0), (1.0, 1.0)], vec![], vec![(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]];
        let mean = mean_curve(curves.iter().map(Vec::as_slice));
        assert_eq!((mean.len(), mean[0], mean[50], mean[100]), (101, (0.0, 0.5), (0.5, 0.75), (1.0, 1.0)));
        assert!(mean_curve(std::iter::empty()).is_empty());
    }
}
