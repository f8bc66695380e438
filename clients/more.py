#!/usr/bin/env python3
"""The other clients, unmodified, against the real server: LangChain, litellm, pydantic-ai, the OpenAI Agents package, `llm`, Vercel's `ai`, and `async-openai`."""
import argparse, asyncio, base64, importlib.metadata, json, os, subprocess, sys, tempfile
from pathlib import Path

os.environ |= {"OPENAI_AGENTS_DISABLE_TRACING": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # neither may call anybody else
sys.path.insert(0, str(Path(__file__).parent))
import gateway, upstream

PNG = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082".replace(" ", ""))).decode()
TEXT = "One two three."


def langchain(base, key, model):
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    import openai, pydantic

    @tool
    def get_weather(city: str, unit: str = "celsius") -> str:
        """The weather"""
        return "22 degrees"

    class Event(pydantic.BaseModel):
        """An event"""
        name: str
        day: str

    chat = ChatOpenAI(base_url=base, api_key=key, model=model, max_retries=0)

    def chats():
        answer = chat.invoke("hello")
        assert answer.content == TEXT and answer.usage_metadata["total_tokens"] == 13

    def streams():
        assert "".join(c.content for c in chat.stream("hello")) == TEXT
        whole = None
        for chunk in ChatOpenAI(base_url=base, api_key=key, model=model, stream_usage=True).stream("hello"):
            whole = chunk if whole is None else whole + chunk
        assert whole.usage_metadata["total_tokens"] == 13

    def tools_in_a_loop():
        bound = chat.bind_tools([get_weather])
        said = [HumanMessage("weather")]
        said.append(bound.invoke(said))
        call = said[-1].tool_calls[0]
        assert call["args"] == upstream.ARGUMENTS
        said.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
        assert bound.invoke(said).content == TEXT

    def streamed_tools_in_parallel():
        whole = None
        for chunk in chat.bind_tools([get_weather]).stream("both"):
            whole = chunk if whole is None else whole + chunk
        assert [c["args"] for c in whole.tool_calls] == [upstream.ARGUMENTS] * 2

    def structured_output():
        assert chat.with_structured_output(Event, method="json_schema").invoke("event") == Event(**upstream.STRUCTURED)

    def images():
        parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}]
        assert chat.invoke([HumanMessage(parts)]).content == TEXT

    def errors():
        try:
            ChatOpenAI(base_url=base, api_key="sk-ar-v1-no", model=model, max_retries=0).invoke("hello")
        except openai.AuthenticationError:
            return
        raise AssertionError("no error")

    return [chats, streams, tools_in_a_loop, streamed_tools_in_parallel, structured_output, images, errors]


def litellm(base, key, model):
    import litellm as client

    client.telemetry = False
    ask = lambda text, **more: client.completion(model=f"openai/{model}", api_base=base, messages=[{"role": "user", "content": text}], num_retries=0, **{"api_key": key, **more})
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]

    def chats():
        answer = ask("hello")
        assert answer.choices[0].message.content == TEXT and answer.usage.total_tokens == 13

    def streams():
        assert "".join(c.choices[0].delta.content or "" for c in ask("hello", stream=True)) == TEXT

    def streamed_tools_in_parallel():
        whole = client.stream_chunk_builder(list(ask("both", stream=True, tools=tools)))
        assert [json.loads(c.function.arguments) for c in whole.choices[0].message.tool_calls] == [upstream.ARGUMENTS] * 2

    def structured_output():
        schema = {"type": "json_schema", "json_schema": {"name": "event", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}
        assert json.loads(ask("event", response_format=schema).choices[0].message.content) == upstream.STRUCTURED

    def errors():
        for wrong, kind in ((lambda: ask("fail 400"), client.BadRequestError), (lambda: ask("hello", api_key="sk-ar-v1-no"), client.AuthenticationError)):
            try:
                wrong()
            except kind as e:
                assert "secret" not in str(e)
            else:
                raise AssertionError(kind)

    return [chats, streams, streamed_tools_in_parallel, structured_output, errors]


def pydantic_ai(base, key, model):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def agent():
        made = Agent(OpenAIChatModel(model, provider=OpenAIProvider(base_url=base, api_key=key)))

        @made.tool_plain
        def get_weather(city: str, unit: str = "celsius") -> str:
            """The weather"""
            assert city == upstream.ARGUMENTS["city"]
            return "22 degrees"

        return made

    def tools_in_a_loop():
        done = agent().run_sync("weather")
        assert done.output == TEXT and done.usage.requests == 2

    def streams():
        async def run():
            async with agent().run_stream("weather") as done:
                return await done.get_output()
        assert asyncio.run(run()) == TEXT

    return [tools_in_a_loop, streams]


def agents(base, key, model):
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
    from openai import AsyncOpenAI

    @function_tool
    def get_weather(city: str, unit: str) -> str:
        """The weather"""
        return "22 degrees"

    def tools_in_a_loop():
        async def run():
            client = AsyncOpenAI(base_url=base, api_key=key)
            agent = Agent(name="a", tools=[get_weather], model=OpenAIChatCompletionsModel(model=model, openai_client=client))
            return (await Runner.run(agent, "weather")).final_output
        assert asyncio.run(run()) == TEXT

    return [tools_in_a_loop]


def openai_retries(base, key, model):
    import openai, time

    def retries_honour_retry_after():
        began = time.monotonic()
        client = openai.OpenAI(base_url=base, api_key=key, max_retries=2)
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": f"busy once {model}"}])
        assert answer.choices[0].message.content == TEXT and time.monotonic() - began >= 1.0

    return [retries_honour_retry_after]


def llm(base, key, model):
    def run(*args):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "extra-openai-models.yaml").write_text(json.dumps([{"model_id": "gw", "model_name": model, "api_base": base, "api_key_name": "gw"}]))
            (Path(folder) / "keys.json").write_text(json.dumps({"gw": key}))
            done = subprocess.run([str(Path(sys.executable).parent / "llm"), "-m", "gw", *args], env={**os.environ, "LLM_USER_PATH": folder}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

    def streams():
        assert run("hello") == TEXT

    def chats():
        assert run("--no-stream", "hello") == TEXT

    return [streams, chats]


CLIENTS = [("langchain-openai", langchain), ("litellm", litellm), ("pydantic-ai-slim", pydantic_ai), ("openai-agents", agents), ("openai", openai_retries), ("llm", llm)]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", required=True)
    options.add_argument("--node", required=True, help="the Node test, where its packages are installed")
    options.add_argument("--rust", required=True, help="the built Rust client")
    options.add_argument("--only", help="clients whose name contains this")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, boot = gateway.start(options.server, Path(folder), upstream.start())
        failed = passed = 0
        try:
            for name, checks in CLIENTS:
                if options.only and options.only not in name:
                    continue
                print(f"{name} {importlib.metadata.version(name)}", flush=True)
                for model in ("lab/open", "lab/anth"):
                    for check in checks(boot["base_url"], boot["inference_key"], model):
                        try:
                            check()
                            passed += 1
                            print(f"  ok    {model} {check.__name__}", flush=True)
                        except Exception as e:  # each failure is told, and the next check runs
                            failed += 1
                            print(f"  FAIL  {model} {check.__name__}: {type(e).__name__}: {str(e)[:600]}", flush=True)
            for name, command in (("ai", ["node", options.node]), ("async-openai", [options.rust])):
                if not options.only or options.only in name:
                    done = subprocess.run(command, env={**os.environ, "BASE_URL": boot["base_url"], "KEY": boot["inference_key"]})
                    failed += done.returncode != 0
            print(f"\n{passed} passed, {failed} failed, beside those that tell of themselves")
            sys.exit(1 if failed else 0)
        finally:
            process.kill()


main()
