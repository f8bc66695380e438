//! The arguments of a call that arrive in pieces, as Vertex streams them: values with their places.

use serde_json::{Map, Value};

use super::event::PartialArg;

/// A call whose arguments are not complete.
#[derive(Debug)]
pub(super) struct Partial {
    /// Id, as JSON.
    pub(super) id: String,
    /// Name, as JSON.
    pub(super) name: String,
    pub(super) arguments: Value,
    /// The number of values that were created.
    pub(super) created: usize,
}

/// Maximum number of values in the arguments.
const VALUES: usize = 1 << 16;
/// Maximum nesting depth of the arguments.
const DEPTH: usize = 64;

impl Partial {
    /// Adds a piece. Pieces of a string are joined. Returns `None` if the place is out of bounds.
    pub(super) fn add(&mut self, piece: &PartialArg<'_>) -> Option<()> {
        let place = place(&mut self.arguments, &piece.json_path, &mut self.created)?;
        match (&piece.string_value, place) {
            (Some(text), Value::String(begun)) => begun.push_str(text),
            (Some(text), place) => *place = text.clone().into_owned().into(),
            (None, place) => {
                *place = match (&piece.number_value, piece.bool_value) {
                    (Some(number), _) => Value::Number(number.clone()),
                    (None, Some(value)) => value.into(),
                    (None, None) => Value::Null,
                };
            }
        }
        Some(())
    }
}

/// Returns the value at a path such as `$.a.b[0]`, which is created if it is not there.
fn place<'v>(value: &'v mut Value, path: &str, created: &mut usize) -> Option<&'v mut Value> {
    let mut at = value;
    let steps = steps(path);
    if steps.len() > DEPTH {
        return None;
    }
    for step in steps {
        *created += 1;
        if *created > VALUES {
            return None;
        }
        at = match step {
            Step::Member(name) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                at.as_object_mut()?.entry(name).or_insert(Value::Null)
            }
            Step::Item(index) => {
                if !at.is_array() {
                    *at = Value::Array(Vec::new());
                }
                let items = at.as_array_mut()?;
                if items.len() <= index {
                    *created = created.saturating_add(index - items.len());
                    if *created > VALUES {
                        return None;
                    }
                    items.resize(index + 1, Value::Null);
                }
                items.get_mut(index)?
            }
        };
    }
    Some(at)
}

enum Step {
    Member(String),
    Item(usize),
}

/// Reads a path of members and items (RFC 9535, without its filters).
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (inner, end) = match quote {
                Some(quote) => (inner.get(1..).unwrap_or_default(), format!("{quote}]")),
                None => (inner, "]".to_owned()),
            };
            let (name, after) = inner.split_once(&end).unwrap_or((inner, ""));
            steps.push(match name.parse() {
                Ok(index) if quote.is_none() => Step::Item(index),
                _ => Step::Member(name.to_owned()),
            });
            rest = after;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            if !name.is_empty() {
                steps.push(Step::Member(name.to_owned()));
            }
            rest = after;
            if name.is_empty() && !rest.starts_with(['.', '[']) {
                break;
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stand_at_their_places_and_pieces_of_a_string_are_joined() {
        let mut partial = Partial {
            id: String::new(),
            name: String::new(),
            arguments: json!({}),
            created: 0,
        };
        for piece in [
            r#"{"jsonPath":"$.city","stringValue":"Bos"}"#,
            r#"{"jsonPath":"$.city","stringValue":"ton"}"#,
            r#"{"jsonPath":"$.days[1].n","numberValue":3}"#,
            r#"{"jsonPath":"$['a.b']","boolValue":true}"#,
            r#"{"jsonPath":"$.none","nullValue":"NULL_VALUE"}"#,
            r#"{"jsonPath":"$.far[99999999]","numberValue":1}"#,
            r#"{"jsonPath":"$..","numberValue":1}"#,
        ] {
            let added = partial.add(&serde_json::from_str(piece).unwrap());
            if piece.contains("far") {
                assert_eq!(added, None);
                let expected = json!({"city": "Boston", "days": [null, {"n": 3}], "a.b": true, "none": null, "far": []});
                assert_eq!(partial.arguments, expected);
            }
        }
    }

    #[test]
    fn a_path_makes_no_more_than_a_bounded_number_of_values() {
        for path in [
            format!("${}", ".a".repeat(10_000)),
            format!("${}", "[65535]".repeat(60)),
        ] {
            let mut partial = Partial {
                id: String::new(),
                name: String::new(),
                arguments: json!({}),
                created: 0,
            };
            let piece = json!({"jsonPath": path, "stringValue": "x"}).to_string();
            assert_eq!(partial.add(&serde_json::from_str(&piece).unwrap()), None);
        }
    }
}
