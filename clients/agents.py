#!/usr/bin/env python3
"""Agents as whole programs, headless, against the real server: each writes a file with its own tool, over an upstream of each protocol."""
import argparse, json, os, subprocess, sys, tempfile, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gateway

CONTENT, ANSWER = "hello from the gateway\n", "The file is written."


# The tool of each agent that writes a file, and its arguments.
TOOLS = {
    "Write": lambda file: {"file_path": file, "content": CONTENT},
    "write_file": lambda file: {"file_path": file, "content": CONTENT},
    "write": lambda file: {"filePath": file, "content": CONTENT},
    "exec_command": lambda file: {"cmd": f"printf '%s' '{CONTENT}' > '{file}'"},
}


class Model(BaseHTTPRequestHandler):
    """A provider whose model calls the agent's tool for writing files once, and then says that it is done."""
    protocol_version = "HTTP/1.1"
    file = ""
    called = set()
    # True if the model knows neither effort nor adaptive thinking, and says so in Anthropic's words.
    refuses = False
    # What the agents said about this machine, which must not get here (P06).
    leaks = []

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = json.dumps([body, dict(self.headers)])
        Model.leaks += [name for name in ("client_metadata", "x-codex-", "x-anthropic-billing-header", "device_id") if name in said]
        protocol = next(name for name, end in (("chat", "/chat/completions"), ("messages", "/messages"), ("responses", "/responses"), ("gemini", "enerateContent")) if end in self.path)
        refusal = self.refusal(body) if Model.refuses else None
        if refusal:
            data = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": refusal}}).encode()
            self.send_response(400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        tool = next((name for name in TOOLS if name in self.names(body)), None)
        # Once for each file: agents also ask for titles, and for what to do next.
        calls = tool is not None and Model.file not in Model.called
        if calls:
            Model.called.add(Model.file)
        wanted = (tool, TOOLS[tool](Model.file)) if calls else None
        stream = body.get("stream") or ":stream" in self.path
        if stream:
            data, kind = "".join(getattr(self, f"stream_{protocol}")(wanted)), "text/event-stream"
        else:
            data, kind = json.dumps(getattr(self, f"whole_{protocol}")()), "application/json"
        data = data.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def refusal(body):
        if (body.get("output_config") or {}).get("effort"):
            return "This model does not support the effort parameter."
        if (body.get("thinking") or {}).get("type") == "adaptive":
            return "adaptive thinking is not supported on this model"

    @staticmethod
    def names(body):
        """The names of the tools in a request of any protocol."""
        for tool in body.get("tools") or []:
            for one in [tool, tool.get("function") or {}, *(tool.get("tools") or []), *(tool.get("functionDeclarations") or [])]:
                if one.get("name"):
                    yield one["name"]

    def stream_messages(self, wanted):
        def event(value):
            return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n"
        block = {"type": "tool_use", "id": "toolu_1", "name": wanted[0], "input": {}} if wanted else {"type": "text", "text": ""}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(wanted[1])} if wanted else {"type": "text_delta", "text": ANSWER}
        yield event({"type": "message_start", "message": {"id": "msg_x", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}})
        yield event({"type": "content_block_start", "index": 0, "content_block": block})
        yield event({"type": "content_block_delta", "index": 0, "delta": delta})
        yield event({"type": "content_block_stop", "index": 0})
        yield event({"type": "message_delta", "delta": {"stop_reason": "tool_use" if wanted else "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}})
        yield event({"type": "message_stop"})

    def whole_messages(self):
        return {"id": "msg_x", "type": "message", "role": "assistant", "model": "up", "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 4}}

    def stream_chat(self, wanted):
        def chunk(delta, finish=None):
            return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"
        yield chunk({"role": "assistant", "content": ""})
        if wanted:
            yield chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": wanted[0], "arguments": json.dumps(wanted[1])}}]})
        else:
            yield chunk({"content": ANSWER})
        yield chunk({}, "tool_calls" if wanted else "stop")
        yield "data: [DONE]\n\n"

    def whole_chat(self):
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]}

    def stream_responses(self, wanted):
        whole = self.whole_responses()
        if wanted:
            whole["output"] = [{"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": wanted[0], "arguments": json.dumps(wanted[1])}]
        events = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}]
        for n, item in enumerate(whole["output"]):
            begun = {**item, "status": "in_progress", **{name: "" if isinstance(item[name], str) else [] for name in ("content", "arguments", "input") if name in item}}
            events.append({"type": "response.output_item.added", "output_index": n, "item": begun})
            if item["type"] == "message":
                events.append({"type": "response.output_text.delta", "output_index": n, "item_id": item["id"], "content_index": 0, "delta": ANSWER})
            events.append({"type": "response.output_item.done", "output_index": n, "item": item})
        events.append({"type": "response.completed", "response": whole})
        for number, event in enumerate(events):
            yield f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"

    def whole_responses(self):
        return {"id": "resp_x", "object": "response", "created_at": 1, "status": "completed", "error": None, "incomplete_details": None, "model": "up",
                "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER, "annotations": []}]}],
                "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13}}

    def stream_gemini(self, wanted):
        part = {"functionCall": {"name": wanted[0], "args": wanted[1]}} if wanted else {"text": ANSWER}
        yield f"data: {json.dumps(self.whole_gemini(part))}\r\n\r\n"

    def whole_gemini(self, part={"text": ANSWER}):
        return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}, "modelVersion": "up", "responseId": "x"}


def run(agent, cli, program, base_url, key, model, home, work, *arguments, **variables):
    """Starts an agent with `anyrouter launch`, and nothing of the caller's environment."""
    path = f"{Path(program).parent}:{Path(sys.argv[0]).parent}:/usr/local/bin:/usr/bin:/bin"
    env = {"PATH": path, "HOME": str(home), "ANYROUTER_BASE_URL": base_url, "ANYROUTER_API_KEY": key, **variables}
    done = subprocess.run([cli, "launch", agent, "--model", model, "--", *arguments], cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def claude(*launch):
    out = run("claude", *launch, "-p", "Write hello.txt", "--output-format", "json", "--permission-mode", "acceptEdits",
              DISABLE_AUTOUPDATER="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
    result = json.loads(out)
    assert not result["is_error"] and result["result"] == ANSWER, result


def codex(*launch):
    out = run("codex", *launch, "exec", "--json", "--skip-git-repo-check", "--ephemeral", "--dangerously-bypass-approvals-and-sandbox", "Write hello.txt")
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    said = [event["item"].get("text") for event in events if event["type"] == "item.completed"]
    assert ANSWER in said and any(event["type"] == "turn.completed" for event in events), out[-2000:]


def gemini(*launch):
    out = run("gemini", *launch, "-p", "Write hello.txt", "--output-format", "json", "--skip-trust", "--approval-mode", "yolo")
    assert json.loads(out[out.index("{"):])["response"] == ANSWER, out


def opencode(*launch):
    out = run("opencode", *launch, "run", "--format", "json", "Write hello.txt", OPENCODE_DISABLE_AUTOUPDATE="1", OPENCODE_DISABLE_MODELS_FETCH="1",
              OPENCODE_PERMISSION=json.dumps({"edit": "allow", "external_directory": "allow"}))
    assert ANSWER in out, out[-2000:]


AGENTS = {"claude": ("Claude Code", claude), "codex": ("Codex", codex), "gemini": ("Gemini CLI", gemini), "opencode": ("OpenCode", opencode)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", required=True)
    options.add_argument("--cli", required=True, help="the `anyrouter` command, which starts the agent")
    options.add_argument("agents", nargs="+", metavar="NAME=PROGRAM", help="an agent and its program: " + ", ".join(AGENTS))
    options = options.parse_args()
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    provider.daemon_threads = True
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    # Gemini CLI reads no settings below a folder that others can write to.
    own = Path.home() / ".cache"
    own.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=own) as folder:
        process, boot = gateway.start(options.server, Path(folder), provider.server_address[1])
        failed, seen = 0, set()
        try:
            for agent, program in (one.split("=", 1) for one in options.agents):
                name, headless = AGENTS[agent]
                version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()
                print(f"{name} {next(word for word in version if word[0].isdigit())}")
                # Claude Code goes on without what the gateway says that a model cannot do.
                runs = [(model, False) for model in gateway.MODELS] + ([("lab/anth", True)] if agent == "claude" else [])
                for model, Model.refuses in runs:
                    place = Path(folder) / agent / f"{model}{'-refusing' if Model.refuses else ''}"
                    home, work = place / "home", place / "work"
                    home.mkdir(parents=True)
                    work.mkdir()
                    Model.file = str(work / "hello.txt")
                    try:
                        headless(options.cli, program, boot["base_url"], boot["inference_key"], model, home, work)
                        assert Path(Model.file).read_text() == CONTENT
                        ask = urllib.request.Request(boot["base_url"] + "/logs", headers={"Authorization": "Bearer " + boot["inference_key"]})
                        records = [r for r in json.load(urllib.request.urlopen(ask))["data"] if r["model"] == model and r["id"] not in seen]
                        seen.update(r["id"] for r in records)
                        assert not Model.leaks, Model.leaks
                        refused = sum(r["outcome"] != "ok" for r in records)
                        assert len(records) >= 2 and refused == (2 if Model.refuses else 0), records
                        print(f"  ok    {model}: the file is written" + (", after two refusals" if Model.refuses else ""))
                    except Exception as e:  # each failure is told, and the next one runs
                        failed += 1
                        print(f"  FAIL  {model}: {type(e).__name__}: {e}")
        finally:
            process.kill()
        sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
