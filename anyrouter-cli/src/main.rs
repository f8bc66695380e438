//! The `anyrouter` command.
//!
//! Exit codes: 0 done; 1 the server refused or failed; 2 wrong use or a wrong configuration; 3 the
//! server cannot be reached; 4 no endpoint may serve the request that was explained; 5 a redaction
//! rule refuses the text.

mod args;
mod byok;
mod chat;
mod client;
mod corpus;
mod explain;
mod follow;
mod large;
mod launch;
mod redact;
mod score;
mod table;
mod vault;

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use self::{
    args::{Args, ByokCommand, Command, KeysCommand, PrivacyCommand, RouteCommand, VaultCommand},
    client::{Client, Failure},
    table::{print_table, say, shown},
};

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("anyrouter: {e}");
            return ExitCode::from(2);
        }
    };
    let as_json = args.json;
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                Failure::Refused { body, .. } if as_json && body.is_object() => {
                    eprintln!("{body:#}");
                }
                _ => eprintln!("anyrouter: {}", shown(&failure.to_string())),
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let as_json = args.json;
    let ca = args.ca.as_deref();
    let client = || Client::new(&args.base_url, args.key.clone(), ca);
    let manager = || {
        Client::new(
            &args.base_url,
            args.management_key.clone().or_else(|| args.key.clone()),
            ca,
        )
    };
    match args.command {
        Command::Redact(redact) => redact::redact(redact, as_json),
        Command::Launch(launch) => {
            launch::launch(&launch, &args.base_url, args.key.as_deref(), &client()?).await
        }
        Command::Chat(chat) => chat::chat(&client()?, chat, as_json).await,
        Command::Models { query, user } => {
            let client = client()?;
            let query: Vec<(&str, String)> = query.into_iter().map(|q| ("q", q)).collect();
            let path = if user { "/models/user" } else { "/models" };
            let admitted = client.get(path, &query).await?;
            // The table also lists models that the policy excludes, without a mark.
            let answer = if as_json || user {
                admitted.clone()
            } else {
                client
                    .get(path, &[query, vec![("privacy", "0".to_owned())]].concat())
                    .await?
            };
            show(as_json, &answer, || {
                let price = |m: &Value, p: &str| text(&m["pricing"][p]);
                let row = |m: &Value| {
                    let is_admitted = admitted["data"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .any(|a| a["id"] == m["id"]);
                    let mark = if m["available"] == true && is_admitted {
                        "✓"
                    } else {
                        ""
                    };
                    let (prompt, completion) = (price(m, "prompt"), price(m, "completion"));
                    vec![
                        mark.to_owned(),
                        text(&m["id"]),
                        text(&m["provider"]),
                        text(&m["context_length"]),
                        prompt,
                        completion,
                    ]
                };
                print_table(
                    &[
                        "",
                        "model",
                        "provider",
                        "context",
                        "prompt $/M",
                        "completion $/M",
                    ],
                    rows(&answer["data"], row),
                );
                if answer["data"].as_array().is_none_or(Vec::is_empty) {
                    eprintln!("\nno model matches");
                } else {
                    eprintln!(
                        "\n✓ can be used now; run `anyrouter route explain MODEL` to see why the others cannot"
                    );
                }
            });
            Ok(())
        }
        Command::Route(RouteCommand::Explain(request)) => {
            let explanation = match &request.config {
                Some(file) => explain::offline(file, &request)?,
                None => {
                    client()?
                        .post("/route/explain", &explain::body(&request)?)
                        .await?
                }
            };
            show(as_json, &explanation, || explain::print(&explanation));
            let is_none = explanation["eligible"].as_array().is_none_or(Vec::is_empty);
            if is_none {
                Err(Failure::NotAdmitted)
            } else {
                Ok(())
            }
        }
        Command::Keys { command } => {
            keys(&manager()?, command.unwrap_or(KeysCommand::List), as_json).await
        }
        Command::Byok { command } => {
            let command = command.unwrap_or(ByokCommand::List);
            byok::byok(&manager()?, &client()?, command, as_json).await
        }
        Command::Vault { command } => {
            vault::vault(
                &manager()?,
                command.unwrap_or(VaultCommand::Status),
                as_json,
            )
            .await
        }
        Command::Logs => {
            let answer = manager()?.get("/logs", &[]).await?;
            show(as_json, &answer, || {
                let row = |r: &Value| {
                    let cost = measured("cost", &r["cost"]);
                    vec![
                        text(&r["id"]),
                        text(&r["created_at"]),
                        text(&r["model"]),
                        text(&r["provider_name"]),
                        text(&r["outcome"]),
                        cost,
                    ]
                };
                print_table(
                    &["id", "at", "model", "provider", "outcome", "cost"],
                    rows(&answer["data"], row),
                );
            });
            Ok(())
        }
        Command::Privacy { command } => {
            let answer = match command.unwrap_or(PrivacyCommand::Get) {
                PrivacyCommand::Get => manager()?.get("/privacy", &[]).await?,
                PrivacyCommand::Set { settings } => {
                    manager()?
                        .patch("/privacy", &assignments(&settings)?)
                        .await?
                }
            };
            show(as_json, &answer, || {
                let all = answer.as_object().into_iter().flatten();
                let settings = all.filter(|(name, _)| *name != "warnings");
                print_table(
                    &["setting", "value"],
                    settings
                        .map(|(name, value)| vec![name.clone(), text(value)])
                        .collect(),
                );
                for warning in answer["warnings"].as_array().into_iter().flatten() {
                    eprintln!("\nwarning: {}", shown(&text(warning)));
                }
            });
            Ok(())
        }
        Command::Generation { id } => {
            let answer = client()?.get("/generation", &[("id", id)]).await?;
            show(as_json, &answer, || {
                let known = answer["data"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(_, v)| !v.is_null());
                print_table(
                    &["member", "value"],
                    known
                        .map(|(name, value)| vec![name.clone(), measured(name, value)])
                        .collect(),
                );
            });
            Ok(())
        }
    }
}

async fn keys(client: &Client, command: KeysCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        KeysCommand::List => {
            let answer = client.get("/keys", &[]).await?;
            show(as_json, &answer, || {
                let row = |k: &Value| {
                    vec![
                        text(&k["name"]),
                        text(&k["label"]),
                        text(&k["type"]),
                        text(&k["last_used_at"]),
                        text(&k["usage"]),
                        text(&k["hash"]),
                    ]
                };
                print_table(
                    &["name", "label", "type", "last used", "spent $", "hash"],
                    rows(&answer["data"], row),
                );
            });
        }
        KeysCommand::Create {
            name,
            management,
            requests_per_minute,
            tokens_per_minute,
            expires_at,
        } => {
            let mut body =
                json!({"name": name, "type": if management { "management" } else { "inference" }});
            for (member, value) in [
                ("requests_per_minute", requests_per_minute.map(Value::from)),
                ("tokens_per_minute", tokens_per_minute.map(Value::from)),
                ("expires_at", expires_at.map(Value::from)),
            ] {
                if let Some(value) = value {
                    body[member] = value;
                }
            }
            let answer = client.post("/keys", &body).await?;
            show(as_json, &answer, || {
                say(&format!(
                    "{}\n\nThis key is shown only once. Its hash is {}\n",
                    text(&answer["key"]),
                    text(&answer["data"]["hash"])
                ));
            });
        }
        KeysCommand::Revoke { hash, force } => {
            let hash = whole_hash(client, &hash).await?;
            let answer = client
                .delete(&format!(
                    "/keys/{hash}{}",
                    if force { "?force=true" } else { "" }
                ))
                .await?;
            show(as_json, &answer, || say(&format!("revoked {hash}\n")));
        }
    }
    Ok(())
}

/// Returns the hash of the only key that `named` identifies.
async fn whole_hash(client: &Client, named: &str) -> Result<String, Failure> {
    let all = client.get("/keys", &[]).await?;
    let means =
        |k: &&Value| k["hash"].as_str().is_some_and(|h| h.starts_with(named)) || k["name"] == named;
    let found: Vec<&Value> = all["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(means)
        .collect();
    match found.as_slice() {
        [key] => Ok(text(&key["hash"])),
        [] => Err(Failure::Use(format!(
            "no key has the name `{named}` or a hash that begins with it; see anyrouter keys list"
        ))),
        several => Err(Failure::Use(format!(
            "`{named}` matches {} keys; give more of the hash, see anyrouter keys list",
            several.len()
        ))),
    }
}

/// Formats a member of a usage record with its unit.
fn measured(name: &str, value: &Value) -> String {
    let unit = match name {
        "latency" | "time_to_first_byte" | "generation_time" => " ms",
        "generation_speed" => " tokens/s",
        "cost" => " USD",
        _ => "",
    };
    format!("{}{unit}", text(value))
}

/// Converts `name=value` pairs to an object. A value that is not JSON becomes a string.
fn assignments(settings: &[String]) -> Result<Value, Failure> {
    let mut object = serde_json::Map::new();
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            Failure::Use(format!(
                "`{setting}` has no value; write it as name=value, for example enforce_zdr=true"
            ))
        })?;
        object.insert(
            name.to_owned(),
            serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
        );
    }
    Ok(object.into())
}

fn show(as_json: bool, answer: &Value, people: impl FnOnce()) {
    if as_json {
        say(&format!("{answer:#}\n"));
    } else {
        people();
    }
}

fn rows(data: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    data.as_array().into_iter().flatten().map(row).collect()
}

/// Formats a value for people.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
