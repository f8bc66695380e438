"""What the real `google-genai` package must find when it talks to the gateway, whatever protocol the provider speaks."""
import json

from google import genai
from google.genai import errors, types

import transcripts, upstream

TOOLS = [types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", description="The weather", parameters_json_schema={
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]})])]
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


def checks(client, model):
    """Each check by name: what it does must not raise."""
    ask = lambda contents, **config: client.models.generate_content(model=model, contents=contents, config=types.GenerateContentConfig(automatic_function_calling=BY_HAND, **config))

    def content():
        answer = ask("hello", system_instruction="Be kind.", temperature=0.5, max_output_tokens=100)
        assert answer.text == "One two three." and answer.model_version == model and answer.response_id.startswith("gen-")
        assert (answer.candidates[0].finish_reason, answer.usage_metadata.total_token_count) == (types.FinishReason.STOP, 13)

    def stream():
        chunks = list(client.models.generate_content_stream(model=model, contents="hello"))
        assert "".join(chunk.text or "" for chunk in chunks) == "One two three."
        assert all(chunk.candidates for chunk in chunks), "the usual loop reads them"
        assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP and chunks[-1].usage_metadata.total_token_count == 13

    def chat():
        chat = client.chats.create(model=model)
        assert [chat.send_message(text).text for text in ("hello", "again")] == ["One two three."] * 2
        assert len(chat.get_history()) == 4
        assert "".join(chunk.text or "" for chunk in chat.send_message_stream("hello")) == "One two three."

    def tools_both_ways():
        answer = ask("weather", tools=TOOLS)
        call = answer.function_calls[0]
        assert call.args == upstream.ARGUMENTS and call.name == "get_weather"
        result = types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "22 degrees"}))
        again = ask([types.Content(role="user", parts=[types.Part(text="weather")]), answer.candidates[0].content, types.Content(role="user", parts=[result])], tools=TOOLS)
        assert again.text == "One two three."

    def streamed_parallel_tools():
        chunks = list(client.models.generate_content_stream(model=model, contents="both", config=types.GenerateContentConfig(tools=TOOLS, automatic_function_calling=BY_HAND)))
        calls = [call for chunk in chunks for call in chunk.function_calls or []]
        assert [call.args for call in calls] == [upstream.ARGUMENTS] * 2

    def structured_output():
        schema = {"type": "object", "properties": {"name": {"type": "string"}, "day": {"type": "string"}}, "required": ["name", "day"]}
        answer = ask("event", response_mime_type="application/json", response_json_schema=schema)
        assert json.loads(answer.text) == upstream.STRUCTURED

    def errors_with_their_status():
        address = client._api_client._http_options.base_url
        stranger = genai.Client(api_key="sk-ar-v1-no", http_options={"base_url": address, "api_version": "v1beta"})
        for wrong, code in ((lambda: stranger.models.generate_content(model=model, contents="x"), 401), (lambda: ask("fail 400"), 400),
                            (lambda: client.models.generate_content(model="no/such", contents="x"), 404)):
            try:
                wrong()
            except errors.ClientError as e:
                assert e.code == code and e.status and "secret" not in str(e), e
            else:
                raise AssertionError(code)

    def count_tokens():
        count = client.models.count_tokens(model=model, contents="x" * 400)
        assert 95 <= count.total_tokens <= 110, count

    def models():
        assert f"models/{model}" in [m.name for m in client.models.list()]
        assert client.models.get(model=model).output_token_limit == 4096

    return [content, stream, chat, tools_both_ways, streamed_parallel_tools, structured_output, errors_with_their_status, count_tokens, models]


def read(client, model, wish, stream):
    """What the package makes of an answer: text, calls, and why it ended."""
    config = types.GenerateContentConfig(automatic_function_calling=BY_HAND)
    ask = dict(model=model, contents=wish, config=config)
    chunks = list(client.models.generate_content_stream(**ask)) if stream else [client.models.generate_content(**ask)]
    text, calls, ended = "", [], None
    for chunk in chunks:
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            ended = "filter"
        for candidate in [c for c in chunk.candidates or [] if not c.index]:
            for part in (candidate.content.parts if candidate.content else None) or []:
                text += part.text if part.text and not part.thought else ""
                if part.function_call and part.function_call.name:
                    calls.append((part.function_call.name, part.function_call.args or {}))
            if candidate.finish_reason:
                ended = {"STOP": "done", "MAX_TOKENS": "limit"}.get(candidate.finish_reason.value, "filter")
    assert chunks[-1].usage_metadata is not None
    return text, calls, ended


def replay(client):
    return transcripts.replay_through("google-genai", lambda *ask: read(client, *ask), (errors.APIError,), client)
