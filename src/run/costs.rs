//! The file of a cost matrix: csv with the names of the classes in its first row and its first column, in any order.
//!
//! ```text
//! label,cat,dog,fish
//! cat,0,2,1
//! fish,1,1,0
//! dog,2,0,1
//! ```
//!
//! The first cell is not read. Rows are the labels y, columns the classes j, cells Δ(y, j).

use crate::data::{DataError, Position};
use crate::durable;
use crate::visible;
use std::path::Path;

/// More than the costs of five thousand classes take.
const MOST_BYTES: u64 = 1 << 28;

/// Reads the costs `[n_classes][n_classes]` in the order of the classes.
///
/// # Errors
/// [`DataError`]: a file that cannot be read, rows of different lengths, a name that is no class, is there twice or is missing, a cell
/// that is no finite number, at least 0, or not 0 for the class itself.
pub(super) fn read(path: &Path, class_names: &[String]) -> Result<Vec<Vec<f64>>, DataError> {
    let bytes = durable::read(path, MOST_BYTES).map_err(|e| DataError::path(path, e.to_string()))?;
    parse(&bytes, path, class_names)
}

fn parse(bytes: &[u8], path: &Path, class_names: &[String]) -> Result<Vec<Vec<f64>>, DataError> {
    let wrong = |line: usize, column: usize, problem: String| {
        let hint = format!("the first row and the first column name the classes: {}", visible::listed(class_names));
        DataError::content(path, Position::LineColumn(line, column), problem).with_hint(hint)
    };
    let k = class_names.len();
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, 1, "this is no text in UTF-8".into()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut columns, mut rows) = (Vec::new(), vec![None; k]);
    for record in reader.records() {
        let record = record.map_err(|e| wrong(1, 1, e.to_string()))?;
        let line = record.position().map_or(1, |place| usize::try_from(place.line()).unwrap_or(usize::MAX));
        if record.len() != k + 1 {
            let found = record.len();
            return Err(wrong(line, 1, format!("found {found} cells, expected {}: a name and {k} numbers", k + 1)));
        }
        let class = |column: usize| {
            let place = class_names.iter().position(|name| name.trim() == &record[column]);
            place
                .ok_or_else(|| wrong(line, column + 1, format!("`{}` is not a class", visible::short(&record[column]))))
        };
        if columns.is_empty() {
            columns = (1..=k).map(class).collect::<Result<_, _>>()?;
            if let Some(twice) = (0..k).find(|&i| columns[..i].contains(&columns[i])) {
                return Err(wrong(line, twice + 2, format!("`{}` is there twice", visible::short(&record[twice + 1]))));
            }
            continue;
        }
        let label = class(0)?;
        if rows[label].is_some() {
            return Err(wrong(line, 1, format!("`{}` is there twice", visible::short(&record[0]))));
        }
        let mut costs = vec![0.0; k];
        for (i, &j) in columns.iter().enumerate() {
            let (cell, own) = (&record[i + 1], j == label);
            let expected = if own { "0 for the class itself" } else { "a finite number, at least 0" };
            let allowed = |cost: &f64| if own { *cost == 0.0 } else { cost.is_finite() && *cost >= 0.0 };
            costs[j] =
                cell.parse().ok().filter(allowed).ok_or_else(|| {
                    wrong(line, i + 2, format!("found `{}`, expected {expected}", visible::short(cell)))
                })?;
        }
        rows[label] = Some(costs);
    }
    let missing = |(label, row): (usize, Option<Vec<f64>>)| {
        let name = visible::short(&class_names[label]);
        row.ok_or_else(|| DataError::content(path, Position::File, format!("there is no row of the class `{name}`")))
    };
    rows.into_iter().enumerate().map(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Vec<f64>>, String> {
        let names = ["cat", "dog", "fish"].map(String::from);
        parse(text.as_bytes(), Path::new("c.csv"), &names).map_err(|e| e.to_string())
    }

    #[test]
    fn names_may_be_in_any_order() {
        let found = of("\u{feff}x,dog, cat,fish\r\nfish,3,1,0\ncat,2,0,5\n\ndog,0,0.5,1e1\n").unwrap();
        assert_eq!(found, [vec![0.0, 2.0, 5.0], vec![0.5, 0.0, 10.0], vec![1.0, 3.0, 0.0]]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let head = "x,cat,dog,fish\ncat,0,1,1\n";
        for (text, problem) in [
            ("", "c.csv: there is no row of the class `cat`"),
            ("x,cat,dog\n", "c.csv:1:1: found 3 cells, expected 4: a name and 3 numbers"),
            ("x,cat,dog,bird\n", "c.csv:1:4: `bird` is not a class"),
            ("x,cat,dog,cat\n", "c.csv:1:4: `cat` is there twice"),
            ("dog,1,0\n", "c.csv:3:1: found 3 cells, expected 4: a name and 3 numbers"),
            ("bird,1,0,1\n", "c.csv:3:1: `bird` is not a class"),
            ("cat,0,1,1\n", "c.csv:3:1: `cat` is there twice"),
            ("dog,1,0,-1\n", "c.csv:3:4: found `-1`, expected a finite number, at least 0"),
            ("dog,1,0,inf\n", "c.csv:3:4: found `inf`, expected a finite number, at least 0"),
            ("dog,1,0,x\n", "c.csv:3:4: found `x`, expected a finite number, at least 0"),
            ("dog,1,2,1\n", "c.csv:3:3: found `2`, expected 0 for the class itself"),
            ("dog,1,0,1\n", "c.csv: there is no row of the class `fish`"),
        ] {
            let text = if text.is_empty() || text.starts_with('x') { text.to_owned() } else { format!("{head}{text}") };
            assert_eq!(of(&text).unwrap_err(), problem, "{text}");
        }
    }
}
