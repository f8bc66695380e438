//! One attempt at one endpoint, up to the first event of a stream or a whole answer.

use std::{future::poll_fn, pin::Pin, sync::OnceLock, task::Poll, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use super::{load::HeldMemory, recorder::Recorder, state::Gateway};
use crate::{
    account::{Caller, Instance},
    catalog::{Address, Protocol},
    key::KeyHash,
    policy::Eligible,
    ports::{
        Backend, Opened, StoreError, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse,
    },
    secret::Secret,
    time::Timestamp,
    wire::{
        adjust::Adjustments,
        answer::{Relay, plain, reads_as_events},
        client_metadata::Person,
        count::counted,
        error::{Failure, FailureClass},
        fault::{AnswerFault, RequestFault},
        meta::ResponseMeta,
        meter::{PlainAnswer, Progress},
        outbound::{Outbound, credential_header, outbound},
        provider_error::{Origin, retry_after},
        request::Request,
    },
};

/// Maximum number of bytes read of an error response.
const ERROR_BODY: usize = 64 << 10;
/// Maximum number of bytes of a stream held before the first content for the client.
const HELD: usize = 64 << 10;

pub(super) enum Success {
    Plain(Box<ResponseMeta>, PlainAnswer, Option<HeldMemory>, u16),
    Stream {
        relay: Relay,
        upstream: Option<Pin<Box<dyn UpstreamBody>>>,
        out: Vec<u8>,
        held: Option<HeldMemory>,
        done: bool,
        fault: Option<AnswerFault>,
        headers: HeaderMap,
        status: u16,
    },
}

pub(super) enum Fault {
    /// The request is invalid for every endpoint.
    Request(RequestFault),
    /// The memory budget has no room for the answer.
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
        let (UpstreamError::Connect(fault) | UpstreamError::Broken(fault)) = error;
        Self::Endpoint(Failure::of_connection(fault))
    }
}

pub(super) struct Attempt<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) instance: &'a Instance,
    pub(super) caller: &'a Caller,
    pub(super) request: &'a Request,
    pub(super) protocol_headers: &'a HeaderMap,
    pub(super) person: Person<'a>,
    pub(super) eligible: Eligible<'a>,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) notes: &'a [String],
    /// Set to the credential that is used.
    pub(super) used: &'a OnceLock<Opened>,
}

impl Attempt<'_> {
    pub(super) async fn run(self, recorder: &Recorder) -> Result<Success, Fault> {
        let (gateway, endpoint) = (self.gateway, self.eligible.endpoint());
        let address = endpoint
            .address(recorder.record.inbound)
            .ok_or(FailureClass::ModelMissing)?;
        let mut names = self.names(recorder, address.protocol);
        let left = self.deadline.since(self.started);
        let first_byte = within(gateway, gateway.deadlines.first_byte.min(left), async {
            // The credential was removed since the plan was made, or cannot be read now.
            let credential = gateway.ports.credentials.open(self.caller, self.eligible);
            let credential = credential.await.map_err(|error| {
                if !matches!(error, StoreError::Absent(_)) {
                    gateway.failed(Backend::Credentials, error);
                }
                FailureClass::Credential
            })?;
            let secret = self.used.get_or_init(|| credential).secret.as_ref();
            let request = self.upstream_request(address, secret, &mut names)?;
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
                self.first_event(names, status, response, Some(recorder.record.key_hash))
                    .await
            } else {
                Ok(UpstreamAnswer::Plain(names, status, response))
            }
        });
        let head = first_byte.await.ok_or(FailureClass::Timeout)??;
        match head {
            UpstreamAnswer::Stream(success) => Ok(success),
            UpstreamAnswer::Plain(names, status, response) => {
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
                let answer = if self.request.counts {
                    counted(names.protocol, &body)
                } else {
                    plain(&names, &body)
                };
                match answer {
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
                omitted: self.request.omitted.clone(),
                ..Adjustments::default()
            },
            protocol,
            client: self.request.protocol(),
            faults: self.instance.catalog.catalog().faults().clone(),
        })
    }

    fn upstream_request(
        &self,
        address: &Address,
        credential: Option<&Secret<String>>,
        names: &mut ResponseMeta,
    ) -> Result<UpstreamRequest, Fault> {
        let endpoint = self.eligible.endpoint();
        let Outbound {
            path,
            mut headers,
            body,
        } = outbound(
            address.protocol,
            self.request,
            self.protocol_headers,
            endpoint,
            &address.base_url,
            &self.person,
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
        // The upstream adds host and length. By default, some providers compress errors.
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

    /// Reads until there is content for the client, or the limit on held bytes is exceeded. Until
    /// then, another endpoint can still be tried.
    async fn first_event(
        &self,
        names: Box<ResponseMeta>,
        status: u16,
        response: UpstreamResponse,
        key: Option<KeyHash>,
    ) -> Result<UpstreamAnswer, Fault> {
        let kind = response
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let is_called_stream = kind.to_ascii_lowercase().starts_with("text/event-stream");
        let (mut upstream, mut begun) = (response.body, Vec::new());
        let mut is_stream = false;
        // Some providers send no content type or a wrong one, or errors in JSON as events, so the
        // body itself decides.
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
            // The client asked for a stream. A JSON body is an error in a 200 response or a whole
            // answer; anything else is a fault.
            let limit = self.gateway.limits.answer;
            let failed = |fault| Fault::Endpoint(Failure::of_answer(fault, status));
            let collected = collect(self.gateway, key, begun, upstream, limit).await?;
            let (body, held) = collected.ok_or_else(|| failed(AnswerFault::TooLong { limit }))?;
            let mut out = Vec::with_capacity(body.len() + 512);
            let relay = Relay::of_whole(names, &body, &mut out).map_err(failed)?;
            let (headers, upstream) = (response.headers, None);
            return Ok(UpstreamAnswer::Stream(Success::Stream {
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
        let mut relay = Relay::new(names, self.gateway.limits.event);
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
                return Ok(UpstreamAnswer::Stream(Success::Stream {
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

enum UpstreamAnswer {
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

/// Reads the rest of a body and returns all of it, beginning with `read`; `None` if it exceeds
/// `limit` bytes. A body that is idle for too long is a fault. With a `key`, the body counts in its
/// memory until the returned [`HeldMemory`] is dropped.
async fn collect(
    gateway: &Gateway,
    key: Option<KeyHash>,
    mut read: Vec<u8>,
    mut body: Pin<Box<dyn UpstreamBody>>,
    limit: usize,
) -> Result<Option<(Vec<u8>, Option<HeldMemory>)>, Fault> {
    let mut held: Option<HeldMemory> = None;
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
        let counted = held.as_ref().map_or(SMALL, HeldMemory::bytes);
        if let Some(key) = key.filter(|_| read.capacity() > counted) {
            let already = held.as_ref().map_or(0, HeldMemory::bytes);
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

/// Answers of fewer bytes do not count in the memory budget.
const SMALL: usize = 64 << 10;

/// Awaits `future` with a timeout. The timer is created only if the future is not ready at once.
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
