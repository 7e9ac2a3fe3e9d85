//! Labels as text files have them.

use super::quote;
use crate::data::LabelColumn;

/// Appends to `labels` the label that a text file has: an integer, of which `+1`, `1.0` and `1` are the same, or any other word.
///
/// # Errors
/// The sentence about a cell that can be no label: nothing, NaN, or bytes that are not UTF-8.
pub fn push_text(labels: &mut LabelColumn, word: &[u8]) -> Result<(), String> {
    if word.is_empty() {
        return Err("the label is missing".into());
    }
    let Ok(text) = std::str::from_utf8(word) else {
        return Err(format!("label {} is not UTF-8 text", quote(&String::from_utf8_lossy(word))));
    };
    if is_plain_integer(word) {
        labels.push(text);
        return Ok(());
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_nan() => {
            return Err(format!("found label {}, expected an integer or a word", quote(text)));
        }
        #[allow(clippy::cast_possible_truncation)]
        Ok(number) if number.fract() == 0.0 && number.abs() < 9e15 => labels.push(&(number as i64).to_string()),
        Ok(_) | Err(_) => labels.push(text),
    }
    Ok(())
}

/// True for an integer as `i64` would print it.
fn is_plain_integer(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let plain = digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
    plain && (matches!(digits, [b'1'..=b'9', ..]) || word == b"0")
}
