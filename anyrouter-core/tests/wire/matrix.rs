//! What each pair of protocols keeps of a request, found by trying. The tables in docs/protocols.md are
//! made here: `UPDATE_GOLDEN=1` writes them anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyrouter_core::{
    catalog::{Catalog, Document, Protocol},
    wire::{adjust::Adjustments, client_metadata::Person, inbound::inbound, outbound::outbound},
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// A feature of requests: how a client of a protocol asks for it, as members that replace those of
/// a plain request, and a text that shows that it arrived. `None` if the protocol does not have it.
type Feature = fn(Protocol) -> Option<(Value, &'static str)>;

const PICTURE: &str = "UElDVFVSRQ==";
const ADDRESS: &str = "https://pictures.test/marked.png";

fn said(client: Protocol, role: &str, part: Value) -> Value {
    match client {
        Protocol::Chat | Protocol::Messages => json!({"role": role, "content": [part]}),
        Protocol::Responses => json!({"type": "message", "role": role, "content": [part]}),
        Protocol::Gemini => {
            let role = if role == "assistant" { "model" } else { role };
            json!({"role": role, "parts": [part]})
        }
    }
}

fn text(client: Protocol, role: &str, text: &str) -> Value {
    let part = match client {
        Protocol::Chat | Protocol::Messages => json!({"type": "text", "text": text}),
        Protocol::Responses if role == "assistant" => json!({"type": "output_text", "text": text}),
        Protocol::Responses => json!({"type": "input_text", "text": text}),
        Protocol::Gemini => json!({"text": text}),
    };
    said(client, role, part)
}

/// Members with this conversation.
fn turns(client: Protocol, turns: Vec<Value>) -> Value {
    let name = match client {
        Protocol::Chat | Protocol::Messages => "messages",
        Protocol::Responses => "input",
        Protocol::Gemini => "contents",
    };
    json!({ name: turns })
}

fn from_user(client: Protocol, part: Value) -> Value {
    turns(client, vec![said(client, "user", part)])
}

/// Members with a function tool with this name, and with more of its own.
fn tool(client: Protocol, name: &str, more: &Value) -> Value {
    let schema = json!({"type": "object", "properties": {"marked_property": {"type": "string"}}, "required": ["marked_property"], "additionalProperties": false});
    let mut tool = match client {
        Protocol::Chat => json!({"name": name, "parameters": schema}),
        Protocol::Responses => json!({"type": "function", "name": name, "parameters": schema}),
        Protocol::Messages => json!({"name": name, "input_schema": schema}),
        Protocol::Gemini => json!({"name": name, "parametersJsonSchema": schema}),
    };
    let members = more.as_object().unwrap().clone();
    tool.as_object_mut().unwrap().extend(members);
    match client {
        Protocol::Chat => json!({"tools": [{"type": "function", "function": tool}]}),
        Protocol::Responses | Protocol::Messages => json!({"tools": [tool]}),
        Protocol::Gemini => json!({"tools": [{"functionDeclarations": [tool]}]}),
    }
}

fn and(mut members: Value, more: &Value) -> Value {
    let more = more.as_object().unwrap().clone();
    members.as_object_mut().unwrap().extend(more);
    members
}

/// A member that chat, Responses, Messages and Gemini name so; `None` for those that lack it.
fn setting(
    client: Protocol,
    names: [Option<&str>; 4],
    value: &Value,
    mark: &'static str,
) -> Option<(Value, &'static str)> {
    let [chat, responses, messages, gemini] = names;
    let members = match client {
        Protocol::Chat => json!({chat?: value}),
        Protocol::Responses => json!({responses?: value}),
        Protocol::Messages => json!({messages?: value}),
        Protocol::Gemini => json!({"generationConfig": {gemini?: value}}),
    };
    Some((members, mark))
}

const FEATURES: [(&str, Feature); 32] = [
    ("system prompt", |c| {
        let mark = "Marked.";
        let members = match c {
            Protocol::Chat => turns(c, vec![text(c, "system", mark), text(c, "user", "Go.")]),
            Protocol::Responses => json!({"instructions": mark}),
            Protocol::Messages => json!({"system": mark}),
            Protocol::Gemini => json!({"systemInstruction": {"parts": [{"text": mark}]}}),
        };
        Some((members, mark))
    }),
    ("system message within the conversation", |c| {
        let is_there = matches!(c, Protocol::Chat | Protocol::Responses);
        let all = ["user", "assistant"].map(|role| text(c, role, "Yes."));
        let mut all = all.to_vec();
        all.extend([text(c, "system", "Marked."), text(c, "user", "Go.")]);
        is_there.then(|| (turns(c, all), "Marked."))
    }),
    ("image, data", |c| {
        let address = format!("data:image/png;base64,{PICTURE}");
        let part = match c {
            Protocol::Chat => json!({"type": "image_url", "image_url": {"url": address}}),
            Protocol::Responses => json!({"type": "input_image", "image_url": address}),
            Protocol::Messages => {
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}})
            }
            Protocol::Gemini => json!({"inlineData": {"mimeType": "image/png", "data": PICTURE}}),
        };
        Some((from_user(c, part), PICTURE))
    }),
    ("image, address", |c| {
        let part = match c {
            Protocol::Chat => json!({"type": "image_url", "image_url": {"url": ADDRESS}}),
            Protocol::Responses => json!({"type": "input_image", "image_url": ADDRESS}),
            Protocol::Messages => {
                json!({"type": "image", "source": {"type": "url", "url": ADDRESS}})
            }
            Protocol::Gemini => {
                json!({"fileData": {"mimeType": "image/png", "fileUri": ADDRESS}})
            }
        };
        Some((from_user(c, part), ADDRESS))
    }),
    ("PDF, data", |c| {
        let address = format!("data:application/pdf;base64,{PICTURE}");
        let part = match c {
            Protocol::Chat => {
                json!({"type": "file", "file": {"filename": "a.pdf", "file_data": address}})
            }
            Protocol::Responses => {
                json!({"type": "input_file", "filename": "a.pdf", "file_data": address})
            }
            Protocol::Messages => {
                json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PICTURE}})
            }
            Protocol::Gemini => {
                json!({"inlineData": {"mimeType": "application/pdf", "data": PICTURE}})
            }
        };
        Some((from_user(c, part), PICTURE))
    }),
    ("audio", |c| {
        let part = match c {
            Protocol::Chat | Protocol::Responses => {
                json!({"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}})
            }
            Protocol::Messages => return None,
            Protocol::Gemini => json!({"inlineData": {"mimeType": "audio/wav", "data": PICTURE}}),
        };
        Some((from_user(c, part), PICTURE))
    }),
    ("function", |c| {
        Some((tool(c, "marked_tool", &json!({})), "marked_property"))
    }),
    ("its `strict`", |c| {
        (c != Protocol::Gemini).then(|| {
            (
                tool(c, "marked_tool", &json!({"strict": true})),
                "\"strict\":true",
            )
        })
    }),
    ("name that some providers refuse", |c| {
        (c != Protocol::Messages).then(|| (tool(c, "marked.tool:x", &json!({})), "marked.tool:x"))
    }),
    ("tool that takes text", |c| {
        let members = match c {
            Protocol::Chat => {
                json!({"tools": [{"type": "custom", "custom": {"name": "marked_tool"}}]})
            }
            Protocol::Responses => json!({"tools": [{"type": "custom", "name": "marked_tool"}]}),
            Protocol::Messages | Protocol::Gemini => return None,
        };
        Some((members, "\"custom\""))
    }),
    ("the provider's web search", |c| {
        Some(match c {
            Protocol::Chat => (json!({"web_search_options": {}}), "web_search_options"),
            Protocol::Responses => (json!({"tools": [{"type": "web_search"}]}), "web_search"),
            Protocol::Messages => (
                json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
                "web_search_20250305",
            ),
            Protocol::Gemini => (json!({"tools": [{"googleSearch": {}}]}), "googleSearch"),
        })
    }),
    ("forced call", |c| {
        let choice = match c {
            Protocol::Chat => {
                json!({"tool_choice": {"type": "function", "function": {"name": "marked_tool"}}})
            }
            Protocol::Responses => {
                json!({"tool_choice": {"type": "function", "name": "marked_tool"}})
            }
            Protocol::Messages => json!({"tool_choice": {"type": "tool", "name": "marked_tool"}}),
            Protocol::Gemini => {
                json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["marked_tool"]}}})
            }
        };
        Some((
            and(tool(c, "marked_tool", &json!({})), &choice),
            "marked_tool",
        ))
    }),
    ("one call at a time", |c| {
        let choice = match c {
            Protocol::Chat | Protocol::Responses => json!({"parallel_tool_calls": false}),
            Protocol::Messages => {
                json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})
            }
            Protocol::Gemini => return None,
        };
        Some((and(tool(c, "f", &json!({})), &choice), "parallel_tool"))
    }),
    ("call and result", |c| {
        Some((called(c, None, false), "Result."))
    }),
    ("image in a result", |c| {
        let part = match c {
            Protocol::Responses => {
                json!({"type": "input_image", "image_url": format!("data:image/png;base64,{PICTURE}")})
            }
            Protocol::Messages => {
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}})
            }
            Protocol::Chat | Protocol::Gemini => return None,
        };
        Some((called(c, Some(part), false), PICTURE))
    }),
    ("failed result", |c| {
        (c == Protocol::Messages).then(|| (called(c, None, true), "is_error"))
    }),
    ("JSON by a schema", |c| {
        let schema = json!({"type": "object", "properties": {"marked_property": {"type": "string"}}, "required": ["marked_property"], "additionalProperties": false});
        let members = match c {
            Protocol::Chat => {
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})
            }
            Protocol::Responses => {
                json!({"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}})
            }
            Protocol::Messages => {
                json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}})
            }
            Protocol::Gemini => {
                json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}})
            }
        };
        Some((members, "marked_property"))
    }),
    ("reasoning effort", |c| {
        let members = match c {
            Protocol::Chat => json!({"reasoning_effort": "high"}),
            Protocol::Responses => json!({"reasoning": {"effort": "high"}}),
            Protocol::Messages => json!({"output_config": {"effort": "high"}}),
            Protocol::Gemini => {
                json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}})
            }
        };
        Some((members, "high"))
    }),
    ("reasoning budget", |c| {
        let members = match c {
            Protocol::Chat => json!({"reasoning": {"max_tokens": 1234}}),
            Protocol::Responses => return None,
            Protocol::Messages => json!({"thinking": {"type": "enabled", "budget_tokens": 1234}}),
            Protocol::Gemini => {
                json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1234}}})
            }
        };
        Some((members, "1234"))
    }),
    ("output limit", |c| {
        let names = [
            Some("max_tokens"),
            Some("max_output_tokens"),
            Some("max_tokens"),
            Some("maxOutputTokens"),
        ];
        setting(c, names, &json!(4321), "4321")
    }),
    ("temperature", |c| {
        let names = [Some("temperature"); 4];
        setting(c, names, &json!(0.375), "0.375")
    }),
    ("`top_p`", |c| {
        let names = [Some("top_p"), Some("top_p"), Some("top_p"), Some("topP")];
        setting(c, names, &json!(0.625), "0.625")
    }),
    ("`top_k`", |c| {
        let names = [Some("top_k"), None, Some("top_k"), Some("topK")];
        setting(c, names, &json!(1717), "1717")
    }),
    ("stop sequences", |c| {
        let names = [
            Some("stop"),
            None,
            Some("stop_sequences"),
            Some("stopSequences"),
        ];
        setting(c, names, &json!(["MARKED"]), "MARKED")
    }),
    ("seed", |c| {
        let names = [Some("seed"), None, None, Some("seed")];
        setting(c, names, &json!(424_242), "424242")
    }),
    ("penalties", |c| {
        let names = [
            Some("frequency_penalty"),
            None,
            None,
            Some("frequencyPenalty"),
        ];
        setting(c, names, &json!(0.875), "0.875")
    }),
    ("log probabilities", |c| match c {
        Protocol::Responses => Some((json!({"top_logprobs": 3}), "logprobs")),
        _ => setting(
            c,
            [Some("logprobs"), None, None, Some("responseLogprobs")],
            &json!(true),
            "ogprobs",
        ),
    }),
    ("verbosity", |c| match c {
        Protocol::Chat => Some((json!({"verbosity": "low"}), "verbosity")),
        Protocol::Responses => Some((json!({"text": {"verbosity": "low"}}), "verbosity")),
        Protocol::Messages | Protocol::Gemini => None,
    }),
    ("marks of the prompt cache", |c| {
        let part = json!({"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}});
        matches!(c, Protocol::Chat | Protocol::Messages)
            .then(|| (from_user(c, part), "cache_control"))
    }),
    ("key of the prompt cache", |c| {
        setting(
            c,
            [
                Some("prompt_cache_key"),
                Some("prompt_cache_key"),
                None,
                None,
            ],
            &json!("k"),
            "prompt_cache_key",
        )
    }),
    ("answer that the model continues", |c| {
        let all = vec![text(c, "user", "Go."), text(c, "assistant", "Marked")];
        Some((turns(c, all), "Marked"))
    }),
    ("service tier", |c| {
        setting(
            c,
            [
                Some("service_tier"),
                Some("service_tier"),
                Some("service_tier"),
                None,
            ],
            &json!("auto"),
            "service_tier",
        )
    }),
];

/// Members with a call and its result, which has this part as well.
fn called(c: Protocol, part: Option<Value>, is_error: bool) -> Value {
    let mut all = vec![text(c, "user", "Go.")];
    match c {
        Protocol::Chat => all.extend([
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"role": "tool", "tool_call_id": "call_1", "content": "Result."}),
        ]),
        Protocol::Responses => {
            let mut output = vec![json!({"type": "input_text", "text": "Result."})];
            output.extend(part);
            all.extend([
                json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}),
                json!({"type": "function_call_output", "call_id": "call_1", "output": output}),
            ]);
        }
        Protocol::Messages => {
            let mut content = vec![json!({"type": "text", "text": "Result."})];
            content.extend(part);
            let mut result = json!({"type": "tool_result", "tool_use_id": "call_1", "content": content});
            if is_error {
                result["is_error"] = json!(true);
            }
            all.extend([
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]}),
                json!({"role": "user", "content": [result]}),
            ]);
        }
        Protocol::Gemini => all.extend([
            json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}),
            json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "Result."}}}]}),
        ]),
    }
    and(tool(c, "f", &json!({})), &turns(c, all))
}

/// What a provider gets for a request, and what was left out or noted.
fn sent(client: Protocol, provider: Protocol, members: &Value) -> Option<(String, Vec<String>)> {
    let toml = format!(
        r#"
        [[provider]]
        slug = "lab"
        protocol = "{}"
        base_url = "http://x"
        [[model]]
        id = "lab/x"
        [[model.endpoint]]
        provider = "lab"
        upstream_model = "{}"
        max_output = 64000
        capabilities = ["tools", "vision", "reasoning", "structured_output"]
        "#,
        provider.name(),
        match provider {
            Protocol::Gemini => "gemini-2.5-flash",
            Protocol::Messages => "claude-sonnet-4-5",
            Protocol::Chat | Protocol::Responses => "up",
        }
    );
    let catalog = Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap();
    let plain = and(
        json!({"model": "lab/x"}),
        &turns(client, vec![text(client, "user", "Go.")]),
    );
    let plain = match client {
        Protocol::Messages => and(plain, &json!({"max_tokens": 9999})),
        Protocol::Gemini => turns(client, vec![text(client, "user", "Go.")]),
        Protocol::Chat | Protocol::Responses => plain,
    };
    let body = and(plain, members);
    let request = inbound(client, Bytes::from(body.to_string()), 64).unwrap();
    let person = Person {
        cache_key: Some("hash"),
        ..Person::default()
    };
    let mut adjusted = Adjustments::default();
    let endpoint = &catalog.endpoints()[0];
    let sent = outbound(
        provider,
        &request,
        &HeaderMap::new(),
        endpoint,
        "http://x",
        &person,
        &mut adjusted,
    );
    let sent = sent.ok()?.body.concat();
    adjusted.omitted.append(&mut adjusted.notes);
    Some((String::from_utf8(sent).unwrap(), adjusted.omitted))
}

const LOST: &str = "lost";

/// What becomes of a feature on the way to a provider, in a word.
fn outcome(client: Protocol, provider: Protocol, (name, feature): (&str, Feature)) -> &'static str {
    let Some((members, mark)) = feature(client) else {
        return "–";
    };
    let Some((with, named)) = sent(client, provider, &members) else {
        return "refused";
    };
    let (without, _) = sent(client, provider, &json!({})).unwrap();
    if with.contains(mark) && !without.contains(mark) {
        return "kept";
    }
    if with != without && named.is_empty() || with.to_lowercase().contains(&mark.to_lowercase()) {
        return "changed";
    }
    if named.is_empty() {
        eprintln!("{client:?} to {provider:?}: `{name}` is lost without a word: {with}");
        return LOST;
    }
    "left out"
}

fn tables() -> String {
    let mut out = String::new();
    for client in Protocol::ALL {
        let names = Protocol::ALL.map(heading);
        let _ = write!(
            out,
            "\n| a client of {} asks for | {} |\n",
            heading(client),
            names.join(" | ")
        );
        out.push_str("|---|---|---|---|---|\n");
        for feature in FEATURES {
            let row = Protocol::ALL.map(|provider| outcome(client, provider, feature));
            if row.iter().any(|cell| *cell != "–") {
                let _ = writeln!(out, "| {} | {} |", feature.0, row.join(" | "));
            }
        }
    }
    out
}

fn heading(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat => "chat",
        Protocol::Responses => "Responses",
        Protocol::Messages => "messages",
        Protocol::Gemini => "gemini",
    }
}

#[test]
fn nothing_of_a_request_is_lost_without_a_word_and_the_documentation_says_what_is_kept() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocols.md");
    let docs = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- made by tests/wire/matrix.rs -->\n", "\n<!-- end -->");
    let (before, rest) = docs.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let tables = tables();
    assert!(!tables.contains(LOST), "see above");
    let made = format!("{before}{start}{tables}{end}{after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(docs, made, "UPDATE_GOLDEN=1 writes the tables anew");
}
