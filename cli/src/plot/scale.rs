//! Axes and colours: places of numbers, round ticks, a map from shares to colours.

use crate::shown;
use plotters::style::RGBColor;

/// Values of more than this factor are placed by their logarithm.
const DECADES: f64 = 30.0;

/// Sizes that are drawn. No run has larger ones; a file may, and the ticks of an axis beyond them are never at an end.
const LARGEST: f64 = 1e100;

/// Whether a value has a place on an axis.
pub(crate) fn drawable(value: f64) -> bool {
    // NaN is in no range.
    (-LARGEST..=LARGEST).contains(&value)
}

/// Numbers, or shares that are written in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Number,
    Percent,
}

impl Unit {
    /// A value in so many significant digits.
    pub(crate) fn write(self, value: f64, digits: usize) -> String {
        match self {
            Self::Number => shown::number(value, digits),
            Self::Percent => shown::percent(value, digits),
        }
    }

    /// Shares count in hundredths.
    const fn factor(self) -> f64 {
        match self {
            Self::Number => 1.0,
            Self::Percent => 100.0,
        }
    }
}

/// A mark of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// From 0 at the lower end to 1 at the upper one.
    pub(crate) share: f64,
    /// `None` for a minor tick.
    pub(crate) label: Option<String>,
}

/// Numbers along a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    log: bool,
    /// Values, or their logarithms to base 10.
    low: f64,
    high: f64,
    unit: Unit,
    name: String,
}

impl Axis {
    /// The axis of some values, logarithmic where they are positive and more than a factor of 30 apart; `None` where none is drawable.
    pub(crate) fn new(name: impl Into<String>, unit: Unit, values: impl Iterator<Item = f64>) -> Option<Self> {
        let axis = Self::linear(name, unit, values)?;
        let log = axis.low > 1.0 / LARGEST && axis.high / axis.low > DECADES;
        Some(if log { axis.by_logarithm() } else { axis.widened() })
    }

    fn by_logarithm(self) -> Self {
        Self { log: true, low: self.low.log10(), high: self.high.log10(), ..self }
    }

    /// An axis by the logarithm of values that are positive and not all the same; else as [`Axis::even`].
    pub(crate) fn decades(name: impl Into<String>, unit: Unit, values: impl Iterator<Item = f64>) -> Option<Self> {
        let axis = Self::linear(name, unit, values)?;
        let log = axis.low > 1.0 / LARGEST && axis.high > axis.low * (1.0 + 1e-9);
        Some(if log { axis.by_logarithm() } else { axis.widened() })
    }

    /// An axis by the values themselves.
    pub(crate) fn even(name: impl Into<String>, unit: Unit, values: impl Iterator<Item = f64>) -> Option<Self> {
        Self::linear(name, unit, values).map(Self::widened)
    }

    fn linear(name: impl Into<String>, unit: Unit, values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) =
            values.filter(|v| drawable(*v)).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        (low <= high).then(|| Self { log: false, low, high, unit, name: name.into() })
    }

    /// Of values that can hardly be told apart the ticks could not be told apart at all.
    fn widened(self) -> Self {
        let size = self.low.abs().max(self.high.abs());
        if self.high - self.low > 1e-9 * size {
            return self;
        }
        let pad = if size > 1.0 / LARGEST { size / 10.0 } else { 1.0 };
        let low = if self.low >= 0.0 { (self.low - pad).max(0.0) } else { self.low - pad };
        Self { low, high: self.high + pad, ..self }
    }

    /// Begins at zero where the values begin close to it.
    pub(crate) fn down_to_zero(self) -> Self {
        let near = !self.log && self.low > 0.0 && self.low <= self.high * 0.2;
        if near { Self { low: 0.0, ..self } } else { self }
    }

    /// Room at both ends, as a share of the length; not below zero where nothing is, nor beyond what a share can be.
    pub(crate) fn padded(self, share: f64) -> Self {
        let pad = (self.high - self.low) * share;
        let (mut low, mut high) = (self.low - pad, self.high + pad);
        if !self.log && self.low >= 0.0 {
            low = low.max(0.0);
        }
        if self.unit == Unit::Percent {
            high = high.min(1.0).max(self.high);
        }
        Self { low, high, ..self }
    }

    /// Room at both ends, whatever is there.
    pub(crate) fn inset(self) -> Self {
        let pad = (self.high - self.low) * 0.06;
        Self { low: self.low - pad, high: self.high + pad, ..self }
    }

    /// Quantity along the axis, and whether its scale is logarithmic.
    pub(crate) fn title(&self) -> String {
        if self.log { format!("{} (log scale)", self.name) } else { self.name.clone() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn unit(&self) -> Unit {
        self.unit
    }

    /// The share of the length at which a value is, 0 at the lower end and 1 at the upper one.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round ticks, of which about `most` have a label: 1, 2 or 5 times a power of ten apart, or powers of ten with minor ticks between.
    pub(crate) fn ticks(&self, most: usize) -> Vec<Tick> {
        if !self.log {
            return self.even_ticks(self.low, self.high, most);
        }
        let ticks = self.log_ticks(most);
        // Within less than a decade there may be none of 1, 2 and 5.
        let few = ticks.iter().filter(|tick| tick.label.is_some()).count() < 2;
        if few { self.even_ticks(10f64.powf(self.low), 10f64.powf(self.high), most) } else { ticks }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn even_ticks(&self, low: f64, high: f64, most: usize) -> Vec<Tick> {
        let factor = self.unit.factor();
        let (low, high) = (low * factor, high * factor);
        let step = round_step((high - low) / most.max(1) as f64);
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        // As many digits as tell neighbours apart.
        let digits = ((low.abs().max(high.abs()) / step).log10().floor().clamp(0.0, 14.0) as usize) + 2;
        (0..=(last - first).max(0.0) as usize)
            .map(|i| {
                let value = (first + i as f64) * step / factor;
                Tick { share: self.at(value), label: Some(self.unit.write(value, digits)) }
            })
            .collect()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let decades = self.high - self.low;
        let every = ((decades / most.max(1) as f64).ceil() as i32).max(1);
        let mut ticks = Vec::new();
        for exponent in first..=last {
            for times in 1..10 {
                let value = f64::from(times) * 10f64.powi(exponent);
                let place = value.log10();
                if place < self.low - 1e-9 || place > self.high + 1e-9 {
                    continue;
                }
                let labelled = if times == 1 { exponent % every == 0 } else { decades < 2.0 && matches!(times, 2 | 5) };
                // Between decades of which not each has a label there is no room.
                if labelled || (every == 1 && decades < 10.0) || times == 1 {
                    let label = labelled.then(|| self.unit.write(value, 1));
                    ticks.push(Tick { share: self.at(value), label });
                }
            }
        }
        ticks
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    step.filter(|step| step.is_normal()).unwrap_or(1.0)
}

/// Dark for the lowest, light for the highest: equal steps of lightness, told apart by every kind of sight.
pub(crate) fn color(share: f64) -> RGBColor {
    const ANCHORS: [[f64; 3]; 6] = [
        [66.0, 46.0, 132.0],
        [60.0, 83.0, 142.0],
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

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, most: usize) -> Vec<String> {
        axis.ticks(most).into_iter().filter_map(|tick| tick.label).collect()
    }

    fn axis(values: &[f64]) -> Axis {
        Axis::new("x", Unit::Number, values.iter().copied()).unwrap()
    }

    #[test]
    fn ticks_are_round_whatever_the_range_is() {
        assert_eq!(labels(&axis(&[0.0, 1499.0]), 6), ["0", "500", "1000"]);
        assert_eq!(labels(&axis(&[0.0, 1499.0]), 9), ["0", "200", "400", "600", "800", "1000", "1200", "1400"]);
        assert_eq!(labels(&axis(&[0.0, 40_000.0]), 5), ["0", "10,000", "20,000", "30,000", "40,000"]);
        assert_eq!(labels(&axis(&[5.245, 5.2551]), 5), ["5.245", "5.25", "5.255"]);
        assert_eq!(labels(&axis(&[-1.0, 1.0]), 5), ["-1", "-0.5", "0", "0.5", "1"]);
        let shares = Axis::even("accuracy", Unit::Percent, [0.112, 0.381].into_iter()).unwrap();
        assert_eq!(labels(&shares, 6), ["15 %", "20 %", "25 %", "30 %", "35 %"]);
        let narrow = Axis::even("accuracy", Unit::Percent, [0.9912, 0.9931].into_iter()).unwrap();
        assert_eq!(labels(&narrow, 4), ["99.15 %", "99.2 %", "99.25 %", "99.3 %"]);
    }

    #[test]
    fn axes_are_logarithmic_where_that_helps_and_say_so() {
        let rates = axis(&[1e-7, 1e-5, 1e-6, 1e-7]);
        assert!((rates.at(1e-6) - 0.5).abs() < 1e-12 && rates.title() == "x (log scale)");
        assert_eq!(labels(&rates, 6), ["1e-7", "1e-6", "1e-5"]);
        // Eight minor ticks between two decades.
        assert_eq!(rates.ticks(6).len(), 2 * 9 + 1);
        assert_eq!(labels(&axis(&[5.0, 400.0]), 6), ["5", "10", "20", "50", "100", "200"]);
        assert_eq!(labels(&axis(&[1e-30, 1.0]), 6), ["1e-30", "1e-25", "1e-20", "1e-15", "1e-10", "1e-5", "1"]);
        let narrow = Axis::decades("C", Unit::Number, [0.03, 0.04].into_iter()).unwrap();
        assert_eq!(
            (labels(&narrow, 5), narrow.title().as_str()),
            (["0.03", "0.032", "0.034", "0.036", "0.038", "0.04"].map(String::from).to_vec(), "C (log scale)")
        );
        let margins = axis(&[0.5, 2.0]);
        assert!((margins.at(1.25) - 0.5).abs() < 1e-12 && margins.title() == "x");
    }

    #[test]
    fn single_values_and_those_that_cannot_be_told_apart_have_an_axis() {
        assert_eq!(Axis::new("x", Unit::Number, [f64::NAN, 1e308].into_iter()), None);
        for values in [
            vec![0.0],
            vec![5.0, 5.0],
            vec![1.0, 1.0 + f64::EPSILON],
            vec![-1e99, 1e99],
            vec![1e-320, 0.0],
            vec![1e-90, 1e90],
        ] {
            let ticks = axis(&values).padded(0.05).ticks(6);
            assert!((1..200).contains(&ticks.len()), "{values:?}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.share)), "{values:?}: {ticks:?}");
        }
        assert!(axis(&[5.0]).at(5.0) > 0.1);
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
