//! `burn-svm devices`

use super::{DevicesArgs, Failure, print, print_json};
use crate::device::{self, Backend, DeviceName};
use crate::kernel::Ceilings;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(args: &DevicesArgs) -> Result<ExitCode, Failure> {
    let default = DeviceName::default();
    let backends: Vec<(Backend, Vec<String>)> = Backend::ALL.into_iter().map(|b| (b, found(b))).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let measured = args.measure.then(|| Ceilings::measure(args.threads.map_or(cores, usize::from)));
    if args.json {
        let list: Vec<Value> = backends
            .iter()
            .map(|(b, adapters)| json!({"backend": b.name(), "compiled_in": b.compiled_in(), "devices": adapters}))
            .collect();
        let mut found = json!({"backends": list, "default": default.to_string()});
        if let Some(Ceilings { threads, read, flops }) = measured {
            let (read, flops) = (read.round(), flops.round());
            found["measured"] = json!({"threads": threads, "read_bytes_per_second": read, "flops_per_second": flops});
        }
        print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = format!("{:<9} {:<12} devices\n", "backend", "compiled in");
    for (backend, adapters) in backends {
        let compiled = if backend.compiled_in() { "yes" } else { "no" };
        let mut lines = adapters.into_iter();
        let first = lines.next().unwrap_or_else(|| match (backend.compiled_in(), backend.is_cpu()) {
            (false, _) => format!("build with --features {}", backend.name()),
            (true, _) => "none found on this machine".into(),
        });
        let _ = writeln!(out, "{:<9} {compiled:<12} {first}", backend.name());
        lines.for_each(|line| {
            let _ = writeln!(out, "{:<22} {line}", "");
        });
    }
    let _ = writeln!(out, "\nUsed unless a configuration or --device says otherwise: {default}, {cores} threads.");
    if let Some(Ceilings { threads, read, flops }) = measured {
        let _ = writeln!(
            out,
            "Measured (threads: {threads}): reads {:.1} GB/s from an array of {} MB, multiplies and adds {:.0} Gflop/s in f32.",
            read / 1e9,
            Ceilings::BYTES >> 20,
            flops / 1e9
        );
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// The devices of a backend, as `name  adapter`.
fn found(backend: Backend) -> Vec<String> {
    if !backend.compiled_in() {
        return Vec::new();
    }
    if backend.is_cpu() {
        return vec![format!("{}  this processor", backend.name())];
    }
    let adapters = device::adapters(backend);
    adapters.iter().enumerate().map(|(i, (_, name))| format!("{}:{i}  {name}", backend.name())).collect()
}
