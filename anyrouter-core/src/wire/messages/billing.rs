//! The billing line that Claude Code sends as the first text of `system`. It describes the client, not
//! the task, so no provider gets it unless the account allows it (P06). Anthropic strips it as well.
//! Source: Claude Code 2.1.197 and 2.1.332, observed.

use memchr::memmem;

use crate::wire::{
    client_metadata::BILLING,
    json::{objects, push_comma, push_member, push_string},
};

/// Maximum nesting depth of `system`, which was already scanned within a lower limit.
const DEPTH: usize = 1024;

/// Returns `system` without the billing line; `None` if it has none. The other blocks keep their
/// bytes, so that the prompt cache stays valid.
pub(super) fn without_billing(system: &[u8]) -> Option<Vec<u8>> {
    memmem::find(system, BILLING.as_bytes())?;
    let mut out = Vec::with_capacity(system.len());
    if let Ok(text) = serde_json::from_slice::<String>(system) {
        push_string(&mut out, rest_of(&text)?);
        return Some(out);
    }
    let blocks = objects(system, DEPTH).ok()?;
    let first: String = blocks.first()?.read("text").ok()??;
    let rest = rest_of(&first)?;
    out.push(b'[');
    for (b, block) in blocks.iter().enumerate() {
        if b > 0 {
            push_comma(&mut out);
            out.extend_from_slice(block.raw());
        } else if !rest.is_empty() {
            out.push(b'{');
            for (name, (quoted, value)) in block.members() {
                push_member(&mut out, quoted);
                if name == "text" {
                    push_string(&mut out, rest);
                } else {
                    out.extend_from_slice(value);
                }
            }
            out.push(b'}');
        }
    }
    out.push(b']');
    Some(out)
}

/// Returns the lines after the billing line, if `text` begins with it.
pub(super) fn rest_of(text: &str) -> Option<&str> {
    text.starts_with(BILLING)
        .then(|| text.split_once('\n').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(system: &str) -> Option<String> {
        without_billing(system.as_bytes()).map(|s| String::from_utf8(s).unwrap())
    }

    #[test]
    fn only_the_billing_line_goes_and_the_rest_keeps_its_bytes() {
        let rest = r#"{"type":"text","text":"Be \u006bind.","cache_control":{"type":"ephemeral"}}"#;
        let system = format!(
            r#"[ {{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=1;"}} , {rest} ]"#
        );
        assert_eq!(without(&system).unwrap(), format!("[{rest}]"));
        assert_eq!(
            without(r#""x-anthropic-billing-header: a;\nBe kind.""#).unwrap(),
            "\"Be kind.\""
        );
        assert_eq!(
            without(
                r#"[{"type":"text","text":"x-anthropic-billing-header: a;\nBe kind.","cache_control":null}]"#
            )
            .unwrap(),
            r#"[{"type":"text","text":"Be kind.","cache_control":null}]"#
        );
        for kept in [
            format!("[{rest}]"),
            r#""What is x-anthropic-billing-header: for?""#.to_owned(),
            format!(r#"[{rest}, {{"type":"text","text":"x-anthropic-billing-header: later"}}]"#),
        ] {
            assert_eq!(without(&kept), None, "the text of a prompt is not edited");
        }
    }
}
