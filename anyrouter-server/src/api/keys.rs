//! API of the keys: create, show once, list by hash, change and revoke (P07).

use std::{collections::BTreeSet, convert::Infallible};

use anyrouter_core::{
    account::{Caller, KeyRecord, StoredKey},
    config::{is_range, passes_client_metadata},
    gateway::check_given_name,
    ids::AccountId,
    key::{ApiKey, KeyHash, KeyKind, Scope},
    policy::SettingsPatch,
    ports::{Blocking, StoreError},
    time::Timestamp,
    wire::error::ApiError,
};
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::CHANGES;
use super::privacy;
use crate::{
    app::App,
    auth::{AnyKey, Auth, ReadKeys, WriteKeys},
    body::JsonBody,
    respond::{Created, Data, Error, Json},
    routes::Shared,
};

/// Returns the calling key.
pub(super) async fn own(caller: Auth<AnyKey>, State(app): Shared) -> Result<Data<OwnKey>, Error> {
    let row = app
        .accounts
        .key(&caller.key.hash, app.clock().now())
        .await?
        .ok_or_else(missing)?;
    let is_management = row.record.kind == KeyKind::Management;
    let own = OwnKey {
        key: Key::of(&row),
        account_id: row.record.account.clone(),
        is_free_tier: false,
        is_management_key: is_management,
        is_provisioning_key: is_management,
        usage_daily: row.spent.today.as_f64(),
        usage_weekly: row.spent.this_week.as_f64(),
        usage_monthly: row.spent.this_month.as_f64(),
        byok_usage: 0,
        include_byok_in_limit: false,
        creator_user_id: (),
        rate_limit: RateLimit {
            requests: row.record.requests_per_minute.map_or(-1, i64::from),
            interval: "1m",
            note: "requests in any minute; -1: no limit",
        },
    };
    Ok(Data { data: own })
}

/// A key as the API shows it, without the key itself. Amounts are in USD; values that this server
/// does not keep are null.
#[derive(Serialize, JsonSchema)]
pub(super) struct Key {
    /// SHA-256 of the key in hexadecimal, which identifies it in this API.
    #[schemars(with = "String")]
    hash: KeyHash,
    name: String,
    /// First and last characters of the key.
    label: String,
    #[serde(rename = "type")]
    kind: KeyKind,
    scopes: BTreeSet<Scope>,
    created_at: String,
    updated_at: (),
    last_used_at: Option<String>,
    disabled: bool,
    revoked: bool,
    can_reveal: bool,
    /// Amount spent with the key.
    usage: f64,
    limit: (),
    limit_remaining: (),
    limit_reset: (),
    expires_at: Option<String>,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u64>,
    allowed_models: Option<Vec<String>>,
    allowed_endpoints: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
    privacy: SettingsPatch,
}

impl Key {
    fn of(row: &StoredKey) -> Self {
        let r = row.record.clone();
        Self {
            hash: r.hash,
            name: r.name,
            label: r.label,
            kind: r.kind,
            scopes: r.scopes,
            created_at: r.created_at.to_string(),
            updated_at: (),
            last_used_at: row.last_used_at.map(|t| t.to_string()),
            disabled: r.disabled || r.revoked,
            revoked: r.revoked,
            can_reveal: false,
            usage: row.spent.ever.as_f64(),
            limit: (),
            limit_remaining: (),
            limit_reset: (),
            expires_at: r.expires_at.map(|t| t.to_string()),
            requests_per_minute: r.requests_per_minute,
            tokens_per_minute: r.tokens_per_minute,
            allowed_models: r.allowed_models,
            allowed_endpoints: r.allowed_endpoints,
            allowed_ips: r.allowed_ips,
            privacy: r.privacy,
        }
    }
}

/// The calling key, with data of its account.
#[derive(Serialize, JsonSchema)]
pub(super) struct OwnKey {
    #[serde(flatten)]
    key: Key,
    account_id: AccountId,
    is_free_tier: bool,
    is_management_key: bool,
    is_provisioning_key: bool,
    /// Amount spent with the key since midnight (UTC).
    usage_daily: f64,
    /// Amount spent with the key since Monday.
    usage_weekly: f64,
    /// Amount spent with the key since the first of the month.
    usage_monthly: f64,
    byok_usage: u32,
    include_byok_in_limit: bool,
    creator_user_id: (),
    rate_limit: RateLimit,
}

#[derive(Serialize, JsonSchema)]
struct RateLimit {
    requests: i64,
    interval: &'static str,
    note: &'static str,
}

/// A newly created key, which only this response shows.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewKey {
    /// The key itself.
    key: String,
    data: Key,
}

/// Confirmation that a key was revoked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Revoked {
    deleted: bool,
    #[schemars(with = "String")]
    hash: KeyHash,
}

fn missing() -> ApiError {
    ApiError::new(
        404,
        "not_found",
        "there is no such key in this account; GET /api/v1/keys lists them by hash",
    )
}

/// Returns the scope that is required to read or write keys of a kind.
fn scope(kind: KeyKind, write: bool) -> Scope {
    match (kind, write) {
        (KeyKind::Inference, false) => Scope::ReadLlmKeys,
        (KeyKind::Inference, true) => Scope::WriteLlmKeys,
        (KeyKind::Management, false) => Scope::ReadManagementKeys,
        (KeyKind::Management, true) => Scope::WriteManagementKeys,
    }
}

fn require(caller: &Caller, needed: Scope) -> Result<(), Error> {
    if caller.key.scopes.contains(&needed) {
        return Ok(());
    }
    let message = format!(
        "the key lacks the scope {}; use a key that has it",
        needed.as_str()
    );
    Err(ApiError::new(403, "insufficient_scope", message).into())
}

pub(super) async fn list(
    caller: Auth<ReadKeys>,
    State(app): Shared,
) -> Result<Data<Vec<Key>>, Error> {
    let keys = app
        .accounts
        .keys(&caller.key.account, app.clock().now())
        .await?;
    let visible = keys
        .iter()
        .filter(|k| !k.record.revoked && caller.key.scopes.contains(&scope(k.record.kind, false)));
    Ok(Data {
        data: visible.map(Key::of).collect(),
    })
}

/// Returns the account's key with this hash, if the caller may read or write it.
async fn find(app: &App, caller: &Caller, hash: &str, write: bool) -> Result<StoredKey, Error> {
    let hash = KeyHash::parse(hash).ok_or_else(missing)?;
    let row = app
        .accounts
        .key(&hash, app.clock().now())
        .await?
        .filter(|k| k.record.account == caller.key.account && !k.record.revoked)
        .ok_or_else(missing)?;
    require(caller, scope(row.record.kind, write))?;
    Ok(row)
}

pub(super) async fn read(
    caller: Auth<ReadKeys>,
    State(app): Shared,
    Path(hash): Path<String>,
) -> Result<Data<Key>, Error> {
    Ok(Data {
        data: Key::of(&find(&app, &caller, &hash, false).await?),
    })
}

/// Settings of a key. Null removes a limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyOptions", extend("examples" = [{"name": "a program", "requests_per_minute": 60}]))]
#[allow(clippy::option_option)] // left out, null, or a value
pub(super) struct Options {
    name: Option<String>,
    label: Option<String>,
    #[serde(rename = "type")]
    kind: Option<KeyKind>,
    disabled: Option<bool>,
    // Duplicates are removed.
    #[schemars(with = "Option<Vec<Scope>>")]
    scopes: Option<BTreeSet<Scope>>,
    #[serde(default, deserialize_with = "present")]
    allowed_endpoints: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    allowed_models: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    expires_at: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    requests_per_minute: Option<Option<u32>>,
    #[serde(default, deserialize_with = "present")]
    tokens_per_minute: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    allowed_ips: Option<Option<Vec<String>>>,
    limit: Option<Value>,
    limit_reset: Option<Value>,
    include_byok_in_limit: Option<bool>,
    privacy: Option<SettingsPatch>,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Options {
    fn check(
        &self,
        caller: &Caller,
        kind: KeyKind,
        blocking: &dyn Blocking,
    ) -> Result<(), ApiError> {
        let wrong = |param: &str, message: String| {
            let mut error = ApiError::new(400, "invalid_parameter", message);
            error.param = Some(param.to_owned());
            Err(error)
        };
        for (param, name) in [("name", &self.name), ("label", &self.label)] {
            name.as_ref()
                .map_or(Ok(()), |n| check_given_name(param, n))?;
        }
        for (param, names) in [
            ("allowed_models", &self.allowed_models),
            ("allowed_endpoints", &self.allowed_endpoints),
        ] {
            names
                .iter()
                .flatten()
                .flatten()
                .try_for_each(|n| check_given_name(param, n))?;
        }
        if self.limit.as_ref().is_some_and(|l| !l.is_null())
            || self.limit_reset.as_ref().is_some_and(|l| !l.is_null())
        {
            return wrong(
                "limit",
                "this server does not support budgets yet and cannot enforce a limit".to_owned(),
            );
        }
        if let Some(Some(text)) = &self.expires_at
            && Timestamp::parse_rfc3339(text).is_none()
        {
            return wrong(
                "expires_at",
                "`expires_at` must be a date and time, as 2027-01-31T12:00:00Z".to_owned(),
            );
        }
        if let Some(Some(ranges)) = &self.allowed_ips
            && let Some(bad) = ranges.iter().position(|r| !is_range(r))
        {
            return wrong(
                "allowed_ips",
                format!(
                    "`allowed_ips[{bad}]` is not an address or a range; write 10.0.0.1 or 10.0.0.0/8"
                ),
            );
        }
        if self.requests_per_minute == Some(Some(0)) || self.tokens_per_minute == Some(Some(0)) {
            return wrong(
                "requests_per_minute",
                "a limit of 0 would refuse everything; set `disabled` to true instead".to_owned(),
            );
        }
        // A key may grant its own scopes, and `inference` to an inference key.
        let may_grant = |s: &Scope| {
            caller.key.scopes.contains(s) || (*s == Scope::Inference && kind == KeyKind::Inference)
        };
        if let Some(scope) = self.scopes.iter().flatten().find(|s| !may_grant(s)) {
            return Err(ApiError::new(
                403,
                "insufficient_scope",
                format!(
                    "the calling key lacks {} and cannot grant it",
                    scope.as_str()
                ),
            ));
        }
        let privacy = self.privacy.as_ref();
        privacy.map_or(Ok(()), |patch| {
            privacy::check(patch, blocking)?;
            match passes_client_metadata(patch) {
                None => Ok(()),
                Some(problem) => {
                    let member = "privacy.client_metadata";
                    let problem = format!("`{member}`: {problem}");
                    let mut error = ApiError::new(400, "invalid_parameter", problem);
                    error.param = Some(member.to_owned());
                    Err(error)
                }
            }
        })
    }

    fn apply(self, record: &mut KeyRecord) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        set(&mut record.name, self.name.or(self.label));
        set(&mut record.disabled, self.disabled);
        set(&mut record.scopes, self.scopes);
        set(&mut record.allowed_endpoints, self.allowed_endpoints);
        set(&mut record.allowed_models, self.allowed_models);
        set(
            &mut record.expires_at,
            self.expires_at
                .map(|e| e.as_deref().and_then(Timestamp::parse_rfc3339)),
        );
        set(&mut record.requests_per_minute, self.requests_per_minute);
        set(&mut record.tokens_per_minute, self.tokens_per_minute);
        set(&mut record.allowed_ips, self.allowed_ips);
        if let Some(patch) = self.privacy {
            record.privacy = std::mem::take(&mut record.privacy).overlaid(patch);
        }
        let _ = self.include_byok_in_limit;
    }
}

/// The query `?force=true`, which permits removing the last management key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// Proceed even if no management key would remain.
    #[serde(default)]
    force: bool,
}

/// Changes a key, and retries on the current version after a conflict.
async fn change_key(
    app: &App,
    mut row: StoredKey,
    change: impl Fn(&mut KeyRecord),
) -> Result<StoredKey, Error> {
    let mut tries = CHANGES;
    loop {
        let mut record = row.record.clone();
        change(&mut record);
        match app.accounts.put_key(record.clone(), row.version).await {
            Ok(version) => {
                return Ok(StoredKey {
                    record,
                    version,
                    ..row
                });
            }
            Err(StoreError::Conflict(_)) if tries > 0 => tries -= 1,
            Err(e) => return Err(e.into()),
        }
        let now = app
            .accounts
            .key(&row.record.hash, app.clock().now())
            .await?;
        row = now.ok_or_else(missing)?;
    }
}

/// Refuses to remove an account's last management key, without which no key can be created.
async fn keep_one_management_key(app: &App, row: &StoredKey, force: bool) -> Result<(), Error> {
    if force || row.record.kind != KeyKind::Management {
        return Ok(());
    }
    let now = app.clock().now();
    let keys = app.accounts.keys(&row.record.account, now).await?;
    let others = keys
        .iter()
        .map(|k| &k.record)
        .filter(|k| k.kind == KeyKind::Management && k.hash != row.record.hash);
    if others.into_iter().any(|k| k.check(now).is_ok()) {
        return Ok(());
    }
    let message = "this is the account's last management key, and without one no key can be made; make another first, or add ?force=true";
    Err(ApiError::new(409, "last_management_key", message).into())
}

pub(super) async fn create(
    caller: Auth<WriteKeys>,
    State(app): Shared,
    JsonBody(options): JsonBody<Options>,
) -> Result<Created<NewKey>, Error> {
    let kind = options.kind.unwrap_or(KeyKind::Inference);
    require(&caller, scope(kind, true))?;
    let Some(name) = options.name.clone() else {
        let mut error = ApiError::new(
            400,
            "invalid_parameter",
            "`name` is missing; a key needs a name",
        );
        error.param = Some("name".to_owned());
        return Err(error.into());
    };
    options.check(&caller, kind, &*app.gateway.ports().blocking)?;
    let inherits = options.scopes.is_none() && kind == KeyKind::Management;
    let bits = app.gateway.ports().randomness.key_bits().map_err(|_| {
        ApiError::new(
            503,
            "storage_unavailable",
            "no key can be made now; try again later",
        )
    })?;
    let key = ApiKey::from_random(kind, bits);
    let account = caller.key.account.clone();
    let mut record = KeyRecord::new(&key, account, &name, app.clock().now());
    options.apply(&mut record);
    if record.expires_at.is_some_and(|at| at <= record.created_at) {
        let mut error = ApiError::new(
            400,
            "invalid_parameter",
            "`expires_at` is in the past; the key would never be valid",
        );
        error.param = Some("expires_at".to_owned());
        return Err(error.into());
    }
    if inherits {
        // Without explicit scopes, a management key has only scopes that its creator has.
        record.scopes.retain(|s| caller.key.scopes.contains(s));
    }
    app.accounts.add_key(record.clone()).await?;
    let data = Key::of(&StoredKey::unused(record));
    Ok(Created(NewKey {
        key: key.reveal().to_owned(),
        data,
    }))
}

pub(super) async fn change(
    caller: Auth<WriteKeys>,
    State(app): Shared,
    Path(hash): Path<String>,
    Query(Force { force }): Query<Force>,
    JsonBody(options): JsonBody<Options>,
) -> Result<Data<Key>, Error> {
    let row = find(&app, &caller, &hash, true).await?;
    if options.kind.is_some_and(|k| k != row.record.kind) {
        return Err(ApiError::new(
            400,
            "invalid_parameter",
            "a key's `type` cannot be changed; make another key",
        )
        .into());
    }
    options.check(&caller, row.record.kind, &*app.gateway.ports().blocking)?;
    if options.disabled == Some(true) {
        keep_one_management_key(&app, &row, force).await?;
    }
    let row = change_key(&app, row, |record| options.clone().apply(record)).await?;
    Ok(Data {
        data: Key::of(&row),
    })
}

pub(super) async fn revoke(
    caller: Auth<WriteKeys>,
    State(app): Shared,
    Path(hash): Path<String>,
    Query(Force { force }): Query<Force>,
) -> Result<Json<Revoked>, Error> {
    let row = find(&app, &caller, &hash, true).await?;
    keep_one_management_key(&app, &row, force).await?;
    let row = change_key(&app, row, |record| record.revoked = true).await?;
    Ok(Json(Revoked {
        deleted: true,
        hash: row.record.hash,
    }))
}

pub(super) async fn reveal(
    caller: Auth<ReadKeys>,
    State(app): Shared,
    Path(hash): Path<String>,
) -> Result<Infallible, Error> {
    find(&app, &caller, &hash, false).await?;
    Err(ApiError::new(
        409,
        "cannot_reveal",
        "keys are stored as hashes and cannot be revealed; make a new one",
    )
    .into())
}
