//! Response objects, items and events, as the gateway writes them.

use super::usage::push_usage;
use crate::wire::{
    json::{push_number, push_numbers, push_string},
    meta::ResponseMeta,
    meter::Meter,
};

/// Appends the beginning of an event, up to the members of its type; `push_event_end` ends it.
pub(super) fn push_event(kind: &str, sequence: &mut u64, out: &mut Vec<u8>) {
    for part in [
        "event: ",
        kind,
        "\ndata: {\"type\":\"",
        kind,
        "\",\"sequence_number\":",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    push_number(out, *sequence);
    *sequence += 1;
}

pub(super) fn push_event_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n\n");
}

/// Appends a response object without its last brace. It has every member that the protocol requires,
/// since strict packages read them all. `reason` is why it is incomplete, and `output` the list of its
/// items.
pub(super) fn push_response(
    names: &ResponseMeta,
    (status, reason): (&str, Option<&str>),
    output: &[u8],
    meter: Option<&Meter>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"id\":");
    names.push_response_id(out);
    push_numbers(
        out,
        &[(",\"object\":\"response\",\"created_at\":", names.created)],
    );
    out.extend_from_slice(b",\"status\":");
    push_string(out, status);
    out.extend_from_slice(b",\"error\":null,\"incomplete_details\":");
    match reason {
        Some(reason) => {
            out.extend_from_slice(b"{\"reason\":");
            push_string(out, reason);
            out.push(b'}');
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"instructions\":null,\"model\":");
    push_string(out, names.model.as_str());
    out.extend_from_slice(b",\"output\":[");
    out.extend_from_slice(output);
    out.extend_from_slice(
        b"],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"store\":false,\"temperature\":null,\
        \"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,\"metadata\":{},\"usage\":",
    );
    match meter {
        Some(meter) => push_usage(&names.tokens(meter).0, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends the events with which a stream begins.
pub(super) fn push_start(names: &ResponseMeta, sequence: &mut u64, out: &mut Vec<u8>) {
    for kind in ["response.created", "response.in_progress"] {
        push_event(kind, sequence, out);
        out.extend_from_slice(b",\"response\":");
        push_response(names, ("in_progress", None), b"", None, out);
        out.push(b'}');
        push_event_end(out);
    }
}
