//! Privacy settings, and the explanation of what they do.

use anyrouter_core::{
    catalog::{Catalog, NamedProvider, Protocol},
    gateway::check_given_name,
    key::Scope,
    policy::{Settings, SettingsPatch},
    redact::{Finding, Placeholders, Rules, Step},
    wire::{error::ApiError, structure::is_structure},
};
use axum::{Extension, body::Body, extract::State, http::HeaderMap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Shared, body, caller, json};
use crate::http::{ClientIp, pin, read_body, session_id};

pub(super) async fn read(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
) -> Answer {
    let caller = caller(
        &server,
        &headers,
        ip,
        &[Scope::Inference, Scope::ReadPrivacy],
    )
    .await?;
    json(&server.database.settings(caller.key.account.clone()).await?)
}

/// Changes the members that are named. The change holds from the next request on.
pub(super) async fn change(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    sent: Body,
) -> Answer {
    let caller = caller(&server, &headers, ip, &[Scope::WritePrivacy]).await?;
    let patch: SettingsPatch = body(&server, &headers, sent).await?;
    check(&patch)?;
    let warnings = nobodys_names(&patch, server.gateway.world().catalog.catalog());
    let settings = server
        .database
        .change_settings(caller.key.account.clone(), patch)
        .await?;
    json(&Changed { settings, warnings })
}

/// The settings that hold now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    #[serde(flatten)]
    settings: Settings,
    /// Names in provider lists that no provider here has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Names in provider lists that no provider here has: they are kept, since one may come, but may
/// well be misspelt.
fn nobodys_names(patch: &SettingsPatch, catalog: &Catalog) -> Vec<String> {
    unknown_providers(patch, catalog)
        .into_iter()
        .map(|(list, _, name, near)| unknown_provider(list, &name, near))
        .collect()
}

/// The names in a patch's provider lists that no provider here has: the list, the place in it, the
/// name, and the provider that it reads like.
pub(crate) fn unknown_providers<'a>(
    patch: &SettingsPatch,
    catalog: &'a Catalog,
) -> Vec<(&'static str, usize, String, Option<&'a str>)> {
    let lists = [
        ("block", patch.block.as_ref()),
        ("allow", patch.allow.as_ref().and_then(Option::as_ref)),
    ];
    let all = lists.iter().flat_map(|(list, names)| {
        names
            .iter()
            .flat_map(|n| n.iter())
            .enumerate()
            .map(|(i, name)| (*list, i, name))
    });
    all.filter_map(|(list, i, name)| match catalog.named_provider(name) {
        NamedProvider::Known => None,
        NamedProvider::Near(near) => Some((list, i, name.clone(), Some(near))),
        NamedProvider::Unknown => Some((list, i, name.clone(), None)),
    })
    .collect()
}

/// Says that there is no such provider.
pub(crate) fn unknown_provider(list: &str, name: &str, near: Option<&str>) -> String {
    let hint = near.map_or_else(
        || "GET /api/v1/providers lists them".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    format!("`{list}` names `{name}`, and there is no such provider; {hint}")
}

/// Refuses what could not be kept.
pub(super) fn check(patch: &SettingsPatch) -> Result<(), ApiError> {
    let wrong = |param: &str, message: &str| {
        let mut error = ApiError::new(400, "invalid_parameter", message);
        error.param = Some(param.to_owned());
        Err(error)
    };
    // A setting that does nothing would be a promise that is not kept.
    if let Some((setting, why)) = without_effect(patch) {
        return wrong(
            setting,
            &format!("`{setting}` has no effect yet, because {why}; leave it out"),
        );
    }
    let names = [
        ("block", patch.block.as_ref()),
        ("allow", patch.allow.as_ref().and_then(Option::as_ref)),
    ];
    let models = [
        ("block_models", patch.block_models.as_ref()),
        (
            "allow_models",
            patch.allow_models.as_ref().and_then(Option::as_ref),
        ),
    ];
    for (list, names) in names.into_iter().chain(models) {
        names
            .into_iter()
            .flat_map(|n| n.iter())
            .try_for_each(|name| check_given_name(list, name))?;
    }
    let is_region = |name: &&String| {
        (2..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !patch
        .regions
        .iter()
        .flatten()
        .flatten()
        .all(|name| is_region(&name))
    {
        return wrong(
            "regions",
            "`regions` must be a list of regions as the catalog names them, such as `eu` or `us`",
        );
    }
    if let Err(fault) = Rules::parse(patch.redaction_rules.as_deref().unwrap_or_default()) {
        return wrong("redaction_rules", &format!("`redaction_rules`: {fault}"));
    }
    Ok(())
}

/// A setting that differs from its default and that nothing reads yet, and why.
pub(crate) fn without_effect(patch: &SettingsPatch) -> Option<(&'static str, &'static str)> {
    let defaults = Settings::default();
    let bodies = "this server does not store bodies";
    let differs = [
        (
            "log_bodies",
            patch.log_bodies.is_some_and(|v| v != defaults.log_bodies),
            bodies,
        ),
        (
            "body_retention_days",
            patch
                .body_retention_days
                .is_some_and(|v| v != defaults.body_retention_days),
            bodies,
        ),
        (
            "redact_stored",
            patch
                .redact_stored
                .is_some_and(|v| v != defaults.redact_stored),
            bodies,
        ),
        (
            "metadata_retention_days",
            patch
                .metadata_retention_days
                .is_some_and(|v| v != defaults.metadata_retention_days),
            "this server does not delete usage records by age",
        ),
    ];
    differs
        .into_iter()
        .find(|(_, differs, _)| *differs)
        .map(|(setting, _, why)| (setting, why))
}

/// Text or a JSON document to try the calling account's redaction rules on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `text` or `json`")]
pub(super) struct Preview {
    /// Plain text.
    text: Option<String>,
    /// A JSON document.
    json: Option<serde_json::Value>,
}

/// What redaction makes of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Previewed {
    /// What a provider would see: a text, or a document.
    redacted: serde_json::Value,
    /// Where values are; offsets are bytes of the text, or of the document written without spaces.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    spans: Vec<Finding>,
    /// How many, by label.
    counts: std::collections::BTreeMap<String, u64>,
}

/// Shows what redaction makes of a text under the calling account's rules. Nothing is stored or
/// sent.
pub(super) async fn preview(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    sent: Body,
) -> Answer {
    let caller = caller(
        &server,
        &headers,
        ip,
        &[Scope::Inference, Scope::ReadPrivacy],
    )
    .await?;
    let preview: Preview = body(&server, &headers, sent).await?;
    let world = server.gateway.world();
    let wrong = |message: &str| ApiError::new(400, "invalid_parameter", message);
    let redactor = caller
        .redactor(&world)
        .map_err(|e| wrong(&format!("the account's `redaction_rules`: {e}")))?;
    let redaction = world
        .redaction
        .as_ref()
        .ok_or_else(|| wrong("this server does not redact"))?;
    let session = preview
        .json
        .as_ref()
        .and_then(|d| d.get("session_id"))
        .and_then(serde_json::Value::as_str)
        .map(ToOwned::to_owned);
    let session = session.or_else(|| session_id(&headers));
    let mut placeholders = Placeholders::new(
        redaction
            .key
            .derive(caller.key.account.as_str(), session.as_deref()),
    );
    let (text, is_json) = match (preview.text, preview.json) {
        (Some(text), None) => (text, false),
        (None, Some(document)) => (document.to_string(), true),
        _ => return Err(wrong("send either `text` or `json`").into()),
    };
    let is_structure_of_chat =
        |path: &[Step<'_>], content: &str| is_structure(Protocol::Chat, path, content);
    let mut done = None;
    (redaction.heavy)(&mut || {
        let (left, spans) = if is_json {
            (
                redactor.redact_json(&text, is_structure_of_chat, &mut placeholders),
                redactor.find_json(&text),
            )
        } else {
            (
                redactor.redact(&text, &mut placeholders),
                redactor.find(&text),
            )
        };
        done = Some(left.map(|left| (left.into_inner(), spans)));
    });
    let (left, spans) = done
        .ok_or_else(|| wrong("this server does not redact"))?
        .map_err(|e| {
            ApiError::new(
                400,
                "redaction_blocked",
                format!("such a request would not be sent: {e}"),
            )
        })?;
    let redacted = if is_json {
        serde_json::from_str(&left).unwrap_or_default()
    } else {
        left.into()
    };
    json(&Previewed {
        redacted,
        spans,
        counts: placeholders.counts().clone(),
    })
}

/// Explains how a request would be routed. Nothing is sent.
pub(super) async fn explain(
    State(server): Shared,
    Extension(ip): Extension<ClientIp>,
    headers: HeaderMap,
    sent: Body,
) -> Answer {
    let caller = caller(&server, &headers, ip, &[]).await?;
    let bytes = read_body(&server, &headers, sent).await?;
    let pin = pin(&headers);
    json(
        &server
            .gateway
            .explain(Protocol::Chat, &caller, bytes, pin.as_deref())?,
    )
}
