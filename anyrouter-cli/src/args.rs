//! Command-line arguments of `anyrouter`.

use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};

/// Talks to an AnyRouter gateway, and explains where requests go.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 done; 1 the server refused or failed; 2 wrong use or configuration; 3 the server cannot be reached; 4 no endpoint may serve the request that was explained; 5 a redaction rule refuses the text."
)]
pub(crate) struct Args {
    /// Base URL of the gateway.
    #[arg(
        long,
        global = true,
        env = "ANYROUTER_BASE_URL",
        default_value = "http://127.0.0.1:8787/api/v1"
    )]
    pub(crate) base_url: String,
    /// API key.
    #[arg(long, global = true, env = "ANYROUTER_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Key for `keys`, `privacy`, `byok`, `vault` and `logs`; defaults to the API key.
    #[arg(
        long,
        global = true,
        env = "ANYROUTER_MANAGEMENT_KEY",
        hide_env_values = true
    )]
    pub(crate) management_key: Option<String>,
    /// PEM file of additional trusted certificates, for a gateway whose certificate a private CA
    /// issued.
    #[arg(long, global = true, env = "ANYROUTER_CA_FILE", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask a model; standard input is appended to the question.
    Chat(Chat),
    /// Start an agent that uses this gateway.
    Launch(Launch),
    /// List models.
    Models {
        /// Part of a name.
        query: Option<String>,
        /// Show only models that the account's privacy settings admit.
        #[arg(long)]
        user: bool,
    },
    /// Explain where requests go.
    #[command(subcommand)]
    Route(RouteCommand),
    /// List (the default), create or revoke keys.
    Keys {
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// Get (the default) or set privacy settings.
    Privacy {
        #[command(subcommand)]
        command: Option<PrivacyCommand>,
    },
    /// List (the default), add, remove or test your own credentials for providers.
    Byok {
        #[command(subcommand)]
        command: Option<ByokCommand>,
    },
    /// Show (the default) the server's key ring, or rotate its master key.
    Vault {
        #[command(subcommand)]
        command: Option<VaultCommand>,
    },
    /// List the latest requests, with their ids.
    Logs,
    /// Find personal data and secrets in standard input and remove them, without a server.
    Redact(Redact),
    /// Show the usage record of a request.
    Generation {
        /// Id of the generation or request: `gen-…` or `req_…`.
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum ByokCommand {
    /// List the credentials, without their secrets.
    List,
    /// Add a credential. The secret is read from ANYROUTER_BYOK_KEY, from standard input, or asked for.
    Add(ByokAdd),
    /// Change a credential: label=…, position=…, disabled=true, tier=paid, terms={…}; null removes a
    /// statement.
    Set {
        /// Id of the credential: `byok_…`.
        id: String,
        /// The changes.
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<String>,
    },
    /// Remove a credential for good.
    Remove {
        /// Id of the credential: `byok_…`.
        id: String,
    },
    /// Send a short request with one credential, and no other.
    Test {
        /// Id of the credential: `byok_…`.
        id: String,
        /// The model to ask; by default one of the provider's.
        #[arg(long)]
        model: Option<String>,
    },
}

#[derive(Arguments)]
pub(crate) struct ByokAdd {
    /// Slug of the provider, such as `anthropic`.
    pub(crate) provider: String,
    /// A name for the credential.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Tier of the credential, which decides which of the provider's terms apply.
    #[arg(long, value_parser = ["paid", "free", "unknown"])]
    pub(crate) tier: Option<String>,
    /// Place among your credentials for the provider: lower ones are used first.
    #[arg(long)]
    pub(crate) position: Option<u32>,
    /// Terms from a contract of your own, as JSON: '{"trains_on_paid": false, "zdr": true}'.
    #[arg(long, value_name = "JSON")]
    pub(crate) terms: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum VaultCommand {
    /// Show the master keys, and what is sealed under each.
    Status,
    /// Replace the master key while the server runs.
    Rotate,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Arguments)]
pub(crate) struct Redact {
    /// Show the findings, their rules and their actions instead of the redacted text.
    #[arg(long, conflicts_with_all = ["spans", "map"])]
    pub(crate) explain: bool,
    /// File of additional rules: a JSON list, as in `redaction_rules`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Input format; by default JSON if the input is a JSON object or list, and text otherwise.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Action for values without their own rule: placeholder (can be restored), mask (keeps the
    /// last four characters), hash (cannot be restored), drop, or block (writes nothing; exit code
    /// 5).
    #[arg(long, value_name = "ACTION", conflicts_with_all = ["spans", "score"])]
    pub(crate) action: Option<String>,
    /// Write the values of the placeholders to this new file, readable only by its owner. Each run
    /// creates different placeholders.
    #[arg(long, value_name = "MAP", conflicts_with_all = ["spans", "score"])]
    pub(crate) map: Option<PathBuf>,
    /// Replace the placeholders of this map with their values.
    #[arg(long, value_name = "MAP", conflicts_with_all = ["explain", "spans", "score", "map", "rules", "action"])]
    pub(crate) restore: Option<PathBuf>,
    /// Redact endless input, such as that of `tail -f`, as it arrives. Text that is held back is
    /// written after 250 ms without input, and after 18 KiB in any case. A value is removed where
    /// it is detected, but not where it recurs without context.
    #[arg(long, conflicts_with_all = ["explain", "spans", "score", "map", "restore", "format"])]
    pub(crate) follow: bool,
    /// Score the detectors and `--rules` on a labelled corpus: lines as for --spans, with `spans`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "spans"])]
    pub(crate) score: Option<PathBuf>,
    /// Read JSON lines, `{"id", "text"}` or `{"id", "json"}`, and write the findings as `{"id",
    /// "spans"}`. Offsets are in bytes; for `json`, within the value as written in its line.
    #[arg(long)]
    pub(crate) spans: bool,
    /// Interpretation of a line's `text` by --spans and --score: plain text, or the message of a
    /// chat request, as the gateway reads it. Both give the same findings.
    #[arg(long = "as", value_enum, default_value_t = LineFormat::Text)]
    pub(crate) read_as: LineFormat,
}

/// Interpretation of a line's text.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFormat {
    Text,
    Chat,
}

#[derive(Arguments)]
pub(crate) struct Chat {
    /// The question.
    pub(crate) prompt: Vec<String>,
    /// Model; defaults to anyrouter/auto, or to the built-in demo/story if no provider has a key.
    #[arg(short, long)]
    pub(crate) model: Option<String>,
    /// System message.
    #[arg(short, long)]
    pub(crate) system: Option<String>,
    /// Wait for the whole answer.
    #[arg(long)]
    pub(crate) no_stream: bool,
}

#[derive(Subcommand)]
pub(crate) enum RouteCommand {
    /// Show which endpoints may serve a request, in what order, and why the others may not.
    Explain(Explain),
}

#[derive(Arguments)]
pub(crate) struct Explain {
    /// Model; omitted if `--body` is given.
    #[arg(required_unless_present = "body", conflicts_with = "body")]
    pub(crate) model: Option<String>,
    /// Use this configuration file, and its defaults for a new account, instead of a server.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Allow only endpoints with zero data retention.
    #[arg(long)]
    pub(crate) zdr: bool,
    /// Exclude these providers.
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) ignore: Vec<String>,
    /// Allow only these providers.
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) only: Vec<String>,
    /// Complete request body as JSON, instead of the model and the other options.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["zdr", "ignore", "only"])]
    pub(crate) body: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// List the account's keys.
    List,
    /// Create a key, which is shown once.
    Create {
        /// Name of the key.
        name: String,
        /// Create a management key instead of an inference key.
        #[arg(long)]
        management: bool,
        /// Maximum number of requests in any minute.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Maximum number of tokens in any minute.
        #[arg(long)]
        tokens_per_minute: Option<u64>,
        /// Expiry time, such as 2027-01-31T12:00:00Z.
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Revoke a key permanently.
    Revoke {
        /// Hash of the key, a unique prefix of the hash, or a unique name.
        #[arg(value_name = "KEY")]
        hash: String,
        /// Revoke the key even if it is the last one that may manage keys.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum PrivacyCommand {
    /// Show the account's settings.
    Get,
    /// Change settings, such as `enforce_zdr=true block='["groq"]'`.
    Set {
        /// Setting, as name=value.
        #[arg(required = true)]
        settings: Vec<String>,
    },
}

/// Arguments of `anyrouter launch`.
#[derive(Arguments)]
pub(crate) struct Launch {
    /// Agent to start.
    pub(crate) agent: Agent,
    /// Model for the agent; defaults to the agent's own choice.
    #[arg(short, long)]
    pub(crate) model: Option<String>,
    /// Print the environment, including the key, as shell commands instead of starting the agent.
    #[arg(long)]
    pub(crate) print: bool,
    /// Arguments that are passed to the agent.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

/// An agent that can be started.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// OpenCode.
    #[value(name = "opencode")]
    OpenCode,
}
