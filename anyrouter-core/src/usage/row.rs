//! The stored form of a record: columns for filters, sorting and sums, and the rest as JSON.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Attempt, Outcome, Record, Tokens, record::is_false};
use crate::{
    catalog::{Protocol, Usd},
    ids::{EndpointId, ModelId, ProviderSlug, RequestId},
    key::KeyHash,
    time::Timestamp,
};

/// The columns of a record, in types that stores support. Times are in microseconds, money is in
/// 10⁻¹² USD; [`outcome`](Self::outcome) and the protocols are stored by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // as the record has them
pub struct Row<'a> {
    pub id: [u8; 12],
    pub account: &'a str,
    pub key: [u8; 32],
    pub created_at: u64,
    pub model_requested: Option<&'a str>,
    pub model: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub endpoint: Option<&'a str>,
    pub inbound: &'a str,
    pub outbound: Option<&'a str>,
    pub app: Option<&'a str>,
    pub http_status: u16,
    pub outcome: &'a str,
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub cache_write_1h: u64,
    pub reasoning: u64,
    pub cost: Option<u64>,
    pub latency: u64,
    pub time_to_first_byte: Option<u64>,
}

/// Members of a record without a column.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    provider_name: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    upstream_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    streamed: bool,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    estimated: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    unlimited: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    is_byok: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    counted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_time: Option<u64>,
    #[serde(default, skip_serializing_if = "is_empty")]
    attempts: Cow<'a, [Attempt]>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    policy: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    catalog: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "holds_nothing")]
    redacted: Cow<'a, BTreeMap<String, u64>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    cache_key: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    session_id: Option<Cow<'a, str>>,
}

fn is_empty(attempts: &[Attempt]) -> bool {
    attempts.is_empty()
}

fn holds_nothing(counts: &BTreeMap<String, u64>) -> bool {
    counts.is_empty()
}

/// Error of a row that is not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored usage record cannot be read: its {0} is damaged, or of a later version")]
pub struct RowFault(&'static str);

impl Record {
    /// Returns the columns of the record.
    pub fn row(&self) -> Row<'_> {
        Row {
            id: *self.id.as_bytes(),
            account: self.account.as_str(),
            key: *self.key_hash.as_bytes(),
            created_at: self.created_at.micros(),
            model_requested: self.model_requested.as_deref(),
            model: self.model.as_ref().map(ModelId::as_str),
            provider: self.provider.as_ref().map(ProviderSlug::as_str),
            endpoint: self.endpoint.as_ref().map(EndpointId::as_str),
            inbound: self.inbound.name(),
            outbound: self.outbound.map(Protocol::name),
            app: self.app.as_deref(),
            http_status: self.http_status,
            outcome: self.outcome.name(),
            prompt: self.tokens.prompt,
            completion: self.tokens.completion,
            cached: self.tokens.cached,
            cache_write: self.tokens.cache_write,
            cache_write_1h: self.tokens.cache_write_1h,
            reasoning: self.tokens.reasoning,
            cost: self.cost.map(Usd::pico),
            latency: self.latency,
            time_to_first_byte: self.time_to_first_byte,
        }
    }

    /// Writes the members without a column to `out`, as JSON.
    pub fn write_rest(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
            text.map(Cow::Borrowed)
        }
        let rest = Rest {
            ip: self.ip,
            provider_name: text(self.provider_name.as_deref()),
            upstream_id: text(self.upstream_id.as_deref()),
            streamed: self.streamed,
            error_code: text(self.error_code.as_deref()),
            finish_reason: text(self.finish_reason.as_deref()),
            native_finish_reason: text(self.native_finish_reason.as_deref()),
            estimated: self.estimated,
            unlimited: self.unlimited,
            is_byok: self.is_byok,
            counted: self.counted,
            generation_time: self.generation_time,
            attempts: Cow::Borrowed(&self.attempts),
            policy: text(self.policy.as_deref()),
            catalog: text(self.catalog.as_deref()),
            redacted: Cow::Borrowed(&self.redacted),
            cache_key: text(self.cache_key.as_deref()),
            session_id: text(self.session_id.as_deref()),
        };
        serde_json::to_writer(out, &rest)
    }
}

impl Row<'_> {
    /// Builds the record from these columns and `rest`.
    pub fn record(&self, rest: &str) -> Result<Record, RowFault> {
        let rest: Rest<'_> = serde_json::from_str(rest).map_err(|_| RowFault("JSON"))?;
        let protocol = |name| Protocol::parse(name).ok_or(RowFault("protocol"));
        let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let shared = |text: Option<Cow<'_, str>>| text.map(Arc::from);
        Ok(Record {
            id: RequestId::from_bytes(&self.id).ok_or(RowFault("id"))?,
            account: self.account.into(),
            key_hash: KeyHash::from_bytes(&self.key).ok_or(RowFault("key"))?,
            created_at: Timestamp::from_micros(self.created_at),
            ip: rest.ip,
            inbound: protocol(self.inbound)?,
            outbound: self.outbound.map(protocol).transpose()?,
            app: self.app.map(str::to_owned),
            model_requested: self.model_requested.map(str::to_owned),
            model: self.model.map(Into::into),
            endpoint: self.endpoint.map(Into::into),
            provider: self.provider.map(Into::into),
            provider_name: shared(rest.provider_name),
            upstream_id: text(rest.upstream_id),
            streamed: rest.streamed,
            outcome: Outcome::parse(self.outcome).ok_or(RowFault("outcome"))?,
            http_status: self.http_status,
            error_code: text(rest.error_code),
            finish_reason: text(rest.finish_reason),
            native_finish_reason: text(rest.native_finish_reason),
            tokens: Tokens {
                prompt: self.prompt,
                completion: self.completion,
                cached: self.cached,
                cache_write: self.cache_write,
                cache_write_1h: self.cache_write_1h,
                reasoning: self.reasoning,
            },
            estimated: rest.estimated,
            unlimited: rest.unlimited,
            is_byok: rest.is_byok,
            counted: rest.counted,
            cost: self.cost.map(Usd::from_pico),
            latency: self.latency,
            time_to_first_byte: self.time_to_first_byte,
            generation_time: rest.generation_time,
            attempts: rest.attempts.into_owned(),
            policy: shared(rest.policy),
            catalog: shared(rest.catalog),
            redacted: rest.redacted.into_owned(),
            cache_key: text(rest.cache_key),
            session_id: text(rest.session_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Opening;

    /// A record in which no member has its default.
    fn full() -> Record {
        let opening = Opening {
            id: RequestId::new(Timestamp::from_millis(5), [7; 6]),
            account: "acc_1".into(),
            key_hash: KeyHash::from_bytes(&[3; 32]).unwrap(),
            at: Timestamp::from_micros(5_123),
            ip: Some([192, 0, 2, 1].into()),
            inbound: Protocol::Messages,
            model_requested: Some("asked".to_owned()),
            endpoint: Some("lab/model".into()),
        };
        let some = |text: &str| Some(text.to_owned());
        Record {
            outbound: Some(Protocol::Chat),
            app: some("app"),
            model: Some("lab/model".into()),
            provider: Some("lab".into()),
            provider_name: Some("Lab \"the\" first".into()),
            upstream_id: some("chatcmpl-1"),
            streamed: true,
            outcome: Outcome::UpstreamError,
            http_status: 502,
            error_code: some("upstream_error"),
            finish_reason: some("stop"),
            native_finish_reason: some("end\n_turn"),
            tokens: Tokens {
                prompt: 1,
                completion: 2,
                cached: 3,
                cache_write: 4,
                cache_write_1h: 5,
                reasoning: 6,
            },
            estimated: true,
            unlimited: true,
            is_byok: true,
            counted: true,
            cost: Some(Usd::from_pico(77)),
            latency: 8,
            time_to_first_byte: Some(9),
            generation_time: Some(10),
            attempts: vec![Attempt {
                endpoint: "lab/model".into(),
                outcome: "timeout".into(),
                http_status: Some(504),
                latency: 11,
            }],
            policy: Some("p".into()),
            catalog: Some("c".into()),
            redacted: BTreeMap::from([("EMAIL".to_owned(), 2)]),
            cache_key: some("k"),
            session_id: some("s"),
            ..Record::opened(opening)
        }
    }

    #[test]
    fn a_record_is_the_same_from_its_columns_and_the_rest() {
        for record in [full(), Record::opened(opening_of(&full()))] {
            let mut rest = Vec::new();
            record.write_rest(&mut rest).unwrap();
            let rest = String::from_utf8(rest).unwrap();
            assert_eq!(record.row().record(&rest), Ok(record));
        }
    }

    fn opening_of(record: &Record) -> Opening {
        Opening {
            id: record.id,
            account: record.account.clone(),
            key_hash: record.key_hash,
            at: record.created_at,
            ip: None,
            inbound: Protocol::Chat,
            model_requested: None,
            endpoint: None,
        }
    }

    #[test]
    fn a_row_of_a_later_version_says_what_cannot_be_read() {
        let record = full();
        let mut row = record.row();
        row.outcome = "paused";
        assert_eq!(row.record("{}"), Err(RowFault("outcome")));
        assert_eq!(record.row().record("{"), Err(RowFault("JSON")));
    }
}
