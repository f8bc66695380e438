//! Prompt cache marks (`cache_control`).

use crate::part::Part as _;
use crate::wire::{
    adjust::Adjustments,
    json::{Member, members, push_member},
    provider_error::token_of,
};

/// Maximum number of prompt cache marks in a request.
pub(super) const CACHE_MARKS: usize = 4;

/// Maximum nesting depth of a mark.
const DEPTH: usize = 8;

/// Appends a prompt cache mark. If there are too many, the last ones are kept, since they cover the
/// most text.
pub(super) fn push_cache_control(
    out: &mut Vec<u8>,
    cache_control: Option<&[u8]>,
    adjusted: &mut Adjustments,
) {
    if let Some(cache) = cache_control {
        if adjusted.cache_marks_over > 0 {
            adjusted.cache_marks_over -= 1;
            adjusted.omit("cache_control");
            return;
        }
        // A mark is only a hint: members that Anthropic does not accept are omitted, not refused.
        let Ok(members) = members(cache, DEPTH) else {
            return adjusted.omit("cache_control");
        };
        let takes = |m: &Member| {
            let value = m.value(cache);
            m.is(cache, "type") && value == b"\"ephemeral\""
                || m.is(cache, "ttl") && matches!(value, b"\"5m\"" | b"\"1h\"")
        };
        if !members.iter().any(|m| m.is(cache, "type") && takes(m)) {
            return adjusted.omit("cache_control");
        }
        push_member(out, b"\"cache_control\"");
        if members.iter().all(takes) {
            out.extend_from_slice(cache);
            return;
        }
        let mut before = b'{';
        for member in &members {
            if takes(member) {
                out.push(std::mem::replace(&mut before, b','));
                out.extend_from_slice(cache.part(member.name.start..member.value.end));
            } else {
                let name = member.decoded_name(cache).as_deref().and_then(token_of);
                adjusted.omit(format!(
                    "cache_control.{}",
                    name.as_deref().unwrap_or("member")
                ));
            }
        }
        out.push(b'}');
    }
}
