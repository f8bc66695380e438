//! What goes wrong: bodies, upstreams, clients and the machine. Each fault ends legally for the client, with one record (but where
//! storage itself fails), no body and no secret; and the next request works.

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
    harness::{Server, body, data, two_protocols},
    upstream::{Act, Upstream, chunks, completion},
};

/// A connection to the server that is written to byte by byte.
fn connect(server: &Server) -> TcpStream {
    let address = server.base.trim_start_matches("http://").trim_end_matches("/api/v1");
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn head(server: &Server, more: &str) -> String {
    format!("POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", server.key)
}

/// Everything that the server says until it closes.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn plain(upstream: &Upstream) -> Server {
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    two_protocols(upstream)
        .more("[deadlines]\nbody = 0.3\nfirst_byte = 2\nwhole = 4\n[limits]\nbody = 100000\nevent = 20000\nanswer = 200000")
        .start()
}

fn works(server: &Server) {
    assert_eq!(server.chat("lab/open", json!({})).status(), 200, "the next request works");
}

#[test]
fn bodies_that_break_off_come_slowly_or_lie_about_their_length() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let whole = body("lab/open", json!({})).to_string();

    // It says that more will come, and does not send it.
    let mut slow = connect(&server);
    write!(slow, "{}{}", head(&server, &format!("content-length: {}\r\n", whole.len() + 50)), whole).unwrap();
    let answer = rest(slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"request_timeout\""), "{answer}");
    assert_eq!(server.wait_for_record(|r| r["http_status"] == 408)["outcome"], "invalid");

    // It breaks off within the body: nobody is there to be told, and there is a record all the same.
    let before = server.logs().len();
    let mut broken = connect(&server);
    write!(broken, "{}{}", head(&server, "content-length: 5000\r\n"), whole).unwrap();
    drop(broken);
    until("a body that broke off has its record", || server.logs().len() == before + 1);

    for (more, text, status) in [
        ("content-length: 200000\r\n".to_owned(), String::new(), 413),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{}\r\n0\r\n\r\n", 150_000, " ".repeat(150_000)), 413),
        (format!("content-length: {}\r\ncontent-encoding: gzip\r\n", whole.len()), whole.clone(), 415),
        ("transfer-encoding: chunked\r\n".to_owned(), "zz\r\n{}\r\n0\r\n\r\n".to_owned(), 400),
    ] {
        let mut stream = connect(&server);
        write!(stream, "{}", head(&server, &(more.clone() + "connection: close\r\n"))).unwrap();
        let _ = stream.write_all(text.as_bytes());
        let answer = rest(stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{more}: {answer}");
        assert!(answer.contains("\"requestId\":\"req_"), "{more}: {answer}");
    }
    assert_eq!(upstream.seen().len(), 0, "nothing of it was sent anywhere");
    works(&server);
}

#[test]
fn requests_that_stand_in_one_piece_are_answered_in_order() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let whole = body("lab/open", json!({})).to_string();
    let one = |more: &str| format!("{}{whole}", head(&server, &format!("content-length: {}\r\n{more}", whole.len())));
    let mut stream = connect(&server);
    write!(stream, "{}{}{}", one(""), one(""), one("connection: close\r\n")).unwrap();
    let answer = rest(stream);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert_eq!(server.logs().len(), 3);
}

#[test]
fn heads_that_inject_or_flood_are_refused_and_reach_nobody() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let flood: String = (0..3000).map(|n| format!("x-flood-{n}: {}\r\n", "y".repeat(60))).collect();
    for (more, what) in [
        ("x-anyrouter-provider: open\r\n\tfolded: yes\r\ncontent-length: 2\r\n".to_owned(), "a folded line"),
        ("content-length: 2\r\ncontent-length: 7\r\n".to_owned(), "two lengths"),
        ("content-length: 2\r\ntransfer-encoding: chunked\r\n".to_owned(), "a length and chunks"),
        ("x-a\u{0}b: c\r\ncontent-length: 2\r\n".to_owned(), "a zero byte in a name"),
        (flood + "content-length: 2\r\n", "a flood"),
    ] {
        let mut stream = connect(&server);
        let _ = stream.write_all(format!("{}{{}}", head(&server, &more)).as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = rest(stream);
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{what}: {answer}");
    }
    let traced = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .header("x-anyrouter-trace-id", "t-1")
        .header("x-session-id", "s\u{e9}")
        .json(&body("lab/open", json!({"session_id": "a\r\nset-cookie: x"})))
        .send()
        .unwrap();
    assert_eq!((traced.status().as_u16(), &traced.headers()["x-anyrouter-trace-id"]), (200, &"t-1".parse().unwrap()));
    assert!(!traced.headers().contains_key("set-cookie"));
    let sent = &upstream.seen()[0].headers;
    assert!(!sent.contains_key("x-session-id") && !sent.contains_key("x-anyrouter-trace-id"), "the caller's headers stay here: {sent:?}");
}

#[test]
fn upstreams_that_trickle_never_end_or_send_too_much() {
    let upstream = Upstream::start();
    let event = chunks(&["word"])[1].clone();
    let http = |text: &str| {
        Act::Raw(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{text}").into_bytes())
    };
    let large = completion(&"x".repeat(300_000));
    let cases: Vec<(&str, bool, Act, &str)> = vec![
        ("endless-line", true, http(&format!("{event}data: {}", "x".repeat(40_000))), "upstream_error"),
        ("endless-line-first", true, http(&format!("data: {}", "x".repeat(40_000))), "upstream_error"),
        ("no-end", true, Act::Pause(vec![event.clone()], Vec::new()), "upstream_timeout"),
        ("too-much", false, Act::Json(200, large), "upstream_error"),
        ("reset", true, Act::PauseBreak(vec![event], Vec::new()), "upstream_error"),
        ("two-answers", false, Act::Json(200, json!([completion("a"), completion("b")])), "upstream_error"),
        ("empty", false, Act::With(200, vec![("content-type", "application/json")], String::new()), "upstream_error"),
        ("no-content", false, Act::With(204, vec![], String::new()), "upstream_error"),
    ];
    let mut setup =
        two_protocols(&upstream).more("[deadlines]\nfirst_byte = 2\nidle = 1\nwhole = 3\n[limits]\nevent = 20000\nanswer = 200000");
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    for (name, _, act, _) in &cases {
        upstream.on(name, vec![act.clone()]);
        setup = setup.model(&format!("lab/{name}"), &[("open", name, "")]);
    }
    let server = setup.start();
    for (name, stream, act, code) in &cases {
        if matches!(act, Act::PauseBreak(..)) {
            upstream.go_on();
        } else {
            upstream.hold();
        }
        let response = server.chat(&format!("lab/{name}"), json!({"stream": stream}));
        let (status, record) = (response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap().to_owned());
        let text = response.text().unwrap();
        let error = if status == 200 {
            data(&text).last().unwrap()["error"].clone()
        } else {
            serde_json::from_str::<Value>(&text).unwrap()["error"].clone()
        };
        assert_eq!(error["code"], *code, "{name}: {text}");
        assert!(!text.contains("[DONE]") && !text.contains("xxxx"), "{name}: {text}");
        assert_eq!(server.record_of(&record)["outcome"], "upstream_error", "{name}");
    }
    works(&server);
}

#[test]
fn a_stream_that_trickles_byte_by_byte_arrives_whole() {
    let upstream = Upstream::start();
    let text: String = chunks(&["a", "b", "é"]).concat();
    // Each byte of the stream is a chunk of HTTP by itself.
    let bytes: Vec<u8> = text.bytes().flat_map(|b| [b"1\r\n".as_slice(), &[b], b"\r\n"].concat()).collect();
    let http =
        [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &bytes, b"0\r\n\r\n"]
            .concat();
    upstream.on("o", vec![Act::Raw(http)]);
    let server = two_protocols(&upstream).start();
    let answer = server.chat("lab/open", json!({"stream": true})).text().unwrap();
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
    assert_eq!(crate::harness::text_of(&data(&answer)), "abé");
}

#[test]
fn usage_that_is_missing_or_absurd_is_estimated_and_says_so() {
    let upstream = Upstream::start();
    let with = |usage: Value| {
        let mut answer = completion("fine");
        answer["usage"] = usage;
        Act::Json(200, answer)
    };
    let cases = [
        Value::Null,
        json!({}),
        json!("many"),
        json!({"prompt_tokens": -1, "completion_tokens": 1}),
        json!({"prompt_tokens": 1e30, "completion_tokens": 1}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}),
    ];
    upstream.on("o", cases.iter().map(|usage| with(usage.clone())).collect());
    let server = two_protocols(&upstream).start();
    for usage in cases {
        let response = server.chat("lab/open", json!({}));
        assert_eq!(server.record(&response)["estimated"], true, "{usage}");
        let answer: Value = response.json().unwrap();
        assert!(answer["usage"]["total_tokens"].as_u64().is_some_and(|n| n < 100), "{usage}: {answer}");
    }
}

#[test]
fn a_client_that_reads_nothing_holds_the_upstream_back_and_memory_stays() {
    let upstream = Upstream::start();
    let event = format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(4000)}, "finish_reason": null}]}));
    upstream.on("o", vec![Act::Events(vec![event; 20_000])]);
    upstream.on("p", vec![Act::Json(200, completion("fine"))]);
    let server = two_protocols(&upstream).model("lab/plain", &[("open", "p", "")]).start();
    assert_eq!(server.chat("lab/plain", json!({})).status(), 200);
    let before = server.memory_kb();
    let whole = body("lab/open", json!({"stream": true})).to_string();
    let readers: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&server);
            write!(stream, "{}{whole}", head(&server, &format!("content-length: {}\r\n", whole.len()))).unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    // 80 MB are on offer to each; what is taken of them is what sockets and one gathering hold.
    let mut last = (0, 0);
    until("the upstream is held back", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = server.memory_kb();
        last = (last.1, now);
        last.0 == now
    });
    assert!(server.memory_kb() < before + 16_000, "{} KB before, {} with four readers that do not read", before, server.memory_kb());
    drop(readers);
    until("each left its record", || server.logs().iter().filter(|r| r["outcome"] == "cancelled").count() == 4);
    assert_eq!(server.chat("lab/plain", json!({})).status(), 200, "the next request works");
}

#[test]
fn a_client_that_is_gone_before_the_answer_leaves_a_record_and_cools_nothing_down() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Hang, Act::Json(200, completion("fine"))]);
    let server = two_protocols(&upstream).start();
    let whole = body("lab/open", json!({})).to_string();
    let mut stream = connect(&server);
    write!(stream, "{}{whole}", head(&server, &format!("content-length: {}\r\n", whole.len()))).unwrap();
    until("the upstream was asked", || upstream.seen().len() == 1);
    drop(stream);
    let record = server.wait_for_record(|r| r["outcome"] == "cancelled");
    assert_eq!((&record["http_status"], &record["endpoint"]), (&json!(499), &json!("open/lab-open")));
    works(&server);
}

#[test]
fn a_disk_that_is_full_stops_requests_before_they_are_sent_and_recovers_without_a_restart() {
    let upstream = Upstream::start();
    let all = chunks(&["a", "b"]);
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    upstream.on("s", vec![Act::Pause(all[..2].to_vec(), all[2..].to_vec())]);
    let server = two_protocols(&upstream).model("lab/stream", &[("open", "s", "")]).start();
    works(&server);
    upstream.hold();
    let stream = server.chat("lab/stream", json!({"stream": true}));
    let stream_id = stream.headers()["x-request-id"].to_str().unwrap().to_owned();
    until("its open entry is written", || server.journal_bytes().contains(&stream_id));

    // From here on no file may grow: every append fails, as on a full disk.
    server.limit_files(Some(1));
    let refused = server.chat("lab/open", json!({}));
    let refused_id = refused.headers()["x-request-id"].to_str().unwrap().to_owned();
    let asked = upstream.seen().len();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json::<Value>().unwrap()["error"]["code"], "storage_unavailable");
    let second = server.chat("lab/open", json!({}));
    assert_eq!((second.status().as_u16(), upstream.seen().len()), (503, asked), "nothing is sent any more");
    let ready = server.ready();
    assert_eq!(ready["ready"], false);
    assert!(ready["trouble"][0].as_str().unwrap().contains("usage journal"), "{ready}");
    upstream.go_on();
    let text = stream.text().unwrap();
    assert!(!text.contains("[DONE]") && text.contains("storage_unavailable"), "a stream in flight ends with an error: {text}");
    let metrics = server.http.get(server.base.replace("/api/v1", "/metrics")).send().unwrap().text().unwrap();
    assert!(metrics.contains("outcome=\"storage_error\""), "{metrics}");

    server.limit_files(None);
    until("it recovers by itself", || server.ready()["ready"] == true);
    works(&server);
    for id in [&stream_id, &refused_id] {
        assert_eq!(server.record_of(id)["outcome"], "storage_error", "what was held is written");
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
            response.headers()["x-request-id"].to_str().unwrap().to_owned()
        })
        .collect();
    until("/readyz says so", || server.ready()["trouble"].to_string().contains("the journal keeps them"));
    for id in &ids {
        assert_eq!(server.record_of(id)["outcome"], "ok", "the journal has it");
    }
    other.execute_batch("ROLLBACK").unwrap();
    until("/readyz is well again", || server.ready()["ready"] == true);
    let count = || -> usize { other.query_row("SELECT count(*) FROM usage", [], |row| row.get(0)).unwrap() };
    until("every record is imported, once", || count() == 21);
}

#[test]
fn a_start_waits_for_a_database_that_is_locked_for_a_moment() {
    let upstream = Upstream::start();
    let mut server = plain(&upstream);
    works(&server);
    let other = rusqlite::Connection::open(server.dir.path().join("data/anyrouter.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ids: Vec<String> =
        (0..5).map(|_| server.chat("lab/open", json!({})).headers()["x-request-id"].to_str().unwrap().to_owned()).collect();
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
    let journal = || std::fs::read_dir(server.dir.path().join("data/usage")).unwrap().flatten().map(|e| e.file_name()).max().unwrap();
    let first = journal();
    let full = std::fs::File::options().write(true).open(server.dir.path().join("data/usage").join(&first)).unwrap();
    full.set_len(400_000).unwrap();
    assert_eq!(server.chat("lab/open", json!({})).status(), 503);
    until("another segment takes the records", || server.ready()["ready"] == true && journal() != first);
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
    let fresh = reqwest::blocking::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let response =
        fresh.post(format!("{}/chat/completions", server.base)).bearer_auth(&server.key).json(&body("lab/open", json!({}))).send().unwrap();
    assert_eq!(response.status(), 200, "there is room again");
}

#[test]
fn told_to_stop_under_load_it_loses_no_record() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Events(chunks(&["a", "b", "c"]))]);
    let mut server = two_protocols(&upstream).start();
    let complete: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (http, url, key) = (server.http.clone(), format!("{}/chat/completions", server.base), server.key.clone());
            let (complete, stop) = (complete.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(response) = http.post(&url).bearer_auth(&key).json(&body("lab/open", json!({"stream": true}))).send() else {
                        return;
                    };
                    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
                    if response.text().is_ok_and(|text| text.ends_with("data: [DONE]\n\n")) {
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
        let page: Value = server.get(&format!("/logs?limit=1000{before}"), &server.management).json().unwrap();
        let rows = page["data"].as_array().unwrap().clone();
        let Some(last) = rows.last() else { break };
        before = format!("&before={}", last["request_id"].as_str().unwrap());
        for row in &rows {
            assert!(known.insert(row["request_id"].as_str().unwrap().to_owned()), "none is doubled");
        }
    }
    let complete = complete.lock().unwrap();
    assert!(complete.is_subset(&known), "{:?} was seen complete", complete.difference(&known).next());
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
                    assert_eq!(server.chat("lab/open", json!({})).status(), 200);
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
    for (upstream, key) in [(&old, "Bearer key-of-the-old"), (&new, "Bearer key-of-the-new")] {
        assert!(upstream.seen().iter().all(|s| s.headers["authorization"] == key), "{key} alone");
    }
}

impl Server {
    /// Memory that it holds, in KB.
    fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok()).unwrap()
    }

    /// Lets none of its files grow beyond so many bytes.
    fn limit_files(&self, bytes: Option<u64>) {
        self.limit("fsize", &bytes.map_or("unlimited".to_owned(), |n| n.to_string()));
    }

    fn limit_descriptors(&self, count: u64) {
        self.limit("nofile", &count.to_string());
    }

    fn limit(&self, what: &str, soft: &str) {
        // The soft limit alone, so that it can be raised again.
        let done = Command::new("prlimit").args([format!("--pid={}", self.id()), format!("--{what}={soft}:")]).status().unwrap();
        assert!(done.success());
    }

    fn ready(&self) -> Value {
        self.http.get(self.base.replace("/api/v1", "/readyz")).send().unwrap().json().unwrap()
    }

    /// What the journal holds now.
    fn journal_bytes(&self) -> String {
        let folder = std::fs::read_dir(self.dir.path().join("data/usage")).unwrap();
        let files = folder.flatten().filter_map(|e| std::fs::read(e.path()).ok());
        files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }
}
