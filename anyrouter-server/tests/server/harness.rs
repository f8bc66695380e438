//! Starts the real binary with a configuration, and asks it things.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::upstream::Upstream;

/// Terms that answer every rule.
pub(crate) const CLEAN: &str = "terms = { trains_on_paid = false, trains_on_free = false, publishes_free = false, retention_days = 0, zdr = true, regions = [\"eu\"], source = \"https://example.test/terms\", checked = \"2026-10-01\" }";

/// A configuration, put together.
pub(crate) struct Setup {
    pub(crate) toml: String,
    pub(crate) env: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            toml: "[catalog]\nbuiltin = false\n".to_owned(),
            env: vec![("UPSTREAM_KEY".to_owned(), "upstream-secret-key".to_owned())],
        }
    }

    /// A provider at `upstream`. `more` goes into its table.
    pub(crate) fn provider(
        mut self,
        slug: &str,
        protocol: &str,
        upstream: &Upstream,
        more: &str,
    ) -> Self {
        let terms = if more.contains("terms") { "" } else { CLEAN };
        self.toml += &format!(
            "[[provider]]\nslug = \"{slug}\"\nname = \"{slug} Inc\"\nprotocol = \"{protocol}\"\nbase_url = \"http://{}/v1\"\napi_key = {{ env = \"UPSTREAM_KEY\" }}\n{}\n{more}\n{terms}\n",
            upstream.address,
            if more.contains("tier") {
                ""
            } else {
                "tier = \"paid\""
            },
        );
        self
    }

    /// A model at providers; each with its upstream name, and more for its table.
    pub(crate) fn model(mut self, id: &str, endpoints: &[(&str, &str, &str)]) -> Self {
        self.toml += &format!("[[model]]\nid = \"{id}\"\n");
        for (provider, upstream_model, more) in endpoints {
            let price = if more.contains("price") {
                ""
            } else {
                "price = { prompt = \"1\", completion = \"2\" }"
            };
            self.toml += &format!(
                "[[model.endpoint]]\nprovider = \"{provider}\"\nupstream_model = \"{upstream_model}\"\n{price}\n{more}\n"
            );
        }
        self
    }

    pub(crate) fn more(mut self, toml: &str) -> Self {
        self.toml = format!("{toml}\n{}", self.toml);
        self
    }

    /// With the provider that answers in the server's own process, as `echo`.
    pub(crate) fn start_with_demo(mut self) -> Server {
        self.toml += &format!(
            "[[provider]]\nslug = \"echo\"\nprotocol = \"openai_chat\"\nbase_url = \"demo:\"\n{CLEAN}\n"
        );
        self.start()
    }

    pub(crate) fn start(self) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), &self.toml, &self.env)
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) base: String,
    pub(crate) key: String,
    pub(crate) management: String,
    pub(crate) http: Client,
    env: Vec<(String, String)>,
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_anyrouter-server")
}

/// The binary with these arguments and no environment but this.
pub(crate) fn command(env: &[(String, String)]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().envs(env.iter().cloned());
    command
}

impl Server {
    pub(crate) fn start_in(dir: tempfile::TempDir, toml: &str, env: &[(String, String)]) -> Self {
        fs::write(dir.path().join("anyrouter.toml"), toml).unwrap();
        let (child, base) = spawn(dir.path(), env);
        let boot: Value =
            serde_json::from_slice(&fs::read(dir.path().join("boot.json")).unwrap()).unwrap();
        let text = |name: &str| boot[name].as_str().unwrap().to_owned();
        let http = Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self {
            child,
            base,
            key: text("inference_key"),
            management: text("management_key"),
            http,
            env: env.to_vec(),
            dir,
        }
    }

    /// Ends the process without a word, as a crash or the kernel would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data.
    pub(crate) fn start_again(&mut self) {
        let (child, base) = spawn(self.dir.path(), &self.env);
        self.child = child;
        self.base = base;
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill")
                .args([format!("-{signal}"), self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the server does not end"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Response {
        self.http
            .get(format!("{}{path}", self.base))
            .bearer_auth(key)
            .send()
            .unwrap()
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        self.http
            .post(format!("{}{path}", self.base))
            .bearer_auth(key)
            .json(body)
            .send()
            .unwrap()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("{}{path}", self.base))
    }

    pub(crate) fn patch_privacy(&self, body: &Value) {
        let response = self
            .request("PATCH", "/privacy")
            .bearer_auth(&self.management)
            .json(body)
            .send()
            .unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().unwrap());
    }

    /// A chat request for `model`, with more members.
    pub(crate) fn chat(&self, model: &str, more: Value) -> Response {
        self.post("/chat/completions", &self.key, &body(model, more))
    }

    /// A stream of `model`, once its endpoint is out of its cooldown.
    pub(crate) fn wait_ready_chat(&self, model: &str) -> Response {
        let began = Instant::now();
        loop {
            let response = self.chat(model, json!({"stream": true}));
            if response.status() != 503 {
                return response;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the cooldown does not end"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The usage record of a response, by its request id.
    pub(crate) fn record(&self, response: &Response) -> Value {
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        self.record_of(&id)
    }

    pub(crate) fn record_of(&self, id: &str) -> Value {
        let answer: Value = self
            .get(&format!("/generation?id={id}"), &self.key)
            .json()
            .unwrap();
        assert!(answer["data"].is_object(), "no record of {id}: {answer}");
        answer["data"].clone()
    }

    /// Waits until the account has a record that `wanted` accepts.
    pub(crate) fn wait_for_record(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let all = self.logs();
            if let Some(found) = all.iter().find(|r| wanted(r)) {
                return found.clone();
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "no such record among {all:#?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn logs(&self) -> Vec<Value> {
        let answer: Value = self
            .get("/logs?limit=1000", &self.management)
            .json()
            .unwrap();
        answer["data"].as_array().unwrap().clone()
    }

    /// What was written to standard error so far: the log.
    pub(crate) fn err(&self) -> String {
        fs::read_to_string(self.dir.path().join("err")).unwrap_or_default()
    }

    pub(crate) fn output(&self) -> Vec<PathBuf> {
        ["out", "err"]
            .iter()
            .map(|n| self.dir.path().join(n))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, env: &[(String, String)]) -> (Child, String) {
    let append = |name: &str| {
        File::options()
            .append(true)
            .create(true)
            .open(dir.join(name))
            .unwrap()
    };
    let _ = fs::remove_file(dir.join("out"));
    let child = command(env)
        .args([
            "--config",
            "anyrouter.toml",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            "data",
            "--bootstrap-file",
            "boot.json",
        ])
        .current_dir(dir)
        .stdout(Stdio::from(append("out")))
        .stderr(Stdio::from(append("err")))
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        let out = fs::read_to_string(dir.join("out")).unwrap_or_default();
        if let Some(base) = out.split_whitespace().find(|w| w.starts_with("http"))
            && out.contains("Try it")
        {
            return (child, base.to_owned());
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the server does not start: {}",
            fs::read_to_string(dir.join("err")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A chat request for `model`, with more members.
pub(crate) fn body(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    body
}

/// The data of a stream's events.
pub(crate) fn data(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter_map(|e| e.strip_prefix("data: "))
        .filter(|d| *d != "[DONE]")
        .map(|d| serde_json::from_str(d).unwrap())
        .collect()
}

/// The text of a stream.
pub(crate) fn text_of(events: &[Value]) -> String {
    events
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str())
        .collect()
}

/// One upstream behind a provider of each protocol.
pub(crate) fn every_protocol(upstream: &Upstream) -> Setup {
    Setup::new()
        .provider("open", "openai_chat", upstream, "")
        .provider("anth", "anthropic_messages", upstream, "")
        .provider("resp", "openai_responses", upstream, "")
        .provider("goog", "gemini", upstream, "")
        .model(
            "lab/open",
            &[("open", "o", "context = 1000000\nmax_output = 4096")],
        )
        .model(
            "lab/goog",
            &[("goog", "g", "context = 1000000\nmax_output = 4096")],
        )
        .model(
            "lab/resp",
            &[("resp", "r", "context = 1000000\nmax_output = 4096")],
        )
        .model(
            "lab/anth",
            &[("anth", "a", "context = 1000000\nmax_output = 4096")],
        )
}

/// Values in everything that a request can say.
pub(crate) const PLANTED: [&str; 4] = [
    "jane.planted@example.com",
    "4111 1111 1111 1111",
    "536-22-1234",
    "DE89 3704 0044 0532 0130 00",
];
