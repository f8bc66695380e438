//! An account's own credentials for providers (BYOK), as they are stored: sealed, with what the account
//! states about them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Terms, TermsEntry, Tier, Zdr},
    ids::ProviderSlug,
    policy::OwnTerms,
    secret::Secret,
    time::Timestamp,
    vault::{Identity, Key, KeyRing, Sealed, VaultError},
};

/// Id of a credential: `byok_` and 16 hexadecimal digits.
pub type CredentialId = Arc<str>;

/// Terms that an account states for its credential. A fact that it does not state is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatedTerms {
    /// True if the provider may train on paid traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trains_on_paid: Option<bool>,
    /// True if the provider may train on free traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trains_on_free: Option<bool>,
    /// True if the provider may publish free traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishes_free: Option<bool>,
    /// Days for which the provider keeps requests and answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// True if the provider keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zdr: Option<bool>,
    /// Regions in which the provider processes data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
}

impl StatedTerms {
    /// Returns the facts, as stated by the account.
    fn facts(&self) -> Terms {
        let entry = TermsEntry {
            trains_on_paid: self.trains_on_paid,
            trains_on_free: self.trains_on_free,
            publishes_free: self.publishes_free,
            retention_days: self.retention_days,
            zdr: self.zdr.map(|zdr| if zdr { Zdr::Default } else { Zdr::No }),
            regions: self.regions.clone(),
            source: Some("stated by the account".to_owned()),
            ..TermsEntry::default()
        };
        entry.facts(&BTreeMap::new())
    }
}

/// The facts about an account's credential, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRecord {
    /// Its id.
    pub id: CredentialId,
    /// The provider that it is for.
    pub provider: ProviderSlug,
    /// The account's name for it.
    pub label: String,
    /// The end of the secret, by which its owner recognizes it.
    pub preview: String,
    /// Its place among the account's credentials for the provider; lower ones are used first.
    pub position: u32,
    /// True if it is not used.
    #[serde(default)]
    pub disabled: bool,
    /// The tier that the account states. An unknown tier counts as the worst.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// The terms that the account states, from a contract of its own.
    #[serde(default)]
    pub terms: Option<StatedTerms>,
    /// Time of the statement.
    #[serde(default)]
    pub stated_at: Option<Timestamp>,
    /// Time of its creation.
    pub created_at: Timestamp,
}

/// A credential as it is stored.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// Its facts.
    pub record: CredentialRecord,
    /// The secret, sealed under the account's key.
    pub sealed: Sealed,
    /// Version of the row, counted from 1.
    pub version: u64,
}

/// Maximum number of credentials of an account.
pub const MAX_CREDENTIALS: usize = 100;

/// The credentials of an account, in their order, with the account's key. It is sealed under a master
/// key.
#[derive(Clone, Debug, Default)]
pub struct OwnCredentials {
    /// The account's key; `None` if nothing of the account is sealed.
    pub key: Option<Sealed>,
    /// The credentials, by provider and position.
    pub all: Vec<StoredCredential>,
}

impl OwnCredentials {
    /// Puts the credentials in their order.
    pub fn sort(&mut self) {
        self.all.sort_by(|a, b| {
            let place = |c: &StoredCredential| {
                let record = &c.record;
                (record.provider.clone(), record.position, record.id.clone())
            };
            place(a).cmp(&place(b))
        });
    }

    /// Returns the credentials for a provider that may be used, in their order. One whose terms differ
    /// from those of the first is left out: the policy decides by these.
    pub fn usable<'a>(
        &'a self,
        provider: &'a ProviderSlug,
    ) -> impl Iterator<Item = &'a StoredCredential> + 'a {
        let mut of_provider = self
            .all
            .iter()
            .filter(move |c| c.record.provider == *provider && !c.record.disabled)
            .peekable();
        let first = of_provider.peek().map(|c| &c.record);
        let stated = first.map(|r| (r.tier, r.terms.as_ref()));
        of_provider.filter(move |c| Some((c.record.tier, c.record.terms.as_ref())) == stated)
    }

    /// Returns what the account states for each provider that it has a credential for.
    pub fn terms(&self) -> Vec<OwnTerms> {
        let mut stated: Vec<OwnTerms> = Vec::new();
        for credential in self.all.iter().filter(|c| !c.record.disabled) {
            let record = &credential.record;
            if !stated.iter().any(|s| s.provider == record.provider) {
                stated.push(OwnTerms {
                    provider: record.provider.clone(),
                    tier: record.tier.unwrap_or(Tier::Unknown),
                    terms: record.terms.as_ref().map(StatedTerms::facts),
                });
            }
        }
        stated
    }
}

/// Returns the identity of an account's key in the vault.
pub fn account_key(account: &str) -> Identity {
    Identity::new("account-key", &[account])
}

/// Returns the identity of a credential in the vault.
pub fn credential(account: &str, id: &str) -> Identity {
    Identity::new("credential", &[account, id])
}

/// Opens an account's key.
pub fn open_account_key(ring: &KeyRing, account: &str, key: &Sealed) -> Result<Key, VaultError> {
    ring.key(key.key_id())?.unwrap(&account_key(account), key)
}

/// Opens a credential of an account.
pub fn open_credential(
    ring: &KeyRing,
    account: &str,
    own: &OwnCredentials,
    stored: &StoredCredential,
) -> Result<Secret<String>, VaultError> {
    let key = own.key.as_ref().ok_or(VaultError::Malformed)?;
    let key = open_account_key(ring, account, key)?;
    let plain = key.open(&credential(account, &stored.record.id), &stored.sealed)?;
    match std::str::from_utf8(plain.expose()) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(VaultError::Malformed),
    }
}
