//! The documentation, as it stands in the repository's `docs` folder: `/docs/index.json` lists the pages, `/docs/<page>.md` is one.

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Answer, json};

/// Each page's name, what it is about, and its text.
const PAGES: [(&str, &str, &str); 6] = [
    ("clients", "Which clients were tried, and how", include_str!("../../../docs/clients.md")),
    ("configuration", "Every setting, and what is kept", include_str!("../../../docs/configuration.md")),
    ("errors", "Every error, what it means and what to do", include_str!("../../../docs/errors.md")),
    ("measurements", "What it costs, and how to measure it", include_str!("../../../docs/measurements.md")),
    ("redaction", "What is taken out of requests, and how it comes back", include_str!("../../../docs/redaction.md")),
    ("providers", "What the built-in catalog knows of providers, and where from", include_str!("../../../docs/providers.md")),
];

pub(super) async fn index() -> Answer {
    let pages: Vec<_> =
        PAGES.iter().map(|(name, about, _)| json!({"page": name, "about": about, "url": format!("/docs/{name}.md")})).collect();
    json(&json!({"pages": pages}))
}

/// The pages, for people.
pub(super) async fn front() -> Response {
    let mut out =
        String::from("# AnyRouter\n\nOne endpoint in front of every LLM provider, with a privacy policy that it cannot break.\n\n");
    for (name, about, _) in PAGES {
        out.push_str(&format!("- [{about}](/docs/{name}.md)\n"));
    }
    out.push_str("- [The API, as OpenAPI 3.1](/api/v1/openapi.json)\n");
    text(out)
}

/// All pages in one, for programs that read (llmstxt.org).
pub(super) async fn all() -> Response {
    text(PAGES.map(|(.., page)| page).join("\n\n"))
}

fn text(markdown: impl IntoResponse) -> Response {
    let mut response = markdown.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    response
}

/// A page, with `.md` or without.
pub(super) async fn page(Path(name): Path<String>) -> Result<Response, super::Error> {
    let wanted = name.strip_suffix(".md").unwrap_or(&name);
    let Some((.., text)) = PAGES.iter().find(|(name, ..)| *name == wanted) else { return super::not_found().await };
    Ok(self::text(*text))
}
