//! Targets of a request: its models, each with the restriction from its name, and its routing
//! preferences.

use super::{identifiers::Identifiers, respond::invalid};
use crate::{
    account::Instance,
    catalog::{Catalog, Endpoint, ModelName, NamedProvider, Protocol, Variant},
    ids::RequestId,
    policy::{CompiledLayers, Decision, Layer, ProviderPattern, Restriction, evaluate},
    route::{Health, Holder, Needs, Preferences, ProviderObject, Routing, Sort},
    time::Timestamp,
    wire::{
        error::{ApiError, Availability},
        fault::RequestFault,
        inbound::prompt,
        outbound::carries,
        request::Request,
    },
};

const NO_PRESETS: &str = "this server has no presets; name a model and send its parameters";

/// Targets of a request.
#[derive(Debug)]
pub(super) struct Targets {
    /// The requested model, in a form that may be shown.
    pub(super) asked: String,
    /// The models in order, as indices into the catalog's models, each with the request's layer.
    pub(super) models: Vec<(usize, [(Layer, Restriction); 1])>,
    pub(super) preferences: Preferences,
    pub(super) needs: Needs,
    /// Names in provider lists that match no provider.
    pub(super) unknown: Vec<UnknownProvider>,
}

/// A name in a request's provider list that matches no provider.
#[derive(Debug)]
pub(super) struct UnknownProvider {
    param: &'static str,
    /// The name, in a form that may be shown.
    name: String,
    /// The provider with the most similar name.
    near: Option<String>,
}

impl UnknownProvider {
    pub(super) fn warning(&self) -> String {
        let hint = self.near.as_ref().map_or_else(
            || "GET /api/v1/providers lists them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        format!(
            "`{}` names `{}`, and there is no such provider; {hint}",
            self.param, self.name
        )
    }
}

impl Targets {
    /// Returns an error if a restricting list has a name that is probably misspelt, since the list
    /// would not have the intended effect.
    pub(super) fn misspelt(&self) -> Option<ApiError> {
        let restricts = |u: &&UnknownProvider| u.near.is_some() && u.param != "provider.order";
        let unknown = self.unknown.iter().find(restricts)?;
        Some(invalid(RequestFault::member(
            unknown.param,
            unknown.warning(),
        )))
    }

    /// Returns the policy's decision for each model.
    pub(super) fn decisions<'a>(&'a self, layers: &'a CompiledLayers) -> Vec<Decision<'a>> {
        self.models
            .iter()
            .map(|(model, request)| evaluate(layers, request, *model))
            .collect()
    }

    pub(super) fn routing<'a>(
        &'a self,
        inbound: Protocol,
        health: &'a Health,
        holder: &'a (dyn Fn(&Endpoint) -> Option<Holder> + Sync),
        now: Timestamp,
        id: RequestId,
    ) -> Routing<'a> {
        let seed = id
            .as_bytes()
            .iter()
            .fold(0u64, |seed, b| seed.rotate_left(8) ^ u64::from(*b));
        Routing {
            preferences: &self.preferences,
            needs: &self.needs,
            health,
            holder,
            inbound,
            now,
            seed,
        }
    }
}

/// Resolves the model names and the routing preferences of a request.
pub(super) fn resolve(
    request: &Request,
    instance: &Instance,
    pin: Option<&str>,
    identifiers: Identifiers<'_>,
) -> Result<Targets, ApiError> {
    let catalog = instance.catalog.catalog();
    if request.preset.is_some() {
        return Err(invalid(RequestFault::member("preset", NO_PRESETS)));
    }
    let object: ProviderObject = request
        .get("provider", "an object of routing preferences")
        .map_err(invalid)?
        .unwrap_or_default();
    let unknown = unknown_providers(&object, pin, catalog, identifiers);
    let mut preferences = Preferences::from_object(object)
        .map_err(|(param, problem)| invalid(RequestFault::member(param, problem)))?;
    preferences.require_parameters |= request.require_params;
    preferences.pin = pin.map(ProviderPattern::new);
    let names: Vec<&str> = request
        .model
        .iter()
        .chain(&request.models)
        .map(String::as_str)
        .collect();
    let Some(first) = names.first() else {
        return Err(invalid(RequestFault::member(
            "model",
            "`model` is missing; GET /api/v1/models lists the models",
        )));
    };
    let prompt = prompt(request.protocol());
    if request.raw(prompt).is_none() {
        return Err(invalid(RequestFault::missing(prompt)));
    }
    let mut targets = Targets {
        asked: identifiers.model(first).into_owned(),
        models: Vec::new(),
        needs: Needs {
            min_context: request.min_context.map(|n| (n, "min_context")),
            max_tokens: request.max_tokens,
            parameters: request.parameters().map(ToOwned::to_owned).collect(),
            images: request.volume.files > 0,
            not_carried: not_carried(request),
        },
        preferences,
        unknown,
    };
    for name in &names {
        targets.add(name, catalog)?;
    }
    if targets.models.is_empty() {
        Err(not_found(&names, catalog, identifiers))
    } else {
        Ok(targets)
    }
}

fn not_carried(request: &Request) -> Vec<(Protocol, String)> {
    let of = |protocol| {
        let missing = request
            .parameters()
            .filter(move |p| !carries(protocol, request, p));
        missing.map(move |p| (protocol, p.to_owned()))
    };
    Protocol::ALL.into_iter().flat_map(of).collect()
}

fn unknown_providers(
    object: &ProviderObject,
    pin: Option<&str>,
    catalog: &Catalog,
    identifiers: Identifiers<'_>,
) -> Vec<UnknownProvider> {
    let lists = [
        ("provider.only", &object.only),
        ("provider.ignore", &object.ignore),
        ("provider.order", &object.order),
    ];
    let all = lists
        .iter()
        .flat_map(|(param, list)| list.iter().flatten().map(|name| (*param, name.as_str())));
    all.chain(pin.map(|name| ("X-AnyRouter-Provider", name)))
        .filter_map(|(param, name)| {
            let near = match catalog.named_provider(name) {
                NamedProvider::Known => return None,
                NamedProvider::Near(slug) => Some(slug.to_owned()),
                NamedProvider::Unknown => None,
            };
            Some(UnknownProvider {
                param,
                name: identifiers.model(name).into_owned(),
                near,
            })
        })
        .take(16)
        .collect()
}

impl Targets {
    /// Adds the models that a name stands for; nothing if no model has this name.
    fn add(&mut self, name: &str, catalog: &Catalog) -> Result<(), ApiError> {
        let parsed = ModelName::parse(name, catalog);
        if parsed.preset.is_some() {
            return Err(invalid(RequestFault::member("model", NO_PRESETS)));
        }
        if let Some(floor) = parsed.min_context
            && self
                .needs
                .min_context
                .is_none_or(|(known, _)| known < floor)
        {
            self.needs.min_context = Some((floor, "model"));
        }
        let mut restriction = self.preferences.restriction.clone();
        match parsed.variant {
            Some(Variant::Free) => restriction.max_price.free_only = true,
            Some(Variant::Floor) => {
                self.preferences.sort = self.preferences.sort.or(Some(Sort::Price));
            }
            Some(Variant::Nitro) => {
                self.preferences.sort = self.preferences.sort.or(Some(Sort::Throughput));
            }
            None => {}
        }
        let found: Vec<usize> = match catalog
            .virtual_models()
            .iter()
            .find(|v| v.id.as_str() == parsed.base)
        {
            Some(virtual_model) => {
                restriction.max_price.free_only |= virtual_model.free;
                catalog.expand(virtual_model)
            }
            None => catalog.find(parsed.base).into_iter().collect(),
        };
        for model in found {
            if !self.models.iter().any(|(known, _)| *known == model) {
                self.models
                    .push((model, [(Layer::Request, restriction.clone())]));
            }
        }
        Ok(())
    }
}

fn not_found(names: &[&str], catalog: &Catalog, identifiers: Identifiers<'_>) -> ApiError {
    let asked = names.first().copied().unwrap_or_default();
    let near = catalog.near(asked);
    let hint = if near.is_empty() {
        "GET /api/v1/models lists the models".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    let shown = identifiers.model(asked);
    let mut error = ApiError::new(
        404,
        "model_not_found",
        format!("no model `{shown}`: {hint}"),
    );
    error.param = Some("model".to_owned());
    error.availability = Some(Box::new(Availability {
        code: "model_not_found",
        requested_models: names
            .iter()
            .map(|n| identifiers.model(n).into_owned())
            .collect(),
        docs_url: "/docs/errors.md",
        ..Availability::default()
    }));
    error
}
