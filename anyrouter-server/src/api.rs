//! Routes of the API under `/api/v1` and `/v1`, and of the pages for operators.

mod byok;
mod catalog;
mod chat;
mod count;
pub(crate) mod gemini;
mod keys;
mod messages;
mod models;
mod privacy;
mod responses;
mod status;
mod usage;
mod vault;

use std::convert::Infallible;

use anyrouter_core::wire::error::ApiError;
use http::Method;

use crate::{auth::Public, respond::Error, routes::Routes};

/// Maximum number of retries of a change that conflicts with another.
const CHANGES: usize = 16;

/// Adds the routes under the API's prefix.
pub(crate) fn routes(routes: Routes) -> Routes {
    let (get, post) = (|| Method::GET, || Method::POST);
    let (patch, delete) = (|| Method::PATCH, || Method::DELETE);
    routes
        .on(
            post(),
            "/chat/completions",
            "createChatCompletion",
            "A chat completion, whole or as a stream.",
            chat::complete,
        )
        .on(
            post(),
            "/messages",
            "createMessage",
            "A message in Anthropic's protocol, whole or as a stream.",
            messages::create,
        )
        .on(
            post(),
            "/messages/count_tokens",
            "countTokens",
            "A request's input tokens: counted by the provider if it does so and the policy admits it, and else an estimate.",
            messages::count_tokens,
        )
        .on(
            post(),
            "/responses",
            "createResponse",
            "A response in OpenAI's Responses protocol, whole or as a stream.",
            responses::create,
        )
        .on(
            get(),
            "/responses",
            "openResponseSocket",
            "Refuses a WebSocket with 426.",
            responses::no_socket,
        )
        .on(
            get(),
            "/responses/{id}",
            "getResponse",
            "A stored response: 404, since none are stored.",
            responses::stored,
        )
        .on(
            delete(),
            "/responses/{id}",
            "deleteResponse",
            "Deletes a stored response: 404, since none are stored.",
            responses::stored,
        )
        .on(
            post(),
            "/responses/{id}/cancel",
            "cancelResponse",
            "Cancels a response in the background: 404, since none are stored.",
            responses::stored,
        )
        .on(
            get(),
            "/responses/{id}/input_items",
            "listInputItems",
            "The input of a stored response: 404, since none are stored.",
            responses::stored,
        )
        .on(
            get(),
            "/models",
            "listModels",
            "The models; with a key, those that its policy admits.",
            models::list,
        )
        .on(
            get(),
            "/models/count",
            "countModels",
            "The number of models.",
            models::count,
        )
        .on(
            get(),
            "/models/user",
            "listUserModels",
            "The models that the key's policy admits.",
            models::user,
        )
        .on(
            get(),
            "/models/{id}",
            "getModel",
            "One model, by id (its / escaped), alias or bare name.",
            models::one,
        )
        .on(
            get(),
            "/models/{author}/{slug}",
            "getModelBySlug",
            "One model, by its id.",
            models::one_of,
        )
        .on(
            get(),
            "/models/{author}/{slug}/endpoints",
            "listModelEndpoints",
            "A model's endpoints, with terms, prices and measurements.",
            models::endpoints,
        )
        .on(
            get(),
            "/providers",
            "listProviders",
            "The providers, with their terms.",
            catalog::providers,
        )
        .on(
            get(),
            "/endpoints/zdr",
            "listZdrEndpoints",
            "The endpoints with zero data retention.",
            catalog::zdr,
        )
        .on(
            post(),
            "/route/explain",
            "explainRoute",
            "Explains how a chat completion would be routed, without sending it.",
            privacy::explain,
        )
        .on(
            get(),
            "/privacy",
            "getPrivacy",
            "The account's privacy settings.",
            privacy::read,
        )
        .on(
            patch(),
            "/privacy",
            "changePrivacy",
            "Changes the settings that are named, from the next request on.",
            privacy::change,
        )
        .on(
            post(),
            "/privacy/preview",
            "previewRedaction",
            "Redacts a text under the account's rules, without storing or sending it.",
            privacy::preview,
        )
        .on(
            get(),
            "/generation",
            "getGeneration",
            "One usage record.",
            usage::generation,
        )
        .on(
            get(),
            "/generation/{id}",
            "getGenerationById",
            "One usage record.",
            usage::generation_by_id,
        )
        .on(
            get(),
            "/logs",
            "listLogs",
            "Usage records, the newest first.",
            usage::logs,
        )
        .on(
            get(),
            "/logs/{id}",
            "getLog",
            "One usage record.",
            usage::generation_by_id,
        )
        .on(
            get(),
            "/key",
            "getCurrentKey",
            "The calling key.",
            keys::own,
        )
        .on(
            get(),
            "/auth/key",
            "getAuthKey",
            "The calling key.",
            keys::own,
        )
        .on(
            get(),
            "/keys",
            "listKeys",
            "The account's keys.",
            keys::list,
        )
        .on(
            post(),
            "/keys",
            "createKey",
            "Creates a key, which only this response shows.",
            keys::create,
        )
        .on(get(), "/keys/{hash}", "getKey", "One key.", keys::read)
        .on(
            patch(),
            "/keys/{hash}",
            "changeKey",
            "Changes a key.",
            keys::change,
        )
        .on(
            delete(),
            "/keys/{hash}",
            "revokeKey",
            "Revokes a key for good.",
            keys::revoke,
        )
        .on(
            post(),
            "/keys/{hash}/reveal",
            "revealKey",
            "Always 409: keys are stored as hashes and cannot be shown.",
            keys::reveal,
        )
        .on(
            get(),
            "/auth/byok",
            "listCredentials",
            "The account's own credentials for providers, without their secrets.",
            byok::list,
        )
        .on(
            post(),
            "/auth/byok",
            "addCredential",
            "Adds a credential. It is sealed, and no response shows it.",
            byok::add,
        )
        .on(
            patch(),
            "/auth/byok/{id}",
            "changeCredential",
            "Changes a credential's label, place, tier or terms, or stops its use.",
            byok::change,
        )
        .on(
            delete(),
            "/auth/byok/{id}",
            "removeCredential",
            "Removes a credential for good.",
            byok::remove,
        )
        .on(
            get(),
            "/vault",
            "getVault",
            "The key ring's state, for the operator's account.",
            vault::status,
        )
        .on(
            post(),
            "/vault/rotate",
            "rotateMasterKey",
            "Begins to replace the master key while requests are served.",
            vault::rotate,
        )
        .on(
            post(),
            "/images/generations",
            "createImage",
            "Always 410: this server does not generate images.",
            no_images,
        )
        .on(
            get(),
            "/health",
            "getHealth",
            "The server's health, by component.",
            status::health,
        )
}

/// Adds the pages for operators, outside the API's prefix.
pub(crate) fn status_routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/healthz", status::healthz)
        .page(Method::GET, "/readyz", status::readyz)
        .page(Method::GET, "/metrics", status::metrics)
}

/// Adds the metrics alone, for their own listener.
pub(crate) fn metrics_routes(routes: Routes) -> Routes {
    routes.page(Method::GET, "/metrics", status::metrics_alone)
}

async fn no_images(_: Public) -> Result<Infallible, Error> {
    let message = "image generation is not enabled on this server";
    Err(ApiError::new(410, "endpoint_gone", message).into())
}
