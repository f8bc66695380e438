//! Attempts, one endpoint after the other: bounded in number and in time, never outside the
//! eligible set, and none after the client has seen an event or a byte of a plain answer.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use http::{HeaderMap, HeaderValue, Response, header};

use super::{
    AnswerBody, Gateway, Held,
    answer::{Waiting, common, plain_response, stream_response},
    no_memory,
    recorder::Recorder,
    redaction::{WayBack, restore_whole},
    refusal::{cooldown_seconds, refusal},
    storage_unavailable,
    targets::{Targets, UnknownProvider},
};
use crate::{
    account::World,
    catalog::{Address, Endpoint, Protocol},
    ids::EndpointId,
    key::KeyHash,
    policy::{CompiledLayers, Eligible},
    ports::{UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse},
    route::{self, Candidate},
    time::Timestamp,
    usage::Outcome,
    wire::{
        adjust::Adjustments,
        answer::{Relay, plain, reads_as_events},
        chat::ChatRequest,
        error::{ApiError, Failure, FailureClass},
        fault::{AnswerFault, RequestFault},
        meta::ResponseMeta,
        meter::{PlainAnswer, Progress},
        outbound::{Outbound, credential_header, outbound},
        provider_error::{Origin, retry_after},
    },
};

/// A request that is ready to be tried.
pub(super) struct Job {
    pub(super) gateway: Arc<Gateway>,
    pub(super) world: Arc<World>,
    pub(super) layers: Arc<CompiledLayers>,
    pub(super) request: ChatRequest,
    pub(super) targets: Targets,
    /// The name under which a provider of another protocol knows the end user.
    pub(super) user: Option<String>,
    /// What the answer of a redacted request gets back.
    pub(super) way_back: Option<Box<WayBack>>,
    pub(super) recorder: Box<Recorder>,
}

/// What came of the attempts. The record is not written yet.
pub(super) enum Attempted {
    /// A whole answer.
    Plain(Box<Recorder>, Box<ResponseMeta>, PlainAnswer),
    /// A stream whose first event is here.
    Stream(Box<Begun>),
    /// An error.
    Failed(Box<Recorder>, Outcome, ApiError),
}

/// A stream whose first event is here.
pub(super) struct Begun {
    pub(super) recorder: Box<Recorder>,
    pub(super) endpoint: EndpointId,
    pub(super) relay: Relay,
    /// Where the rest comes from; none where the answer came whole.
    pub(super) upstream: Option<Pin<Box<dyn UpstreamBody>>>,
    /// What the client gets of the first bytes.
    pub(super) out: Vec<u8>,
    /// The memory that an answer takes that came whole.
    pub(super) held: Option<Held>,
    pub(super) done: bool,
    /// It broke off right behind them.
    pub(super) fault: Option<AnswerFault>,
    pub(super) headers: HeaderMap,
    pub(super) deadline: Timestamp,
    pub(super) way_back: Option<Box<WayBack>>,
}

/// The most that is read of an error response, in bytes.
const ERROR_BODY: usize = 64 << 10;
/// The most that is held of a stream before the client is given something, in bytes.
const HELD: usize = 64 << 10;

impl Job {
    /// Tries, and answers. A stream whose upstream is slow is answered before its first event, and
    /// tried on within its body.
    pub(super) async fn answer(self: Box<Self>) -> Response<AnswerBody> {
        let (gateway, stream) = (self.gateway.clone(), self.request.stream);
        let (id, model, created) = (
            self.recorder.id(),
            self.targets.asked.clone(),
            self.recorder.record.created_at,
        );
        let headers = if stream {
            common(&self.recorder)
        } else {
            HeaderMap::new()
        };
        let mut attempts: Pin<Box<dyn Future<Output = Attempted> + Send>> =
            Box::pin(self.attempt());
        let attempted = if stream {
            let mut timer = gateway.ports.clock.timer(gateway.deadlines.comment);
            let first = poll_fn(|cx| match attempts.as_mut().poll(cx) {
                Poll::Ready(attempted) => Poll::Ready(Some(attempted)),
                Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
            });
            match first.await {
                Some(attempted) => attempted,
                None => {
                    return Waiting::new(gateway, attempts, timer, id, model, created, headers)
                        .into_response();
                }
            }
        } else {
            attempts.await
        };
        match attempted {
            Attempted::Stream(begun) => stream_response(*begun),
            Attempted::Plain(mut recorder, names, answer) => {
                recorder.metered(&names, &answer.meter);
                recorder.finish(Outcome::Ok, 200, None);
                match recorder.committed().await {
                    Ok(committed) => plain_response(&recorder, answer, committed),
                    Err(_) => super::answer::error_response(&recorder, &storage_unavailable()),
                }
            }
            Attempted::Failed(recorder, outcome, error) => recorder.refuse(outcome, error).await,
        }
    }

    async fn attempt(self: Box<Self>) -> Attempted {
        let Self {
            gateway,
            world,
            layers,
            request,
            targets,
            user,
            way_back,
            mut recorder,
        } = *self;
        let decisions = targets.decisions(&layers);
        let has_credential = |e: &Endpoint| gateway.has_credential(&world, e);
        let routing = targets.routing(&gateway, &has_credential, recorder.id());
        let mut plan = route::plan(&decisions, &routing);
        plan.notes
            .extend(targets.unknown.iter().map(UnknownProvider::warning));
        let deadline = recorder.record.created_at.after(gateway.deadlines.whole);
        let mut last: Option<(Failure, String)> = None;
        let mut rejected_by = None;
        let mut tried = 0;
        for Candidate { eligible, .. } in plan.candidates {
            let endpoint = eligible.endpoint();
            let now = recorder.now();
            if tried == gateway.limits.attempts || now >= deadline {
                break;
            }
            // A request that one endpoint of a model refused would be refused by the others;
            // another model may take it.
            if rejected_by == Some(endpoint.model_index) || !gateway.health.begin(&endpoint.id, now)
            {
                continue;
            }
            tried += 1;
            let catalog = world.catalog.catalog();
            let endpoints = catalog
                .models()
                .get(endpoint.model_index)
                .map(|m| catalog.endpoints_of(m))
                .unwrap_or_default();
            let is_only = endpoints.iter().filter(|e| has_credential(e)).count() < 2;
            recorder.trying(endpoint, is_only, now);
            let attempt = Attempt {
                gateway: &gateway,
                world: &world,
                request: &request,
                user: user.as_deref(),
                eligible,
                started: now,
                deadline,
                notes: &plan.notes,
            };
            match attempt.run(&recorder).await {
                Ok(Success::Plain(names, mut answer, held, status)) => {
                    if let Some(way_back) = &way_back {
                        answer.body = restore_whole(way_back, &answer.body);
                    }
                    if let Some(held) = held {
                        answer.body = held.keep(answer.body);
                    }
                    recorder.answered(endpoint, status, now);
                    return Attempted::Plain(recorder, names, answer);
                }
                Ok(Success::Stream {
                    relay,
                    upstream,
                    out,
                    held,
                    done,
                    fault,
                    headers,
                    status,
                }) => {
                    recorder.answered(endpoint, status, now);
                    let endpoint = endpoint.id.clone();
                    return Attempted::Stream(Box::new(Begun {
                        recorder,
                        endpoint,
                        relay,
                        upstream,
                        out,
                        held,
                        done,
                        fault,
                        headers,
                        deadline,
                        way_back,
                    }));
                }
                Err(Fault::Request(fault)) => {
                    gateway.health.observe(
                        &endpoint.id,
                        route::Observation::Nothing,
                        now,
                        recorder.now(),
                    );
                    return Attempted::Failed(recorder, Outcome::Invalid, super::invalid(fault));
                }
                Err(Fault::NoMemory) => {
                    gateway.health.observe(
                        &endpoint.id,
                        route::Observation::Nothing,
                        now,
                        recorder.now(),
                    );
                    return Attempted::Failed(recorder, Outcome::Refused, no_memory());
                }
                Err(Fault::Endpoint(failure)) => {
                    recorder.failed(endpoint, &failure, now);
                    rejected_by =
                        (!failure.class.is_the_endpoints()).then_some(endpoint.model_index);
                    last = Some((failure, endpoint.id.to_string()));
                }
            }
        }
        match last {
            Some((failure, endpoint)) => {
                let mut error = failure.to_api_error(&endpoint);
                error.attempts = recorder.attempts();
                Attempted::Failed(recorder, Outcome::UpstreamError, error)
            }
            None => {
                let catalog = world.catalog.catalog();
                let explanation = route::explain(&targets.asked, &decisions, &routing, catalog);
                let all = decisions
                    .iter()
                    .flat_map(super::super::policy::Decision::endpoints);
                let seconds = cooldown_seconds(all, &gateway.health, recorder.now());
                let error = refusal(&targets, explanation, catalog, seconds);
                Attempted::Failed(recorder, Outcome::Refused, error)
            }
        }
    }
}

enum Success {
    Plain(Box<ResponseMeta>, PlainAnswer, Option<Held>, u16),
    Stream {
        relay: Relay,
        upstream: Option<Pin<Box<dyn UpstreamBody>>>,
        out: Vec<u8>,
        held: Option<Held>,
        done: bool,
        fault: Option<AnswerFault>,
        headers: HeaderMap,
        status: u16,
    },
}

enum Fault {
    /// The request cannot be sent to any endpoint.
    Request(RequestFault),
    /// There is no memory for the answer.
    NoMemory,
    Endpoint(Failure),
}

impl From<FailureClass> for Fault {
    fn from(class: FailureClass) -> Self {
        Self::Endpoint(Failure::new(class))
    }
}

impl From<UpstreamError> for Fault {
    fn from(error: UpstreamError) -> Self {
        Self::from(match error {
            UpstreamError::ConnectTimeout => FailureClass::Timeout,
            UpstreamError::Connect(_) | UpstreamError::Broken(_) => FailureClass::Connection,
        })
    }
}

struct Attempt<'a> {
    gateway: &'a Gateway,
    world: &'a World,
    request: &'a ChatRequest,
    user: Option<&'a str>,
    eligible: Eligible<'a>,
    started: Timestamp,
    deadline: Timestamp,
    notes: &'a [String],
}

impl Attempt<'_> {
    async fn run(self, recorder: &Recorder) -> Result<Success, Fault> {
        let (gateway, endpoint) = (self.gateway, self.eligible.endpoint());
        let address = endpoint
            .address(recorder.record.inbound)
            .ok_or(FailureClass::ModelMissing)?;
        let mut names = self.names(recorder, address.protocol);
        let request = self.upstream_request(address, &mut names)?;
        let left = self.deadline.since(self.started);
        let first_byte = within(gateway, gateway.deadlines.first_byte.min(left), async {
            let response = gateway.ports.upstream.send(self.eligible, request).await?;
            names.latency_ms =
                u64::try_from(gateway.ports.clock.now().since(self.started).as_millis())
                    .unwrap_or(u64::MAX);
            let status = response.status.as_u16();
            if !response.status.is_success() {
                return Err(Fault::Endpoint(
                    read_error(names.origin(), gateway.ports.clock.now(), status, response).await,
                ));
            }
            if self.request.stream {
                self.first_event(
                    address.protocol,
                    names,
                    status,
                    response,
                    Some(recorder.record.key_hash),
                )
                .await
            } else {
                Ok(Head::Plain(names, status, response))
            }
        });
        let head = first_byte.await.ok_or(FailureClass::Timeout)??;
        match head {
            Head::Stream(success) => Ok(success),
            Head::Plain(names, status, response) => {
                let left = self.deadline.since(gateway.ports.clock.now());
                let key = recorder.record.key_hash;
                let body = within(
                    gateway,
                    left,
                    collect(
                        gateway,
                        Some(key),
                        Vec::new(),
                        response.body,
                        gateway.limits.answer,
                    ),
                )
                .await;
                let limit = gateway.limits.answer;
                let too_long =
                    || Fault::Endpoint(Failure::of_answer(AnswerFault::TooLong { limit }, status));
                let (body, held) = body.ok_or(FailureClass::Timeout)??.ok_or_else(too_long)?;
                match plain(address.protocol, &names, &body) {
                    Ok(answer) => Ok(Success::Plain(names, answer, held, status)),
                    Err(fault) => Err(Fault::Endpoint(Failure::of_answer(fault, status))),
                }
            }
        }
    }

    fn names(&self, recorder: &Recorder, protocol: Protocol) -> Box<ResponseMeta> {
        let endpoint = self.eligible.endpoint();
        Box::new(ResponseMeta {
            id: recorder.id(),
            model: endpoint.model.clone(),
            provider: endpoint.provider_name.clone(),
            provider_slug: endpoint.provider.clone(),
            endpoint: endpoint.id.clone(),
            created: recorder.record.created_at.seconds(),
            latency_ms: 0,
            prices: endpoint.prices,
            include_usage: self.request.include_usage,
            prompt_estimate: self.request.volume.tokens(),
            adjusted: Adjustments {
                notes: self.notes.to_vec(),
                ..Adjustments::default()
            },
            protocol,
            faults: self.world.catalog.catalog().faults().clone(),
        })
    }

    fn upstream_request(
        &self,
        address: &Address,
        names: &mut ResponseMeta,
    ) -> Result<UpstreamRequest, Fault> {
        let endpoint = self.eligible.endpoint();
        let provider = self
            .world
            .catalog
            .catalog()
            .providers()
            .get(endpoint.provider_index)
            .ok_or(FailureClass::Credential)?;
        let credential = self.gateway.ports.credentials.open(provider);
        if credential.is_none() && !self.gateway.ports.credentials.has(provider) {
            // It went away since the plan was made.
            return Err(FailureClass::Credential.into());
        }
        let Outbound {
            path,
            mut headers,
            body,
        } = outbound(
            address.protocol,
            self.request,
            endpoint,
            &address.base_url,
            self.user,
            &mut names.adjusted,
        )
        .map_err(Fault::Request)?;
        if let Some(credential) = credential {
            let (name, value) = credential_header(address.protocol, credential.expose());
            let mut value =
                HeaderValue::try_from(value).map_err(|_| Fault::from(FailureClass::Credential))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let accept = if self.request.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        // Host and length come to them. Some providers compress errors unless told not to.
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::ACCEPT_ENCODING, "identity"),
            (
                header::USER_AGENT,
                concat!("anyrouter/", env!("CARGO_PKG_VERSION")),
            ),
            (header::ACCEPT, accept),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(UpstreamRequest {
            address: address.clone(),
            path,
            headers,
            body,
        })
    }

    /// Reads until the client is given something, or more is held than may be: before that, another
    /// endpoint can still be tried.
    async fn first_event(
        &self,
        protocol: Protocol,
        names: Box<ResponseMeta>,
        status: u16,
        response: UpstreamResponse,
        key: Option<KeyHash>,
    ) -> Result<Head, Fault> {
        let kind = response
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let is_called_stream = kind.to_ascii_lowercase().starts_with("text/event-stream");
        let (mut upstream, mut begun) = (response.body, Vec::new());
        let mut is_stream = false;
        // Some providers give no content type, or another one, and errors in JSON as events: what a
        // body reads as is what it is.
        while !is_stream {
            match reads_as_events(&begun) {
                Some(true) => is_stream = true,
                Some(false) if is_called_stream && !begun.trim_ascii_start().starts_with(b"{") => {
                    is_stream = true;
                }
                Some(false) => break,
                None => match poll_fn(|cx| upstream.as_mut().poll_next(cx)).await {
                    Some(bytes) => begun.extend_from_slice(&bytes?),
                    None => {
                        is_stream = is_called_stream;
                        break;
                    }
                },
            }
        }
        if !is_stream {
            // A stream was asked for: JSON here is an error in a 200 or a whole answer, and
            // anything else is not for the client.
            let limit = self.gateway.limits.answer;
            let failed = |fault| Fault::Endpoint(Failure::of_answer(fault, status));
            let collected = collect(self.gateway, key, begun, upstream, limit).await?;
            let (body, held) = collected.ok_or_else(|| failed(AnswerFault::TooLong { limit }))?;
            let mut out = Vec::with_capacity(body.len() + 512);
            let relay = Relay::of_whole(protocol, names, &body, &mut out).map_err(failed)?;
            let (headers, upstream) = (response.headers, None);
            return Ok(Head::Stream(Success::Stream {
                relay,
                upstream,
                out,
                held,
                done: true,
                fault: None,
                headers,
                status,
            }));
        }
        let mut relay = Relay::new(protocol, names, self.gateway.limits.event);
        let mut out = Vec::with_capacity(1024);
        loop {
            let progress = if begun.is_empty() {
                match poll_fn(|cx| upstream.as_mut().poll_next(cx)).await {
                    Some(bytes) => relay.feed(&bytes?, &mut out),
                    None => relay.end(&mut out).map(|()| Progress {
                        answered: true,
                        done: true,
                    }),
                }
            } else {
                relay.feed(&std::mem::take(&mut begun), &mut out)
            };
            let (done, fault) = match progress {
                Ok(progress) => (progress.done, None),
                Err(fault) if relay.has_given() => (false, Some(fault)),
                Err(fault) => return Err(Fault::Endpoint(Failure::of_answer(fault, status))),
            };
            if done || relay.has_given() || out.len() > HELD {
                let headers = response.headers;
                let upstream = Some(upstream);
                return Ok(Head::Stream(Success::Stream {
                    relay,
                    upstream,
                    out,
                    held: None,
                    done,
                    fault,
                    headers,
                    status,
                }));
            }
        }
    }
}

enum Head {
    Plain(Box<ResponseMeta>, u16, UpstreamResponse),
    Stream(Success),
}

/// Reads an error response.
async fn read_error(
    origin: Origin<'_>,
    now: Timestamp,
    status: u16,
    response: UpstreamResponse,
) -> Failure {
    let asked = retry_after(&response.headers, now);
    let (mut body, mut read) = (response.body, Vec::new());
    while read.len() < ERROR_BODY {
        match poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            Some(Ok(bytes)) => read.extend_from_slice(&bytes),
            Some(Err(_)) | None => break,
        }
    }
    let mut failure = Failure::of_error(status, origin.read_body(status, &read));
    failure.retry_after = failure.retry_after.or(asked);
    failure
}

/// The whole of a body, after what was `read` of it; `None` where it has more than `limit` bytes. A
/// body that is idle for too long is a fault. It counts in the memory of `key`, where one is given,
/// until what is given beside it is dropped.
async fn collect(
    gateway: &Gateway,
    key: Option<KeyHash>,
    mut read: Vec<u8>,
    mut body: Pin<Box<dyn UpstreamBody>>,
    limit: usize,
) -> Result<Option<(Vec<u8>, Option<Held>)>, Fault> {
    let mut held: Option<Held> = None;
    loop {
        let next = within(
            gateway,
            gateway.deadlines.idle,
            poll_fn(|cx| body.as_mut().poll_next(cx)),
        )
        .await;
        match next.ok_or(FailureClass::Timeout)? {
            Some(bytes) => read.extend_from_slice(&bytes?),
            None => return Ok(Some((read, held))),
        }
        if read.len() > limit {
            return Ok(None);
        }
        let counted = held.as_ref().map_or(SMALL, Held::bytes);
        if let Some(key) = key.filter(|_| read.capacity() > counted) {
            let already = held.as_ref().map_or(0, Held::bytes);
            let more =
                gateway
                    .budget
                    .take_more(key, already, read.capacity().saturating_sub(already));
            let more = within(gateway, gateway.deadlines.memory, more)
                .await
                .ok_or(Fault::NoMemory)?;
            match &mut held {
                Some(held) => held.join(more),
                None => held = Some(more),
            }
        }
    }
}

/// An answer of fewer bytes is not counted.
const SMALL: usize = 64 << 10;

/// What `future` gives, if it does so in time. The timer is made only when there is something to
/// wait for.
async fn within<T>(
    gateway: &Gateway,
    after: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        timer
            .get_or_insert_with(|| gateway.ports.clock.timer(after))
            .as_mut()
            .poll(cx)
            .map(|()| None)
    })
    .await
}
