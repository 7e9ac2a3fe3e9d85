//! The loss along one weight around a kink: the corner, the slopes on its two sides, and the chord of the centred difference.

use super::chart::Chart;
use super::marks::{Dot, Line};
use super::palette::{DUAL, INK, PRIMAL, TEST, VALIDATION};
use super::panels::Panels;
use super::scale::Unit;
use crate::gradcheck::{Kink, Profile};

/// A profile as it is, and less its tangent; `None` where its numbers cannot be drawn.
pub(crate) fn figure(profile: &Profile) -> Option<Panels> {
    let Profile { parameter, kink, step, .. } = profile;
    let Kink { row, label, classes, .. } = kink;
    let classes: Vec<String> = classes.iter().map(ToString::to_string).collect();
    let below = format!(
        "row {row} (label {label}, class {}) changes its slope at t = {:.2} h; h = {step:e}; gradient {:.6}, centred difference {:.6}",
        classes.join(" and "),
        profile.corner / step,
        profile.gradient,
        profile.centred,
    );
    let charts = vec![
        chart(profile, "change of the mean loss", 0.0),
        chart(profile, "the same, less the tangent at t = 0", profile.gradient),
    ];
    Panels::of(format!("A kink along {parameter}"), below, charts)
}

/// The mean loss less a line through t = 0.
fn chart(profile: &Profile, title: &str, tangent: f64) -> Option<Chart> {
    let Profile { step: h, corner, gradient, beyond, centred, .. } = *profile;
    let first = profile.points.first()?.0;
    let ends = [first, -first];
    let at =
        |t: f64| profile.points.iter().min_by(|a, b| (a.0 - t).abs().total_cmp(&(b.0 - t).abs())).map_or(0.0, |p| p.1);
    let lowered = |t: f64, y: f64| (t / h, y - tangent * t);
    // The chord touches the loss at −h and h, the slopes touch it at the corner.
    let line = |slope: f64, through: (f64, f64)| ends.map(|t| lowered(t, through.1 + slope * (t - through.0))).to_vec();
    let corner_at = (corner, gradient * corner);
    let plain = |line: Line| Line { plain: true, ..line };
    let lines = vec![
        plain(Line { width: 1.0, ..Line::new("slope at t = 0", TEST, line(gradient, corner_at)) }),
        plain(Line { width: 1.0, ..Line::new("slope beyond", VALIDATION, line(beyond, corner_at)) }),
        plain(Line { width: 1.25, ..Line::new("chord from -h to h", DUAL, line(centred, (h, at(h)))) }),
        plain(Line {
            width: 2.25,
            ..Line::new("loss", PRIMAL, profile.points.iter().map(|&(t, y)| lowered(t, y)).collect())
        }),
    ];
    let mut chart = Chart::of_lines(title, ("t / h", Unit::Number), (title, Unit::Number), lines)?;
    chart.dots = [-h, h]
        .map(|t| (lowered(t, at(t)), "an end of the chord"))
        .into_iter()
        .chain([(lowered(corner, corner_at.1), "the corner")])
        .map(|(at, tip)| Dot {
            at,
            color: Some(if tip == "the corner" { INK } else { DUAL }),
            best: false,
            tip: tip.into(),
        })
        .collect();
    Some(chart)
}
