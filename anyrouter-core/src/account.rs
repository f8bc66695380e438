//! Snapshots of an account and its key, with the compiled policy, as one request uses them.

#[cfg(feature = "gateway")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::Usd,
    ids::AccountId,
    key::{ApiKey, KeyHash, KeyKind, Scope},
    policy::{
        ClientMetadata, CompiledCatalog, CompiledLayers, Layer, OwnTerms, Restriction, Settings,
        SettingsPatch,
    },
    time::Timestamp,
};
#[cfg(feature = "gateway")]
use crate::{
    credential::OwnCredentials,
    redact::{PlaceholderKey, Redactor, RuleFault, Rules},
};

/// A key as stored (P07): its hash, never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct KeyRecord {
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// Account that owns the key.
    pub account: AccountId,
    /// Purpose of the key.
    pub kind: KeyKind,
    /// Name that its owner gave it.
    pub name: String,
    /// Its first 12 characters, `…`, its last four.
    pub label: String,
    /// Permitted operations.
    pub scopes: BTreeSet<Scope>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// True if the key is temporarily disabled.
    pub disabled: bool,
    /// True if the key is permanently revoked.
    pub revoked: bool,
    /// Time of expiry.
    pub expires_at: Option<Timestamp>,
    /// Maximum number of requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Maximum number of tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Models that the key may use, as patterns of the privacy settings; `None` allows all.
    pub allowed_models: Option<Vec<String>>,
    /// API routes that the key may use, such as `chat/completions`; `None` allows all.
    pub allowed_endpoints: Option<Vec<String>>,
    /// Client addresses that may use the key, in CIDR notation; `None` allows all.
    pub allowed_ips: Option<Vec<String>>,
    /// Privacy settings of the key, which can only restrict further.
    pub privacy: SettingsPatch,
}

impl KeyRecord {
    /// Creates the record of a new key, with the default scopes of its kind and without limits.
    pub fn new(key: &ApiKey, account: AccountId, name: &str, created_at: Timestamp) -> Self {
        Self {
            hash: key.hash(),
            account,
            kind: key.kind(),
            name: name.to_owned(),
            label: key.label(),
            scopes: Scope::defaults(key.kind()),
            created_at,
            ..Self::default()
        }
    }
}

impl Default for KeyRecord {
    fn default() -> Self {
        Self {
            hash: KeyHash::from_bytes(&[0; 32])
                .unwrap_or_else(|| ApiKey::from_random(KeyKind::Inference, [0; 32]).hash()),
            account: AccountId::from(""),
            kind: KeyKind::Inference,
            name: String::new(),
            label: String::new(),
            scopes: BTreeSet::new(),
            created_at: Timestamp::default(),
            disabled: false,
            revoked: false,
            expires_at: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            allowed_models: None,
            allowed_endpoints: None,
            allowed_ips: None,
            privacy: SettingsPatch::default(),
        }
    }
}

/// Reason why a known key is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// The key is revoked or disabled.
    Revoked,
    /// The key has expired.
    Expired,
}

impl KeyRecord {
    /// Checks that the key is valid at `now`.
    pub fn check(&self, now: Timestamp) -> Result<(), KeyFault> {
        if self.revoked || self.disabled {
            return Err(KeyFault::Revoked);
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(KeyFault::Expired);
        }
        Ok(())
    }

    fn restriction(&self) -> Restriction {
        let models = SettingsPatch {
            allow_models: self.allowed_models.clone().map(Some),
            ..SettingsPatch::default()
        };
        self.privacy.restriction().meet(&models.restriction())
    }
}

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// Its id.
    pub id: AccountId,
    /// Its privacy settings.
    pub settings: Settings,
    /// Number of changes; an update must name the version that it is based on.
    pub version: u64,
}

/// A key as stored, with its last use and its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key.
    pub record: KeyRecord,
    /// Number of changes; an update must name the version that it is based on.
    pub version: u64,
    /// Time of the last use.
    pub last_used_at: Option<Timestamp>,
    /// Cost of the key's requests.
    pub spent: KeySpend,
}

impl StoredKey {
    /// Creates the entry of a new key that has not been used.
    pub fn unused(record: KeyRecord) -> Self {
        Self {
            record,
            version: 1,
            last_used_at: None,
            spent: KeySpend::default(),
        }
    }
}

/// Cost of a key's requests in USD, over periods in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySpend {
    /// Since the key was created.
    pub ever: Usd,
    /// Since midnight.
    pub today: Usd,
    /// Since Monday.
    pub this_week: Usd,
    /// Since the first of the month.
    pub this_month: Usd,
}

/// The operator's configuration for all requests: the catalog and the instance layer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Instance {
    /// Providers, models, endpoints.
    pub catalog: Arc<CompiledCatalog>,
    /// The instance layer.
    pub restriction: Restriction,
    /// Version number, unique among the values of this type in the process.
    pub version: u64,
    /// True if no provider gets what agents send about a person's machine, whatever an account allows.
    pub strips_client_metadata: bool,
    /// True if the terms that accounts state for their own credentials count for the instance too.
    pub accepts_own_terms: bool,
    /// Redaction of requests; without it, a request that asks for redaction is refused.
    #[cfg(feature = "gateway")]
    pub redaction: Option<Redaction>,
}

/// The instance's settings for redaction.
#[cfg(feature = "gateway")]
#[derive(Clone, Debug)]
pub struct Redaction {
    /// True if every request is redacted before it is sent to a provider.
    pub upstream: bool,
    /// Rules that apply to every account.
    pub rules: Rules,
    /// The instance's secret, from which placeholders are derived. It must be random, and the same
    /// on all nodes and after a restart.
    pub key: PlaceholderKey,
}

impl Instance {
    /// Creates an instance without redaction; `version` must be new.
    pub fn new(catalog: Arc<CompiledCatalog>, restriction: Restriction, version: u64) -> Self {
        Self {
            catalog,
            restriction,
            version,
            strips_client_metadata: false,
            accepts_own_terms: false,
            #[cfg(feature = "gateway")]
            redaction: None,
        }
    }

    /// Enables redaction.
    #[cfg(feature = "gateway")]
    pub fn with_redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = Some(redaction);
        self
    }
}

/// A key and its account at one moment. A change of either makes a new caller.
#[derive(Debug)]
pub struct Caller {
    /// The key.
    pub key: KeyRecord,
    /// The account's privacy settings.
    pub settings: Settings,
    /// Terms of the account's own credentials.
    own_terms: Vec<OwnTerms>,
    /// The account's own credentials.
    #[cfg(feature = "gateway")]
    pub own: OwnCredentials,
    compiled: RwLock<Option<(u64, Arc<CompiledLayers>)>>,
    #[cfg(feature = "gateway")]
    redactor: RwLock<Option<(u64, Arc<Redactor>)>>,
    /// True while a request compiles the redactor.
    #[cfg(feature = "gateway")]
    compiling: AtomicBool,
}

/// Permit to compile a caller's redactor; only one exists at a time.
#[cfg(feature = "gateway")]
pub(crate) struct CompilePermit<'a>(&'a AtomicBool);

#[cfg(feature = "gateway")]
impl Drop for CompilePermit<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Caller {
    /// Creates a caller from a key and its account's settings.
    pub fn new(key: KeyRecord, settings: Settings) -> Self {
        Self {
            key,
            settings,
            own_terms: Vec::new(),
            #[cfg(feature = "gateway")]
            own: OwnCredentials::default(),
            compiled: RwLock::new(None),
            #[cfg(feature = "gateway")]
            redactor: RwLock::new(None),
            #[cfg(feature = "gateway")]
            compiling: AtomicBool::new(false),
        }
    }

    /// Sets the account's own credentials.
    #[cfg(feature = "gateway")]
    pub fn with_own_credentials(mut self, own: OwnCredentials) -> Self {
        self.own_terms = own.terms();
        self.own = own;
        self
    }

    /// Returns the same caller with one of the account's own credentials alone, and without the
    /// operator's; `None` if there is none with this id.
    #[cfg(feature = "gateway")]
    pub fn with_only_credential(&self, id: &str) -> Option<Self> {
        let mut own = self.own.clone();
        own.all.retain(|c| *c.record.id == *id);
        let settings = Settings {
            own_credentials_only: true,
            ..self.settings.clone()
        };
        let is_known = !own.all.is_empty();
        is_known.then(|| Self::new(self.key.clone(), settings).with_own_credentials(own))
    }

    /// Returns true if what agents send about a person's machine reaches providers: only the account
    /// can allow it, and the key and the instance can each forbid it.
    pub fn passes_client_metadata(&self, instance: &Instance) -> bool {
        self.settings.client_metadata == ClientMetadata::Pass
            && self.key.privacy.client_metadata != Some(ClientMetadata::Strip)
            && !instance.strips_client_metadata
    }

    /// Returns true if the account or the key refuses the operator's credentials.
    pub fn uses_only_own_credentials(&self) -> bool {
        self.settings.own_credentials_only || self.key.privacy.own_credentials_only == Some(true)
    }

    /// Returns true if the account or the key asks for redaction on the way to providers.
    #[cfg(feature = "gateway")]
    pub fn redacts_upstream(&self) -> bool {
        self.settings.redact_upstream || self.key.privacy.redact_upstream == Some(true)
    }

    /// Returns the redactor with the rules of the instance, the account and the key. It is compiled
    /// once per version of the instance, which can take milliseconds.
    #[cfg(feature = "gateway")]
    pub fn redactor(&self, instance: &Instance) -> Result<Arc<Redactor>, RuleFault> {
        if let Some(compiled) = self.compiled_redactor(instance) {
            return Ok(compiled);
        }
        let rules = Rules::parse(&self.settings.redaction_rules)?;
        let rules = rules.and(&Rules::parse(
            self.key
                .privacy
                .redaction_rules
                .as_deref()
                .unwrap_or_default(),
        )?);
        let rules = instance
            .redaction
            .iter()
            .fold(rules, |rules, r| rules.and(&r.rules));
        let redactor = Arc::new(Redactor::new(rules));
        *self
            .redactor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((instance.version, redactor.clone()));
        Ok(redactor)
    }

    /// Returns the redactor if it is already compiled.
    #[cfg(feature = "gateway")]
    pub fn compiled_redactor(&self, instance: &Instance) -> Option<Arc<Redactor>> {
        let known = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        let (version, redactor) = known.as_ref()?;
        (*version == instance.version).then(|| redactor.clone())
    }

    /// Returns the permit to compile the redactor; `None` while another request holds it.
    #[cfg(feature = "gateway")]
    pub(crate) fn compiling(&self) -> Option<CompilePermit<'_>> {
        let was_compiling = self.compiling.swap(true, Ordering::Acquire);
        (!was_compiling).then_some(CompilePermit(&self.compiling))
    }

    /// Returns the layers of instance, account and key, compiled once per version of the instance.
    pub fn layers(&self, instance: &Instance) -> Arc<CompiledLayers> {
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, layers)) = &*known
            && *version == instance.version
        {
            return layers.clone();
        }
        drop(known);
        let layers = Arc::new(CompiledLayers::with_own_terms(
            instance.catalog.clone(),
            vec![
                (Layer::Instance, instance.restriction.clone()),
                (Layer::Account, self.settings.restriction()),
                (Layer::Key, self.key.restriction()),
            ],
            &self.own_terms,
            instance.accepts_own_terms,
        ));
        *self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((instance.version, layers.clone()));
        layers
    }
}
