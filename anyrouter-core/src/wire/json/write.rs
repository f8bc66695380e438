//! Functions that append JSON to a buffer piece by piece.

use serde_json::{Value, value::RawValue};

/// Appends a number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `text` as a JSON string, with its quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // Writing to a `Vec` cannot fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Appends a quoted member name and a colon, after a comma if it is not the first member.
pub fn push_member(out: &mut Vec<u8>, quoted_name: &[u8]) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    out.extend_from_slice(quoted_name);
    out.push(b':');
}

/// Appends a comma, unless the array has just begun.
pub fn push_comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'[')) {
        out.push(b',');
    }
}

/// Appends a value.
pub fn push_value(out: &mut Vec<u8>, value: &Value) {
    // Writing to a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Appends the raw text of a value.
pub fn push_raw(out: &mut Vec<u8>, value: &RawValue) {
    out.extend_from_slice(value.get().as_bytes());
}

/// Appends formatted text.
pub fn push_format(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a `Vec` cannot fail.
    let _ = std::io::Write::write_fmt(out, text);
}

/// Appends numbers, each after its text.
pub fn push_numbers(out: &mut Vec<u8>, parts: &[(&str, u64)]) {
    for (text, number) in parts {
        out.extend_from_slice(text.as_bytes());
        push_number(out, *number);
    }
}

/// Appends JSON on one line: a line end in valid JSON is white space.
pub fn push_line(json: &[u8], out: &mut Vec<u8>) {
    out.extend(json.iter().map(|b| match b {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
}

/// Returns an object with these members. In place of `json!`, which copies the values.
pub fn object_of<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.into_iter().collect())
}
