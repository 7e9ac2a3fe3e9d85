//! Results of a search: its trials over two of its keys, coloured by accuracy; a map of the best; the curves of all of them.

use super::canvas::{Figure, INK, Pen, QUIET, Text, failed};
use super::frame::{Frame, inset, inset_ticks, range};
use super::pixels::text_width;
use super::scale::{Axis, color, short};
use crate::search::ledger::LedgerEntry;
use crate::search::rank::Standing;
use crate::search::space::short_names;
use crate::search::table::SearchRecord;
use plotters::prelude::*;
use std::collections::BTreeMap;

const GREY: RGBColor = RGBColor(0xb0, 0xb5, 0xba);
/// Cells of a heat map to a side.
const MOST_CELLS: usize = 24;

/// A key whose values are numbers.
#[derive(Debug)]
pub(crate) struct Key {
    key: String,
    pub(crate) name: String,
    pub(crate) axis: Axis,
}

impl Key {
    pub(crate) fn of(&self, standing: &Standing) -> Option<f64> {
        standing.values.get(&self.key)?.parse().ok()
    }
}

/// A search read for drawing.
#[derive(Debug)]
pub struct Found<'a> {
    record: &'a SearchRecord,
    entries: &'a [LedgerEntry],
    below: String,
    keys: Vec<Key>,
}

impl<'a> Found<'a> {
    /// `None` where no trial was trained.
    #[must_use]
    pub fn new(record: &'a SearchRecord, entries: &'a [LedgerEntry], name: &str) -> Option<Self> {
        if record.standings.is_empty() {
            return None;
        }
        let names = short_names(record.facts.keys.iter().map(String::as_str));
        let number = |key: &String, s: &Standing| s.values.get(key).and_then(|v| v.parse::<f64>().ok());
        let mut keys: Vec<Key> = record
            .facts
            .keys
            .iter()
            .zip(names)
            .filter(|(key, _)| record.standings.iter().all(|s| number(key, s).is_some()))
            .filter_map(|(key, name)| {
                let axis = Axis::new(record.standings.iter().filter_map(|s| number(key, s)))?;
                Some(Key { key: key.clone(), name, axis })
            })
            .collect();
        // The learning rate to the right, the strength upwards, as the notebook has them.
        keys.sort_by_key(|k| match k.key.as_str() {
            key if key.ends_with("learning_rate") => 0,
            key if key.starts_with("objective.") => 1,
            _ => 2,
        });
        let below = format!("{name} · {} trials, {}", record.standings.len(), judged(record));
        Some(Self { record, entries, below, keys })
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn pair(&self) -> Option<(&Key, &Key)> {
        Some((self.keys.first()?, self.keys.get(1)?))
    }

    fn score(&self, standing: &Standing) -> Option<f64> {
        standing.score.filter(|s| s.is_finite())
    }

    /// Trials over two keys, coloured by training and by validation accuracy.
    #[must_use]
    pub fn scatter(&self) -> Option<Scatter<'_>> {
        self.pair().map(|(x, y)| Scatter { found: self, x, y })
    }

    /// The best score for each pair of values of two keys.
    #[must_use]
    pub fn heatmap(&self) -> Option<HeatMap<'_>> {
        let (x, y) = self.pair()?;
        let fits = x.axis.values.len() <= MOST_CELLS && y.axis.values.len() <= MOST_CELLS;
        fits.then_some(HeatMap { found: self, x, y })
    }

    /// The losses of every trial as logged on the first fold at the last rung that it reached: its number, steps and losses. What
    /// diverged ends at infinity.
    pub(crate) fn losses(&self) -> Vec<(usize, Vec<(f64, f64)>)> {
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

    /// The losses of every trial, and the score along the first key.
    #[must_use]
    pub fn curves(&self) -> Option<Parallel<'_>> {
        let losses = self.losses();
        (!losses.is_empty() || !self.keys.is_empty()).then_some(Parallel { found: self, losses })
    }
}

/// Upper end of the axis of losses: diverging curves would leave no room for the others.
pub(crate) fn ceiling(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (start, most) = points.filter(|p| p.1.is_finite()).fold((0.0, 0.0), |(start, most): (f64, f64), p| {
        (if p.0 == 0.0 { start.max(p.1) } else { start }, most.max(p.1))
    });
    if start > 0.0 { 3.0 * start } else { most }
}

fn judged(record: &SearchRecord) -> String {
    let facts = &record.facts;
    match facts.folds {
        0 => format!("{} on {} validation rows", facts.metric, facts.validation_rows),
        k => format!("{} by {k}-fold cross-validation", facts.metric),
    }
}

/// A scale of colours from low to high, below a heading.
fn color_bar<B: DrawingBackend>(
    pen: &Pen<'_, B>,
    at: (f64, f64),
    (low, high): (f64, f64),
    unit: &str,
) -> Result<(), String> {
    const WIDTH: f64 = 120.0;
    for i in 0..60 {
        let share = f64::from(i) / 60.0;
        let left = at.0 + WIDTH * share;
        pen.fill((left, at.1 - 5.0), (left + WIDTH / 60.0 + 0.5, at.1 + 5.0), color(share))?;
    }
    pen.text(&written(low, unit), Text::new(at.0 - 6.0, at.1, 11.0).right())?;
    pen.text(&written(high, unit), Text::new(at.0 + WIDTH + 6.0, at.1, 11.0))
}

fn written(value: f64, unit: &str) -> String {
    if unit == "%" { format!("{:.1} %", 100.0 * value) } else { short(value) }
}

/// See [`Found::scatter`].
#[derive(Debug)]
pub struct Scatter<'a> {
    found: &'a Found<'a>,
    x: &'a Key,
    y: &'a Key,
}

impl Figure for Scatter<'_> {
    fn size(&self) -> (u32, u32) {
        (1000, 470)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        pen.heading(24.0, "Accuracy of every trial", std::slice::from_ref(&self.found.below))?;
        let standings = &self.found.record.standings;
        let of: [Measure; 2] = [("train", |s| s.train_accuracy), ("validation", |s| s.accuracy)];
        for ((name, value), left) in of.into_iter().zip([90.0, 585.0]) {
            let frame = Frame { left, top: 112.0, width: 380.0, height: 280.0 };
            frame.axes(
                pen,
                (&inset_ticks(&self.x.axis), &self.x.name),
                (&inset_ticks(&self.y.axis), &self.y.name),
                true,
            )?;
            let ends = range(standings.iter().filter_map(value));
            pen.text(name, Text::new(left + 30.0, 84.0, 13.0))?;
            color_bar(pen, (left + 190.0, 84.0), ends, "%")?;
            // The best is drawn last, on top.
            for standing in standings.iter().rev() {
                let (Some(x), Some(y)) = (self.x.of(standing), self.y.of(standing)) else { continue };
                let at = (frame.x(inset(self.x.axis.at(x))), frame.y(inset(self.y.axis.at(y))));
                match value(standing) {
                    None => cross(pen, at)?,
                    Some(v) => disc(pen, at, 8.0, color((v - ends.0) / (ends.1 - ends.0)), standing.rank == 1)?,
                }
            }
        }
        let note = "× diverged; the ring is the best";
        pen.text(note, Text::new(976.0, 452.0, 11.0).color(QUIET).right())
    }
}

fn disc<B: DrawingBackend>(
    pen: &Pen<'_, B>,
    at: (f64, f64),
    radius: f64,
    fill: RGBColor,
    ring: bool,
) -> Result<(), String> {
    let place = pen.point(at);
    if ring {
        pen.area.draw(&Circle::new(place, pen.unit(radius + 4.0), INK.filled())).map_err(failed)?;
        pen.area.draw(&Circle::new(place, pen.unit(radius + 2.0), WHITE.filled())).map_err(failed)?;
    }
    pen.area.draw(&Circle::new(place, pen.unit(radius), fill.filled())).map_err(failed)
}

fn cross<B: DrawingBackend>(pen: &Pen<'_, B>, (x, y): (f64, f64)) -> Result<(), String> {
    pen.line((x - 5.0, y - 5.0), (x + 5.0, y + 5.0), GREY, 2.0)?;
    pen.line((x - 5.0, y + 5.0), (x + 5.0, y - 5.0), GREY, 2.0)
}

/// See [`Found::heatmap`].
#[derive(Debug)]
pub struct HeatMap<'a> {
    found: &'a Found<'a>,
    x: &'a Key,
    y: &'a Key,
}

impl HeatMap<'_> {
    const CELL: f64 = 58.0;

    #[allow(clippy::cast_precision_loss)]
    fn frame(&self) -> Frame {
        let side = |key: &Key, most: f64| (key.axis.values.len() as f64 * Self::CELL).min(most);
        Frame { left: 110.0, top: 112.0, width: side(self.x, 860.0), height: side(self.y, 620.0) }
    }
}

impl Figure for HeatMap<'_> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        let frame = self.frame();
        ((frame.left + frame.width + 40.0).max(520.0) as u32, (frame.top + frame.height + 56.0) as u32)
    }

    #[allow(clippy::cast_precision_loss)]
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        let record = self.found.record;
        let title = format!("Best {} for each pair", record.facts.metric.replace('_', " "));
        pen.heading(24.0, &title, std::slice::from_ref(&self.found.below))?;
        let frame = self.frame();
        let (nx, ny) = (self.x.axis.values.len(), self.y.axis.values.len());
        let place = |key: &Key, s: &Standing| {
            let value = key.of(s)?;
            key.axis.values.iter().position(|v| *v == value)
        };
        // Ranked: the first of a cell is its best.
        let mut cells: Vec<Option<&Standing>> = vec![None; nx * ny];
        for standing in &record.standings {
            if let (Some(x), Some(y)) = (place(self.x, standing), place(self.y, standing)) {
                cells[y * nx + x].get_or_insert(standing);
            }
        }
        let ends = range(cells.iter().flatten().filter_map(|s| self.found.score(s)));
        let unit = if record.facts.metric == "loss" { "" } else { "%" };
        let (width, height) = (frame.width / nx as f64, frame.height / ny as f64);
        for (at, cell) in cells.iter().enumerate() {
            let Some(standing) = cell else { continue };
            let (left, top) =
                (frame.left + (at % nx) as f64 * width, frame.top + frame.height - ((at / nx + 1) as f64) * height);
            let centre = (left + width / 2.0, top + height / 2.0);
            let Some(score) = self.found.score(standing) else {
                cross(pen, centre)?;
                continue;
            };
            let mut share = (score - ends.0) / (ends.1 - ends.0);
            if record.facts.metric == "loss" {
                share = 1.0 - share;
            }
            pen.fill((left + 1.0, top + 1.0), (left + width - 1.0, top + height - 1.0), color(share))?;
            let text = if unit == "%" { format!("{:.1}", 100.0 * score) } else { short(score) };
            if text_width(&text, 12.0) < width {
                let ink = if share > 0.55 { INK } else { WHITE };
                pen.text(&text, Text::new(centre.0, centre.1, 12.0).color(ink).centred())?;
            }
        }
        let ticks = |key: &Key| -> Vec<(f64, String)> {
            let n = key.axis.values.len() as f64;
            key.axis.values.iter().enumerate().map(|(i, &v)| ((i as f64 + 0.5) / n, short(v))).collect()
        };
        frame.axes(pen, (&ticks(self.x), &self.x.name), (&ticks(self.y), &self.y.name), false)
    }
}

/// A name and what it is of a trial.
type Measure = (&'static str, fn(&Standing) -> Option<f64>);
/// Places along the first key with the best score there, by the bits of the place.
type Line = BTreeMap<u64, (f64, f64)>;

/// See [`Found::curves`].
#[derive(Debug)]
pub struct Parallel<'a> {
    found: &'a Found<'a>,
    losses: Vec<(usize, Vec<(f64, f64)>)>,
}

impl Parallel<'_> {
    /// Loss over steps, a line a trial, coloured by score.
    fn draw_losses<B: DrawingBackend>(&self, pen: &Pen<'_, B>, frame: &Frame) -> Result<(), String> {
        let standings = &self.found.record.standings;
        let ends = range(standings.iter().filter_map(|s| self.found.score(s)));
        let points = || self.losses.iter().flat_map(|(_, p)| p.iter().copied());
        let steps = Axis::new(points().map(|p| p.0 + 1.0));
        let top = ceiling(points());
        let losses = Axis::new(points().map(|p| p.1.min(top)));
        let (Some(steps), Some(losses)) = (steps, losses) else { return Ok(()) };
        let steps = Axis::new([0.0, steps.values[steps.values.len() - 1] - 1.0].into_iter()).unwrap_or(steps);
        frame.axes(pen, (&steps_ticks(&steps), "step"), (&losses.ticks(), "loss"), true)?;
        for standing in standings.iter().rev() {
            let Some((_, points)) = self.losses.iter().find(|(trial, _)| *trial == standing.trial) else { continue };
            let share = self.found.score(standing).map(|s| (s - ends.0) / (ends.1 - ends.0));
            let tone =
                share.map_or(GREY, |s| color(if self.found.record.facts.metric == "loss" { 1.0 - s } else { s }));
            let path: Vec<(i32, i32)> =
                points.iter().map(|p| pen.point((frame.x(steps.at(p.0)), frame.y(losses.at(p.1.min(top)))))).collect();
            let width = pen.width(if standing.rank == 1 { 3.0 } else { 1.4 });
            pen.area.draw(&PathElement::new(path, tone.stroke_width(width))).map_err(failed)?;
        }
        Ok(())
    }

    /// Score along the first key, a line for each value of the second.
    fn draw_scores<B: DrawingBackend>(&self, pen: &Pen<'_, B>, frame: &Frame, x: &Key) -> Result<(), String> {
        let standings = &self.found.record.standings;
        let Some(scores) = Axis::new(standings.iter().filter_map(|s| self.found.score(s))) else { return Ok(()) };
        let unit = if self.found.record.facts.metric == "loss" { "" } else { "%" };
        let five = (0..5).map(|i| f64::from(i) / 4.0);
        let (low, high) = (scores.values[0], scores.values[scores.values.len() - 1]);
        let even = Axis::new([low, high].into_iter()).unwrap_or(scores);
        let ticks: Vec<(f64, String)> = five.map(|s| (inset(s), written(low + (high - low) * s, unit))).collect();
        let name = self.found.record.facts.metric.replace('_', " ");
        frame.axes(pen, (&inset_ticks(&x.axis), &x.name), (&ticks, &name), true)?;
        let second = self.found.keys.get(1);
        let mut lines: BTreeMap<u64, (f64, Line)> = BTreeMap::new();
        // Ranked: the first of a place is its best. Positive numbers are in the order of their bits.
        for standing in standings {
            let (Some(at), Some(score)) = (x.of(standing), self.found.score(standing)) else { continue };
            let of = second.and_then(|key| Some(key.axis.at(key.of(standing)?))).unwrap_or(0.0);
            let line = lines.entry(of.abs().to_bits()).or_insert((of, BTreeMap::new()));
            line.1.entry(x.axis.at(at).abs().to_bits()).or_insert((x.axis.at(at), score));
        }
        for (of, points) in lines.values() {
            let tone = color(0.9 * of);
            let places: Vec<(f64, f64)> =
                points.values().map(|p| (frame.x(inset(p.0)), frame.y(inset(even.at(p.1).clamp(0.0, 1.0))))).collect();
            let path: Vec<(i32, i32)> = places.iter().map(|&p| pen.point(p)).collect();
            pen.area.draw(&PathElement::new(path, tone.stroke_width(pen.width(1.6)))).map_err(failed)?;
            for place in places {
                disc(pen, place, 3.0, tone, false)?;
            }
        }
        if let Some(key) = second {
            let ends = (key.axis.values[0], key.axis.values[key.axis.values.len() - 1]);
            let text = format!("{} {} dark to {} light", key.name, short(ends.0), short(ends.1));
            pen.text(&text, Text::new(frame.left + frame.width, frame.top - 14.0, 11.0).color(QUIET).right())?;
        }
        Ok(())
    }
}

fn steps_ticks(axis: &Axis) -> Vec<(f64, String)> {
    let last = axis.values[axis.values.len() - 1];
    (0..=4).map(|i| f64::from(i) / 4.0).map(|s| (s, format!("{:.0}", last * s))).collect()
}

impl Figure for Parallel<'_> {
    fn size(&self) -> (u32, u32) {
        (if self.losses.is_empty() || self.found.keys.is_empty() { 520 } else { 1000 }, 450)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        pen.heading(24.0, "All trials side by side", std::slice::from_ref(&self.found.below))?;
        let frame = |left: f64| Frame { left, top: 100.0, width: 380.0, height: 280.0 };
        let mut left = 90.0;
        if !self.losses.is_empty() {
            self.draw_losses(pen, &frame(left))?;
            left = 590.0;
        }
        match self.found.keys.first() {
            Some(key) => self.draw_scores(pen, &frame(left), key),
            None => Ok(()),
        }
    }
}
