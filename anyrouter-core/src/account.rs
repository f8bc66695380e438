//! Accounts and their keys, as a request sees them: one snapshot, with the policy compiled into it.

#[cfg(feature = "gateway")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

#[cfg(feature = "gateway")]
use crate::redact::{PlaceholderKey, Redactor, RuleFault, Rules};
use crate::{
    catalog::Usd,
    ids::AccountId,
    key::{ApiKey, KeyHash, KeyKind, Scope},
    policy::{
        CompiledCatalog, CompiledLayers, Layer, OwnTerms, Restriction, Settings, SettingsPatch,
    },
    time::Timestamp,
};

/// A key as storage has it (P07): its hash, never itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct KeyRecord {
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// Whose it is.
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
    /// It is switched off for now.
    pub disabled: bool,
    /// It was revoked for good.
    pub revoked: bool,
    /// Time of expiry.
    pub expires_at: Option<Timestamp>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Only these models, as privacy settings write them.
    pub allowed_models: Option<Vec<String>>,
    /// API routes that the key may use, such as `chat/completions`; `None` allows all.
    pub allowed_endpoints: Option<Vec<String>>,
    /// Only from these addresses, in CIDR notation.
    pub allowed_ips: Option<Vec<String>>,
    /// Privacy settings of its own, which can only be stricter.
    pub privacy: SettingsPatch,
}

impl KeyRecord {
    /// The record of a new key, with the scopes of its kind and without limits.
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
    /// It was revoked, or is switched off.
    Revoked,
    /// It has expired.
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

/// An account as storage has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// Its id.
    pub id: AccountId,
    /// Its privacy settings.
    pub settings: Settings,
    /// Counts its changes: a change names the version that it was made from.
    pub version: u64,
}

/// A key as storage has it, with what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key.
    pub record: KeyRecord,
    /// Counts its changes: a change names the version that it was made from.
    pub version: u64,
    /// Time of the last use.
    pub last_used_at: Option<Timestamp>,
    /// The cost of its requests.
    pub spent: KeySpend,
}

impl StoredKey {
    /// A key that was just made.
    pub fn unused(record: KeyRecord) -> Self {
        Self {
            record,
            version: 1,
            last_used_at: None,
            spent: KeySpend::default(),
        }
    }
}

/// The cost of a key's requests, in USD, over periods of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySpend {
    /// Since it was made.
    pub ever: Usd,
    /// Since midnight.
    pub today: Usd,
    /// Since Monday.
    pub this_week: Usd,
    /// Since the first of the month.
    pub this_month: Usd,
}

/// The operator's part of every request: the catalog, and the layer above every account.
#[derive(Debug)]
#[non_exhaustive]
pub struct Instance {
    /// Providers, models, endpoints.
    pub catalog: Arc<CompiledCatalog>,
    /// The instance layer.
    pub restriction: Restriction,
    /// Version number, unique among the values of this type in the process.
    pub version: u64,
    /// Redaction of requests; without it, a request that asks for redaction is refused.
    #[cfg(feature = "gateway")]
    pub redaction: Option<Redaction>,
}

/// The instance's settings for redaction.
#[cfg(feature = "gateway")]
#[derive(Clone, Debug)]
pub struct Redaction {
    /// Every request is redacted on its way to a provider.
    pub upstream: bool,
    /// Rules that hold for every account.
    pub rules: Rules,
    /// The instance's secret, from which placeholders are derived. It must be random, and the same
    /// on all nodes and after a restart.
    pub key: PlaceholderKey,
}

impl Instance {
    /// An instance; `version` must be new.
    pub fn new(catalog: Arc<CompiledCatalog>, restriction: Restriction, version: u64) -> Self {
        Self {
            catalog,
            restriction,
            version,
            #[cfg(feature = "gateway")]
            redaction: None,
        }
    }

    /// With redaction.
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
    /// The terms of credentials of the account's own.
    own_terms: Vec<OwnTerms>,
    compiled: RwLock<Option<(u64, Arc<CompiledLayers>)>>,
    #[cfg(feature = "gateway")]
    redactor: RwLock<Option<(u64, Arc<Redactor>)>>,
    /// The redactor is being compiled.
    #[cfg(feature = "gateway")]
    compiling: AtomicBool,
}

/// The right to compile a caller's redactor, which one has at a time.
#[cfg(feature = "gateway")]
pub(crate) struct CompilePermit<'a>(&'a AtomicBool);

#[cfg(feature = "gateway")]
impl Drop for CompilePermit<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Caller {
    /// A key and its account's settings.
    pub fn new(key: KeyRecord, settings: Settings) -> Self {
        Self {
            key,
            settings,
            own_terms: Vec::new(),
            compiled: RwLock::new(None),
            #[cfg(feature = "gateway")]
            redactor: RwLock::new(None),
            #[cfg(feature = "gateway")]
            compiling: AtomicBool::new(false),
        }
    }

    /// With the terms that the account states of credentials of its own.
    pub fn with_own_terms(mut self, own_terms: Vec<OwnTerms>) -> Self {
        self.own_terms = own_terms;
        self
    }

    /// Returns true if the account or the key asks for redaction on the way to providers.
    #[cfg(feature = "gateway")]
    pub fn redacts_upstream(&self) -> bool {
        self.settings.redact_upstream || self.key.privacy.redact_upstream == Some(true)
    }

    /// The redactor with the rules of instance, account and key, compiled once per version of the
    /// instance: that can take milliseconds.
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

    /// The same redactor, if it was compiled already.
    #[cfg(feature = "gateway")]
    pub fn compiled_redactor(&self, instance: &Instance) -> Option<Arc<Redactor>> {
        let known = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        let (version, redactor) = known.as_ref()?;
        (*version == instance.version).then(|| redactor.clone())
    }

    /// The right to compile the redactor; `None` while another has it.
    #[cfg(feature = "gateway")]
    pub(crate) fn compiling(&self) -> Option<CompilePermit<'_>> {
        let was_compiling = self.compiling.swap(true, Ordering::Acquire);
        (!was_compiling).then_some(CompilePermit(&self.compiling))
    }

    /// The layers instance, account and key, compiled once per version of the instance.
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
        ));
        *self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((instance.version, layers.clone()));
        layers
    }
}
