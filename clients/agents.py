#!/usr/bin/env python3
"""Agents as whole programs, headless, against the real server: each writes a file with its own tool, over an upstream of each protocol."""
import argparse, json, os, subprocess, sys, tempfile, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gateway

CONTENT, ANSWER = "hello from the gateway\n", "The file is written."


class Model(BaseHTTPRequestHandler):
    """A provider whose model calls the agent's tool for writing files once, and then says that it is done."""
    protocol_version = "HTTP/1.1"
    file = ""

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        names = [tool.get("name") or tool["function"]["name"] for tool in body.get("tools") or []]
        sent = json.dumps(body["messages"])
        calls = "Write" in names and '"tool_result"' not in sent and '"role": "tool"' not in sent
        arguments = {"file_path": Model.file, "content": CONTENT}
        events = (self.anthropic if self.path.endswith("/messages") else self.openai)(calls, arguments)
        data = "".join(events).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def anthropic(calls, arguments):
        def event(value):
            return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n"
        block = {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}} if calls else {"type": "text", "text": ""}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)} if calls else {"type": "text_delta", "text": ANSWER}
        yield event({"type": "message_start", "message": {"id": "msg_x", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}})
        yield event({"type": "content_block_start", "index": 0, "content_block": block})
        yield event({"type": "content_block_delta", "index": 0, "delta": delta})
        yield event({"type": "content_block_stop", "index": 0})
        yield event({"type": "message_delta", "delta": {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}})
        yield event({"type": "message_stop"})

    @staticmethod
    def openai(calls, arguments):
        def chunk(delta, finish=None):
            return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Write", "arguments": json.dumps(arguments)}}
        yield chunk({"role": "assistant", "content": ""})
        yield chunk({"tool_calls": [call]} if calls else {"content": ANSWER})
        yield chunk({}, "tool_calls" if calls else "stop")
        yield "data: [DONE]\n\n"


def claude_code(cli, program, base_url, key, model, home, work):
    env = {"PATH": f"{Path(program).parent}:/usr/bin:/bin", "HOME": str(home), "ANYROUTER_BASE_URL": base_url, "ANYROUTER_API_KEY": key,
           "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    run = subprocess.run([cli, "launch", "claude", "--model", model, "--", "-p", "Write hello.txt", "--output-format", "json", "--permission-mode", "acceptEdits"],
                         cwd=work, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(run.stdout)
    assert not result["is_error"] and result["result"] == ANSWER, result


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", required=True)
    options.add_argument("--cli", required=True, help="the `anyrouter` command, which starts the agent")
    options.add_argument("--claude", required=True, help="the program of Claude Code")
    options = options.parse_args()
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    provider.daemon_threads = True
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    version = subprocess.run([options.claude, "--version"], capture_output=True, text=True).stdout.split()[0]
    print(f"Claude Code {version}")
    with tempfile.TemporaryDirectory() as folder:
        process, boot = gateway.start(options.server, Path(folder), provider.server_address[1])
        failed = 0
        try:
            for model in ("lab/anth", "lab/open"):
                home, work = Path(folder) / model / "home", Path(folder) / model / "work"
                home.mkdir(parents=True)
                work.mkdir()
                Model.file = str(work / "hello.txt")
                try:
                    claude_code(options.cli, options.claude, boot["base_url"], boot["inference_key"], model, home, work)
                    assert Path(Model.file).read_text() == CONTENT
                    ask = urllib.request.Request(boot["base_url"] + "/logs", headers={"Authorization": "Bearer " + boot["inference_key"]})
                    records = [r for r in json.load(urllib.request.urlopen(ask))["data"] if r["model"] == model]
                    assert len(records) >= 2 and all(r["outcome"] == "ok" for r in records), records
                    print(f"  ok    {model}: the file is written, {len(records)} requests are recorded")
                except Exception as e:  # each failure is told, and the next one runs
                    failed += 1
                    print(f"  FAIL  {model}: {type(e).__name__}: {e}")
        finally:
            process.kill()
        sys.exit(1 if failed else 0)


main()
