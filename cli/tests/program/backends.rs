//! Devices of a process: those that open, the sentence for those that are missing, and drivers that keep quiet.

use crate::devices::{cpu_devices, host, wgpu_cpu};
use burn::tensor::{DType, Tensor};
use burn_svm::internals::device::{Backend, adapters, open};
use std::process::{Command, Output};

/// The program without the variables of a desktop session; a driver that warns about that shows here.
fn burn_svm(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burn-svm"));
    command.args(arguments).env_remove("XDG_RUNTIME_DIR").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command.env("CUBECL_AUTOTUNE_LEVEL", "minimal").output().unwrap()
}

#[test]
fn the_cpu_backends_compute_in_both_precisions() {
    let devices = cpu_devices();
    assert!(!devices.is_empty());
    for open in devices {
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::<2>::from_data([[0.1, 2.0]], (&open.device, dtype));
            let product = x.clone().matmul(x.transpose());
            assert_eq!(product.dtype(), dtype);
            let expected = if dtype == DType::F64 { 4.01 } else { f64::from(0.1f32 * 0.1f32 + 4.0) };
            assert!((host(product)[0] - expected).abs() < 1e-15, "{}", open.label());
        }
    }
}

#[test]
fn the_software_adapter_computes() {
    let Some(open) = wgpu_cpu() else { return };
    assert!(open.is_software_adapter() && open.label().starts_with("wgpu:cpu ("), "{}", open.label());
    let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, -4.0]], &open.device);
    assert_eq!(host(x.clone().matmul(x)), [7.0, -6.0, -9.0, 22.0]);
}

#[test]
fn an_index_beyond_the_adapters_is_refused_with_what_there_is() {
    if !Backend::Wgpu.compiled_in() {
        println!("skipped: wgpu is not compiled in");
        return;
    }
    let count = adapters(Backend::Wgpu).len();
    let error = open(format!("wgpu:{count}").parse().unwrap()).unwrap_err();
    assert_eq!(error.problem, format!("device `wgpu:{count}`: this machine has no such adapter"));
    assert!(error.hint.contains(if count == 0 { "mesa-vulkan-drivers" } else { "found: 0 = " }), "{}", error.hint);
}

#[test]
fn listing_devices_leaves_stderr_clean() {
    let output = burn_svm(&["devices"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    for backend in Backend::ALL.into_iter().filter(|b| b.compiled_in()) {
        assert!(listed.contains(backend.name()), "{listed}");
    }
}

const CONFIG: &str = "[data.digits]\n[objective]\nlambda = 1e-3\n[loss.crammer_singer]\n[solver.sgd]\n";

fn gradcheck_on(device: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("check.toml");
    std::fs::write(&config, CONFIG).unwrap();
    burn_svm(&["gradcheck", config.to_str().unwrap(), "--device", device, "--coordinates", "4"])
}

#[test]
fn the_gradient_check_of_the_program_passes_quietly() {
    let mut names: Vec<String> = cpu_devices().iter().map(|d| d.name.to_string()).collect();
    names.extend(wgpu_cpu().map(|d| d.name.to_string()));
    for name in names {
        let output = gradcheck_on(&name);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(said.contains("numerical: ") && said.contains("passed"), "{said}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!errors.to_lowercase().contains("warning") && !errors.contains("XDG_RUNTIME_DIR"), "{name}: {errors}");
        assert!(!errors.contains("panicked"), "{name}: {errors}");
    }
}

#[test]
fn a_missing_adapter_is_a_sentence_and_exit_2() {
    if wgpu_cpu().is_some() || !Backend::Wgpu.compiled_in() {
        println!("skipped: the adapter is there, or its backend is not compiled in");
        return;
    }
    let output = gradcheck_on("wgpu:cpu");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("this machine has no such adapter") && said.contains("mesa-vulkan-drivers"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
