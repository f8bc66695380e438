#!/usr/bin/env python3
"""The real `openai`, `anthropic` and `google-genai` packages of Python and Node against the real server, over an upstream of each protocol."""
import argparse, json, os, subprocess, sys, tempfile
from pathlib import Path

import anthropic, openai, pydantic
from google import genai

sys.path.insert(0, str(Path(__file__).parent))
import anthropic_checks, gateway, google_checks, responses_checks, transcripts, upstream

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}}}]


class Event(pydantic.BaseModel):
    name: str
    day: str


def checks(client, model):
    """Each check by name: what it does must not raise."""
    ask = lambda text, **more: client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)

    def chat():
        answer = ask("hello")
        assert answer.choices[0].message.content == "One two three." and answer.model == model and answer.id.startswith("gen-")
        assert answer.usage.total_tokens == 13 and answer.usage.cost == 0.000017

    def quickstart_stream():
        text = ""
        stream = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Say this is a test"}],
            stream=True,
        )
        for chunk in stream:
            if chunk.choices[0].delta.content is not None:
                text += chunk.choices[0].delta.content
        assert text == "One two three.", text

    def stream_with_usage():
        chunks = list(ask("hello", stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].usage.total_tokens == 13 and chunks[-1].choices == [] and chunks[-1].anyrouter_metadata["finishReason"] == "stop"
        assert all(chunk.usage is None for chunk in chunks[:-1]), "who adds usage up counts it once"

    def stream_helper_reports_usage():
        for more in ({}, {"stream_options": {"include_usage": True}}):
            with client.chat.completions.stream(model=model, messages=[{"role": "user", "content": "hello"}], **more) as stream:
                for _ in stream:
                    pass
                assert stream.get_final_completion().usage.total_tokens == 13

    def tools_both_ways():
        answer = ask("weather", tools=TOOLS)
        call = answer.choices[0].message.tool_calls[0]
        assert answer.choices[0].finish_reason == "tool_calls" and json.loads(call.function.arguments) == upstream.ARGUMENTS
        again = client.chat.completions.create(model=model, tools=TOOLS, messages=[
            {"role": "user", "content": "weather"}, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"}])
        assert again.choices[0].message.content == "One two three."

    def streamed_parallel_tools():
        with client.chat.completions.stream(model=model, messages=[{"role": "user", "content": "both"}], tools=TOOLS) as stream:
            for _ in stream:
                pass
            calls = stream.get_final_completion().choices[0].message.tool_calls
        assert [json.loads(c.function.arguments) for c in calls] == [upstream.ARGUMENTS] * 2 and [c.id.removeprefix("gemini_") for c in calls] == ["call_1", "call_2"]

    def structured_output():
        answer = client.chat.completions.parse(model=model, messages=[{"role": "user", "content": "event"}], response_format=Event)
        assert answer.choices[0].message.parsed == Event(**upstream.STRUCTURED)

    def errors_as_their_own_classes():
        for wrong, kind in (
            (lambda: openai.OpenAI(base_url=client.base_url, api_key="sk-ar-v1-no", max_retries=0).models.retrieve("x") and None, openai.APIStatusError),
            (lambda: openai.OpenAI(base_url=client.base_url, api_key="sk-ar-v1-no", max_retries=0).chat.completions.create(model=model, messages=[]), openai.AuthenticationError),
            (lambda: client.chat.completions.create(model="no/such", messages=[]), openai.NotFoundError),
            (lambda: ask("hello", temperature=0, extra_body={"provider": {"sort": "colour"}}), openai.BadRequestError),
            (lambda: ask("fail 400"), openai.BadRequestError),
        ):
            try:
                wrong()
            except kind as e:
                assert e.request_id.startswith("req_") and "secret" not in str(e), e
            else:
                raise AssertionError(kind)

    def abort_in_mid_stream():
        upstream.Handler.closed.clear()
        stream = ask("wait", stream=True)
        next(stream)
        stream.close()
        assert upstream.Handler.closed.wait(10), "the upstream is closed too"

    def models_list():
        assert model in [m.id for m in client.models.list()]

    return [chat, quickstart_stream, stream_with_usage, stream_helper_reports_usage, tools_both_ways, streamed_parallel_tools, structured_output, errors_as_their_own_classes, abort_in_mid_stream, models_list]


def read(client, model, wish, stream):
    """What the package makes of a chat completion: text, calls, and why it ended."""
    ask = dict(model=model, messages=[{"role": "user", "content": wish}])
    if stream:
        return transcripts.said_in_chat([chunk.model_dump(exclude_none=True) for chunk in client.chat.completions.create(**ask, stream=True)])
    answer = client.chat.completions.create(**ask)
    said = answer.choices[0].message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in said.tool_calls or []]
    ended = "content_filter" if said.refusal else answer.choices[0].finish_reason
    return (said.content or "") + (said.refusal or ""), calls, transcripts.ENDS[ended]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", required=True)
    options.add_argument("--node", required=True, nargs="+", help="the Node tests, where their packages are installed")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, boot = gateway.start(options.server, Path(folder), upstream.start())
        try:
            failed = passed = 0
            with_openai = openai.OpenAI(base_url=boot["base_url"], api_key=boot["inference_key"], max_retries=0)
            with_anthropic = anthropic.Anthropic(base_url=boot["base_url"].removesuffix("/v1"), api_key=boot["inference_key"], max_retries=0)
            google = {"base_url": boot["base_url"].removesuffix("/v1"), "api_version": "v1beta"}
            with_google = genai.Client(api_key=boot["inference_key"], http_options=google)
            for name, package, client, of in (
                ("openai (chat)", openai, with_openai, checks),
                ("openai (responses)", openai, with_openai, responses_checks.checks),
                ("anthropic", anthropic, with_anthropic, anthropic_checks.checks),
                ("google-genai", genai, with_google, google_checks.checks),
            ):
                print(f"{name} for Python {package.__version__}")
                for model in gateway.MODELS:
                    for check in of(client, model):
                        try:
                            check()
                            passed += 1
                            print(f"  ok    {model} {check.__name__}")
                        except Exception as e:  # each failure is told, and the next check runs
                            failed += 1
                            print(f"  FAIL  {model} {check.__name__}: {type(e).__name__}: {e}")
            for replayed, wrong in (transcripts.replay(with_openai), anthropic_checks.replay(with_anthropic), responses_checks.replay(with_openai), google_checks.replay(with_google),
                                    transcripts.replay_through("openai (chat)", lambda *ask: read(with_openai, *ask), (openai.APIError, openai.LengthFinishReasonError), with_openai),
                                    anthropic_checks.replay_all(with_anthropic)):
                passed, failed = passed + replayed, failed + wrong
            environment = {**os.environ, "BASE_URL": boot["base_url"], "KEY": boot["inference_key"]}
            node = [subprocess.run(["node", test], env=environment).returncode for test in options.node]
            print(f"\n{passed} passed, {failed} failed")
            sys.exit(1 if failed or any(node) else 0)
        finally:
            process.kill()


main()
