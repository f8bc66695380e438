//! Checks of client strings that are stored or shown: names of models, ids, given names. Each kind
//! has its own grammar, defined only here, so that a prompt or a key in their place is neither
//! stored nor repeated (P01, P07).

use std::borrow::Cow;

use crate::{
    key::looks_like_a_key,
    redact::{Engine, Kind, Label, PlaceholderKey},
    wire::error::ApiError,
};

/// Maximum length of a model's name that is kept as it is, in bytes.
const MODEL: usize = 128;
/// Maximum length of an id that is kept as it is, in bytes.
const ID: usize = 256;
/// Maximum length of a given name, in characters.
const GIVEN: usize = 100;

/// The checks for one account. A string that fails becomes a hash under the account's key, or is
/// dropped if the instance has no key.
#[derive(Clone, Copy, Debug)]
pub struct Identifiers<'a> {
    instance: Option<&'a PlaceholderKey>,
    account: &'a str,
}

impl<'a> Identifiers<'a> {
    /// Creates the checks for an account, whose key is derived from the instance's.
    pub fn new(instance: Option<&'a PlaceholderKey>, account: &'a str) -> Self {
        Self { instance, account }
    }

    /// Returns a model's name as stored and shown: trimmed, if it has the form of a model's name
    /// and is not a key; otherwise its length and a hash.
    pub fn model<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:@/~+[]-".contains(&b);
        let bare = name.trim();
        let fits = !bare.is_empty() && bare.len() <= MODEL && bare.bytes().all(legal);
        if fits && !holds_secret(bare) {
            return bare.into();
        }
        let length = name.len();
        match self.hashed("model", name) {
            Some(hash) => format!("not-a-model:{length}-bytes:{hash}").into(),
            None => format!("not-a-model:{length}-bytes").into(),
        }
    }

    /// Returns the id of a session, a trace or an app: unchanged if it has the form of an id and
    /// holds no personal data, otherwise a hash.
    pub fn id<'n>(&self, id: &'n str) -> Option<Cow<'n, str>> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:@/-".contains(&b);
        let fits = !id.is_empty() && id.len() <= ID && id.bytes().all(legal);
        if fits && !looks_like_a_key(id) && Engine::builtin().find(id).is_empty() {
            return Some(id.into());
        }
        self.hashed("id", id).map(Into::into)
    }

    /// Returns the client's name for its end user, always as a hash.
    pub fn user(&self, user: &str) -> Option<String> {
        self.hashed("user", user)
    }

    /// Returns the client's name for a conversation, always as a hash.
    pub fn conversation(&self, name: &str) -> Option<String> {
        self.hashed("conversation", name)
    }

    fn hashed(&self, kind: &str, text: &str) -> Option<String> {
        // The account's key is derived only on demand: most requests need none.
        self.instance
            .map(|key| key.derive(self.account, None).hash(kind, text))
    }
}

/// Checks a name that a person gives to a key or a preset: it must not be a key or contain control
/// characters. `param` is the member that holds the name.
pub fn check_given_name(param: &str, name: &str) -> Result<(), ApiError> {
    let problem = if name.trim().is_empty() || name.chars().count() > GIVEN {
        format!("`{param}` must have from 1 to {GIVEN} characters")
    } else if name.chars().any(is_control) {
        format!("`{param}` has control characters; send plain text")
    } else if holds_secret(name) {
        format!("`{param}` reads like a key; a name must not be a secret")
    } else {
        return Ok(());
    };
    let mut error = ApiError::new(400, "invalid_parameter", problem);
    error.param = Some(param.to_owned());
    Err(error)
}

/// Returns true if a terminal or a page could interpret a character instead of showing it: control
/// characters, invisible ones, and those that change the direction of text.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns true if a text contains a key or another secret.
fn holds_secret(text: &str) -> bool {
    // This runs for the model of every request. A name without an at sign, many digits or a long
    // run of letters and digits is not a secret.
    if is_plainly_harmless(text.as_bytes()) {
        return false;
    }
    let secret = |label: &Label| {
        matches!(
            label,
            Label::Known(
                Kind::Secret
                    | Kind::PrivateKey
                    | Kind::Jwt
                    | Kind::Password
                    | Kind::CreditCard
                    | Kind::Email
            )
        )
    };
    looks_like_a_key(text)
        || Engine::builtin()
            .find(text)
            .iter()
            .any(|f| secret(&f.label))
}

/// Returns true if a text has no at sign, few digits and no long run of letters and digits.
fn is_plainly_harmless(text: &[u8]) -> bool {
    let (mut digits, mut run) = (0, 0);
    for byte in text {
        digits += usize::from(byte.is_ascii_digit());
        run = if byte.is_ascii_alphanumeric() {
            run + 1
        } else {
            0
        };
        if *byte == b'@' || digits >= 8 || run >= 12 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static INSTANCE: LazyLock<PlaceholderKey> =
        LazyLock::new(|| PlaceholderKey::from_bytes([3; 32]));

    fn identifiers() -> Identifiers<'static> {
        Identifiers::new(Some(&INSTANCE), "account")
    }

    const KEY: &str = "sk-ar-v1-0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_models_name_is_kept_and_a_prompt_or_a_key_in_its_place_is_not() {
        for name in [
            "anthropic/claude-sonnet-4.6",
            "@preset/mine",
            "~openai/gpt-latest",
            "lab/x[1m]",
            "meta-llama/Llama-3.3-70B:free",
        ] {
            assert_eq!(identifiers().model(name), name);
            assert_eq!(identifiers().model(&format!(" {name}\n")), name);
        }
        for name in [
            "tell me a story",
            KEY,
            "ak_0123456789abcdef0123456789abcdef",
            &format!("x{KEY}"),
            &format!("my_{KEY}"),
            "",
            &"x".repeat(129),
            "größe",
            "a\u{1b}[31m",
            "jane@example.com",
        ] {
            let kept = identifiers().model(name);
            assert!(
                kept.starts_with(&format!("not-a-model:{}-bytes:", name.len())),
                "{name}: {kept}"
            );
            assert_eq!(identifiers().model(name), kept, "the same each time");
        }
    }

    #[test]
    fn an_id_is_kept_unless_it_holds_something_of_a_persons() {
        for id in [
            "session-42",
            "7f3c1e0a-3c7b-4d1e-9f00-1b2c3d4e5f60",
            "user:4711/chat@2",
        ] {
            assert_eq!(identifiers().id(id).unwrap(), id);
        }
        for id in [
            "jane@example.com",
            &format!("session-{KEY}"),
            &format!("s{KEY}"),
            "user_ak_0123456789abcdef0123456789abcdef",
            KEY,
            "what I said",
            "a\nb",
            &"x".repeat(257),
            "4111111111111111",
        ] {
            let kept = identifiers().id(id).unwrap();
            assert!(kept.starts_with("id_") && kept.len() == 15, "{id}: {kept}");
        }
        assert_eq!(Identifiers::new(None, "a").id("what I said"), None);
        assert!(identifiers().user("u1").unwrap().starts_with("user_"));
        assert_ne!(
            identifiers().user("u"),
            Identifiers::new(Some(&INSTANCE), "other").user("u")
        );
    }

    #[test]
    fn a_given_name_is_text_and_no_key() {
        for name in ["my laptop", "Büro 2 — CI", "日本語"] {
            assert!(check_given_name("name", name).is_ok(), "{name}");
        }
        for name in [
            "",
            " ",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\nb",
            KEY,
            &"x".repeat(101),
        ] {
            assert_eq!(
                check_given_name("name", name).unwrap_err().param.as_deref(),
                Some("name"),
                "{name}"
            );
        }
    }
}
