//! `burn-svm fetch`

use super::{Failure, FetchArgs, LOUD};
use crate::fetch::FetchEvent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::process::ExitCode;

pub(super) fn run(args: &FetchArgs) -> Result<ExitCode, Failure> {
    let mut shown = DownloadDisplay::new();
    let result = fetch(args, &mut |event| shown.event(&event));
    shown.clear();
    let folder = result?;
    LOUD.line(&format!("{} is complete", folder.display()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "fetch")]
fn fetch(args: &FetchArgs, observer: &mut dyn FnMut(FetchEvent<'_>)) -> Result<std::path::PathBuf, Failure> {
    Ok(crate::fetch::Fetcher::new().fetch(args.dataset, &args.dir, observer)?)
}

#[cfg(not(feature = "fetch"))]
fn fetch(args: &FetchArgs, _: &mut dyn FnMut(FetchEvent<'_>)) -> Result<std::path::PathBuf, Failure> {
    let FetchArgs { dataset, dir: _ } = args;
    Err(crate::fetch::FetchError::NotCompiledIn { name: *dataset }.into())
}

/// A bar on a terminal, lines elsewhere.
struct DownloadDisplay {
    bar: Option<ProgressBar>,
}

impl DownloadDisplay {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)).with_style(style)
        });
        Self { bar }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line that the bar does not write over.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| LOUD.line(text)),
            None => LOUD.line(text),
        }
    }

    fn event(&mut self, event: &FetchEvent<'_>) {
        match event {
            FetchEvent::Waiting(path) => {
                self.line(&format!("{}: another process is downloading there; waiting for it", path.display()));
            }
            FetchEvent::Present(path) => self.line(&format!("{}: is there already", path.display())),
            FetchEvent::Begin { name, done, total, address } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*total);
                    bar.set_message((*name).to_owned());
                    bar.reset();
                    bar.set_position(*done);
                    bar.reset_eta();
                } else {
                    let on = if *done > 0 { format!(", going on at byte {done}") } else { String::new() };
                    self.line(&format!("{address}/{name}: {total} bytes{on}"));
                }
            }
            FetchEvent::Bytes(done) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*done);
                }
            }
            FetchEvent::Failed(reason) => match &self.bar {
                Some(bar) => bar.suspend(|| LOUD.warning(reason)),
                None => LOUD.warning(reason),
            },
            FetchEvent::Unpacking(path) => self.line(&format!("unpacking {}", path.display())),
            FetchEvent::Complete(path) => self.line(&format!("{}: complete, SHA-256 as published", path.display())),
        }
    }
}
