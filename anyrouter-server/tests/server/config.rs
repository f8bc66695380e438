//! Configuration: errors that name file, line and key; environment over file; first run; reload.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::{Server, Setup, command},
    upstream::{Act, Upstream, completion},
};

/// `--check` of a file, with an environment.
fn check(toml: &str, env: &[(&str, &str)]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), toml).unwrap();
    let env: Vec<(String, String)> = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let output = command(&env)
        .args(["--config", "a.toml", "--check"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    )
}

#[test]
fn an_error_names_the_file_the_line_and_the_key() {
    for (toml, expected) in [
        (
            "listen = \"127.0.0.1:80\"\nlisten_to = 1\n",
            &["a.toml, line 2", "listen_to"][..],
        ),
        ("\n\nlisten = 7\n", &["a.toml, line 3", "listen"]),
        (
            "[usage]\ndurability = \"sometimes\"\n",
            &["a.toml, line 2", "durability"],
        ),
        (
            "[[provider]]\nslug = \"x\"\nprotocol = \"telepathy\"\n",
            &["a.toml, line 3", "protocol"],
        ),
        (
            "[[provider]]\nslug = \"x\"\nprotocol = \"openai_chat\"\nbase_url = \"nowhere\"\n",
            &["a.toml, line 4", "base_url"],
        ),
        (
            "[[model]]\nid = \"a/b\"\n[[model.endpoint]]\nprovider = \"nobody\"\n",
            &["a.toml, line 4", "nobody"],
        ),
        (
            "[[model]]\nid = \"noslash\"\n",
            &["a.toml, line 2", "author/slug"],
        ),
        (
            "[[model]]\nid = \"a/b\"\n\n[[model.endpoint]]\nprovider = \"openai\"\nprice = { prompt = \"cheap\" }\n",
            &["a.toml, line 6", "price"],
        ),
        ("[deadlines]\nidle = 0\n", &["deadlines.idle"]),
        ("[tls]\ncert = \"x\"\n", &["tls"]),
        ("not toml", &["a.toml, line 1"]),
    ] {
        let (good, text) = check(toml, &[]);
        assert!(!good, "{toml}");
        for part in expected {
            assert!(text.contains(part), "{toml}\n→ {text}\nlacks {part}");
        }
    }
}

#[test]
fn check_warns_of_a_provider_without_terms() {
    let (good, text) = check(
        "[[provider]]\nslug = \"x\"\nprotocol = \"openai_chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = { env = \"NOPE\" }\n",
        &[],
    );
    assert!(good, "{text}");
    assert!(
        text.contains("provider `x` has no terms") && text.contains("NOPE is not set"),
        "{text}"
    );
}

#[test]
fn the_environment_is_over_the_file_and_a_wrong_variable_is_an_error() {
    let (good, text) = check("", &[("ANYROUTER_LISTEN", "nonsense")]);
    assert!(!good && text.contains("ANYROUTER"), "{text}");
    let (good, text) = check(
        "",
        &[
            ("ANYROUTER_USAGE_DURABILITY", "power_loss"),
            ("ANYROUTER_PRIVACY_ENFORCE_ZDR", "true"),
            ("ANYROUTER_DEADLINES_IDLE", "3.5"),
            ("ANYROUTER_API_KEY", "x"),
        ],
    );
    assert!(good, "{text}");
    let (good, text) = check("", &[("ANYROUTER_COLOUR", "blue")]);
    assert!(!good && text.contains("colour"), "{text}");
    let (good, text) = check("", &[("ANYROUTER_PROVIDER_NOBODY_TIER", "paid")]);
    assert!(
        !good && text.contains("ANYROUTER_PROVIDER_NOBODY_TIER"),
        "{text}"
    );
}

#[test]
fn the_first_run_prints_keys_a_table_and_the_line_that_would_change_it() {
    let env: Vec<(String, String)> = [("GEMINI_API_KEY", "g"), ("ANTHROPIC_API_KEY", "a")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &env);
    let text = fs::read_to_string(server.dir.path().join("out")).unwrap();
    let line = |start: &str| {
        text.lines()
            .find(|l| l.trim_start().starts_with(start))
            .unwrap_or_else(|| panic!("{start} is not in\n{text}"))
            .to_owned()
    };
    assert!(line("Demo").contains("2 of 2"));
    assert!(line("Anthropic").contains("13 of 13"));
    assert!(line("Google").contains("0 of 13"));
    // With a file, the line is in the file's form.
    assert!(
        text.contains("[[provider]] slug = \"google\", tier = \"paid\""),
        "{text}"
    );
    assert!(
        text.contains("\"model\":\"anthropic/") && text.contains("demo/echo"),
        "a ready line for a model of each\n{text}"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&env)
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(dir.path())
        .stdout(fs::File::create(dir.path().join("out")).unwrap())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    let text = loop {
        let text = fs::read_to_string(dir.path().join("out")).unwrap();
        if text.contains("demo/echo") {
            break text;
        }
        assert!(began.elapsed().as_secs() < 20);
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        text.contains("ANYROUTER_PROVIDER_GOOGLE_TIER=paid"),
        "without one, it is a variable\n{text}"
    );
    assert!(
        text.contains("sk-ar-v1-") && text.contains("ak_"),
        "the keys are printed once"
    );
}

#[test]
fn stating_the_tier_admits_what_the_table_said() {
    let env: Vec<(String, String)> = [
        ("GEMINI_API_KEY", "g"),
        ("ANYROUTER_PROVIDER_GOOGLE_TIER", "paid"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec();
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &env);
    let explained: Value = server
        .post(
            "/route/explain",
            &server.key,
            &crate::harness::body("google/gemini-2.5-pro", json!({})),
        )
        .json()
        .unwrap();
    assert_eq!(
        explained["eligible"][0]["endpoint"],
        "google/google-gemini-2.5-pro"
    );
}

#[test]
fn a_built_in_provider_can_be_sent_elsewhere_and_its_printed_line_works() {
    let upstream = Upstream::start();
    upstream.on(
        "gpt-4o-mini",
        vec![Act::Json(200, completion("from the stand-in"))],
    );
    let toml = format!(
        "[[provider]]\nslug = \"openai\"\nbase_url = \"http://{}/v1\"\n[provider.terms]\ntrains_on_paid = false\nsource = \"https://x.example\"\nchecked = \"2026-11-01\"\n",
        upstream.address
    );
    let server = Server::start_in(
        tempfile::tempdir().unwrap(),
        &toml,
        &[("OPENAI_API_KEY".to_owned(), "k".to_owned())],
    );
    let answer: Value = server.chat("gpt-4o-mini", json!({})).json().unwrap();
    assert_eq!(
        (
            &answer["choices"][0]["message"]["content"],
            &answer["provider"],
            &answer["model"]
        ),
        (
            &json!("from the stand-in"),
            &json!("OpenAI"),
            &json!("openai/gpt-4o-mini")
        )
    );
    let zdr: Value = server
        .chat("gpt-4o-mini", json!({"provider": {"zdr": true}}))
        .json()
        .unwrap();
    assert_eq!(
        zdr["error"]["explanation"]["excluded"][0]["reasons"][0]["fact"], "zdr = unknown",
        "the built-in terms do not speak of the new address"
    );
}

#[test]
fn a_repaired_address_ends_the_cooldown_at_sighup() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .model("lab/a", &[("p", "o", "")]);
    let good = server.toml.clone();
    let broken = good.replace(&upstream.address, "127.0.0.1:9");
    let server = Setup {
        toml: broken,
        ..server
    }
    .start();
    let statuses: Vec<u16> = (0..4)
        .map(|_| server.chat("lab/a", json!({})).status().as_u16())
        .collect();
    assert_eq!(
        statuses.last(),
        Some(&503),
        "the endpoint rests: {statuses:?}"
    );
    let file = server.dir.path().join("anyrouter.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("127.0.0.1:9/", &format!("{}/", upstream.address)),
    )
    .unwrap();
    server.signal("HUP");
    let began = std::time::Instant::now();
    while !fs::read_to_string(server.dir.path().join("err"))
        .unwrap()
        .contains("configuration reloaded")
    {
        assert!(began.elapsed().as_secs() < 10);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(
        server.chat("lab/a", json!({})).status(),
        200,
        "nothing waits for the end of the cooldown"
    );
    let log = fs::read_to_string(server.dir.path().join("err")).unwrap();
    let has_time = |line: &str| {
        line.len() > 24
            && line.starts_with("20")
            && line.as_bytes().get(10) == Some(&b'T')
            && line.as_bytes().get(23) == Some(&b'Z')
    };
    assert!(
        log.lines().count() > 1 && log.lines().all(has_time),
        "each line has its time: {log}"
    );
}

#[test]
fn reload_takes_a_good_file_and_refuses_a_bad_one() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .model("lab/a", &[("p", "o", "")])
        .start();
    let file = server.dir.path().join("anyrouter.toml");
    let good = fs::read_to_string(&file).unwrap();
    let wait_for = |what: &str, times: usize| {
        let began = std::time::Instant::now();
        while fs::read_to_string(server.dir.path().join("err"))
            .unwrap()
            .matches(what)
            .count()
            < times
        {
            assert!(began.elapsed().as_secs() < 10, "{what} is not said");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    fs::write(&file, "broken =").unwrap();
    server.signal("HUP");
    wait_for("nothing changed", 1);
    assert_eq!(server.chat("lab/a", json!({})).status(), 200);
    fs::write(
        &file,
        format!("{good}\n[privacy]\nblock = [\"p\"]\n").replace("lab/a", "lab/b"),
    )
    .unwrap();
    server.signal("HUP");
    wait_for("configuration reloaded", 1);
    assert_eq!(server.chat("lab/a", json!({})).status(), 404);
    let answer: Value = server.chat("lab/b", json!({})).json().unwrap();
    assert_eq!(
        (
            &answer["error"]["code"],
            &answer["error"]["explanation"]["excluded"][0]["reasons"][0]["layer"]
        ),
        (&json!("privacy_restricted"), &json!("instance"))
    );
}

#[test]
fn logs_are_lines_of_metadata_in_the_format_that_was_asked_for() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = Setup::new()
        .provider("p", "openai_chat", &upstream, "")
        .model("lab/a", &[("p", "o", "")])
        .more("[log]\nformat = \"json\"")
        .start();
    let response = server.chat("lab/a", json!({}));
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let began = std::time::Instant::now();
    let line: Value = loop {
        let err = fs::read_to_string(server.dir.path().join("err")).unwrap();
        if let Some(line) = err.lines().find(|l| l.contains(&id)) {
            break serde_json::from_str(line).unwrap();
        }
        assert!(began.elapsed().as_secs() < 10);
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(
        (&line["outcome"], &line["status"], &line["endpoint"]),
        (&json!("ok"), &json!(200), &json!("p/lab-a"))
    );
    let text = line.to_string();
    assert!(
        !text.contains("127.0.0.1") && !text.contains("acc_") && !text.contains("key"),
        "{text}"
    );
}

#[test]
fn an_error_repeats_no_secret_and_limits_have_bounds() {
    for (toml, env) in [
        (
            "[[provider]]\nslug = \"x\"\napi_key = \"sk-live-SECRET\"\n",
            &[][..],
        ),
        (
            "[[provider]]\nslug = \"x\"\ntier = \"sk-live-SECRET\"\n",
            &[],
        ),
        ("", &[("ANYROUTER_LIMITS_BODY", "sk-live-SECRET")]),
    ] {
        let (good, text) = check(toml, env);
        assert!(!good && !text.contains("SECRET"), "{text}");
    }
    let (_, text) = check("", &[("ANYROUTER_LIMITS_BODY", "x")]);
    assert!(text.contains("ANYROUTER_LIMITS_BODY"), "{text}");
    for toml in [
        "[limits]\nconnections = 9223372036854775807",
        "[limits]\nrequests = 0",
        "[limits]\ndepth = 10000000",
        "[limits]\ntrusted_proxies = [\"nonsense\"]",
        "[tls]\ncert = \"/nonexistent\"\nkey = \"/nonexistent\"",
        "[privacy]\nlog_bodies = true",
    ] {
        assert!(!check(toml, &[]).0, "{toml}");
    }
    assert!(
        check(
            "",
            &[
                ("ANYROUTER_PORT", "tcp://10.0.0.1:80"),
                ("ANYROUTER_SERVICE_HOST", "10.0.0.1")
            ]
        )
        .0,
        "what Kubernetes sets is not ours"
    );
}

#[test]
fn a_bootstrap_file_that_cannot_be_written_makes_no_account() {
    let dir = tempfile::tempdir().unwrap();
    let start = |file: &str| {
        command(&[])
            .args(["--listen", "127.0.0.1:0", "--bootstrap-file", file])
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    assert!(!start("nonexistent/x.json").wait().unwrap().success());
    let mut child = start("boot.json");
    let began = std::time::Instant::now();
    while !dir.path().join("boot.json").exists() {
        assert!(
            began.elapsed().as_secs() < 20,
            "the second start writes the keys"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_documented_configuration_is_one() {
    let page = include_str!("../../../docs/configuration.md");
    let whole = page
        .split("```toml\n")
        .nth(1)
        .and_then(|t| t.split("```").next())
        .unwrap();
    // Its certificate is nobody's.
    let toml: String = whole
        .lines()
        .filter(|l| !l.starts_with("[tls]") && !l.starts_with("cert =") && !l.starts_with("key ="))
        .map(|l| format!("{l}\n"))
        .collect();
    let (good, text) = check(&toml, &[("ACME_API_KEY", "k")]);
    assert!(good && !text.contains("warning"), "{text}");
    for table in [
        "usage",
        "catalog",
        "privacy",
        "account_defaults",
        "redact",
        "tls",
        "limits",
        "deadlines",
        "log",
    ] {
        assert!(
            whole.contains(&format!("[{table}]")),
            "{table} is documented"
        );
    }
}
