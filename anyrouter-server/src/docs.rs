//! Embedded documentation from the repository's `docs` folder. `/docs/index.json` lists the pages,
//! and `/docs/<page>.md` returns one.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use http::Method;
use serde_json::{Value, json};

use crate::{
    auth::Public,
    respond::{Error, Json, not_found},
    routes::Routes,
};

/// Name, description and text of each page.
const PAGES: [(&str, &str, &str); 9] = [
    (
        "byok",
        "Your own provider keys",
        include_str!("../../docs/byok.md"),
    ),
    (
        "clients",
        "Tested clients and their configuration",
        include_str!("../../docs/clients.md"),
    ),
    (
        "configuration",
        "Settings and stored data",
        include_str!("../../docs/configuration.md"),
    ),
    (
        "errors",
        "Errors, their meanings and remedies",
        include_str!("../../docs/errors.md"),
    ),
    (
        "measurements",
        "Performance, and how to measure it",
        include_str!("../../docs/measurements.md"),
    ),
    (
        "operating",
        "Sizing, monitoring and maintenance",
        include_str!("../../docs/operating.md"),
    ),
    (
        "protocols",
        "Protocols, and what passes between them",
        include_str!("../../docs/protocols.md"),
    ),
    (
        "redaction",
        "Redaction of requests and restoration in responses",
        include_str!("../../docs/redaction.md"),
    ),
    (
        "providers",
        "Providers in the built-in catalog, with sources",
        include_str!("../../docs/providers.md"),
    ),
];

/// Adds the routes of the documentation.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/", home)
        .page(Method::GET, "/api", front)
        .page(Method::GET, "/docs", home)
        .page(Method::GET, "/docs/index.json", index)
        .page(Method::GET, "/docs/{page}", page)
        .page(Method::GET, "/docs.md", front)
        .page(Method::GET, "/llms.txt", front)
        .page(Method::GET, "/llms-full.txt", all)
}

async fn index(_: Public) -> Result<Json<Value>, Error> {
    let pages: Vec<_> =
        PAGES.iter().map(|(name, about, _)| json!({"page": name, "about": about, "url": format!("/docs/{name}.md")})).collect();
    Ok(Json(json!({"pages": pages})))
}

/// Serves a home page for browsers, with an introduction and links. It has no script and loads
/// nothing from other servers.
async fn home(_: Public, headers: HeaderMap) -> Result<Response, Error> {
    // Only a plain host name is echoed, so that a request cannot inject text.
    let is_plain = |host: &&str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b))
    };
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .filter(is_plain)
        .unwrap_or("127.0.0.1:8787");
    let mut pages = String::new();
    for (name, about, _) in PAGES {
        pages.push_str(&format!(
            "<li><a href=\"/docs/{name}.md\">{about}</a></li>\n"
        ));
    }
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>AnyRouter</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>AnyRouter</h1>\n<p>One endpoint in front of every LLM provider, with a privacy policy that its types and tests enforce.</p>\n\
         <h2>Use it</h2>\n<p>Point a client at this server, with one of this server's keys: OpenAI's clients at <code>/api/v1</code>, Anthropic's and Google's at <code>/api</code>.</p>\n\
         <pre>curl http://{host}/api/v1/chat/completions \\\n  -H \"Authorization: Bearer $ANYROUTER_API_KEY\" \\\n  -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"model\": \"demo/story\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'</pre>\n\
         <h2>Read on</h2>\n<ul>\n{pages}<li><a href=\"/api/v1/models\">The models, as JSON</a></li>\n\
         <li><a href=\"/api/v1/openapi.json\">The API, as OpenAPI 3.1</a></li>\n<li><a href=\"/readyz\">The server's readiness</a></li>\n\
         </ul>\n</main>\n</body>\n</html>\n"
    );
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    Ok(response)
}

const STYLE: &str = "body{margin:0;font:16px/1.6 system-ui,sans-serif;color:#1d2330;background:#f6f7f9}main{max-width:42rem;margin:3rem auto;\
padding:2rem 2.5rem;background:#fff;border:1px solid #e2e5ea;border-radius:8px}h1{margin-top:0}pre{overflow-x:auto;padding:1rem;background:#f1f3f6;\
border-radius:6px;font-size:13px}a{color:#1a56c4}@media (prefers-color-scheme:dark){body{color:#dfe3ea;background:#14171c}main{background:#1c2027;\
border-color:#2c323c}pre{background:#14171c}a{color:#84adff}}";

/// Serves the list of pages as Markdown.
async fn front(_: Public) -> Result<Response, Error> {
    let mut out = String::from(
        "# AnyRouter\n\nOne endpoint in front of every LLM provider, with a privacy policy enforced by its types and tests.\n\n",
    );
    for (name, about, _) in PAGES {
        out.push_str(&format!("- [{about}](/docs/{name}.md)\n"));
    }
    out.push_str("- [The API, as OpenAPI 3.1](/api/v1/openapi.json)\n");
    Ok(text(out))
}

/// Serves all pages as one text, for programs (llmstxt.org).
async fn all(_: Public) -> Result<Response, Error> {
    Ok(text(PAGES.map(|(.., page)| page).join("\n\n")))
}

fn text(markdown: impl IntoResponse) -> Response {
    let mut response = markdown.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/markdown; charset=utf-8"),
    );
    response
}

/// Serves a page, named with or without `.md`.
async fn page(_: Public, Path(name): Path<String>) -> Result<Response, Error> {
    let wanted = name.strip_suffix(".md").unwrap_or(&name);
    let page = PAGES.iter().find(|(name, ..)| *name == wanted);
    let (.., markdown) = page.ok_or_else(not_found)?;
    Ok(text(*markdown))
}
