//! Small pieces of HTML. Text from outside is escaped here and nowhere else.

use crate::plot::canvas::{escaped, inline};
use crate::plot::chart::Chart;
use crate::plot::panels::SingleChart;
use std::fmt::{Display, Write as _};

/// Text as it may stand in an element or between quotes.
pub(super) fn text(value: impl Display) -> String {
    escaped(&value.to_string())
}

/// A section with a heading; nothing where there is nothing in it.
pub(super) fn section(id: &str, heading: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{content}\n</section>\n", text(heading))
}

/// Text as it was written, such as a configuration; nothing for no text.
pub(super) fn verbatim(value: &str) -> String {
    if value.trim().is_empty() { String::new() } else { format!("<pre tabindex=\"0\">{}</pre>", text(value)) }
}

/// A table: heads, then rows of cells that are HTML already. Columns of numbers stand to the right.
pub(super) fn table(heads: &[String], rows: &[Vec<String>], numbers: &[bool]) -> String {
    let class = |i: usize| if numbers.get(i).copied().unwrap_or(false) { " class=\"n\"" } else { "" };
    let mut out = "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>".to_owned();
    for (i, head) in heads.iter().enumerate() {
        let _ = write!(out, "<th{}>{}</th>", class(i), text(head));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{cell}</td>", class(i));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
    out
}

/// A few large numbers with their names.
pub(super) fn tiles(values: &[(String, String)]) -> String {
    let mut out = "<div class=\"tiles\">".to_owned();
    for (name, value) in values {
        let _ = write!(out, "<div class=\"tile\"><b>{}</b><span>{}</span></div>", text(value), text(name));
    }
    out.push_str("</div>");
    out
}

/// Names and what they are, in two columns.
pub(super) fn facts(values: &[(String, String)]) -> String {
    let mut out = "<dl>".to_owned();
    for (name, value) in values {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", text(name), text(value));
    }
    out.push_str("</dl>");
    out
}

/// A paragraph.
pub(super) fn note(value: impl Display) -> String {
    format!("<p class=\"note\">{}</p>", text(value))
}

/// Charts side by side, each with its title; nothing where there is none, and a point alone is none.
pub(super) fn charts(charts: Vec<Option<Chart>>) -> Result<String, String> {
    let mut out = String::new();
    let seen = |chart: &Chart| !chart.dots.is_empty() || chart.lines.iter().any(|line| line.points.len() > 1);
    for chart in charts.into_iter().flatten().filter(seen) {
        let svg = inline(&SingleChart(&chart), &chart.title)?;
        let _ = writeln!(out, "<figure><figcaption>{}</figcaption>{svg}</figure>", text(&chart.title));
    }
    Ok(if out.is_empty() { out } else { format!("<div class=\"charts\">\n{out}</div>") })
}

/// An embedded picture.
pub(super) fn image(png: &[u8], alt: &str, class: &str) -> String {
    let data = crate::plot::canvas::base64(png);
    format!("<img class=\"{class}\" src=\"data:image/png;base64,{data}\" alt=\"{}\">", text(alt))
}

/// The whole page.
pub(super) fn page(title: &str, below: &str, body: &str) -> String {
    document("", title, below, body)
}

/// A page that loads itself again after some seconds.
pub(super) fn live_page(seconds: u32, title: &str, below: &str, body: &str) -> String {
    document(&format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"), title, below, body)
}

fn document(head: &str, title: &str, below: &str, body: &str) -> String {
    let title = text(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n{head}\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n<header><h1>{title}</h1><p>{}</p></header>\n{body}\
         <footer>burn-svm {}</footer>\n</main>\n</body>\n</html>\n",
        include_str!("page.css"),
        text(below),
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let nasty = "</script><img src=x onerror='alert(1)'>&\"\u{7}";
        assert_eq!(text(nasty), "&lt;/script&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot; ");
        let page = page(
            nasty,
            nasty,
            &(tiles(&[(nasty.into(), nasty.into())])
                + &facts(&[(nasty.into(), nasty.into())])
                + &note(nasty)
                + &section("x", nasty, "y")
                + &table(&[nasty.into()], &[], &[])
                + &image(b"x", nasty, "c")),
        );
        assert!(!page.contains("onerror='") && !page.contains("<img src=x"), "{page}");
        assert!(!page.contains("<script") && !page.contains("</script>"), "{page}");
    }
}
