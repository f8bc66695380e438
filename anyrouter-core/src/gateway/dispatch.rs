//! The attempts of a request, one endpoint after the other. They are bounded in number and time and
//! stay within the eligible set; none is made once the client has an event or a byte of a plain
//! answer.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use http::HeaderMap;

use super::{
    attempt::{Attempt, Fault, Success},
    explain::explanation,
    recorder::Recorder,
    refusal::{cooldown_seconds, refusal},
    respond::{invalid, no_memory},
    restoring::{Restoration, restore_whole},
    state::Gateway,
    stream::StreamStart,
    targets::{Targets, UnknownProvider},
};
use crate::{
    account::{Caller, Instance},
    catalog::Endpoint,
    policy::{CompiledLayers, Decision},
    route,
    usage::Outcome,
    wire::{
        client_metadata::Person,
        count::counts,
        error::{ApiError, Failure},
        meta::ResponseMeta,
        meter::PlainAnswer,
        request::Request,
    },
};

/// A request with everything that its attempts need.
pub(super) struct Dispatch {
    pub(super) gateway: Arc<Gateway>,
    pub(super) instance: Arc<Instance>,
    pub(super) caller: Arc<Caller>,
    pub(super) layers: Arc<CompiledLayers>,
    pub(super) request: Request,
    /// Headers for an upstream that speaks the client's protocol.
    pub(super) protocol_headers: HeaderMap,
    pub(super) targets: Targets,
    /// Pseudonym of the end user for providers of another protocol.
    pub(super) user: Option<String>,
    /// Pseudonym of the conversation for providers.
    pub(super) cache_key: Option<String>,
    /// Restoration of the values in the answer to a redacted request.
    pub(super) way_back: Option<Box<Restoration>>,
    pub(super) recorder: Box<Recorder>,
}

/// Outcome of the attempts. The usage record is not written yet.
pub(super) enum DispatchOutcome {
    /// A whole answer.
    Plain(Box<Recorder>, Box<ResponseMeta>, PlainAnswer),
    /// A stream whose first event has arrived.
    Stream(Box<StreamStart>),
    /// An error.
    Failed(Box<Recorder>, Outcome, ApiError),
}

impl Dispatch {
    /// Tries one endpoint after the other until one answers or none is left.
    pub(super) async fn attempt(self: Box<Self>) -> DispatchOutcome {
        let Self {
            gateway,
            instance,
            caller,
            layers,
            request,
            protocol_headers,
            targets,
            user,
            cache_key,
            way_back,
            mut recorder,
        } = *self;
        let decisions = targets.decisions(&layers);
        let holder = |e: &Endpoint| gateway.holder(&instance, Some(&caller), e);
        let routing = targets.routing(
            recorder.record.inbound,
            &gateway.health,
            &holder,
            recorder.now(),
            recorder.id(),
        );
        let mut plan = route::plan(&decisions, &routing);
        plan.notes
            .extend(targets.unknown.iter().map(UnknownProvider::warning));
        let deadline = recorder.record.created_at.after(gateway.deadlines.whole);
        let mut last: Option<(Failure, String)> = None;
        let mut rejected_by = None;
        let mut tried = 0;
        let mut all_refused = Vec::new();
        if request.counts {
            let inbound = recorder.record.inbound;
            plan.candidates
                .retain(|c| counts(c.eligible.endpoint(), inbound));
        }
        let mut candidates = VecDeque::from(plan.candidates);
        while let Some(candidate) = candidates.pop_front() {
            let eligible = candidate.eligible;
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
            let catalog = instance.catalog.catalog();
            let endpoints = catalog
                .models()
                .get(endpoint.model_index)
                .map(|m| catalog.endpoints_of(m))
                .unwrap_or_default();
            let is_only = endpoints.iter().filter(|e| holder(e).is_some()).count() < 2;
            recorder.trying(endpoint, is_only, now);
            let used = OnceLock::new();
            let attempt = Attempt {
                gateway: &gateway,
                instance: &instance,
                caller: &caller,
                request: &request,
                protocol_headers: &protocol_headers,
                person: Person {
                    user: user.as_deref(),
                    cache_key: cache_key.as_deref(),
                    passes_metadata: caller.passes_client_metadata(&instance),
                },
                eligible,
                started: now,
                deadline,
                notes: &plan.notes,
                used: &used,
            };
            let outcome = attempt.run(&recorder).await;
            let is_own_only = !eligible.with_operator_credential();
            recorder.sent_with(used.into_inner().unwrap_or_default(), is_own_only);
            match outcome {
                Ok(Success::Plain(names, mut answer, held, status)) => {
                    if let Some(way_back) = way_back.as_ref().filter(|_| !request.counts) {
                        answer.body = restore_whole(way_back, &names, &answer.body);
                    }
                    if let Some(held) = held {
                        answer.body = held.keep(answer.body);
                    }
                    recorder.answered(endpoint, status, now);
                    return DispatchOutcome::Plain(recorder, names, answer);
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
                    return DispatchOutcome::Stream(Box::new(StreamStart {
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
                    gateway.observe(
                        &endpoint.id,
                        route::Observation::Nothing,
                        now,
                        recorder.now(),
                    );
                    return DispatchOutcome::Failed(recorder, Outcome::Invalid, invalid(fault));
                }
                Err(Fault::NoMemory) => {
                    gateway.observe(
                        &endpoint.id,
                        route::Observation::Nothing,
                        now,
                        recorder.now(),
                    );
                    return DispatchOutcome::Failed(recorder, Outcome::Refused, no_memory());
                }
                Err(Fault::Endpoint(mut failure)) => {
                    let refused = recorder.failed(endpoint, &mut failure, now);
                    // Each credential of the caller's is refused once, however soon it may be used again.
                    if let Some(own) = refused.filter(|own| !all_refused.contains(own)) {
                        all_refused.push(own);
                        if holder(endpoint)
                            .and_then(|h| h.used_for(eligible))
                            .is_some()
                        {
                            candidates.push_front(candidate);
                        }
                    }
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
                DispatchOutcome::Failed(recorder, Outcome::UpstreamError, error)
            }
            None => {
                let catalog = instance.catalog.catalog();
                let explanation = explanation(&targets, &decisions, &routing, &instance);
                let all = decisions.iter().flat_map(Decision::endpoints);
                let seconds = cooldown_seconds(all, &gateway.health, recorder.now());
                let error = refusal(&targets, explanation, catalog, seconds);
                DispatchOutcome::Failed(recorder, Outcome::Refused, error)
            }
        }
    }
}
