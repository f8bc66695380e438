//! What goes wrong with bodies, upstreams and clients. Each fault ends legally for the client, with
//! one record, no body and no secret; and the next request works.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{Server, body, data, every_protocol},
    upstream::{Act, Upstream, chunks, completion},
};

/// A connection to the server that is written to byte by byte.
pub(crate) fn connect(server: &Server) -> TcpStream {
    let address = server
        .base
        .trim_start_matches("http://")
        .trim_end_matches("/api/v1");
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn head(server: &Server, more: &str) -> String {
    format!(
        "POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n",
        server.key
    )
}

/// Everything that the server says until it closes.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn plain(upstream: &Upstream) -> Server {
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    every_protocol(upstream)
        .more("[deadlines]\nbody = 0.3\nfirst_byte = 2\nwhole = 4\n[limits]\nbody = 100000\nevent = 20000\nanswer = 200000")
        .start()
}

pub(crate) fn works(server: &Server) {
    assert_eq!(
        server.chat("lab/open", json!({})).status(),
        200,
        "the next request works"
    );
}

#[test]
fn bodies_that_break_off_come_slowly_or_lie_about_their_length() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let whole = body("lab/open", json!({})).to_string();

    // It says that more will come, and does not send it.
    let mut slow = connect(&server);
    write!(
        slow,
        "{}{}",
        head(
            &server,
            &format!("content-length: {}\r\n", whole.len() + 50)
        ),
        whole
    )
    .unwrap();
    let answer = rest(slow);
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("\"request_timeout\""),
        "{answer}"
    );
    assert_eq!(
        server.wait_for_record(|r| r["http_status"] == 408)["outcome"],
        "invalid"
    );

    // It breaks off within the body: nobody is there to be told, and there is a record all the
    // same.
    let before = server.logs().len();
    let mut broken = connect(&server);
    write!(
        broken,
        "{}{}",
        head(&server, "content-length: 5000\r\n"),
        whole
    )
    .unwrap();
    drop(broken);
    until("a body that broke off has its record", || {
        server.logs().len() == before + 1
    });

    for (more, text, status) in [
        ("content-length: 200000\r\n".to_owned(), String::new(), 413),
        (
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("{:x}\r\n{}\r\n0\r\n\r\n", 150_000, " ".repeat(150_000)),
            413,
        ),
        (
            format!(
                "content-length: {}\r\ncontent-encoding: gzip\r\n",
                whole.len()
            ),
            whole.clone(),
            415,
        ),
        (
            "transfer-encoding: chunked\r\n".to_owned(),
            "zz\r\n{}\r\n0\r\n\r\n".to_owned(),
            400,
        ),
    ] {
        let mut stream = connect(&server);
        write!(
            stream,
            "{}",
            head(&server, &(more.clone() + "connection: close\r\n"))
        )
        .unwrap();
        let _ = stream.write_all(text.as_bytes());
        let answer = rest(stream);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{more}: {answer}"
        );
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
    let one = |more: &str| {
        format!(
            "{}{whole}",
            head(
                &server,
                &format!("content-length: {}\r\n{more}", whole.len())
            )
        )
    };
    let mut stream = connect(&server);
    write!(
        stream,
        "{}{}{}",
        one(""),
        one(""),
        one("connection: close\r\n")
    )
    .unwrap();
    let answer = rest(stream);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert_eq!(server.logs().len(), 3);
}

#[test]
fn a_body_that_was_answered_unread_spoils_no_other_request() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let whole = body("lab/open", json!({})).to_string();
    let next = format!(
        "{}{whole}",
        head(
            &server,
            &format!("content-length: {}\r\nconnection: close\r\n", whole.len())
        )
    );

    // It is here: it is passed over, and the connection is used again.
    let mut stream = connect(&server);
    write!(
        stream,
        "{}{}{next}",
        head(&server, "content-length: 150000\r\n"),
        " ".repeat(150_000)
    )
    .unwrap();
    let answer = rest(stream);
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("HTTP/1.1 200"),
        "{answer}"
    );

    // It is not: the client is told that the connection ends.
    for refused in [
        head(&server, "content-length: 5000000\r\n"),
        head(&server, "content-length: 90000\r\n").replace("sk-ar", "sk-no"),
    ] {
        let mut stream = connect(&server);
        write!(stream, "{refused}").unwrap();
        let answer = rest(stream);
        assert!(
            answer.starts_with("HTTP/1.1 4") && answer.contains("connection: close\r\n"),
            "{answer}"
        );
    }

    // Whoever is asked; and nobody is asked for a body that is refused already.
    let explain = "POST /api/v1/route/explain HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\ncontent-length: 500\r\n\r\nab".to_owned();
    let expecting =
        head(&server, "content-length: 500\r\nexpect: 100-continue\r\n").replace("sk-ar", "sk-no");
    for refused in [explain, expecting] {
        let mut stream = connect(&server);
        write!(stream, "{refused}").unwrap();
        let answer = rest(stream);
        assert!(
            answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close\r\n"),
            "{answer}"
        );
    }
}

#[test]
fn heads_that_inject_or_flood_are_refused_and_reach_nobody() {
    let upstream = Upstream::start();
    let server = plain(&upstream);
    let flood: String = (0..3000)
        .map(|n| format!("x-flood-{n}: {}\r\n", "y".repeat(60)))
        .collect();
    for (more, what) in [
        (
            "x-anyrouter-provider: open\r\n\tfolded: yes\r\ncontent-length: 2\r\n".to_owned(),
            "a folded line",
        ),
        (
            "content-length: 2\r\ncontent-length: 7\r\n".to_owned(),
            "two lengths",
        ),
        (
            "content-length: 2\r\ntransfer-encoding: chunked\r\n".to_owned(),
            "a length and chunks",
        ),
        (
            "x-a\u{0}b: c\r\ncontent-length: 2\r\n".to_owned(),
            "a zero byte in a name",
        ),
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
        .json(&body(
            "lab/open",
            json!({"session_id": "a\r\nset-cookie: x"}),
        ))
        .send()
        .unwrap();
    assert_eq!(
        (
            traced.status().as_u16(),
            &traced.headers()["x-anyrouter-trace-id"]
        ),
        (200, &"t-1".parse().unwrap())
    );
    assert!(!traced.headers().contains_key("set-cookie"));
    let sent = &upstream.seen()[0].headers;
    assert!(
        !sent.contains_key("x-session-id") && !sent.contains_key("x-anyrouter-trace-id"),
        "the caller's headers stay here: {sent:?}"
    );
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
        (
            "endless-line",
            true,
            http(&format!("{event}data: {}", "x".repeat(40_000))),
            "upstream_error",
        ),
        (
            "endless-line-first",
            true,
            http(&format!("data: {}", "x".repeat(40_000))),
            "upstream_error",
        ),
        (
            "no-end",
            true,
            Act::Pause(vec![event.clone()], Vec::new()),
            "upstream_timeout",
        ),
        ("too-much", false, Act::Json(200, large), "upstream_error"),
        (
            "reset",
            true,
            Act::PauseBreak(vec![event], Vec::new()),
            "upstream_error",
        ),
        (
            "two-answers",
            false,
            Act::Json(200, json!([completion("a"), completion("b")])),
            "upstream_error",
        ),
        (
            "empty",
            false,
            Act::With(
                200,
                vec![("content-type", "application/json")],
                String::new(),
            ),
            "upstream_error",
        ),
        (
            "no-content",
            false,
            Act::With(204, vec![], String::new()),
            "upstream_error",
        ),
    ];
    let mut setup =
        every_protocol(&upstream).more("[deadlines]\nfirst_byte = 2\nidle = 1\nwhole = 3\n[limits]\nevent = 20000\nanswer = 200000");
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
        let (status, record) = (
            response.status().as_u16(),
            response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
        let text = response.text().unwrap();
        let error = if status == 200 {
            data(&text).last().unwrap()["error"].clone()
        } else {
            serde_json::from_str::<Value>(&text).unwrap()["error"].clone()
        };
        assert_eq!(error["code"], *code, "{name}: {text}");
        assert!(
            !text.contains("[DONE]") && !text.contains("xxxx"),
            "{name}: {text}"
        );
        assert_eq!(
            server.record_of(&record)["outcome"],
            "upstream_error",
            "{name}"
        );
    }
    works(&server);
}

#[test]
fn a_stream_that_trickles_byte_by_byte_arrives_whole() {
    let upstream = Upstream::start();
    let text: String = chunks(&["a", "b", "é"]).concat();
    // Each byte of the stream is a chunk of HTTP by itself.
    let bytes: Vec<u8> = text
        .bytes()
        .flat_map(|b| [b"1\r\n".as_slice(), &[b], b"\r\n"].concat())
        .collect();
    let http = [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .as_slice(),
        &bytes,
        b"0\r\n\r\n",
    ]
    .concat();
    upstream.on("o", vec![Act::Raw(http)]);
    let server = every_protocol(&upstream).start();
    let answer = server
        .chat("lab/open", json!({"stream": true}))
        .text()
        .unwrap();
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
    let server = every_protocol(&upstream).start();
    for usage in cases {
        let response = server.chat("lab/open", json!({}));
        assert_eq!(server.record(&response)["estimated"], true, "{usage}");
        let answer: Value = response.json().unwrap();
        assert!(
            answer["usage"]["total_tokens"]
                .as_u64()
                .is_some_and(|n| n < 100),
            "{usage}: {answer}"
        );
    }
}

#[test]
fn a_client_that_reads_nothing_holds_the_upstream_back_and_memory_stays() {
    let upstream = Upstream::start();
    let event = format!(
        "data: {}\n\n",
        json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(4000)}, "finish_reason": null}]})
    );
    upstream.on("o", vec![Act::Events(vec![event; 20_000])]);
    upstream.on("p", vec![Act::Json(200, completion("fine"))]);
    let server = every_protocol(&upstream)
        .model("lab/plain", &[("open", "p", "")])
        .start();
    assert_eq!(server.chat("lab/plain", json!({})).status(), 200);
    let before = server.memory_kb();
    let whole = body("lab/open", json!({"stream": true})).to_string();
    let readers: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&server);
            write!(
                stream,
                "{}{whole}",
                head(&server, &format!("content-length: {}\r\n", whole.len()))
            )
            .unwrap();
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
    assert!(
        server.memory_kb() < before + 16_000,
        "{} KB before, {} with four readers that do not read",
        before,
        server.memory_kb()
    );
    drop(readers);
    until("each left its record", || {
        server
            .logs()
            .iter()
            .filter(|r| r["outcome"] == "cancelled")
            .count()
            == 4
    });
    assert_eq!(
        server.chat("lab/plain", json!({})).status(),
        200,
        "the next request works"
    );
}

#[test]
fn a_client_that_is_gone_before_the_answer_leaves_a_record_and_cools_nothing_down() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Hang, Act::Json(200, completion("fine"))]);
    let server = every_protocol(&upstream).start();
    let whole = body("lab/open", json!({})).to_string();
    let mut stream = connect(&server);
    write!(
        stream,
        "{}{whole}",
        head(&server, &format!("content-length: {}\r\n", whole.len()))
    )
    .unwrap();
    until("the upstream was asked", || upstream.seen().len() == 1);
    drop(stream);
    let record = server.wait_for_record(|r| r["outcome"] == "cancelled");
    assert_eq!(
        (&record["http_status"], &record["endpoint"]),
        (&json!(499), &json!("open/lab-open"))
    );
    works(&server);
}

impl Server {
    /// Memory that it holds, in KB.
    pub(crate) fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        status
            .lines()
            .find_map(|l| {
                l.strip_prefix("VmRSS:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap()
    }
}
