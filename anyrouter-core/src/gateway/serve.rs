//! The path of a request, step by step: authenticate, take a slot, read, redact, evaluate, plan,
//! attempt, respond, record.
//!
//! No step returns to an earlier one, except for the next attempt.

use std::{borrow::Cow, future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::{
    authenticate::authenticate,
    body::ResponseBody,
    dispatch::{Dispatch, DispatchOutcome},
    head::Head,
    identifiers::Identifiers,
    recorder::Recorder,
    redaction,
    respond::{
        error_response, limiter_unavailable, not_accepted, rate_limited, response,
        storage_unavailable, too_many_at_once, unknown_credential,
    },
    slot::Committed,
    state::{Gateway, WithoutLimiter},
    targets,
    waiting::{Attempts, ClientStream, Waiting},
};
use crate::{
    account::Caller,
    key::{KeyHash, Scope},
    ports::{Backend, StoreError, Tokens},
    usage::{Opening, Outcome},
    wire::{error::ApiError, meter::PlainAnswer, request::Request},
};

impl Gateway {
    /// Serves an inference request. Once the request is accepted, `body` reads its body, with the
    /// hash of the key as argument; an error of `body` is returned to the client unchanged.
    pub async fn serve<B>(
        self: &Arc<Self>,
        head: Head,
        body: impl FnOnce(KeyHash) -> B,
    ) -> Response<ResponseBody>
    where
        B: Future<Output = Result<Bytes, ApiError>>,
    {
        let started = self.ports.clock.now();
        let id = self.request_id();
        let caller = match authenticate(&self.ports, &head.claim, started)
            .await
            .and_then(|a| a.with_scope(Scope::Inference))
            .and_then(|caller| with_credential(caller, head.credential.as_deref()))
        {
            Ok(caller) => caller,
            Err(error) => return not_accepted(error_response(head.protocol, id, &error)),
        };
        let opening = Opening {
            id,
            account: caller.key.account.clone(),
            key_hash: caller.key.hash,
            at: started,
            ip: head.claim.ip,
            inbound: head.protocol,
            model_requested: None,
            endpoint: None,
        };
        let mut recorder = match Recorder::open(self.clone(), opening).await {
            Ok(recorder) => recorder,
            Err(error) => {
                self.failed(Backend::UsageLog, error);
                return not_accepted(error_response(head.protocol, id, &storage_unavailable()));
            }
        };
        let instance = self.instance();
        let identifiers = Identifiers::new(
            instance.redaction.as_ref().map(|r| &r.key),
            caller.key.account.as_str(),
        );
        recorder.session(identifiers, head.session_id.as_deref());
        recorder.app(identifiers, head.app.as_deref());
        let Some(under_way) = self
            .keys
            .enter(&caller.key.hash)
            .zip(self.accounts.enter(&caller.key.account))
        else {
            return recorder
                .refuse(Outcome::RateLimited, too_many_at_once())
                .await;
        };
        recorder.under_way = Some(under_way);
        if let Some(limit) = caller.key.requests_per_minute {
            match self.ports.limiter.request(&caller.key.hash, limit).await {
                Ok(room) => {
                    recorder.room = Some(room);
                    if !room.admitted {
                        return recorder
                            .refuse(Outcome::RateLimited, rate_limited("requests", &room))
                            .await;
                    }
                }
                Err(error) => {
                    if let Err(error) = self.without_limiter(&mut recorder, error) {
                        return recorder.refuse(Outcome::Refused, error).await;
                    }
                }
            }
        }
        let request = match body(caller.key.hash).await {
            Ok(body) => head.read(body, self.limits.depth),
            Err(error) => Err(error),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let outcome = if error.status >= 500 {
                    Outcome::Refused
                } else {
                    Outcome::Invalid
                };
                return recorder.refuse(outcome, error).await;
            }
        };
        recorder.asked(&request, identifiers);
        recorder.record.counted = request.counts;
        let trace = request.trace_id.as_deref().or(head.trace_id.as_deref());
        recorder.trace_id = trace.and_then(|id| identifiers.id(id)).map(Cow::into_owned);
        let redaction::Upstream {
            request,
            is_redacted,
            way_back,
        } = match redaction::upstream(self, &caller, &instance, &head, request).await {
            Ok(redacted) => redacted,
            Err(error) => return recorder.refuse(Outcome::Refused, error).await,
        };
        recorder.is_redacted = is_redacted;
        if let Some(way_back) = &way_back {
            recorder.record.redacted.clone_from(way_back.counts());
        }
        let user = request.user.as_deref().and_then(|u| identifiers.user(u));
        let cache_key = request.cache_key.as_deref();
        let cache_key = cache_key.and_then(|key| identifiers.conversation(key));
        let targets = match targets::resolve(&request, &instance, head.pin.as_deref(), identifiers)
        {
            Ok(targets) => targets,
            Err(error) => {
                let outcome = if error.status == 404 {
                    Outcome::Refused
                } else {
                    Outcome::Invalid
                };
                return recorder.refuse(outcome, error).await;
            }
        };
        if let Some(error) = targets.misspelt() {
            return recorder.refuse(Outcome::Invalid, error).await;
        }
        if let Some(limit) = caller.key.tokens_per_minute
            && let Err((outcome, error)) = self
                .reserve(&mut recorder, &caller.key.hash, limit, &request)
                .await
        {
            return recorder.refuse(outcome, error).await;
        }
        let layers = caller.layers(&instance);
        recorder.record.policy = Some(layers.fingerprint().clone());
        recorder.record.catalog = Some(instance.catalog.catalog().version().clone());
        Box::new(Dispatch {
            gateway: self.clone(),
            instance,
            caller,
            layers,
            request,
            protocol_headers: head.protocol_headers,
            targets,
            user,
            cache_key,
            way_back,
            recorder,
        })
        .answer()
        .await
    }

    /// Reserves tokens for the prompt and the maximum length of the answer, or the recent average
    /// of the key's answers if the request sets no maximum.
    async fn reserve(
        &self,
        recorder: &mut Recorder,
        key: &KeyHash,
        limit: u64,
        request: &Request,
    ) -> Result<(), (Outcome, ApiError)> {
        let lately = self.answers_lately(key);
        let wanted = request
            .volume
            .tokens()
            .saturating_add(request.max_tokens.unwrap_or(lately));
        if wanted > limit {
            let message = format!(
                "the request alone may take {wanted} tokens, and its key has {limit} a minute; send less, or lower `max_tokens`"
            );
            let mut error = ApiError::new(400, "invalid_parameter", message);
            error.param = Some("max_tokens".to_owned());
            return Err((Outcome::Invalid, error));
        }
        match self.ports.limiter.tokens(key, limit, wanted).await {
            Ok(Tokens::Reserved(reservation)) => {
                recorder.reservation = Some(reservation);
                Ok(())
            }
            Ok(Tokens::Refused(room)) => Err((Outcome::RateLimited, rate_limited("tokens", &room))),
            Err(error) => self
                .without_limiter(recorder, error)
                .map_err(|error| (Outcome::Refused, error)),
        }
    }

    /// Admits or refuses a request while the limiter fails, as configured. The record notes if it
    /// was admitted.
    fn without_limiter(&self, recorder: &mut Recorder, error: StoreError) -> Result<(), ApiError> {
        self.failed(Backend::Limiter, error);
        match self.limits.without_limiter {
            WithoutLimiter::Refuse => Err(limiter_unavailable()),
            WithoutLimiter::Admit => {
                recorder.record.unlimited = true;
                Ok(())
            }
        }
    }
}

impl Dispatch {
    /// Makes the attempts and returns the response. If the upstream of a stream is slow, the
    /// response begins before its first event, and the attempts continue within its body.
    async fn answer(self: Box<Self>) -> Response<ResponseBody> {
        let (gateway, stream) = (self.gateway.clone(), self.request.stream);
        let client = ClientStream {
            protocol: self.request.protocol(),
            id: self.recorder.id(),
            model: self.targets.asked.clone(),
            created: self.recorder.record.created_at,
        };
        let headers = stream.then(|| self.recorder.headers());
        let mut attempts: Attempts = Box::pin(self.attempt());
        let attempted = if let Some(headers) = headers {
            let mut timer = gateway.ports.clock.timer(gateway.deadlines.comment);
            let first = poll_fn(|cx| match attempts.as_mut().poll(cx) {
                Poll::Ready(attempted) => Poll::Ready(Some(attempted)),
                Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
            });
            match first.await {
                Some(attempted) => attempted,
                None => {
                    return Waiting::new(gateway, attempts, timer, client).into_response(headers);
                }
            }
        } else {
            attempts.await
        };
        match attempted {
            DispatchOutcome::Stream(start) => start.into_response(),
            DispatchOutcome::Plain(mut recorder, names, answer) => {
                recorder.metered(&names, &answer.meter);
                recorder.finish(Outcome::Ok, 200, None);
                match recorder.committed().await {
                    Ok(committed) => plain_response(&recorder, answer, committed),
                    Err(_) => recorder.error_response(&storage_unavailable()),
                }
            }
            DispatchOutcome::Failed(recorder, outcome, error) => {
                recorder.refuse(outcome, error).await
            }
        }
    }
}

/// Returns the response for a whole answer; requires the proof that its record is durable.
fn plain_response(
    recorder: &Recorder,
    answer: PlainAnswer,
    _proof: Committed,
) -> Response<ResponseBody> {
    let mut headers = recorder.headers();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response(200, headers, ResponseBody::whole(answer.body))
}

/// Restricts a caller to the credential that the request names.
fn with_credential(caller: Arc<Caller>, id: Option<&str>) -> Result<Arc<Caller>, ApiError> {
    let Some(id) = id else {
        return Ok(caller);
    };
    let only = caller.with_only_credential(id);
    only.map(Arc::new).ok_or_else(unknown_credential)
}
