//! Configurations, and what `--set` changes in them: the first line is a KEY=VALUE where it is one.
#![no_main]

use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use burn_svm_fuzz::init;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(init: init(), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (set, text) = match parse_assignment(first) {
        Ok(set) => (vec![set], rest),
        Err(_) => (Vec::new(), text),
    };
    match LoadedConfig::parse(text, Path::new("x.toml"), &set) {
        Ok(config) => {
            // What was read can be written and read again, and means the same.
            let again = LoadedConfig::parse(&config.text, Path::new("x.toml"), &[]).expect("its own text");
            assert_eq!(format!("{:?}", again.run), format!("{:?}", config.run));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
