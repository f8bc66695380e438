//! Images and files, as data or as a URL, in the media types that Anthropic accepts: JPEG, PNG, GIF
//! and WebP images, PDF, and text.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose};

use crate::wire::json::{push_member, push_string};

/// Media types of accepted images.
const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// The `source` member of the block for an image or a file.
pub(super) enum Source {
    /// An `image` block.
    Image(Vec<u8>),
    /// A `document` block.
    Document(Vec<u8>),
}

/// Returns the source for an image or a file that was sent as a URL, a `data:` URL or bare base64;
/// `None` if its media type is not accepted.
pub(super) fn source(text: &str, filename: Option<&str>, is_picture: bool) -> Option<Source> {
    let text = text.trim();
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        let mut out = b"{\"type\":\"url\",\"url\":".to_vec();
        push_string(&mut out, text);
        out.push(b'}');
        return Some(if is_picture {
            Source::Image(out)
        } else {
            Source::Document(out)
        });
    }
    let (media_type, data) = if lower.starts_with("data:") {
        let (head, data) = text.get(5..)?.split_once(',')?;
        let mut head = head.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media_type = head.next().unwrap_or_default();
        head.any(|part| part == "base64").then_some(())?;
        (media_type, data)
    } else {
        (String::new(), text)
    };
    let stated = match media_type.as_str() {
        "" | "application/octet-stream" | "binary/octet-stream" => None,
        "image/jpg" | "image/pjpeg" => Some("image/jpeg"),
        other => Some(other),
    };
    let kind = stated
        .map(ToOwned::to_owned)
        .or_else(|| kind_of_data(data))
        .or_else(|| kind_of_name(filename?))?;
    if PICTURES.contains(&kind.as_str()) {
        return Some(Source::Image(base64_source(&kind, data)));
    }
    if kind == "application/pdf" {
        return Some(Source::Document(base64_source(&kind, data)));
    }
    let is_text = kind.starts_with("text/")
        || [
            "application/json",
            "application/xml",
            "application/yaml",
            "application/x-yaml",
            "application/javascript",
            "application/csv",
        ]
        .contains(&kind.as_str());
    let content = is_text.then(|| decoded(data)).flatten()?;
    let mut out = b"{\"type\":\"text\",\"media_type\":\"text/plain\"".to_vec();
    push_member(&mut out, b"\"data\"");
    push_string(&mut out, &content);
    out.push(b'}');
    Some(Source::Document(out))
}

fn base64_source(kind: &str, data: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    out.extend_from_slice(b"{\"type\":\"base64\",\"media_type\":");
    push_string(&mut out, kind);
    push_member(&mut out, b"\"data\"");
    push_string(&mut out, &standard(data));
    out.push(b'}');
    out
}

/// Returns base64 in the standard alphabet, on one line and padded (RFC 4648, section 4): Anthropic
/// refuses other forms.
fn standard(data: &str) -> Cow<'_, str> {
    let is_standard = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if data.len().is_multiple_of(4) && data.bytes().all(is_standard) {
        return data.into();
    }
    let letters = data
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && *c != '=')
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        });
    let mut text: String = letters.collect();
    while text.len() % 4 > 1 {
        text.push('=');
    }
    text.into()
}

/// Decodes base64; `None` if the result is not UTF-8.
fn decoded(data: &str) -> Option<String> {
    let compact: Vec<u8> = data
        .bytes()
        .filter(|b| !b.is_ascii_whitespace() && *b != b'=')
        .collect();
    let bytes = general_purpose::STANDARD_NO_PAD
        .decode(&compact)
        .or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(&compact))
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// Detects the media type from the first bytes of base64 data.
fn kind_of_data(data: &str) -> Option<String> {
    // Base64 prefixes of %PDF-, \x89PNG, \xff\xd8\xff, GIF8 and RIFF.
    const BEGINNINGS: [(&str, &str); 5] = [
        ("JVBER", "application/pdf"),
        ("iVBORw", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
    ];
    BEGINNINGS
        .iter()
        .find(|(begin, _)| data.starts_with(begin))
        .map(|(_, kind)| (*kind).to_owned())
}

/// Returns the media type for the extension of a file's name.
fn kind_of_name(name: &str) -> Option<String> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(
        match extension.as_str() {
            "pdf" => "application/pdf",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            "txt" | "md" | "csv" | "tsv" | "json" | "xml" | "html" | "htm" | "yaml" | "yml"
            | "toml" | "log" | "rs" | "py" | "js" | "ts" | "java" | "c" | "h" | "cpp" | "go"
            | "rb" | "sh" | "sql" | "css" => "text/plain",
            _ => return None,
        }
        .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn block(
        text: &str,
        filename: Option<&str>,
        is_picture: bool,
    ) -> Option<(&'static str, Value)> {
        let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
        source(text, filename, is_picture).map(|s| match s {
            Source::Image(bytes) => ("image", json(bytes)),
            Source::Document(bytes) => ("document", json(bytes)),
        })
    }

    #[test]
    fn media_types_are_spelt_as_anthropic_has_them() {
        let jpeg = json!({"type": "base64", "media_type": "image/jpeg", "data": "/9j/AA=="});
        for url in [
            "data:image/jpg;base64,/9j/AA==",
            "DATA:Image/JPEG;charset=x;BASE64,/9j/AA==",
            "/9j/AA==",
            "data:application/octet-stream;base64,/9j/AA==",
        ] {
            assert_eq!(
                block(url, None, true),
                Some(("image", jpeg.clone())),
                "{url}"
            );
        }
        for spelt in [
            "data:image/jpeg;base64,/9j/\nAA==",
            "data:image/jpeg;base64,_9j_AA",
            "data:image/jpeg;base64, /9j/AA",
        ] {
            assert_eq!(
                block(spelt, None, true).unwrap().1["data"],
                "/9j/AA==",
                "{spelt}"
            );
        }
        assert_eq!(
            block("https://x/y.png", None, true).unwrap().1,
            json!({"type": "url", "url": "https://x/y.png"})
        );
        assert_eq!(
            block("data:image/png;base64,iVBORw", None, false)
                .unwrap()
                .0,
            "image",
            "a picture that came as a file"
        );
        for kind in ["image/svg+xml", "image/bmp", "audio/mp3", "application/zip"] {
            assert_eq!(
                block(&format!("data:{kind};base64,AAAA"), None, true),
                None,
                "{kind}"
            );
        }
    }

    #[test]
    fn text_goes_as_text_and_pdf_as_it_is() {
        let text = json!({"type": "text", "media_type": "text/plain", "data": "a,b\n1,é"});
        for kind in ["text/csv", "TEXT/plain;charset=utf-8", "application/json"] {
            assert_eq!(
                block(&format!("data:{kind};base64,YSxiCjEsw6k="), None, false),
                Some(("document", text.clone())),
                "{kind}"
            );
        }
        assert_eq!(
            block("YSxiCjEsw6k=", Some("a.CSV"), false),
            Some(("document", text))
        );
        assert_eq!(
            block("JVBERi0xLjQ=", None, false).unwrap().1["media_type"],
            "application/pdf"
        );
        assert_eq!(
            block("//////8=", Some("a.txt"), false),
            None,
            "what is no text is not sent as text"
        );
    }
}
