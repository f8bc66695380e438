//! Amounts of money and prices as whole numbers of 10⁻¹² USD, so that a price with six decimals per
//! million tokens is exact.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount or a price, in 10⁻¹² USD.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(u64);

/// Number of units of 10⁻¹² USD in one USD.
const PICO: u64 = 1_000_000_000_000;

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// Creates an amount from a number of 10⁻¹² USD.
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// Returns the amount in 10⁻¹² USD.
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// Parses a price per million tokens, such as `0.15`, into the price of one token.
    pub fn per_token(per_million: &str) -> Result<Self, PriceError> {
        parse(per_million, 6).map(Self)
    }

    /// Parses an amount in USD, such as `0.01`.
    pub fn parse(amount: &str) -> Result<Self, PriceError> {
        parse(amount, 12).map(Self)
    }

    /// Formats this price in USD per million tokens, such as `0.15`.
    pub fn per_million(self) -> String {
        decimal(self.0, 6)
    }

    /// Returns `count` times this price, saturating at the largest amount.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// Returns the sum, saturating at the largest amount.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the amount in USD as a float, for statistics and JSON numbers.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / PICO as f64
    }
}

impl fmt::Display for Usd {
    /// Formats the exact amount in USD, without an exponent: `0.0000105`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 12))
    }
}

/// Prices of an endpoint. A price that is not stated is unknown; a cache price defaults to the
/// price of the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Prices {
    /// A token of prompt.
    pub prompt: Option<Usd>,
    /// A token of answer.
    pub completion: Option<Usd>,
    /// A token of prompt read from the provider's cache.
    pub cache_read: Option<Usd>,
    /// A token of prompt written to the provider's cache.
    pub cache_write: Option<Usd>,
    /// A token of prompt written to the provider's cache for an hour; default: `cache_write`.
    pub cache_write_1h: Option<Usd>,
    /// A request.
    pub request: Option<Usd>,
    /// An image.
    pub image: Option<Usd>,
    /// A token of audio.
    pub audio: Option<Usd>,
}

impl Prices {
    /// Returns true if prompt and answer are known to be free.
    pub fn is_free(&self) -> bool {
        self.prompt == Some(Usd::ZERO) && self.completion == Some(Usd::ZERO)
    }

    /// Returns true if prompt, answer or request is known to have a price above zero.
    pub fn is_charged(&self) -> bool {
        [self.prompt, self.completion, self.request]
            .into_iter()
            .flatten()
            .any(|p| p > Usd::ZERO)
    }
}

/// Error of an invalid price. It does not repeat the input, as an error of a request must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price must be a decimal number with at most {decimals} decimals, for example \"0.15\"")]
pub struct PriceError {
    decimals: usize,
}

fn parse(text: &str, decimals: usize) -> Result<u64, PriceError> {
    let wrong = || PriceError { decimals };
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
        return Err(wrong());
    }
    format!("{whole}{fraction:0<decimals$}")
        .parse()
        .map_err(|_| wrong())
}

fn decimal(value: u64, decimals: usize) -> String {
    let text = format!("{value:0>width$}", width = decimals + 1);
    let (whole, fraction) = text.split_at(text.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_with_six_decimals_per_million_is_exact() {
        let price = Usd::per_token("0.000001").unwrap();
        assert_eq!(price.pico(), 1);
        assert_eq!(price.per_million(), "0.000001");
        assert_eq!(Usd::per_token("12.5").unwrap().per_million(), "12.5");
        assert_eq!(
            Usd::per_token("0.15").unwrap().times(7).to_string(),
            "0.00000105"
        );
    }

    #[test]
    fn what_is_not_a_price_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "1e3",
            "0.0000001",
            "abc",
            "99999999999999999999",
        ] {
            assert!(Usd::per_token(text).is_err(), "{text}");
        }
    }
}
