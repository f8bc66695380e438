//! Lines of a labelled corpus, and the findings in them.

use anyrouter_core::redact::{Finding, Redactor};
use serde_json::{Value, json, value::RawValue};

use crate::args::LineFormat;

/// A line of `--spans` and of a corpus.
#[derive(serde::Deserialize)]
pub(crate) struct Row<'a> {
    #[serde(default)]
    pub(crate) id: Value,
    text: Option<String>,
    /// A JSON document, embedded or as a string.
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) spans: Option<Vec<Span>>,
}

/// A labelled span of a corpus.
#[derive(serde::Deserialize)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) label: String,
}

impl Row<'_> {
    /// Returns the findings in `text` or `json`, or `None` if the line has neither.
    pub(crate) fn found(&self, redactor: &Redactor, read_as: LineFormat) -> Option<Vec<Finding>> {
        if let Some(text) = &self.text {
            return Some(if read_as == LineFormat::Chat {
                find_in_chat(redactor, text)
            } else {
                redactor.find(text)
            });
        }
        let document = self.json?.get();
        match serde_json::from_str::<String>(document) {
            Ok(document) => Some(redactor.find_json(&document)),
            Err(_) => Some(redactor.find_json(document)),
        }
    }
}

/// Finds values in a text that is the message of a chat request. Offsets are in the text.
fn find_in_chat(redactor: &Redactor, text: &str) -> Vec<Finding> {
    const HEAD: &str = r#"{"messages":[{"role":"user","content":""#;
    let body = format!("{}{}}}]}}", &HEAD[..HEAD.len() - 1], json!(text));
    let place = |at: usize| {
        let before = body.get(HEAD.len()..at).unwrap_or_default();
        serde_json::from_str::<String>(&format!("\"{before}\"")).map_or(0, |before| before.len())
    };
    let found = redactor
        .find_json(&body)
        .into_iter()
        .filter(|f| f.start >= HEAD.len());
    let in_text = |mut finding: Finding| {
        (finding.start, finding.end) = (place(finding.start), place(finding.end));
        finding
    };
    found.map(in_text).collect()
}
