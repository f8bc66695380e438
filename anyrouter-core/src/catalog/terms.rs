//! What a provider does with data: facts, each with its source, each unknown where nobody stated it
//! (P03, P05).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Prices, Tier};

/// A statement and where it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fact<T> {
    /// What is stated.
    pub value: T,
    /// The statement as an explanation shows it, where it is not the member itself: `self_hosted =
    /// true`.
    pub because: Option<Arc<str>>,
    /// The address of the page that says so.
    pub source: Option<Arc<str>>,
    /// The day on which it was read, `YYYY-MM-DD`.
    pub checked: Option<Arc<str>>,
}

/// Whether a provider keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zdr {
    /// It does, without being asked; or the operator states that it was agreed.
    Default,
    /// It does for those who arrange it; this operator has not said so.
    OnRequest,
    /// It does not.
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

/// The facts. `None` is unknown, and unknown counts as the worst.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Terms {
    /// It may train on what is sent on paid terms.
    pub trains_on_paid: Option<Fact<bool>>,
    /// It may train on what is sent on free terms.
    pub trains_on_free: Option<Fact<bool>>,
    /// It may publish what is sent on free terms.
    pub publishes_free: Option<Fact<bool>>,
    /// Days for which it keeps what is sent.
    pub retention_days: Option<Fact<u32>>,
    /// Zero data retention.
    pub zdr: Option<Fact<Zdr>>,
    /// Where it processes, as lower-case codes; `global` first is no place.
    pub regions: Option<Fact<Vec<String>>>,
}

/// What marks a retention of 0 days that follows from zero data retention.
const BY_ZDR: &str = "zdr";

impl Terms {
    /// These facts, with those that `own` states in their place. Retention that followed from a
    /// statement of zero data retention goes with that statement.
    pub(super) fn overlaid(&self, own: &Self) -> Self {
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

    /// With what follows from the statements of one set of terms: zero data retention is 0 days,
    /// unless the same terms state another.
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

    /// Nothing is stated.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Which of a provider's terms speak of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Surely paid.
    Paid,
    /// Surely free.
    Free,
    /// Either: both rules apply.
    Either,
}

impl Traffic {
    /// Paid where the credential's tier is paid and the price is above 0; free where the tier is
    /// free; else either.
    pub fn of(tier: Tier, prices: &Prices) -> Self {
        match tier {
            Tier::Paid if prices.is_charged() => Self::Paid,
            Tier::Free => Self::Free,
            Tier::Paid | Tier::Unknown => Self::Either,
        }
    }
}
