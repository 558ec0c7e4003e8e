"""A real HTTP server on 127.0.0.1 that answers as an OpenAI-compatible one does, or as a faulty one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """A server whose `reply(body, number)` gives (status, headers, bytes or pieces of them as they come).

    `bodies` and `keys` are what it was sent.
    """

    def __init__(self, reply):
        self.bodies, self.keys, self.paths, lock = [], [], [], threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                with lock:
                    number = len(self.bodies)
                    self.bodies.append(body)
                    self.keys.append(handler.headers["Authorization"])
                    self.paths.append(handler.path)
                status, headers, data = reply(body, number)
                handler.send_response(status)
                whole = isinstance(data, bytes)
                end = {"Content-Length": len(data)} if whole else {"Connection": "close"}
                for name, value in ({"Content-Type": "application/json"} | end | headers).items():
                    handler.send_header(name, str(value))
                handler.end_headers()
                for piece in [data] if whole else data:
                    handler.wfile.write(piece)
                    handler.wfile.flush()

            def log_message(handler, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


def said(*texts, finish="stop"):
    """A reply as OpenAI writes it, one choice a text."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        for i, text in enumerate(texts)
    ]
    reply = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
    return 200, {}, json.dumps(reply).encode()


def streamed(*pieces, finish="stop"):
    """A reply that comes in pieces, as OpenAI streams it; a piece that is a function is called in its place."""

    def events():
        for piece in pieces:
            if callable(piece):
                piece()
                continue
            yield event({"model": "m", "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
        yield event({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        yield b"data: [DONE]\n\n"

    return 200, {"Content-Type": "text/event-stream"}, events()


def event(chunk):
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def failed(status, message="no", **headers):
    return status, headers, json.dumps({"error": {"message": message}}).encode()
