//! `anyrouter launch`: starts an agent with the environment that makes it use the gateway.

use std::process::Command;

use serde_json::json;

use crate::{
    args::{Agent, Launch},
    client::{Client, Failure},
    explain,
};

/// A variable of the agent's environment; `None` removes it.
type Variable = (&'static str, Option<String>);

/// Returns the program of an agent, and its environment.
fn environment(
    agent: Agent,
    base_url: &str,
    key: &str,
    model: Option<&str>,
) -> (&'static str, Vec<Variable>) {
    match agent {
        // Source: Claude Code's documentation, "LLM gateway configuration" and "Environment variables".
        Agent::Claude => {
            // Claude Code appends /v1/messages itself.
            let base = base_url.trim_end_matches('/');
            let base = base.strip_suffix("/v1").unwrap_or(base);
            let mut variables = vec![
                ("ANTHROPIC_BASE_URL", Some(base.to_owned())),
                ("ANTHROPIC_AUTH_TOKEN", Some(key.to_owned())),
                // Claude Code would send these in place of the gateway's key, or go past the gateway.
                ("ANTHROPIC_API_KEY", None),
                ("CLAUDE_CODE_OAUTH_TOKEN", None),
                ("CLAUDE_CODE_USE_BEDROCK", None),
                ("CLAUDE_CODE_USE_FOUNDRY", None),
                ("CLAUDE_CODE_USE_VERTEX", None),
                // An agent runs commands, which need not manage keys.
                ("ANYROUTER_MANAGEMENT_KEY", None),
            ];
            if let Some(model) = model {
                for name in [
                    "ANTHROPIC_MODEL",
                    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
                    "ANTHROPIC_DEFAULT_SONNET_MODEL",
                    "ANTHROPIC_DEFAULT_OPUS_MODEL",
                ] {
                    variables.push((name, Some(model.to_owned())));
                }
            }
            ("claude", variables)
        }
    }
}

/// Replaces this process by the agent, or prints its environment as shell commands. The server is
/// asked first whether it knows the key and can serve the model: agents retry for minutes, and hide
/// its reasons.
pub(crate) async fn launch(
    launch: &Launch,
    base_url: &str,
    key: Option<&str>,
    client: &Client,
) -> Result<(), Failure> {
    let key = key.ok_or_else(|| {
        Failure::Use("no API key; set ANYROUTER_API_KEY, or pass --key".to_owned())
    })?;
    check(launch.model.as_deref(), client).await?;
    let (program, variables) = environment(launch.agent, base_url, key, launch.model.as_deref());
    if launch.print {
        for (name, value) in variables {
            match value {
                Some(value) => println!("export {name}={}", quoted(&value)),
                None => println!("unset {name}"),
            }
        }
        return Ok(());
    }
    let mut command = Command::new(program);
    command.args(&launch.arguments);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let e = run(&mut command);
    Err(Failure::Use(format!(
        "`{program}` cannot be started: {e}; install it, or use --print and start it yourself"
    )))
}

async fn check(model: Option<&str>, client: &Client) -> Result<(), Failure> {
    let Some(model) = model else {
        return client.get("/models/user", &[]).await.map(|_| ());
    };
    let request = json!({"model": model, "messages": []});
    let explanation = client.post("/route/explain", &request).await?;
    if explanation["eligible"].as_array().is_none_or(Vec::is_empty) {
        explain::print(&explanation);
        return Err(Failure::NotAdmitted);
    }
    Ok(())
}

/// Replaces this process, so that signals and the exit status are the agent's. It returns only if
/// that fails.
#[cfg(unix)]
fn run(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

/// Runs the program, and ends with its exit status. It returns only if that fails.
#[cfg(not(unix))]
fn run(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(e) => e,
    }
}

/// Returns a value as a word of a POSIX shell.
fn quoted(value: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&b);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_gets_the_base_without_its_version_and_no_key_of_another() {
        let (program, variables) = environment(
            Agent::Claude,
            "http://127.0.0.1:8787/api/v1/",
            "sk-ar-v1-x",
            Some("lab/x"),
        );
        assert_eq!(program, "claude");
        let of = |name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(
            of("ANTHROPIC_BASE_URL").unwrap(),
            "http://127.0.0.1:8787/api"
        );
        assert_eq!(of("ANTHROPIC_AUTH_TOKEN").unwrap(), "sk-ar-v1-x");
        assert_eq!(of("ANTHROPIC_API_KEY"), None);
        assert_eq!(of("ANTHROPIC_MODEL").unwrap(), "lab/x");
    }

    #[test]
    fn a_value_is_one_word_of_a_shell() {
        assert_eq!(quoted("http://x:1/api"), "http://x:1/api");
        assert_eq!(quoted("a b'c$(d)"), r"'a b'\''c$(d)'");
        assert_eq!(quoted(""), "''");
    }
}
