//! An account's own credentials for providers (P08): sealed at rest, used first and within policy, and
//! resting when a provider refuses them; and the key ring that they are sealed under.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{Server, Setup, command},
    upstream::{Act, Upstream, completion},
};

const FIRST: &str = "sk-own-first-0123456789abcd";
const SECOND: &str = "sk-own-second-0123456789wxyz";

fn setup(upstream: &Upstream) -> Setup {
    for model in ["m", "n"] {
        upstream.on(model, vec![Act::Json(200, completion("ok"))]);
    }
    Setup::new()
        .provider("open", "openai_chat", upstream, "")
        .provider("more", "openai_chat", upstream, "")
        .model(
            "lab/m",
            &[("open", "m", "priority = 1"), ("more", "n", "priority = 2")],
        )
}

/// Adds a credential, and returns its id.
fn add(server: &Server, provider: &str, key: &str, more: &Value) -> String {
    let mut body = json!({"provider_id": provider, "api_key": key, "label": "work"});
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    let response = server.post("/auth/byok", &server.management, &body);
    assert_eq!(response.status(), 201);
    let added: Value = response.json().unwrap();
    assert!(!added.to_string().contains(key));
    added["id"].as_str().unwrap().to_owned()
}

fn list(server: &Server) -> Vec<Value> {
    let all: Value = server.get("/auth/byok", &server.management).json().unwrap();
    all["data"].as_array().unwrap().clone()
}

/// The credentials that the upstream got for a model.
fn used(upstream: &Upstream, model: &str) -> Vec<String> {
    let bearer = |seen: crate::upstream::Seen| {
        let header = &seen.headers["authorization"];
        header.strip_prefix("Bearer ").unwrap().to_owned()
    };
    upstream.seen_of(model).into_iter().map(bearer).collect()
}

fn contains(folder: &std::path::Path, what: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contains(&path, what)
        } else {
            let bytes = fs::read(&path).unwrap();
            bytes.windows(what.len()).any(|w| w == what)
        }
    })
}

#[test]
fn an_own_credential_comes_first_and_is_nowhere_in_the_clear() {
    let upstream = Upstream::start();
    let mut server = setup(&upstream).start();
    let id = add(&server, "more", FIRST, &json!({"tier": "paid"}));
    let response = server.chat("lab/m", json!({}));
    assert_eq!(response.status(), 200);
    // Its endpoint has the lower priority, and comes first nevertheless.
    assert_eq!(used(&upstream, "n"), [FIRST]);
    assert!(upstream.seen_of("m").is_empty());
    let record = server.record(&response);
    assert_eq!(record["is_byok"], true);
    let rows = list(&server);
    assert_eq!(
        (&rows[0]["id"], &rows[0]["key_preview"], &rows[0]["tier"]),
        (&json!(id), &json!("…abcd"), &json!("paid"))
    );
    // It is still there after a restart, and nowhere on disk, in logs or in output.
    server.kill();
    server.start_again();
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "n"), [FIRST, FIRST]);
    assert!(
        contains(server.dir.path(), id.as_bytes()),
        "the search works"
    );
    assert!(!contains(server.dir.path(), FIRST.as_bytes()));
    // Removed, it is not used any more.
    let path = format!("/auth/byok/{id}");
    let removed = server
        .request("DELETE", &path)
        .bearer_auth(&server.management);
    assert_eq!(removed.send().unwrap().status(), 200);
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m"), ["upstream-secret-key"]);
    let again = server
        .request("DELETE", &path)
        .bearer_auth(&server.management);
    assert_eq!(again.send().unwrap().status(), 404);
}

#[test]
fn a_credential_that_its_provider_refuses_rests_and_the_next_one_is_used() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    add(&server, "open", FIRST, &json!({"tier": "paid"}));
    add(&server, "open", SECOND, &json!({"tier": "paid"}));
    let refused = |status| Act::Json(status, json!({"error": {"message": "no", "code": "no"}}));
    upstream.on(
        "m",
        vec![refused(401), refused(429), Act::Json(200, completion("ok"))],
    );
    let response = server.chat("lab/m", json!({}));
    assert_eq!(response.status(), 200);
    assert_eq!(used(&upstream, "m"), [FIRST, SECOND, "upstream-secret-key"]);
    let record = server.record(&response);
    assert_eq!(record["is_byok"], false);
    assert_eq!(record["attempts"].as_array().unwrap().len(), 3);
    let rows = list(&server);
    assert!(
        rows.iter().all(|row| row["resting_until"].is_string()),
        "{rows:?}"
    );
    // Both rest, and the endpoint does not: its own failures are not what happened.
    let response = server.chat("lab/m", json!({}));
    assert_eq!(response.status(), 200);
    assert_eq!(used(&upstream, "m")[3..], ["upstream-secret-key"]);
    // A change ends the rest.
    let path = format!("/auth/byok/{}", rows[1]["id"].as_str().unwrap());
    let change = server
        .request("PATCH", &path)
        .bearer_auth(&server.management);
    let change = change.json(&json!({"label": "renewed"})).send().unwrap();
    assert_eq!(change.status(), 200);
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m")[4..], [SECOND]);
}

#[test]
fn an_own_credential_never_leaves_what_policy_admits() {
    let upstream = Upstream::start();
    upstream.on("m", vec![Act::Json(200, completion("ok"))]);
    let trains = "terms = { trains_on_paid = false, trains_on_free = true, publishes_free = false, retention_days = 0, zdr = true }";
    let at = |more: &str| {
        let setup = Setup::new().provider("open", "openai_chat", &upstream, trains);
        setup
            .model("lab/m", &[("open", "m", "")])
            .more(more)
            .start()
    };
    let server = at("");
    // The operator's credential is of the paid tier, and that of the account is of an unknown one.
    let id = add(&server, "open", FIRST, &json!({}));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m"), ["upstream-secret-key"]);
    let path = format!("/auth/byok/{id}");
    let state = |statement: Value| {
        let change = server
            .request("PATCH", &path)
            .bearer_auth(&server.management);
        assert_eq!(change.json(&statement).send().unwrap().status(), 200);
    };
    state(json!({"tier": "paid"}));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m")[1..], [FIRST]);
    // Worse terms of the account's own exclude it.
    state(json!({"terms": {"trains_on_paid": true}}));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m")[2..], ["upstream-secret-key"]);
    assert!(list(&server)[0]["stated_at"].is_string());
    // The instance judges by the catalog, unless the operator accepts the accounts' statements.
    let strict = "[privacy]\nmax_retention_days = 0\n";
    let keeps = "terms = { trains_on_paid = false, trains_on_free = false, publishes_free = false, retention_days = 30, zdr = false }";
    for (accepts, status) in [("", 404), ("[byok]\naccept_terms = true\n", 200)] {
        let setup = Setup::new().provider("open", "openai_chat", &upstream, keeps);
        let server = setup
            .model("lab/m", &[("open", "m", "")])
            .more(&format!("{accepts}{strict}"))
            .start();
        let own = json!({"trains_on_paid": false, "retention_days": 0, "zdr": true});
        add(
            &server,
            "open",
            SECOND,
            &json!({"tier": "paid", "terms": own}),
        );
        assert_eq!(
            server.chat("lab/m", json!({})).status(),
            status,
            "{accepts}"
        );
    }
    assert_eq!(used(&upstream, "m")[3..], [SECOND]);
}

#[test]
fn an_account_can_refuse_the_operators_credentials() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    add(&server, "more", FIRST, &json!({"tier": "paid"}));
    server.patch_privacy(&json!({"own_credentials_only": true}));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    let refused = Act::Json(401, json!({"error": {"message": "no", "code": "no"}}));
    upstream.on("n", vec![refused]);
    // The endpoint with the operator's credential alone is none that it may use.
    let failed = server.chat("lab/m", json!({}));
    assert_eq!(failed.status(), 502);
    assert_eq!(used(&upstream, "n"), [FIRST, FIRST]);
    let none = server.chat("lab/m", json!({}));
    assert_eq!(none.status(), 404);
    assert!(upstream.seen_of("m").is_empty());
    server.patch_privacy(&json!({"own_credentials_only": false}));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m"), ["upstream-secret-key"]);
}

#[test]
fn a_request_may_name_the_one_credential_that_is_used() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    add(&server, "open", FIRST, &json!({"tier": "paid"}));
    let second = add(&server, "open", SECOND, &json!({"tier": "paid"}));
    let ask = |credential: &str| {
        let request = server.request("POST", "/chat/completions");
        let request = request
            .bearer_auth(&server.key)
            .header("X-AnyRouter-Credential", credential)
            .json(&json!({"model": "lab/m", "messages": [{"role": "user", "content": "hi"}]}));
        request.send().unwrap()
    };
    assert_eq!(ask(&second).status(), 200);
    assert_eq!(used(&upstream, "m"), [SECOND]);
    // Refused, it is not replaced by another or by the operator's, and the message says whose it is.
    for (status, answered) in [(429, 429), (401, 502)] {
        let refused = Act::Json(status, json!({"error": {"message": "no", "code": "no"}}));
        upstream.on("m", vec![refused, Act::Json(200, completion("ok"))]);
        let response = ask(&second);
        assert_eq!(response.status(), answered);
        let error: Value = response.json().unwrap();
        assert_eq!(error["error"]["code"], "own_credential_refused", "{error}");
        assert!(!error.to_string().contains("operator"), "{error}");
        assert_eq!(ask(&second).status(), 404, "it rests");
        let path = format!("/auth/byok/{second}");
        let change = server
            .request("PATCH", &path)
            .bearer_auth(&server.management);
        assert_eq!(change.json(&json!({})).send().unwrap().status(), 200);
    }
    assert_eq!(used(&upstream, "m"), [SECOND; 3]);
    let unknown = ask("byok_0000000000000000");
    assert_eq!(unknown.status(), 400);
    let error: Value = unknown.json().unwrap();
    assert_eq!(error["error"]["param"], "X-AnyRouter-Credential");
}

#[test]
fn a_credential_whose_terms_policy_does_not_admit_is_not_even_tried() {
    let upstream = Upstream::start();
    upstream.on("m", vec![Act::Json(200, completion("ok"))]);
    let trains = "terms = { trains_on_paid = false, trains_on_free = true, publishes_free = false, retention_days = 0, zdr = true }";
    let setup = Setup::new().provider("open", "openai_chat", &upstream, trains);
    let server = setup.model("lab/m", &[("open", "m", "")]).start();
    let first = add(&server, "open", FIRST, &json!({}));
    // Of another tier than the first, which decides: the list says that it is not used.
    add(&server, "open", SECOND, &json!({"tier": "paid"}));
    let rows = list(&server);
    assert_eq!(
        (&rows[0]["unlike"], &rows[1]["unlike"]),
        (&json!(null), &json!(first))
    );
    server.patch_privacy(&json!({"own_credentials_only": true}));
    let refused = server.chat("lab/m", json!({}));
    assert_eq!(refused.status(), 404);
    let error: Value = refused.json().unwrap();
    assert_eq!(error["error"]["code"], "no_endpoints", "{error}");
    let text = error.to_string();
    assert!(
        text.contains("credential = none that the policy admits"),
        "{text}"
    );
    assert!(!text.contains("the operator has no key"), "{text}");
    assert!(upstream.seen_of("m").is_empty());
}

#[test]
fn the_instance_judges_an_own_credential_by_its_tier_and_by_the_worse_terms() {
    let upstream = Upstream::start();
    upstream.on("m", vec![Act::Json(200, completion("ok"))]);
    let trains_on_free = "terms = { trains_on_paid = false, trains_on_free = true, publishes_free = true, retention_days = 0, zdr = true }";
    let strict = "[privacy]\nallow_training_paid = false\nallow_training_free = false\nallow_publication = false\nmax_retention_days = 0\n";
    let setup = Setup::new().provider("open", "openai_chat", &upstream, trains_on_free);
    let server = setup
        .model("lab/m", &[("open", "m", "")])
        .more(strict)
        .start();
    // The account allows everything, and the operator's credential is of the paid tier.
    server.patch_privacy(
        &json!({"allow_training_paid": true, "allow_training_free": true, "allow_publication": true}),
    );
    let id = add(&server, "open", FIRST, &json!({"tier": "free"}));
    let path = format!("/auth/byok/{id}");
    for statement in [
        json!({"tier": "free"}),
        json!({"tier": null}),
        json!({"tier": "paid", "terms": {"trains_on_paid": true, "retention_days": 0, "zdr": true}}),
        json!({"tier": "paid", "terms": {"trains_on_paid": false, "retention_days": 365, "zdr": false}}),
    ] {
        let change = server
            .request("PATCH", &path)
            .bearer_auth(&server.management);
        assert_eq!(change.json(&statement).send().unwrap().status(), 200);
        assert_eq!(server.chat("lab/m", json!({})).status(), 200);
        let last = used(&upstream, "m").pop().unwrap();
        assert_eq!(last, "upstream-secret-key", "{statement}");
    }
    let change = server
        .request("PATCH", &path)
        .bearer_auth(&server.management);
    let fine = json!({"tier": "paid", "terms": null});
    assert_eq!(change.json(&fine).send().unwrap().status(), 200);
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m").pop().unwrap(), FIRST);
}

#[test]
fn what_the_request_names_alone_comes_before_an_own_credential() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    add(&server, "more", FIRST, &json!({"tier": "paid"}));
    let only = json!({"provider": {"order": ["open"], "allow_fallbacks": false}});
    assert_eq!(server.chat("lab/m", only).status(), 200);
    assert_eq!(used(&upstream, "m"), ["upstream-secret-key"]);
    assert!(upstream.seen_of("n").is_empty());
}

#[test]
fn a_provider_that_asks_for_no_wait_is_not_asked_again_with_the_same_credential() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    add(&server, "more", FIRST, &json!({"tier": "paid"}));
    let busy = json!({"error": {"message": "no", "code": "no"}}).to_string();
    upstream.on("n", vec![Act::With(429, vec![("retry-after", "0")], busy)]);
    let response = server.chat("lab/m", json!({}));
    assert_eq!(response.status(), 200);
    let of_own = used(&upstream, "n").into_iter().filter(|k| k == FIRST);
    assert_eq!(of_own.count(), 1);
}

#[test]
fn an_own_credential_never_cools_an_endpoint_for_others() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    let id = add(&server, "open", FIRST, &json!({"tier": "paid"}));
    let missing = |status, code: &str| {
        Act::Json(
            status,
            json!({"error": {"message": "no access", "code": code}}),
        )
    };
    let event = |data: &Value| format!("data: {data}\n\n");
    let limited = vec![
        event(&json!({"choices": [{"index": 0, "delta": {"content": "o"}}]})),
        event(
            &json!({"error": {"message": "no", "code": "rate_limit_exceeded", "type": "rate_limit_error"}}),
        ),
    ];
    for act in [
        missing(404, "model_not_found"),
        missing(403, "unsupported_country_region_territory"),
        Act::Events(limited),
    ] {
        upstream.on("m", vec![act, Act::Json(200, completion("ok"))]);
        let stream = json!({"stream": true, "provider": {"only": ["open"]}});
        let _ = server.chat("lab/m", stream).text();
        // Without the account's credential, the endpoint is asked again at once.
        let path = format!("/auth/byok/{id}");
        let disable = |disabled: bool| {
            let change = server
                .request("PATCH", &path)
                .bearer_auth(&server.management);
            let changed = change.json(&json!({"disabled": disabled})).send();
            assert_eq!(changed.unwrap().status(), 200);
        };
        disable(true);
        let others = server.chat("lab/m", json!({"provider": {"only": ["open"]}}));
        assert_eq!(others.status(), 200);
        disable(false);
    }
}

#[test]
fn a_credential_that_the_provider_repeats_is_kept_nowhere() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    let key = "own-key-AAAA-0123456789abcd";
    let id = add(&server, "open", key, &json!({"tier": "paid"}));
    let renew = || {
        let change = server
            .request("PATCH", &format!("/auth/byok/{id}"))
            .bearer_auth(&server.management);
        assert_eq!(change.json(&json!({})).send().unwrap().status(), 200);
    };
    for status in [400, 401, 500] {
        let error = json!({"error": {"message": key, "code": key, "type": key, "param": key}});
        upstream.on(
            "m",
            vec![Act::Json(status, error), Act::Json(200, completion("ok"))],
        );
        let only = json!({"provider": {"only": ["open"]}});
        let response = server.chat("lab/m", only);
        assert_eq!(used(&upstream, "m").pop().unwrap() == key, status != 401);
        assert!(!response.text().unwrap().contains(key), "{status}");
        renew();
    }
    let mut answer = completion("ok");
    answer["id"] = json!(key);
    answer["choices"][0]["finish_reason"] = json!(key);
    upstream.on("m", vec![Act::Json(200, answer)]);
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m").pop().unwrap(), key);
    assert!(!contains(server.dir.path(), key.as_bytes()));
}

#[test]
fn an_account_has_at_most_a_hundred_credentials_however_fast_it_adds_them() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    let last = json!({"position": u32::MAX});
    add(&server, "open", FIRST, &last);
    add(&server, "open", FIRST, &json!({}));
    assert_eq!(list(&server)[1]["position"], u32::MAX);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..15 {
                    let body = json!({"provider_id": "open", "api_key": SECOND});
                    server.post("/auth/byok", &server.management, &body);
                }
            });
        }
    });
    assert_eq!(list(&server).len(), 100);
    let regions = json!({"regions": vec!["eu"; 101]});
    let body = json!({"provider_id": "open", "api_key": FIRST, "terms": regions});
    let refused = server.post("/auth/byok", &server.management, &body);
    assert_eq!(refused.status(), 400);
}

#[test]
fn a_wrong_credential_is_refused_and_not_repeated() {
    let upstream = Upstream::start();
    let server = setup(&upstream).start();
    for (body, param) in [
        (
            json!({"provider_id": "nobody", "api_key": FIRST}),
            "provider_id",
        ),
        (
            json!({"provider_id": "open", "api_key": "two words"}),
            "api_key",
        ),
        (json!({"provider_id": "open", "api_key": ""}), "api_key"),
        (
            json!({"provider_id": "open", "api_key": FIRST, "kind": "donated"}),
            "kind",
        ),
    ] {
        let response = server.post("/auth/byok", &server.management, &body);
        assert_eq!(response.status(), 400);
        let text = response.text().unwrap();
        assert!(text.contains(param) && !text.contains(FIRST), "{text}");
    }
    // The key of an application may neither list nor add them.
    assert_eq!(server.get("/auth/byok", &server.key).status(), 403);
    let body = json!({"provider_id": "open", "api_key": FIRST});
    assert_eq!(server.post("/auth/byok", &server.key, &body).status(), 403);
}

fn vault(server: &Server) -> Value {
    let state: Value = server.get("/vault", &server.management).json().unwrap();
    state["data"].clone()
}

fn rotate(server: &Server) {
    let begun = server.post("/vault/rotate", &server.management, &json!({}));
    assert_eq!(begun.status(), 200);
    let began = Instant::now();
    while vault(server)["master_keys"].as_array().unwrap().len() > 1 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{}",
            vault(server)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_master_key_is_rotated_while_requests_are_served() {
    let upstream = Upstream::start();
    let mut server = setup(&upstream).start();
    add(&server, "open", FIRST, &json!({"tier": "paid"}));
    let ring = server.dir.path().join("data/keyring.toml");
    let (before, text) = (vault(&server), fs::read_to_string(&ring).unwrap());
    assert_eq!(before["master_keys"][0]["accounts"], 1);
    std::thread::scope(|scope| {
        let traffic =
            scope.spawn(|| (0..40).all(|_| server.chat("lab/m", json!({})).status() == 200));
        rotate(&server);
        assert!(traffic.join().unwrap());
    });
    let after = vault(&server);
    assert_ne!(
        after["master_keys"][0]["id"],
        before["master_keys"][0]["id"]
    );
    assert_eq!(after["master_keys"][0]["accounts"], 1);
    assert_ne!(fs::read_to_string(&ring).unwrap(), text);
    assert!(used(&upstream, "m").iter().all(|key| key == FIRST));
    // A ring that something else changed is not overwritten.
    let new = fs::read(&ring).unwrap();
    let changed = [new.as_slice(), b"# more\n"].concat();
    fs::write(&ring, &changed).unwrap();
    let refused = server.post("/vault/rotate", &server.management, &json!({}));
    assert_ne!(refused.status(), 200);
    assert_eq!(fs::read(&ring).unwrap(), changed);
    // The old ring opens nothing any more, and nothing is overwritten.
    server.kill();
    fs::write(&ring, &text).unwrap();
    let fails = |expected: &str| {
        let out = command(&[("UPSTREAM_KEY".to_owned(), "k".to_owned())])
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
        assert!(!out.status.success());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(expected), "{said}");
        said
    };
    let said = fails("restore the ring that has it");
    assert!(!said.contains(FIRST), "{said}");
    fs::remove_file(&ring).unwrap();
    fails("the key ring is missing");
    assert!(!ring.exists());
    // The right id with another secret.
    let text = String::from_utf8(new.clone()).unwrap();
    let (head, rest) = text.split_once("key = \"").unwrap();
    let wrong = format!("{head}key = \"{}=\"{}", "A".repeat(43), &rest[45..]);
    fs::write(&ring, wrong).unwrap();
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o600)).unwrap();
    fails("does not open what is sealed under it");
    fs::write(&ring, "version = 1\n").unwrap();
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o600)).unwrap();
    fails("the key ring cannot be read");
    fs::write(&ring, &new).unwrap();
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o640)).unwrap();
    fails("chmod 600");
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o600)).unwrap();
    server.start_again();
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
}

#[test]
fn a_rotation_that_broke_off_goes_on_at_the_next_start() {
    let upstream = Upstream::start();
    let mut server = setup(&upstream).start();
    add(&server, "open", FIRST, &json!({"tier": "paid"}));
    server.kill();
    // As after a crash between the new ring and the first key: a newer master key, and nothing under it.
    let ring = server.dir.path().join("data/keyring.toml");
    let text = fs::read_to_string(&ring).unwrap();
    let newer = "[[master]]\nid = \"00c0ffee\"\nkey = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n\n[placeholder]";
    fs::write(&ring, text.replace("[placeholder]", newer)).unwrap();
    server.start_again();
    let began = Instant::now();
    while vault(&server)["master_keys"].as_array().unwrap().len() > 1 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        vault(&server)["master_keys"],
        json!([{"id": "00c0ffee", "current": true, "accounts": 1}])
    );
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
    assert_eq!(used(&upstream, "m"), [FIRST]);
}

#[test]
fn the_ring_may_come_from_a_variable_or_a_program() {
    let upstream = Upstream::start();
    let ring = "version = 1\n[[master]]\nid = \"00c0ffee\"\nkey = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n[placeholder]\nkey = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n";
    let mut of_variable = setup(&upstream).more("[vault]\nkey_env = \"RING\"\n");
    of_variable.env.push(("RING".to_owned(), ring.to_owned()));
    let printed = ring.replace('\n', "\\n").replace('"', "\\\"");
    let command = format!("[vault]\nkey_command = [\"/usr/bin/printf\", \"{printed}\"]\n");
    let command = command.replace("\\n", "\\\\n");
    for setup in [of_variable, setup(&upstream).more(&command)] {
        let server = setup.start();
        add(&server, "open", FIRST, &json!({"tier": "paid"}));
        assert_eq!(server.chat("lab/m", json!({})).status(), 200);
        assert_eq!(vault(&server)["master_keys"][0]["id"], "00c0ffee");
        assert!(!server.dir.path().join("data/keyring.toml").exists());
        let refused = server.post("/vault/rotate", &server.management, &json!({}));
        assert_eq!(refused.status(), 409);
    }
}

#[test]
fn the_placeholders_key_of_an_earlier_version_moves_into_the_ring() {
    let upstream = Upstream::start();
    let setup = setup(&upstream);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let old = dir.path().join("data/placeholder.key");
    fs::write(&old, [7; 32]).unwrap();
    let server = Server::start_in(dir, &setup.toml, &setup.env);
    let data = server.dir.path().join("data");
    assert!(!data.join("placeholder.key").exists());
    let ring = fs::read_to_string(data.join("keyring.toml")).unwrap();
    // 32 times the byte 7.
    assert!(ring.contains("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="));
    let mode = fs::metadata(data.join("keyring.toml"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let out = fs::read_to_string(server.dir.path().join("out")).unwrap();
    assert!(out.contains("The key ring was created") && out.contains("keyring.toml"));
    assert_eq!(server.chat("lab/m", json!({})).status(), 200);
}
