//! What can be asked for.

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
    /// The gateway.
    #[arg(
        long,
        global = true,
        env = "ANYROUTER_BASE_URL",
        default_value = "http://127.0.0.1:8787/api/v1"
    )]
    pub(crate) base_url: String,
    /// The key.
    #[arg(long, global = true, env = "ANYROUTER_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// The key for `keys` and `privacy`; left out: the key.
    #[arg(
        long,
        global = true,
        env = "ANYROUTER_MANAGEMENT_KEY",
        hide_env_values = true
    )]
    pub(crate) management_key: Option<String>,
    /// Certificates (PEM) that are trusted beside the usual ones, for a gateway behind an authority
    /// of your own.
    #[arg(long, global = true, env = "ANYROUTER_CA_FILE", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask a model; what comes on standard input is part of the question.
    Chat(Chat),
    /// List models.
    Models {
        /// Part of a name.
        query: Option<String>,
        /// Only what the account's privacy settings leave.
        #[arg(long)]
        user: bool,
    },
    /// Where requests go.
    #[command(subcommand)]
    Route(RouteCommand),
    /// List (the default), create or revoke keys.
    Keys {
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// Privacy settings: get (if nothing else is said), set.
    Privacy {
        #[command(subcommand)]
        command: Option<PrivacyCommand>,
    },
    /// The latest requests, with their ids.
    Logs,
    /// Find personal data and secrets in what comes on standard input, and take them out. No server
    /// is asked.
    Redact(Redact),
    /// The usage record of a request.
    Generation {
        /// `gen-…` or `req_…`.
        id: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Arguments)]
pub(crate) struct Redact {
    /// Show what was found, why, and what becomes of it, in place of the redacted text.
    #[arg(long, conflicts_with_all = ["spans", "map"])]
    pub(crate) explain: bool,
    /// Rules of your own, a JSON list as in `redaction_rules`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// What the input is; left out: JSON if it is a JSON object or list, else text.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The action for values without a rule of their own: placeholder (can be restored), mask (the
    /// last four characters stay), hash (cannot be restored), drop, or block (nothing is written;
    /// exit code 5).
    #[arg(long, value_name = "ACTION", conflicts_with_all = ["spans", "score"])]
    pub(crate) action: Option<String>,
    /// Write what the placeholders stand for to this new file, which its owner alone may read.
    /// Placeholders are others at each run.
    #[arg(long, value_name = "MAP", conflicts_with_all = ["spans", "score"])]
    pub(crate) map: Option<PathBuf>,
    /// Put back what the placeholders of this map stand for.
    #[arg(long, value_name = "MAP", conflicts_with_all = ["explain", "spans", "score", "map", "rules", "action"])]
    pub(crate) restore: Option<PathBuf>,
    /// Write as the text comes, for text that does not end, as `tail -f` writes it: what is held
    /// back goes out once nothing has come for 250 ms, and after 18 KiB in any case. A value is
    /// taken out where it is found, and not where it stands again with nothing beside it.
    #[arg(long, conflicts_with_all = ["explain", "spans", "score", "map", "restore", "format"])]
    pub(crate) follow: bool,
    /// Score the detectors, and `--rules`, on a labelled corpus: lines as of --spans, with `spans`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "spans"])]
    pub(crate) score: Option<PathBuf>,
    /// Read JSON lines, `{"id", "text"}` or `{"id", "json"}`, and write where values are, as
    /// `{"id", "spans"}`; places are bytes, of a `json` value as it is written in its line.
    #[arg(long)]
    pub(crate) spans: bool,
    /// How --spans and --score read a line's `text`: by itself, or as the message of a chat
    /// request, which is how the gateway sees it. Both find the same.
    #[arg(long = "as", value_enum, default_value_t = LineFormat::Text)]
    pub(crate) read_as: LineFormat,
}

/// How a line's text is read.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFormat {
    Text,
    Chat,
}

#[derive(Arguments)]
pub(crate) struct Chat {
    /// The question.
    pub(crate) prompt: Vec<String>,
    /// The model; left out: anyrouter/auto, or the built-in demo/story where no provider has a key.
    #[arg(short, long)]
    pub(crate) model: Option<String>,
    /// What the model is told first.
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
    /// The model; the body's, where `--body` is given.
    #[arg(required_unless_present = "body", conflicts_with = "body")]
    pub(crate) model: Option<String>,
    /// Ask no server: read this configuration, and take its defaults for a new account.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Zero data retention only.
    #[arg(long)]
    pub(crate) zdr: bool,
    /// Not these providers.
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) ignore: Vec<String>,
    /// Only these providers.
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) only: Vec<String>,
    /// A whole request body, as JSON, in place of the model and the other options.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["zdr", "ignore", "only"])]
    pub(crate) body: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// List the account's keys.
    List,
    /// Make a key; it is shown once.
    Create {
        /// What it is called.
        name: String,
        /// A management key in place of an inference key.
        #[arg(long)]
        management: bool,
        /// Requests in any minute.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Tokens in any minute.
        #[arg(long)]
        tokens_per_minute: Option<u64>,
        /// When it ends, as 2027-01-31T12:00:00Z.
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Revoke a key for good.
    Revoke {
        /// Its hash, a unique beginning of the hash, or a unique name.
        #[arg(value_name = "KEY")]
        hash: String,
        /// Also if it is the last one that may manage keys.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum PrivacyCommand {
    /// Show the account's settings.
    Get,
    /// Change settings, as `enforce_zdr=true block='["groq"]'`.
    Set {
        /// name=value
        #[arg(required = true)]
        settings: Vec<String>,
    },
}
