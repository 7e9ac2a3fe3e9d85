//! csv text that another parser reads, too: cells are written from the bytes, with quotes, blanks and line ends of all kinds, and
//! must come back as they were.
#![no_main]

use burn_svm::internals::data::Features;
use burn_svm_cli::format::{ColumnRef, Format, ModelColumns, columns::SpecialColumns};
use burn_svm_fuzz::{init, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    init();
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next();
    let Some(style) = next() else { return };
    let (delimiter, end) = (b",;\t|"[usize::from(style & 3)], if style & 4 == 0 { "\n" } else { "\r\n" });
    let n_columns = 1 + usize::from(style >> 4 & 7);
    let (mut text, mut expected, mut row) = (Vec::new(), Vec::new(), Vec::new());
    while let (Some(a), Some(b), Some(dress)) = (next(), next(), next()) {
        // Quarters are exact in f32 and in decimal.
        let value = f32::from(i16::from_le_bytes([a, b])) / 4.0;
        row.push(value);
        let number = if dress & 1 == 0 { format!("{value}") } else { format!("{value:e}") };
        let blank = if dress & 2 == 0 { "" } else { " " };
        let quote = if dress & 4 == 0 { "" } else { "\"" };
        text.extend(format!("{blank}{quote}{number}{quote}{blank}").bytes());
        if row.len() < n_columns {
            text.push(delimiter);
            continue;
        }
        // A label with what must be quoted in it.
        let label = format!("v{}{}", dress >> 6, if dress & 8 == 0 { "" } else { "\"\"\n,;" });
        text.push(delimiter);
        text.extend(format!("\"{label}\"{end}").bytes());
        if dress & 16 != 0 {
            text.extend(end.bytes());
        }
        expected.append(&mut row);
    }
    let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    text.truncate(if expected.is_empty() { 0 } else { whole });
    if expected.is_empty() {
        return;
    }
    // What follows the last whole row is cut off: it is the beginning of another.
    let special = SpecialColumns { label: Some(ColumnRef::Number(-1)), ..SpecialColumns::default() };
    let wanted = ModelColumns { special, header: Some(false), delimiter: String::from_utf8(vec![delimiter]).ok().and_then(|d| d.try_into().ok()), ..ModelColumns::default() };
    let Some(table) = read(Some(Format::Csv), &text, Some(&wanted)) else { panic!("not read: {:?}", String::from_utf8_lossy(&text)) };
    let Features::F32(dense) = &table.features else { panic!("expected floats") };
    assert_eq!((dense.n_features(), dense.values()), (n_columns, expected.as_slice()));
});
