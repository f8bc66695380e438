//! The API beside inference: route × scope, keys, privacy, catalog, records.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    harness::{Server, body, every_protocol},
    upstream::{Act, Upstream, completion},
};

const SCOPES: [&str; 15] = [
    "inference",
    "read:profile",
    "read:llm-keys",
    "write:llm-keys",
    "read:presets",
    "write:presets",
    "read:byok",
    "write:byok",
    "read:management-keys",
    "write:management-keys",
    "read:credits",
    "read:analytics",
    "read:privacy",
    "write:privacy",
    "write:account",
];

/// Keys with one scope each, made through management keys, which hold every scope but `inference`.
fn key_with(server: &Server, scope: &str) -> String {
    let kind = if scope == "inference" {
        "inference"
    } else {
        "management"
    };
    let answer: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": scope, "type": kind, "scopes": [scope]}),
        )
        .json()
        .unwrap();
    answer["key"]
        .as_str()
        .unwrap_or_else(|| panic!("{scope}: {answer}"))
        .to_owned()
}

#[test]
fn every_route_takes_the_scopes_that_it_needs_and_no_other() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let victim: Value = server
        .post("/keys", &server.management, &json!({"name": "victim"}))
        .json()
        .unwrap();
    let hash = victim["data"]["hash"].as_str().unwrap();
    let any: &[&str] = &SCOPES;
    let matrix: Vec<(&str, String, Value, &[&str])> = vec![
        (
            "POST",
            "/chat/completions".into(),
            body("lab/open", json!({})),
            &["inference"],
        ),
        ("GET", "/models/user".into(), Value::Null, any),
        (
            "POST",
            "/route/explain".into(),
            body("lab/open", json!({})),
            any,
        ),
        ("GET", "/key".into(), Value::Null, any),
        ("GET", "/auth/key".into(), Value::Null, any),
        (
            "GET",
            "/privacy".into(),
            Value::Null,
            &["inference", "read:privacy"],
        ),
        ("PATCH", "/privacy".into(), json!({}), &["write:privacy"]),
        (
            "GET",
            "/logs".into(),
            Value::Null,
            &["inference", "read:analytics"],
        ),
        (
            "GET",
            "/keys".into(),
            Value::Null,
            &["read:llm-keys", "read:management-keys"],
        ),
        (
            "POST",
            "/keys".into(),
            json!({"name": "n"}),
            &["write:llm-keys"],
        ),
        (
            "POST",
            "/keys".into(),
            json!({"name": "n", "type": "management", "scopes": []}),
            &["write:management-keys"],
        ),
        (
            "GET",
            format!("/keys/{hash}"),
            Value::Null,
            &["read:llm-keys"],
        ),
        (
            "PATCH",
            format!("/keys/{hash}"),
            json!({"name": "m"}),
            &["write:llm-keys"],
        ),
        (
            "POST",
            format!("/keys/{hash}/reveal"),
            Value::Null,
            &["read:llm-keys"],
        ),
        (
            "DELETE",
            format!("/keys/{hash}-"),
            Value::Null,
            &["write:llm-keys", "write:management-keys"],
        ),
    ];
    for scope in SCOPES {
        let key = key_with(&server, scope);
        for (method, path, sent, allowed) in &matrix {
            let mut request = server.request(method, path).bearer_auth(&key);
            if !sent.is_null() {
                request = request.json(sent);
            }
            let response = request.send().unwrap();
            let status = response.status().as_u16();
            let answer: Value = response.json().unwrap();
            let refused = answer["error"]["code"] == "insufficient_scope";
            assert_eq!(
                refused,
                !allowed.contains(&scope),
                "{scope}: {method} {path}: {status} {answer}"
            );
            assert_eq!(
                refused,
                status == 403,
                "{scope}: {method} {path}: {status} {answer}"
            );
        }
    }
    for path in [
        "/models",
        "/models/count",
        "/providers",
        "/endpoints/zdr",
        "/models/lab/open/endpoints",
        "/health",
    ] {
        assert_eq!(
            server.request("GET", path).send().unwrap().status(),
            200,
            "{path} needs no key"
        );
    }
    for path in [
        "/key",
        "/keys",
        "/privacy",
        "/logs",
        "/generation?id=gen-000000000000000000000000",
        "/models/user",
    ] {
        assert_eq!(
            server.request("GET", path).send().unwrap().status(),
            401,
            "{path} needs one"
        );
    }
}

#[test]
fn a_key_is_shown_once_listed_by_hash_and_never_revealed() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let response = server.post(
        "/keys",
        &server.management,
        &json!({"name": "mine", "requests_per_minute": 9}),
    );
    assert_eq!(response.status(), 201);
    let made: Value = response.json().unwrap();
    let (key, hash) = (
        made["key"].as_str().unwrap(),
        made["data"]["hash"].as_str().unwrap(),
    );
    assert!(key.starts_with("sk-ar-v1-") && key.len() == 73);
    let label = format!("{}…{}", &key[..12], &key[69..]);
    assert_eq!(
        (
            &made["data"]["label"],
            &made["data"]["can_reveal"],
            &made["data"]["requests_per_minute"]
        ),
        (&json!(label), &json!(false), &json!(9))
    );
    let list = server.get("/keys", &server.management).text().unwrap();
    assert!(list.contains(hash) && !list.contains(key));
    let reveal = server
        .request("POST", &format!("/keys/{hash}/reveal"))
        .bearer_auth(&server.management)
        .send()
        .unwrap();
    assert_eq!(reveal.status(), 409);
    assert_eq!(
        server
            .post("/chat/completions", key, &body("lab/open", json!({})))
            .status(),
        200
    );
    let own: Value = server.get("/key", key).json().unwrap();
    assert_eq!(
        (&own["data"]["label"], &own["data"]["is_management_key"]),
        (&json!(label), &json!(false))
    );
    let began = std::time::Instant::now();
    loop {
        let row: Value = server
            .get(&format!("/keys/{hash}"), &server.management)
            .json()
            .unwrap();
        if row["data"]["last_used_at"].is_string() {
            assert_eq!(row["data"]["usage"], json!(0.000_025));
            break;
        }
        assert!(began.elapsed().as_secs() < 10);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for (bad, param) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "expires_at": "tomorrow"}), "expires_at"),
        (
            json!({"name": "x", "allowed_ips": ["10.0.0.0/99"]}),
            "allowed_ips",
        ),
        (json!({"name": "x", "limit": 5}), "limit"),
        (
            json!({"name": "x", "requests_per_minute": 0}),
            "requests_per_minute",
        ),
        (json!({"name": "x", "color": "red"}), "color"),
    ] {
        let answer: Value = server
            .post("/keys", &server.management, &bad)
            .json()
            .unwrap();
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["param"]),
            (&json!("invalid_parameter"), &json!(param)),
            "{bad}: {answer}"
        );
    }
    let grant: Value = server
        .post(
            "/keys",
            &key_with(&server, "write:llm-keys"),
            &json!({"name": "x", "scopes": ["write:account"]}),
        )
        .json()
        .unwrap();
    assert_eq!(
        grant["error"]["code"], "insufficient_scope",
        "a key cannot hand on what it has not"
    );
}

#[test]
fn an_inference_key_sees_the_records_of_its_own_requests_alone() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let other = key_with(&server, "inference");
    let response = server.chat("lab/open", json!({"session_id": "s-1"}));
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let generation = id.replace("req_", "gen-");
    for path in [
        format!("/generation?id={generation}"),
        format!("/generation/{generation}"),
        format!("/logs/{id}"),
    ] {
        let record: Value = server.get(&path, &server.key).json().unwrap();
        assert_eq!(
            (&record["data"]["id"], &record["data"]["session_id"]),
            (&json!(generation), &json!("s-1")),
            "{path}"
        );
        assert_eq!(server.get(&path, &other).status(), 404, "{path}");
        assert_eq!(
            server.get(&path, &server.management).status(),
            200,
            "{path}"
        );
    }
    let count = |path: &str, key: &str| {
        server.get(path, key).json::<Value>().unwrap()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        (count("/logs", &server.key), count("/logs", &other)),
        (1, 0)
    );
    assert_eq!(
        (
            count("/logs?model=lab/open", &server.key),
            count("/logs?model=lab/anth", &server.key)
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count("/logs?status=200", &server.key),
            count("/logs?status=ok", &server.key),
            count("/logs?status=429", &server.key)
        ),
        (1, 1, 0)
    );
}

#[test]
fn privacy_settings_change_by_what_is_named_and_refuse_what_would_not_be_kept() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let settings: Value = server.get("/privacy", &server.key).json().unwrap();
    assert_eq!(
        settings,
        json!({"allow_training_paid": false, "allow_training_free": false, "allow_publication": false, "enforce_zdr": false,
               "max_retention_days": null, "regions": null, "block": [], "allow": null, "block_models": [], "allow_models": null,
               "log_bodies": false, "body_retention_days": 7, "redact_stored": true, "redact_upstream": false, "own_credentials_only": false, "redaction_rules": [],
               "metadata_retention_days": 30, "client_metadata": "strip"})
    );
    server.patch_privacy(&json!({"max_retention_days": 3, "block": ["x"]}));
    server.patch_privacy(&json!({"max_retention_days": null}));
    let settings: Value = server.get("/privacy", &server.key).json().unwrap();
    assert_eq!(
        (&settings["max_retention_days"], &settings["block"]),
        (&Value::Null, &json!(["x"]))
    );
    for bad in [
        json!({"zdr": true}),
        json!({"enforce_zdr": "yes"}),
        json!({"log_bodies": true}),
        json!({"redact_upstream": "yes"}),
        json!({"client_metadata": "keep"}),
        json!({"redaction_rules": [{"label": "x"}]}),
        json!({"metadata_retention_days": 7}),
        json!([]),
    ] {
        let response = server
            .request("PATCH", "/privacy")
            .bearer_auth(&server.management)
            .json(&bad)
            .send()
            .unwrap();
        assert_eq!(response.status(), 400, "{bad}");
    }
}

#[test]
fn the_catalog_is_listed_narrowed_and_in_the_shape_that_is_asked_for() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let get = |path: &str| -> Value { server.request("GET", path).send().unwrap().json().unwrap() };
    let ids = |v: &Value| {
        v["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = get("/models");
    assert_eq!(all["object"], "list");
    let row = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["id"] == "openai/gpt-4o-mini")
        .unwrap();
    assert_eq!(row["pricing"]["prompt"], "0.15");
    assert_eq!(row["available"], false, "there is no key for it");
    assert_eq!(get("/models?q=demo/echo")["data"][0]["available"], true);
    assert_eq!(row["pricing_per_token"]["completion"], "0.0000006");
    for member in [
        "object",
        "name",
        "display_name",
        "provider",
        "owned_by",
        "category",
        "created",
        "description",
        "context_length",
        "capabilities",
        "supported_parameters",
        "architecture",
        "top_provider",
    ] {
        assert!(!row[member].is_null(), "{member}: {row}");
    }
    assert!(
        ids(&get("/models?provider=anthropic"))
            .iter()
            .all(|id| id.starts_with("anthropic/"))
    );
    assert!(ids(&get("/models?q=haiku")).contains(&"anthropic/claude-haiku-5-5".to_owned()));
    assert!(
        get("/models?zdr=true")["data"].as_array().unwrap().len()
            < all["data"].as_array().unwrap().len()
    );
    assert!(ids(&get("/models?capability=vision&min_context=1000000")).len() > 3);
    assert_eq!(
        get("/models/count")["data"]["count"],
        all["data"].as_array().unwrap().len()
    );
    let mine: Value = server.get("/models", &server.key).json().unwrap();
    let unfiltered: Value = server.get("/models?privacy=0", &server.key).json().unwrap();
    assert!(
        ids(&mine).len() < ids(&unfiltered).len(),
        "the caller's privacy filter applies"
    );
    assert!(!ids(&mine).contains(&"google/gemini-2.5-pro".to_owned()));
    assert_eq!(
        ids(&server.get("/models/user", &server.key).json().unwrap()),
        ids(&mine)
    );
    let anthropic: Value = server
        .request("GET", "/models")
        .header("anthropic-version", "2023-06-01")
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        (&anthropic["has_more"], &anthropic["data"][0]["type"]),
        (&json!(false), &json!("model"))
    );
    let endpoints = get("/models/deepseek/deepseek-v4-pro/endpoints");
    let tags: BTreeSet<&str> = endpoints["data"]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["tag"].as_str().unwrap())
        .collect();
    assert!(tags.contains("deepseek") && tags.contains("deepinfra"));
    let zdr = get("/endpoints/zdr");
    assert!(
        zdr["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(
                |e| e["zdr"] == true && e["terms"]["zdr"]["source"].is_string()
                    || e["provider"] == "demo"
            )
    );
    let providers = get("/providers");
    let slugs: Vec<&str> = providers["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["slug"].as_str().unwrap())
        .collect();
    for named in [
        "openai",
        "anthropic",
        "google",
        "x-ai",
        "z-ai",
        "deepinfra",
        "together",
        "groq",
        "mistral",
    ] {
        assert!(slugs.contains(&named), "P27 names {named}");
    }
    for p in providers["data"].as_array().unwrap() {
        for (name, fact) in p["terms"].as_object().unwrap() {
            let sourced = fact["source"].is_string() && fact["checked"].is_string();
            assert!(
                fact["known"] == false || sourced || p["slug"] == "demo",
                "{}: {name} has no source",
                p["slug"]
            );
        }
    }
}

#[test]
fn a_member_that_is_wrong_is_named_and_a_provider_that_nobody_is_is_warned_of() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let patch = |body: Value| -> Value {
        server
            .request("PATCH", "/privacy")
            .bearer_auth(&server.management)
            .json(&body)
            .send()
            .unwrap()
            .json()
            .unwrap()
    };
    for (body, param) in [
        (json!({"enforce_zdr": "maybe"}), "enforce_zdr"),
        (json!({"block": "groq"}), "block"),
        (json!({"block": ["groq", 5]}), "block[1]"),
        (json!({"enforce_zrd": true}), "enforce_zrd"),
    ] {
        assert_eq!(patch(body)["error"]["param"], param);
    }
    let answer = patch(json!({"block": ["groq", "opnai"]}));
    assert_eq!(
        answer["block"],
        json!(["groq", "opnai"]),
        "it is kept: one of that name may come"
    );
    assert_eq!(answer["warnings"].as_array().map(Vec::len), Some(1));
    assert!(
        answer["warnings"][0].as_str().unwrap().contains("opnai"),
        "{answer}"
    );
    assert!(patch(json!({"block": ["Z.AI"]}))["warnings"].is_null());
}

#[test]
fn one_model_is_found_by_its_id_however_it_is_escaped() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    for path in ["/models/demo/echo", "/models/demo%2Fecho"] {
        let model: Value = server.request("GET", path).send().unwrap().json().unwrap();
        assert_eq!(
            (&model["id"], &model["object"]),
            (&json!("demo/echo"), &json!("model")),
            "{path}"
        );
    }
    assert_eq!(
        server
            .request("GET", "/models/demo/ecko")
            .send()
            .unwrap()
            .status(),
        404
    );
}

#[test]
fn keys_that_were_lost_are_replaced_while_the_server_does_not_run() {
    let mut server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let run = |dir: &std::path::Path| {
        crate::harness::command(&[])
            .args([
                "--config",
                "anyrouter.toml",
                "--data-dir",
                "data",
                "--new-keys",
            ])
            .current_dir(dir)
            .output()
            .unwrap()
    };
    let while_running = run(server.dir.path());
    assert!(String::from_utf8_lossy(&while_running.stderr).contains("stop it first"));
    server.kill();
    let made = String::from_utf8(run(server.dir.path()).stdout).unwrap();
    server.start_again();
    let key = made
        .split_whitespace()
        .find(|w| w.starts_with("ak_"))
        .unwrap_or_else(|| panic!("{made}"));
    assert_eq!(server.get("/keys", key).status(), 200);
    assert_eq!(
        server.get("/keys", &server.management).status(),
        200,
        "the first ones stay as they are"
    );
}

#[test]
fn the_documentation_is_served_and_errors_point_to_it() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let root = server.base.replace("/api/v1", "");
    let get = |path: &str| server.http.get(format!("{root}{path}")).send().unwrap();
    let index: Value = get("/docs/index.json").json().unwrap();
    for page in index["pages"].as_array().unwrap() {
        let page = get(page["url"].as_str().unwrap());
        assert_eq!(
            (
                page.status().as_u16(),
                page.headers()["content-type"].to_str().unwrap()
            ),
            (200, "text/markdown; charset=utf-8")
        );
    }
    let error: Value = server.chat("nobody/knows", json!({})).json().unwrap();
    let url = error["error"]["availability"]["docs_url"].as_str().unwrap();
    assert!(
        get(url).text().unwrap().contains("model_not_found"),
        "{url}"
    );
    assert_eq!(get("/docs/nothing.md").status(), 404);
    for list in ["/docs.md", "/llms.txt"] {
        let text = get(list).text().unwrap();
        for page in index["pages"].as_array().unwrap() {
            assert!(
                text.contains(page["url"].as_str().unwrap()),
                "{list}: {text}"
            );
        }
    }
    assert!(get("/llms-full.txt").text().unwrap().contains("durability"));
}

#[test]
fn what_is_not_there_is_a_404_in_the_contracts_shape() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    for path in ["/nothing", "/embeddings", "/rerank", "/credits"] {
        let response = server
            .request("POST", path)
            .bearer_auth(&server.key)
            .json(&json!({}))
            .send()
            .unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert!(response.headers().contains_key("x-request-id"));
        let answer: Value = response.json().unwrap();
        assert_eq!(
            (&answer["error"]["type"], &answer["error"]["http_status"]),
            (&json!("not_found_error"), &json!(404))
        );
    }
    assert_eq!(
        server
            .request("POST", "/images/generations")
            .json(&json!({}))
            .send()
            .unwrap()
            .status(),
        410
    );
    assert_eq!(
        server.request("DELETE", "/models").send().unwrap().status(),
        405
    );
    let root = server.base.replace("/api/v1", "");
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/v1/models", 200),
        ("/api/v1/health", 200),
        ("/", 200),
        ("/x", 404),
    ] {
        assert_eq!(
            server
                .http
                .get(format!("{root}{path}"))
                .send()
                .unwrap()
                .status(),
            status,
            "{path}"
        );
    }
    let preflight = server
        .request("OPTIONS", "/chat/completions")
        .header("origin", "https://page.example")
        .send()
        .unwrap();
    assert_eq!(
        (
            preflight.status().as_u16(),
            &preflight.headers()["access-control-allow-origin"]
        ),
        (204, &"*".parse().unwrap())
    );
}

#[test]
fn a_management_key_cannot_make_one_that_may_more() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let small = key_with(&server, "write:management-keys");
    let made: Value = server
        .post(
            "/keys",
            &small,
            &json!({"name": "big", "type": "management"}),
        )
        .json()
        .unwrap();
    assert_eq!(
        made["data"]["scopes"],
        json!(["write:management-keys"]),
        "{made}"
    );
}

#[test]
fn a_change_of_a_keys_privacy_names_only_what_changes() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let made: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": "k", "privacy": {"enforce_zdr": true, "block": ["groq"]}}),
        )
        .json()
        .unwrap();
    let path = format!("/keys/{}", made["data"]["hash"].as_str().unwrap());
    let changed: Value = server
        .request("PATCH", &path)
        .bearer_auth(&server.management)
        .json(&json!({"privacy": {"regions": ["eu"]}}))
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        changed["data"]["privacy"],
        json!({"enforce_zdr": true, "regions": ["eu"], "block": ["groq"]})
    );
}

#[test]
fn parameters_of_the_wrong_type_are_400_in_the_contracts_shape() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    for path in [
        "/logs?limit=x",
        "/logs/%ff",
        "/models?min_context=abc",
        "/models?q=a&q=b",
        "/logs?before=garbage",
    ] {
        let response = server.get(path, &server.key);
        assert_eq!(response.status(), 400, "{path}");
        assert_eq!(
            response.json::<Value>().unwrap()["error"]["code"],
            "invalid_parameter",
            "{path}"
        );
    }
    assert_eq!(server.get("/chat/completions", &server.key).status(), 405);
}

#[test]
fn a_privacy_filter_that_is_misspelt_is_not_passed_over() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    assert_eq!(server.get("/models?zdr=1", &server.key).status(), 200);
    let answer: Value = server.get("/models?zdr=maybe", &server.key).json().unwrap();
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["param"]),
        (&json!("invalid_parameter"), &json!("zdr"))
    );
}

#[test]
fn the_api_describes_itself() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let described: Value = server.get("/openapi.json", "").json().unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{:?}", paths.keys());
    // Each description is of something: whatever it answers, it is not that there is nothing, or
    // that it takes another method.
    for (path, methods) in paths {
        let path = path
            .trim_start_matches("/api/v1")
            .replace("{author}/{slug}", "demo/echo")
            .replace("/models/{id}", "/models/echo");
        for method in methods.as_object().unwrap().keys() {
            let answer = server
                .request(&method.to_uppercase(), &path)
                // One address takes a GET only with it.
                .header("upgrade", "websocket")
                .send()
                .unwrap();
            let (status, text) = (answer.status().as_u16(), answer.text().unwrap());
            assert!(
                status != 405 && !text.contains("there is nothing at this address"),
                "{method} {path}: {status} {text}"
            );
        }
    }
    let schemas = described["components"]["schemas"].as_object().unwrap();
    for name in [
        "Settings",
        "SettingsPatch",
        "Explanation",
        "Generation",
        "KeyOptions",
        "ErrorAnswer",
    ] {
        assert!(
            schemas.contains_key(name),
            "{name} among {:?}",
            schemas.keys()
        );
    }
}

#[test]
fn the_last_management_key_is_revoked_only_by_force() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let keys: Value = server.get("/keys", &server.management).json().unwrap();
    let own = keys["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["type"] == "management")
        .unwrap()["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let revoke = |query: &str| {
        server
            .request("DELETE", &format!("/keys/{own}{query}"))
            .bearer_auth(&server.management)
            .send()
            .unwrap()
    };
    let refused = revoke("");
    assert_eq!(refused.status(), 409);
    assert_eq!(
        refused.json::<Value>().unwrap()["error"]["code"],
        "last_management_key"
    );
    assert_eq!(
        server.get("/keys", &server.management).status(),
        200,
        "it still is good"
    );
    assert_eq!(revoke("?force=true").status(), 200);
    assert_eq!(server.get("/keys", &server.management).status(), 401);
}

#[test]
fn a_misspelt_provider_is_told_wherever_it_stands() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), "", &[]);
    let body = |provider: Value| json!({"model": "demo/echo", "messages": [{"role": "user", "content": "x"}], "provider": provider});
    // Settings keep it, and warn.
    let kept: Value = server
        .request("PATCH", "/privacy")
        .bearer_auth(&server.management)
        .json(&json!({"block": ["groqq"]}))
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert!(
        kept["warnings"][0]
            .as_str()
            .is_some_and(|w| w.contains("`groq`")),
        "{kept}"
    );
    let explained: Value = server
        .post(
            "/route/explain",
            &server.key,
            &body(json!({"ignore": ["anthropc"]})),
        )
        .json()
        .unwrap();
    assert!(
        explained["warnings"][0]
            .as_str()
            .is_some_and(|w| w.contains("`anthropic`")),
        "{explained}"
    );
    // A request that would not restrict as it means is refused; a name that is like none is a note.
    for list in ["ignore", "only"] {
        let refused = server.post(
            "/chat/completions",
            &server.key,
            &body(json!({list: ["anthropc"]})),
        );
        assert_eq!(refused.status(), 400, "{list}");
        let answer: Value = refused.json().unwrap();
        assert!(
            answer["error"]["param"] == format!("provider.{list}")
                && answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("`anthropic`"),
            "{answer}"
        );
    }
    let served: Value = server
        .post(
            "/chat/completions",
            &server.key,
            &body(json!({"ignore": ["quite-another"]})),
        )
        .json()
        .unwrap();
    assert!(
        served["anyrouter_metadata"]["notes"][0]
            .as_str()
            .is_some_and(|n| n.contains("`quite-another`")),
        "{served}"
    );
}
