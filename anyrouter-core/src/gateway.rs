//! The path of one request, over the [ports](crate::ports): authenticate, take a slot, read,
//! evaluate, plan, attempt, answer, record.
//!
//! No step goes back to an earlier one, but for the next attempt. What an upstream is called with
//! comes from [`policy::evaluate`](crate::policy::evaluate), and the last byte of an answer waits
//! for [`Committed`](crate::usage::Committed).

mod answer;
mod attempt;
mod authenticate;
mod identifiers;
mod load;
mod recorder;
mod redaction;
mod refusal;
mod signed;
mod targets;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::Response;

pub use self::{
    answer::AnswerBody,
    authenticate::{Authenticated, authenticate, ip_in},
    identifiers::{Identifiers, check_given_name, is_control},
    load::{Budget, Held, Take},
    redaction::is_structure,
};
use self::{answer::respond_error, attempt::Job, load::UnderWay, recorder::Recorder};
use crate::{
    account::World,
    catalog::{Endpoint, Protocol},
    ids::{AccountId, RequestId},
    key::{KeyHash, Scope},
    policy::Explanation,
    ports::{Clock, Credentials, Directory, Limiter, Randomness, Upstream, UsageLog},
    route::Health,
    usage::{Opening, Outcome},
    wire::{chat::ChatRequest, error::ApiError, fault::RequestFault},
};

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Depth of a request's JSON.
    pub depth: usize,
    /// Bytes of a plain answer.
    pub answer: usize,
    /// Bytes of one event of a stream.
    pub event: usize,
    /// Attempts for a request.
    pub attempts: usize,
    /// Bytes that all bodies may hold together.
    pub memory: usize,
    /// Requests of one key that are under way at once.
    pub requests_per_key: usize,
    /// Requests of one account that are under way at once.
    pub requests_per_account: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 128,
            answer: 64 << 20,
            event: 32 << 20,
            attempts: 8,
            memory: 1 << 30,
            requests_per_key: 4000,
            requests_per_account: 8000,
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the beginning of an attempt to its first event, or to a plain answer's head.
    pub first_byte: Duration,
    /// Without a byte, once it began.
    pub idle: Duration,
    /// The whole request, its stream included.
    pub whole: Duration,
    /// Without a byte before a comment is sent to the client, and between comments.
    pub comment: Duration,
    /// For room in memory for a body.
    pub memory: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_byte: seconds(300),
            idle: seconds(120),
            whole: seconds(1800),
            comment: seconds(10),
            memory: seconds(10),
        }
    }
}

/// What a gateway is made of.
#[derive(Clone)]
#[allow(missing_docs)] // each is its port
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
    pub directory: Arc<dyn Directory>,
    pub usage: Arc<dyn UsageLog>,
    pub limiter: Arc<dyn Limiter>,
    pub credentials: Arc<dyn Credentials>,
    pub upstream: Arc<dyn Upstream>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// A gateway. It is shared by all requests.
#[derive(Debug)]
pub struct Gateway {
    ports: Ports,
    limits: Limits,
    deadlines: Deadlines,
    world: RwLock<Arc<World>>,
    health: Health,
    budget: Arc<Budget>,
    keys: Arc<UnderWay<KeyHash>>,
    accounts: Arc<UnderWay<AccountId>>,
    /// What the answers of keys with a limit on tokens took lately.
    answers: Mutex<HashMap<KeyHash, u64>>,
}

/// What the HTTP head of a request says.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The key, as it was sent.
    pub key: Option<crate::secret::Secret<String>>,
    /// Where it came from.
    pub ip: Option<std::net::IpAddr>,
    /// `X-AnyRouter-Provider`.
    pub pin: Option<String>,
    /// `x-session-id`.
    pub session_id: Option<String>,
    /// `X-AnyRouter-Redact: upstream`.
    pub redact: bool,
    /// `X-AnyRouter-Trace-Id`.
    pub trace_id: Option<String>,
    /// What is asked for under the API's prefix, as `chat/completions`.
    pub path: Cow<'static, str>,
}

impl Gateway {
    /// A gateway over these ports.
    pub fn new(ports: Ports, world: World, limits: Limits, deadlines: Deadlines) -> Self {
        Self {
            ports,
            limits,
            deadlines,
            world: RwLock::new(Arc::new(world)),
            health: Health::default(),
            budget: Budget::new(limits.memory),
            keys: UnderWay::new(limits.requests_per_key),
            accounts: UnderWay::new(limits.requests_per_account),
            answers: Mutex::default(),
        }
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What the operator's configuration contributes, as of now.
    pub fn world(&self) -> Arc<World> {
        self.world
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces it: requests that begin from now on see the new one.
    pub fn set_world(&self, world: World) {
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
    }

    /// How endpoints have fared.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The budget that all bodies share.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// A new request id.
    pub fn request_id(&self) -> RequestId {
        let mut random = [0; 6];
        self.ports.randomness.fill(&mut random);
        RequestId::new(self.ports.clock.now(), random)
    }

    /// Serves a chat completion. `body` reads the body for the key of this hash once the request is
    /// accepted; an error of its own is answered as it is.
    pub async fn chat<B>(
        self: &Arc<Self>,
        head: Head,
        body: impl FnOnce(KeyHash) -> B,
    ) -> Response<AnswerBody>
    where
        B: Future<Output = Result<Bytes, ApiError>>,
    {
        let started = self.ports.clock.now();
        let id = self.request_id();
        let caller = match authenticate(&self.ports, &head, started)
            .await
            .and_then(|a| a.with_scope(Scope::Inference))
        {
            Ok(caller) => caller,
            Err(error) => return not_accepted(respond_error(id, &error)),
        };
        let opening = Opening {
            id,
            account: caller.key.account.clone(),
            key_hash: caller.key.hash,
            at: started,
            ip: head.ip,
            inbound: INBOUND,
            model_requested: None,
            endpoint: None,
        };
        let Ok(mut recorder) = Recorder::open(self.clone(), opening).await else {
            return not_accepted(respond_error(id, &storage_unavailable()));
        };
        let world = self.world();
        let identifiers = Identifiers::new(
            world.redaction.as_ref().map(|r| &r.key),
            caller.key.account.as_str(),
        );
        recorder.session(identifiers, head.session_id.as_deref());
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
            let room = self.ports.limiter.request(&caller.key.hash, limit).await;
            recorder.room = Some(room);
            if !room.admitted {
                return recorder
                    .refuse(Outcome::RateLimited, rate_limited("requests", &room))
                    .await;
            }
        }
        let request = match body(caller.key.hash).await {
            Ok(body) => ChatRequest::parse(body, self.limits.depth).map_err(invalid),
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
        let trace = request.trace_id.as_deref().or(head.trace_id.as_deref());
        recorder.trace_id = trace.and_then(|id| identifiers.id(id)).map(Cow::into_owned);
        let redaction::Upstream {
            request,
            is_redacted,
            way_back,
        } = match redaction::upstream(&caller, &world, &head, request, self.limits.depth) {
            Ok(redacted) => redacted,
            Err(error) => return recorder.refuse(Outcome::Refused, error).await,
        };
        recorder.is_redacted = is_redacted;
        if let Some(way_back) = &way_back {
            recorder.record.redacted.clone_from(way_back.counts());
        }
        let user = request.user.as_deref().and_then(|u| identifiers.user(u));
        let targets = match targets::resolve(&request, &world, head.pin.as_deref(), identifiers) {
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
        let layers = caller.layers(&world);
        recorder.record.policy = Some(layers.fingerprint().clone());
        recorder.record.catalog = Some(world.catalog.catalog().version().clone());
        Box::new(Job {
            gateway: self.clone(),
            world,
            layers,
            request,
            targets,
            user,
            way_back,
            recorder,
        })
        .answer()
        .await
    }

    /// Explains how a request would be routed. Nothing is sent.
    pub fn explain(
        &self,
        caller: &crate::account::Caller,
        body: Bytes,
        pin: Option<&str>,
    ) -> Result<Explanation, ApiError> {
        let request = ChatRequest::parse(body, self.limits.depth).map_err(invalid)?;
        let world = self.world();
        let identifiers = Identifiers::new(
            world.redaction.as_ref().map(|r| &r.key),
            caller.key.account.as_str(),
        );
        let targets = targets::resolve(&request, &world, pin, identifiers)?;
        let layers = caller.layers(&world);
        let decisions = targets.decisions(&layers);
        let has_credential = |e: &Endpoint| self.has_credential(&world, e);
        let routing = targets.routing(
            self,
            &has_credential,
            RequestId::first_at(self.ports.clock.now()),
        );
        let mut explanation = crate::route::explain(
            &targets.asked,
            &decisions,
            &routing,
            world.catalog.catalog(),
        );
        explanation.warnings = targets
            .unknown
            .iter()
            .map(targets::UnknownProvider::warning)
            .collect();
        Ok(explanation)
    }

    /// Whether there is a key for an endpoint's provider.
    pub fn has_credential(&self, world: &World, endpoint: &Endpoint) -> bool {
        world
            .catalog
            .catalog()
            .providers()
            .get(endpoint.provider_index)
            .is_some_and(|p| self.ports.credentials.has(p))
    }

    /// Takes room for the prompt and the most that the answer may have; where the request does not
    /// say, what the key's answers took lately.
    async fn reserve(
        &self,
        recorder: &mut Recorder,
        key: &KeyHash,
        limit: u64,
        request: &ChatRequest,
    ) -> Result<(), (Outcome, ApiError)> {
        let lately = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
            .unwrap_or(0);
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
            Ok(reservation) => {
                recorder.reservation = Some(reservation);
                Ok(())
            }
            Err(room) => Err((Outcome::RateLimited, rate_limited("tokens", &room))),
        }
    }

    /// Remembers what an answer took, as a moving average.
    fn remember_answer(&self, key: &KeyHash, completion: u64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= 100_000 {
            answers.clear();
        }
        let known = answers.entry(*key).or_insert(completion);
        *known = (known.saturating_mul(3).saturating_add(completion)) / 4;
    }
}

/// An extension of responses to requests that were refused before they were accepted: these have no
/// record.
#[derive(Clone, Copy, Debug)]
pub struct NotAccepted;

fn not_accepted(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    response.extensions_mut().insert(NotAccepted);
    response
}

/// The protocol that requests come in.
const INBOUND: Protocol = Protocol::Chat;

fn invalid(fault: RequestFault) -> ApiError {
    let mut error = ApiError::new(400, fault.code, fault.problem);
    error.param = fault.param;
    error
}

fn storage_unavailable() -> ApiError {
    let mut error = ApiError::new(
        503,
        "storage_unavailable",
        "usage records cannot be written now, so nothing was sent; /readyz says why; try again later",
    );
    error.retry_after = Some(1);
    error
}

/// The error for a request whose body does not fit into memory in time.
pub fn no_memory() -> ApiError {
    let message =
        "the server has no memory for this body now; send it again after Retry-After, or send less";
    let mut error = ApiError::new(503, "overloaded", message);
    error.retry_after = Some(2);
    error
}

fn too_many_at_once() -> ApiError {
    let message =
        "the key or its account has too many requests under way; wait for some of them to end";
    let mut error = ApiError::new(429, "rate_limited", message);
    error.retry_after = Some(1);
    error
}

fn rate_limited(what: &str, room: &crate::ports::Room) -> ApiError {
    let seconds = room.reset.as_secs() + u64::from(room.reset.subsec_nanos() > 0);
    let message = format!(
        "the key's limit of {} {what} a minute is reached; try again in {seconds} s",
        room.limit
    );
    let mut error = ApiError::new(429, "rate_limited", message);
    error.retry_after = Some(seconds.max(1));
    error
}
