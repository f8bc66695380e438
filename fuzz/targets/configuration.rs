//! The operator's file: read, or refused with a sentence.
#![no_main]

use std::{path::PathBuf, sync::LazyLock};

use anyrouter_server::config::Sources;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("there is room"));

fuzz_target!(|data: &[u8]| {
    let file: PathBuf = FOLDER.path().join("anyrouter.toml");
    std::fs::write(&file, data).expect("there is room");
    let sources = Sources {
        file: Some(file),
        listen: None,
        data_dir: None,
        log_format: None,
        environment: Vec::new().into_iter().collect(),
    };
    if let Err(e) = sources.load() {
        assert!(!e.to_string().is_empty());
    }
});
