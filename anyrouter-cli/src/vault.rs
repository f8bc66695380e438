//! The key ring of a running server: `anyrouter vault`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    args::VaultCommand,
    client::{Client, Failure},
    rows, show,
    table::{print_table, say},
    text,
};

/// Time between two looks at a running rotation.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn vault(
    manager: &Client,
    command: VaultCommand,
    as_json: bool,
) -> Result<(), Failure> {
    match command {
        VaultCommand::Status => {
            let answer = manager.get("/vault", &[]).await?;
            show(as_json, &answer, || print(&answer["data"]));
            Ok(())
        }
        VaultCommand::Rotate => {
            let mut answer = manager.post("/vault/rotate", &json!({})).await?;
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} accounts") {
                bar.set_style(style);
            }
            while is_unfinished(&answer["data"]) {
                let rotation = &answer["data"]["rotation"];
                bar.set_length(rotation["total"].as_u64().unwrap_or(0));
                bar.set_position(rotation["done"].as_u64().unwrap_or(0));
                tokio::time::sleep(PAUSE).await;
                answer = manager.get("/vault", &[]).await?;
            }
            bar.finish_and_clear();
            show(as_json, &answer, || print(&answer["data"]));
            match answer["data"]["rotation"]["failed"].as_str() {
                None => {
                    eprintln!(
                        "\nback up the key ring again: the copy from before opens nothing any more"
                    );
                    Ok(())
                }
                Some(why) => Err(Failure::Broken(format!(
                    "the rotation broke off: {why}; run it again"
                ))),
            }
        }
    }
}

/// Returns true while a rotation runs, or is about to.
fn is_unfinished(vault: &Value) -> bool {
    let has_older = vault["master_keys"].as_array().is_some_and(|k| k.len() > 1);
    vault["rotation"]["running"] == true || has_older && vault["rotation"]["failed"].is_null()
}

fn print(vault: &Value) {
    say(&format!("key ring: {}\n\n", text(&vault["place"])));
    let row = |key: &Value| {
        let state = if key["current"] == true {
            "current"
        } else {
            "older"
        };
        vec![text(&key["id"]), state.to_owned(), text(&key["accounts"])]
    };
    let headings = ["master key", "state", "accounts' keys"];
    print_table(&headings, rows(&vault["master_keys"], row));
    let rotation = &vault["rotation"];
    if rotation["running"] == true {
        eprintln!(
            "\na rotation is running: {} of {}",
            rotation["done"], rotation["total"]
        );
    }
}
