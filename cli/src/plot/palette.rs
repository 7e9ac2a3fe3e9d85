//! Colours: one for each thing that is drawn, the same in every figure and on the page of a report.

use plotters::style::RGBColor;

/// Text that is read first.
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
/// Text that is read second.
pub(crate) const QUIET: RGBColor = RGBColor(0x5c, 0x63, 0x6b);
/// Lines that guide the eye.
pub(crate) const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xe9);
/// Axes and frames.
pub(crate) const AXIS: RGBColor = RGBColor(0x9a, 0xa0, 0xa6);
/// Trials that diverged.
pub(crate) const LOST: RGBColor = RGBColor(0xa4, 0xa9, 0xae);
/// The background.
pub(crate) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// Training rows.
pub(crate) const TRAIN: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
/// Validation rows.
pub(crate) const VALIDATION: RGBColor = RGBColor(0xd0, 0x58, 0x0a);
/// Test rows.
pub(crate) const TEST: RGBColor = RGBColor(0x2b, 0x83, 0x4a);
/// The objective.
pub(crate) const PRIMAL: RGBColor = RGBColor(0x7b, 0x3f, 0xa0);
/// The lower bound of the objective.
pub(crate) const DUAL: RGBColor = RGBColor(0x9a, 0x74, 0x00);

/// The colours of up to ten classes.
pub(crate) const CLASSES: [RGBColor; 10] = [
    RGBColor(0x3b, 0x75, 0xb5),
    RGBColor(0xe0, 0x77, 0x1a),
    RGBColor(0x3a, 0x97, 0x3f),
    RGBColor(0xc9, 0x3c, 0x3c),
    RGBColor(0x8c, 0x66, 0xb8),
    RGBColor(0x8a, 0x58, 0x4c),
    RGBColor(0xd4, 0x6f, 0xb5),
    RGBColor(0x7a, 0x7f, 0x85),
    RGBColor(0xa3, 0xa3, 0x1c),
    RGBColor(0x1d, 0xa3, 0xb5),
];

/// The names of the colours in the style sheet of a page, where they follow the reader's choice of light or dark.
pub(crate) const NAMES: [(RGBColor, &str); 11] = [
    (INK, "--ink"),
    (QUIET, "--quiet"),
    (GRID, "--grid"),
    (AXIS, "--axis"),
    (LOST, "--lost"),
    (PAPER, "--card"),
    (TRAIN, "--train"),
    (VALIDATION, "--validation"),
    (TEST, "--test"),
    (PRIMAL, "--primal"),
    (DUAL, "--dual"),
];

/// A colour as a style sheet writes it.
pub(crate) fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_another() {
        let mut all: Vec<String> = NAMES.iter().map(|(color, _)| *color).chain(CLASSES).map(hex).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), NAMES.len() + CLASSES.len());
        assert_eq!(hex(RGBColor(1, 0xab, 255)), "#01ABFF");
    }
}
