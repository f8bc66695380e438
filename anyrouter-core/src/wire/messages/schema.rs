//! JSON schemas in the form that Anthropic accepts: the schema of a tool has the type `object` and
//! no alternatives at the top level; the schema of an output forbids additional members and has no
//! bounds. Source of the latter: the schema transformation of Anthropic's Python SDK (2026-08).
//! Constraints that are not accepted go into the description, so that the model still reads them.

use serde_json::{Map, Value, json};

/// Returns an accepted schema for a tool's input, and true if it keeps every constraint; `None` if
/// the client's schema needs no change.
pub(super) fn of_tool(schema: &Value) -> Option<(Value, bool)> {
    const ALTERNATIVES: [&str; 3] = ["anyOf", "oneOf", "allOf"];
    let Some(object) = schema.as_object() else {
        return Some((json!({"type": "object", "properties": {}}), false));
    };
    let has_alternatives = ALTERNATIVES.iter().any(|name| object.contains_key(*name));
    if object.get("type").and_then(Value::as_str) == Some("object") && !has_alternatives {
        return None;
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), json!("object"));
    out.extend(
        object
            .iter()
            .filter(|(n, _)| *n != "type" && !ALTERNATIVES.contains(&n.as_str()))
            .map(|(n, v)| (n.clone(), v.clone())),
    );
    for name in ALTERNATIVES {
        let branches = || {
            object
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        for (name, property) in branches()
            .filter_map(|b| b.get("properties")?.as_object())
            .flatten()
        {
            if let Some(all) = out
                .entry("properties")
                .or_insert_with(|| json!({}))
                .as_object_mut()
            {
                all.entry(name.clone()).or_insert_with(|| property.clone());
            }
        }
        let required = |branch: &Value| {
            branch
                .get("required")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let mut all = branches().map(required);
        // A member is required only if every alternative requires it.
        let demanded = match name {
            "allOf" => Some(all.flatten().collect::<Vec<_>>()),
            _ => all.next().map(|first| {
                all.fold(first, |known, more| {
                    known.into_iter().filter(|r| more.contains(r)).collect()
                })
            }),
        };
        for member in demanded.into_iter().flatten() {
            let known = out.entry("required").or_insert_with(|| json!([]));
            if let Some(known) = known.as_array_mut().filter(|k| !k.contains(&member)) {
                known.push(member);
            }
        }
    }
    out.entry("properties").or_insert_with(|| json!({}));
    let is_kept = !has_alternatives && object.get("type").is_none_or(|t| t == "object");
    Some((Value::Object(out), is_kept))
}

/// Members of a schema that are kept unchanged.
const KEPT: [&str; 10] = [
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "title",
];
/// Accepted string formats, besides `uuid`.
const FORMATS: [&str; 9] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
];

/// Maximum depth of the transformation; deeper parts stay unchanged.
const DEPTH: usize = 64;

/// Returns an accepted schema for an output.
pub(super) fn of_output(schema: &Value) -> Value {
    transformed(schema, DEPTH)
}

fn transformed(schema: &Value, depth: usize) -> Value {
    let Some(object) = schema.as_object().filter(|_| depth > 0) else {
        return schema.clone();
    };
    let below = |value: &Value| transformed(value, depth - 1);
    let each = |map: &Map<String, Value>| {
        map.iter()
            .map(|(n, v)| (n.clone(), below(v)))
            .collect::<Map<_, _>>()
    };
    let (mut out, mut said) = (Map::new(), Map::new());
    for (name, value) in object {
        let taken = match (name.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(all)) => {
                Some((name.as_str(), Value::Object(each(all))))
            }
            ("oneOf" | "anyOf", Value::Array(all)) => {
                Some(("anyOf", all.iter().map(below).collect()))
            }
            ("allOf", Value::Array(all)) => Some(("allOf", all.iter().map(below).collect())),
            ("items", value) => Some(("items", below(value))),
            ("format", Value::String(format))
                if FORMATS.contains(&format.as_str()) || format == "uuid" =>
            {
                Some(("format", value.clone()))
            }
            ("minItems", Value::Number(n)) if n.as_u64().is_some_and(|n| n <= 1) => {
                Some(("minItems", value.clone()))
            }
            ("const", value) => Some(("enum", json!([value]))),
            ("additionalProperties" | "description" | "$schema" | "$id", _) => None,
            (kept, value) if KEPT.contains(&kept) => Some((kept, value.clone())),
            (other, value) => {
                said.insert(other.to_owned(), value.clone());
                None
            }
        };
        if let Some((name, value)) = taken {
            out.insert(name.to_owned(), value);
        }
    }
    let description = object
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = match (description.is_empty(), said.is_empty()) {
        (_, true) => description.to_owned(),
        (true, false) => Value::Object(said).to_string(),
        (false, false) => format!("{description} {}", Value::Object(said)),
    };
    if !description.is_empty() {
        out.insert("description".to_owned(), description.into());
    }
    let is_object = object.get("type").is_some_and(|t| {
        t == "object" || t.as_array().is_some_and(|t| t.contains(&json!("object")))
    });
    if is_object || object.contains_key("properties") {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_schema_gets_its_type_and_loses_alternatives_at_the_top() {
        assert_eq!(
            of_tool(&json!({"type": "object", "properties": {"a": {"anyOf": []}}})),
            None
        );
        assert_eq!(
            of_tool(&json!({"properties": {"a": {}}})),
            Some((json!({"type": "object", "properties": {"a": {}}}), true))
        );
        assert_eq!(
            of_tool(&json!({})),
            Some((json!({"type": "object", "properties": {}}), true))
        );
        let (schema, is_kept) = of_tool(&json!({"anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "k": {}}, "required": ["k", "a"]},
            {"type": "object", "properties": {"b": {"type": "number"}, "k": {}}, "required": ["k"]}]}))
        .unwrap();
        assert_eq!(
            schema["properties"],
            json!({"a": {"type": "string"}, "k": {}, "b": {"type": "number"}})
        );
        assert_eq!(
            (&schema["type"], &schema["required"], is_kept),
            (&json!("object"), &json!(["k"]), false)
        );
        assert_eq!(
            of_tool(&json!(true)),
            Some((json!({"type": "object", "properties": {}}), false))
        );
        assert_eq!(
            of_tool(&json!({"type": ["object", "null"]})).unwrap().0["type"],
            "object"
        );
    }

    #[test]
    fn an_outputs_schema_is_closed_and_bounds_are_told_in_words() {
        let schema = of_output(&json!({
            "$schema": "x", "type": "object", "additionalProperties": true,
            "properties": {
                "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "a count"},
                "l": {"type": "array", "minItems": 3, "items": {"type": "object", "properties": {}}},
                "s": {"type": "string", "pattern": "^a", "format": "email"},
                "o": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
                "c": {"const": "x"}},
            "required": ["n"]}));
        assert_eq!(
            schema,
            json!({
                "type": "object", "additionalProperties": false, "required": ["n"],
                "properties": {
                    "n": {"type": "integer", "description": "a count {\"minimum\":1,\"maximum\":9}"},
                    "l": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": false}, "description": "{\"minItems\":3}"},
                    "s": {"type": "string", "format": "email", "description": "{\"pattern\":\"^a\"}"},
                    "o": {"anyOf": [{"type": "string", "description": "{\"maxLength\":3}"}, {"type": "null"}]},
                    "c": {"enum": ["x"]}}})
        );
    }
}
