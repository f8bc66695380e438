//! The database as an operator meets it: a data folder of the version before, totals that can be
//! proved, a reader that takes long.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyrouter_core::{
    catalog::Protocol,
    ids::RequestId,
    key::KeyHash,
    time::Timestamp,
    usage::{Opening, Outcome, Record, Tokens},
};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::{
    harness::{Server, body, command, every_protocol},
    upstream::{Act, Upstream, completion},
};

/// The records of the old data folder: some in the gate, a million where `TEST_ROWS` says so.
fn rows() -> u64 {
    std::env::var("TEST_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(30_000)
}

/// The tables as version 2 of the database had them.
const VERSION_2: &str = "
    DROP TABLE usage; DROP TABLE usage_hour; DROP TABLE key_spend; DROP TABLE app;
    DROP TABLE usage_unreadable; DROP TABLE credential; DROP TABLE account_key;
    ALTER TABLE account DROP COLUMN version;
    ALTER TABLE key DROP COLUMN version;
    CREATE TABLE usage (account TEXT NOT NULL, id BLOB NOT NULL, record TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX usage_by_account ON usage(account, id);
    PRAGMA user_version = 2;
";

fn database(server: &Server) -> Connection {
    Connection::open(server.dir.path().join("data/anyrouter.db")).unwrap()
}

/// The nth record of an old folder: some hundred to an hour, of different models and outcomes.
fn old_record(n: u64, account: &str, key: KeyHash) -> Record {
    let at = Timestamp::from_millis(1_790_000_000_000 + n * 20_000);
    let mut random = [0; 6];
    random[..].copy_from_slice(&n.to_be_bytes()[2..]);
    let mut record = Record::opened(Opening {
        id: RequestId::new(at, random),
        account: account.into(),
        key_hash: key,
        at,
        ip: None,
        inbound: Protocol::Chat,
        model_requested: Some(format!("lab/{}", n % 3)),
        endpoint: None,
    });
    record.model = Some(format!("lab/{}", n % 3).as_str().into());
    record.outcome = Outcome::ALL[(n % 2) as usize];
    record.http_status = if n.is_multiple_of(2) { 200 } else { 502 };
    record.tokens = Tokens {
        prompt: n % 1000,
        completion: 7,
        ..Tokens::default()
    };
    record.cost = Some(anyrouter_core::catalog::Usd::from_pico(n));
    record
}

/// A server's data folder with so many records, as version 2 had left it.
fn make_old(server: &mut Server, rows: u64) -> KeyHash {
    let own: Value = server.get("/key", &server.key).json().unwrap();
    let key = KeyHash::parse(own["data"]["hash"].as_str().unwrap()).unwrap();
    server.kill();
    let mut connection = database(server);
    let account: String = connection
        .query_row("SELECT id FROM account", [], |row| row.get(0))
        .unwrap();
    connection.execute_batch(VERSION_2).unwrap();
    // There was no key ring, and the placeholders' key was a file of its own.
    let data = server.dir.path().join("data");
    std::fs::remove_file(data.join("keyring.toml")).unwrap();
    std::fs::write(data.join("placeholder.key"), [7; 32]).unwrap();
    let transaction = connection.transaction().unwrap();
    {
        let mut insert = transaction
            .prepare("INSERT INTO usage VALUES (?1, ?2, ?3)")
            .unwrap();
        for n in 0..rows {
            let record = old_record(n, &account, key);
            let json = serde_json::to_string(&record).unwrap();
            insert
                .execute(params![account, record.id.as_bytes().as_slice(), json])
                .unwrap();
        }
    }
    let damaged = "INSERT INTO usage VALUES (?1, x'000000000000000000000000', '{\"of\": \"another program\"}')";
    transaction.execute(damaged, params![account]).unwrap();
    transaction.commit().unwrap();
    key
}

/// Runs the server on a folder until `enough` is in what it says, then kills it.
fn run_until(dir: &Path, enough: &str) {
    let err = std::fs::File::create(dir.join("migration")).unwrap();
    let mut child = command(&[("UPSTREAM_KEY".to_owned(), "k".to_owned())])
        .args(["--config", "anyrouter.toml", "--listen", "127.0.0.1:0"])
        .args(["--data-dir", "data"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(err)
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        let said = std::fs::read_to_string(dir.join("migration")).unwrap();
        if said.contains(enough) {
            break;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended, and said: {said}");
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "it said: {said}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Counts the totals of a stopped server again: what it said, and its exit code.
fn recount(server: &Server) -> (String, i32) {
    let output = command(&[("UPSTREAM_KEY".to_owned(), "k".to_owned())])
        .args(["--config", "anyrouter.toml", "--data-dir", "data"])
        .arg("--recount-totals")
        .current_dir(server.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (said, output.status.code().unwrap())
}

#[test]
fn a_data_folder_of_the_version_before_is_migrated_though_it_is_killed_on_the_way() {
    let upstream = Upstream::start();
    let mut server = every_protocol(&upstream).start();
    let rows = rows();
    make_old(&mut server, rows);
    run_until(server.dir.path(), "usage records get columns");
    let moved: u64 = database(&server)
        .query_row("SELECT count(*) FROM usage_columns", [], |row| row.get(0))
        .expect("it was killed on the way");
    assert!(moved > 0 && moved < rows, "{moved} of {rows}");
    run_until(server.dir.path(), "usage records get columns");
    run_until(server.dir.path(), &format!("{0} of {0}", rows + 1));
    server.start_again();
    let data = server.dir.path().join("data");
    let ring = std::fs::read_to_string(data.join("keyring.toml")).unwrap();
    // 32 times the byte 7.
    assert!(ring.contains("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="));
    assert!(!data.join("placeholder.key").exists());
    let kept: String = database(&server)
        .query_row("SELECT record FROM usage_unreadable", [], |row| row.get(0))
        .unwrap();
    assert!(
        kept.contains("another program"),
        "it stops nothing, and is not dropped"
    );

    let list = |query: &str| -> Vec<Value> {
        let answer = server.get(&format!("/logs?limit=1000{query}"), &server.key);
        assert_eq!(answer.status(), 200);
        let mut answer: Value = answer.json().unwrap();
        serde_json::from_value(answer["data"].take()).unwrap()
    };
    let mut seen = 0;
    let mut before = String::new();
    loop {
        let page = list(&before);
        for (record, n) in page.iter().zip((0..rows - seen).rev()) {
            assert_eq!(record["native_tokens_prompt"], n % 1000);
            assert_eq!(record["model"], format!("lab/{}", n % 3));
            assert_eq!(
                record["outcome"],
                if n % 2 == 0 { "ok" } else { "upstream_error" }
            );
        }
        seen += page.len() as u64;
        match page.last() {
            // Some of the oldest are enough where there are very many.
            Some(last) if seen < 30_000 => {
                before = format!("&before={}", last["request_id"].as_str().unwrap());
            }
            _ => break,
        }
    }
    assert_eq!(seen, rows.min(30_000));
    let requests: u64 = database(&server)
        .query_row("SELECT sum(requests) FROM usage_hour", [], |row| row.get(0))
        .unwrap();
    assert_eq!(requests, rows, "each is in the totals, once");
    server.signal("TERM");
    server.wait();
    let (said, code) = recount(&server);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn totals_are_exact_through_kills_and_wrong_ones_are_found_and_corrected() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let mut server = every_protocol(&upstream).start();
    for round in 0..4 {
        for app in ["one", "two"] {
            for _ in 0..10 {
                let answer = server
                    .request("POST", "/chat/completions")
                    .bearer_auth(&server.key)
                    .header("x-anyrouter-app", app)
                    .json(&body("lab/open", json!({})))
                    .send()
                    .unwrap();
                assert_eq!(answer.status(), 200);
            }
        }
        if round < 3 {
            server.kill();
            server.start_again();
        }
    }
    server.signal("TERM");
    server.wait();
    let (said, code) = recount(&server);
    assert_eq!(code, 0, "{said}");
    let connection = database(&server);
    let of_app = |app: &str| -> u64 {
        let sql = "SELECT sum(requests) FROM usage_hour WHERE app = ?1 AND outcome = 'ok'";
        connection.query_row(sql, [app], |row| row.get(0)).unwrap()
    };
    assert_eq!([of_app("one"), of_app("two")], [40, 40]);
    connection
        .execute(
            "UPDATE usage_hour SET cost = cost + 1 WHERE app = 'one'",
            [],
        )
        .unwrap();
    let (said, code) = recount(&server);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("1 were wrong"), "{said}");
    let (said, code) = recount(&server);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_apps_that_totals_tell_apart_are_bounded() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let mut server = every_protocol(&upstream).start();
    for n in 0..205 {
        server
            .request("POST", "/chat/completions")
            .bearer_auth(&server.key)
            .header("x-anyrouter-app", format!("app-{n}"))
            .json(&body("lab/open", json!({})))
            .send()
            .unwrap();
    }
    server.signal("TERM");
    server.wait();
    let (named, other): (u64, u64) = database(&server)
        .query_row(
            "SELECT count(DISTINCT app), sum(iif(app = '(other)', requests, 0)) FROM usage_hour",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((named, other), (201, 5));
    let (said, code) = recount(&server);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_key_shows_what_it_spent_today_this_week_and_this_month() {
    let upstream = Upstream::start();
    upstream.on("o", vec![Act::Json(200, completion("x"))]);
    let server = every_protocol(&upstream).start();
    let answer = server.chat("lab/open", json!({}));
    let cost = server.record(&answer)["total_cost"].as_f64().unwrap();
    assert!(cost > 0.0);
    let began = Instant::now();
    loop {
        let key: Value = server.get("/key", &server.key).json().unwrap();
        let spent = |member: &str| key["data"][member].as_f64().unwrap();
        if spent("usage") > 0.0 {
            for member in ["usage", "usage_daily", "usage_weekly", "usage_monthly"] {
                assert!((spent(member) - cost).abs() < 1e-12, "{member}: {key}");
            }
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{key}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn readiness_needs_a_database_that_can_be_written() {
    let upstream = Upstream::start();
    let server = every_protocol(&upstream).start();
    let ready = || -> u16 {
        let url = server.base.replace("/api/v1", "/readyz");
        server.http.get(url).send().unwrap().status().as_u16()
    };
    assert_eq!(ready(), 200);
    let other = database(&server);
    let probes = "SELECT count(*) FROM app WHERE name = 'a probe'";
    let left: u64 = other.query_row(probes, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "the probe does not stay");
    other
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON app BEGIN SELECT raise(ABORT, 'no'); END",
        )
        .unwrap();
    assert_eq!(ready(), 503, "it reads, and takes no row");
}
