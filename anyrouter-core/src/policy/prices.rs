//! Price caps as bit sets. The endpoints of each model are sorted by each price, so that a cap
//! costs a search and an AND.

use crate::catalog::{Endpoint, Prices, Usd};
use crate::part::Part as _;

/// Interval between stored sets in the sorted order. Endpoints after the last stored set are added
/// one by one.
const STRIDE: usize = 8;

/// The endpoints of one model, sorted by one price.
#[derive(Debug, Default)]
pub(super) struct ByPrice {
    /// Known prices in ascending order, each with the index of its endpoint in the model.
    known: Vec<(Usd, usize)>,
    /// Sets of the endpoints before positions 0, [`STRIDE`], 2 × [`STRIDE`] and so on, each with as
    /// many words as the model.
    before: Vec<u64>,
}

impl ByPrice {
    /// Sorts `endpoints` by the price that `of` returns.
    pub(super) fn new(endpoints: &[Endpoint], of: fn(&Prices) -> Option<Usd>) -> Self {
        let mut known: Vec<(Usd, usize)> = endpoints
            .iter()
            .enumerate()
            .filter_map(|(nth, e)| Some((of(&e.prices)?, nth)))
            .collect();
        known.sort_unstable();
        let mut set = vec![0; endpoints.len().div_ceil(64)];
        let mut before = Vec::new();
        for (place, (_, nth)) in known.iter().enumerate() {
            if place % STRIDE == 0 {
                before.extend_from_slice(&set);
            }
            add(&mut set, *nth);
        }
        before.extend_from_slice(&set);
        Self { known, before }
    }

    /// Removes endpoints from `bits` whose price is unknown or above `cap`.
    pub(super) fn keep_at_most(&self, cap: Usd, bits: &mut [u64]) {
        let within = self.known.partition_point(|(price, _)| *price <= cap);
        let mark = if within == self.known.len() {
            within.div_ceil(STRIDE)
        } else {
            within / STRIDE
        };
        let mut kept =
            super::Words::from_slice(self.before.part(mark * bits.len()..(mark + 1) * bits.len()));
        kept.resize(bits.len(), 0);
        for (_, nth) in self.known.part((mark * STRIDE).min(within)..within) {
            add(&mut kept, *nth);
        }
        for (to, from) in bits.iter_mut().zip(&kept) {
            *to &= from;
        }
    }
}

fn add(set: &mut [u64], nth: usize) {
    if let Some(word) = set.get_mut(nth / 64) {
        *word |= 1 << (nth % 64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::{Catalog, Document};

    proptest! {
        #[test]
        fn a_cap_keeps_what_is_known_to_cost_no_more(prices in prop::collection::vec(prop::option::of(0u64..12), 0..150), cap in 0u64..13) {
            let provider: Vec<Value> =
                (0..prices.len()).map(|i| json!({"slug": format!("p{i}"), "protocol": "openai_chat", "base_url": "http://x"})).collect();
            let endpoint: Vec<Value> = prices
                .iter()
                .enumerate()
                .map(|(i, price)| json!({"provider": format!("p{i}"), "price": {"prompt": price.map(|p| p.to_string())}}))
                .collect();
            let document = json!({"provider": provider, "model": [{"id": "a/m", "endpoint": endpoint}]}).to_string();
            let catalog = Catalog::from_documents(&[Document::from_json(&document).unwrap()]).unwrap();
            let cap = Usd::per_token(&cap.to_string()).unwrap();
            let mut bits = vec![u64::MAX; prices.len().div_ceil(64)];
            ByPrice::new(catalog.endpoints(), |p| p.prompt).keep_at_most(cap, &mut bits);
            for (nth, endpoint) in catalog.endpoints().iter().enumerate() {
                let kept = bits[nth / 64] >> (nth % 64) & 1 == 1;
                prop_assert_eq!(kept, endpoint.prices.prompt.is_some_and(|p| p <= cap), "endpoint {}", nth);
            }
        }
    }
}
