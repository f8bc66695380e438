//! Lookup tables of the detectors.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use super::{id_table::Ids, phone_plans::Phones};
use crate::redact::{
    secrets::Prefixes,
    vocabulary::{Meaning, Vocabulary},
};

/// Parts of names whose value is not a secret, but counts, locates or describes one.
const HARMLESS: [&str; 55] = [
    "pass_by",
    "forgot",
    "public",
    "hash_algo",
    "_file",
    "_path",
    "keyid",
    "key_id",
    "key-id",
    "credentialsid",
    "credentials_id",
    "credentialid",
    "credential_id",
    "secretsid",
    "secrets_id",
    "field",
    "label",
    "title",
    "length",
    "_len",
    "regex",
    "policy",
    "placeholder",
    "_name",
    "_type",
    "_url",
    ".url",
    "endpoint",
    "expire",
    "ttl",
    "_count",
    "max_tokens",
    "tokens_",
    "_tokens",
    "keyhash",
    "key_hash",
    "keysize",
    "key_size",
    "keyfile",
    "tokenfile",
    "keychars",
    "key_chars",
    "keystr",
    "keyvault",
    "key_vault",
    "primarykey",
    "primary_key",
    "foreignkey",
    "foreign_key",
    "cache",
    "bucket",
    "sort_key",
    "event",
    "authsource",
    "rounds",
];

/// The built-in tables.
pub(crate) struct Tables {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) prefixes: Prefixes,
    pub(super) ids: Ids,
    pub(super) phones: Phones,
    /// Finds parts of a name whose value is not a secret.
    pub(super) harmless: Option<AhoCorasick>,
    countries: HashMap<Box<str>, &'static str, foldhash::fast::FixedState>,
}

impl Tables {
    /// Reads the built-in tables.
    pub(crate) fn builtin() -> Self {
        let tables = [
            include_str!("../../../redact/context.tsv"),
            include_str!("../../../redact/cues.tsv"),
            include_str!("../../../redact/names.tsv"),
            include_str!("../../../redact/places.tsv"),
            include_str!("../../../redact/services.tsv"),
        ];
        let mut countries = HashMap::default();
        let mut names = String::new();
        for line in include_str!("../../../redact/countries.tsv")
            .lines()
            .filter(|l| !l.starts_with('#'))
        {
            let Some((code, list)) = line.split_once('\t') else {
                continue;
            };
            for name in list.split('|') {
                countries.insert(name.to_lowercase().into(), code);
                names.push_str(name);
                names.push('\n');
            }
        }
        let ids = Ids::builtin();
        Self {
            vocabulary: Vocabulary::new(
                &tables,
                &[(&names, Meaning::COUNTRY), (ids.names(), Meaning::ID_NAME)],
            ),
            prefixes: Prefixes::builtin(),
            ids,
            phones: Phones::builtin(),
            harmless: AhoCorasick::new(HARMLESS).ok(),
            countries,
        }
    }

    /// Returns the country with this name, in any of the languages of the list.
    pub(super) fn country(&self, name: &str) -> Option<&'static str> {
        self.countries.get(name.to_lowercase().as_str()).copied()
    }
}
