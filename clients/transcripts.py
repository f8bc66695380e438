"""Recorded responses of real providers, sent through the gateway and read back with the `openai` package.

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
