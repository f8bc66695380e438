//! P02: one record for each accepted request, whatever becomes of the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{body, every_protocol},
    upstream::{Act, Upstream, chunks, completion},
};

/// How often the server is killed: a few times in the gate, 200 where `TEST_KILLS` says so.
fn kills() -> usize {
    std::env::var("TEST_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6)
}

#[test]
fn every_answer_that_a_client_saw_end_has_its_record_and_none_is_doubled() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Events(chunks(&["a", "b", "c"]))]);
    upstream.on("p", vec![Act::Json(200, completion("x"))]);
    let setup = every_protocol(&upstream).model("lab/plain", &[("open", "p", "")]);
    let mut server = setup.start();
    let complete: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let begun: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 0..kills() {
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let (http, url, key) = (
                    server.http.clone(),
                    format!("{}/chat/completions", server.base),
                    server.key.clone(),
                );
                let (complete, begun, stop) = (complete.clone(), begun.clone(), stop.clone());
                std::thread::spawn(move || {
                    let stream = n % 2 == 0;
                    let model = if stream { "lab/open" } else { "lab/plain" };
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(response) = http
                            .post(&url)
                            .bearer_auth(&key)
                            .json(&body(model, json!({"stream": stream})))
                            .send()
                        else {
                            continue;
                        };
                        if response.status() != 200 {
                            continue;
                        }
                        let id = response.headers()["x-request-id"]
                            .to_str()
                            .unwrap()
                            .to_owned();
                        begun.lock().unwrap().insert(id.clone());
                        if let Ok(text) = response.text()
                            && (!stream || text.ends_with("data: [DONE]\n\n"))
                        {
                            complete.lock().unwrap().insert(id);
                        }
                    }
                })
            })
            .collect();
        let goal = complete.lock().unwrap().len() + 60 + round * 7;
        let began = Instant::now();
        while complete.lock().unwrap().len() < goal {
            assert!(began.elapsed() < Duration::from_secs(30), "no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().unwrap();
        }
        server.start_again();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcomes: BTreeMap<String, String> = BTreeMap::new();
    let mut before = String::new();
    loop {
        let page: serde_json::Value = server
            .get(&format!("/logs?limit=1000{before}"), &server.management)
            .json()
            .unwrap();
        let rows = page["data"].as_array().unwrap().clone();
        let Some(last) = rows.last() else { break };
        before = format!("&before={}", last["request_id"].as_str().unwrap());
        for row in rows {
            let id = row["request_id"].as_str().unwrap().to_owned();
            outcomes.insert(id.clone(), row["outcome"].as_str().unwrap().to_owned());
            *counts.entry(id).or_default() += 1;
        }
    }
    let complete = complete.lock().unwrap();
    assert!(complete.len() >= 60 * kills());
    for id in complete.iter() {
        assert_eq!(
            outcomes.get(id).map(String::as_str),
            Some("ok"),
            "{id} was seen complete"
        );
    }
    assert!(counts.values().all(|n| *n == 1), "none is doubled");
    let known: BTreeSet<&str> = outcomes.values().map(String::as_str).collect();
    assert!(
        known
            .iter()
            .all(|o| ["ok", "cancelled", "interrupted"].contains(o)),
        "{known:?}"
    );
}

#[test]
fn a_request_that_was_open_when_the_process_died_is_interrupted() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![Act::Pause(chunks(&["a"])[..2].to_vec(), Vec::new())],
    );
    let mut server = every_protocol(&upstream).start();
    let mut response = server.chat("lab/open", json!({"stream": true}));
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    response.read_exact(&mut [0; 32]).unwrap();
    // Its open entry is due after 10 ms: it is there once the journal's file has grown.
    let began = Instant::now();
    let size = || -> u64 {
        std::fs::read_dir(server.dir.path().join("data/usage"))
            .unwrap()
            .flatten()
            .map(|e| e.metadata().unwrap().len())
            .sum()
    };
    while size() == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "no open entry");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(50));
    server.kill();
    server.start_again();
    let record = server.record_of(&id);
    assert_eq!(
        (
            &record["outcome"],
            &record["model_requested"],
            &record["endpoint"]
        ),
        (
            &json!("interrupted"),
            &json!("lab/open"),
            &json!("open/lab-open")
        )
    );
    server.kill();
    server.start_again();
    assert_eq!(
        server
            .logs()
            .iter()
            .filter(|r| r["request_id"] == id.as_str())
            .count(),
        1,
        "replay doubles nothing"
    );
}

#[test]
fn told_to_stop_it_lets_streams_finish_and_loses_no_record() {
    let upstream = Upstream::start();
    let all = chunks(&["a", "b"]);
    upstream.on("o", vec![Act::Pause(all[..2].to_vec(), all[2..].to_vec())]);
    let mut server = every_protocol(&upstream).start();
    let response = server.chat("lab/open", json!({"stream": true}));
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    server.signal("TERM");
    upstream.go_on();
    assert!(
        response.text().unwrap().ends_with("data: [DONE]\n\n"),
        "the stream finishes"
    );
    assert!(server.wait().success());
    server.start_again();
    assert_eq!(server.record_of(&id)["outcome"], "ok");
}

#[test]
fn each_durability_keeps_its_records() {
    for durability in ["process_crash", "power_loss", "async"] {
        let upstream = Upstream::start();
        upstream.on("p", vec![Act::Json(200, completion("x"))]);
        upstream.on("o", vec![Act::Events(chunks(&["a"]))]);
        let setup = every_protocol(&upstream)
            .model("lab/plain", &[("open", "p", "")])
            .more(&format!("[usage]\ndurability = \"{durability}\""));
        let mut server = setup.start();
        for _ in 0..20 {
            assert_eq!(server.chat("lab/plain", json!({})).status(), 200);
            assert!(
                server
                    .chat("lab/open", json!({"stream": true}))
                    .text()
                    .unwrap()
                    .ends_with("data: [DONE]\n\n")
            );
        }
        assert_eq!(
            server.logs().len(),
            40,
            "{durability}: reads look in the journal and in the database"
        );
        if durability == "async" {
            server.signal("TERM");
            server.wait();
        } else {
            server.kill();
        }
        server.start_again();
        assert_eq!(server.logs().len(), 40, "{durability}");
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let output = crate::harness::command(&[])
        .args([
            "--config",
            "anyrouter.toml",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            "data",
        ])
        .current_dir(server.dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("another server uses this data folder")
    );
}
