//! `selfcheck`: the parity table of a device, and the warning of a run on a device that computes wrongly.

use crate::devices::wgpu_cpu;
use crate::program::Desk;

#[test]
fn the_processor_agrees_with_the_reference() {
    let desk = Desk::new();
    let outcome = desk.succeed(&["selfcheck"]);
    assert!(outcome.stdout.starts_with("flex against f64 on the host\n"), "{}", outcome.stdout);
    for what in [
        "weston-watkins, power 1: loss",
        "crammer-singer, power 2: gradient by autodiff",
        "one-vs-rest, power 2: gradient by hand",
        "crammer-singer, power 1: gradient of the fused pass",
        "top-k, power 1: loss",
        "training: 50 steps of SGD, weights",
        "exact solver, gap 1e-3: objective above the optimum",
        "L-BFGS, gradient 1e-5: objective above the optimum",
    ] {
        assert!(outcome.stdout.contains(what), "{what}\n{}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("WRONG"), "{}", outcome.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&desk.succeed(&["selfcheck", "--device", "ndarray", "--json"]).stdout).unwrap();
    assert_eq!((json["device"].as_str(), json["ok"].as_bool()), (Some("ndarray"), Some(true)));
    let lines = json["lines"].as_array().unwrap();
    assert!(lines.len() > 20);
    // Single precision is not the reference: errors that are all zero would mean that nothing was compared.
    assert!(lines.iter().filter(|line| line["error"].as_f64().unwrap() > 0.0).count() > lines.len() / 2, "{json}");
}

#[test]
fn an_adapter_agrees_with_the_reference() {
    if wgpu_cpu().is_none() {
        return;
    }
    let outcome = Desk::new().succeed(&["selfcheck", "--device", "wgpu:cpu"]);
    assert!(outcome.stdout.starts_with("wgpu:cpu (") && !outcome.stdout.contains("WRONG"), "{}", outcome.stdout);
    let fused = outcome.stdout.matches("gradient of the fused pass").count();
    assert_eq!(fused, if cfg!(feature = "fusion") { 0 } else { 7 }, "{}", outcome.stdout);
}

#[test]
fn a_device_that_is_not_there_is_a_sentence() {
    let outcome = Desk::new().run(&["selfcheck", "--device", "wgpu:99"]);
    assert_eq!((outcome.code, outcome.problem()), (Some(2), "device `wgpu:99`: this machine has no such adapter"));
    assert!(!outcome.hint().is_empty());
    assert_eq!(Desk::new().run(&["selfcheck", "--device", "gpu"]).code, Some(2));
}
