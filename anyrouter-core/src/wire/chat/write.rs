//! Writing of the parts that all chat responses share: the start of a chunk, usage, and the end
//! of a stream.

use crate::wire::{
    json::{push_numbers, push_string},
    meta::ResponseMeta,
    meter::Meter,
};

/// Appends the beginning of a chunk, up to the value of `choices`.
pub(in crate::wire) fn push_chunk_start(names: &ResponseMeta, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: {\"id\":");
    names.push_id(out);
    push_numbers(
        out,
        &[(
            ",\"object\":\"chat.completion.chunk\",\"created\":",
            names.created,
        )],
    );
    out.extend_from_slice(b",\"model\":");
    push_string(out, names.model.as_str());
    out.extend_from_slice(b",\"provider\":");
    push_string(out, &names.provider);
    out.extend_from_slice(b",\"choices\":");
}

/// Returns the `choices` of a chunk without content. The list is empty only if the client asked for
/// the usage chunk, since the usual loop reads `chunk.choices[0]`.
pub(in crate::wire) fn no_choices(names: &ResponseMeta) -> &'static [u8] {
    if names.include_usage {
        b"[]"
    } else {
        b"[{\"index\":0,\"delta\":{},\"finish_reason\":null}]"
    }
}

/// Appends the end of a stream: one chunk with usage and metadata, and `[DONE]`. Common clients
/// read the usage from the last chunk.
pub(in crate::wire) fn push_stream_end(
    names: &ResponseMeta,
    out: &mut Vec<u8>,
    meter: &Meter,
    omitted: &[String],
) {
    push_chunk_start(names, out);
    out.extend_from_slice(no_choices(names));
    out.extend_from_slice(b",\"usage\":");
    push_usage_of(names, out, meter);
    out.extend_from_slice(b",\"anyrouter_metadata\":");
    names.push_stream_metadata(out, meter, omitted);
    out.extend_from_slice(b"}\n\ndata: [DONE]\n\n");
}

/// Appends a usage object.
pub(in crate::wire) fn push_usage_of(names: &ResponseMeta, out: &mut Vec<u8>, meter: &Meter) {
    let (t, estimated) = names.tokens(meter);
    push_numbers(
        out,
        &[
            ("{\"prompt_tokens\":", t.prompt),
            (",\"completion_tokens\":", t.completion),
            (",\"total_tokens\":", t.total()),
        ],
    );
    out.extend_from_slice(b",\"cost\":");
    names.push_cost(out, &t);
    push_numbers(
        out,
        &[
            (",\"prompt_tokens_details\":{\"cached_tokens\":", t.cached),
            (",\"cache_write_tokens\":", t.cache_write),
        ],
    );
    push_numbers(
        out,
        &[(
            "},\"completion_tokens_details\":{\"reasoning_tokens\":",
            t.reasoning,
        )],
    );
    out.extend_from_slice(if estimated {
        b"},\"estimated\":true}"
    } else {
        b"}}"
    });
}
