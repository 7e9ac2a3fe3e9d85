//! Results of a search: its trials over two of its keys, coloured by accuracy; a map of the best; the curves of all of them.

use super::canvas::{Figure, Pen, TextMark, clean, fitted};
use super::chart::{Chart, EM};
use super::marks::{ColorBar, Dot, Line, Spread, cross};
use super::palette::{INK, LOST, PAPER, QUIET, TRAIN, VALIDATION};
use super::panels::Panels;
use super::pixels::text_width;
use super::scale::{Axis, Unit, color};
use crate::search::ledger::LedgerEntry;
use crate::search::rank::Standing;
use crate::search::space::short_names;
use crate::search::table::SearchRecord;
use plotters::prelude::*;
use std::collections::BTreeMap;

/// Cells of a heat map to a side.
const MOST_CELLS: usize = 24;
/// Trials whose losses are drawn, the best of all.
const MOST_LINES: usize = 1000;

/// A key whose values are numbers, of which there are several.
#[derive(Debug)]
pub(crate) struct Key {
    key: String,
    name: String,
    /// Every value once, ascending.
    values: Vec<f64>,
}

impl Key {
    fn of(&self, standing: &Standing) -> Option<f64> {
        number_of(&self.key, standing)
    }

    fn axis(&self) -> Option<Axis> {
        Axis::new(&self.name, Unit::Number, self.values.iter().copied()).map(Axis::inset)
    }
}

fn number_of(key: &str, standing: &Standing) -> Option<f64> {
    standing.values.get(key)?.parse().ok()
}

/// A search read for drawing.
#[derive(Debug)]
pub struct SearchFigures<'a> {
    record: &'a SearchRecord,
    entries: &'a [LedgerEntry],
    below: String,
    keys: Vec<Key>,
}

/// A value of a trial.
type TrialMeasure = fn(&Standing) -> Option<f64>;
/// A trial's number, and its steps and losses.
type TrialLosses = (usize, Vec<(f64, f64)>);

impl<'a> SearchFigures<'a> {
    /// `None` where no trial was trained.
    #[must_use]
    pub fn new(record: &'a SearchRecord, entries: &'a [LedgerEntry], name: &str) -> Option<Self> {
        if record.standings.is_empty() {
            return None;
        }
        let names = short_names(record.facts.keys.iter().map(String::as_str));
        let several = |(key, name): (&String, String)| {
            let values: Option<Vec<f64>> =
                record.standings.iter().map(|s| number_of(key, s).filter(|v| v.is_finite())).collect();
            let mut values = values?;
            values.sort_by(f64::total_cmp);
            values.dedup();
            (values.len() > 1).then(|| Key { key: key.clone(), name: clean(&name.replace('_', " ")), values })
        };
        let mut keys: Vec<Key> = record.facts.keys.iter().zip(names).filter_map(several).collect();
        // The learning rate to the right, the strength upwards, as the notebook has them.
        keys.sort_by_key(|k| match k.key.as_str() {
            key if key.ends_with("learning_rate") => 0,
            key if key.starts_with("objective.") => 1,
            _ => 2,
        });
        let below = format!("{name} · {} trials, {}", record.standings.len(), judged(record));
        Some(Self { record, entries, below, keys })
    }

    fn pair(&self) -> Option<(&Key, &Key)> {
        Some((self.keys.first()?, self.keys.get(1)?))
    }

    fn score(standing: &Standing) -> Option<f64> {
        standing.score.filter(|s| s.is_finite())
    }

    fn is_loss(&self) -> bool {
        self.record.facts.metric == "loss"
    }

    fn unit(&self) -> Unit {
        if self.is_loss() { Unit::Number } else { Unit::Percent }
    }

    fn metric(&self) -> String {
        self.record.facts.metric.replace('_', " ")
    }

    /// The trial in words: its rank, keys and accuracies.
    fn tip(&self, standing: &Standing) -> String {
        let names = short_names(self.record.facts.keys.iter().map(String::as_str));
        let mut lines = vec![format!("rank {}, trial {}", standing.rank, standing.trial)];
        for (key, name) in self.record.facts.keys.iter().zip(names) {
            let value = standing.values.get(key).map_or("", String::as_str);
            lines.push(format!("{name} {}", written(value)));
        }
        let measured = [("validation", standing.accuracy), ("train", standing.train_accuracy)];
        lines
            .extend(measured.iter().filter_map(|(name, v)| v.map(|v| format!("{name} {}", Unit::Percent.write(v, 4)))));
        if standing.diverged() {
            lines.push("diverged".into());
        }
        lines.join("\n")
    }

    /// The colours of values from the lowest to the highest; of losses the lowest is the lightest.
    fn shade(&self, name: &str, values: impl Iterator<Item = f64>, unit: Unit, lowest_is_best: bool) -> Shade {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let ends = |digits: usize| [low, high].map(|v| unit.write(v, digits));
        // As many digits as tell the ends apart.
        let digits = (3..6).find(|&digits| ends(digits)[0] != ends(digits)[1]).unwrap_or(6);
        let mut ends = if low > high { [String::new(), String::new()] } else { ends(digits) };
        if lowest_is_best {
            ends.reverse();
        }
        let [dark, light] = ends;
        Shade { low, high, lowest_is_best, bar: ColorBar { name: name.to_owned(), low: dark, high: light } }
    }

    fn shade_of_score(&self) -> Shade {
        self.shade(&self.metric(), self.record.standings.iter().filter_map(Self::score), self.unit(), self.is_loss())
    }

    /// Trials over two keys, coloured by training and by validation accuracy; nothing without two keys.
    pub(crate) fn scatter_charts(&self) -> Vec<Option<Chart>> {
        let of = |name: &str, value: TrialMeasure| {
            let (x, y) = self.pair()?;
            let standings = &self.record.standings;
            let shade = self.shade(name, standings.iter().filter_map(value), Unit::Percent, false);
            let dot = |standing: &Standing| {
                let tone = value(standing).map(|v| shade.color(v));
                let at = (x.of(standing)?, y.of(standing)?);
                Some(Dot { at, color: tone, best: standing.rank == 1, tip: self.tip(standing) })
            };
            // The best is drawn last, on top.
            let dots = standings.iter().rev().filter_map(dot).collect();
            let title = format!("Accuracy of every trial, {name}");
            Some(Chart { title, x: x.axis()?, y: y.axis()?, lines: Vec::new(), dots, bar: Some(shade.bar) })
        };
        vec![of("train", |s| s.train_accuracy), of("validation", |s| s.accuracy)]
    }

    /// The scores along the only key with their standard errors; along the first of several, a line for each value of the second.
    pub(crate) fn scores_chart(&self) -> Option<Chart> {
        let x = self.keys.first()?;
        let (lines, bar) = match self.keys.get(1) {
            Some(second) => self.lines_of_second(x, second),
            None => (self.lines_along(x), None),
        };
        let name = format!("{}{}", self.metric(), if bar.is_none() { " ± standard error" } else { "" });
        let mut chart =
            Chart::of_lines(format!("Score along {}", x.name), (&x.name, Unit::Number), (&name, self.unit()), lines)?;
        chart.x = x.axis()?;
        chart.bar = bar;
        Some(chart)
    }

    fn lines_along(&self, x: &Key) -> Vec<Line> {
        let mut standings: Vec<&Standing> = self.record.standings.iter().collect();
        standings.sort_by(|a, b| x.of(a).unwrap_or(0.0).total_cmp(&x.of(b).unwrap_or(0.0)));
        let line = |name: &str, color: RGBColor, value: &dyn Fn(&Standing) -> Option<f64>| {
            Line::new(name, color, standings.iter().filter_map(|s| Some((x.of(s)?, value(s)?))).collect())
        };
        let scored = standings.iter().filter(|s| Self::score(s).is_some());
        let errors = scored.map(|s| s.standard_error.filter(|e| e.is_finite()).unwrap_or(0.0)).collect();
        let validation = Line { spread: Spread::Bars(errors), ..line("validation", VALIDATION, &|s| Self::score(s)) };
        // Of training rows there is the accuracy alone.
        let train = line("train", TRAIN, &|s| s.train_accuracy.filter(|_| self.record.facts.metric == "accuracy"));
        vec![train, validation]
    }

    /// The best score at each value of the first key, a line for each value of the second.
    fn lines_of_second(&self, x: &Key, second: &Key) -> (Vec<Line>, Option<ColorBar>) {
        let mut best: BTreeMap<(usize, usize), &Standing> = BTreeMap::new();
        let place = |key: &Key, standing: &Standing| key.values.iter().position(|v| Some(*v) == key.of(standing));
        // Ranked: the first of a place is its best.
        for standing in self.record.standings.iter().filter(|s| Self::score(s).is_some()) {
            if let (Some(i), Some(j)) = (place(second, standing), place(x, standing)) {
                best.entry((i, j)).or_insert(standing);
            }
        }
        let Some(axis) = second.axis() else { return (Vec::new(), None) };
        let line = |(i, value): (usize, &f64)| {
            let points =
                best.range((i, 0)..(i + 1, 0)).map(|((_, j), s)| (x.values[*j], Self::score(s).unwrap_or(0.0)));
            let name = format!("{} {}", second.name, Unit::Number.write(*value, 3));
            Line { tip: Some(name), ..Line::new("", color(axis.at(*value)), points.collect()) }
        };
        let lines = second.values.iter().enumerate().map(line).collect();
        let [low, high] = [0, second.values.len() - 1].map(|i| Unit::Number.write(second.values[i], 3));
        (lines, Some(ColorBar { name: second.name.clone(), low, high }))
    }

    /// The losses of every trial as logged on the first fold at the last rung that it reached. What diverged ends at infinity.
    fn losses(&self) -> Vec<TrialLosses> {
        let mut losses: BTreeMap<usize, (usize, Vec<(f64, f64)>)> = BTreeMap::new();
        for fit in self.entries.iter().flat_map(|e| &e.fits).filter(|f| f.fold == 0 && !f.curve.is_empty()) {
            #[allow(clippy::cast_precision_loss)]
            let of = |step: u64, loss: f64| (step as f64, loss);
            let mut points: Vec<(f64, f64)> = fit.curve.iter().map(|p| of(p.0, p.1)).collect();
            points.retain(|p| p.1 > 0.0 && p.1.is_finite());
            if fit.stop == "diverged" {
                points.push(of(fit.steps.saturating_sub(1), f64::INFINITY));
            }
            let place = losses.entry(fit.trial).or_insert((fit.rung, Vec::new()));
            if fit.rung >= place.0 {
                *place = (fit.rung, points);
            }
        }
        losses.into_iter().map(|(trial, (_, points))| (trial, points)).filter(|(_, p)| p.len() > 1).collect()
    }

    /// The loss of every trial over the steps, coloured by score, the best on top.
    pub(crate) fn losses_chart(&self) -> Option<Chart> {
        let mut losses: BTreeMap<usize, Vec<(f64, f64)>> = self.losses().into_iter().collect();
        let shade = self.shade_of_score();
        let top = ceiling(losses.values().flatten().copied());
        let line = |standing: &Standing| {
            let mut points = losses.remove(&standing.trial)?;
            points.iter_mut().for_each(|p| p.1 = p.1.min(top));
            let tone = Self::score(standing).map(|v| shade.color(v));
            let width = if standing.rank == 1 { 3.0 } else { 1.4 };
            let tip = Some(self.tip(standing));
            Some(Line { width, tip, lost: tone.is_none(), ..Line::new("", tone.unwrap_or(LOST), points) })
        };
        let mut lines: Vec<Line> = self.record.standings.iter().take(MOST_LINES).filter_map(line).collect();
        lines.reverse();
        let mut chart = Chart::of_lines("Loss of every trial", ("step", Unit::Number), ("loss", Unit::Number), lines)?;
        chart.bar = Some(shade.bar);
        Some(chart)
    }

    /// The figure of all trials over two keys.
    #[must_use]
    pub fn scatter(&self) -> Option<Panels> {
        let mut below = self.below.clone();
        if self.record.standings.iter().any(Standing::diverged) {
            below += "; × diverged";
        }
        Panels::of("Accuracy of every trial, the best ringed", below, self.scatter_charts())
    }

    /// The best score for each pair of values of two keys.
    #[must_use]
    pub fn heatmap(&self) -> Option<HeatMap<'_>> {
        let (x, y) = self.pair()?;
        let fits = x.values.len() <= MOST_CELLS && y.values.len() <= MOST_CELLS;
        fits.then_some(HeatMap { found: self, x, y })
    }

    /// The figure of the losses of all trials, and of the score along the first key.
    #[must_use]
    pub fn curves(&self) -> Option<Panels> {
        Panels::of("All trials side by side", self.below.clone(), vec![self.losses_chart(), self.scores_chart()])
    }
}

/// A value of a configuration: a number in the notation of the figures, else as it is.
pub(crate) fn written(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.to_owned(), |v| Unit::Number.write(v, 6))
}

/// A map from values to colours.
struct Shade {
    low: f64,
    high: f64,
    lowest_is_best: bool,
    bar: ColorBar,
}

impl Shade {
    fn share(&self, value: f64) -> f64 {
        let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 };
        if self.lowest_is_best { 1.0 - share } else { share }
    }

    fn color(&self, value: f64) -> RGBColor {
        color(self.share(value))
    }
}

/// The end of the axis of losses: what diverges would leave no room for the others.
fn ceiling(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (start, most) = points.filter(|p| p.1.is_finite()).fold((0.0, 0.0), |(start, most): (f64, f64), p| {
        (if p.0 == 0.0 { start.max(p.1) } else { start }, most.max(p.1))
    });
    if start > 0.0 { 3.0 * start } else { most }
}

fn judged(record: &SearchRecord) -> String {
    let facts = &record.facts;
    let metric = facts.metric.replace('_', " ");
    match facts.folds {
        0 => format!("{metric} on {} validation rows", crate::shown::grouped(facts.validation_rows as u64)),
        k => format!("{metric} by {k}-fold cross-validation"),
    }
}

/// See [`SearchFigures::heatmap`].
#[derive(Debug)]
pub struct HeatMap<'a> {
    found: &'a SearchFigures<'a>,
    x: &'a Key,
    y: &'a Key,
}

/// The rectangle of the cells of a heat map.
struct HeatMapArea {
    left: f64,
    top: f64,
    cell: (f64, f64),
}

impl HeatMap<'_> {
    #[allow(clippy::cast_precision_loss)]
    fn grid(&self) -> HeatMapArea {
        let side = |key: &Key, most: f64| (most / key.values.len() as f64).min(58.0);
        HeatMapArea { left: 96.0, top: 98.0, cell: (side(self.x, 860.0), side(self.y, 620.0)) }
    }

    #[allow(clippy::cast_precision_loss)]
    fn ends(&self) -> (f64, f64) {
        let grid = self.grid();
        let right = grid.left + grid.cell.0 * self.x.values.len() as f64;
        (right, grid.top + grid.cell.1 * self.y.values.len() as f64)
    }

    /// The best trial of each pair of values, row after row from below.
    fn cells(&self) -> Vec<Option<&Standing>> {
        let place = |key: &Key, s: &Standing| key.values.iter().position(|v| Some(*v) == key.of(s));
        let nx = self.x.values.len();
        let mut cells: Vec<Option<&Standing>> = vec![None; nx * self.y.values.len()];
        // Ranked: the first of a cell is its best.
        for standing in &self.found.record.standings {
            if let (Some(x), Some(y)) = (place(self.x, standing), place(self.y, standing)) {
                cells[y * nx + x].get_or_insert(standing);
            }
        }
        cells
    }

    /// The values of both keys along the cells, and their names.
    #[allow(clippy::cast_precision_loss)]
    fn labels<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        let (grid, (right, bottom)) = (self.grid(), self.ends());
        let middle = |i: usize, cell: f64| (i as f64 + 0.5) * cell;
        let mut last = f64::NEG_INFINITY;
        for (i, &value) in self.x.values.iter().enumerate() {
            let (text, x) = (Unit::Number.write(value, 3), grid.left + middle(i, grid.cell.0));
            let half = text_width(&text, EM) / 2.0;
            if x - half > last + 6.0 {
                pen.text(&text, TextMark::new(x, bottom + 13.0, EM).centred())?;
                last = x + half;
            }
        }
        for (i, &value) in self.y.values.iter().enumerate() {
            let y = bottom - middle(i, grid.cell.1);
            pen.text(&Unit::Number.write(value, 3), TextMark::new(grid.left - 8.0, y, EM).right())?;
        }
        let below = TextMark::new((grid.left + right) / 2.0, bottom + 34.0, EM);
        pen.text(&self.x.name, below.color(QUIET).centred())?;
        pen.text(&fitted(&self.y.name, EM, 300.0), TextMark::new(24.0, grid.top - 16.0, EM).color(QUIET))
    }
}

impl Figure for HeatMap<'_> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        let (right, bottom) = self.ends();
        let below = text_width(&self.found.below, 12.0) + 48.0;
        ((right + 24.0).max(below).max(420.0) as u32, (bottom + 50.0) as u32)
    }

    #[allow(clippy::cast_precision_loss)]
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        let title = format!("Best {} for each pair", self.found.metric());
        pen.heading(24.0, &title, std::slice::from_ref(&self.found.below))?;
        let (grid, nx) = (self.grid(), self.x.values.len());
        let (_, bottom) = self.ends();
        let shade = self.found.shade_of_score();
        for (at, cell) in self.cells().into_iter().enumerate() {
            let Some(standing) = cell else { continue };
            let (left, top) =
                (grid.left + (at % nx) as f64 * grid.cell.0, bottom - ((at / nx + 1) as f64) * grid.cell.1);
            let centre = (left + grid.cell.0 / 2.0, top + grid.cell.1 / 2.0);
            let Some(score) = SearchFigures::score(standing) else {
                cross(pen, centre)?;
                continue;
            };
            pen.fill((left + 1.0, top + 1.0), (left + grid.cell.0 - 1.0, top + grid.cell.1 - 1.0), shade.color(score))?;
            let text =
                if self.found.is_loss() { Unit::Number.write(score, 3) } else { format!("{:.1}", 100.0 * score) };
            if text_width(&text, EM) < grid.cell.0 && grid.cell.1 > EM {
                let ink = if shade.share(score) > 0.55 { INK } else { PAPER };
                pen.text(&text, TextMark::new(centre.0, centre.1, EM).color(ink).centred())?;
            }
        }
        self.labels(pen)
    }
}
