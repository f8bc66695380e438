//! Every routing field, fallback, pin, cooldown and recovery, over real connections.

use serde_json::{Value, json};

use crate::{
    harness::{Server, Setup, body},
    upstream::{Act, Upstream, completion},
};

/// Three providers of one model, each with a name of its own for it.
fn three(upstream: &Upstream) -> Setup {
    let first = "priority = 1\nprice = { prompt = \"3\", completion = \"3\" }\nquantization = \"fp8\"\ncontext = 8000\nmax_output = 1000\ncapabilities = [\"tools\"]";
    let second = "priority = 2\nprice = { prompt = \"1\", completion = \"1\" }\nquantization = \"bf16\"\ncontext = 200000\nmax_output = 9000";
    let third = "priority = 3\nprice = { prompt = \"0\", completion = \"0\" }\ncontext = 1000000";
    for name in ["one", "two", "three", "other"] {
        upstream.on(name, vec![Act::Json(200, completion(name))]);
    }
    Setup::new()
        .provider("one", "openai_chat", upstream, "")
        .provider("Two", "openai_chat", upstream, "")
        .provider("three", "openai_chat", upstream, "")
        .model(
            "lab/x",
            &[
                ("one", "one", first),
                ("two", "two", second),
                ("three/eu", "three", third),
            ],
        )
        .model("lab/other", &[("one", "other", "")])
}

fn setup(upstream: &Upstream) -> Server {
    let mut setup = three(upstream);
    setup.toml = setup.toml.replace("slug = \"Two\"", "slug = \"two\"");
    setup.start()
}

/// Who answered.
fn by(server: &Server, model: &str, more: Value) -> String {
    let response = server.chat(model, more.clone());
    let answer: Value = response.json().unwrap();
    answer["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_else(|| panic!("{model} {more}: {answer}"))
        .to_owned()
}

#[test]
fn every_field_has_its_effect() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    let provider = |object: Value| json!({"provider": object});
    for (model, more, expected) in [
        ("lab/x", json!({}), "one"),
        ("x", json!({}), "one"),
        ("lab/x", provider(json!({"only": ["two"]})), "two"),
        (
            "lab/x",
            provider(json!({"only": ["TWO Inc", "three"]})),
            "two",
        ),
        ("lab/x", provider(json!({"ignore": ["one"]})), "two"),
        (
            "lab/x",
            provider(json!({"ignore": ["one", "two"]})),
            "three",
        ),
        ("lab/x", provider(json!({"only": ["three"]})), "three"),
        (
            "lab/x",
            provider(json!({"order": ["three", "two"]})),
            "three",
        ),
        (
            "lab/x",
            provider(json!({"order": ["two"], "allow_fallbacks": false})),
            "two",
        ),
        ("lab/x", provider(json!({"sort": "price"})), "three"),
        (
            "lab/x",
            provider(json!({"sort": {"by": "price", "partition": "none"}})),
            "three",
        ),
        ("lab/x", provider(json!({"sort": "exacto"})), "one"),
        ("lab/x:floor", json!({}), "three"),
        ("lab/x:free", json!({}), "three"),
        ("lab/x:nitro", json!({}), "one"),
        ("lab/x[100k]", json!({}), "two"),
        ("lab/x[1m]", json!({}), "three"),
        ("lab/x", json!({"min_context": 8001}), "two"),
        ("lab/x", json!({"max_tokens": 1001}), "one"),
        (
            "lab/x",
            json!({"max_tokens": 1001, "require_params": true}),
            "two",
        ),
        ("lab/x", provider(json!({"quantizations": ["bf16"]})), "two"),
        (
            "lab/x",
            provider(json!({"quantizations": ["unknown"]})),
            "three",
        ),
        (
            "lab/x",
            provider(json!({"max_price": {"prompt": 2, "completion": "2"}})),
            "two",
        ),
        (
            "lab/x",
            provider(json!({"zdr": true, "data_collection": "deny"})),
            "one",
        ),
        (
            "lab/x",
            json!({"tools": [], "require_params": true, "provider": {"sort": "price"}}),
            "one",
        ),
        (
            "lab/x",
            json!({"tools": [], "provider": {"sort": "price"}}),
            "one",
        ),
        ("nobody/knows", json!({"models": ["lab/other"]}), "other"),
        ("anyrouter/free", json!({}), "three"),
        ("anyrouter/auto", json!({}), "one"),
    ] {
        assert_eq!(by(&server, model, more.clone()), expected, "{model} {more}");
    }
    let pinned = |name: &str| -> Value {
        server
            .request("POST", "/chat/completions")
            .bearer_auth(&server.key)
            .header("X-AnyRouter-Provider", name)
            .json(&body("lab/x", json!({})))
            .send()
            .unwrap()
            .json()
            .unwrap()
    };
    assert_eq!(
        pinned("three/eu")["anyrouter_metadata"]["upstream"]["backend"],
        "three/eu/lab-x"
    );
    assert_eq!(
        pinned("two")["anyrouter_metadata"]["upstream"]["provider"],
        "two"
    );
    let answer: Value = server.chat("lab/x", json!({"model": "x"})).json().unwrap();
    assert_eq!(
        answer["model"], "lab/x",
        "the id of the model that answered, whatever name was asked for"
    );
}

#[test]
fn another_endpoint_is_tried_until_one_answers_and_each_attempt_is_recorded() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    upstream.on("one", vec![Act::Json(500, json!({}))]);
    upstream.on("two", vec![Act::Close]);
    let response = server.chat("lab/x", json!({}));
    let record = server.record(&response);
    assert_eq!(response.json::<Value>().unwrap()["provider"], "three Inc");
    let attempts: Vec<(&str, &str, Option<u64>)> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            (
                a["endpoint"].as_str().unwrap(),
                a["outcome"].as_str().unwrap(),
                a["http_status"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        attempts,
        [
            ("one/lab-x", "server_error", Some(500)),
            ("two/lab-x", "connection_failed", None),
            ("three/eu/lab-x", "ok", Some(200))
        ]
    );
}

#[test]
fn a_rejected_request_is_not_tried_elsewhere_but_the_next_model_is() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    upstream.on(
        "one",
        vec![Act::Json(
            400,
            json!({"error": {"code": "context_length_exceeded"}}),
        )],
    );
    let response = server.chat("lab/x", json!({}));
    assert_eq!(response.status(), 400);
    assert!(upstream.seen_of("two").is_empty());
    assert_eq!(
        by(&server, "lab/x", json!({"models": ["lab/other"]})),
        "other"
    );
    let explained: Value = server
        .post("/route/explain", &server.key, &body("lab/x", json!({})))
        .json()
        .unwrap();
    assert_eq!(
        explained["eligible"][0]["endpoint"], "one/lab-x",
        "and it does not cool the endpoint down"
    );
}

#[test]
fn a_failing_endpoint_cools_down_is_probed_and_comes_back() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    upstream.on(
        "one",
        vec![Act::Json(503, json!({})), Act::Json(200, completion("one"))],
    );
    assert_eq!(by(&server, "lab/x", json!({})), "two");
    assert_eq!(by(&server, "lab/x", json!({})), "two");
    assert_eq!(upstream.seen_of("one").len(), 1, "it is left alone");
    let explained: Value = server
        .post("/route/explain", &server.key, &body("lab/x", json!({})))
        .json()
        .unwrap();
    assert_eq!(
        (
            &explained["excluded"][0]["endpoint"],
            &explained["excluded"][0]["reasons"][0]["rule"]
        ),
        (&json!("one/lab-x"), &json!("cooldown"))
    );
    assert_eq!(explained["excluded"][0]["reasons"][0]["layer"], "endpoint");
    assert!(
        explained["relax"].as_array().unwrap().is_empty(),
        "no setting lifts a cooldown"
    );

    let pinned = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .header("X-AnyRouter-Provider", "one")
        .json(&body("lab/x", json!({})))
        .send()
        .unwrap();
    assert_eq!(pinned.status(), 503, "a pin fails at once");
    assert!(pinned.headers().contains_key("retry-after"));
    assert_eq!(
        pinned.json::<Value>().unwrap()["error"]["code"],
        "temporarily_unavailable"
    );

    let began = std::time::Instant::now();
    while by(&server, "lab/x", json!({})) != "one" {
        assert!(began.elapsed().as_secs() < 20, "it does not come back");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn nothing_is_ever_sent_outside_the_eligible_set() {
    let upstream = Upstream::start();
    let trains = "tier = \"paid\"\nterms = { trains_on_paid = true, zdr = true }";
    for name in ["clean", "trains"] {
        upstream.on(name, vec![Act::Json(500, json!({}))]);
    }
    let server = Setup::new()
        .provider("clean", "openai_chat", &upstream, "")
        .provider("trains", "openai_chat", &upstream, trains)
        .model(
            "lab/x",
            &[
                ("trains", "trains", "priority = 1"),
                ("clean", "clean", "priority = 2"),
            ],
        )
        .model("lab/only", &[("trains", "trains", "")])
        .start();
    // Fallback, pin, order, alias, list: all go through the same door.
    for more in [
        json!({}),
        json!({"provider": {"order": ["trains"]}}),
        json!({"models": ["lab/only"]}),
        json!({"provider": {"data_collection": "allow"}}),
    ] {
        assert!(server.chat("lab/x", more).status().is_server_error());
    }
    let pinned = server
        .request("POST", "/chat/completions")
        .bearer_auth(&server.key)
        .header("X-AnyRouter-Provider", "trains")
        .json(&body("lab/x", json!({})))
        .send()
        .unwrap();
    assert_eq!(pinned.status(), 404);
    assert!(upstream.seen_of("trains").is_empty());
    server.patch_privacy(&json!({"allow_training_paid": true}));
    server.chat("lab/only", json!({}));
    assert_eq!(
        upstream.seen_of("trains").len(),
        1,
        "opting in holds from the next request on"
    );
}

#[test]
fn a_block_and_a_key_of_its_own_hold_from_the_next_request_on() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    assert_eq!(by(&server, "lab/x", json!({})), "one");
    server.patch_privacy(&json!({"block": ["one"]}));
    assert_eq!(by(&server, "lab/x", json!({})), "two");
    server.patch_privacy(&json!({"block": []}));
    let made: Value = server
        .post(
            "/keys",
            &server.management,
            &json!({"name": "strict", "privacy": {"block": ["one", "two"]}}),
        )
        .json()
        .unwrap();
    let (key, hash) = (
        made["key"].as_str().unwrap(),
        made["data"]["hash"].as_str().unwrap(),
    );
    let ask = || -> Value {
        server
            .post("/chat/completions", key, &body("lab/x", json!({})))
            .json()
            .unwrap()
    };
    assert_eq!(ask()["provider"], "three Inc");
    let change = server
        .request("PATCH", &format!("/keys/{hash}"))
        .bearer_auth(&server.management)
        .json(&json!({"privacy": {"block": []}}))
        .send()
        .unwrap();
    assert_eq!(change.status(), 200);
    assert_eq!(ask()["provider"], "one Inc");
    server.patch_privacy(&json!({"allow": ["three"]}));
    assert_eq!(ask()["provider"], "three Inc", "a key can only be stricter");
}

#[test]
fn a_restriction_holds_however_its_name_is_written() {
    let upstream = Upstream::start();
    let server = setup(&upstream);
    for pattern in ["lab/x", "LAB/X", "x", "lab/x:free", " lab/x", "LAB/*"] {
        server.patch_privacy(&json!({"block_models": [pattern]}));
        assert_eq!(server.chat("lab/x", json!({})).status(), 404, "{pattern}");
    }
    server.patch_privacy(&json!({"block_models": []}));
    for pattern in ["one/", "One", "ONE Inc"] {
        assert_eq!(
            by(&server, "lab/x", json!({"provider": {"ignore": [pattern]}})),
            "two",
            "{pattern}"
        );
    }
    for pin in [&b"M\xc3\xbcller"[..], b"\xff\xfe"] {
        let pin = reqwest::header::HeaderValue::from_bytes(pin).unwrap();
        let response = server
            .request("POST", "/chat/completions")
            .bearer_auth(&server.key)
            .header("X-AnyRouter-Provider", pin)
            .json(&body("lab/x", json!({})))
            .send()
            .unwrap();
        assert_eq!(response.status(), 404, "a pin that cannot be read is a pin");
    }
}

#[test]
fn a_virtual_name_reaches_a_model_of_ones_own_behind_all_that_is_built_in() {
    let upstream = Upstream::start();
    upstream.on("up", vec![Act::Json(200, completion("mine"))]);
    let toml = format!(
        "[[provider]]\nslug = \"house\"\nprotocol = \"openai_chat\"\nbase_url = \"http://{}/v1\"\nterms = {{ self_hosted = true }}\n\
         [[model]]\nid = \"house/llama\"\n[[model.endpoint]]\nprovider = \"house\"\nupstream_model = \"up\"\nprice = {{ prompt = \"0\", completion = \"0\" }}",
        upstream.address
    );
    let server = Server::start_in(tempfile::tempdir().unwrap(), &toml, &[]);
    let answer: Value = server.chat("anyrouter/auto", json!({})).json().unwrap();
    assert_eq!(answer["model"], "house/llama", "{answer}");
}
