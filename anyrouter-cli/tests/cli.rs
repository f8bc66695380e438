//! The command against a real server: what it prints, and its exit codes.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyrouter_server::config::Sources;
use serde_json::{Value, json};

/// A server in this process, on a port of its own.
struct Server {
    folder: tempfile::TempDir,
    boot: Value,
}

impl Server {
    fn start() -> Self {
        Self::with("")
    }

    /// A server with this configuration, which lies in its folder as `server.toml`.
    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config_file = folder.path().join("server.toml");
        fs::write(&config_file, config).unwrap();
        let sources = Sources {
            file: Some(config_file),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            data_dir: Some(folder.path().join("data")),
            ..Sources::default()
        };
        let file = folder.path().join("boot.json");
        let path = file.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime
                .block_on(anyrouter_server::run::run(
                    sources.load().unwrap(),
                    sources,
                    Some(path),
                ))
                .unwrap();
        });
        let began = Instant::now();
        while !file.exists() {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            boot: serde_json::from_slice(&fs::read(file).unwrap()).unwrap(),
            folder,
        }
    }

    fn run(&self, args: &[&str], stdin: &str) -> Output {
        let text = |name: &str| self.boot[name].as_str().unwrap().to_owned();
        let mut child = Command::new(env!("CARGO_BIN_EXE_anyrouter"))
            .args(args)
            .env("ANYROUTER_BASE_URL", text("base_url"))
            .env("ANYROUTER_API_KEY", text("inference_key"))
            .env("ANYROUTER_MANAGEMENT_KEY", text("management_key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args, "");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn every_command_does_what_it_says() {
    let server = Server::start();
    let echo = server.run(
        &["chat", "-m", "demo/echo", "read", "this:"],
        "from standard input",
    );
    assert_eq!(
        String::from_utf8_lossy(&echo.stdout),
        "read this:\n\nfrom standard input\n"
    );
    let whole: Value =
        serde_json::from_str(&server.says(&["--json", "chat", "-m", "demo/echo", "hi"])).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "hi");
    let id = whole["id"].as_str().unwrap();
    assert!(server.says(&["generation", id]).contains("demo/echo"));
    assert!(
        server
            .says(&["models", "gpt-4o"])
            .contains("openai/gpt-4o-mini")
    );
    let models = server.says(&["models"]);
    let is_marked = |id: &str| {
        models
            .lines()
            .find(|l| l.contains(id))
            .is_some_and(|l| l.starts_with('✓'))
    };
    assert!(
        is_marked("demo/story") && !is_marked("openai/gpt-4o-mini"),
        "what can be used is marked: {models}"
    );
    let explained = server.run(&["route", "explain", "openai/gpt-4o-mini", "--zdr"], "");
    assert_eq!(explained.status.code(), Some(4), "nothing may serve it");
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("no_credential")
            && explained.contains("set OPENAI_API_KEY")
            && explained.contains("zdr = on_request"),
        "{explained}"
    );
    assert!(
        server
            .says(&["privacy", "set", "enforce_zdr=true", "block=[\"groq\"]"])
            .contains("[\"groq\"]")
    );
    let settings: Value =
        serde_json::from_str(&server.says(&["--json", "privacy", "get"])).unwrap();
    assert_eq!(
        (&settings["enforce_zdr"], &settings["block"][0]),
        (&Value::Bool(true), &Value::from("groq"))
    );
    let made: Value =
        serde_json::from_str(&server.says(&["--json", "keys", "create", "script"])).unwrap();
    assert!(server.says(&["keys", "list"]).contains("script"));
    assert!(server.says(&["keys"]).contains("script"));
    assert_eq!(server.says(&["privacy"]), server.says(&["privacy", "get"]));
    assert!(
        server.says(&["logs"]).contains(id),
        "the latest requests have their ids"
    );
    let story = server.run(&["chat", "Hello!"], "");
    assert!(
        story.status.success() && story.stdout.len() > 10,
        "without any provider the demo answers"
    );
    assert!(
        String::from_utf8_lossy(&story.stderr).contains("OPENAI_API_KEY"),
        "and says what is missing"
    );
    let hash = made["data"]["hash"].as_str().unwrap();
    server.says(&["keys", "revoke", &hash[..10]]);
    assert!(!server.says(&["keys", "list"]).contains("script"));
}

#[test]
fn own_credentials_are_added_from_standard_input_and_the_master_key_is_rotated() {
    let server = Server::start();
    let key = "sk-own-0123456789-abcd";
    let added = server.run(
        &["byok", "add", "openai", "--label", "work", "--tier", "paid"],
        key,
    );
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    let listed = server.says(&["byok"]);
    for expected in ["openai", "work", "…abcd", "paid", "in use"] {
        assert!(listed.contains(expected), "{expected}: {listed}");
    }
    assert!(!listed.contains(key));
    let status = server.says(&["vault"]);
    assert!(
        status.contains("keyring.toml") && status.contains("current"),
        "{status}"
    );
    let rotated = server.says(&["vault", "rotate"]);
    assert_ne!(status, rotated);
    let state: Value = serde_json::from_str(&server.says(&["--json", "vault"])).unwrap();
    let keys = state["data"]["master_keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]["accounts"]), (1, &Value::from(1)));
    let all: Value = serde_json::from_str(&server.says(&["--json", "byok", "list"])).unwrap();
    let id = all["data"][0]["id"].as_str().unwrap();
    server.says(&["byok", "remove", id]);
    assert!(!server.says(&["byok", "list"]).contains(id));
    let empty = server.run(&["byok", "add", "openai"], "");
    assert_eq!(
        empty.status.code(),
        Some(2),
        "without a key nothing is added"
    );
}

#[test]
fn exit_codes_are_ones_that_scripts_can_rely_on() {
    let server = Server::start();
    let code = |args: &[&str]| server.run(args, "").status.code();
    assert_eq!(code(&["chat", "-m", "no/such", "x"]), Some(1));
    assert_eq!(code(&["chat"]), Some(2), "no question");
    assert_eq!(code(&["privacy", "set", "nonsense"]), Some(2));
    assert_eq!(code(&["frobnicate"]), Some(2));
    assert_eq!(
        code(&["route", "explain", "--body", "garbage"]),
        Some(2),
        "a body that is not JSON is not left out"
    );
    assert_eq!(
        code(&["route", "explain", "demo/echo", "--body", "{}"]),
        Some(2),
        "two models"
    );
    assert_eq!(
        code(&[
            "route",
            "explain",
            "--body",
            r#"{"model":"demo/echo","messages":[]}"#
        ]),
        Some(0)
    );
    assert_eq!(
        code(&["--base-url", "127.0.0.1:8787", "models"]),
        Some(2),
        "no scheme"
    );
    assert_eq!(code(&["keys", "revoke", "nobody"]), Some(2));
    assert_eq!(code(&["--ca", "/nonexistent", "models"]), Some(2));
    let refused = server.run(&["--json", "chat", "-m", "no/such", "x"], "");
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(
        error["error"]["code"], "model_not_found",
        "with --json, errors are JSON too"
    );
    assert_eq!(
        code(&["--base-url", "http://127.0.0.1:1/api/v1", "models"]),
        Some(3)
    );
}

#[test]
fn a_route_is_explained_without_a_server() {
    let server = Server::start();
    let file = server.folder.path().join("a.toml");
    let provider = "[catalog]\nbuiltin = false\n[[provider]]\nslug = \"p\"\nprotocol = \"openai_chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
    fs::write(
        &file,
        format!("{provider}[[model]]\nid = \"lab/x\"\n[[model.endpoint]]\nprovider = \"p\"\n"),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let text = server.run(&["route", "explain", "lab/x", "--config", path], "");
    assert_eq!(text.status.code(), Some(4));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("training_paid") && text.contains("trains_on_paid = unknown"),
        "{text}"
    );
    let auto = server.run(&["route", "explain", "lab/y", "--config", path], "");
    assert!(String::from_utf8_lossy(&auto.stderr).contains("did you mean lab/x?"));
    fs::write(&file, "broken =").unwrap();
    assert_eq!(
        server
            .run(&["route", "explain", "lab/x", "--config", path], "")
            .status
            .code(),
        Some(2)
    );
}

/// Three providers and two models, which the routing fields tell apart.
const CATALOG: &str = r#"
[catalog]
builtin = false

[[provider]]
slug = "cheap"
protocol = "openai_chat"
base_url = "http://127.0.0.1:1/v1"
api_key = { file = "key" }
terms = { trains_on_paid = false, retention_days = 30, zdr = false }

[[provider]]
slug = "safe"
protocol = "anthropic_messages"
base_url = "http://127.0.0.1:1/v1"
api_key = { file = "key" }
terms = { trains_on_paid = false, retention_days = 0, zdr = true }

[[provider]]
slug = "keyless"
protocol = "openai_chat"
base_url = "http://127.0.0.1:1/v1"
api_key = { env = "NO_SUCH_KEY" }
terms = { trains_on_paid = false, retention_days = 0, zdr = true }

[[model]]
id = "lab/x"
[[model.endpoint]]
provider = "cheap"
quantization = "fp8"
context = 8000
max_output = 1000
price = { prompt = "1", completion = "2" }
[[model.endpoint]]
provider = "safe"
context = 1000000
capabilities = ["tools"]
price = { prompt = "5", completion = "6" }
[[model.endpoint]]
provider = "keyless"

[[model]]
id = "lab/y"
[[model.endpoint]]
provider = "cheap"
context = 8000
price = { prompt = "3", completion = "3" }
"#;

#[test]
fn an_explanation_is_the_same_with_a_server_and_without() {
    let (folder, config) = (tempfile::tempdir().unwrap(), CATALOG);
    let key = folder.path().join("key");
    fs::write(&key, "secret").unwrap();
    let config = config.replace("file = \"key\"", &format!("file = {key:?}"));
    let server = Server::with(&config);
    let file = server.folder.path().join("server.toml");
    let provider = |fields: Value| json!({"provider": fields});
    // What is sent beside the model, and the endpoints that may serve it, in order.
    let cases = [
        (json!({}), "cheap/lab-x safe/lab-x"),
        (json!({"model": " lab/x"}), "cheap/lab-x safe/lab-x"),
        (json!({"model": "lab/x:floor"}), "cheap/lab-x safe/lab-x"),
        (json!({"model": "lab/x:nitro"}), "cheap/lab-x safe/lab-x"),
        (json!({"model": "lab/x:free"}), ""),
        (json!({"model": "lab/x[1m]"}), "safe/lab-x"),
        (
            json!({"model": "lab/y", "models": ["lab/x"]}),
            "cheap/lab-y cheap/lab-x safe/lab-x",
        ),
        (
            json!({"models": ["lab/y"]}),
            "cheap/lab-x safe/lab-x cheap/lab-y",
        ),
        (json!({"min_context": 9000}), "safe/lab-x"),
        (
            json!({"max_tokens": 2000, "require_params": true}),
            "safe/lab-x",
        ),
        (
            json!({"seed": 1, "provider": {"require_parameters": true}}),
            "cheap/lab-x",
        ),
        (
            json!({"tools": [], "provider": {"require_parameters": true}}),
            "safe/lab-x",
        ),
        (provider(json!({"only": ["safe"]})), "safe/lab-x"),
        (provider(json!({"ignore": ["safe"]})), "cheap/lab-x"),
        (
            provider(json!({"order": ["safe"]})),
            "safe/lab-x cheap/lab-x",
        ),
        (
            provider(json!({"order": ["saef"]})),
            "cheap/lab-x safe/lab-x",
        ),
        (
            provider(json!({"order": ["safe"], "allow_fallbacks": false})),
            "safe/lab-x",
        ),
        (provider(json!({"sort": "price"})), "cheap/lab-x safe/lab-x"),
        (
            provider(json!({"sort": {"by": "latency", "partition": "none"}})),
            "cheap/lab-x safe/lab-x",
        ),
        (
            provider(json!({"data_collection": "deny"})),
            "cheap/lab-x safe/lab-x",
        ),
        (provider(json!({"zdr": true})), "safe/lab-x"),
        (provider(json!({"quantizations": ["fp8"]})), "cheap/lab-x"),
        (provider(json!({"max_price": {"prompt": 2}})), "cheap/lab-x"),
        (
            provider(json!({"preferred_max_latency": 1})),
            "cheap/lab-x safe/lab-x",
        ),
        (
            provider(json!({"preferred_min_throughput": {"p90": 10}})),
            "cheap/lab-x safe/lab-x",
        ),
    ];
    for (fields, expected) in cases {
        let mut body = json!({"model": "lab/x", "messages": []});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let body = body.to_string();
        let explain = |more: &[&str]| -> Value {
            let args = [&["--json", "route", "explain", "--body", &body], more].concat();
            serde_json::from_slice(&server.run(&args, "").stdout).unwrap()
        };
        let asked = explain(&[]);
        assert_eq!(
            asked,
            explain(&["--config", file.to_str().unwrap()]),
            "{body}"
        );
        let eligible = asked["eligible"].as_array().unwrap();
        let eligible: Vec<_> = eligible
            .iter()
            .map(|e| e["endpoint"].as_str().unwrap())
            .collect();
        assert_eq!(eligible.join(" "), expected, "{body}");
    }
    for body in [
        r#"{"model": "lab/z", "messages": []}"#,
        r#"{"model": "lab/x", "messages": [], "provider": {"zrd": true}}"#,
    ] {
        let fails = |more: &[&str]| {
            let output = server.run(&[&["route", "explain", "--body", body], more].concat(), "");
            assert!(!output.status.success());
            String::from_utf8(output.stderr).unwrap()
        };
        let (asked, offline) = (fails(&[]), fails(&["--config", file.to_str().unwrap()]));
        let said = offline
            .split_once(": ")
            .unwrap()
            .1
            .rsplit_once(".toml: ")
            .unwrap()
            .1;
        assert!(asked.contains(said.trim_end()), "{asked} {offline}");
    }
}

/// Runs `anyrouter redact` without any server.
fn redact(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_anyrouter"))
        .arg("redact")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // What is refused before it is read leaves nobody to write to.
        scope.spawn(move || input.write_all(stdin.as_bytes()));
        child.wait_with_output().unwrap()
    })
}

fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn text_is_redacted_and_restored_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.json");
    let map = map.to_str().unwrap();
    let text = "I am Jane Smith, jane@example.com.\n";
    let left = out(&redact(&["--map", map], text));
    assert!(
        left.starts_with("I am PERSON_") && !left.contains("jane@"),
        "{left}"
    );
    assert_eq!(out(&redact(&["--restore", map], &left)), text);
    assert_eq!(
        out(&redact(&["--action", "mask"], "jane@example.com")),
        "************.com"
    );
    let explained = out(&redact(&["--explain"], text));
    assert!(
        explained.contains("I am [Jane Smith], [jane@example.com].") && explained.contains("EMAIL"),
        "{explained}"
    );
    // A map is not replaced, knows other spellings, and gives numbers and strings of JSON back as
    // they were.
    assert_eq!(redact(&["--map", map], text).status.code(), Some(2));
    assert_eq!(
        out(&redact(
            &["--restore", map],
            &left.replace('_', "-").to_lowercase()
        )),
        text.replace("I am", "i am")
    );
    let map = folder.path().join("document.json");
    let map = map.to_str().unwrap();
    let document = r#"{"password": "say \"hi\" C:\\x", "card": 4111111111111111}"#;
    let left = out(&redact(&["--map", map], document));
    assert!(!left.contains("hi") && !left.contains("4111"), "{left}");
    assert_eq!(out(&redact(&["--restore", map], &left)), document);
    let restored: Value =
        serde_json::from_str(&out(&redact(&["--restore", map, "--json"], &left))).unwrap();
    assert_eq!(restored["restored"], document);
    assert_eq!(
        redact(&["--map", "none.json", "--action", "mask"], text)
            .status
            .code(),
        Some(2),
        "what is masked cannot be restored"
    );
    let refused = redact(&["--action", "block"], text);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(5), 0));
    assert_eq!(
        redact(&["--format", "json"], "{\"a\": \"jane@example.com\"")
            .status
            .code(),
        Some(2),
        "broken JSON is said to be none"
    );
    let spaced = out(&redact(
        &["--spans"],
        "{\"id\": 3, \"json\": { \"b\" :  \"jane@example.com\" }}",
    ));
    assert!(
        spaced.contains(r#""start":10,"end":26"#),
        "places in the value as it is written: {spaced}"
    );
    let spans = out(&redact(
        &["--spans"],
        "{\"id\": 1, \"text\": \"é jane@example.com\"}\n{\"id\": 2, \"json\": \"{\\\"a\\\":\\\"x\\\"}\"}\n",
    ));
    let lines: Vec<Value> = spans
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["spans"][0]["start"], &lines[0]["spans"][0]["end"]),
        (&3.into(), &19.into()),
        "bytes, and not characters"
    );
    assert_eq!(
        (&lines[1]["id"], lines[1]["spans"].as_array().unwrap().len()),
        (&2.into(), 0)
    );
    let rules = folder.path().join("rules.json");
    fs::write(&rules, r#"[{"label": "EMPLOYEE", "pattern": "EMP-[0-9"}]"#).unwrap();
    let refused = redact(&["--rules", rules.to_str().unwrap()], "x");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rule 0 has a pattern that is none"));
}

#[test]
fn text_that_does_not_end_is_redacted_as_it_comes() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_anyrouter"))
        .args(["redact", "--follow"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for name in ["jane", "john"] {
        // The line before is here, though the input goes on.
        input
            .write_all(format!("mail {name}@exa").as_bytes())
            .unwrap();
        input.write_all(b"mple.com \xff\n").unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(
            line.starts_with("mail EMAIL_") && line.ends_with(" \u{fffd}") && !line.contains(name),
            "{line}"
        );
    }
    input.write_all(b"the rest: max@example.com").unwrap();
    drop(input);
    let rest = lines.next().unwrap().unwrap();
    assert!(
        rest.starts_with("the rest: EMAIL_") && lines.next().is_none(),
        "{rest}"
    );
    assert!(child.wait().unwrap().success());
    let large = "a line with jane@example.com in it\n".repeat(20_000);
    let left = out(&redact(&["--follow", "--action", "mask"], &large));
    assert_eq!(left, large.replace("jane@example.com", "************.com"));
    let refused = redact(&["--follow", "--action", "block"], "jane@example.com");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(5), 0));
}

/// The figures of `docs/redaction.md` on the repository's own corpora; none may fall.
#[test]
fn no_figure_falls() {
    let floors = [
        ("general", 0.98),
        ("ids", 0.97),
        ("phones", 0.99),
        ("phones_national", 0.93),
        ("business", 0.95),
        ("recognizers", 0.98),
        ("chat", 0.98),
        ("thai", 0.95),
        ("chinese", 0.97),
        ("secrets", 0.98),
        ("code", 0.98),
        ("unlisted", 0.95),
        ("services", 0.95),
        ("adversarial", 0.98),
        ("independent/names_chat", 0.90),
        ("independent/payloads", 0.93),
        ("independent/agents", 0.85),
    ];
    let scores = |kind: &str, read_as: &str| -> Value {
        let path = format!(
            "{}/../anyrouter-core/tests/corpora/{kind}.jsonl",
            env!("CARGO_MANIFEST_DIR")
        );
        serde_json::from_str(&out(&redact(
            &["--score", &path, "--as", read_as, "--json"],
            "",
        )))
        .unwrap()
    };
    for read_as in ["text", "chat"] {
        for (kind, floor) in floors {
            let all = &scores(kind, read_as)["all"];
            assert!(
                all["f1"].as_f64() >= Some(floor),
                "{kind} as {read_as}: F1 must be at least {floor}: {all}"
            );
            assert!(
                all["hit"].as_u64() >= Some(30),
                "{kind}: the corpus is there: {all}"
            );
        }
        assert!(
            scores("clean", read_as)["all"]["wrong"].as_u64() <= Some(2),
            "clean text stays as it is"
        );
    }
}

#[cfg(unix)]
#[test]
fn launch_becomes_the_agent_once_the_server_can_serve_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = Server::start();
    let agent = server.folder.path().join("claude");
    fs::write(
        &agent,
        "#!/bin/sh\necho \"$ANTHROPIC_BASE_URL $ANTHROPIC_MODEL $1\"; exit 7\n",
    )
    .unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let base_url = server.boot["base_url"].as_str().unwrap();
    let launch = |key: &str, model: &str| {
        Command::new(env!("CARGO_BIN_EXE_anyrouter"))
            .args(["launch", "claude", "--model", model, "--", "hello"])
            .env("PATH", server.folder.path())
            .env("ANYROUTER_BASE_URL", base_url)
            .env("ANYROUTER_API_KEY", key)
            .output()
            .unwrap()
    };
    let key = server.boot["inference_key"].as_str().unwrap();
    let started = launch(key, "demo/echo");
    assert_eq!(started.status.code(), Some(7), "the agent's own status");
    let base = base_url.strip_suffix("/v1").unwrap();
    assert_eq!(
        String::from_utf8(started.stdout).unwrap(),
        format!("{base} demo/echo hello\n")
    );
    for (key, model, status, reason) in [
        ("sk-ar-v1-wrong", "demo/echo", 1, "invalid_key"),
        (key, "no/such", 1, "model_not_found"),
        (key, "anthropic/claude-sonnet-5-5", 4, "no endpoint"),
    ] {
        let refused = launch(key, model);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(status), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}
