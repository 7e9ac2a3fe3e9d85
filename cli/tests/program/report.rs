//! `burn-svm report`: one page with everything in it, for every kind of run and search, that fits a phone.

use crate::program::{Desk, SMALL, outcome};
use std::process::{Command, Stdio};

/// Elements that are never closed.
const VOID: [&str; 5] = ["meta", "img", "line", "circle", "polyline"];

/// Tags that do not match, and references to anything outside the page.
fn faults(page: &str) -> Vec<String> {
    let (mut open, mut faults): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let Some(end) = rest.find('>') else {
            faults.push("a tag without an end".into());
            break;
        };
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop().as_deref() != Some(name) {
                faults.push(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let name = tag.split([' ', '/', '\n']).next().unwrap_or_default().to_owned();
        if (name == "script" || name == "style") && !tag.ends_with('/') {
            let close = format!("</{name}>");
            let Some(at) = rest.find(&close) else {
                faults.push(format!("{close} is missing"));
                break;
            };
            rest = &rest[at + close.len()..];
            continue;
        }
        for key in ["src=\"", "href=\""] {
            for (at, _) in tag.match_indices(key) {
                if !tag[at + key.len()..].starts_with("data:") {
                    faults.push(format!("<{tag}> loads something"));
                }
            }
        }
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    faults.extend(open.into_iter().map(|name| format!("<{name}> is not closed")));
    // Nothing empty is there, and nothing needs a script.
    for word in
        ["http:", "https:", "@import", "url(", "<script", "<tbody>\n</tbody>", "<pre></pre>", "<dl></dl>", "NaN"]
    {
        if page.contains(word) {
            faults.push(format!("`{word}` is in the page"));
        }
    }
    for section in page.split("<section ").skip(1) {
        let content =
            section.split("</h2>").nth(1).and_then(|rest| rest.split("</section>").next()).unwrap_or_default();
        if content.trim().is_empty() {
            faults.push(format!("an empty section: {}", &section[..section.len().min(60)]));
        }
    }
    faults
}

fn report(desk: &Desk, folder: &str) -> String {
    let written = desk.succeed(&["report", folder]);
    assert_eq!(written.stdout, format!("{folder}/report.html\n"));
    let page = desk.read(&format!("{folder}/report.html"));
    assert_eq!(faults(&page), Vec::<String>::new());
    page
}

fn has(page: &str, sections: &[&str]) {
    for id in sections {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "there is no section {id}");
    }
}

/// The width that a page takes where there are 360 points for it, as a browser lays it out; `None` where there is no browser.
fn width_on_a_phone(desk: &Desk, page: &str) -> Option<u32> {
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    desk.write(
        "phone.html",
        format!(
            "<!doctype html><iframe id=f width=360 height=800 style='border:0' srcdoc=\"{quoted}\"></iframe><script>\
             onload = () => document.title = 'width ' + document.getElementById('f').contentDocument.documentElement.scrollWidth\
             </script>"
        ),
    );
    let page = format!("file://{}", desk.path("phone.html").display());
    let profile = format!("--user-data-dir={}", desk.path("profile").display());
    let args = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=10000"];
    let found = Command::new("chromium").args(args).arg(profile).arg(page).stdin(Stdio::null()).output();
    let Ok(output) = found else {
        println!("skipped: no chromium");
        return None;
    };
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let width = dom.split("<title>width ").nth(1)?.split('<').next()?.parse().ok();
    width.or_else(|| panic!("chromium has laid nothing out: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_run_of_images_has_every_section() {
    let desk = Desk::new();
    desk.write(
        "my.toml",
        SMALL.replace("# digits", "# <b>digits</b> & more").replace("test = 0.2", "test = 0.2\nvalidation = 0.1"),
    );
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let page = report(&desk, "run");
    has(&page, &["curves", "confusion", "confused", "roc", "weights", "classes", "data", "configuration"]);
    assert!(page.contains("# &lt;b&gt;digits&lt;/b&gt; &amp; more"), "the configuration is not escaped");
    // Ten pictures of weights, and examples of mistakes.
    assert_eq!(page.matches("class=\"template\"").count(), 10);
    assert!(page.matches("class=\"example\"").count() >= 3);
    let accuracy = desk.json("run/result.json")["test_accuracy"].as_f64().unwrap();
    assert!(page.contains(&format!("<b>{:.2} %</b><span>test accuracy</span>", 100.0 * accuracy)));
    // Rows of each class: 1,797 in all.
    let cells = page.split("Rows of each class").nth(1).unwrap().split("</table>").next().unwrap();
    let counted: u32 =
        cells.split("<td class=\"n\">").skip(1).map(|c| c.split('<').next().unwrap().parse::<u32>().unwrap()).sum();
    assert_eq!(counted, 1797);
    // Every point is told to pointers, and to keyboards and readers of screens; colours are those of the page.
    let tips = page.matches("<g class=\"tip\"").count();
    let stops = page.matches("<g class=\"tip\" tabindex=\"0\" role=\"img\" aria-label=\"").count();
    assert!(stops >= 30 && stops == tips && page.matches("<title>").count() == tips + 1, "{stops} of {tips}");
    assert!(page.contains("<title>validation: ") && page.contains(" ± ") && page.contains("<title>0 "));
    let drawn = page.split("</style>").nth(1).unwrap();
    for (variable, literal) in
        [("--train", "#1F5FA8"), ("--validation", "#D0580A"), ("--primal", "#7B3FA0"), ("--ink", "#22262B")]
    {
        assert!(drawn.contains(&format!("\"var({variable})\"")) && !drawn.contains(literal), "{variable}");
        assert_eq!(page.matches(&format!("{variable}: ")).count(), 2, "{variable} is defined for light and dark");
    }
    if let Some(width) = width_on_a_phone(&desk, &page) {
        assert!(width <= 360, "the page is {width} wide on a phone of 360");
        // The check sees content that is too wide.
        let wide = page.replace("<footer>", "<footer style=\"width:700px\">");
        assert!(width_on_a_phone(&desk, &wide) > Some(600));
    }
}

#[test]
fn certificates_paths_and_runs_without_a_model() {
    let desk = Desk::new();
    let solved = SMALL.replace("[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n", "[solver.dual]\n");
    desk.write(
        "my.toml",
        solved.replace("lambda = 1e-3", "c = [0.01, 0.1]").replace("test = 0.2", "test = 0.2\nvalidation = 0.2"),
    );
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let page = report(&desk, "run");
    has(&page, &["certificate", "path", "curves", "weights"]);
    assert!(page.contains("C (log scale)") && !page.contains("<title>objective: "), "curves of a path are over C");
    // A run that diverged has no model, no confusion and no certificate.
    desk.write("bad.toml", SMALL.replace("learning_rate = 0.01", "learning_rate = 1e9").replace("1e-3", "1.0"));
    assert_eq!(desk.run(&["train", "bad.toml", "--out", "bad", "-q"]).code, Some(1));
    let page = report(&desk, "bad");
    assert!(page.contains("<b>diverged</b>") && !page.contains("id=\"confusion\""), "{page}");
    has(&page, &["diverged", "curves", "data", "configuration"]);
    assert!(
        page.contains("The objective was 9 at the first step and ") && page.contains("objective, × diverged"),
        "{page}"
    );
    // The advice is a command that was tried: it does not diverge.
    assert!(page.contains("try `--set solver.sgd.learning_rate=2e-1`"), "{page}");
    desk.succeed(&["train", "bad.toml", "--out", "good", "-q", "--set", "solver.sgd.learning_rate=2e-1"]);
}

#[test]
fn a_search_shows_every_trial_and_its_best_run() {
    let desk = Desk::new();
    let space = "[search]\nrefit = true\n[search.space]\n\"solver.sgd.learning_rate\" = [1e-3, 1e-2, 1e9]\n\"objective.lambda\" = [1e-3, 1.0]\n";
    desk.write("my.toml", SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2") + space);
    desk.succeed(&["search", "my.toml", "--out", "s", "-q"]);
    let page = report(&desk, "s");
    has(&page, &["trials", "ranking", "judged", "search", "confusion", "weights"]);
    let tips: Vec<&str> =
        page.split("<title>rank ").skip(1).map(|rest| rest.split("</title>").next().unwrap()).collect();
    for trial in 0..6 {
        // Once in each of the three charts.
        assert_eq!(tips.iter().filter(|tip| tip.contains(&format!(", trial {trial}\n"))).count(), 3, "trial {trial}");
    }
    // Trials that diverged have a cross in the colour of nothing else; the ring of the best has the colour of the page.
    let diverged =
        desk.json("s/search.json")["standings"].as_array().unwrap().iter().filter(|s| s["stop"] == "diverged").count();
    assert!(diverged > 0 && page.contains("A cross is a trial that diverged"));
    assert_eq!(tips.iter().filter(|tip| tip.ends_with("\ndiverged")).count(), 3 * diverged);
    assert!(page.matches("stroke=\"var(--lost)\"").count() >= 3 * 2 * diverged);
    assert!(
        page.contains("standard error of")
            && page.contains("learning rate (log scale)")
            && page.contains("lambda (log scale)")
    );
    if let Some(width) = width_on_a_phone(&desk, &page) {
        assert!(width <= 360, "the page is {width} wide on a phone of 360");
    }
    // One key alone is a curve; of keys that are no numbers there are the losses.
    for (space, along) in
        [("\"objective.lambda\" = [1e-3, 1e-2]", true), ("\"preprocess.scale\" = [\"none\", \"std\"]", false)]
    {
        desk.write(
            "one.toml",
            SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2") + "[search.space]\n" + space + "\n",
        );
        desk.succeed(&["search", "one.toml", "--out", "t", "--force", "-q"]);
        let page = report(&desk, "t");
        assert!(page.contains("<figcaption>Loss of every trial</figcaption>"), "{space}");
        assert_eq!(page.contains("<figcaption>Score along lambda</figcaption>"), along, "{space}");
        // Error bars, values in the place of logarithms, and no legend of what is not there.
        assert_eq!(page.contains(" ± ") && page.contains("accuracy ± standard error"), along, "{space}");
        assert!(!page.contains("log10") && !page.contains("ringed") && !page.contains("A cross is"), "{space}");
    }
}

#[test]
fn data_that_are_gone_are_said_to_be_gone() {
    let desk = Desk::new();
    let rows: String = (0..60).map(|i| format!("{} 1:{} 2:{}\n", i % 3, (i * 7) % 11, (i * 5) % 13)).collect();
    desk.write("x.libsvm", rows);
    desk.write("my.toml", SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = \"x.libsvm\""));
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    std::fs::remove_file(desk.path("x.libsvm")).unwrap();
    let written = desk.succeed(&["report", "run"]);
    assert!(
        written.stderr.contains("no rows of each class: data.libsvm.train") && !written.stderr.contains("images"),
        "{}",
        written.stderr
    );
    let page = desk.read("run/report.html");
    has(&page, &["confusion", "confused", "classes", "weights"]);
    assert!(page.contains("The rows of each class are not shown: ") && !page.contains("class=\"example\""));
    // The same of images has a section that says why there are none.
    desk.write("0.idx", [&[0u8, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 160]].concat());
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    desk.write("1.idx", [&[0u8, 0, 8, 1, 0, 0, 0, 40][..], &labels].concat());
    let files = "[data.idx]\ntrain_images = \"0.idx\"\ntrain_labels = \"1.idx\"";
    desk.write("images.toml", SMALL.replace("[data.digits]", files));
    desk.succeed(&["train", "images.toml", "--out", "images", "-q"]);
    std::fs::remove_file(desk.path("0.idx")).unwrap();
    assert!(desk.succeed(&["report", "images"]).stderr.contains("no example images and no rows of each class: "));
    assert!(desk.read("images/report.html").contains("No examples are shown: "));
}

/// A table has no section made for images, and shows which of its columns count.
#[test]
fn a_run_of_a_table_lists_the_largest_weights_by_name() {
    let desk = Desk::new();
    let rows: String = (0..120)
        .map(|i| {
            let species = ["setosa", "versicolor", "<virginica>"][i % 3];
            format!("{},{},{},{species}\n", i % 3 * 5 + i % 2, (i * 7) % 11, (i % 3) as f64 - (i % 5) as f64 / 9.0)
        })
        .collect();
    desk.write("flowers.csv", "petal length,noise,width & depth,species\n".to_owned() + &rows);
    let table = "[data.csv]\ntrain = \"flowers.csv\"\nlabel = \"species\"";
    desk.write("my.toml", SMALL.replace("[data.digits]", table));
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let page = report(&desk, "run");
    has(&page, &["curves", "confusion", "roc", "weights", "classes", "data", "configuration"]);
    let weights = page.split("<section id=\"weights\">").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(weights.matches("<h3>").count(), 3, "{weights}");
    assert!(weights.contains("<h3>&lt;virginica&gt;</h3>") && weights.contains("<td>petal length</td>"));
    assert!(weights.contains("<td>width &amp; depth</td>") && !weights.contains("<img"));
    // The order and the numbers are those of `burn-svm weights`.
    let listed = desk.succeed(&["weights", "run", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let first = listed[0]["weights"][0]["feature"].as_str().unwrap().replace('&', "&amp;");
    let row = weights.split("<h3>setosa</h3>").nth(1).unwrap().split("<tbody>").nth(1).unwrap();
    assert!(row.trim_start().starts_with(&format!("<tr><td>{first}</td>")), "{row}");
    if let Some(width) = width_on_a_phone(&desk, &page) {
        assert!(width <= 360, "the page is {width} wide on a phone of 360");
    }
}

#[test]
fn what_is_neither_run_nor_search_is_refused() {
    let desk = Desk::new();
    desk.write("empty/x.txt", "");
    let nothing = desk.run(&["report", "empty"]);
    assert_eq!((nothing.code, nothing.problem()), (Some(2), "empty: is not a run folder: there is no `result.json`"));
    desk.write("broken/result.json", "{");
    let broken = desk.run(&["report", "broken"]);
    assert_eq!(broken.code, Some(1), "{}", broken.stderr);
    assert!(broken.problem().starts_with("broken/result.json: EOF"), "{}", broken.problem());
    desk.write("half/search.json", "{}");
    assert_eq!(outcome(&mut desk.command(&["report", "half"])).code, Some(1));
}
