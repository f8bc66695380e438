"""A provider that speaks every protocol. The last user message says what to do."""
import json, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import transcripts

TEXT = ["One ", "two ", "three."]
ARGUMENTS = {"city": "Paris", "unit": "celsius"}
STRUCTURED = {"name": "Science fair", "day": "Friday"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    closed = threading.Event()
    busy = set()

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        protocol = next(name for name, end in (("chat", "/chat/completions"), ("messages", "/messages"), ("responses", "/responses"), ("gemini", "enerateContent")) if end in self.path)
        wish = self.wish(protocol, body)
        if wish.startswith("replay "):
            return self.recorded(transcripts.FOLDER / wish.removeprefix("replay "))
        if wish.startswith("busy once") and wish not in Handler.busy:
            Handler.busy.add(wish)
            return self.json(429, {"error": {"message": "secret words", "type": "rate_limit_error"}}, {"retry-after": "1"})
        if wish.startswith("fail"):
            return self.json(int(wish.split()[1]), {"error": {"message": "secret words", "type": "server_error"}})
        if body.get("stream") or ":stream" in self.path:
            events = {"chat": self.openai, "messages": self.anthropic, "responses": self.items, "gemini": self.parts}[protocol]
            return self.stream(events(body, wish), wish)
        whole = {"chat": self.completion, "messages": self.message, "responses": self.response, "gemini": self.generated}[protocol]
        self.json(200, whole(body, wish))

    @staticmethod
    def wish(protocol, body):
        """What the last turn says."""
        if protocol == "gemini":
            return " ".join(part.get("text") or str(part.get("functionResponse", {}).get("response", {}).get("output", "")) for part in body["contents"][-1]["parts"])
        if protocol == "responses":
            item = body["input"][-1] if isinstance(body["input"], list) else {"content": body["input"]}
            last = item.get("content", item.get("output"))
        else:
            last = body["messages"][-1]["content"]
        return last if isinstance(last, str) else " ".join(p.get("text") or str(p.get("content", "")) for p in last)

    def recorded(self, path):
        """The response of a provider as it was recorded; an error's status is in its name."""
        status = next((int(part) for part in path.stem.split("-") if part.isdigit() and len(part) == 3), 200) if path.stem.startswith("err-") else 200
        data = path.read_bytes()
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if path.suffix == ".sse" else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def json(self, status, value, headers={}):
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events, wish):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

        def piece(text):
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
            self.wfile.flush()

        is_waiting = False
        try:
            for event in events:
                piece(event)
                if wish == "wait" and not is_waiting and TEXT[0] in event:
                    is_waiting = True
                    for _ in range(600):  # until the client has gone, which ends the connection
                        time.sleep(0.05)
                        piece(": waiting\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            Handler.closed.set()
            self.close_connection = True

    @staticmethod
    def calls(body, wish):
        if not body.get("tools") or wish.startswith("22"):
            return []
        return [("call_1", 0), ("call_2", 1)] if wish == "both" else [("call_1", 0)]

    def completion(self, body, wish):
        message = {"role": "assistant", "content": "".join(TEXT), "refusal": None}
        finish = "stop"
        if body.get("response_format"):
            message["content"] = json.dumps(STRUCTURED)
        if calls := self.calls(body, wish):
            message["content"], finish = None, "tool_calls"
            message["tool_calls"] = [{"id": i, "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(ARGUMENTS)}} for i, _ in calls]
        return {"id": "chatcmpl-x", "object": "chat.completion", "created": 1, "model": "up", "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}

    def openai(self, body, wish):
        def chunk(delta, finish=None):
            return "data: " + json.dumps({"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"
        yield chunk({"role": "assistant", "content": ""})
        calls = self.calls(body, wish)
        for i, n in calls:
            yield chunk({"tool_calls": [{"index": n, "id": i, "type": "function", "function": {"name": "get_weather", "arguments": ""}}]})
            text = json.dumps(ARGUMENTS)
            for at in range(0, len(text), 7):
                yield chunk({"tool_calls": [{"index": n, "function": {"arguments": text[at:at + 7]}}]})
        if not calls:
            for piece in [json.dumps(STRUCTURED)] if body.get("response_format") else TEXT:
                yield chunk({"content": piece})
        yield chunk({}, "tool_calls" if calls else "stop")
        if body.get("stream_options", {}).get("include_usage"):
            yield "data: " + json.dumps({"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}) + "\n\n"
        yield "data: [DONE]\n\n"

    def blocks(self, body, wish):
        if calls := self.calls(body, wish):
            return [{"type": "tool_use", "id": i, "name": "get_weather", "input": ARGUMENTS} for i, _ in calls], "tool_use"
        text = json.dumps(STRUCTURED) if body.get("output_config", {}).get("format") else "".join(TEXT)
        return [{"type": "text", "text": text}], "end_turn"

    def message(self, body, wish):
        blocks, stop = self.blocks(body, wish)
        return {"id": "msg_x", "type": "message", "role": "assistant", "model": "up", "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 4}}

    def anthropic(self, body, wish):
        def event(value):
            return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n"
        blocks, stop = self.blocks(body, wish)
        yield event({"type": "message_start", "message": {"id": "msg_x", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}})
        for n, block in enumerate(blocks):
            if block["type"] == "text":
                yield event({"type": "content_block_start", "index": n, "content_block": {"type": "text", "text": ""}})
                for piece in [block["text"]] if stop != "end_turn" or "{" in block["text"] else TEXT:
                    yield event({"type": "content_block_delta", "index": n, "delta": {"type": "text_delta", "text": piece}})
            else:
                yield event({"type": "content_block_start", "index": n, "content_block": {**block, "input": {}}})
                text = json.dumps(block["input"])
                for at in range(0, len(text), 7):
                    yield event({"type": "content_block_delta", "index": n, "delta": {"type": "input_json_delta", "partial_json": text[at:at + 7]}})
            yield event({"type": "content_block_stop", "index": n})
        yield event({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 4}})
        yield event({"type": "message_stop"})


    def response(self, body, wish):
        if calls := self.calls(body, wish):
            output = [{"type": "function_call", "id": f"fc_{n}", "status": "completed", "call_id": i, "name": "get_weather", "arguments": json.dumps(ARGUMENTS)} for i, n in calls]
        else:
            text = json.dumps(STRUCTURED) if body.get("text", {}).get("format", {}).get("type") == "json_schema" else "".join(TEXT)
            output = [{"type": "message", "id": "msg_0", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}]
        return {"id": "resp_x", "object": "response", "created_at": 1, "status": "completed", "error": None, "incomplete_details": None, "instructions": None, "model": "up", "output": output,
                "parallel_tool_calls": True, "store": False, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "metadata": {},
                "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13}}

    def items(self, body, wish):
        whole = self.response(body, wish)
        number = iter(range(1 << 20))
        event = lambda kind, **more: f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': next(number), **more})}\n\n"
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        for n, item in enumerate(whole["output"]):
            at = {"output_index": n, "item_id": item["id"]}
            if item["type"] == "message":
                part = item["content"][0]
                yield event("response.output_item.added", output_index=n, item={**item, "status": "in_progress", "content": []})
                yield event("response.content_part.added", **at, content_index=0, part={**part, "text": ""})
                for piece in [part["text"]] if "{" in part["text"] else TEXT:
                    yield event("response.output_text.delta", **at, content_index=0, delta=piece, logprobs=[])
                yield event("response.output_text.done", **at, content_index=0, text=part["text"], logprobs=[])
                yield event("response.content_part.done", **at, content_index=0, part=part)
            else:
                yield event("response.output_item.added", output_index=n, item={**item, "status": "in_progress", "arguments": ""})
                for cut in range(0, len(item["arguments"]), 7):
                    yield event("response.function_call_arguments.delta", **at, delta=item["arguments"][cut:cut + 7])
                yield event("response.function_call_arguments.done", **at, name=item["name"], arguments=item["arguments"])
            yield event("response.output_item.done", output_index=n, item=item)
        yield event("response.completed", response=whole)

    def generated(self, body, wish):
        if calls := self.calls(body, wish):
            parts = [{"functionCall": {"id": i, "name": "get_weather", "args": ARGUMENTS}} for i, _ in calls]
        else:
            text = json.dumps(STRUCTURED) if body.get("generationConfig", {}).get("responseMimeType") else "".join(TEXT)
            parts = [{"text": text}]
        return self.chunk(parts, "STOP")

    @staticmethod
    def chunk(parts, finish=None):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **({"finishReason": finish} if finish else {})}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "up", "responseId": "x"}

    def parts(self, body, wish):
        for part in self.generated(body, wish)["candidates"][0]["content"]["parts"]:
            for piece in [{"text": piece} for piece in TEXT] if part.get("text") == "".join(TEXT) else [part]:
                yield f"data: {json.dumps(self.chunk([piece]))}\r\n\r\n"
        yield f"data: {json.dumps(self.chunk([{'text': ''}], 'STOP'))}\r\n\r\n"


def start():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
