//! The `anyrouter route explain` command, with or without a server.

use std::path::Path;

use anyrouter_core::{
    account::{Caller, KeyRecord},
    catalog::{Endpoint, Protocol},
    config::{Config, FileText, Sources},
    gateway::{Limits, Situation, explain},
    ports::Credentials as _,
    route::Health,
    time::Timestamp,
};
use serde_json::{Value, json};

use crate::{
    args::Explain,
    client::Failure,
    table::{print_table, say, shown},
    text,
};

/// Builds the request body from the options.
pub(crate) fn body(args: &Explain) -> Result<Value, Failure> {
    if let Some(body) = &args.body {
        return serde_json::from_str(body)
            .map_err(|e| Failure::Use(format!("--body is not JSON: {e}")));
    }
    let mut provider = json!({});
    if args.zdr {
        provider["zdr"] = json!(true);
    }
    if !args.ignore.is_empty() {
        provider["ignore"] = json!(args.ignore);
    }
    if !args.only.is_empty() {
        provider["only"] = json!(args.only);
    }
    Ok(json!({"model": args.model, "messages": [], "provider": provider}))
}

/// Explains a request from a configuration file, for a new account with its defaults.
pub(crate) fn offline(file: &Path, args: &Explain) -> Result<Value, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let read = |path: &Path| std::fs::read_to_string(path);
    let text = read(file).map_err(|e| Failure::Use(format!("{}: {e}", file.display())))?;
    let path = file.to_owned();
    let sources = Sources {
        file: Some(FileText { path, text }),
        environment,
        ..Sources::default()
    };
    let config = Config::load(&sources, &read).map_err(|e| Failure::Use(e.to_string()))?;
    let instance = config.instance(0);
    let catalog = instance.catalog.catalog();
    let holder = |e: &Endpoint| {
        let provider = catalog.providers().get(e.provider_index)?;
        config.keys.holder(None, provider)
    };
    let caller = Caller::new(KeyRecord::default(), config.account_defaults.clone());
    let body = body(args)?.to_string();
    let situation = Situation {
        instance: &instance,
        caller: &caller,
        health: &Health::default(),
        holder: &holder,
        depth: Limits::default().depth,
        now: Timestamp::default(),
    };
    let explanation = explain(Protocol::Chat, body.into(), None, &situation)
        .map_err(|e| Failure::Use(format!("{}: {}", file.display(), e.message)))?;
    serde_json::to_value(explanation).map_err(|e| Failure::Use(e.to_string()))
}

/// Prints the explanation as tables, and its warnings to standard error.
pub(crate) fn print(explanation: &Value) {
    for warning in explanation["warnings"].as_array().into_iter().flatten() {
        eprintln!("warning: {}\n", shown(&text(warning)));
    }
    say(&format!(
        "{} under policy {}, catalog {}\n\n",
        text(&explanation["model"]),
        text(&explanation["policy"]),
        text(&explanation["catalog"])
    ));
    let list = |name: &str| explanation[name].as_array().cloned().unwrap_or_default();
    let eligible = list("eligible");
    if eligible.is_empty() {
        say("No endpoint may serve this request.\n\n");
    } else {
        let rows = eligible
            .iter()
            .map(|e| {
                vec![
                    text(&e["position"]),
                    text(&e["endpoint"]),
                    text(&e["outbound"]),
                    text(&e["because"]),
                ]
            })
            .collect();
        print_table(&["#", "eligible endpoint", "protocol", "because of"], rows);
        say("\n");
    }
    let mut rows = Vec::new();
    let has_remedy = list("excluded").iter().any(|e| {
        e["reasons"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|r| !r["remedy"].is_null())
    });
    for e in list("excluded") {
        for (i, r) in e["reasons"].as_array().into_iter().flatten().enumerate() {
            let endpoint = if i == 0 {
                text(&e["endpoint"])
            } else {
                String::new()
            };
            let source = [text(&r["source"]), text(&r["checked"])]
                .into_iter()
                .filter(|t| t != "–")
                .collect::<Vec<_>>()
                .join(", ");
            let mut row = vec![
                endpoint,
                text(&r["rule"]),
                text(&r["layer"]),
                text(&r["fact"]),
            ];
            row.extend(has_remedy.then(|| text(&r["remedy"])));
            row.push(source);
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        let mut heads = vec!["excluded endpoint", "rule", "set by", "fact"];
        heads.extend(has_remedy.then_some("remedy"));
        heads.push("source");
        print_table(&heads, rows);
        say("\n");
    }
    let mut rows = Vec::new();
    for r in list("relax") {
        for (i, c) in r["changes"].as_array().into_iter().flatten().enumerate() {
            let (endpoint, consent) = if i == 0 {
                (text(&r["endpoint"]), text(&r["consent"]))
            } else {
                (String::new(), String::new())
            };
            rows.push(vec![
                endpoint,
                format!("{} = {}", text(&c["set"]), c["to"]),
                text(&c["layer"]),
                consent,
            ]);
        }
    }
    if !rows.is_empty() {
        print_table(&["would be admitted", "by", "at", "with consent of"], rows);
        say("\n");
    }
}
