"""What the real `anthropic` package must find when it talks to the gateway, whatever protocol the provider speaks."""
import json

import anthropic

import transcripts, upstream

TOOLS = [{"name": "get_weather", "description": "The weather", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}}]
# The recordings that end in an error.
ERRORS = {"groq-stream-error.sse", "openrouter-stream-error.sse"}


def checks(client, model):
    """Each check by name: what it does must not raise."""
    ask = lambda content, **more: client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": content}], **more)

    def message():
        answer = ask("hello", system="Be kind.")
        assert answer.content[0].text == "One two three." and answer.model == model and answer.id.startswith("msg_")
        assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 9, 4)
        assert answer.anyrouter_metadata["upstream"]["backend"].endswith(model.replace("/", "-"))

    def stream():
        with client.messages.stream(model=model, max_tokens=100, messages=[{"role": "user", "content": "hello"}]) as events:
            assert "".join(events.text_stream) == "One two three."
            final = events.get_final_message()
        assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 9, 4)

    def raw_events():
        names = [event.type for event in client.messages.create(model=model, max_tokens=100, stream=True, messages=[{"role": "user", "content": "hello"}])]
        assert names[0] == "message_start" and names[-2:] == ["message_delta", "message_stop"] and names.count("content_block_delta") == 3, names

    def tools_both_ways():
        answer = ask("weather", tools=TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
        call = answer.content[0]
        assert answer.stop_reason == "tool_use" and call.input == upstream.ARGUMENTS
        again = client.messages.create(model=model, max_tokens=100, tools=TOOLS, messages=[
            {"role": "user", "content": "weather"}, {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "22 degrees"}]}])
        assert again.content[0].text == "One two three."

    def streamed_parallel_tools():
        with client.messages.stream(model=model, max_tokens=100, tools=TOOLS, messages=[{"role": "user", "content": "both"}]) as events:
            final = events.get_final_message()
        assert [block.input for block in final.content] == [upstream.ARGUMENTS] * 2 and [block.id.removeprefix("gemini_") for block in final.content] == ["call_1", "call_2"]

    def structured_output():
        schema = {"type": "object", "properties": {"name": {"type": "string"}, "day": {"type": "string"}}, "required": ["name", "day"], "additionalProperties": False}
        answer = ask("event", output_config={"format": {"type": "json_schema", "schema": schema}})
        assert json.loads(answer.content[0].text) == upstream.STRUCTURED

    def errors_as_their_own_classes():
        stranger = anthropic.Anthropic(base_url=client.base_url, api_key="sk-ar-v1-no", max_retries=0)
        for wrong, kind in (
            (lambda: stranger.messages.create(model=model, max_tokens=1, messages=[]), anthropic.AuthenticationError),
            (lambda: client.messages.create(model="no/such", max_tokens=1, messages=[{"role": "user", "content": "x"}]), anthropic.NotFoundError),
            (lambda: ask("hello", extra_body={"provider": {"sort": "colour"}}), anthropic.BadRequestError),
            (lambda: ask("fail 400"), anthropic.BadRequestError),
            (lambda: ask("hello", extra_body={"thread": {"type": "create"}}), anthropic.BadRequestError),
        ):
            try:
                wrong()
            except kind as e:
                assert e.request_id.startswith("req_") and e.body["type"] == "error" and "secret" not in str(e), e
            else:
                raise AssertionError(kind)

    def a_refusal_by_policy_is_not_retried():
        try:
            ask("hello", extra_body={"provider": {"only": [model.split("/")[1]], "zdr": True, "data_collection": "deny", "max_price": {"prompt": 0}}})
        except anthropic.APIStatusError as e:
            assert e.status_code == 404 and e.body["error"]["type"] in ("not_found_error", "policy_blocked"), e.body
        else:
            raise AssertionError("it was not refused")

    def count_tokens():
        count = client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "x" * 400}], system="y" * 400)
        assert 195 <= count.input_tokens <= 210 and count.estimated, count

    def models_list():
        assert model in [m.id for m in client.models.list()]

    return [message, stream, raw_events, tools_both_ways, streamed_parallel_tools, structured_output, errors_as_their_own_classes, a_refusal_by_policy_is_not_retried, count_tokens, models_list]


def recorded(client, model, path):
    """What must hold of any recording that is read as a message."""
    ask = dict(model=model, max_tokens=100, messages=[{"role": "user", "content": f"replay {path.parent.name}/{path.name}"}])
    if path.suffix == ".json":
        is_error = path.stem.startswith("err-") or "error" in json.loads(path.read_text())
        try:
            answer = client.messages.create(**ask)
        except anthropic.APIStatusError as e:
            assert is_error, e
            recording = json.loads(path.read_text())
            said = recording.get("detail") or recording["error"]["message"]
            assert said.lower() not in str(e).lower(), "an upstream's message is not passed on"
            # Three failures in a row would open the endpoint's cooldown.
            client.messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        else:
            assert not is_error and answer.stop_reason and answer.usage.output_tokens > 0
        return
    try:
        with client.messages.stream(**ask) as events:
            final = events.get_final_message()
    except anthropic.APIError:
        assert path.name in ERRORS, "it does not end in an error"
        return
    assert path.name not in ERRORS, "it ends in an error"
    text, names, arguments = transcripts.pieces(path)
    refusal = transcripts.refusal(path)
    assert "".join(block.text for block in final.content if block.type == "text") == text + refusal
    assert not refusal or final.stop_reason == "refusal"
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == names and [call.input for call in calls] == arguments
    assert (final.stop_reason == "tool_use") == bool(names), (final.stop_reason, names)


def replay(client):
    """Replays every recording; how many passed and how many failed."""
    if not transcripts.FOLDER.is_dir():
        return 0, 0
    passed = failed = 0
    for model, path in transcripts.recordings():
        try:
            recorded(client, model, path)
            passed += 1
        except Exception as e:  # each failure is told, and the next one runs
            failed += 1
            print(f"  FAIL  {path.parent.name}/{path.name} as a message: {type(e).__name__}: {e}")
    print(f"  {passed} of {passed + failed} recorded transcripts read back as messages")
    return passed, failed


def read(client, model, wish, stream):
    """What the package makes of a message: text, calls, and why it ended."""
    ask = dict(model=model, max_tokens=100, messages=[{"role": "user", "content": wish}])
    if stream:
        with client.messages.stream(**ask) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**ask)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
    return text, calls, transcripts.ENDS[answer.stop_reason]


def replay_all(client):
    return transcripts.replay_through("anthropic", lambda *ask: read(client, *ask), (anthropic.APIError,), client)
