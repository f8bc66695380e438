//! The `anyrouter-server` command.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyrouter_server::{check_tls, config::Sources, run};
use clap::Parser;

/// The global allocator. The system's retains memory after a burst of streams, and its threads
/// block each other.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One endpoint in front of every LLM provider, with a privacy policy that its types and tests
/// enforce.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// Configuration file, `anyrouter.toml`; without one, provider keys in the environment select
    /// the providers.
    #[arg(long, env = "ANYROUTER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8787].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Directory of the database, the usage journal and the key ring
    /// [default: anyrouter-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Format of log lines.
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// Write the first account's keys to this file instead of printing them.
    #[arg(long, env = "ANYROUTER_BOOTSTRAP_FILE", value_name = "FILE")]
    bootstrap_file: Option<PathBuf>,
    /// Create another inference key and management key for the first account, print them and exit.
    /// Use it if the keys are lost.
    #[arg(long)]
    new_keys: bool,
    /// With --new-keys: revoke every other key of that account.
    #[arg(long, requires = "new_keys")]
    revoke_old: bool,
    /// Recount the hourly totals from the usage records, correct wrong ones and exit: with 0 if all
    /// were right, otherwise with 1. The server must not be running.
    #[arg(long)]
    recount_totals: bool,
    /// Check the configuration and exit.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some((name, _)) = std::env::vars_os()
        .find(|(k, v)| k.to_string_lossy().starts_with("ANYROUTER_") && v.to_str().is_none())
    {
        return fail(&format!(
            "{}: the value is not UTF-8",
            name.to_string_lossy()
        ));
    }
    let sources = Sources {
        file: args.config,
        listen: args.listen,
        data_dir: args.data_dir,
        log_format: args.log_format,
        environment: std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect(),
    };
    let config = match sources.load() {
        Ok(config) => config,
        Err(e) => return fail(&e),
    };
    if args.check {
        if let Err(e) = check_tls(&config) {
            return fail(&e);
        }
        for warning in &config.warnings {
            println!("warning: {warning}");
        }
        let (providers, models) = (
            config.catalog.providers().len(),
            config.catalog.models().len(),
        );
        println!(
            "the configuration is valid: {providers} providers, {models} models, catalog {}",
            config.catalog.version()
        );
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return fail(&e),
    };
    if args.new_keys {
        return match runtime.block_on(run::new_keys(&config, args.revoke_old)) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(e) => fail(&e),
        };
    }
    if args.recount_totals {
        return match run::recount_totals(&config) {
            Ok((text, all_right)) => {
                println!("{text}");
                ExitCode::from(u8::from(!all_right))
            }
            Err(e) => fail(&e),
        };
    }
    match runtime.block_on(run::run(config, sources, args.bootstrap_file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&e),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("anyrouter-server: {error}");
    ExitCode::from(2)
}
