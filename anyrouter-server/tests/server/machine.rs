//! What goes wrong with the machine: disk, database, descriptors, signals. Nothing that a client
//! saw end is lost, and the next request works.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    faults::{connect, plain, until, works},
    harness::{Server, body, every_protocol},
    upstream::{Act, Upstream, chunks, completion},
};

#[test]
fn a_disk_that_is_full_stops_requests_before_they_are_sent_and_recovers_without_a_restart() {
    let upstream = Upstream::start();
    let all = chunks(&["a", "b"]);
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    upstream.on("s", vec![Act::Pause(all[..2].to_vec(), all[2..].to_vec())]);
    let server = every_protocol(&upstream)
        .model("lab/stream", &[("open", "s", "")])
        .start();
    works(&server);
    upstream.hold();
    let stream = server.chat("lab/stream", json!({"stream": true}));
    let stream_id = stream.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    until("its open entry is written", || {
        server.journal_bytes().contains(&stream_id)
    });

    let segments = || {
        std::fs::read_dir(server.dir.path().join("data/usage"))
            .unwrap()
            .count()
    };
    let before = segments();

    // From here on no file may grow: every append fails, as on a full disk.
    server.limit_files(Some(1));
    let refused = server.chat("lab/open", json!({}));
    let refused_id = refused.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let asked = upstream.seen().len();
    assert_eq!(refused.status(), 503);
    assert_eq!(
        refused.json::<Value>().unwrap()["error"]["code"],
        "storage_unavailable"
    );
    let second = server.chat("lab/open", json!({}));
    assert_eq!(
        (second.status().as_u16(), upstream.seen().len()),
        (503, asked),
        "nothing is sent any more"
    );
    // One more segment is tried, since the error may be the file's alone; then nothing is made, over
    // several attempts to write.
    until("the next segment is tried", || segments() > before);
    let mut refused = 0;
    until("attempts go on", || {
        refused += u32::from(server.chat("lab/open", json!({})).status() == 503);
        refused == 100
    });
    assert!(segments() <= before + 1, "nothing is made meanwhile");
    let ready = server.ready();
    assert_eq!(ready["ready"], false);
    assert!(
        ready["trouble"][0]
            .as_str()
            .unwrap()
            .contains("usage journal"),
        "{ready}"
    );
    upstream.go_on();
    let text = stream.text().unwrap();
    assert!(
        !text.contains("[DONE]") && text.contains("storage_unavailable"),
        "a stream in flight ends with an error: {text}"
    );
    let metrics = server
        .http
        .get(server.base.replace("/api/v1", "/metrics"))
        .send()
        .unwrap()
        .text()
        .unwrap();
    assert!(metrics.contains("outcome=\"storage_error\""), "{metrics}");

    server.limit_files(None);
    until("it recovers by itself", || server.ready()["ready"] == true);
    works(&server);
    for id in [&stream_id, &refused_id] {
        assert_eq!(
            server.record_of(id)["outcome"],
            "storage_error",
            "what was held is written"
        );
    }
    assert!(!metrics.is_empty() && server.logs().len() >= 4);
}

#[test]
fn a_locked_database_loses_nothing_and_is_told() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    works(&server);
    let other = rusqlite::Connection::open(server.dir.path().join("data/anyrouter.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ids: Vec<String> = (0..20)
        .map(|_| {
            let response = server.chat("lab/open", json!({}));
            assert_eq!(response.status(), 200, "requests go on");
            response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    until("/readyz says so", || {
        server.ready()["trouble"]
            .to_string()
            .contains("the journal keeps them")
    });
    for id in &ids {
        assert_eq!(server.record_of(id)["outcome"], "ok", "the journal has it");
    }
    other.execute_batch("ROLLBACK").unwrap();
    until("/readyz is well again", || server.ready()["ready"] == true);
    let count = || -> usize {
        other
            .query_row("SELECT count(*) FROM usage", [], |row| row.get(0))
            .unwrap()
    };
    until("every record is imported, once", || count() == 21);
}

#[test]
fn a_start_waits_for_a_database_that_is_locked_for_a_moment() {
    let upstream = Upstream::start();
    let mut server = plain(&upstream);
    works(&server);
    let other = rusqlite::Connection::open(server.dir.path().join("data/anyrouter.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ids: Vec<String> = (0..5)
        .map(|_| {
            server.chat("lab/open", json!({})).headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    server.kill();
    let unlock = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        other.execute_batch("ROLLBACK").unwrap();
    });
    server.start_again();
    unlock.join().unwrap();
    for id in ids {
        assert_eq!(server.record_of(&id)["outcome"], "ok");
    }
}

#[test]
fn a_segment_that_cannot_grow_is_left_for_another() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    works(&server);
    // Larger than any file but the journal's will be: what stops is this segment alone.
    server.limit_files(Some(400_000));
    let journal = || {
        std::fs::read_dir(server.dir.path().join("data/usage"))
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .max()
            .unwrap()
    };
    let first = journal();
    let full = std::fs::File::options()
        .write(true)
        .open(server.dir.path().join("data/usage").join(&first))
        .unwrap();
    full.set_len(400_000).unwrap();
    assert_eq!(server.chat("lab/open", json!({})).status(), 503);
    until("another segment takes the records", || {
        server.ready()["ready"] == true && journal() != first
    });
    works(&server);
}

#[test]
fn descriptors_that_run_out_are_waited_for() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    works(&server);
    server.limit_descriptors(40);
    let many: Vec<TcpStream> = (0..60).map(|_| connect(&server)).collect();
    std::thread::sleep(Duration::from_millis(100));
    drop(many);
    let fresh = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let response = fresh
        .post(format!("{}/chat/completions", server.base))
        .bearer_auth(&server.key)
        .json(&body("lab/open", json!({})))
        .send()
        .unwrap();
    assert_eq!(response.status(), 200, "there is room again");
}

#[test]
fn told_to_stop_under_load_it_loses_no_record() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Events(chunks(&["a", "b", "c"]))]);
    let mut server = every_protocol(&upstream).start();
    let complete: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (http, url, key) = (
                server.http.clone(),
                format!("{}/chat/completions", server.base),
                server.key.clone(),
            );
            let (complete, stop) = (complete.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(response) = http
                        .post(&url)
                        .bearer_auth(&key)
                        .json(&body("lab/open", json!({"stream": true})))
                        .send()
                    else {
                        return;
                    };
                    let id = response.headers()["x-request-id"]
                        .to_str()
                        .unwrap()
                        .to_owned();
                    if response
                        .text()
                        .is_ok_and(|text| text.ends_with("data: [DONE]\n\n"))
                    {
                        complete.lock().unwrap().insert(id);
                    }
                }
            })
        })
        .collect();
    until("there is load", || complete.lock().unwrap().len() > 200);
    server.signal("TERM");
    assert!(server.wait().success());
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    server.start_again();
    let mut known = BTreeSet::new();
    let mut before = String::new();
    loop {
        let page: Value = server
            .get(&format!("/logs?limit=1000{before}"), &server.management)
            .json()
            .unwrap();
        let rows = page["data"].as_array().unwrap().clone();
        let Some(last) = rows.last() else { break };
        before = format!("&before={}", last["request_id"].as_str().unwrap());
        for row in &rows {
            assert!(
                known.insert(row["request_id"].as_str().unwrap().to_owned()),
                "none is doubled"
            );
        }
    }
    let complete = complete.lock().unwrap();
    assert!(
        complete.is_subset(&known),
        "{:?} was seen complete",
        complete.difference(&known).next()
    );
}

#[test]
fn a_key_and_the_address_that_it_is_for_change_together() {
    let (old, new) = (Upstream::start(), Upstream::start());
    for upstream in [&old, &new] {
        upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    }
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("provider.key");
    let toml = |upstream: &Upstream| {
        format!(
            "[catalog]\nbuiltin = false\n[[provider]]\nslug = \"p\"\nprotocol = \"openai_chat\"\nbase_url = \"http://{}/v1\"\napi_key = {{ file = \"{}\" }}\ntier = \"paid\"\n{}\n[[model]]\nid = \"lab/open\"\n[[model.endpoint]]\nprovider = \"p\"\nupstream_model = \"o\"\nprice = {{ prompt = \"1\", completion = \"1\" }}\n",
            upstream.address,
            key_file.display(),
            crate::harness::CLEAN
        )
    };
    std::fs::write(&key_file, "key-of-the-old").unwrap();
    let server = Server::start_in(dir, &toml(&old), &[]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = server.chat("lab/open", json!({}));
                    assert_eq!(
                        answer.status(),
                        200,
                        "{}",
                        answer.text().unwrap_or_default()
                    );
                }
            });
        }
        until("there is load", || old.seen().len() > 50);
        std::fs::write(&key_file, "key-of-the-new").unwrap();
        std::fs::write(server.dir.path().join("anyrouter.toml"), toml(&new)).unwrap();
        server.signal("HUP");
        until("the new one is asked", || new.seen().len() > 50);
        stop.store(true, Ordering::Relaxed);
    });
    for (upstream, key) in [
        (&old, "Bearer key-of-the-old"),
        (&new, "Bearer key-of-the-new"),
    ] {
        assert!(
            upstream
                .seen()
                .iter()
                .all(|s| s.headers["authorization"] == key),
            "{key} alone"
        );
    }
}

impl Server {
    /// Lets none of its files grow beyond so many bytes.
    fn limit_files(&self, bytes: Option<u64>) {
        self.limit(
            "fsize",
            &bytes.map_or("unlimited".to_owned(), |n| n.to_string()),
        );
    }

    fn limit_descriptors(&self, count: u64) {
        self.limit("nofile", &count.to_string());
    }

    fn limit(&self, what: &str, soft: &str) {
        // The soft limit alone, so that it can be raised again.
        let done = Command::new("prlimit")
            .args([format!("--pid={}", self.id()), format!("--{what}={soft}:")])
            .status()
            .unwrap();
        assert!(done.success());
    }

    fn ready(&self) -> Value {
        self.http
            .get(self.base.replace("/api/v1", "/readyz"))
            .send()
            .unwrap()
            .json()
            .unwrap()
    }

    /// What the journal holds now.
    fn journal_bytes(&self) -> String {
        let folder = std::fs::read_dir(self.dir.path().join("data/usage")).unwrap();
        let files = folder
            .flatten()
            .filter_map(|e| std::fs::read(e.path()).ok());
        files
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

#[test]
fn a_connection_that_says_nothing_does_not_keep_the_server_from_stopping() {
    let upstream = Upstream::start();
    let mut server = plain(&upstream);
    let (_silent, mut half) = (connect(&server), connect(&server));
    half.write_all(b"PRI * HTT").unwrap();
    works(&server);
    let began = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn http_2_is_known_by_its_preface_whatever_pieces_that_comes_in() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    for cut in [0, 3, 20] {
        let mut stream = connect(&server);
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        stream.write_all(&preface[..cut]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(&preface[cut..]).unwrap();
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[3], 4, "it answers with its settings");
    }
    // A part of it, and then nothing: the connection ends, and does not wait for more.
    let mut stream = connect(&server);
    stream.write_all(b"PRI * HTT").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let began = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // What only begins like it is HTTP/1.1.
    let mut stream = connect(&server);
    stream.write_all(b"P").unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let body = body("lab/open", json!({})).to_string();
    write!(stream, "OST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}", server.key, body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
