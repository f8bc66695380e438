//! Lookup of the line of a key in a file.

use std::path::Path;

use toml::de::{DeTable, DeValue};

/// Returns the line of a byte, counted from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// Returns the key on the line of a byte, or an empty string.
pub(super) fn key_at(text: &str, at: usize) -> String {
    let line = text.lines().nth(line(text, at) - 1).unwrap_or_default();
    line.split_once('=')
        .map(|(key, _)| key.trim().to_owned())
        .unwrap_or_default()
}

/// Returns the file and the line of a key such as `model[0].endpoint[1].provider`, or of the
/// nearest key that exists.
pub(super) fn place(path: &Path, text: &str, key: &str) -> String {
    let line = find(text, key).map_or(1, |at| line(text, at));
    format!("{}, line {line}", path.display())
}

fn find(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut value: Option<&DeValue<'_>> = None;
    for part in key.split('.') {
        let (name, index) = part.split_once('[').map_or((part, None), |(n, i)| {
            (n, i.trim_end_matches(']').parse::<usize>().ok())
        });
        let table = match value {
            None => root.get_ref(),
            Some(DeValue::Table(table)) => table,
            Some(_) => return at,
        };
        let Some((spanned_key, found)) = table.iter().find(|(k, _)| k.get_ref() == name) else {
            return at;
        };
        at = Some(spanned_key.span().start);
        value = Some(found.get_ref());
        if let (Some(index), Some(DeValue::Array(list))) = (index, value) {
            let Some(item) = list.get(index) else {
                return at;
            };
            at = Some(item.span().start);
            value = Some(item.get_ref());
        }
    }
    at
}
