//! The members that AnyRouter adds to every response in any protocol: names, cost, and
//! `anyrouter_metadata`.

use std::sync::Arc;

use super::{
    adjust::Adjustments,
    json::{push_format, push_numbers, push_string},
    meter::Meter,
    provider_error::Origin,
};
use crate::{
    catalog::{FaultTable, Prices, Protocol, Usd},
    ids::{EndpointId, ModelId, ProviderSlug, RequestId},
    usage::{Tokens, cost},
};

/// The names in an answer, and the prices of its tokens.
#[derive(Clone, Debug)]
pub struct ResponseMeta {
    /// The request's id, which is also the generation's: the `id` of the answer and of every chunk.
    pub id: RequestId,
    /// The id of the model that answers.
    pub model: ModelId,
    /// The provider's display name.
    pub provider: Arc<str>,
    /// The provider's slug.
    pub provider_slug: ProviderSlug,
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// Creation time in seconds since 1970, used if the upstream states none.
    pub created: u64,
    /// Milliseconds from the start of the attempt to the head of the upstream's response.
    pub latency_ms: u64,
    /// Prices of the endpoint.
    pub prices: Prices,
    /// True if the client asked for the usage chunk, which has empty `choices`.
    pub include_usage: bool,
    /// Estimated tokens of the prompt, used if the upstream reports none.
    pub prompt_estimate: u64,
    /// Changes to the request on its way to the provider.
    pub adjusted: Adjustments,
    /// The protocol that the provider speaks.
    pub protocol: Protocol,
    /// The protocol that the client speaks.
    pub client: Protocol,
    /// Table that classifies the provider's errors.
    pub faults: Arc<FaultTable>,
}

impl ResponseMeta {
    /// Returns the origin of the answer, for reading its errors.
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            table: &self.faults,
            provider: self.provider_slug.as_str(),
            protocol: self.protocol,
        }
    }

    /// Lists what a translation of the answer leaves out.
    pub(super) fn omit_of_answer(&mut self, what: &str) {
        if self.client != self.protocol {
            self.adjusted.omit(format!("response: {what}"));
        }
    }

    /// Returns the usage from `meter` and false, or an estimate and true.
    pub fn tokens(&self, meter: &Meter) -> (Tokens, bool) {
        match meter.tokens {
            Some(tokens) => (tokens, false),
            None => (
                Tokens {
                    prompt: self.prompt_estimate,
                    completion: meter.text.div_ceil(4),
                    ..Tokens::default()
                },
                true,
            ),
        }
    }

    /// Returns the cost of `tokens`; `None` if a price is unknown.
    pub fn cost(&self, tokens: &Tokens) -> Option<Usd> {
        cost(&self.prices, tokens)
    }

    pub(super) fn push_cost(&self, out: &mut Vec<u8>, tokens: &Tokens) {
        match self.cost(tokens) {
            Some(cost) => push_format(out, format_args!("{cost}")),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Appends the `anyrouter_metadata` of a plain answer; `omitted` lists what its translation
    /// left out.
    pub(super) fn push_metadata(&self, out: &mut Vec<u8>, omitted: &[String]) {
        self.push_metadata_start(out);
        self.push_metadata_tail(out, omitted);
    }

    /// Appends the `anyrouter_metadata` of a stream.
    pub(super) fn push_stream_metadata(
        &self,
        out: &mut Vec<u8>,
        meter: &Meter,
        omitted: &[String],
    ) {
        let (t, _) = self.tokens(meter);
        self.push_metadata_start(out);
        push_numbers(
            out,
            &[
                (",\"usage\":{\"inputTokens\":", t.prompt),
                (",\"outputTokens\":", t.completion),
            ],
        );
        push_numbers(
            out,
            &[
                (",\"cachedTokens\":", t.cached),
                (",\"totalTokens\":", t.total()),
            ],
        );
        out.extend_from_slice(b"},\"finishReason\":");
        match &meter.finish_reason {
            Some(reason) => push_string(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        self.push_metadata_tail(out, omitted);
    }

    fn push_metadata_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"requestId\":\"");
        self.id.push_request(out);
        out.push(b'"');
    }

    fn push_metadata_tail(&self, out: &mut Vec<u8>, omitted: &[String]) {
        out.extend_from_slice(b",\"model\":");
        push_string(out, self.model.as_str());
        out.extend_from_slice(b",\"upstream\":{\"provider\":");
        push_string(out, self.provider_slug.as_str());
        out.extend_from_slice(b",\"backend\":");
        push_string(out, self.endpoint.as_str());
        push_numbers(out, &[(",\"latencyMs\":", self.latency_ms)]);
        out.push(b'}');
        let all: Vec<&String> = self.adjusted.omitted.iter().chain(omitted).collect();
        for (name, list) in [
            (&b",\"omitted\":"[..], all),
            (b",\"notes\":", self.adjusted.notes.iter().collect()),
        ] {
            if !list.is_empty() {
                out.extend_from_slice(name);
                // Writing to a `Vec` cannot fail.
                let _ = serde_json::to_writer(&mut *out, &list);
            }
        }
        out.push(b'}');
    }

    /// Appends the generation id, as JSON.
    pub(super) fn push_id(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.id.push_generation(out);
        out.push(b'"');
    }

    /// Appends the generation id as the Responses protocol spells it, as a JSON string.
    pub(super) fn push_response_id(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.id.push_response(out);
        out.push(b'"');
    }

    /// Appends the generation id as Anthropic's protocol spells it, as a JSON string.
    pub(super) fn push_message_id(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.id.push_message(out);
        out.push(b'"');
    }
}
