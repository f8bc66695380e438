//! The head of a request, as bytes on a connection to the real server: answered in HTTP or closed,
//! and the server lives. `@KEY@` stands for a good key.
#![no_main]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyrouter_server::{config::Sources, run};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tempfile::TempDir;

struct Running {
    address: SocketAddr,
    key: String,
    _folder: TempDir,
}

static SERVER: LazyLock<Running> = LazyLock::new(start);

fn start() -> Running {
    let folder = TempDir::new().expect("there is room");
    // A port that is free now.
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("there is a port");
    let file = folder.path().join("anyrouter.toml");
    std::fs::write(&file, "[deadlines]\nbody = 0.05\n[log]\nlevel = \"warn\"\n")
        .expect("there is room");
    let sources = Sources {
        file: Some(file),
        listen: Some(address),
        data_dir: Some(folder.path().join("data")),
        log_format: None,
        environment: Vec::new().into_iter().collect(),
    };
    let config = sources.load().expect("it is a configuration");
    let keys = folder.path().join("keys.json");
    let for_server = keys.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("there are threads");
        runtime.block_on(run::run(config, sources, Some(for_server)))
    });
    let began = Instant::now();
    while TcpStream::connect(address).is_err() || !keys.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "it starts");
        std::thread::sleep(Duration::from_millis(10));
    }
    let keys: Value =
        serde_json::from_slice(&std::fs::read(keys).expect("it is there")).expect("it is JSON");
    Running {
        address,
        key: keys["inference_key"]
            .as_str()
            .expect("it has the key")
            .to_owned(),
        _folder: folder,
    }
}

/// The bytes with the key in its place.
fn with_key(data: &[u8], key: &str) -> Vec<u8> {
    const PLACE: &[u8] = b"@KEY@";
    match data.windows(PLACE.len()).position(|w| w == PLACE) {
        Some(at) => [&data[..at], key.as_bytes(), &data[at + PLACE.len()..]].concat(),
        None => data.to_vec(),
    }
}

fuzz_target!(|data: &[u8]| {
    let server = &*SERVER;
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout can be set");
    // It may close before it has read everything.
    let _ = stream.write_all(&with_key(data, &server.key));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    assert!(
        ended.is_ok_and(|_| true) || answer.len() < 1 << 20,
        "it ends"
    );
    if !data.starts_with(b"PRI") {
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
});
