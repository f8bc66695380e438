"""Recorded responses of real providers, sent through the gateway and read back with the vendors' packages.

They lie beside the project (`../shared/reference/transcripts`, or `TRANSCRIPTS=…`). Where they are absent, this says so loudly."""
import json, os
from decimal import Decimal
from pathlib import Path

import openai

FOLDER = Path(os.environ.get("TRANSCRIPTS") or Path(__file__).resolve().parents[2] / "shared/reference/transcripts")
MODELS = {"chat": "lab/open", "messages": "lab/anth"}
# What each counts and costs, written by hand from the providers' own numbers at the prices of `gateway.py`; the rest have no usage.
COSTS = json.loads((Path(__file__).parent / "transcript-costs.json").read_text())
# The recordings that end in an error: the class that the package raises.
ERRORS = {"groq-stream-error.sse": openai.APIError, "openrouter-stream-error.sse": openai.APIError}


def recordings():
    for protocol, model in MODELS.items():
        for path in sorted((FOLDER / protocol).iterdir()):
            if not path.name.endswith(".request.json"):
                yield model, path


def pieces(path):
    """What the recording says: text, names of tools that the client is to call, and their arguments."""
    text, names, arguments = "", [], {}
    for line in path.read_text().splitlines():
        if not line.startswith("data:") or line.strip() == "data: [DONE]":
            continue
        event = json.loads(line[5:])
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            content = delta.get("content") or ""
            if choice.get("index", 0) == 0:
                text += content if isinstance(content, str) else "".join(p.get("text", "") for p in content if p["type"] == "text")
            for call in delta.get("tool_calls") or []:
                if call["function"].get("name"):
                    names.append(call["function"]["name"])
                arguments[call["index"]] = arguments.get(call["index"], "") + (call["function"].get("arguments") or "")
        block, delta = event.get("content_block") or {}, event.get("delta") or {}
        if block.get("type") == "tool_use":
            names.append(block["name"])
            arguments[event["index"]] = ""
        if delta.get("type") == "text_delta":
            text += delta["text"]
        if delta.get("type") == "input_json_delta" and event["index"] in arguments:
            arguments[event["index"]] += delta["partial_json"]
    return text, names, [json.loads(a or "{}") for _, a in sorted(arguments.items())]


def refusal(path):
    """The text with which a recorded model refuses."""
    events = [json.loads(line[5:]) for line in path.read_text().splitlines() if line.startswith("data:") and line.strip() != "data: [DONE]"]
    return "".join((choice.get("delta") or {}).get("refusal") or "" for event in events for choice in event.get("choices") or [])


def check_cost(path, usage):
    """A golden cost: what the client is told is what the provider counted."""
    expected = COSTS.get(f"{path.parent.name}/{path.name}")
    if expected is None:
        assert getattr(usage, "estimated", False), f"it has a usage, and no golden cost: {usage}"
        return
    counted = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "cost": format(Decimal(str(usage.cost)), "f")}
    assert counted == expected, (counted, expected)


def check(client, model, path):
    """What must hold of any recording."""
    ask = lambda **more: client.chat.completions.create(model=model, messages=[{"role": "user", "content": f"replay {path.parent.name}/{path.name}"}], **more)
    if path.suffix == ".json":
        is_error = path.stem.startswith("err-") or "error" in json.loads(path.read_text())
        try:
            answer = ask()
        except openai.APIStatusError as e:
            assert is_error, e
            recorded = json.loads(path.read_text())
            said = recorded.get("detail") or recorded["error"]["message"]
            assert said.lower() not in str(e).lower(), "an upstream's message is not passed on"
            # Three failures in a row would open the endpoint's cooldown.
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
        else:
            assert not is_error and answer.choices[0].message.content is not None and answer.usage.total_tokens > 0
            check_cost(path, answer.usage)
        return
    chunks, stream = [], ask(stream=True)
    try:
        for chunk in stream:
            chunks.append(chunk)
    except ERRORS.get(path.name, ()):
        assert all(chunk.usage is None for chunk in chunks)
        return
    assert path.name not in ERRORS, "it ends in an error"
    text, names, arguments = pieces(path)
    choices = [c for chunk in chunks for c in chunk.choices if c.index == 0]
    assert "".join(c.delta.content or "" for c in choices) == text
    finish = [c.finish_reason for c in choices if c.finish_reason]
    calls = {}
    for call in (call for c in choices for call in c.delta.tool_calls or []):
        known = calls.setdefault(call.index, {"id": None, "name": "", "arguments": ""})
        known["id"] = known["id"] or call.id
        known["name"] += call.function.name or ""
        known["arguments"] += call.function.arguments or ""
    assert sorted(calls) == list(range(len(names))), (sorted(calls), names)
    assert [calls[i]["name"] for i in sorted(calls)] == names and all(c["id"] for c in calls.values())
    assert [json.loads(calls[i]["arguments"]) for i in sorted(calls)] == arguments
    assert len(finish) == 1 and (finish[0] == "tool_calls") == bool(names), (finish, names)
    last = chunks[-1]
    check_cost(path, last.usage)
    assert last.usage.total_tokens > 0 and last.usage.cost is not None and last.anyrouter_metadata["finishReason"] == finish[0]
    assert all(chunk.usage is None and not hasattr(chunk, "anyrouter_metadata") or chunk is last for chunk in chunks)
    assert all(chunk.model == model and chunk.id.startswith("gen-") for chunk in chunks)


def replay(client):
    """Replays them all; how many passed and how many failed."""
    if not FOLDER.is_dir():
        print(f"\n*** NOT REPLAYED: there are no recorded transcripts at {FOLDER}; set TRANSCRIPTS to their folder ***\n")
        return 0, 0
    passed = failed = 0
    for model, path in recordings():
        try:
            check(client, model, path)
            passed += 1
        except Exception as e:  # each failure is told, and the next one runs
            failed += 1
            print(f"  FAIL  {path.parent.name}/{path.name}: {type(e).__name__}: {e}")
    print(f"  {passed} of {passed + failed} recorded transcripts read back as they should")
    return passed, failed


# ---- Every recording through every client.

PROVIDERS = {"chat": "lab/open", "messages": "lab/anth", "responses": "lab/resp", "gemini": "lab/goog"}
# The recordings that end in an error in mid-stream.
BROKEN = {"groq-stream-error.sse", "openrouter-stream-error.sse", "openai-quota-error.sse"}
# Answers to another request than one for content.
OTHERS = {"count-tokens.json"}
ENDS = {
    "stop": "done", "tool_calls": "done", "length": "limit", "content_filter": "filter",
    "end_turn": "done", "tool_use": "done", "stop_sequence": "done", "pause_turn": "done", "max_tokens": "limit", "refusal": "filter",
    "completed": "done", "max_output_tokens": "limit", "STOP": "done", "MAX_TOKENS": "limit",
}


def events_of(path):
    """The recording's objects: events, chunks, or the whole answer."""
    text = path.read_text()
    if path.suffix == ".sse":
        return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and line.strip() != "data: [DONE]"]
    whole = json.loads(text)
    return whole if isinstance(whole, list) else [whole]


def said_in(path):
    """What a recording says, by its own protocol: text, calls of the client's tools, and why it ended."""
    return {"chat": said_in_chat, "messages": said_in_messages, "responses": said_in_responses, "gemini": said_in_gemini}[path.parent.name](events_of(path))


def said_in_chat(events):
    text, calls, ended, refused = "", {}, None, False
    for choice in (c for event in events for c in event.get("choices") or [] if c.get("index", 0) == 0):
        said = choice.get("delta") or choice.get("message") or {}
        content = said.get("content") or ""
        text += content if isinstance(content, str) else "".join(p.get("text", "") for p in content if p["type"] == "text")
        text += said.get("refusal") or ""
        for n, call in enumerate(said.get("tool_calls") or []):
            known = calls.setdefault(call.get("index", n), ["", ""])
            known[0] += call["function"].get("name") or ""
            known[1] += call["function"].get("arguments") or ""
        ended = choice.get("finish_reason") or ended
        refused = refused or bool(said.get("refusal"))
    ended = "content_filter" if refused else ended
    return text, [(name, json.loads(arguments or "{}")) for _, (name, arguments) in sorted(calls.items())], ENDS[ended]


def said_in_messages(events):
    text, calls, ended = "", {}, None
    for event in events:
        for index, block in enumerate(event.get("content") or []):
            text += block["text"] if block["type"] == "text" else ""
            if block["type"] == "tool_use":
                calls[index] = (block["name"], json.dumps(block["input"]))
        block, delta = event.get("content_block") or {}, event.get("delta") or {}
        text += block.get("text", "") if block.get("type") == "text" else ""
        if block.get("type") == "tool_use":
            calls[event["index"]] = (block["name"], "")
        text += delta["text"] if delta.get("type") == "text_delta" else ""
        if delta.get("type") == "input_json_delta" and event["index"] in calls:
            name, arguments = calls[event["index"]]
            calls[event["index"]] = (name, arguments + delta["partial_json"])
        ended = delta.get("stop_reason") or event.get("stop_reason") or ended
    return text, [(name, json.loads(arguments or "{}")) for _, (name, arguments) in sorted(calls.items())], ENDS[ended]


def said_in_responses(events):
    last = events[-1]
    response = last.get("response", last)
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    calls = [(item["name"], json.loads(item["arguments"])) for item in response["output"] if item["type"] == "function_call"]
    return text, calls, ENDS[(response.get("incomplete_details") or {}).get("reason") or response["status"]]


def said_in_gemini(events):
    text, calls, ended = "", [], None
    for event in events:
        ended = "filter" if (event.get("promptFeedback") or {}).get("blockReason") else ended
        for candidate in event.get("candidates") or []:
            for part in (candidate.get("content") or {}).get("parts") or []:
                text += part.get("text", "") if not part.get("thought") else ""
                call = part.get("functionCall")
                if call and call.get("name"):
                    calls.append((call["name"], dict(call.get("args") or {})))
                for piece in (call or {}).get("partialArgs") or []:
                    name = piece["jsonPath"].removeprefix("$.")
                    value = next(piece[kind] for kind in ("stringValue", "numberValue", "boolValue") if kind in piece)
                    known = calls[-1][1]
                    known[name] = known.get(name, "") + value if isinstance(value, str) else value
            reason = candidate.get("finishReason")
            ended = ENDS.get(reason, "filter") if reason else ended
    return text, calls, ended


def replay_through(name, read, errors, with_openai):
    """Sends every recording of every protocol through one client; how many passed and how many failed."""
    if not FOLDER.is_dir():
        return 0, 0
    passed = failed = 0
    for protocol, model in PROVIDERS.items():
        for path in sorted((FOLDER / protocol).iterdir()):
            if path.name.endswith(".request.json") or path.name in OTHERS:
                continue
            is_error = path.name in BROKEN or path.stem.startswith("err-") or "error" in (events_of(path)[0] or {}) and path.suffix == ".json" and protocol != "responses"
            try:
                try:
                    said = read(model, f"replay {protocol}/{path.name}", path.suffix == ".sse" or path.name.startswith("json-array"))
                except errors as e:
                    assert is_error, f"{type(e).__name__}: {e}"
                    # Three failures in a row would open the endpoint's cooldown.
                    read(model, "hello", False)
                else:
                    assert not is_error, "it ends in an error"
                    expected = said_in(path)
                    # Vertex sends arguments in pieces, which its own protocol's clients join themselves.
                    if "partialArgs" in path.read_text() and name == "google-genai":
                        said, expected = said[::2], expected[::2]
                    assert said == expected, f"{said} is not {expected}"
                passed += 1
            except Exception as e:  # each failure is told, and the next one runs
                failed += 1
                print(f"  FAIL  {protocol}/{path.name} through {name}: {type(e).__name__}: {str(e)[:600]}")
    print(f"  {passed} of {passed + failed} recordings read back through {name}")
    return passed, failed
