//! Google's schemas as JSON schemas: a subset of OpenAPI with types in capital letters and `nullable`.

use serde_json::{Value, json};

/// Google's names in `snake_case`.
const NAMES: [(&str, &str); 8] = [
    ("additional_properties", "additionalProperties"),
    ("any_of", "anyOf"),
    ("max_items", "maxItems"),
    ("max_length", "maxLength"),
    ("max_properties", "maxProperties"),
    ("min_items", "minItems"),
    ("min_length", "minLength"),
    ("min_properties", "minProperties"),
];

/// Converts a schema and those within it.
pub(super) fn json_schema(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let is_nullable = members.get("nullable") == Some(&json!(true));
    members
        .iter()
        .filter(|(name, value)| {
            !matches!(
                name.as_str(),
                "nullable" | "propertyOrdering" | "property_ordering"
            ) && **value != "TYPE_UNSPECIFIED"
        })
        .map(|(name, value)| {
            let name = NAMES
                .iter()
                .find(|(snake, _)| snake == name)
                .map_or(name.as_str(), |(_, camel)| camel);
            let value = match (name, value) {
                ("type", Value::String(kind)) if is_nullable => {
                    json!([kind.to_ascii_lowercase(), "null"])
                }
                ("type", Value::String(kind)) => kind.to_ascii_lowercase().into(),
                ("enum", Value::Array(values)) if is_nullable => {
                    let mut values = values.clone();
                    values.push(Value::Null);
                    values.into()
                }
                ("properties" | "$defs" | "defs", Value::Object(inner)) => inner
                    .iter()
                    .map(|(name, schema)| (name.clone(), json_schema(schema)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(inner)) => {
                    let null = is_nullable.then(|| json!({"type": "null"}));
                    inner.iter().map(json_schema).chain(null).collect()
                }
                ("items" | "additionalProperties", schema) => json_schema(schema),
                // Google writes 64-bit numbers as strings.
                (
                    "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
                    | "maxProperties",
                    Value::String(number),
                ) => number
                    .parse::<u64>()
                    .map_or_else(|_| value.clone(), Value::from),
                _ => value.clone(),
            };
            (name.to_owned(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_nulls_are_those_of_json_schema() {
        let google = json!({"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": true, "maxLength": "9"}, "b": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}]}}}, "propertyOrdering": ["type"]});
        assert_eq!(
            json_schema(&google),
            json!({"type": "object", "properties": {"type": {"type": ["string", "null"], "maxLength": 9}, "b": {"type": "array", "items": {"anyOf": [{"type": "integer"}]}}}})
        );
    }
}
