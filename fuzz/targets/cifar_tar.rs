//! The archive around CIFAR's files, its headers repaired after each change; through a file, as a configuration names it.
#![no_main]

use burn_svm_cli::format::{CifarConfig, CifarLabels};
use burn_svm_fuzz::{init, repair_tar};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;

fuzz_target!(init: init(), |data: &[u8]| {
    let mut data = data.to_vec();
    repair_tar(&mut data);
    let dir = file();
    std::fs::write(&dir, &data).expect("a file in memory can be written");
    for labels in [None, Some(CifarLabels::Coarse)] {
        if let Ok(data) = (CifarConfig { dir: dir.clone(), labels, weights: None }).load() {
            assert_eq!(data.features.n_rows(), data.labels.len());
            assert!(data.labels.iter().all(|&label| (label as usize) < data.n_classes()));
        }
    }
});

/// A file of this process in memory.
fn file() -> PathBuf {
    let folder = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    folder.join(format!("burn-svm-fuzz-{}.tar", std::process::id()))
}
