//! Data terms of a provider: facts, each with its source, and each unknown unless stated (P03,
//! P05).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Prices, Tier};

/// A stated fact and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fact<T> {
    /// Value of the fact.
    pub value: T,
    /// Statement that an explanation shows, if it is not the fact itself: `self_hosted = true`.
    pub because: Option<Arc<str>>,
    /// Address of the page that states the fact.
    pub source: Option<Arc<str>>,
    /// Day on which the page was checked, as `YYYY-MM-DD`.
    pub checked: Option<Arc<str>>,
}

/// Availability of zero data retention at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zdr {
    /// In force by default, or agreed according to the operator.
    Default,
    /// Available by agreement, which the operator has not stated.
    OnRequest,
    /// Not available.
    No,
}

impl fmt::Display for Zdr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::OnRequest => "on_request",
            Self::No => "no",
        })
    }
}

/// Data terms. `None` is unknown, and unknown counts as the worst.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Terms {
    /// True if the provider may train on paid traffic.
    pub trains_on_paid: Option<Fact<bool>>,
    /// True if the provider may train on free traffic.
    pub trains_on_free: Option<Fact<bool>>,
    /// True if the provider may publish free traffic.
    pub publishes_free: Option<Fact<bool>>,
    /// Days for which the provider keeps requests and answers.
    pub retention_days: Option<Fact<u32>>,
    /// Zero data retention.
    pub zdr: Option<Fact<Zdr>>,
    /// Regions of processing, as lower-case codes; a leading `global` names no region.
    pub regions: Option<Fact<Vec<String>>>,
}

/// Prefix that marks a retention of 0 days as derived from zero data retention.
const BY_ZDR: &str = "zdr";

impl Terms {
    /// Returns these facts overridden by those of `own`. A retention derived from zero data
    /// retention is dropped if that statement is overridden.
    pub(crate) fn overlaid(&self, own: &Self) -> Self {
        let derived = |f: &Fact<u32>| f.because.as_deref().is_some_and(|b| b.starts_with(BY_ZDR));
        let kept = self
            .retention_days
            .clone()
            .filter(|f| own.zdr.is_none() || !derived(f));
        Self {
            trains_on_paid: own
                .trains_on_paid
                .clone()
                .or_else(|| self.trains_on_paid.clone()),
            trains_on_free: own
                .trains_on_free
                .clone()
                .or_else(|| self.trains_on_free.clone()),
            publishes_free: own
                .publishes_free
                .clone()
                .or_else(|| self.publishes_free.clone()),
            retention_days: own.retention_days.clone().or(kept),
            zdr: own.zdr.clone().or_else(|| self.zdr.clone()),
            regions: own.regions.clone().or_else(|| self.regions.clone()),
        }
    }

    /// Adds the derived facts: zero data retention is a retention of 0 days, unless the same terms
    /// state another.
    pub(super) fn completed(mut self) -> Self {
        if self.retention_days.is_none()
            && let Some(zdr) = self.zdr.as_ref().filter(|z| z.value == Zdr::Default)
        {
            let because = zdr
                .because
                .clone()
                .unwrap_or_else(|| format!("{BY_ZDR} = {}", zdr.value).into());
            self.retention_days = Some(Fact {
                value: 0,
                because: Some(because),
                source: zdr.source.clone(),
                checked: zdr.checked.clone(),
            });
        }
        self
    }

    /// Returns true if nothing is stated.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Terms of a provider that apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Known to be paid.
    Paid,
    /// Known to be free.
    Free,
    /// Unknown: the terms for paid and for free traffic both apply.
    Either,
}

impl Traffic {
    /// Returns `Paid` if the credential's tier is paid and a price is above 0, `Free` if the tier
    /// is free, and otherwise `Either`.
    pub fn of(tier: Tier, prices: &Prices) -> Self {
        match tier {
            Tier::Paid if prices.is_charged() => Self::Paid,
            Tier::Free => Self::Free,
            Tier::Paid | Tier::Unknown => Self::Either,
        }
    }
}
