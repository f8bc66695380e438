//! The usage record of a request, from its slot to its commit.

use std::{borrow::Cow, sync::Arc, task::Poll, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::{
    body::ResponseBody,
    identifiers::Identifiers,
    load::ConcurrencySlot,
    respond::{error_response, insert_number, insert_request_id, storage_unavailable},
    slot::{Committed, Slot},
    state::Gateway,
};
use crate::{
    catalog::{Endpoint, Usd},
    credential::CredentialId,
    ids::{AccountId, EndpointId, RequestId},
    key::KeyHash,
    ports::{Backend, Event, Opened, Reservation, Room, StoreError},
    route::Observation,
    secret::Secret,
    time::Timestamp,
    usage::{Attempt, Opening, Outcome, Record},
    wire::{
        error::{ApiError, AttemptNote, Failure},
        meta::ResponseMeta,
        meter::Meter,
        request::Request,
    },
};

const OVERHEAD: HeaderName = HeaderName::from_static("x-anyrouter-overhead-ms");

/// Status of a request whose client disconnected before the response had a status.
const CLIENT_CLOSED: u16 = 499;

/// Length from which a credential is a secret. Servers of one's own are often given a word, which may
/// be part of any code.
const SECRET: usize = 8;

/// Time for which a caller's credential is not used after its provider refused it, unless the provider
/// says for how long.
const REST: Duration = Duration::from_secs(60);
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Builds the record of a request and guarantees that it is written. If it is dropped before it is
/// finished, the outcome is `cancelled`.
pub(super) struct Recorder {
    gateway: Arc<Gateway>,
    slot: Slot,
    pub(super) record: Record,
    pub(super) room: Option<Room>,
    pub(super) reservation: Option<Reservation>,
    /// The request counts as under way until this is dropped.
    pub(super) under_way: Option<(ConcurrencySlot<KeyHash>, ConcurrencySlot<AccountId>)>,
    pub(super) trace_id: Option<String>,
    /// True if redaction was requested and the request was redacted.
    pub(super) is_redacted: bool,
    /// Estimated number of tokens of the prompt.
    prompt_estimate: u64,
    /// Start of the last attempt.
    tried_at: Timestamp,
    /// True if the last attempt was at the only endpoint of its model.
    is_only: bool,
    /// Arrival of the first byte of the answer.
    first_byte: Option<Timestamp>,
    /// Time spent waiting for upstreams, in microseconds.
    pub(super) waited: u64,
    /// The failed attempts, for the error that lists them.
    failures: Vec<AttemptNote>,
    /// The credential of the last attempt.
    used: Opened,
    /// True if the last attempt's endpoint is eligible with the caller's own credential alone.
    is_own_only: bool,
}

impl Recorder {
    /// Takes a slot and opens the record.
    pub(super) async fn open(
        gateway: Arc<Gateway>,
        opening: Opening,
    ) -> Result<Box<Self>, StoreError> {
        let record = Record::opened(opening.clone());
        let tried_at = opening.at;
        let slot = Slot::take(gateway.ports.usage.clone(), opening).await?;
        Ok(Box::new(Self {
            gateway,
            slot,
            record,
            room: None,
            reservation: None,
            under_way: None,
            trace_id: None,
            is_redacted: false,
            prompt_estimate: 0,
            tried_at,
            used: Opened::default(),
            is_own_only: false,
            is_only: false,
            first_byte: None,
            waited: 0,
            failures: Vec::new(),
        }))
    }

    pub(super) fn id(&self) -> RequestId {
        self.record.id
    }

    pub(super) fn gateway(&self) -> Arc<Gateway> {
        self.gateway.clone()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.gateway.ports.clock.now()
    }

    /// Notes the client's name of the session.
    pub(super) fn session(&mut self, identifiers: Identifiers<'_>, id: Option<&str>) {
        if let Some(id) = id {
            self.record.session_id = identifiers.id(id).map(Cow::into_owned);
        }
    }

    /// Notes the app that sends the request.
    pub(super) fn app(&mut self, identifiers: Identifiers<'_>, id: Option<&str>) {
        self.record.app = id.and_then(|id| identifiers.id(id)).map(Cow::into_owned);
    }

    /// Notes the requested model, the session and the estimated length of the prompt.
    pub(super) fn asked(&mut self, request: &Request, identifiers: Identifiers<'_>) {
        let model = request
            .model
            .as_ref()
            .or(request.models.first())
            .map(|m| identifiers.model(m).into_owned());
        self.record.model_requested.clone_from(&model);
        self.record.streamed = request.stream;
        self.session(identifiers, request.session_id.as_deref());
        self.prompt_estimate = request.volume.tokens();
        self.slot.note(|o| o.model_requested = model);
    }

    /// Notes the start of an attempt at an endpoint.
    pub(super) fn trying(&mut self, endpoint: &Endpoint, is_only: bool, now: Timestamp) {
        let address = endpoint.address(self.record.inbound);
        self.record.outbound = address.map(|a| a.protocol);
        self.tried_at = now;
        self.is_only = is_only;
        self.record.model = Some(endpoint.model.clone());
        self.record.endpoint = Some(endpoint.id.clone());
        self.record.provider = Some(endpoint.provider.clone());
        self.record.provider_name = Some(endpoint.provider_name.clone());
        self.slot.note(|o| o.endpoint = Some(endpoint.id.clone()));
    }

    /// Notes which credential the last attempt was made with.
    pub(super) fn sent_with(&mut self, used: Opened, is_own_only: bool) {
        self.record.is_byok = used.own.is_some();
        self.used = used;
        self.is_own_only = is_own_only;
    }

    /// Returns the text, unless the provider repeats the credential in it.
    fn without_secret(&self, text: Option<String>) -> Option<String> {
        let secret = self.used.secret.as_ref().map(Secret::expose);
        let secret = secret.filter(|secret| secret.len() >= SECRET);
        text.filter(|text| !secret.is_some_and(|secret| text.contains(secret)))
    }

    /// Completes a failure: it does not repeat the credential, and says whose it was. A caller's own
    /// that the provider refused rests from now on, and is returned.
    fn judge(&self, failure: &mut Failure) -> Option<CredentialId> {
        for text in [&mut failure.code, &mut failure.kind, &mut failure.param] {
            *text = self.without_secret(text.take());
        }
        let own = self.used.own.as_ref()?;
        failure.is_with_own_credential = true;
        if !failure.class.is_the_credentials() {
            return None;
        }
        let rest = failure
            .retry_after
            .map_or(REST, |asked| asked.clamp(SHORTEST_REST, LONGEST_REST));
        let until = self.now().after(rest);
        self.gateway.ports.credentials.rest(own, until);
        Some(own.clone())
    }

    /// Returns true if a failure may concern the caller's credential alone, and so says nothing about
    /// the endpoint.
    fn is_private(&self, failure: &Failure) -> bool {
        self.is_own_only || failure.is_with_own_credential && failure.class.may_be_the_credentials()
    }

    /// Notes that an endpoint failed, and updates its health unless the failure concerns the caller
    /// alone. Returns the caller's credential if that was refused.
    pub(super) fn failed(
        &mut self,
        endpoint: &Endpoint,
        failure: &mut Failure,
        since: Timestamp,
    ) -> Option<CredentialId> {
        let refused = self.judge(failure);
        let is_private = self.is_private(failure);
        let is_only = self.is_only;
        let now = self.now();
        let latency = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        self.waited = self.waited.saturating_add(latency);
        self.record.attempts.push(Attempt {
            endpoint: endpoint.id.clone(),
            outcome: failure.outcome().into(),
            http_status: failure.status,
            latency,
        });
        let error_code = failure
            .code
            .clone()
            .unwrap_or_else(|| failure.outcome().to_owned());
        self.failures.push(AttemptNote {
            backend: endpoint.id.to_string(),
            status: failure.status,
            error_code,
            is_final: false,
        });
        let retry_after = failure.retry_after;
        let seen = if failure.is_the_endpoints() && !is_private {
            Observation::Failed {
                retry_after,
                is_only,
            }
        } else {
            Observation::Nothing
        };
        if !is_private {
            self.tell_failure(&endpoint.id, failure);
        }
        self.gateway.observe(&endpoint.id, seen, since, now);
        refused
    }

    /// Emits an event for a failure that the request did not cause.
    fn tell_failure(&self, endpoint: &EndpointId, failure: &Failure) {
        if failure.class.is_the_endpoints()
            && let Some(provider) = self.record.provider.clone()
        {
            self.gateway.ports.events.emit(Event::UpstreamFailed {
                request: self.record.id,
                provider,
                endpoint: endpoint.clone(),
                class: failure.class,
                status: failure.status,
                connection: failure.connection,
            });
        }
    }

    /// Notes that an endpoint began to answer.
    pub(super) fn answered(&mut self, endpoint: &Endpoint, status: u16, since: Timestamp) {
        let now = self.now();
        let latency = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        self.waited = self.waited.saturating_add(latency);
        self.first_byte = Some(now);
        self.record.time_to_first_byte = Some(micros(now, self.record.created_at));
        self.record.attempts.push(Attempt {
            endpoint: endpoint.id.clone(),
            outcome: "ok".into(),
            http_status: Some(status),
            latency,
        });
        self.gateway.observe(
            &endpoint.id,
            Observation::Answered {
                first_byte: latency,
            },
            since,
            now,
        );
    }

    /// Notes that the answer broke off after it had begun, so that the attempt counts as failed.
    pub(super) fn broke_off(&mut self, endpoint: &EndpointId, failure: &mut Failure) {
        self.judge(failure);
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.outcome = failure.outcome().into();
        }
        let error_code = failure
            .code
            .clone()
            .unwrap_or_else(|| failure.outcome().to_owned());
        self.failures.push(AttemptNote {
            backend: endpoint.to_string(),
            status: failure.status,
            error_code,
            is_final: true,
        });
        if self.is_private(failure) {
            return;
        }
        self.tell_failure(endpoint, failure);
        if failure.is_the_endpoints() {
            let seen = Observation::Failed {
                retry_after: failure.retry_after,
                is_only: self.is_only,
            };
            self.gateway
                .observe(endpoint, seen, self.tried_at, self.now());
        }
    }

    /// Returns the failed attempts so far, the last one marked as final.
    pub(super) fn attempts(&self) -> Vec<AttemptNote> {
        let mut notes = self.failures.clone();
        if let Some(last) = notes.last_mut() {
            last.is_final = true;
        }
        notes
    }

    /// Notes the usage and the finish reason of an answer.
    pub(super) fn metered(&mut self, names: &ResponseMeta, meter: &Meter) {
        let (tokens, estimated) = names.tokens(meter);
        self.record.tokens = tokens;
        self.record.estimated = estimated;
        self.record.cost = names.cost(&tokens);
        self.record.finish_reason.clone_from(&meter.finish_reason);
        self.record.native_finish_reason = self.without_secret(meter.native_finish_reason.clone());
        self.record.upstream_id = self.without_secret(meter.upstream_id.clone());
    }

    /// Writes the record. Later notes are not included.
    pub(super) fn finish(&mut self, outcome: Outcome, status: u16, error_code: Option<&str>) {
        if self.slot.is_filled() {
            return;
        }
        let now = self.now();
        let record = &mut self.record;
        record.outcome = outcome;
        record.http_status = status;
        record.error_code = error_code.map(ToOwned::to_owned);
        record.latency = micros(now, record.created_at);
        if record.attempts.is_empty() && record.endpoint.is_none() {
            // Nothing was sent, so the usage is exactly zero and not an estimate.
            record.estimated = false;
            record.cost = Some(Usd::ZERO);
        } else if record.estimated && record.tokens.prompt == 0 && outcome != Outcome::Ok {
            record.tokens.prompt = self.prompt_estimate;
        }
        if let Some(first) = self.first_byte {
            record.generation_time = Some(micros(now, first));
            if let (Outcome::Ok, true, Some(endpoint)) =
                (outcome, record.streamed, &record.endpoint)
            {
                let seconds = (micros(now, first) as f64 / 1e6).max(1e-3);
                self.gateway.health.observe_throughput(
                    endpoint,
                    record.tokens.completion as f64 / seconds,
                    now,
                );
            }
        }
        if let Some(reservation) = self.reservation.take() {
            self.gateway
                .ports
                .limiter
                .settle(&record.key_hash, reservation, record.tokens.total());
            if outcome == Outcome::Ok {
                self.gateway
                    .remember_answer(&record.key_hash, record.tokens.completion);
            }
        }
        self.slot.fill(record);
    }

    /// Returns the headers of every response to an accepted request.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        insert_request_id(self.record.inbound, &mut headers, self.id());
        let spent =
            u64::try_from(self.now().since(self.record.created_at).as_micros()).unwrap_or(u64::MAX);
        let overhead = spent.saturating_sub(self.waited);
        if let Ok(value) =
            HeaderValue::try_from(format!("{}.{:03}", overhead / 1000, overhead % 1000))
        {
            headers.insert(OVERHEAD, value);
        }
        if let Some(room) = self.room {
            let reset = room.reset.as_secs() + u64::from(room.reset.subsec_nanos() > 0);
            for (ours, standard, value) in [
                ("x-ratelimit-limit", "ratelimit-limit", room.limit),
                (
                    "x-ratelimit-remaining",
                    "ratelimit-remaining",
                    room.remaining,
                ),
                ("x-ratelimit-reset", "ratelimit-reset", reset),
            ] {
                insert_number(&mut headers, ours, value);
                insert_number(&mut headers, standard, value);
            }
            headers.insert("x-ratelimit-tier", HeaderValue::from_static("key"));
            headers.insert("x-ratelimit-window", HeaderValue::from_static("60"));
            if let Ok(policy) = HeaderValue::try_from(format!("{};w=60", room.limit)) {
                headers.insert("ratelimit-policy", policy);
            }
        }
        if self.is_redacted {
            let counts: Vec<String> = self
                .record
                .redacted
                .iter()
                .map(|(label, count)| format!("{label}={count}"))
                .collect();
            let said = if counts.is_empty() {
                "0".to_owned()
            } else {
                counts.join(", ")
            };
            if let Ok(value) = HeaderValue::try_from(said) {
                headers.insert("x-anyrouter-redacted", value);
            }
        }
        if let Some(trace) = self.trace_id.as_deref().filter(|t| t.len() <= 128)
            && let Ok(value) = HeaderValue::from_str(trace)
        {
            headers.insert("x-anyrouter-trace-id", value);
        }
        headers
    }

    pub(super) fn poll_committed(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<Committed, StoreError>> {
        self.slot.poll_committed(cx).map_err(|error| {
            self.gateway.failed(Backend::UsageLog, error.clone());
            error
        })
    }

    pub(super) async fn committed(&mut self) -> Result<Committed, StoreError> {
        std::future::poll_fn(|cx| self.poll_committed(cx)).await
    }

    /// Ends the request with an error once its record is committed.
    pub(super) async fn refuse(
        mut self: Box<Self>,
        outcome: Outcome,
        error: ApiError,
    ) -> Response<ResponseBody> {
        self.finish(outcome, error.status, Some(&error.code));
        match self.committed().await {
            Ok(_committed) => self.error_response(&error),
            Err(_) => self.error_response(&storage_unavailable()),
        }
    }

    /// Returns the response for an error.
    pub(super) fn error_response(&self, error: &ApiError) -> Response<ResponseBody> {
        let mut response = error_response(self.record.inbound, self.id(), error);
        response.headers_mut().extend(self.headers());
        response
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.slot.is_filled() {
            // An interrupted attempt is no observation of its endpoint's health.
            if let (Some(endpoint), None) = (&self.record.endpoint, self.first_byte) {
                self.gateway
                    .observe(endpoint, Observation::Nothing, self.tried_at, self.now());
            }
            self.finish(Outcome::Cancelled, CLIENT_CLOSED, None);
        }
    }
}

fn micros(now: Timestamp, since: Timestamp) -> u64 {
    u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX)
}
