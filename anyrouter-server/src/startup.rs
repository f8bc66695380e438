//! The first start: an account with its keys, which are shown once, and the table of providers with
//! the models that the default policy admits.

use std::{
    collections::BTreeMap, fmt::Write as _, fs::OpenOptions, io::Write as _,
    os::unix::fs::OpenOptionsExt, path::Path, sync::Arc,
};

use anyrouter_core::{
    account::KeyRecord,
    config::Config,
    ids::AccountId,
    key::{ApiKey, KeyKind},
    policy::{
        Change, CompiledCatalog, CompiledLayers, Excluded, Layer, Rule, evaluate, relaxations,
    },
    ports::{Accounts, Credentials, Randomness, StoreError},
    time::Timestamp,
};
use serde_json::json;

/// The keys of the first account, which are shown once.
#[derive(Debug)]
pub struct Bootstrap {
    /// The account.
    pub account: AccountId,
    /// The first inference key of the account.
    pub inference: ApiKey,
    /// The first management key of the account.
    pub management: ApiKey,
}

/// Creates a key of each kind, with its record.
fn pair(
    randomness: &dyn Randomness,
    account: &AccountId,
    which: &str,
    now: Timestamp,
) -> Result<([ApiKey; 2], Vec<KeyRecord>), StoreError> {
    let of = |kind| Ok::<_, StoreError>(ApiKey::from_random(kind, randomness.key_bits()?));
    let keys = [of(KeyKind::Inference)?, of(KeyKind::Management)?];
    let record = |key: &ApiKey, kind: &str| {
        KeyRecord::new(key, account.clone(), &format!("{which} {kind} key"), now)
    };
    let records = vec![
        record(&keys[0], "inference"),
        record(&keys[1], "management"),
    ];
    Ok((keys, records))
}

/// Creates the first account if there is none. Passes its keys to `keep` first, because an account
/// whose keys are lost would lock its owner out.
pub(crate) async fn bootstrap<E: From<StoreError>>(
    accounts: &dyn Accounts,
    config: &Config,
    now: Timestamp,
    randomness: &dyn Randomness,
    keep: impl FnOnce(&Bootstrap) -> Result<(), E>,
) -> Result<Option<Bootstrap>, E> {
    if accounts.first_account().await?.is_some() {
        return Ok(None);
    }
    let bits = randomness.key_bits()?;
    let id: String = bits.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let account = AccountId::from(format!("acc_{id}"));
    let ([inference, management], records) = pair(randomness, &account, "first", now)?;
    let bootstrap = Bootstrap {
        account,
        inference,
        management,
    };
    keep(&bootstrap)?;
    let (id, settings) = (&bootstrap.account, config.account_defaults.clone());
    let created = accounts.create_account(id, settings, now, records);
    created.await?;
    Ok(Some(bootstrap))
}

/// Creates another key of each kind for the first account, or returns `None` without an account.
pub(crate) async fn new_keys(
    accounts: &dyn Accounts,
    now: Timestamp,
    randomness: &dyn Randomness,
) -> Result<Option<Bootstrap>, StoreError> {
    let Some(account) = accounts.first_account().await? else {
        return Ok(None);
    };
    let account = account.id;
    let ([inference, management], records) = pair(randomness, &account, "another", now)?;
    for record in records {
        accounts.add_key(record).await?;
    }
    Ok(Some(Bootstrap {
        account,
        inference,
        management,
    }))
}

impl Bootstrap {
    /// Writes the keys to a file that only its owner can read, complete or not at all.
    pub(crate) fn write(&self, path: &Path, base_url: &str) -> std::io::Result<()> {
        let text = json!({"base_url": base_url, "inference_key": self.inference.reveal(), "management_key": self.management.reveal(), "account_id": self.account});
        let partial = path.with_extension("partial");
        let _ = std::fs::remove_file(&partial);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)?;
        writeln!(file, "{text:#}")?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    }

    /// Returns the text that is printed if no file is given.
    pub(crate) fn text(&self) -> String {
        format!(
            "The keys of the first account {}, shown only once:\n\n  inference key   {}\n  management key  {}\n",
            self.account,
            self.inference.reveal(),
            self.management.reveal()
        )
    }
}

/// Returns the table of providers, and a `curl` command for a model of each that can be used.
pub(crate) fn providers(config: &Config, base_url: &str, key: Option<&ApiKey>) -> String {
    let catalog = Arc::new(CompiledCatalog::new(config.catalog.clone()));
    let layers = CompiledLayers::new(
        catalog,
        vec![
            (Layer::Instance, config.privacy.restriction()),
            (Layer::Account, config.account_defaults.restriction()),
        ],
    );
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    for model in 0..config.catalog.models().len() {
        let decision = evaluate(&layers, &[], model);
        let eligible: Vec<usize> = decision.eligible().map(|e| e.endpoint().index).collect();
        for (nth, endpoint) in decision.endpoints().iter().enumerate() {
            let Some(provider) = config
                .catalog
                .providers()
                .get(endpoint.provider_index)
                .filter(|p| config.keys.holder(None, p).is_some())
            else {
                continue;
            };
            let row = rows
                .entry(endpoint.provider_index)
                .or_insert_with(|| Row::new(&provider.name));
            row.models += 1;
            if eligible.contains(&endpoint.index) {
                row.admitted += 1;
                row.example
                    .get_or_insert_with(|| endpoint.model.to_string());
            } else {
                let reasons = decision.reasons(nth);
                let text: Vec<String> = reasons.iter().map(|r| r.fact.clone()).collect();
                // Stating an unknown term is safer than allowing it regardless of its value.
                let unstated = reasons
                    .iter()
                    .all(|r| r.fact.ends_with(" = unknown") && r.rule != Rule::Price);
                let excluded = Excluded {
                    endpoint: endpoint.id.clone(),
                    provider: endpoint.provider.clone(),
                    model: endpoint.model.clone(),
                    reasons,
                };
                let changes = relaxations(&[excluded])
                    .into_iter()
                    .next()
                    .map(|r| r.changes)
                    .unwrap_or_default();
                let line = match changes.first() {
                    Some(first) if unstated && first.layer != Layer::Instance => {
                        format!(
                            "state its terms: [[provider]] slug = \"{}\", terms = {{ … }}",
                            provider.slug
                        )
                    }
                    _ => line(&changes, config.has_file),
                };
                *row.rest.entry((text.join(", "), line)).or_default() += 1;
            }
        }
    }
    table(&rows, base_url, key)
}

struct Row {
    name: String,
    models: usize,
    admitted: usize,
    example: Option<String>,
    /// Reasons and the line that would change them, with the number of models that they concern.
    rest: BTreeMap<(String, String), usize>,
}

impl Row {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            models: 0,
            admitted: 0,
            example: None,
            rest: BTreeMap::new(),
        }
    }
}

/// Returns the line that makes these changes: environment variables, lines of the file, or a
/// command for account settings.
fn line(changes: &[Change], has_file: bool) -> String {
    let (account, operator): (Vec<_>, Vec<_>) =
        changes.iter().partition(|c| c.layer != Layer::Instance);
    let mut lines: Vec<String> = operator
        .iter()
        .map(|c| operators_line(c, has_file))
        .collect();
    if !account.is_empty() {
        let settings: Vec<String> = account
            .iter()
            .map(|c| format!("{}={}", c.set, c.to))
            .collect();
        lines.push(format!("anyrouter privacy set {}", settings.join(" ")));
    }
    lines.join(" and ")
}

fn operators_line(change: &Change, has_file: bool) -> String {
    let text = change
        .to
        .as_str()
        .map_or_else(|| change.to.to_string(), ToOwned::to_owned);
    if let Some((slug, member)) = change
        .set
        .strip_prefix("provider.")
        .and_then(|s| s.rsplit_once('.'))
    {
        if has_file {
            return format!("[[provider]] slug = \"{slug}\", {member} = {}", change.to);
        }
        return format!(
            "ANYROUTER_PROVIDER_{}_{}={text}",
            slug.to_ascii_uppercase().replace('-', "_"),
            member.to_ascii_uppercase()
        );
    }
    if has_file {
        return format!("{} = {}", change.set, change.to);
    }
    format!(
        "ANYROUTER_{}={text}",
        change.set.to_ascii_uppercase().replace('.', "_")
    )
}

fn table(rows: &BTreeMap<usize, Row>, base_url: &str, key: Option<&ApiKey>) -> String {
    let mut out = String::from(
        "Providers found, and how many of their models the default policy admits:\n\n",
    );
    let width = rows
        .values()
        .map(|r| r.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(8);
    let _ = writeln!(
        out,
        "  {:<width$}  admitted  reasons against the others, and how to change that",
        "provider"
    );
    for row in rows.values() {
        let mut first = true;
        let mut lines: Vec<(String, Option<String>)> = row
            .rest
            .iter()
            .map(|((why, line), n)| {
                (
                    format!("{n} × {why}"),
                    Some(line.clone()).filter(|l| !l.is_empty()),
                )
            })
            .collect();
        if lines.is_empty() {
            lines.push(("–".to_owned(), None));
        }
        for (why, change) in lines {
            let (name, count) = if first {
                (
                    row.name.as_str(),
                    format!("{} of {}", row.admitted, row.models),
                )
            } else {
                ("", String::new())
            };
            let _ = writeln!(out, "  {name:<width$}  {count:<8}  {why}");
            if let Some(change) = change {
                let _ = writeln!(out, "  {:<width$}  {:<8}  → {change}", "", "");
            }
            first = false;
        }
    }
    let _ = writeln!(out, "\nTry it:\n");
    let shown = key.map_or("$ANYROUTER_API_KEY", ApiKey::reveal);
    for model in rows.values().filter_map(|r| r.example.as_ref()) {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}], "stream": true});
        let _ = writeln!(
            out,
            "  curl -N {base_url}/chat/completions -H \"Authorization: Bearer {shown}\" -H 'Content-Type: application/json' -d '{body}'\n"
        );
    }
    out
}
