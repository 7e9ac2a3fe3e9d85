//! Devices, and numbers that are compared, for the tests of the library and of the program.

use burn::tensor::Tensor;
use burn_svm::internals::device::{DeviceName, OpenDevice, open};
use std::sync::OnceLock;

/// The software adapter, opened once, or `None` with a line that says so.
pub fn wgpu_cpu() -> Option<&'static OpenDevice> {
    static DEVICE: OnceLock<Option<OpenDevice>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| open("wgpu:cpu".parse::<DeviceName>().unwrap()).ok()).as_ref();
    if device.is_none() {
        println!("skipped: no adapter (wgpu:cpu)");
    }
    device
}

/// The CPU backends of this build.
pub fn cpu_devices() -> Vec<OpenDevice> {
    ["flex", "ndarray"].iter().filter_map(|name| open(name.parse::<DeviceName>().unwrap()).ok()).collect()
}

/// The values of a tensor in f64.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_to_vec_as::<f64>().unwrap()
}

/// |a − b| relative to the larger of |b| and `size`; equal infinities and two NaN are equal.
pub fn error(a: f64, b: f64, size: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() / b.abs().max(size) }
}

/// The largest error of a list, relative to its largest value, at least 1.
pub fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| error(*a, *b, size))
        .fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

/// Costs on a grid that every precision holds, 0 among them; not those of the transposed pair.
pub fn cost(y: usize, j: usize) -> f64 {
    if y == j { 0.0 } else { ((3 * y + 4 * j + 1) % 7) as f64 / 2.0 }
}
