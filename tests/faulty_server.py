"""A real HTTP server on 127.0.0.1 that writes byte for byte what a script says, pauses and breaks off where it says."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
from http import HTTPStatus

from openai_server import failed, said

RESET = object()  # breaks the connection with a TCP reset


def http(reply, *, length=None):
    """The bytes of (status, headers, body); `length` is the Content-Length told, if not the true one."""
    status, headers, data = reply
    lines = {"Content-Type": "application/json", "Content-Length": len(data) if length is None else length} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + data


def good(text="fine", **fields):
    """A whole reply of one choice with a usage; `fields` are laid over it."""
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    reply = {**json.loads(said(text)[2]), "usage": usage, **fields}
    return 200, {}, json.dumps(reply).encode()


def refused(status, code, **headers):
    """An error as OpenAI writes it, with a code."""
    error = {"message": f"no: {code}", "type": "invalid_request_error", "code": code}
    return status, headers, json.dumps({"error": error}).encode()


CUT = good()[2][:40]
ONCE = {  # faults that pass: reason -> what is written once
    "http_500": [http(failed(500))],
    "http_502": [http((502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>"))],
    "http_408": [http(failed(408))],
    "reset before the headers": [RESET],
    "closed before the headers": [],
    "reset after the headers": [http(good())[:-20], 0.02, RESET],
    "closed within the body": [http((200, {}, CUT), length=500)],
    "truncated JSON of its true length": [http((200, {}, CUT))],
    "invalid UTF-8": [http((200, {}, b'{"choices": "\xff"}'))],
    "deep JSON": [http((200, {}, b"[" * 100_000))],
    "a number too long for an int": [http((200, {}, b"1" * 5_000))],
    "no gzip": [http((200, {"Content-Encoding": "gzip"}, b"not packed"))],
    "wrong content type": [http((200, {"Content-Type": "text/plain"}, b"please wait"))],
    "an event stream": [http((200, {"Content-Type": "text/event-stream"}, b"data: {}\n\n"))],
    "empty choices": [http(good(choices=[]))],
    "choices null": [http(good(choices=None))],
    "no HTTP": [b"hello\r\n\r\n"],
}


class FaultyServer:
    """`script(body, number)` gives the steps of a reply: bytes to write, seconds to wait, or RESET.

    A reply that is not whole by its own length is followed by the end of the connection. `bodies` is what was sent,
    `most` the greatest number in flight, `open` the connections there are now.
    """

    def __init__(self, script):
        self.script, self.bodies, self.heads = script, [], []
        self.running = self.most = self.open = 0
        self.loop = asyncio.new_event_loop()
        self._server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=500))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def close(self):
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self.loop.close()

    def _stop(self):
        self._server.close()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda done: self.loop.stop())

    async def _serve(self, reader, writer):
        self.open += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        self.open -= 1
        writer.close()

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(lines["content-length"])))
        self.heads.append(head)
        self.bodies.append(body)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._write(self.script(body, len(self.bodies) - 1), reader, writer)
        finally:
            self.running -= 1

    async def _write(self, steps, reader, writer):
        for step in steps:
            if step is RESET:
                now = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                writer.transport.abort()
                return False
            if isinstance(step, float):
                await self._sleep(step, reader)
                continue
            writer.write(step)
            await writer.drain()
        return _whole(b"".join(step for step in steps if isinstance(step, bytes)))

    async def _sleep(self, seconds, reader):
        """A pause that ends with the connection: a client that leaves is noticed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if not await reader.read(1):
                    raise ConnectionError


def _whole(reply):
    head, _, data = reply.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    return bool(lengths) and int(lengths[0]) == len(data)
