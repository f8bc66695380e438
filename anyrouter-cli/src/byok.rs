//! The account's own credentials for providers: `anyrouter byok`.

use std::io::{IsTerminal as _, Read as _};

use anyrouter_core::secret::Secret;
use serde_json::{Value, json};

use crate::{
    args::{ByokAdd, ByokCommand},
    client::{Client, Failure},
    rows, show,
    table::{print_table, say},
    text,
};

/// The environment variable that a credential is read from.
const VARIABLE: &str = "ANYROUTER_BYOK_KEY";

pub(crate) async fn byok(
    manager: &Client,
    client: &Client,
    command: ByokCommand,
    as_json: bool,
) -> Result<(), Failure> {
    match command {
        ByokCommand::List => list(manager, as_json).await,
        ByokCommand::Add(new) => add(manager, new, as_json).await,
        ByokCommand::Remove { id } => {
            let answer = manager.delete(&format!("/auth/byok/{id}")).await?;
            show(as_json, &answer, || say(&format!("removed {id}\n")));
            Ok(())
        }
        ByokCommand::Set { id, changes } => set(manager, &id, &changes, as_json).await,
        ByokCommand::Test { id, model } => test(manager, client, &id, model, as_json).await,
    }
}

async fn list(manager: &Client, as_json: bool) -> Result<(), Failure> {
    let answer = manager.get("/auth/byok", &[]).await?;
    show(as_json, &answer, || {
        let row = |c: &Value| {
            let state = match (&c["disabled"], c["resting_until"].as_str()) {
                (Value::Bool(true), _) => "disabled".to_owned(),
                (_, Some(until)) => format!("rests until {until}"),
                _ => match c["unlike"].as_str() {
                    Some(first) => format!("not used: tier or terms differ from {first}"),
                    None => "in use".to_owned(),
                },
            };
            let terms = if c["terms"].is_null() {
                "the catalog's"
            } else {
                "own"
            };
            vec![
                text(&c["id"]),
                text(&c["provider_id"]),
                text(&c["label"]),
                text(&c["key_preview"]),
                text(&c["tier"]),
                terms.to_owned(),
                state,
            ]
        };
        let headings = ["id", "provider", "label", "key", "tier", "terms", "state"];
        print_table(&headings, rows(&answer["data"], row));
        if answer["data"].as_array().is_none_or(Vec::is_empty) {
            eprintln!("\nthere are none; add one with: anyrouter byok add PROVIDER --tier paid");
        }
    });
    Ok(())
}

async fn add(manager: &Client, new: ByokAdd, as_json: bool) -> Result<(), Failure> {
    let secret = secret(&new.provider)?;
    let mut body = json!({"provider_id": new.provider, "api_key": secret.expose()});
    for (name, value) in [
        ("label", new.label.map(Value::from)),
        ("tier", new.tier.map(Value::from)),
        ("position", new.position.map(Value::from)),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    if let Some(terms) = new.terms {
        body["terms"] = serde_json::from_str(&terms).map_err(|e| {
            Failure::Use(format!(
                "--terms is not JSON ({e}); write it like '{{\"trains_on_paid\": false}}'"
            ))
        })?;
    }
    let answer = manager.post("/auth/byok", &body).await?;
    show(as_json, &answer, || {
        let (id, preview) = (text(&answer["id"]), text(&answer["key_preview"]));
        say(&format!("{id}  {preview}\n"));
        if answer["tier"].is_null() {
            eprintln!(
                "\nno --tier was given: the provider's terms for paid and for free use both apply, which may exclude its models"
            );
        }
        eprintln!("\ntry it with: anyrouter byok test {id}");
    });
    Ok(())
}

/// Changes a credential. A value is JSON, or else text.
async fn set(manager: &Client, id: &str, changes: &[String], as_json: bool) -> Result<(), Failure> {
    let mut body = json!({});
    for change in changes {
        let (name, value) = change.split_once('=').ok_or_else(|| {
            Failure::Use(format!("`{change}` is not NAME=VALUE, such as tier=paid"))
        })?;
        body[name] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    let answer = manager.patch(&format!("/auth/byok/{id}"), &body).await?;
    show(as_json, &answer, || say(&format!("changed {id}\n")));
    Ok(())
}

/// Reads a credential from the environment, the terminal or standard input. An argument would be
/// visible to other programs.
fn secret(provider: &str) -> Result<Secret<String>, Failure> {
    let unreadable = |e: std::io::Error| Failure::Use(format!("the key cannot be read: {e}"));
    let text = match std::env::var(VARIABLE) {
        Ok(text) => text,
        Err(_) if std::io::stdin().is_terminal() => {
            rpassword::prompt_password(format!("The key for {provider}: ")).map_err(unreadable)?
        }
        Err(_) => {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(8192).read_to_string(&mut text);
            read.map_err(unreadable)?;
            text
        }
    };
    let secret = Secret::new(text.trim().to_owned());
    if secret.expose().is_empty() {
        return Err(Failure::Use(format!(
            "there is no key; set {VARIABLE}, or write it to standard input"
        )));
    }
    Ok(secret)
}

/// Sends a short request to the credential's provider, with this credential or not at all.
async fn test(
    manager: &Client,
    client: &Client,
    id: &str,
    model: Option<String>,
    as_json: bool,
) -> Result<(), Failure> {
    let all = manager.get("/auth/byok", &[]).await?;
    let mut all = all["data"].as_array().cloned().unwrap_or_default();
    all.retain(|c| c["id"] == id);
    let credential = all.pop().ok_or_else(|| {
        Failure::Use(format!(
            "there is no credential {id}; see anyrouter byok list"
        ))
    })?;
    let provider = text(&credential["provider_id"]);
    let model = match model {
        Some(model) => model,
        None => {
            let models = client.get("/models", &[]).await?;
            let models = models["data"].as_array().cloned().unwrap_or_default();
            let of_provider = |m: &&Value| m["provider"] == provider.as_str();
            let first = models.iter().find(of_provider).ok_or_else(|| {
                Failure::Use(format!(
                    "no admitted model has {provider} as its first provider; name one with --model"
                ))
            })?;
            text(&first["id"])
        }
    };
    // Whoever tests a key that rests has changed something at its provider.
    let path = format!("/auth/byok/{id}");
    manager.patch(&path, &json!({})).await?;
    let body = json!({"model": model, "max_tokens": 16, "provider": {"only": [provider]},
                      "messages": [{"role": "user", "content": "Say hello."}]});
    let only = ("X-AnyRouter-Credential", id);
    let answer = client.post_with("/chat/completions", &body, only).await?;
    let outcome = json!({"model": model, "generation": answer["id"], "credential": credential});
    show(as_json, &outcome, || {
        say(&format!("{provider} accepted the key: {model} answered\n"));
    });
    Ok(())
}
