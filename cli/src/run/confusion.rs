//! `confusion.csv`, in one of two forms.
//!
//! Up to [`MOST_DENSE`] classes the matrix: the name of the split and the predicted classes in the first line, then a line a true
//! class. Beyond, a matrix would be larger than the data: `split,true,predicted,count`, first a line for each class with the rows
//! that are right, in the order of the classes, then a line for each pair that is confused. Names are written as
//! [`visible::cell`] writes them.

use crate::metric::{Confusion, MOST_DENSE};
use crate::visible;
use std::collections::HashMap;
use std::io::Read;

/// The first line of the long form. No split has the name `split`.
const LONG: [&str; 4] = ["split", "true", "predicted", "count"];

/// The text of the file.
pub(super) fn text(split: &str, confusion: &Confusion, class_names: &[String]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names: Vec<_> = class_names.iter().map(|name| visible::cell(name)).collect();
    if confusion.is_dense() {
        writer.write_record(std::iter::once(split).chain(names.iter().map(AsRef::as_ref)))?;
        for (i, name) in names.iter().enumerate() {
            let counts: Vec<String> = (0..names.len()).map(|j| confusion.count(i, j).to_string()).collect();
            writer.write_record(std::iter::once(name.as_ref()).chain(counts.iter().map(String::as_str)))?;
        }
    } else {
        writer.write_record(LONG)?;
        let mut line = |i: usize, j: usize, count: u64| {
            writer.write_record([split, names[i].as_ref(), names[j].as_ref(), &count.to_string()])
        };
        (0..names.len()).try_for_each(|i| line(i, i, confusion.count(i, i)))?;
        confusion.cells().filter(|(i, j, _)| i != j).try_for_each(|(i, j, count)| line(i, j, count))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// The name of the split, the classes in column order, and the counts.
type ParsedConfusion = (String, Vec<String>, Confusion);

/// Reads either form.
///
/// # Errors
/// The mistake, with the line.
pub(super) fn parse(file: impl Read) -> Result<ParsedConfusion, String> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    if header.iter().eq(LONG) { long(&mut reader) } else { wide(&mut reader, &header) }
}

fn count_of(cell: &str, line: usize) -> Result<u64, String> {
    let shown = || visible::name(&cell.chars().take(40).collect::<String>()).into_owned();
    cell.parse().map_err(|_| format!("line {line}: `{}` is not a count", shown()))
}

fn wide(reader: &mut csv::Reader<impl Read>, header: &csv::StringRecord) -> Result<ParsedConfusion, String> {
    let class_names: Vec<String> = header.iter().skip(1).map(|cell| visible::of_cell(cell).to_owned()).collect();
    let k = class_names.len();
    let mut confusion = Confusion::new(k);
    let mut lines = 0;
    for (i, record) in reader.records().enumerate() {
        let record = record.map_err(|e| e.to_string())?;
        if record.get(0).map(visible::of_cell) != class_names.get(i).map(String::as_str) {
            return Err(format!("line {}: expected the classes in the order of the first line", i + 2));
        }
        for (j, cell) in record.iter().skip(1).enumerate() {
            confusion.put(i, j, count_of(cell, i + 2)?);
        }
        lines += 1;
    }
    if k == 0 || lines != k {
        return Err(format!("found {lines} lines of {k} classes, expected as many lines as classes"));
    }
    Ok((header.get(0).unwrap_or_default().to_owned(), class_names, confusion))
}

fn long(reader: &mut csv::Reader<impl Read>) -> Result<ParsedConfusion, String> {
    let (mut split, mut class_names) = (String::new(), Vec::new());
    let (mut index, mut cells) = (HashMap::new(), Vec::new());
    for (i, record) in reader.records().enumerate() {
        let (record, line) = (record.map_err(|e| e.to_string())?, i + 2);
        let [of, label, predicted, count] = [0, 1, 2, 3].map(|at| record.get(at).unwrap_or_default());
        if i == 0 {
            of.clone_into(&mut split);
        }
        if of != split {
            return Err(format!("line {line}: expected the same split as in the lines before"));
        }
        let known = index.get(label).copied();
        if label == predicted && known.is_none() {
            index.insert(label.to_owned(), class_names.len());
            class_names.push(visible::of_cell(label).to_owned());
        }
        let (Some(&label), Some(&predicted)) = (index.get(label), index.get(predicted)) else {
            return Err(format!("line {line}: expected a line for each class before those of two classes"));
        };
        cells.push((label, predicted, count_of(count, line)?));
    }
    if class_names.len() <= MOST_DENSE {
        return Err(format!("found {} classes, expected more than {MOST_DENSE} in this form", class_names.len()));
    }
    let mut confusion = Confusion::new(class_names.len());
    cells.into_iter().for_each(|(label, predicted, count)| confusion.put(label, predicted, count));
    Ok((split, class_names, confusion))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(k: usize) -> Vec<String> {
        let hostile = ["=1+1", "'=1", "-1", "a\nb", "\u{1b}[2J", "a,\"b\"", "@x", "+", "predicted", "count"];
        (0..k).map(|i| hostile.get(i).map_or_else(|| format!("class {i}"), |name| (*name).to_owned())).collect()
    }

    #[test]
    fn both_forms_come_back_with_the_names_of_the_classes() {
        for k in [2, 10, MOST_DENSE, MOST_DENSE + 1, 30_000] {
            let mut confusion = Confusion::new(k);
            (0..3 * k).for_each(|i| confusion.add(i % k, if i % 7 == 0 { i / 2 % k } else { i % k }));
            // One class that is not met.
            let text = text("test", &confusion, &names(k)).unwrap();
            assert!(text.len() < 3_000_000, "{k}: {} bytes", text.len());
            let (split, class_names, read) = parse(text.as_slice()).unwrap();
            assert_eq!((split.as_str(), &class_names, &read), ("test", &names(k), &confusion), "{k}");
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.starts_with("split,true,predicted,count\n"), k > MOST_DENSE);
            // No cell begins a formula.
            let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            for record in cells.records() {
                for cell in &record.unwrap() {
                    assert!(!cell.starts_with(['=', '+', '@', '\t', '\r']), "{cell:?}");
                    assert!(!cell.starts_with('-') || cell == "-1", "{cell:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_the_line() {
        let long = |lines: &str| format!("split,true,predicted,count\n{lines}");
        let classes: String = (0..=MOST_DENSE).map(|i| format!("test,{i},{i},1\n")).collect();
        assert!(parse(long(&classes).as_bytes()).is_ok());
        for (text, problem) in [
            (long(""), "found 0 classes, expected more than 1000 in this form"),
            (long("test,a,a,1\n"), "found 1 classes, expected more than 1000 in this form"),
            (long("test,a,b,1\n"), "line 2: expected a line for each class before those of two classes"),
            (long(&format!("{classes}train,1,1,1\n")), "line 1003: expected the same split as in the lines before"),
            (long(&format!("{classes}test,1,2,\u{1b}\n")), "line 1003: `\\u{1b}` is not a count"),
            // A header of many columns asks for nothing that is not there.
            (format!("test{}\n", ",x".repeat(200_000)), "found 0 lines of 200000 classes"),
        ] {
            let found = parse(text.as_bytes()).unwrap_err();
            assert!(found.starts_with(problem), "{found}");
        }
    }
}
