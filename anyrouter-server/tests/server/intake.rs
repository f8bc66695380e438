//! The edge of the server: HTTP that is none, hosts, keys in every header, who may see metrics, and
//! how much memory one key can take.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    faults::{connect, until, works},
    harness::{Server, body, every_protocol},
    upstream::{Act, Upstream, chunks, completion},
};

fn fine(upstream: &Upstream) -> Server {
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    every_protocol(upstream).start()
}

/// What the server says to these bytes, until it closes or waits.
fn said(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut out = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n) = stream.read(&mut piece) {
        out.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&out);
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|t| t.split("\r\n").next()?.parse::<usize>().ok());
        if n == 0
            || length.is_some_and(|l| {
                text.split_once("\r\n\r\n")
                    .is_some_and(|(_, body)| body.len() >= l)
            })
        {
            break;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn http_that_is_none_gets_the_contracts_error_and_a_request_id() {
    let upstream = Upstream::start();
    let server = fine(&upstream);
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    let large = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(400_000)
    );
    let many: String = (0..200).map(|i| format!("x{i}: y\r\n")).collect();
    for (bytes, status, code) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400, "invalid_http"),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".to_owned(), 400, "invalid_http"),
        ("GET / HTTP/1.1\nhost: x\n\n".to_owned(), 400, "invalid_http"),
        ("GET / HTTP/1.1\r\nhost: x\nx: y\r\n\r\n".to_owned(), 400, "invalid_http"),
        ("GET / HTTP/1.1\r\nhost: x\r\nx: y\n\r\n".to_owned(), 400, "invalid_http"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400, "invalid_http"),
        ("POST / HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n".to_owned(), 400, "invalid_http"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd".to_owned(), 400, "invalid_http"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "invalid_host"),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_owned(), 400, "invalid_host"),
        (long, 414, "address_too_long"),
        (large, 431, "header_too_large"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431, "header_too_large"),
    ] {
        let text = said(&server, bytes.as_bytes());
        let shown = &bytes[..bytes.len().min(60)];
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {text}");
        assert!(text.contains("x-request-id: req_") && text.contains("content-type: application/json"), "{shown:?}: {text}");
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["http_status"]), (&json!(code), &json!(status)), "{shown:?}: {text}");
    }
    works(&server);
}

#[test]
fn heads_in_pieces_and_requests_behind_each_other_with_line_ends_in_their_bodies_are_good() {
    let upstream = Upstream::start();
    let server = fine(&upstream);
    let pretty = serde_json::to_string_pretty(&body("lab/open", json!({}))).unwrap();
    let request = format!(
        "POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{pretty}",
        server.key,
        pretty.len()
    );
    let chunked = format!(
        "POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{pretty}\r\n0\r\n\r\n",
        server.key,
        pretty.len()
    );
    let answers = |stream: &mut TcpStream, count: usize| {
        let (mut out, mut piece) = (Vec::new(), [0; 4096]);
        while out
            .windows(12)
            .filter(|w| w.starts_with(b"HTTP/1.1 200"))
            .count()
            < count
            || !out.ends_with(b"}}")
        {
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&out));
            out.extend_from_slice(&piece[..n]);
        }
    };
    // One after the other, cut at every place where a head could be misread.
    let end = request.find("\r\n\r\n").unwrap() + 4;
    let mut stream = connect(&server);
    for cut in [
        1,
        17,
        end - 3,
        end - 2,
        end - 1,
        end,
        end + 1,
        end + 2,
        request.len() - 1,
    ] {
        stream.write_all(&request.as_bytes()[..cut]).unwrap();
        stream.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(&request.as_bytes()[cut..]).unwrap();
        answers(&mut stream, 1);
    }
    // All at once, and chunked ones between.
    let mut stream = connect(&server);
    stream
        .write_all([request.as_str(), &chunked, &request].concat().as_bytes())
        .unwrap();
    answers(&mut stream, 3);
    // No head behind another passes unseen.
    for behind in ["x-a: b\nx-b: c\r\n", ""] {
        let bare = request.replacen("content-length", &format!("{behind}content-length"), 1);
        let bare = if behind.is_empty() {
            bare.replacen("host: x\r\n", "host: x\n", 1)
        } else {
            bare
        };
        for before in [&request, &chunked] {
            let mut stream = connect(&server);
            stream
                .write_all([before, bare.as_str()].concat().as_bytes())
                .unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            let statuses: Vec<&str> = said
                .match_indices("HTTP/1.1 ")
                .filter_map(|(at, _)| said.get(at + 9..at + 12))
                .collect();
            assert_eq!(statuses, ["200", "400"], "{said}");
        }
    }
    stream.write_all(chunked.as_bytes()).unwrap();
    answers(&mut stream, 1);
    stream.write_all(request.as_bytes()).unwrap();
    answers(&mut stream, 1);
}

#[test]
fn a_key_is_taken_from_every_header_that_clients_use_and_a_double_slash_is_one() {
    let upstream = Upstream::start();
    let server = fine(&upstream);
    let root = server.base.trim_end_matches("/api/v1").to_owned();
    let ask = |path: &str, header: &str, value: &str| {
        server
            .http
            .post(format!("{root}{path}"))
            .header(header, value)
            .json(&body("lab/open", json!({})))
            .send()
            .unwrap()
            .status()
            .as_u16()
    };
    for (header, value) in [
        ("authorization", format!("Bearer {}", server.key)),
        ("authorization", format!("bearer  {}", server.key)),
        ("authorization", server.key.clone()),
        ("api-key", server.key.clone()),
        ("x-api-key", server.key.clone()),
    ] {
        assert_eq!(
            ask("/api/v1/chat/completions", header, &value),
            200,
            "{header}"
        );
    }
    assert_eq!(
        ask("/api/v1/chat/completions", "authorization", "Basic abc"),
        401
    );
    for path in [
        "//api/v1/chat/completions",
        "/api/v1//chat/completions",
        "/v1///chat//completions",
    ] {
        assert_eq!(ask(path, "api-key", &server.key), 200, "{path}");
    }
    assert_eq!(
        server
            .http
            .head(format!("{root}/api"))
            .send()
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        server
            .http
            .get(format!("{root}//api//v1/models?q=open"))
            .send()
            .unwrap()
            .status(),
        200
    );
    for path in ["/", "/docs"] {
        let page = server.http.get(format!("{root}{path}")).send().unwrap();
        assert!(
            page.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(
            page.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let text = page.text().unwrap();
        assert!(
            !text.contains("<script") && !text.contains("src=\"http"),
            "{text}"
        );
    }
}

#[test]
fn metrics_are_for_this_machine_alone_and_no_page_may_read_them() {
    let upstream = Upstream::start();
    let server = fine(&upstream);
    works(&server);
    let url = server.base.replace("/api/v1", "/metrics");
    let mine = server.http.get(&url).send().unwrap();
    assert!(mine.headers().get("access-control-allow-origin").is_none());
    assert!(
        mine.text()
            .unwrap()
            .contains("anyrouter_requests_total{outcome=\"ok\",provider=\"open\"} 1")
    );
    for (header, value) in [
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("host", "attacker.example"),
        ("host", "metrics.attacker.example:8787"),
    ] {
        assert_eq!(
            server
                .http
                .get(&url)
                .header(header, value)
                .send()
                .unwrap()
                .status(),
            404,
            "{header}: {value}"
        );
    }
    assert_eq!(
        server
            .http
            .get(&url)
            .header("host", "localhost")
            .send()
            .unwrap()
            .status(),
        200
    );
}

#[test]
fn metrics_have_a_listener_and_a_token_of_their_own_where_the_operator_says_so() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let alone = free();
    let server = every_protocol(&upstream)
        .more(&format!("[metrics]\nlisten = \"{alone}\""))
        .start();
    let status = |url: &str, token: &str| {
        let request = server.http.get(url);
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        request.send().unwrap().status().as_u16()
    };
    let (main, own) = (
        server.base.replace("/api/v1", "/metrics"),
        format!("http://{alone}/metrics"),
    );
    assert_eq!((status(&main, ""), status(&own, "")), (404, 200));
    assert_eq!(
        status(&format!("http://{alone}/api/v1/models"), ""),
        404,
        "there is nothing else"
    );

    let alone = free();
    let setup = every_protocol(&upstream).more(&format!(
        "[metrics]\nlisten = \"{alone}\"\ntoken = {{ env = \"METRICS_TOKEN\" }}"
    ));
    let mut setup = setup;
    setup
        .env
        .push(("METRICS_TOKEN".to_owned(), "seesame".to_owned()));
    let server = setup.start();
    let (main, own) = (
        server.base.replace("/api/v1", "/metrics"),
        format!("http://{alone}/metrics"),
    );
    for url in [&main, &own] {
        assert_eq!(
            [
                status(url, ""),
                status(url, "wrong"),
                status(url, "seesame")
            ],
            [404, 404, 200],
            "{url}"
        );
    }
}

#[test]
fn one_key_does_not_exhaust_the_memory_and_another_key_is_served_meanwhile() {
    let budget_mb: u64 = 64;
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("fine"))]);
    let server = every_protocol(&upstream)
        .more(&format!(
            "[limits]\nmemory = {}\n[deadlines]\nmemory = 0.5\nbody = 20",
            budget_mb << 20
        ))
        .model("demo/echo", &[("echo", "echo", "")])
        .more("")
        .start_with_demo();
    works(&server);
    let before = server.memory_kb();
    let other: Value = server
        .post("/keys", &server.management, &json!({"name": "another"}))
        .json()
        .unwrap();
    let other = other["key"].as_str().unwrap().to_owned();

    // Bodies of 30 MB that are held open: what does not fit is told so, with a time.
    let head = |length: usize| {
        format!(
            "POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            server.key
        )
    };
    let piece = vec![b' '; 4 << 20];
    let held: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connect(&server);
            stream
                .set_write_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            stream.write_all(head(30 << 20).as_bytes()).unwrap();
            let _ = stream.write_all(&piece);
            stream
        })
        .collect();
    let refused = server.chat("lab/open", json!({"pad": "x".repeat(1 << 20)}));
    assert_eq!(refused.status(), 503, "its own key has no room left");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(
        refused.json::<Value>().unwrap()["error"]["code"],
        "overloaded"
    );
    let mut answered = 0;
    for mut stream in held {
        let mut first = [0; 12];
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        if stream.read(&mut first).is_ok_and(|n| n == 12) && &first == b"HTTP/1.1 503" {
            answered += 1;
        }
    }
    assert!(
        answered >= 15,
        "who waits for memory does not wait for ever: {answered}"
    );
    assert!(
        server.memory_kb() < before + 2 * 1024 * budget_mb,
        "{} kB, before {before}",
        server.memory_kb()
    );

    // Streams of large prompts that nobody reads.
    let prompt = "word ".repeat(1 << 19);
    let request = json!({"model": "demo/echo", "stream": true, "messages": [{"role": "user", "content": prompt}]}).to_string();
    let unread: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = connect(&server);
            stream
                .set_write_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let _ = stream.write_all(head(request.len()).as_bytes());
            let _ = stream.write_all(request.as_bytes());
            stream
        })
        .collect();
    let began = std::time::Instant::now();
    let served = server.post("/chat/completions", &other, &body("lab/open", json!({})));
    assert_eq!(
        served.status(),
        200,
        "another key is served, after {:?}",
        began.elapsed()
    );
    let peak = server.memory_kb();
    assert!(
        peak < before + 4 * 1024 * budget_mb,
        "{peak} kB with {} streams that nobody reads, before {before}",
        unread.len()
    );
    drop(unread);
    until("memory comes back", || {
        server.memory_kb() < before + 40 * 1024
    });
    works(&server);
    let metrics = || {
        server
            .http
            .get(server.base.replace("/api/v1", "/metrics"))
            .send()
            .unwrap()
            .text()
            .unwrap()
    };
    until("nothing is held", || {
        metrics().contains("anyrouter_body_bytes 0\n")
    });
}

#[test]
fn a_key_and_an_account_have_so_many_requests_under_way_and_no_more() {
    let upstream = Upstream::start();
    let all = chunks(&["a", "b"]);
    upstream.on("o", vec![Act::Pause(all[..2].to_vec(), all[2..].to_vec())]);
    let server = every_protocol(&upstream)
        .more("[limits]\nrequests_per_key = 2\nrequests_per_account = 3")
        .start();
    let other: Value = server
        .post("/keys", &server.management, &json!({"name": "another"}))
        .json()
        .unwrap();
    let other = other["key"].as_str().unwrap().to_owned();
    let stream = |key: &str| {
        server.post(
            "/chat/completions",
            key,
            &body("lab/open", json!({"stream": true})),
        )
    };
    let open = [stream(&server.key), stream(&server.key)];
    let third = stream(&server.key);
    assert_eq!(
        (
            third.status().as_u16(),
            third.headers().contains_key("retry-after")
        ),
        (429, true)
    );
    assert_eq!(server.record(&third)["outcome"], "rate_limited");
    let others = stream(&other);
    assert_eq!(others.status(), 200);
    assert_eq!(stream(&other).status(), 429, "the account has three");
    upstream.go_on();
    for stream in open {
        assert!(stream.text().unwrap().contains("[DONE]"));
    }
    until("there is room again", || {
        stream(&server.key).status() == 200
    });
}
