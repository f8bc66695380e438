//! Captions of JSON values: names for values whose own member does not describe them. A caption is
//! the name beside the value, as in `{"name": "DB_PASSWORD", "value": "…"}`, the list that contains
//! it, as in `"phone_numbers": [{"value": "…"}]`, or the heading of its column, as in
//! `{"columns": […], "rows": [[…]]}`.

use std::{collections::HashMap, hash::BuildHasher};

use super::json::{LeafKind, Step, unescape, walk};
use crate::part::Part as _;

/// Members that name a value beside them, in order of precedence.
const NAMES: [&str; 12] = [
    "name",
    "key",
    "parameterkey",
    "field",
    "fieldname",
    "header",
    "variable",
    "property",
    "attribute",
    "label",
    "system",
    "type",
];
/// Members that hold the named value.
const VALUES: [&str; 8] = [
    "value",
    "parametervalue",
    "val",
    "stringvalue",
    "secretvalue",
    "plaintext",
    "text",
    "answer",
];
/// Members that hold column names, and members that hold rows.
const COLUMNS: [&str; 7] = [
    "columns",
    "fields",
    "header",
    "headers",
    "cols",
    "column_names",
    "columnnames",
];
const ROWS: [&str; 6] = ["rows", "values", "data", "records", "body", "results"];

/// Captions by the byte offset of their leaf.
pub(crate) type Captions = HashMap<usize, String, foldhash::fast::FixedState>;

/// A value that may have a caption.
struct Value {
    start: usize,
    /// The place of its caption.
    place: Place,
    /// The name of the list that contains it.
    list: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// In this object.
    Beside(u64),
    /// In the heading of a column of this object, or in the first row of this list.
    Column(u64, usize),
}

/// Returns the captions of a document.
pub(crate) fn captions(json: &str) -> Captions {
    let mut captions = Captions::default();
    if !may_hold(json) {
        return captions;
    }
    let mut names: HashMap<Place, (usize, String), foldhash::fast::FixedState> = HashMap::default();
    let mut values = Vec::new();
    let _ = walk(json, |leaf| {
        if leaf.kind == LeafKind::Name {
            return;
        }
        let Some(content) = json.get(leaf.range.clone()) else {
            return;
        };
        let start = leaf.range.start;
        let mut name = |place: Place, rank: usize| {
            if leaf.kind == LeafKind::String
                && content.len() <= 96
                && names.get(&place).is_none_or(|(other, _)| rank < *other)
            {
                names.insert(place, (rank, last_part(&unescape(content)).to_owned()));
            }
        };
        match leaf.path {
            [
                ..,
                list @ Step::Member(_),
                Step::Item(row),
                Step::Item(column),
            ] => {
                let around = leaf.path.part(..leaf.path.len() - 3);
                let whole = leaf.path.part(..leaf.path.len() - 2);
                if *row == 0 {
                    name(Place::Column(id(whole), *column), 1);
                }
                if is_one(*list, &ROWS) {
                    values.push(Value {
                        start,
                        place: Place::Column(id(around), *column),
                        list: None,
                    });
                }
                if *row > 0 {
                    values.push(Value {
                        start,
                        place: Place::Column(id(whole), *column),
                        list: None,
                    });
                }
            }
            [Step::Item(0), Step::Item(column)] => name(Place::Column(id(&[]), *column), 1),
            [Step::Item(_), Step::Item(column)] => values.push(Value {
                start,
                place: Place::Column(id(&[]), *column),
                list: None,
            }),
            [around @ .., list @ Step::Member(_), Step::Item(column)]
                if is_one(*list, &COLUMNS) =>
            {
                name(Place::Column(id(around), *column), 0);
            }
            [
                around @ ..,
                list @ Step::Member(_),
                Step::Item(column),
                Step::Member("name" | "field" | "label"),
            ] if is_one(*list, &COLUMNS) => {
                name(Place::Column(id(around), *column), 0);
            }
            // `{"password": {"value": "…"}}`, and DynamoDB's `{"password": {"S": "…"}}`.
            [.., Step::Member(parent), Step::Member("S" | "N")] => {
                captions.insert(start, (*parent).to_owned());
            }
            [object @ .., member @ Step::Member(own)] => {
                if is_one(*member, &VALUES) {
                    let list = object.iter().rev().find_map(|s| {
                        if let Step::Member(list) = s {
                            Some(*list)
                        } else {
                            None
                        }
                    });
                    // Only a string or a value in an item takes a list's name; `text` never does.
                    let list = list.filter(|_| {
                        matches!(object.last(), Some(Step::Item(_)))
                            || leaf.kind == LeafKind::String
                    });
                    let list = list.filter(|_| !own.eq_ignore_ascii_case("text"));
                    values.push(Value {
                        start,
                        place: Place::Beside(id(object)),
                        list: list.map(|l| l.trim_end_matches('s').to_owned()),
                    });
                } else if let Some(rank) = NAMES.iter().position(|n| own.eq_ignore_ascii_case(n)) {
                    name(Place::Beside(id(object)), rank);
                }
            }
            _ => {}
        }
    });
    for Value { start, place, list } in values {
        let name = names.get(&place).map(|(_, name)| name.clone()).or(list);
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            captions.entry(start).or_insert(name);
        }
    }
    captions
}

/// Returns true if a document may have captions. It runs on every document.
fn may_hold(json: &str) -> bool {
    let has = |sign: &str| memchr::memmem::find(json.as_bytes(), sign.as_bytes()).is_some();
    has("alue\"")
        || has("\"S\"")
        || has("[[")
        || has("\"val\"")
        || has("ext\"")
        || has("\"answer\"")
        || ROWS.iter().any(|r| has(r) && has("[\n"))
}

fn is_one(step: Step<'_>, names: &[&str]) -> bool {
    matches!(step, Step::Member(name) if names.iter().any(|n| name.eq_ignore_ascii_case(n)))
}

/// Returns a hash of a path.
fn id(path: &[Step<'_>]) -> u64 {
    foldhash::fast::FixedState::default().hash_one(path)
}

/// Returns the last part of a URI, as `us-ssn`, and other names unchanged.
fn last_part(name: &str) -> &str {
    if name.contains("://") || name.starts_with("urn:") {
        name.rsplit(['/', ':', '#']).next().unwrap_or(name)
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Vec<(String, String)> {
        let captions = captions(json);
        let mut all: Vec<_> = captions
            .iter()
            .map(|(start, name)| {
                let rest = json.get(*start..).unwrap();
                (
                    name.clone(),
                    rest.get(..rest.find(['"', ']', ',']).unwrap())
                        .unwrap()
                        .to_owned(),
                )
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_value_is_called_what_stands_beside_it() {
        for (json, name) in [
            (r#"{"name":"DB_PASSWORD","value":"x"}"#, "DB_PASSWORD"),
            (r#"[{"value":"x","key":"access_token"}]"#, "access_token"),
            (
                r#"{"ParameterKey":"Secret","ParameterValue":"x"}"#,
                "Secret",
            ),
            (
                r#"{"telecom":[{"system":"phone","value":"x","use":"home"}]}"#,
                "phone",
            ),
            (
                r#"{"identifier":[{"system":"http://hl7.org/fhir/sid/us-ssn","value":"x"}]}"#,
                "us-ssn",
            ),
            (
                r#"{"phone_numbers":[{"value":"x","primary":true}]}"#,
                "phone_number",
            ),
            (r#"{"columns":["ssn"],"rows":[["x"]]}"#, "ssn"),
            (
                r#"{"rows": [ [ "x" ] ], "columns": [{"name":"ssn"}], "n": [[1]]}"#,
                "ssn",
            ),
            (r#"{"values":[["ssn"],["x"]]}"#, "ssn"),
            (r#"[["ssn"],["x"]]"#, "ssn"),
            (r#"{"password":{"value":"x"}}"#, "password"),
            (r#"{"Item":{"password":{"S":"x"}}}"#, "password"),
        ] {
            assert!(
                of(json).contains(&(name.to_owned(), "x".to_owned())),
                "{json}: {:?}",
                of(json)
            );
        }
        assert_eq!(
            of(r#"{"type":"object","properties":{"name":{"value":1}}}"#),
            []
        );
    }
}
