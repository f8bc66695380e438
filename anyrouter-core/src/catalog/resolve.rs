//! Merges documents into a catalog: a later document overrides single members and single facts of
//! the terms of an earlier one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Address, Catalog, CatalogError, Dialect, Document, Endpoint, EndpointEntry, FaultRow,
    FaultTable, Model, ModelEntry, Prices, Protocol, Provider, ProviderEntry, Terms, Tier,
    VirtualModel, normalise,
};
use crate::ids::{ModelId, ProviderSlug, push_hex};
use crate::part::Part as _;

/// Default priority of an endpoint.
const DEFAULT_PRIORITY: u32 = 100;

pub(super) fn resolve(documents: &[Document]) -> Result<Catalog, CatalogError> {
    let mut building = CatalogBuilder::default();
    for document in documents {
        building.add(document)?;
    }
    building.finish()
}

#[derive(Default)]
struct CatalogBuilder {
    providers: Vec<ProviderPart>,
    models: Vec<ModelPart>,
    virtuals: Vec<VirtualModel>,
    /// Rows of error classes, those of the last document first.
    faults: Vec<FaultRow>,
}

struct ProviderPart {
    entry: ProviderEntry,
    terms: Terms,
    path: String,
}

struct ModelPart {
    entry: ModelEntry,
    endpoints: Vec<EndpointPart>,
    path: String,
}

struct EndpointPart {
    entry: EndpointEntry,
    own: Terms,
    path: String,
}

impl CatalogBuilder {
    fn add(&mut self, document: &Document) -> Result<(), CatalogError> {
        for (i, entry) in document.provider.iter().enumerate() {
            let path = format!("provider[{i}]");
            if document
                .provider
                .iter()
                .take(i)
                .any(|p| p.slug == entry.slug)
            {
                return Err(invalid(
                    format!("{path}.slug"),
                    format!("provider `{}` is defined twice; remove one", entry.slug),
                ));
            }
            self.add_provider(entry, entry.terms.facts(&document.sources), path)?;
        }
        for (i, entry) in document.model.iter().enumerate() {
            let path = format!("model[{i}]");
            if document.model.iter().take(i).any(|m| m.id == entry.id) {
                return Err(invalid(
                    format!("{path}.id"),
                    format!("model `{}` is defined twice; remove one", entry.id),
                ));
            }
            self.add_model(entry, document, &path)?;
        }
        self.faults.splice(0..0, document.fault.iter().cloned());
        for entry in &document.virtuals {
            let models = entry.models.iter().map(|m| m.as_str().into()).collect();
            self.virtuals.retain(|v| v.id.as_str() != entry.id);
            self.virtuals.push(VirtualModel {
                id: entry.id.as_str().into(),
                models,
                free: entry.free,
            });
        }
        Ok(())
    }

    fn add_provider(
        &mut self,
        entry: &ProviderEntry,
        own: Terms,
        path: String,
    ) -> Result<(), CatalogError> {
        let slug = &entry.slug;
        let legal = |c: char| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '/')
        };
        if slug.is_empty() || !slug.chars().all(legal) {
            return Err(invalid(
                format!("{path}.slug"),
                format!("`{slug}` is not a slug; use lower-case letters, digits and -"),
            ));
        }
        let Some(at) = self.providers.iter().position(|p| p.entry.slug == *slug) else {
            self.providers.push(ProviderPart {
                entry: entry.clone(),
                terms: own,
                path,
            });
            return Ok(());
        };
        let Some(known) = self.providers.get_mut(at) else {
            return Ok(());
        };
        let moves = entry.base_url.is_some() || entry.base_urls.is_some();
        if moves {
            known.entry.base_urls = None;
            // The known terms of the provider and of its endpoints refer to the old address.
            known.terms = Terms::default();
            for endpoint in self
                .models
                .iter_mut()
                .flat_map(|m| &mut m.endpoints)
                .filter(|e| provider_of(&e.entry.provider) == *slug)
            {
                endpoint.own = Terms::default();
            }
        }
        if let Some(protocol) = entry.protocol {
            known.entry.protocols = Some(vec![protocol]);
        }
        known.terms = known.terms.overlaid(&own);
        known.path = path;
        let over = entry.clone();
        let under = std::mem::take(&mut known.entry);
        known.entry = ProviderEntry {
            slug: under.slug,
            name: over.name.or(under.name),
            protocol: over.protocol.or(under.protocol),
            protocols: over.protocols.or(under.protocols),
            base_url: over.base_url.or(under.base_url),
            base_urls: over.base_urls.or(under.base_urls),
            api_key: over.api_key.or(under.api_key),
            env: over.env.or(under.env),
            env_all: over.env_all.or(under.env_all),
            tier: over.tier.or(under.tier),
            free_tier: over.free_tier.or(under.free_tier),
            stream_usage: over.stream_usage.or(under.stream_usage),
            http2: over.http2.or(under.http2),
            terms: under.terms,
            dialect: under.dialect.overlaid(&over.dialect),
        };
        Ok(())
    }

    fn add_model(
        &mut self,
        entry: &ModelEntry,
        document: &Document,
        path: &str,
    ) -> Result<(), CatalogError> {
        let author_and_slug = entry
            .id
            .split_once('/')
            .is_some_and(|(a, s)| !a.is_empty() && !s.is_empty());
        if !author_and_slug
            || entry
                .id
                .chars()
                .any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(invalid(
                format!("{path}.id"),
                format!("`{}` is not a model id; write `author/slug`", entry.id),
            ));
        }
        let mut fresh = Vec::new();
        for (i, e) in entry.endpoint.iter().enumerate() {
            let path = format!("{path}.endpoint[{i}]");
            if entry
                .endpoint
                .iter()
                .take(i)
                .any(|o| o.provider == e.provider)
            {
                let problem = format!(
                    "provider `{}` stands twice; a second form of the weights is a variant, as `{}/fp8`",
                    e.provider, e.provider
                );
                return Err(invalid(format!("{path}.provider"), problem));
            }
            fresh.push(EndpointPart {
                entry: e.clone(),
                own: e.terms.facts(&document.sources),
                path,
            });
        }
        let Some(known) = self.models.iter_mut().find(|m| m.entry.id == entry.id) else {
            self.models.push(ModelPart {
                entry: entry.clone(),
                endpoints: fresh,
                path: path.to_owned(),
            });
            return Ok(());
        };
        path.clone_into(&mut known.path);
        known.entry.name = entry.name.clone().or_else(|| known.entry.name.take());
        known.entry.created = entry.created.or(known.entry.created);
        known.entry.description = entry
            .description
            .clone()
            .or_else(|| known.entry.description.take());
        known.entry.category = entry
            .category
            .clone()
            .or_else(|| known.entry.category.take());
        known.entry.aliases.extend(entry.aliases.iter().cloned());
        for part in fresh {
            match known
                .endpoints
                .iter_mut()
                .find(|e| e.entry.provider == part.entry.provider)
            {
                Some(under) => under.change(part),
                None => known.endpoints.push(part),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Catalog, CatalogError> {
        for (id, free) in [
            ("anyrouter/auto", false),
            ("anyrouter/free", true),
            ("anyrouter/latest", false),
        ] {
            if !self.virtuals.iter().any(|v| v.id.as_str() == id) {
                self.virtuals.push(VirtualModel {
                    id: id.into(),
                    models: Vec::new(),
                    free,
                });
            }
        }
        let providers: Vec<Provider> = self
            .providers
            .iter()
            .map(provider)
            .collect::<Result<_, _>>()?;
        let by_slug: HashMap<&str, usize> = providers
            .iter()
            .enumerate()
            .map(|(i, p)| (p.slug.as_str(), i))
            .collect();
        let (mut models, mut endpoints) = (Vec::with_capacity(self.models.len()), Vec::new());
        let mut names = HashMap::default();
        for part in &self.models {
            let first = endpoints.len();
            let slug = part.entry.id.split_once('/').map_or("", |(_, s)| s);
            for e in &part.endpoints {
                let found = by_slug
                    .get(e.entry.provider.as_str())
                    .or_else(|| by_slug.get(provider_of(&e.entry.provider)));
                let Some((at, provider)) = found.and_then(|i| Some((*i, providers.get(*i)?)))
                else {
                    let problem = format!(
                        "no provider `{}`; add a [[provider]] with that slug",
                        e.entry.provider
                    );
                    return Err(invalid(format!("{}.provider", e.path), problem));
                };
                let of_provider = self
                    .providers
                    .get(at)
                    .map(|p| p.entry.dialect.clone())
                    .unwrap_or_default();
                endpoints.push(endpoint(
                    e,
                    part,
                    (at, provider),
                    &of_provider,
                    (models.len(), endpoints.len()),
                )?);
            }
            let index = models.len();
            models.push(Model {
                id: part.entry.id.as_str().into(),
                name: part.entry.name.as_deref().unwrap_or(slug).into(),
                aliases: part.entry.aliases.clone(),
                created: part.entry.created,
                description: part.entry.description.clone(),
                category: part.entry.category.as_deref().unwrap_or("chat").into(),
                endpoints: first..endpoints.len(),
            });
            if names
                .insert(part.entry.id.clone(), index)
                .is_some_and(|other| other != index)
            {
                return Err(invalid(
                    format!("{}.id", part.path),
                    format!("`{}` is also the name of another model", part.entry.id),
                ));
            }
        }
        for (index, part) in self.models.iter().enumerate() {
            for (i, alias) in part.entry.aliases.iter().enumerate() {
                if *names.entry(alias.clone()).or_insert(index) != index {
                    let problem =
                        format!("`{alias}` is also the name of another model; rename the alias");
                    return Err(invalid(format!("{}.aliases[{i}]", part.path), problem));
                }
            }
        }
        // Bare names have the lowest precedence; the first model with a bare name keeps it.
        for (index, model) in models.iter().enumerate() {
            if let Some((_, slug)) = model.id.as_str().split_once('/') {
                names.entry(slug.to_owned()).or_insert(index);
            }
        }
        for endpoint in &endpoints {
            names
                .entry(endpoint.upstream_model.to_string())
                .or_insert(endpoint.model_index);
        }
        let version = version(&providers, &models, &endpoints, &self.virtuals)?;
        // If two names have the same normalised spelling, the first model's wins.
        let mut ordered: Vec<(&String, &usize)> = names.iter().collect();
        ordered.sort_by_key(|(name, model)| (**model, *name));
        let mut spellings = HashMap::default();
        for (name, model) in ordered {
            spellings
                .entry(super::names::spelling(name))
                .or_insert(*model);
        }
        let faults = Arc::new(FaultTable::with(self.faults));
        Ok(Catalog {
            version: version.into(),
            providers,
            models,
            endpoints,
            virtuals: self.virtuals,
            faults,
            names,
            spellings,
        })
    }
}

impl EndpointPart {
    fn change(&mut self, over: Self) {
        let (under, entry) = (std::mem::take(&mut self.entry), over.entry);
        if entry.base_url.is_some() {
            self.own = Terms::default();
        }
        self.own = self.own.overlaid(&over.own);
        self.path = over.path;
        self.entry = EndpointEntry {
            provider: under.provider,
            upstream_model: entry.upstream_model.or(under.upstream_model),
            context: entry.context.or(under.context),
            max_output: entry.max_output.or(under.max_output),
            price: super::PriceEntry {
                prompt: entry.price.prompt.or(under.price.prompt),
                completion: entry.price.completion.or(under.price.completion),
                cache_read: entry.price.cache_read.or(under.price.cache_read),
                cache_write: entry.price.cache_write.or(under.price.cache_write),
                cache_write_1h: entry.price.cache_write_1h.or(under.price.cache_write_1h),
                request: entry.price.request.or(under.price.request),
                image: entry.price.image.or(under.price.image),
                audio: entry.price.audio.or(under.price.audio),
            },
            priority: entry.priority.or(under.priority),
            capabilities: entry.capabilities.or(under.capabilities),
            parameters: entry.parameters.or(under.parameters),
            quantization: entry.quantization.or(under.quantization),
            terms: under.terms,
            protocol: entry.protocol.or(under.protocol),
            base_url: entry.base_url.or(under.base_url),
            dialect: under.dialect.overlaid(&entry.dialect),
            source: entry.source.or(under.source),
        };
    }
}

/// The slug before a variant: `deepinfra` of `deepinfra/turbo`.
fn provider_of(tag: &str) -> &str {
    tag.split_once('/').map_or(tag, |(slug, _)| slug)
}

fn provider(part: &ProviderPart) -> Result<Provider, CatalogError> {
    let entry = &part.entry;
    let protocols = entry
        .protocols
        .clone()
        .or(entry.protocol.map(|p| vec![p]))
        .unwrap_or_default();
    let mut addresses = Vec::new();
    for protocol in protocols {
        if let Some(base) = entry.base_url_of(protocol) {
            let base_url = base_url(base, &format!("{}.base_url", part.path))?;
            addresses.push(Address {
                protocol,
                base_url,
                http2: entry.http2.unwrap_or(false),
            });
        }
    }
    let unstated = if entry.free_tier.as_deref() == Some("yes") {
        Tier::Unknown
    } else {
        Tier::Paid
    };
    Ok(Provider {
        slug: ProviderSlug::from(entry.slug.as_str()),
        name: entry.name.as_deref().unwrap_or(&entry.slug).into(),
        tier: entry.tier.unwrap_or(unstated),
        terms: part.terms.clone(),
        addresses,
        env: entry.env.clone().unwrap_or_default(),
        env_all: entry.env_all.unwrap_or(false),
        stream_usage: entry.stream_usage.unwrap_or(true),
    })
}

fn endpoint(
    part: &EndpointPart,
    model: &ModelPart,
    (provider_index, provider): (usize, &Provider),
    of_provider: &Dialect,
    (model_index, index): (usize, usize),
) -> Result<Endpoint, CatalogError> {
    let entry = &part.entry;
    let slug = model.entry.id.split_once('/').map_or("", |(_, s)| s);
    let mut addresses = provider.addresses.clone();
    let mut terms = provider.terms.clone();
    if let Some(base) = &entry.base_url {
        let of_provider = provider.addresses.first().map(|a| a.protocol);
        let protocol = entry.protocol.or(of_provider).unwrap_or(Protocol::Chat);
        let base_url = base_url(base, &format!("{}.base_url", part.path))?;
        if provider.addresses.iter().all(|a| a.base_url != base_url) {
            terms = Terms::default();
        }
        let http2 = provider.addresses.first().is_some_and(|a| a.http2);
        addresses = vec![Address {
            protocol,
            base_url,
            http2,
        }];
    } else if let Some(protocol) = entry.protocol {
        addresses.retain(|a| a.protocol == protocol);
    }
    if addresses.is_empty() {
        let problem = format!(
            "provider `{}` has no base URL for its protocol; set `base_url`, and `protocol` to `openai_chat`, `openai_responses`, `anthropic_messages` or `gemini`",
            provider.slug
        );
        return Err(invalid(format!("{}.provider", part.path), problem));
    }
    let price = |at: &str, e: super::PriceError| {
        invalid(format!("{}.price.{at}", part.path), e.to_string())
    };
    let token = |at: &'static str, p: &Option<super::document::Price>| {
        p.as_ref()
            .map(super::document::Price::per_token)
            .transpose()
            .map_err(|e| price(at, e))
    };
    let amount = |at: &'static str, p: &Option<super::document::Price>| {
        p.as_ref()
            .map(super::document::Price::amount)
            .transpose()
            .map_err(|e| price(at, e))
    };
    let upstream_model = entry.upstream_model.as_deref().unwrap_or(slug);
    let dialect = |a: &Address| {
        Arc::new(
            Dialect::builtin(provider.slug.as_str(), a.protocol, upstream_model)
                .overlaid(of_provider)
                .overlaid(&entry.dialect),
        )
    };
    Ok(Endpoint {
        dialects: addresses.iter().map(dialect).collect(),
        id: format!("{}/{}", entry.provider, model.entry.id.replace('/', "-")).into(),
        index,
        provider_index,
        provider: provider.slug.clone(),
        provider_name: provider.name.clone(),
        tag: entry.provider.as_str().into(),
        provider_names: provider_names(provider.slug.as_str(), &entry.provider, &provider.name),
        model_index,
        model: ModelId::from(model.entry.id.as_str()),
        upstream_model: Arc::from(upstream_model),
        context: entry.context,
        max_output: entry.max_output,
        prices: Prices {
            prompt: token("prompt", &entry.price.prompt)?,
            completion: token("completion", &entry.price.completion)?,
            cache_read: token("cache_read", &entry.price.cache_read)?,
            cache_write: token("cache_write", &entry.price.cache_write)?,
            cache_write_1h: token("cache_write_1h", &entry.price.cache_write_1h)?,
            request: amount("request", &entry.price.request)?,
            image: amount("image", &entry.price.image)?,
            audio: token("audio", &entry.price.audio)?,
        },
        priority: entry.priority.unwrap_or(DEFAULT_PRIORITY),
        capabilities: entry.capabilities.clone(),
        parameters: entry.parameters.clone(),
        quantization: entry.quantization.clone(),
        terms: terms.overlaid(&part.own),
        tier: provider.tier,
        addresses,
        stream_usage: provider.stream_usage,
        reads_raw_proofs: reads_raw_proofs(model, provider.slug.as_str()),
        source: entry.source.as_deref().map(Into::into),
    })
}

/// Returns true if the provider is the model's author, or if no provider of the model is.
fn reads_raw_proofs(model: &ModelPart, provider: &str) -> bool {
    let letters = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let author = letters(model.entry.id.split('/').next().unwrap_or_default());
    // As `google` and `google-ai-studio`, `mistralai` and `mistral`.
    let is_author = |provider: &str| {
        let provider = letters(provider);
        provider.starts_with(&author) || author.starts_with(&provider)
    };
    let mut providers = model.endpoints.iter().map(|e| e.entry.provider.as_str());
    is_author(provider) || !providers.any(is_author)
}

fn base_url(text: &str, path: &str) -> Result<Arc<str>, CatalogError> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|r| r.split(['/', '?', '#']).next().unwrap_or_default());
    let plain = !text.contains(['?', '#', ' ', '\n'])
        && host.is_some_and(|h| !h.is_empty() && !h.contains('@'));
    if plain || text.starts_with("demo:") {
        return Ok(text.trim_end_matches('/').into());
    }
    Err(invalid(
        path.to_owned(),
        "it must be an address such as `https://host/path`, without a query or a user name"
            .to_owned(),
    ))
}

fn invalid(path: String, problem: String) -> CatalogError {
    CatalogError::Invalid { path, problem }
}

/// Returns the normalised names that a pattern may use for a provider.
fn provider_names(slug: &str, tag: &str, name: &str) -> BTreeSet<String> {
    let base = |s: &str| s.split('/').next().unwrap_or_default().to_owned();
    let (slug, tag, name) = (normalise(slug), normalise(tag), normalise(name));
    BTreeSet::from([base(&slug), base(&tag), base(&name), tag])
}

fn version(
    providers: &[Provider],
    models: &[Model],
    endpoints: &[Endpoint],
    virtuals: &[VirtualModel],
) -> Result<String, CatalogError> {
    let digest = Sha256::digest(serde_json::to_vec(&(
        providers, models, endpoints, virtuals,
    ))?);
    let mut text = String::with_capacity(16);
    push_hex(digest.part(..8), |digit| {
        text.push(char::from(digit));
    });
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Zdr;

    const BASE: &str = r#"
        [sources]
        page = { url = "https://base.example/terms", checked = "2026-01-01" }
        [[provider]]
        slug = "acme"
        protocol = "openai_chat"
        base_url = "https://api.acme.example/v1"
        free_tier = "yes"
        terms = { trains_on_paid = false, retention_days = 30, zdr = "on_request", sources = { trains_on_paid = "page" } }
        [[model]]
        id = "acme/small"
        [[model.endpoint]]
        provider = "acme"
        price = { prompt = "1", completion = 2 }
        [[model]]
        id = "acme/kept"
        [[model.endpoint]]
        provider = "acme"
        terms = { zdr = "no", retention_days = 30 }
    "#;

    fn catalog(over: &str) -> Catalog {
        let documents = [BASE, over].map(|t| Document::from_toml(t).unwrap());
        Catalog::from_documents(&documents).unwrap()
    }

    #[test]
    fn a_later_document_changes_terms_fact_by_fact() {
        let catalog = catalog(
            "[[provider]]\nslug = \"acme\"\ntier = \"paid\"\nterms = { trains_on_free = false, source = \"x\" }",
        );
        let terms = &catalog.endpoints()[0].terms;
        assert_eq!(
            terms.trains_on_paid.as_ref().unwrap().source.as_deref(),
            Some("https://base.example/terms")
        );
        assert_eq!(
            terms.trains_on_free.as_ref().unwrap().source.as_deref(),
            Some("x")
        );
        assert_eq!(catalog.endpoints()[0].tier, Tier::Paid);
    }

    #[test]
    fn a_new_address_leaves_the_old_terms_behind() {
        let catalog = catalog(
            "[[provider]]\nslug = \"acme\"\nbase_url = \"http://127.0.0.1:1\"\nterms = { zdr = true }",
        );
        let terms = &catalog.endpoints()[0].terms;
        assert!(
            terms.trains_on_paid.is_none(),
            "the built-in terms do not speak of the new address"
        );
        assert_eq!(terms.zdr.as_ref().unwrap().value, Zdr::Default);
        assert_eq!(
            catalog.endpoints()[1].terms.zdr.as_ref().unwrap().value,
            Zdr::Default,
            "nor do the endpoint's own"
        );
    }

    #[test]
    fn agreed_zdr_counts_as_zero_days_but_where_an_endpoint_states_its_own() {
        let catalog = catalog("[[provider]]\nslug = \"acme\"\nterms = { zdr = true }");
        let days = |i: usize| {
            catalog.endpoints()[i]
                .terms
                .retention_days
                .as_ref()
                .unwrap()
                .value
        };
        assert_eq!(days(0), 0);
        assert_eq!(
            (
                catalog.endpoints()[1].terms.zdr.as_ref().unwrap().value,
                days(1)
            ),
            (Zdr::No, 30)
        );
    }

    #[test]
    fn zero_days_that_followed_from_zdr_go_with_it() {
        let catalog = catalog(
            "[[provider]]\nslug = \"acme\"\nterms = { zdr = true }\n[[model]]\nid = \"acme/small\"\n[[model.endpoint]]\nprovider = \"acme\"\nterms = { zdr = false }",
        );
        assert!(catalog.endpoints()[0].terms.retention_days.is_none());
    }

    #[test]
    fn self_hosted_answers_every_fact_but_regions() {
        let catalog = catalog("[[provider]]\nslug = \"acme\"\nterms = { self_hosted = true }");
        let terms = &catalog.endpoints()[0].terms;
        assert_eq!(
            terms.trains_on_free.as_ref().unwrap().because.as_deref(),
            Some("self_hosted = true")
        );
        assert_eq!(terms.retention_days.as_ref().unwrap().value, 0);
        assert!(terms.regions.is_none());
    }

    #[test]
    fn a_tier_that_is_not_stated_is_unknown_only_where_there_is_a_free_tier() {
        assert_eq!(catalog("").endpoints()[0].tier, Tier::Unknown);
        assert_eq!(
            catalog("[[provider]]\nslug = \"acme\"\nfree_tier = \"by_model\"").endpoints()[0].tier,
            Tier::Paid
        );
    }

    #[test]
    fn errors_say_where() {
        let wrong = |over: &str| {
            let documents = [BASE, over].map(|t| Document::from_toml(t).unwrap());
            Catalog::from_documents(&documents).unwrap_err().to_string()
        };
        let unknown = wrong("[[model]]\nid = \"a/b\"\n[[model.endpoint]]\nprovider = \"nobody\"");
        assert!(
            unknown.contains("model[0].endpoint[0].provider") && unknown.contains("nobody"),
            "{unknown}"
        );
        let price = wrong(
            "[[model]]\nid = \"a/b\"\n[[model.endpoint]]\nprovider = \"acme\"\nprice = { prompt = \"-1\" }",
        );
        assert!(
            price.contains("model[0].endpoint[0].price.prompt"),
            "{price}"
        );
        let twice = wrong("[[provider]]\nslug = \"x\"\n[[provider]]\nslug = \"x\"");
        assert!(twice.contains("provider[1].slug"), "{twice}");
    }

    #[test]
    fn the_version_changes_with_any_fact_and_with_nothing_else() {
        assert_eq!(catalog("").version(), catalog("").version());
        assert_ne!(
            catalog("").version(),
            catalog("[[provider]]\nslug = \"acme\"\nterms = { zdr = true }").version()
        );
    }
}
