//! Money in whole numbers: 10⁻¹² USD, so that a price with six decimals per million tokens is
//! exact.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount or a price, in 10⁻¹² USD.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(u64);

/// 10⁻¹² USD in one.
const PICO: u64 = 1_000_000_000_000;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From 10⁻¹² USD.
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// In 10⁻¹² USD.
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// Reads a price per million tokens, as `0.15`, into the price of one.
    pub fn per_token(per_million: &str) -> Result<Self, PriceError> {
        parse(per_million, 6).map(Self)
    }

    /// Reads an amount in USD, as `0.01`.
    pub fn parse(amount: &str) -> Result<Self, PriceError> {
        parse(amount, 12).map(Self)
    }

    /// This price as USD per million tokens, as `0.15`.
    pub fn per_million(self) -> String {
        decimal(self.0, 6)
    }

    /// This price `count` times; the largest amount where it would be larger.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// The sum; the largest amount where it would be larger.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// As a number, for statistics and JSON members that are numbers.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / PICO as f64
    }
}

impl fmt::Display for Usd {
    /// In USD, exact, without an exponent: `0.0000105`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 12))
    }
}

/// What an endpoint costs. Each price is unknown where it is not stated; a cache price that is not
/// stated is the prompt's.
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
    /// A token of prompt written to the provider's cache for an hour; left out: as `cache_write`.
    pub cache_write_1h: Option<Usd>,
    /// A request.
    pub request: Option<Usd>,
    /// An image.
    pub image: Option<Usd>,
    /// A token of audio.
    pub audio: Option<Usd>,
}

impl Prices {
    /// Prompt and answer are known to cost nothing.
    pub fn is_free(&self) -> bool {
        self.prompt == Some(Usd::ZERO) && self.completion == Some(Usd::ZERO)
    }

    /// Prompt, answer or request is known to cost something.
    pub fn is_charged(&self) -> bool {
        [self.prompt, self.completion, self.request]
            .into_iter()
            .flatten()
            .any(|p| p > Usd::ZERO)
    }
}

/// A price that could not be read. It does not repeat what was written: a request's error must not.
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
