//! Privacy settings of an account, a key or the operator, and the restrictions that follow from
//! them.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::{ModelPattern, ProviderPattern, Restriction};

/// The complete privacy settings of an account. The defaults are those of the published policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Allows providers whose terms permit training on paid traffic (P03).
    pub allow_training_paid: bool,
    /// Allows providers whose terms permit training on free traffic (P03).
    pub allow_training_free: bool,
    /// Allows providers that may publish free traffic.
    pub allow_publication: bool,
    /// Requires zero data retention (P05).
    pub enforce_zdr: bool,
    /// Maximum retention at the provider, in days.
    pub max_retention_days: Option<u32>,
    /// Allowed regions; every region of an endpoint must be one of these.
    pub regions: Option<Vec<String>>,
    /// Blocked providers (P04).
    pub block: Vec<String>,
    /// Allowed providers; `None` allows all.
    pub allow: Option<Vec<String>>,
    /// Blocked models.
    pub block_models: Vec<String>,
    /// Allowed models; `None` allows all.
    pub allow_models: Option<Vec<String>>,
    /// True if bodies are stored (P01, P09).
    pub log_bodies: bool,
    /// Days for which a stored body is kept.
    pub body_retention_days: u32,
    /// True if bodies are redacted before they are stored (P10).
    pub redact_stored: bool,
    /// True if requests are redacted before they are sent to a provider.
    pub redact_upstream: bool,
    /// Send requests only with the account's own credentials, never with the operator's.
    pub own_credentials_only: bool,
    /// The account's own redaction rules.
    pub redaction_rules: Vec<serde_json::Value>,
    /// Days for which usage records are kept (P12).
    pub metadata_retention_days: u32,
    /// Treatment of the data that agents send about a person's machine and project (P06).
    pub client_metadata: ClientMetadata,
}

/// Treatment of the data that agents send about a person's machine and project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum ClientMetadata {
    /// No provider gets it.
    #[default]
    Strip,
    /// It goes to a provider of the client's protocol as it came. Only an account itself can allow it.
    Pass,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_training_paid: false,
            allow_training_free: false,
            allow_publication: false,
            enforce_zdr: false,
            max_retention_days: None,
            regions: None,
            block: Vec::new(),
            allow: None,
            block_models: Vec::new(),
            allow_models: None,
            log_bodies: false,
            body_retention_days: 7,
            redact_stored: true,
            redact_upstream: false,
            own_credentials_only: false,
            redaction_rules: Vec::new(),
            metadata_retention_days: 30,
            client_metadata: ClientMetadata::Strip,
        }
    }
}

impl Settings {
    /// Returns the restrictions of these settings, as the account's layer.
    pub fn restriction(&self) -> Restriction {
        SettingsPatch::from(self.clone()).restriction()
    }

    /// Returns these settings with the members of `patch` changed.
    pub fn patched(mut self, patch: SettingsPatch) -> Self {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        set(&mut self.allow_training_paid, patch.allow_training_paid);
        set(&mut self.allow_training_free, patch.allow_training_free);
        set(&mut self.allow_publication, patch.allow_publication);
        set(&mut self.enforce_zdr, patch.enforce_zdr);
        set(&mut self.max_retention_days, patch.max_retention_days);
        set(&mut self.regions, patch.regions);
        set(&mut self.block, patch.block);
        set(&mut self.allow, patch.allow);
        set(&mut self.block_models, patch.block_models);
        set(&mut self.allow_models, patch.allow_models);
        set(&mut self.log_bodies, patch.log_bodies);
        set(&mut self.body_retention_days, patch.body_retention_days);
        set(&mut self.redact_stored, patch.redact_stored);
        set(&mut self.redact_upstream, patch.redact_upstream);
        set(&mut self.own_credentials_only, patch.own_credentials_only);
        set(&mut self.redaction_rules, patch.redaction_rules);
        set(
            &mut self.metadata_retention_days,
            patch.metadata_retention_days,
        );
        set(&mut self.client_metadata, patch.client_metadata);
        self
    }
}

/// Partial privacy settings: a change to an account's settings, or a layer that sets only some of
/// them. For a nullable member, null differs from a missing member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[allow(clippy::option_option, missing_docs)] // documented at `Settings`, whose names they are
pub struct SettingsPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_training_paid: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_training_free: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_publication: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_zdr: Option<bool>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_retention_days: Option<Option<u32>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub regions: Option<Option<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Vec<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow: Option<Option<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_models: Option<Vec<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow_models: Option<Option<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bodies: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact_stored: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact_upstream: Option<bool>,
    /// Send requests only with the account's own credentials, never with the operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_credentials_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redaction_rules: Option<Vec<serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata: Option<ClientMetadata>,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl SettingsPatch {
    /// Returns these settings overridden by the members of `over`.
    pub fn overlaid(self, over: Self) -> Self {
        Self {
            allow_training_paid: over.allow_training_paid.or(self.allow_training_paid),
            allow_training_free: over.allow_training_free.or(self.allow_training_free),
            allow_publication: over.allow_publication.or(self.allow_publication),
            enforce_zdr: over.enforce_zdr.or(self.enforce_zdr),
            max_retention_days: over.max_retention_days.or(self.max_retention_days),
            regions: over.regions.or(self.regions),
            block: over.block.or(self.block),
            allow: over.allow.or(self.allow),
            block_models: over.block_models.or(self.block_models),
            allow_models: over.allow_models.or(self.allow_models),
            log_bodies: over.log_bodies.or(self.log_bodies),
            body_retention_days: over.body_retention_days.or(self.body_retention_days),
            redact_stored: over.redact_stored.or(self.redact_stored),
            redact_upstream: over.redact_upstream.or(self.redact_upstream),
            own_credentials_only: over.own_credentials_only.or(self.own_credentials_only),
            redaction_rules: over.redaction_rules.or(self.redaction_rules),
            metadata_retention_days: over
                .metadata_retention_days
                .or(self.metadata_retention_days),
            client_metadata: over.client_metadata.or(self.client_metadata),
        }
    }

    /// Returns the restrictions of the members that are present.
    pub fn restriction(&self) -> Restriction {
        let providers = |list: &[String]| {
            list.iter()
                .map(|p| ProviderPattern::new(p))
                .collect::<BTreeSet<_>>()
        };
        let models = |list: &[String]| {
            list.iter()
                .map(|m| ModelPattern::new(m))
                .collect::<BTreeSet<_>>()
        };
        Restriction {
            forbid_training_paid: self.allow_training_paid == Some(false),
            forbid_training_free: self.allow_training_free == Some(false),
            forbid_publication: self.allow_publication == Some(false),
            enforce_zdr: self.enforce_zdr == Some(true),
            max_retention_days: self.max_retention_days.flatten(),
            regions: self
                .regions
                .clone()
                .flatten()
                .map(|r| r.iter().map(|r| r.to_ascii_lowercase()).collect()),
            block: self.block.as_deref().map(providers).unwrap_or_default(),
            allow: self.allow.iter().flatten().map(|l| providers(l)).collect(),
            block_models: self.block_models.as_deref().map(models).unwrap_or_default(),
            allow_models: self
                .allow_models
                .iter()
                .flatten()
                .map(|l| models(l))
                .collect(),
            ..Restriction::default()
        }
    }
}

impl From<Settings> for SettingsPatch {
    fn from(s: Settings) -> Self {
        Self {
            allow_training_paid: Some(s.allow_training_paid),
            allow_training_free: Some(s.allow_training_free),
            allow_publication: Some(s.allow_publication),
            enforce_zdr: Some(s.enforce_zdr),
            max_retention_days: Some(s.max_retention_days),
            regions: Some(s.regions),
            block: Some(s.block),
            allow: Some(s.allow),
            block_models: Some(s.block_models),
            allow_models: Some(s.allow_models),
            log_bodies: Some(s.log_bodies),
            body_retention_days: Some(s.body_retention_days),
            redact_stored: Some(s.redact_stored),
            redact_upstream: Some(s.redact_upstream),
            own_credentials_only: Some(s.own_credentials_only),
            redaction_rules: Some(s.redaction_rules),
            metadata_retention_days: Some(s.metadata_retention_days),
            client_metadata: Some(s.client_metadata),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_layer_is_the_top_and_the_account_alone_has_defaults() {
        assert_eq!(
            SettingsPatch::default().restriction(),
            Restriction::default()
        );
        let account = Settings::default().restriction();
        assert!(
            account.forbid_training_paid
                && account.forbid_training_free
                && account.forbid_publication
        );
    }

    #[test]
    fn a_patch_tells_null_from_left_out() {
        let settings = Settings {
            max_retention_days: Some(7),
            ..Settings::default()
        };
        let left_out: SettingsPatch = serde_json::from_str(r#"{"enforce_zdr": true}"#).unwrap();
        assert_eq!(
            settings.clone().patched(left_out).max_retention_days,
            Some(7)
        );
        let null: SettingsPatch = serde_json::from_str(r#"{"max_retention_days": null}"#).unwrap();
        assert_eq!(settings.patched(null).max_retention_days, None);
        assert!(
            serde_json::from_str::<SettingsPatch>(r#"{"zdr": true}"#).is_err(),
            "unknown members are refused"
        );
    }
}
