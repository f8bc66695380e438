//! API of an account's own credentials for providers: add, list, change, remove. No response shows a
//! secret.

use anyrouter_core::{
    account::Caller,
    catalog::Tier,
    credential::{CredentialId, CredentialRecord, MAX_CREDENTIALS, StatedTerms, StoredCredential},
    gateway::check_given_name,
    ids::ProviderSlug,
    ports::StoreError,
    secret::Secret,
    time::Timestamp,
    wire::error::ApiError,
};
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroize as _;

use super::CHANGES;
use crate::{
    app::App,
    auth::{Auth, ReadByok, WriteByok},
    body::JsonBody,
    respond::{Created, Data, Error, Json},
    routes::Shared,
};

/// Maximum number of regions in a statement, and the maximum length of the name of one.
const REGIONS: usize = 100;
const REGION: usize = 64;
/// Maximum length of a secret, in bytes.
const SECRET: usize = 4096;

/// A credential as the API shows it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Credential {
    #[schemars(with = "String")]
    id: CredentialId,
    provider_id: ProviderSlug,
    label: String,
    /// The end of the secret.
    key_preview: String,
    kind: &'static str,
    /// Its place among the account's credentials for the provider: lower ones are used first.
    position: u32,
    disabled: bool,
    /// The tier that the account states; null is unknown, which counts as the worst.
    tier: Option<Tier>,
    /// The terms that the account states; null means those of the catalog.
    terms: Option<StatedTerms>,
    stated_at: Option<String>,
    created_at: String,
    /// Time until which it is not used, because the provider refused it.
    resting_until: Option<String>,
    /// The first credential for the provider, if its tier or terms are not the same: then this one is
    /// not used.
    #[schemars(with = "Option<String>")]
    unlike: Option<CredentialId>,
}

impl Credential {
    /// Shows a credential, one of `all` of the account, in their order.
    fn of(app: &App, all: &[StoredCredential], stored: &StoredCredential) -> Self {
        let r = stored.record.clone();
        let is_used = |c: &&StoredCredential| c.record.provider == r.provider && !c.record.disabled;
        let first = all.iter().find(is_used).map(|c| &c.record);
        let unlike = first.filter(|f| (f.tier, &f.terms) != (r.tier, &r.terms) && !r.disabled);
        Self {
            unlike: unlike.map(|f| f.id.clone()),
            resting_until: app.custody.rests_until(&r.id).map(|t| t.to_string()),
            id: r.id,
            provider_id: r.provider,
            label: r.label,
            key_preview: r.preview,
            kind: "byok",
            position: r.position,
            disabled: r.disabled,
            tier: r.tier,
            terms: r.terms,
            stated_at: r.stated_at.map(|t| t.to_string()),
            created_at: r.created_at.to_string(),
        }
    }
}

/// A new credential.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"provider_id": "anthropic", "api_key": "sk-ant-…", "label": "work", "tier": "paid"}]))]
pub(super) struct NewCredential {
    /// Slug of the provider.
    provider_id: String,
    /// The secret. It is sealed, and never shown.
    api_key: String,
    #[serde(default)]
    label: String,
    position: Option<u32>,
    tier: Option<Tier>,
    terms: Option<StatedTerms>,
    /// Accepted for clients that send it, and not kept.
    #[serde(default, rename = "source")]
    _source: Option<String>,
    /// `byok`.
    kind: Option<String>,
}

/// A change of a credential. Null removes a statement.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(clippy::option_option)] // left out, null, or a value
pub(super) struct CredentialChange {
    label: Option<String>,
    position: Option<u32>,
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    tier: Option<Option<Tier>>,
    #[serde(default, deserialize_with = "present")]
    terms: Option<Option<StatedTerms>>,
}

/// Confirmation that a credential was removed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Removed {
    deleted: bool,
    id: String,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn invalid(param: &str, message: impl Into<String>) -> ApiError {
    let mut error = ApiError::new(400, "invalid_parameter", message.into());
    error.param = Some(param.to_owned());
    error
}

fn too_many() -> ApiError {
    let message = format!("an account has at most {MAX_CREDENTIALS} credentials; remove one first");
    ApiError::new(409, "too_many_credentials", message)
}

fn missing() -> ApiError {
    ApiError::new(
        404,
        "not_found",
        "there is no such credential in this account; GET /api/v1/auth/byok lists them",
    )
}

pub(super) async fn list(
    caller: Auth<ReadByok>,
    State(app): Shared,
) -> Result<Data<Vec<Credential>>, Error> {
    let all = app.custody.credentials(&caller.key.account).await?;
    let data = all.iter().map(|c| Credential::of(&app, &all, c)).collect();
    Ok(Data { data })
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<StoredCredential, Error> {
    let all = app.custody.credentials(&caller.key.account).await?;
    let found = all.into_iter().find(|c| *c.record.id == *id);
    Ok(found.ok_or_else(missing)?)
}

/// Returns a credential after a change, as the API shows it.
async fn shown(app: &App, caller: &Caller, id: &str) -> Result<Credential, Error> {
    let all = app.custody.credentials(&caller.key.account).await?;
    let found = all.iter().find(|c| *c.record.id == *id);
    Ok(found
        .map(|stored| Credential::of(app, &all, stored))
        .ok_or_else(missing)?)
}

pub(super) async fn add(
    caller: Auth<WriteByok>,
    State(app): Shared,
    JsonBody(mut new): JsonBody<NewCredential>,
) -> Result<Created<Credential>, Error> {
    let secret = Secret::new(new.api_key.trim().to_owned());
    new.api_key.zeroize();
    let is_usable = |b: u8| b.is_ascii_graphic();
    if secret.expose().is_empty()
        || secret.expose().len() > SECRET
        || !secret.expose().bytes().all(is_usable)
    {
        let message =
            "`api_key` must be 1 to 4,096 visible ASCII characters, as the provider gave it";
        return Err(invalid("api_key", message).into());
    }
    if !new.label.is_empty() {
        check_given_name("label", &new.label)?;
    }
    if new.kind.as_deref().is_some_and(|kind| kind != "byok") {
        return Err(invalid("kind", "`kind` must be `byok`").into());
    }
    let catalog = app.config().catalog.clone();
    let Some(provider) = catalog.provider(&new.provider_id) else {
        let message = "`provider_id` names no provider; GET /api/v1/providers lists them by slug";
        return Err(invalid("provider_id", message).into());
    };
    check_terms(new.terms.as_ref())?;
    let account = &caller.key.account;
    let all = app.custody.credentials(account).await?;
    if all.len() >= MAX_CREDENTIALS {
        return Err(too_many().into());
    }
    let of_provider = all.iter().filter(|c| c.record.provider == provider.slug);
    let next = of_provider
        .map(|c| c.record.position.saturating_add(1))
        .max();
    let now = app.clock().now();
    let bits = app.gateway.ports().randomness.key_bits()?;
    let digits: String = bits.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let record = CredentialRecord {
        id: format!("byok_{digits}").into(),
        provider: provider.slug.clone(),
        label: new.label,
        preview: preview(&secret),
        position: new.position.or(next).unwrap_or(0),
        disabled: false,
        stated_at: (new.tier.is_some() || new.terms.is_some()).then_some(now),
        tier: new.tier,
        terms: new.terms,
        created_at: now,
    };
    match app.custody.add(account, record.clone(), &secret).await {
        // Others were added at the same time.
        Err(StoreError::Conflict(_)) => return Err(too_many().into()),
        added => added?,
    }
    Ok(Created(shown(&app, &caller, &record.id).await?))
}

fn check_terms(terms: Option<&StatedTerms>) -> Result<(), ApiError> {
    let regions = terms.and_then(|t| t.regions.as_ref());
    if regions.is_some_and(|r| r.len() > REGIONS || r.iter().any(|name| name.len() > REGION)) {
        let message = format!("`regions` has at most {REGIONS} names of at most {REGION} bytes");
        return Err(invalid("terms.regions", message));
    }
    Ok(())
}

/// Returns the end of a secret, if the rest is long enough to stay one.
fn preview(secret: &Secret<String>) -> String {
    let text = secret.expose();
    let end = text.len().checked_sub(4).filter(|at| *at >= 12);
    format!("…{}", end.and_then(|at| text.get(at..)).unwrap_or_default())
}

pub(super) async fn change(
    caller: Auth<WriteByok>,
    State(app): Shared,
    Path(id): Path<String>,
    JsonBody(change): JsonBody<CredentialChange>,
) -> Result<Data<Credential>, Error> {
    if let Some(label) = &change.label {
        check_given_name("label", label)?;
    }
    check_terms(change.terms.as_ref().and_then(Option::as_ref))?;
    let account = &caller.key.account;
    let mut tries = CHANGES;
    loop {
        let stored = find(&app, &caller, &id).await?;
        let record = change.clone().applied(stored.record, app.clock().now());
        let changed = app.custody.change(account, record, stored.version);
        match changed.await {
            Ok(()) => break,
            Err(StoreError::Conflict(_)) if tries > 0 => tries -= 1,
            Err(e) => return Err(e.into()),
        }
    }
    let data = shown(&app, &caller, &id).await?;
    Ok(Data { data })
}

impl CredentialChange {
    fn applied(self, mut record: CredentialRecord, now: Timestamp) -> CredentialRecord {
        if let Some(label) = self.label {
            record.label = label;
        }
        if let Some(position) = self.position {
            record.position = position;
        }
        if let Some(disabled) = self.disabled {
            record.disabled = disabled;
        }
        if self.tier.is_some() || self.terms.is_some() {
            record.stated_at = Some(now);
        }
        if let Some(tier) = self.tier {
            record.tier = tier;
        }
        if let Some(terms) = self.terms {
            record.terms = terms;
        }
        record
    }
}

pub(super) async fn remove(
    caller: Auth<WriteByok>,
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<Json<Removed>, Error> {
    match app.custody.remove(&caller.key.account, &id).await {
        Ok(()) => Ok(Json(Removed { deleted: true, id })),
        Err(StoreError::Absent(_)) => Err(missing().into()),
        Err(e) => Err(e.into()),
    }
}
