"""What the real `openai` package must find in Responses when it talks to the gateway, whatever protocol the provider speaks."""
import json

import openai, pydantic

import transcripts, upstream

TOOLS = [{"type": "function", "name": "get_weather", "description": "The weather", "strict": False, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}}]


class Event(pydantic.BaseModel):
    name: str
    day: str


def checks(client, model):
    """Each check by name: what it does must not raise."""
    ask = lambda text, **more: client.responses.create(model=model, input=text, **more)

    def response():
        answer = ask("hello", instructions="Be kind.")
        assert answer.output_text == "One two three." and answer.model == model and answer.id.startswith("resp_")
        assert (answer.status, answer.usage.input_tokens, answer.usage.total_tokens) == ("completed", 9, 13)
        assert answer.anyrouter_metadata["upstream"]["backend"].endswith(model.replace("/", "-"))

    def stream():
        with client.responses.stream(model=model, input="hello") as events:
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            final = events.get_final_response()
        assert text == final.output_text == "One two three." and final.usage.total_tokens == 13

    def raw_events():
        events = list(ask("hello", stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[0].type == "response.created" and events[-1].type == "response.completed"

    def tools_both_ways():
        answer = ask("weather", tools=TOOLS)
        call = answer.output[-1]
        assert call.type == "function_call" and json.loads(call.arguments) == upstream.ARGUMENTS
        again = client.responses.create(model=model, tools=TOOLS, input=[
            {"role": "user", "content": "weather"}, *answer.output, {"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}])
        assert again.output_text == "One two three."

    def streamed_parallel_tools():
        with client.responses.stream(model=model, input="both", tools=TOOLS) as events:
            for _ in events:
                pass
            output = events.get_final_response().output
        assert [json.loads(item.arguments) for item in output] == [upstream.ARGUMENTS] * 2
        assert [item.call_id.removeprefix("gemini_") for item in output] == ["call_1", "call_2"]

    def structured_output():
        answer = client.responses.parse(model=model, input="event", text_format=Event)
        assert answer.output_parsed == Event(**upstream.STRUCTURED)

    def a_response_that_is_not_stored():
        for wrong, kind in (
            (lambda: client.responses.retrieve("resp_1"), openai.NotFoundError),
            (lambda: client.responses.delete("resp_1"), openai.NotFoundError),
            (lambda: client.responses.cancel("resp_1"), openai.NotFoundError),
            (lambda: client.responses.input_items.list("resp_1"), openai.NotFoundError),
            (lambda: ask("hello", previous_response_id="resp_1"), openai.BadRequestError),
            (lambda: client.responses.create(model=model, input=[{"type": "item_reference", "id": "rs_1"}]), openai.BadRequestError),
        ):
            try:
                wrong()
            except kind as e:
                assert e.request_id.startswith("req_"), e
            else:
                raise AssertionError(kind)

    def errors_as_their_own_classes():
        for wrong, kind in (
            (lambda: openai.OpenAI(base_url=client.base_url, api_key="sk-ar-v1-no", max_retries=0).responses.create(model=model, input="x"), openai.AuthenticationError),
            (lambda: client.responses.create(model="no/such", input="x"), openai.NotFoundError),
            (lambda: ask("fail 400"), openai.BadRequestError),
        ):
            try:
                wrong()
            except kind as e:
                assert e.request_id.startswith("req_") and "secret" not in str(e), e
            else:
                raise AssertionError(kind)

    return [response, stream, raw_events, tools_both_ways, streamed_parallel_tools, structured_output, a_response_that_is_not_stored, errors_as_their_own_classes]


def read(client, model, wish, stream):
    """What the package makes of an answer: text, calls, and why it ended."""
    ask = dict(model=model, input=wish)
    if stream:
        # Of a response that is not complete, the helper returns nothing but its last event.
        with client.responses.stream(**ask) as events:
            answer = [event for event in events][-1].response
    else:
        answer = client.responses.create(**ask)
    parts = [part for item in answer.output if item.type == "message" for part in item.content]
    text = "".join(getattr(part, "text", None) or getattr(part, "refusal", "") for part in parts)
    calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
    assert answer.usage.total_tokens > 0 or answer.incomplete_details, answer.usage
    ended = answer.incomplete_details.reason if answer.incomplete_details else "completed"
    return text, calls, {"completed": "done", "max_output_tokens": "limit", "content_filter": "filter"}[ended]


def replay(client):
    return transcripts.replay_through("openai (responses)", lambda *ask: read(client, *ask), (openai.APIError,), client)
