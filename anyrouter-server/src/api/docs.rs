//! The documentation, as it stands in the repository's `docs` folder: `/docs/index.json` lists the pages, `/docs/<page>.md` is one.

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Answer, json};

/// Each page's name, what it is about, and its text.
const PAGES: [(&str, &str, &str); 4] = [
    ("clients", "Which clients were tried, and how", include_str!("../../../docs/clients.md")),
    ("configuration", "Every setting, and what is kept", include_str!("../../../docs/configuration.md")),
    ("errors", "Every error, what it means and what to do", include_str!("../../../docs/errors.md")),
    ("providers", "What the built-in catalog knows of providers, and where from", include_str!("../../../docs/providers.md")),
];

pub(super) async fn index() -> Answer {
    let pages: Vec<_> =
        PAGES.iter().map(|(name, about, _)| json!({"page": name, "about": about, "url": format!("/docs/{name}.md")})).collect();
    json(&json!({"pages": pages}))
}

/// A page, with `.md` or without.
pub(super) async fn page(Path(name): Path<String>) -> Result<Response, super::Error> {
    let wanted = name.strip_suffix(".md").unwrap_or(&name);
    let Some((.., text)) = PAGES.iter().find(|(name, ..)| *name == wanted) else { return super::not_found().await };
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    Ok(response)
}
