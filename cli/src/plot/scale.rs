//! Axes and colours of the figures that are drawn without a chart of plotters: places, ticks, a map from numbers to colours.

use plotters::style::RGBColor;

/// Values of more than this factor are placed by their logarithm.
const DECADES: f64 = 30.0;
/// So many values have a tick each.
const EACH: usize = 10;

/// Numbers along a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    log: bool,
    low: f64,
    high: f64,
    /// Every value once, ascending.
    pub(crate) values: Vec<f64>,
}

impl Axis {
    /// The axis of finite values; `None` where there are not two different ones.
    pub(crate) fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (&first, &last) = (values.first()?, values.last()?);
        if first == last {
            return None;
        }
        let log = first > 0.0 && last / first > DECADES;
        let of = |v: f64| if log { v.log10() } else { v };
        Some(Self { log, low: of(first), high: of(last), values })
    }

    /// A plain axis from the smallest to the largest of some finite values; a single value is in its middle.
    pub(crate) fn even(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) =
            values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let pad = if low < high { 0.0 } else { low.abs().max(1.0) / 2.0 };
        let (low, high) = (low - pad, high + pad);
        Some(Self { log: false, low, high, values: vec![low, high] })
    }

    /// Whether values are placed by their logarithm.
    pub(crate) const fn is_log(&self) -> bool {
        self.log
    }

    /// Position of a value, 0 at the lowest and 1 at the highest.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// The places with their labels: of a few values each, of many the decades or five even ones.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let labelled = |v: f64| (self.at(v), short(v));
        if self.values.len() <= EACH {
            return self.values.iter().map(|&v| labelled(v)).collect();
        }
        if self.log {
            #[allow(clippy::cast_possible_truncation)]
            let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
            if last > first {
                let every = (last - first) / 8 + 1;
                return (first..=last).step_by(every as usize).map(|e| labelled(10f64.powi(e))).collect();
            }
        }
        let even = |i: u32| {
            let share = f64::from(i) / 4.0;
            let v = self.low + (self.high - self.low) * share;
            (share, short(if self.log { 10f64.powf(v) } else { v }))
        };
        (0..5).map(even).collect()
    }
}

/// A number in three significant digits.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if (1e-2..1e4).contains(&rounded.abs()) { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// Dark for the lowest, light for the highest: equal steps of lightness, told apart by every kind of sight.
pub(crate) fn color(share: f64) -> RGBColor {
    const ANCHORS: [[f64; 3]; 6] = [
        [43.0, 20.0, 90.0],
        [62.0, 74.0, 137.0],
        [38.0, 130.0, 142.0],
        [53.0, 183.0, 121.0],
        [157.0, 217.0, 59.0],
        [253.0, 231.0, 37.0],
    ];
    let at = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) } * 5.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let piece = (at.floor() as usize).min(4);
    let part = at - at.floor().min(4.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let mix = |c: usize| (ANCHORS[piece][c] + (ANCHORS[piece + 1][c] - ANCHORS[piece][c]) * part).round() as u8;
    RGBColor(mix(0), mix(1), mix(2))
}

/// The same as a style sheet writes it.
pub(crate) fn hex(share: f64) -> String {
    let RGBColor(r, g, b) = color(share);
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_logarithmic_where_that_helps() {
        let rates = Axis::new([1e-7, 1e-5, 1e-6, 1e-7].into_iter()).unwrap();
        assert!((rates.at(1e-6) - 0.5).abs() < 1e-12);
        let labels: Vec<String> = rates.ticks().into_iter().map(|t| t.1).collect();
        assert_eq!(labels, ["1e-7", "1e-6", "1e-5"]);
        let margins = Axis::new([0.5, 2.0].into_iter()).unwrap();
        assert!((margins.at(1.25) - 0.5).abs() < 1e-12);
        assert_eq!(Axis::new([1.0, 1.0, f64::NAN].into_iter()), None);
        let many = Axis::new((0..40).map(|i| 10f64.powf(f64::from(i) / 10.0))).unwrap();
        assert_eq!(many.ticks().iter().map(|t| t.1.as_str()).collect::<Vec<_>>(), ["1", "10", "100", "1000"]);
        let narrow = Axis::new((0..40).map(f64::from)).unwrap();
        assert_eq!(narrow.ticks().len(), 5);
    }

    #[test]
    fn colours_run_from_dark_to_light() {
        let light = |c: RGBColor| 0.3 * f64::from(c.0) + 0.6 * f64::from(c.1) + 0.1 * f64::from(c.2);
        let steps: Vec<f64> = (0..=20).map(|i| light(color(f64::from(i) / 20.0))).collect();
        assert!(steps.is_sorted(), "{steps:?}");
        assert_eq!((color(-1.0), color(2.0)), (color(0.0), color(1.0)));
        assert_eq!(color(f64::NAN), color(0.0));
    }
}
