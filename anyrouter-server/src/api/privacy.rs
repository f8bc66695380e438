//! API of the privacy settings, the redaction preview and the route explanation.

use anyrouter_core::{
    catalog::{Catalog, Protocol},
    config::{unknown_provider, unknown_providers, without_effect},
    gateway::check_given_name,
    ids::AccountId,
    policy::{Explanation, Settings, SettingsPatch},
    ports::{Blocking, StoreError},
    redact::{Finding, Placeholders, Rules, Step},
    wire::{error::ApiError, structure::is_structure},
};
use axum::{extract::State, http::HeaderMap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CHANGES;
use super::chat::ChatBody;
use crate::{
    app::App,
    auth::{AnyKey, Auth, ReadPrivacy, WritePrivacy},
    body::{JsonBody, RawBody},
    intake::{pin, session_id},
    respond::{Error, Json},
    routes::Shared,
};

pub(super) async fn read(
    caller: Auth<ReadPrivacy>,
    State(app): Shared,
) -> Result<Json<Settings>, Error> {
    let account = app.accounts.account(&caller.key.account).await?;
    let account = account.ok_or_else(|| StoreError::Absent("the account".to_owned()))?;
    Ok(Json(account.settings))
}

/// Changes the named settings, with effect from the next request.
pub(super) async fn change(
    caller: Auth<WritePrivacy>,
    State(app): Shared,
    JsonBody(patch): JsonBody<SettingsPatch>,
) -> Result<Json<ChangedSettings>, Error> {
    check(&patch, &*app.gateway.ports().blocking)?;
    let warnings = nobodys_names(&patch, app.gateway.instance().catalog.catalog());
    let settings = change_settings(&app, &caller.key.account, &patch).await?;
    Ok(Json(ChangedSettings { settings, warnings }))
}

/// Changes an account's settings, and retries on the current version after a conflict.
async fn change_settings(
    app: &App,
    id: &AccountId,
    patch: &SettingsPatch,
) -> Result<Settings, StoreError> {
    let mut tries = CHANGES;
    loop {
        let account = app.accounts.account(id).await?;
        let account = account.ok_or_else(|| StoreError::Absent("the account".to_owned()))?;
        let changed = account.settings.patched(patch.clone());
        let put = app
            .accounts
            .put_settings(id, changed.clone(), account.version);
        match put.await {
            Ok(_) => return Ok(changed),
            Err(StoreError::Conflict(_)) if tries > 0 => tries -= 1,
            Err(e) => return Err(e),
        }
    }
}

/// The settings after a change.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChangedSettings {
    #[serde(flatten)]
    settings: Settings,
    /// Names in provider lists that match no provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Returns warnings for names in provider lists that match no provider. Such a name is kept,
/// because the provider may be added later, but it may be misspelt.
fn nobodys_names(patch: &SettingsPatch, catalog: &Catalog) -> Vec<String> {
    unknown_providers(patch, catalog)
        .into_iter()
        .map(|(list, _, name, near)| unknown_provider(list, &name, near))
        .collect()
}

/// Refuses settings that cannot be enforced.
pub(super) fn check(patch: &SettingsPatch, blocking: &dyn Blocking) -> Result<(), ApiError> {
    let wrong = |param: &str, message: &str| {
        let mut error = ApiError::new(400, "invalid_parameter", message);
        error.param = Some(param.to_owned());
        Err(error)
    };
    // A setting without effect would be a false promise.
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
    let mut rules = Ok(());
    if let Some(given) = &patch.redaction_rules {
        blocking.run(&mut || rules = Rules::parse(given).map(drop));
    }
    match rules {
        Ok(()) => Ok(()),
        Err(fault) => wrong("redaction_rules", &format!("`redaction_rules`: {fault}")),
    }
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

/// Result of a redaction.
#[derive(Serialize, JsonSchema)]
pub(super) struct PreviewResult {
    /// Text or document as a provider would see it.
    redacted: serde_json::Value,
    /// Findings; offsets are bytes of the text, or of the document written without spaces.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    spans: Vec<Finding>,
    /// Number of values, by label.
    counts: std::collections::BTreeMap<String, u64>,
}

/// Redacts a text under the calling account's rules, without storing or sending it.
pub(super) async fn preview(
    caller: Auth<ReadPrivacy>,
    State(app): Shared,
    headers: HeaderMap,
    JsonBody(preview): JsonBody<Preview>,
) -> Result<Json<PreviewResult>, Error> {
    let instance = app.gateway.instance();
    let wrong = |message: &str| ApiError::new(400, "invalid_parameter", message);
    let redactor = app
        .gateway
        .redactor(&caller, &instance)
        .await
        .map_err(|e| wrong(&format!("the account's `redaction_rules`: {e}")))?;
    let redaction = instance
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
    app.gateway.ports().blocking.run(&mut || {
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
    Ok(Json(PreviewResult {
        redacted,
        spans,
        counts: placeholders.counts().clone(),
    }))
}

/// Explains how a request would be routed, without sending it.
pub(super) async fn explain(
    caller: Auth<AnyKey>,
    State(app): Shared,
    headers: HeaderMap,
    RawBody(bytes, _): RawBody<ChatBody>,
) -> Result<Json<Explanation>, Error> {
    let pin = pin(&headers);
    let explanation = app
        .gateway
        .explain(Protocol::Chat, &caller, bytes, pin.as_deref())?;
    Ok(Json(explanation))
}
