"""A real HTTP server on 127.0.0.1 that answers as an OpenAI-compatible one does, or as a faulty one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """A server whose `reply(body, number)` gives (status, headers, bytes); `bodies` and `keys` are what it was sent."""

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
                for name, value in (
                    {"Content-Type": "application/json", "Content-Length": len(data)} | headers
                ).items():
                    handler.send_header(name, str(value))
                handler.end_headers()
                handler.wfile.write(data)

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


def failed(status, message="no", **headers):
    return status, headers, json.dumps({"error": {"message": message}}).encode()
