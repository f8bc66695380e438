//! `anyrouter launch`: starts an agent with the environment that makes it use the gateway.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    args::{Agent, Launch},
    client::{Client, Failure},
    explain,
};

/// A variable of the agent's environment; `None` removes it.
type Variable = (&'static str, Option<String>);

/// The program, environment and arguments of an agent.
struct Start {
    program: &'static str,
    variables: Vec<Variable>,
    /// Arguments before those of the user, for what has no variable.
    arguments: Vec<String>,
}

/// Variables with which an agent would go past the gateway, or that it need not know: it runs
/// commands, which need not manage keys.
const REMOVED: [&str; 11] = [
    "ANTHROPIC_API_KEY",
    "ANYROUTER_MANAGEMENT_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_VERTEX",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_USE_GCA",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
];

impl Start {
    fn new(agent: Agent, base_url: &str, key: &str, models: &Models) -> Self {
        let base_url = base_url.trim_end_matches('/');
        // Anthropic's and Google's programs append the version themselves.
        let base = base_url.strip_suffix("/v1").unwrap_or(base_url);
        let removed = REMOVED.iter().map(|name| (*name, None));
        let mut variables: Vec<Variable> = removed.collect();
        let mut arguments = Vec::new();
        let mut set = |name, value: &str| variables.push((name, Some(value.to_owned())));
        let program = match agent {
            // Source: Claude Code's documentation, "LLM gateway configuration" and "Environment
            // variables".
            Agent::Claude => {
                set("ANTHROPIC_BASE_URL", base);
                set("ANTHROPIC_AUTH_TOKEN", key);
                for name in [
                    "ANTHROPIC_MODEL",
                    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
                    "ANTHROPIC_DEFAULT_SONNET_MODEL",
                    "ANTHROPIC_DEFAULT_OPUS_MODEL",
                ] {
                    if let Some(model) = &models.chosen {
                        set(name, model);
                    }
                }
                "claude"
            }
            // Source: Codex's `model-provider-info`. A provider of its own has no variable.
            Agent::Codex => {
                set("ANYROUTER_API_KEY", key);
                for setting in [
                    "model_provider=\"anyrouter\"".to_owned(),
                    "model_providers.anyrouter.name=\"AnyRouter\"".to_owned(),
                    format!("model_providers.anyrouter.base_url={}", json!(base_url)),
                    "model_providers.anyrouter.env_key=\"ANYROUTER_API_KEY\"".to_owned(),
                    "model_providers.anyrouter.wire_api=\"responses\"".to_owned(),
                ] {
                    arguments.extend(["-c".to_owned(), setting]);
                }
                if let Some(model) = &models.chosen {
                    arguments.extend(["-c".to_owned(), format!("model={}", json!(model))]);
                }
                "codex"
            }
            // Source: Gemini CLI's configuration reference.
            Agent::Gemini => {
                set("GOOGLE_GEMINI_BASE_URL", base);
                set("GEMINI_API_KEY", key);
                if let Some(settings) = &models.gemini_settings {
                    set("GEMINI_CLI_SYSTEM_SETTINGS_PATH", settings);
                }
                if let Some(model) = &models.chosen {
                    set("GEMINI_MODEL", model);
                }
                "gemini"
            }
            // Source: OpenCode's documentation, "Config" and "Providers".
            Agent::OpenCode => {
                let known: serde_json::Map<String, Value> = models
                    .known
                    .iter()
                    .map(|id| (id.clone(), json!({})))
                    .collect();
                let mut config = json!({"provider": {"anyrouter": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "AnyRouter",
                    "options": {"baseURL": base_url, "apiKey": key},
                    "models": known,
                }}});
                if let Some(model) = &models.chosen {
                    config["model"] = json!(format!("anyrouter/{model}"));
                }
                set("OPENCODE_CONFIG_CONTENT", &config.to_string());
                "opencode"
            }
        };
        Self {
            program,
            variables,
            arguments,
        }
    }
}

/// The models that an agent can use.
struct Models {
    chosen: Option<String>,
    /// Those to choose from.
    known: Vec<String>,
    /// File of settings for Gemini CLI.
    gemini_settings: Option<String>,
}

/// Writes the settings that make Gemini CLI use an API key, for which it has no variable, to a file
/// in the user's configuration, and returns its path.
fn gemini_settings() -> Result<String, Failure> {
    const SETTINGS: &str = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}}}"#;
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = of("XDG_CONFIG_HOME")
        .or_else(|| of("APPDATA"))
        .or_else(|| of("HOME").map(|home| home.join(".config")))
        .unwrap_or_default()
        .join("anyrouter");
    let file = folder.join("gemini-cli.json");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, SETTINGS))
        .map_err(|e| Failure::Use(format!("{}: {e}", file.display())))?;
    Ok(file.display().to_string())
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
    if key.starts_with("ak_") {
        return Err(Failure::Use(
            "that is a management key, which an agent must not have; set ANYROUTER_API_KEY to an inference key (sk-ar-v1-…)"
                .to_owned(),
        ));
    }
    let mut models = models(launch.model.as_deref(), client).await?;
    if launch.agent == Agent::Gemini {
        models.gemini_settings = Some(gemini_settings()?);
    }
    let Start {
        program,
        variables,
        mut arguments,
    } = Start::new(launch.agent, base_url, key, &models);
    if launch.print {
        for (name, value) in variables {
            match value {
                Some(value) => println!("export {name}={}", quoted(&value)),
                None => println!("unset {name}"),
            }
        }
        arguments.extend(launch.arguments.iter().cloned());
        if !arguments.is_empty() {
            let words: Vec<String> = arguments.iter().map(|a| quoted(a)).collect();
            println!("# and then: {program} {}", words.join(" "));
        }
        return Ok(());
    }
    let mut command = Command::new(program);
    command.args(arguments).args(&launch.arguments);
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

/// Asks the server for its models; it must be able to serve the chosen one.
async fn models(chosen: Option<&str>, client: &Client) -> Result<Models, Failure> {
    let Some(chosen) = chosen else {
        let list = client.get("/models/user", &[]).await?;
        let list = list["data"].as_array().cloned().unwrap_or_default();
        let usable = list.iter().filter(|m| m["available"] != json!(false));
        let ids = usable.filter_map(|m| m["id"].as_str());
        return Ok(Models {
            chosen: None,
            known: ids.map(ToOwned::to_owned).collect(),
            gemini_settings: None,
        });
    };
    let request = json!({"model": chosen, "messages": []});
    let explanation = client.post("/route/explain", &request).await?;
    if explanation["eligible"].as_array().is_none_or(Vec::is_empty) {
        explain::print(&explanation);
        return Err(Failure::NotAdmitted);
    }
    Ok(Models {
        chosen: Some(chosen.to_owned()),
        known: vec![chosen.to_owned()],
        gemini_settings: None,
    })
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

    fn start(agent: Agent) -> (Start, impl Fn(&str) -> Option<String>) {
        let models = Models {
            chosen: Some("lab/x".to_owned()),
            known: vec!["lab/x".to_owned()],
            gemini_settings: None,
        };
        let start = Start::new(
            agent,
            "http://127.0.0.1:8787/api/v1/",
            "sk-ar-v1-x",
            &models,
        );
        let variables = start.variables.clone();
        let of = move |name: &str| {
            let known = variables.iter().find(|(n, _)| *n == name);
            known.unwrap().1.clone()
        };
        (start, of)
    }

    #[test]
    fn claude_gets_the_base_without_its_version_and_no_key_of_another() {
        let (start, of) = start(Agent::Claude);
        assert_eq!(start.program, "claude");
        assert_eq!(
            of("ANTHROPIC_BASE_URL").unwrap(),
            "http://127.0.0.1:8787/api"
        );
        assert_eq!(of("ANTHROPIC_AUTH_TOKEN").unwrap(), "sk-ar-v1-x");
        assert_eq!(of("ANTHROPIC_API_KEY"), None);
        assert_eq!(of("ANTHROPIC_MODEL").unwrap(), "lab/x");
    }

    #[test]
    fn codex_gets_a_provider_gemini_an_address_and_opencode_a_configuration() {
        let (codex, of) = start(Agent::Codex);
        assert_eq!(of("ANYROUTER_API_KEY").unwrap(), "sk-ar-v1-x");
        let base = "model_providers.anyrouter.base_url=\"http://127.0.0.1:8787/api/v1\"";
        assert!(codex.arguments.contains(&base.to_owned()));
        let (_, of) = start(Agent::Gemini);
        assert_eq!(
            of("GOOGLE_GEMINI_BASE_URL").unwrap(),
            "http://127.0.0.1:8787/api"
        );
        assert_eq!(of("GOOGLE_API_KEY"), None);
        let (_, of) = start(Agent::OpenCode);
        let config: Value = serde_json::from_str(&of("OPENCODE_CONFIG_CONTENT").unwrap()).unwrap();
        assert_eq!(config["model"], "anyrouter/lab/x");
        assert_eq!(
            config["provider"]["anyrouter"]["models"],
            json!({"lab/x": {}})
        );
    }

    #[test]
    fn a_value_is_one_word_of_a_shell() {
        assert_eq!(quoted("http://x:1/api"), "http://x:1/api");
        assert_eq!(quoted("a b'c$(d)"), r"'a b'\''c$(d)'");
        assert_eq!(quoted(""), "''");
    }
}
