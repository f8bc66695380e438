//! Routing: decides which of the eligible endpoints *should* serve a request, and in what order
//! they are tried (P21, P22).
//!
//! The order is deterministic: providers in `provider.order`, then healthy endpoints, then
//! endpoints known to support the whole request, then priority, then price. With `sort`, another
//! measure comes before the last two. Health depends only on the outcomes of attempts, as in usage
//! records.

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
    request::{Holder, Needs, Routing},
};
