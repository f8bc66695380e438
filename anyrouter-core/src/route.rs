//! Which of the eligible endpoints *should* serve a request, and in what order they are tried (P21,
//! P22).
//!
//! The order is deterministic: what `provider.order` names, then what is healthy, then what is
//! known to carry the request, then priority, then price; `sort` puts another measure in the place
//! of the last two. Health comes from the outcomes of attempts, as usage records have them, and
//! from nothing else.

mod health;
mod plan;
mod preferences;
mod request;
mod rules;
mod speed;

#[cfg(feature = "gateway")]
pub(crate) use self::rules::GATEWAY_MEMBERS;
pub use self::{
    health::{CooldownChange, Health, HealthView, Observation},
    plan::{Candidate, Plan, explain, plan},
    preferences::{
        DataCollection, MaxPrice, Partition, Preferences, ProviderObject, Sort, SortBy, SortEntry,
        ThresholdEntry, Thresholds,
    },
    request::{Needs, Routing},
};
