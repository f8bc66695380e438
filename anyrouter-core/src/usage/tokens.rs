//! Token usage and its cost, in whole numbers.

use serde::{Deserialize, Serialize};

use crate::catalog::{Prices, Usd};

/// Token usage of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens of the prompt, including those read from and written to the provider's cache.
    pub prompt: u64,
    /// Tokens of the answer, including reasoning.
    pub completion: u64,
    /// Tokens of the prompt read from the provider's cache.
    pub cached: u64,
    /// Tokens of the prompt written to the provider's cache.
    pub cache_write: u64,
    /// Tokens written to the provider's cache for an hour, a part of `cache_write`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Tokens of the answer spent on reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// Returns the tokens of prompt and answer.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// Number of tokens above which a provider's report is implausible.
    const ABSURD: u64 = 1 << 32;

    /// Returns true if the numbers are plausible.
    pub fn is_plausible(&self) -> bool {
        let parts = self
            .cached
            .checked_add(self.cache_write)
            .is_some_and(|c| c <= self.prompt);
        parts
            && self.cache_write_1h <= self.cache_write
            && self.reasoning <= self.completion
            && self.prompt <= Self::ABSURD
            && self.completion <= Self::ABSURD
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Returns the cost of `tokens` and one request at `prices`; `None` if a needed price is not known.
pub fn cost(prices: &Prices, tokens: &Tokens) -> Option<Usd> {
    let prompt = prices.prompt?;
    let plain = tokens
        .prompt
        .saturating_sub(tokens.cached)
        .saturating_sub(tokens.cache_write);
    let cache_write = prices.cache_write.unwrap_or(prompt);
    let sum = prompt
        .times(plain)
        .plus(prices.cache_read.unwrap_or(prompt).times(tokens.cached))
        .plus(cache_write.times(tokens.cache_write.saturating_sub(tokens.cache_write_1h)))
        .plus(
            prices
                .cache_write_1h
                .unwrap_or(cache_write)
                .times(tokens.cache_write_1h),
        )
        .plus(prices.completion?.times(tokens.completion))
        .plus(prices.request.unwrap_or_default());
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let price = |text| Some(Usd::per_token(text).unwrap());
        Prices {
            prompt: price("0.15"),
            completion: price("0.60"),
            ..Prices::default()
        }
    }

    #[test]
    fn cost_is_exact_to_the_last_decimal() {
        let tokens = Tokens {
            prompt: 7,
            completion: 3,
            ..Tokens::default()
        };
        assert_eq!(cost(&prices(), &tokens).unwrap().to_string(), "0.00000285");
    }

    #[test]
    fn a_cache_price_that_is_not_stated_is_the_prompts() {
        let tokens = Tokens {
            prompt: 100,
            cached: 40,
            cache_write: 10,
            ..Tokens::default()
        };
        assert_eq!(
            cost(&prices(), &tokens),
            cost(
                &prices(),
                &Tokens {
                    prompt: 100,
                    ..Tokens::default()
                }
            )
        );
        let cheap = Prices {
            cache_read: Some(Usd::ZERO),
            ..prices()
        };
        assert_eq!(
            cost(&cheap, &tokens),
            cost(
                &prices(),
                &Tokens {
                    prompt: 60,
                    ..Tokens::default()
                }
            )
        );
    }

    #[test]
    fn a_cache_write_for_an_hour_has_its_own_price() {
        let tokens = Tokens {
            prompt: 100,
            cache_write: 100,
            cache_write_1h: 60,
            ..Tokens::default()
        };
        let prices = Prices {
            cache_write: Some(Usd::per_token("0.30").unwrap()),
            cache_write_1h: Some(Usd::per_token("0.60").unwrap()),
            ..prices()
        };
        assert_eq!(cost(&prices, &tokens).unwrap().to_string(), "0.000048");
        let unstated = Prices {
            cache_write_1h: None,
            ..prices
        };
        assert_eq!(
            cost(&unstated, &tokens).unwrap().to_string(),
            "0.00003",
            "left out, it is the other cache write's"
        );
    }

    #[test]
    fn an_unknown_price_makes_the_cost_unknown() {
        assert_eq!(cost(&Prices::default(), &Tokens::default()), None);
    }

    #[test]
    fn absurd_numbers_are_not_believed() {
        assert!(
            !Tokens {
                prompt: u64::MAX,
                ..Tokens::default()
            }
            .is_plausible()
        );
        assert!(
            !Tokens {
                prompt: 1,
                cached: 2,
                ..Tokens::default()
            }
            .is_plausible()
        );
        assert!(
            Tokens {
                prompt: 2,
                cached: 1,
                cache_write: 1,
                completion: 5,
                reasoning: 5,
                ..Tokens::default()
            }
            .is_plausible()
        );
    }
}
