//! Charts as SVG inside the page: its colours follow the reader's, its points tell their values.

use super::html::text;
use crate::plot::scale::{Axis, short};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// A curve.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// A variable of the style sheet.
    pub(super) color: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// A point of a scatter plot.
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    /// `None` for what diverged.
    pub(super) fill: Option<String>,
    pub(super) best: bool,
    pub(super) tip: String,
}

/// One of many curves.
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    /// `None` for what diverged.
    pub(super) tone: Option<String>,
    pub(super) best: bool,
    pub(super) tip: String,
}

/// Points of all the lines of a chart together, at most; a page of a large search stays small.
const POINTS: usize = 12_000;

fn x_of(share: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * share
}

fn y_of(share: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
}

/// Lines, numbers and names.
fn frame(x: &[(f64, String)], y: &[(f64, String)], x_name: &str) -> String {
    let mut out = String::new();
    let mut last = f64::NEG_INFINITY;
    for (share, label) in x {
        let at = x_of(*share);
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>", y_of(0.0));
        #[allow(clippy::cast_precision_loss)]
        let half = label.chars().count() as f64 * 3.6;
        if at - half > last + 5.0 {
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                y_of(0.0) + 18.0,
                text(label)
            );
            last = at + half;
        }
    }
    let mut last = f64::INFINITY;
    for (share, label) in y {
        let at = y_of(*share);
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", x_of(1.0));
        if at < last - 14.0 {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 7.0,
                at + 4.0,
                text(label)
            );
            last = at;
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        x_of(0.5),
        HEIGHT - 8.0,
        text(x_name)
    );
    out
}

fn svg(label: &str, content: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{content}</svg>", text(label))
}

fn even(axis: &Axis, written: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    let (low, high) = (axis.values[0], axis.values[axis.values.len() - 1]);
    (0..5).map(|i| f64::from(i) / 4.0).map(|share| (share, written(low + (high - low) * share))).collect()
}

/// Curves over a common axis, with a line of what they are; nothing where there is no curve of two points. A range of more than a
/// factor of 30 is logarithmic. `percent` writes values as shares.
pub(super) fn curves(title: &str, x_name: &str, series: &[Series], percent: bool) -> String {
    let finite =
        |s: &Series| s.points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect::<Vec<_>>();
    let kept: Vec<(&Series, Vec<(f64, f64)>)> =
        series.iter().map(|s| (s, finite(s))).filter(|(_, p)| p.len() > 1).collect();
    let all = || kept.iter().flat_map(|(_, p)| p.iter().copied());
    let Some(x) = Axis::even(all().map(|p| p.0)) else { return String::new() };
    let values =
        Axis::new(all().map(|p| p.1)).or_else(|| Axis::even(all().flat_map(|p| [p.1 * 0.9 - 1e-9, p.1 * 1.1 + 1e-9])));
    let Some(y) = values else { return String::new() };
    let write = |v: f64| if percent { format!("{:.1} %", 100.0 * v) } else { short(v) };
    let ticks = if y.is_log() { y.ticks() } else { even(&y, write) };
    let mut out = frame(&even(&x, |v| if v >= 100.0 { format!("{v:.0}") } else { short(v) }), &ticks, x_name);
    let mut caption = text(title);
    for (series, points) in &kept {
        let path: Vec<String> =
            points.iter().map(|p| format!("{:.1},{:.1}", x_of(x.at(p.0)), y_of(y.at(p.1)))).collect();
        let color = series.color;
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"var({color})\" stroke-width=\"2\" points=\"{}\"/>",
            path.join(" ")
        );
        let every = points.len().div_ceil(60);
        for p in points.iter().step_by(every) {
            let tip = format!("{}: {}\n{x_name} {}", series.name, write(p.1), short(p.0));
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"var({color})\" data-tip=\"{}\"/>",
                x_of(x.at(p.0)),
                y_of(y.at(p.1)),
                text(tip)
            );
        }
        let _ = write!(caption, "<i style=\"background:var({color})\"></i>{}", text(series.name));
    }
    format!("<figure><figcaption>{caption}</figcaption>{}</figure>", svg(title, &out))
}

/// Points over two axes, coloured by a value; `ends` are its lowest and highest as written.
pub(super) fn scatter(
    title: &str,
    (x, x_name): (&Axis, &str),
    (y, y_name): (&Axis, &str),
    dots: &[Dot],
    ends: &[String; 2],
) -> String {
    let inset = |share: f64| 0.05 + 0.9 * share;
    let ticks = |axis: &Axis| axis.ticks().into_iter().map(|(s, l)| (inset(s), l)).collect::<Vec<_>>();
    let mut out = frame(&ticks(x), &ticks(y), x_name);
    for dot in dots {
        let (cx, cy) = (x_of(inset(x.at(dot.x))), y_of(inset(y.at(dot.y))));
        let tip = text(&dot.tip);
        if dot.best {
            let _ = writeln!(out, "<circle class=\"ring\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"10\"/>");
        }
        let _ = match &dot.fill {
            Some(fill) => {
                writeln!(
                    out,
                    "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"7\" fill=\"{fill}\" class=\"dot\" data-tip=\"{tip}\"/>"
                )
            }
            None => writeln!(
                out,
                "<path class=\"lost\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/><circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"9\" fill=\"transparent\" data-tip=\"{tip}\"/>",
                cx - 4.0,
                cy - 4.0
            ),
        };
    }
    let caption = format!("{}: {}; upwards {}", text(title), color_bar(ends), text(y_name));
    format!("<figure><figcaption>{caption}</figcaption>{}</figure>", svg(title, &out))
}

/// The scale of colours between what its ends stand for.
fn color_bar(ends: &[String; 2]) -> String {
    let stops: Vec<String> = (0..=5).map(|i| crate::plot::scale::hex(f64::from(i) / 5.0)).collect();
    let stops = stops.join(",");
    let bar = format!("<span class=\"bar\" style=\"background:linear-gradient(90deg,{stops})\"></span>");
    format!("{}{bar}{}", text(&ends[0]), text(&ends[1]))
}

/// Many curves, coloured by a value whose ends are given; values above `top` are drawn there. The last of the lines is on top. The
/// script of the page finds the line that is nearest to the pointer, and what its values are there.
pub(super) fn lines(
    title: &str,
    (x_name, y_name): (&str, &str),
    all: &[Line],
    top: f64,
    (name, ends): (&str, &[String; 2]),
) -> String {
    let points = || all.iter().flat_map(|line| line.points.iter().copied());
    let values = || points().map(|p| p.1.min(top));
    let (Some(x), Some(y)) = (Axis::even(points().map(|p| p.0)), Axis::new(values()).or_else(|| Axis::even(values())))
    else {
        return String::new();
    };
    let ticks = if y.is_log() { y.ticks() } else { even(&y, short) };
    let whole = x.values[x.values.len() - 1] >= 20.0;
    let mut out = frame(&even(&x, |v| if whole { format!("{v:.0}") } else { short(v) }), &ticks, x_name);
    let each = (POINTS / all.len().max(1)).clamp(8, 50);
    out.push_str("<g class=\"lines\">\n");
    for line in all {
        let place = |p: (f64, f64)| (x_of(x.at(p.0)), y_of(y.at(p.1.min(top))));
        let places: Vec<(f64, f64)> = thinned(&line.points, each).map(place).collect();
        let Some(&(end_x, end_y)) = places.last() else { continue };
        let path: Vec<String> = places.iter().map(|p| format!("{:.1},{:.1}", p.0, p.1)).collect();
        let class = match (&line.tone, line.best) {
            (None, _) => "gone",
            (Some(_), true) => "top",
            (Some(_), false) => "one",
        };
        let stroke = line.tone.as_ref().map_or_else(String::new, |tone| format!(" stroke=\"{tone}\""));
        let (path, tip) = (path.join(" "), text(&line.tip));
        let _ = writeln!(out, "<polyline class=\"{class}\"{stroke} points=\"{path}\" data-tip=\"{tip}\"/>");
        if line.tone.is_none() {
            let _ = writeln!(out, "<path class=\"lost\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/>", end_x - 4.0, end_y - 4.0);
        }
    }
    out.push_str("</g>\n");
    // The places of the ends of both axes and what is there, for the script.
    let (x_ends, y_ends) = ([x.values[0], x.values[x.values.len() - 1]], [y.values[0], y.values[y.values.len() - 1]]);
    let axes = [x_of(0.0), x_of(1.0), y_of(0.0), y_of(1.0), x_ends[0], x_ends[1], y_ends[0], y_ends[1]];
    let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
    let log = if y.is_log() { " data-log=\"y\"" } else { "" };
    let picture = svg(title, &out).replacen(
        "<svg ",
        &format!("<svg data-near=\"{}\"{log} data-x=\"{}\" data-y=\"{}\" ", axes.join(" "), text(x_name), text(y_name)),
        1,
    );
    let caption = format!("{}, coloured by {}: {}", text(title), text(name), color_bar(ends));
    format!("<figure class=\"whole\"><figcaption>{caption}</figcaption>{picture}</figure>")
}

/// At most so many points, the first and the last among them.
fn thinned(points: &[(f64, f64)], most: usize) -> impl Iterator<Item = (f64, f64)> {
    let n = points.len();
    let kept = n.min(most);
    (0..kept).map(move |i| points[if kept < 2 { 0 } else { i * (n - 1) / (kept - 1) }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_of_every_kind_have_a_picture_or_none() {
        let of = |points: Vec<(f64, f64)>| {
            curves("<loss>", "step", &[Series { name: "a & b", color: "--c1", points }], false)
        };
        assert_eq!(of(vec![]), "");
        assert_eq!(of(vec![(0.0, 1.0)]), "");
        assert_eq!(of(vec![(0.0, 1.0), (1.0, f64::NAN)]), "");
        for points in [
            vec![(0.0, 1.0), (9.0, 1.0)],
            vec![(0.0, 0.0), (9.0, 0.0)],
            vec![(0.0, 800.0), (9.0, 5.0)],
            vec![(0.0, -1.0), (9.0, 1e300)],
        ] {
            let out = of(points.clone());
            assert!(
                out.contains("<polyline") && out.contains("&lt;loss&gt;") && out.contains("a &amp; b"),
                "{points:?}"
            );
            assert!(!out.contains("NaN") && !out.contains("inf"), "{points:?}\n{out}");
        }
    }

    #[test]
    fn a_thousand_lines_are_a_small_picture_and_what_diverged_ends_at_the_top() {
        let line = |i: usize, tone: Option<&str>, points: Vec<(f64, f64)>| Line {
            points,
            tone: tone.map(str::to_owned),
            best: i == 0,
            tip: format!("rank {i}, <trial>"),
        };
        let of = |all: &[Line], top: f64| {
            lines("loss", ("step", "loss"), all, top, ("accuracy", &["0 %".into(), "9 %".into()]))
        };
        let curve = |i: usize| (0..100).map(|s| (f64::from(s), 1.0 + i as f64 / (1.0 + f64::from(s)))).collect();
        let many: Vec<Line> = (0..1000).map(|i| line(i, Some("#ffffff"), curve(i))).collect();
        let picture = of(&many, 3000.0);
        assert_eq!(picture.matches("<polyline").count(), 1000);
        assert_eq!(picture.matches("class=\"top\"").count(), 1);
        assert!(picture.len() < 300_000 && picture.contains("rank 7, &lt;trial&gt;"), "{}", picture.len());
        let lost =
            of(&[line(1, None, vec![(0.0, 2.0), (5.0, f64::INFINITY)]), line(0, Some("#000000"), curve(0))], 6.0);
        let end = format!("{:.1},{:.1}\" data-tip=\"rank 1", x_of(5.0 / 99.0), y_of(1.0));
        assert!(lost.contains(&end) && lost.contains("class=\"gone\"") && lost.contains("class=\"lost\""), "{lost}");
        assert!(!lost.contains("NaN") && !lost.contains("inf"), "{lost}");
        assert_eq!((of(&[], 1.0), of(&[line(0, None, vec![])], 1.0)), (String::new(), String::new()));
        assert!(of(&[line(0, None, vec![(3.0, 1.0), (3.0, 1.0)])], 1.0).contains("<polyline"));
    }
}
