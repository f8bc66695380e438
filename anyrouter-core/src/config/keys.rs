//! The operator's keys for providers, from the configuration or the usual environment variables.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use crate::{
    account::Caller,
    catalog::{Address, Catalog, Document, KeySource, Provider},
    credential::CredentialId,
    policy::Eligible,
    ports::{Credentials, Opened, StoreError},
    route::Holder,
    secret::Secret,
    time::Timestamp,
};
use async_trait::async_trait;

use super::{ConfigError, ReadFile};

type Keys = HashMap<String, (Vec<Address>, Secret<String>), foldhash::fast::FixedState>;

/// Keys by provider.
#[derive(Clone, Default)]
pub struct ProviderKeys {
    /// Keys with the addresses that they were configured for: after a reload, a new key is never
    /// sent to an old address.
    keys: Keys,
    /// Keys that a reload replaced, with their addresses, for requests that began before it.
    replaced: Keys,
    /// Providers that need no key, such as the demo or a local model: none is configured for them.
    keyless: HashSet<String>,
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl ProviderKeys {
    /// Reads the keys, and adds a warning for each configured key that is missing.
    pub(super) fn read(
        catalog: &Catalog,
        documents: &[Document],
        environment: &BTreeMap<String, String>,
        builtin: bool,
        read: &ReadFile<'_>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let (mut keys, mut keyless, mut warnings) =
            (HashMap::default(), HashSet::new(), Vec::new());
        for provider in catalog.providers() {
            let mut entries = documents
                .iter()
                .rev()
                .flat_map(|d| &d.provider)
                .filter(|p| p.slug == provider.slug.as_str());
            let named = entries.find_map(|p| p.api_key.as_ref());
            let found = match named {
                Some(KeySource::Env(variable)) => {
                    let value = environment.get(variable).filter(|v| !v.is_empty()).cloned();
                    if value.is_none() {
                        warnings.push(format!(
                            "provider `{}`: the environment variable {variable} is not set, so it has no key",
                            provider.slug
                        ));
                    }
                    value
                }
                Some(KeySource::File(path)) => match read(path) {
                    Ok(text) => Some(text.trim().to_owned()),
                    Err(source) => {
                        return Err(ConfigError::Unreadable {
                            path: path.clone(),
                            source,
                        });
                    }
                },
                None if builtin && !provider.env_all => provider
                    .env
                    .iter()
                    .find_map(|v| environment.get(v))
                    .filter(|v| !v.is_empty())
                    .cloned(),
                None => None,
            };
            if named.is_none() && provider.env.is_empty() {
                keyless.insert(provider.slug.to_string());
            }
            if let Some(key) = found {
                keys.insert(
                    provider.slug.to_string(),
                    (provider.addresses.clone(), Secret::new(key)),
                );
            }
        }
        Ok((
            Self {
                keys,
                replaced: Keys::default(),
                keyless,
            },
            warnings,
        ))
    }
}

/// Reads one of the operator's secrets.
pub(super) fn read_source(
    source: &KeySource,
    environment: &BTreeMap<String, String>,
    read: &ReadFile<'_>,
) -> Result<Secret<String>, String> {
    match source {
        KeySource::Env(variable) => match environment.get(variable).filter(|v| !v.is_empty()) {
            Some(value) => Ok(Secret::new(value.clone())),
            None => Err(format!("the environment variable {variable} is not set")),
        },
        KeySource::File(path) => match read(path) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim().to_owned())),
            Ok(_) => Err(format!("{}: the file is empty", path.display())),
            Err(e) => Err(format!("{}: {e}", path.display())),
        },
    }
}

impl ProviderKeys {
    /// Returns true if both have the same key for a provider.
    pub fn agrees(&self, other: &Self, provider: &Provider) -> bool {
        let key = |keys: &Self| {
            keys.keys
                .get(provider.slug.as_str())
                .map(|(_, key)| key.expose().clone())
        };
        key(self) == key(other)
    }

    /// Keeps the earlier keys of providers whose addresses changed, for requests that still use
    /// them. A provider without a key now keeps none.
    pub fn in_place_of(mut self, before: &Self) -> Self {
        let moved = before.keys.iter().filter(|(slug, (addresses, _))| {
            self.keys
                .get(*slug)
                .is_some_and(|(now, _)| now != addresses)
        });
        self.replaced = moved
            .map(|(slug, key)| (slug.clone(), key.clone()))
            .collect();
        self
    }

    fn key_for(&self, provider: &Provider) -> Option<&Secret<String>> {
        [&self.keys, &self.replaced].into_iter().find_map(|keys| {
            let (addresses, key) = keys.get(provider.slug.as_str())?;
            (*addresses == provider.addresses).then_some(key)
        })
    }
}

#[async_trait]
impl Credentials for ProviderKeys {
    fn holder(&self, _: Option<&Caller>, provider: &Provider) -> Option<Holder> {
        let has = self.key_for(provider).is_some() || self.keyless.contains(provider.slug.as_str());
        has.then_some(Holder::Operator)
    }

    async fn open(&self, _: &Caller, to: Eligible<'_>) -> Result<Opened, StoreError> {
        let provider = to.provider();
        match self
            .key_for(provider)
            .filter(|_| to.with_operator_credential())
        {
            Some(key) => Ok(Opened {
                secret: Some(key.clone()),
                own: None,
            }),
            None if to.with_operator_credential()
                && self.keyless.contains(provider.slug.as_str()) =>
            {
                Ok(Opened::default())
            }
            None => Err(StoreError::Absent(format!(
                "a credential for {}",
                provider.slug
            ))),
        }
    }

    /// The operator's keys never rest.
    fn rest(&self, _: &CredentialId, _: Timestamp) {}
}
