//! Errors of a configuration, with their places.

use std::{fmt, path::PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not readable.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A setting is invalid.
    #[error("{place}: {problem}")]
    Invalid {
        /// The file and the line, or the environment variable.
        place: String,
        /// Fault and its correction.
        problem: String,
    },
}

pub(super) fn invalid(place: &str, problem: &dyn fmt::Display) -> ConfigError {
    ConfigError::Invalid {
        place: place.to_owned(),
        problem: problem.to_string(),
    }
}

/// Rewrites a serde message without Rust terms and without the offending value, which may be a
/// secret or a prompt.
pub fn without_values(message: &str) -> String {
    let (found, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    // The line and column of a document belong to the place, not to what was expected.
    let expected = expected.split(" at line ").next().unwrap_or_default();
    if found.starts_with("unknown variant") {
        return format!("unknown value; expected {expected}");
    }
    if found.starts_with("invalid type: ")
        || found.starts_with("invalid value: ")
        || found.starts_with("invalid length ")
    {
        return format!("it must be {}", kind(expected));
    }
    message.to_owned()
}

/// Translates the type that serde expects into plain words.
fn kind(expected: &str) -> String {
    let bare = expected.trim_start_matches("a ").trim_start_matches("an ");
    match bare {
        "bool" | "boolean" => "true or false",
        "string" | "borrowed string" | "str" | "character" => "a string",
        "sequence" => "a list",
        "map" | "struct" => "an object",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "nonzero u64" | "nonzero usize" => {
            "a whole number, 0 or above"
        }
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "integer" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" | "null" | "Option" => "left out",
        _ if bare.starts_with("struct ") => "an object",
        _ if bare.starts_with("tuple ") || bare.starts_with("array ") => "a list",
        _ => return expected.to_owned(),
    }
    .to_owned()
}
