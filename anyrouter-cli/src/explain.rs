//! `anyrouter route explain`, with a server or without.

use std::path::Path;

use anyrouter_core::{
    account::{Caller, KeyRecord},
    catalog::{Endpoint, ModelName, Protocol},
    policy::{Layer, evaluate},
    ports::Credentials as _,
    route::{self, Health, Needs, Preferences, ProviderObject},
    time::Timestamp,
};
use anyrouter_server::config::{Config, Sources};
use serde_json::{Value, json};

use crate::{
    args::Explain,
    client::Failure,
    table::{print_table, say, shown},
    text,
};

/// The request that the options mean.
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

/// Explains over a configuration file, for a new account with its defaults.
pub(crate) fn offline(file: &Path, args: &Explain) -> Result<Value, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let config = Config::load(&Sources {
        file: Some(file.to_owned()),
        environment,
        ..Sources::default()
    })
    .map_err(|e| Failure::Use(e.to_string()))?;
    let world = config.world(0);
    let catalog = world.catalog.catalog().clone();
    let body = body(args)?;
    let model = body["model"]
        .as_str()
        .ok_or_else(|| Failure::Use("the body names no `model`".to_owned()))?;
    let name = ModelName::parse(model, &catalog);
    let found = match catalog
        .virtual_models()
        .iter()
        .find(|v| v.id.as_str() == name.base)
    {
        Some(virtual_model) => catalog.expand(virtual_model),
        None => catalog.find(name.base).into_iter().collect(),
    };
    if found.is_empty() {
        let near = catalog.near(model);
        let hint = if near.is_empty() {
            String::new()
        } else {
            format!("; near it: {}", near.join(", "))
        };
        return Err(Failure::Use(format!(
            "no model `{model}` in {}{hint}",
            file.display()
        )));
    }
    let wrong = |e: &dyn std::fmt::Display| Failure::Use(format!("the `provider` object: {e}"));
    let object: ProviderObject =
        serde_json::from_value::<Option<ProviderObject>>(body["provider"].clone())
            .map_err(|e| wrong(&e))?
            .unwrap_or_default();
    let preferences =
        Preferences::from_object(object).map_err(|(at, e)| wrong(&format!("{at}: {e}")))?;
    let layers = Caller::new(KeyRecord::default(), config.account_defaults.clone()).layers(&world);
    let request = [(Layer::Request, preferences.restriction.clone())];
    let decisions: Vec<_> = found
        .iter()
        .map(|model| evaluate(&layers, &request, *model))
        .collect();
    let has_credential = |e: &Endpoint| {
        catalog
            .providers()
            .get(e.provider_index)
            .is_some_and(|p| config.keys.has(p))
    };
    let (needs, health) = (Needs::default(), Health::default());
    let routing = route::Request {
        preferences: &preferences,
        needs: &needs,
        health: &health,
        has_credential: &has_credential,
        inbound: Protocol::Chat,
        now: Timestamp::default(),
        seed: 0,
    };
    let explanation = route::explain(model, &decisions, &routing, &catalog);
    serde_json::to_value(explanation).map_err(|e| wrong(&e))
}

/// The explanation as tables; its warnings go to standard error.
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
                    text(&e["because"]),
                ]
            })
            .collect();
        print_table(&["#", "eligible endpoint", "because of"], rows);
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
