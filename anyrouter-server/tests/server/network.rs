//! What goes over the wire below HTTP: TLS versions (P30), proxies that are believed, connections
//! that are opened (P06).

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::{
    faults::until,
    harness::{Server, Setup, body, every_protocol},
    upstream::{Act, Upstream, completion},
};

fn openssl(dir: &Path, args: &[&str]) -> std::process::Output {
    Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is installed")
}

/// Makes a certificate for this machine that is good for two days, and its key.
fn self_signed(dir: &Path) -> (PathBuf, PathBuf) {
    let new = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-subj",
        // A name that no authority of this machine has.
        "/CN=nobody that is trusted",
    ];
    let names = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    let made = openssl(dir, &[&new[..], &names[..]].concat());
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (dir.join("cert.pem"), dir.join("key.pem"))
}

#[test]
fn a_renewed_certificate_is_served_from_sighup_on_and_one_that_ends_soon_is_told() {
    let upstream = Upstream::start();
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = self_signed(dir.path());
    let server = every_protocol(&upstream)
        .more(&format!("[tls]\ncert = {cert:?}\nkey = {key:?}"))
        .start();
    let address = server
        .base
        .trim_start_matches("https://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let served = || {
        let shook = openssl(dir.path(), &["s_client", "-connect", &address]);
        let text = String::from_utf8_lossy(&shook.stdout).into_owned();
        let pem = text
            .split("-----BEGIN CERTIFICATE-----")
            .nth(1)
            .and_then(|t| t.split("-----END").next())
            .unwrap_or_default()
            .trim()
            .to_owned();
        assert!(!pem.is_empty(), "{text}");
        pem
    };
    let said = fs::read_to_string(server.dir.path().join("err")).unwrap()
        + &fs::read_to_string(server.dir.path().join("out")).unwrap();
    assert!(
        said.contains("tls.cert") && said.contains("expires on"),
        "a certificate that ends in two days is told: {said}"
    );
    let before = served();
    self_signed(dir.path());
    assert_eq!(served(), before, "the files are read when somebody says so");
    server.signal("HUP");
    let began = std::time::Instant::now();
    while served() == before {
        assert!(
            began.elapsed().as_secs() < 20,
            "the new certificate is not served"
        );
    }
}

#[test]
fn the_listener_takes_tls_1_2_and_1_3_and_nothing_less() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = self_signed(dir.path());
    let server = every_protocol(&upstream)
        .more(&format!("[tls]\ncert = {cert:?}\nkey = {key:?}"))
        .start();
    assert!(server.base.starts_with("https://"));
    let address = server
        .base
        .trim_start_matches("https://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    for (version, works) in [
        ("-tls1_3", true),
        ("-tls1_2", true),
        ("-tls1_1", false),
        ("-tls1", false),
    ] {
        let shook = openssl(
            dir.path(),
            &[
                "s_client",
                "-connect",
                &address,
                version,
                "-cipher",
                "ALL:@SECLEVEL=0",
            ],
        );
        let text = String::from_utf8_lossy(&shook.stdout).into_owned();
        assert_eq!(
            text.contains("Cipher is ") && !text.contains("Cipher is (NONE)"),
            works,
            "{version}: {text}"
        );
    }
    let root = reqwest::Certificate::from_pem(&fs::read(&cert).unwrap()).unwrap();
    let client = reqwest::blocking::Client::builder()
        .add_root_certificate(root)
        .build()
        .unwrap();
    let response = client
        .post(format!("{}/chat/completions", server.base))
        .bearer_auth(&server.key)
        .json(&body("lab/open", json!({})))
        .send()
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[test]
fn an_upstream_with_a_certificate_that_nobody_vouches_for_is_not_spoken_to() {
    let dir = tempfile::tempdir().unwrap();
    // For this machine and for today: nothing but its issuer is wrong.
    self_signed(dir.path());
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut peer = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            &port.to_string(),
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-www",
        ])
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let upstream = Upstream::start();
    let mut setup = Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .model("lab/a", &[("p", "o", "")]);
    setup.toml = setup.toml.replace(
        &format!("http://{}", upstream.address),
        &format!("https://127.0.0.1:{port}"),
    );
    let server = setup.start();
    let response = server.chat("lab/a", json!({}));
    assert_eq!(response.status(), 502);
    assert_eq!(
        response.json::<Value>().unwrap()["error"]["metadata"]["failure"],
        "connection_failed"
    );
    until("operators are told why", || {
        server.err().contains(
            " warn provider `p` cannot be reached: its certificate is of an unknown issuer\n",
        )
    });
    peer.kill().unwrap();
    peer.wait().unwrap();
}

/// What stands between two servers and sees how each connection begins.
struct Tap {
    base: String,
    begun: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    fn start(before: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_, rest) = before.base.split_once("://").unwrap();
        let (to, path) = rest.split_once('/').unwrap();
        let to = to.to_owned();
        let base = format!("http://{}/{path}", listener.local_addr().unwrap());
        let begun = Arc::new(Mutex::new(Vec::new()));
        let seen = begun.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&to) else {
                    continue;
                };
                let mut first = vec![0; 64];
                let length = near.peek(&mut first).unwrap_or(0);
                first.truncate(length);
                seen.lock().unwrap().push(first);
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { base, begun }
    }
}

#[test]
fn a_provider_may_be_spoken_to_in_http_2() {
    // This server's own listener speaks it: one stands behind the other.
    let provider = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let tap = Tap::start(&provider);
    let toml = format!(
        "[catalog]\nbuiltin = false\n[[provider]]\nslug = \"far\"\nprotocol = \"openai_chat\"\nbase_url = \"{}\"\nhttp2 = true\ntier = \"paid\"\napi_key = {{ env = \"FAR_KEY\" }}\n\
         terms = {{ trains_on_paid = false, retention_days = 0, zdr = true }}\n[[model]]\nid = \"lab/far\"\n[[model.endpoint]]\nprovider = \"far\"\nupstream_model = \"demo/echo\"\nprice = {{ prompt = \"1\", completion = \"1\" }}",
        tap.base
    );
    let server = Server::start_in(
        tempfile::tempdir().unwrap(),
        &toml,
        &[("FAR_KEY".to_owned(), provider.key.clone())],
    );
    std::thread::scope(|scope| {
        for n in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let answer: Value = server
                    .chat(
                        "lab/far",
                        json!({"messages": [{"role": "user", "content": format!("word {n}")}]}),
                    )
                    .json()
                    .unwrap();
                assert!(
                    answer["choices"][0]["message"]["content"]
                        .as_str()
                        .is_some_and(|c| c.contains(&format!("word {n}"))),
                    "{answer}"
                );
            });
        }
    });
    let streamed = server
        .chat("lab/far", json!({"stream": true}))
        .text()
        .unwrap();
    assert!(streamed.trim_end().ends_with("[DONE]"), "{streamed}");
    assert_eq!((server.logs().len(), provider.logs().len()), (9, 9));
    let begun = tap.begun.lock().unwrap().clone();
    assert!(
        !begun.is_empty() && begun.iter().all(|b| b.starts_with(b"PRI * HTTP/2.0\r\n")),
        "RFC 9113, 3.4: {begun:?}"
    );

    // One that reads slowly holds up nobody: what it has not read is within bounds of its own.
    let long =
        json!({"stream": true, "messages": [{"role": "user", "content": "word ".repeat(20_000)}]});
    let slow: Vec<_> = (0..3)
        .map(|_| server.chat("lab/far", long.clone()))
        .collect();
    for _ in 0..3 {
        assert_eq!(server.chat("lab/far", json!({})).status(), 200);
    }
    drop(slow);
    // A stream that nobody reads any more is ended before the provider is: it must not count as the
    // provider's failure.
    until("the slow ones are recorded", || server.logs().len() == 15);

    // It goes away and comes back: a request on a connection that has ended is sent on a new one,
    // or fails as any other.
    drop(provider);
    let gone = server.chat("lab/far", json!({}));
    assert_eq!(gone.status(), 502, "{:?}", gone.text());
}

#[test]
fn a_redirect_is_not_followed() {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let location = format!("http://{}/v1/chat/completions", elsewhere.address);
    upstream.on(
        "o",
        vec![Act::Raw(
            format!("HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
                .into_bytes(),
        )],
    );
    let server = every_protocol(&upstream).start();
    assert_eq!(server.chat("lab/open", json!({})).status(), 502);
    assert!(
        elsewhere.seen().is_empty(),
        "P06: no connection but to configured upstreams"
    );
}

#[test]
fn the_callers_address_is_the_peers_unless_a_trusted_proxy_says_otherwise() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let forwarded = |server: &Server| -> Value {
        let response = server
            .request("POST", "/chat/completions")
            .bearer_auth(&server.key)
            .header("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.1.1")
            .json(&body("lab/open", json!({})))
            .send()
            .unwrap();
        server.record(&response)["ip"].clone()
    };
    assert_eq!(forwarded(&every_protocol(&upstream).start()), "127.0.0.1");
    let behind = every_protocol(&upstream)
        .more("[limits]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .start();
    assert_eq!(forwarded(&behind), "198.51.100.7");
    for (header, expected) in [
        ("203.0.113.9, 198.51.100.7:4711", "198.51.100.7"),
        ("203.0.113.9, [2001:db8::5]:99", "2001:db8::5"),
        ("203.0.113.9, unknown", "127.0.0.1"),
    ] {
        let response = behind
            .request("POST", "/chat/completions")
            .bearer_auth(&behind.key)
            .header("x-forwarded-for", header)
            .json(&body("lab/open", json!({})))
            .send()
            .unwrap();
        assert_eq!(behind.record(&response)["ip"], expected, "{header}");
    }
}

#[test]
fn connections_to_upstreams_are_kept_and_replaced_when_they_close() {
    let upstream = Upstream::start();
    upstream.on(
        "o",
        vec![
            Act::Json(200, completion("a")),
            Act::Json(200, completion("b")),
            Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_vec()),
            Act::Json(200, completion("d")),
        ],
    );
    let server = every_protocol(&upstream).start();
    assert_eq!(server.chat("lab/open", json!({})).status(), 200);
    assert_eq!(server.chat("lab/open", json!({})).status(), 200);
    assert_eq!(upstream.connections(), 1, "it is used again");
    assert_eq!(
        server.chat("lab/open", json!({})).status(),
        502,
        "an empty object is no answer"
    );
    let response = server.wait_ready_chat("lab/open");
    let _ = response.text();
    assert_eq!((upstream.seen().len(), upstream.connections()), (4, 2));
}

#[test]
fn an_answer_does_not_wait_for_what_follows_its_request() {
    use std::io::{Read as _, Write as _};
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let address = server
        .base
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    let chat = body("lab/open", json!({})).to_string();
    let post = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{chat}",
        server.key,
        chat.len()
    );
    for request in [
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /heal".to_owned(),
        format!("{post}\r\n"),
        "GARBAGE\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream
            .read_exact(&mut head)
            .unwrap_or_else(|e| panic!("{e}: {}", &request[..20.min(request.len())]));
        assert!(head.starts_with(b"HTTP/1.1 "));
    }
}
