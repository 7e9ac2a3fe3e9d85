//! `roc.csv`: ROC and precision-recall curves of the rows that a run reports on, one class against all others, with the areas below them.
//!
//! Up to ten classes have their curves, of more there is the mean. A line is a point: `split,curve,class,area,x,y`.

use crate::data::Dataset;
use crate::evaluation::class_curves;
use crate::metric::{ClassCurves, mean, mean_curve};
use crate::model::Classifier;
use crate::visible;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Classes of which each has its curves.
const MOST_CLASSES: usize = 10;

/// The two kinds of curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// True positive rate over false positive rate.
    Roc,
    /// Precision over recall.
    PrecisionRecall,
}

/// A curve of a class, or the mean of all classes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassCurve {
    /// Which of the two.
    pub kind: CurveKind,
    /// The name of the class; empty for the mean.
    pub class: String,
    /// The area below the ROC curve, or the average precision.
    pub area: f64,
    /// Places from 0 to 1.
    pub points: Vec<(f64, f64)>,
}

/// Content of `roc.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct RocRecord {
    /// `test`, `validation` or `train`.
    pub split: String,
    /// ROC curves first, in the order of the classes.
    pub curves: Vec<ClassCurve>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct RocLine<'a> {
    split: &'a str,
    curve: CurveKind,
    class: &'a str,
    area: f64,
    x: f64,
    y: f64,
}

impl RocRecord {
    /// The curves of a model on rows of a split; `None` where there are too many rows times classes, or no class has both kinds of rows.
    pub(super) fn measure(model: &Classifier, data: &Dataset, split: &str, rows: &[u32]) -> Option<Self> {
        let classes = class_curves(model, data, rows)?;
        let mut curves = of_kind(CurveKind::Roc, &classes, &model.class_names);
        curves.extend(of_kind(CurveKind::PrecisionRecall, &classes, &model.class_names));
        (!curves.is_empty()).then(|| Self { split: split.to_owned(), curves })
    }

    /// The file.
    ///
    /// # Errors
    /// Error of the writer.
    pub(super) fn text(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for curve in &self.curves {
            let class = visible::cell(&curve.class);
            for &(x, y) in &curve.points {
                let row = RocLine { split: &self.split, curve: curve.kind, class: &class, area: curve.area, x, y };
                writer.serialize(row)?;
            }
        }
        writer.into_inner().map_err(|e| e.into_error().into())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A sentence, where it is no such file.
    pub(super) fn parse(file: impl Read) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().map_err(|e| e.to_string())?.clone();
        let mut record = Self { split: String::new(), curves: Vec::new() };
        for line in reader.records() {
            let line = line.map_err(|e| e.to_string())?;
            let row: RocLine<'_> = line.deserialize(Some(&header)).map_err(|e| e.to_string())?;
            if ![row.area, row.x, row.y].iter().all(|share| (0.0..=1.0).contains(share)) {
                let at = line.position().map_or(0, csv::Position::line);
                return Err(format!("line {at}: expected an area and a place from 0 to 1"));
            }
            row.split.clone_into(&mut record.split);
            let class = visible::of_cell(row.class);
            match record.curves.last_mut() {
                Some(last) if (last.kind, last.class.as_str()) == (row.curve, class) => {
                    last.points.push((row.x, row.y))
                }
                _ => record.curves.push(ClassCurve {
                    kind: row.curve,
                    class: class.to_owned(),
                    area: row.area,
                    points: vec![(row.x, row.y)],
                }),
            }
        }
        Ok(record)
    }
}

fn points(kind: CurveKind, curves: &ClassCurves) -> &[(f64, f64)] {
    match kind {
        CurveKind::Roc => &curves.roc,
        CurveKind::PrecisionRecall => &curves.precision_recall,
    }
}

/// The curves of one kind: of each class, or of many classes the mean.
fn of_kind(kind: CurveKind, classes: &[ClassCurves], names: &[String]) -> Vec<ClassCurve> {
    let area = |curves: &ClassCurves| match kind {
        CurveKind::Roc => curves.roc_auc,
        CurveKind::PrecisionRecall => curves.average_precision,
    };
    if classes.len() > MOST_CLASSES {
        let Some(area) = mean(classes.iter().map(area)) else { return Vec::new() };
        let points = mean_curve(classes.iter().map(|curves| points(kind, curves)));
        return vec![ClassCurve { kind, class: String::new(), area, points }];
    }
    let named = classes.iter().zip(names);
    let curve = |(curves, name): (&ClassCurves, &String)| {
        let (class, points) = (name.clone(), points(kind, curves).to_vec());
        area(curves).filter(|_| !points.is_empty()).map(|area| ClassCurve { kind, class, area, points })
    };
    named.filter_map(curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(k: usize) -> (Vec<ClassCurves>, Vec<String>) {
        let row = |class: usize, i: usize| {
            (((i * 37 + class * 11) % 101) as f64 + if i % k == class { 60.0 } else { 0.0 }, i % k == class)
        };
        let curves = (0..k).map(|class| ClassCurves::new((0..300).map(|i| row(class, i)).collect())).collect();
        (curves, (0..k).map(|i| format!("=class {i}, \"quoted\"")).collect())
    }

    #[test]
    fn what_is_written_comes_back_and_many_classes_are_a_mean() {
        for (k, expected) in [(2, 2), (10, 10), (11, 1)] {
            let (curves, names) = classes(k);
            let roc = of_kind(CurveKind::Roc, &curves, &names);
            assert_eq!(roc.len(), expected);
            let all = roc.into_iter().chain(of_kind(CurveKind::PrecisionRecall, &curves, &names)).collect();
            let record = RocRecord { split: "test".into(), curves: all };
            let read = RocRecord::parse(record.text().unwrap().as_slice()).unwrap();
            let points = |record: &RocRecord| {
                record.curves.iter().map(|c| (c.kind, c.area, c.points.clone())).collect::<Vec<_>>()
            };
            assert_eq!(points(&read), points(&record));
        }
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        let head = "split,curve,class,area,x,y\n";
        for (line, problem) in
            [("test,roc,a,0.5,0,2\n", "line 2: expected an area"), ("test,loss,a,1,1,1\n", "unknown variant")]
        {
            let found = RocRecord::parse(format!("{head}{line}").as_bytes()).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
        assert!(RocRecord::parse(&b"a,b\n1,2\n"[..]).is_err());
        assert_eq!(RocRecord::parse(head.as_bytes()).unwrap().curves, []);
    }
}
