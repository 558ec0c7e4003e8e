"""A teacher's run against a server that takes 200 ms a reply: requests a second, own CPU a request, memory.

    python -m benchmarks.teacher                          # 4,000 requests, 64 at once, beside the bare client
    python -m benchmarks.teacher --requests 100000        # is memory flat?

The arithmetic limit is 64 / 0.2 s = 320 requests a second. Beside the run: the same requests over the bare openai
client, in turn, with nothing rendered, kept or judged. The server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from morerl.jsonl import write_records
from morerl.prompts.render import render_completion
from morerl.schema import Gold, Mention, Sample
from morerl.settings import Settings
from morerl.teacher.build import run_teach
from morerl.teacher.plan import Options

SECONDS = 0.2
THINK = "The words between the two say how they belong together, and no other relation of the guide comes near. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=64)
    asked = parser.parse_args()
    ports: Any = multiprocessing.get_context("spawn").Queue()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(ports,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ports.get()}/v1"
    ideal = asked.concurrency / SECONDS
    with tempfile.TemporaryDirectory() as folder:
        for name, run in (("bare openai client", _bare), ("morerl", _ours)):
            result = run(url, Path(folder), asked.requests, asked.concurrency)
            share = 100 * result["per_second"] / ideal
            print(
                f"{name:<20}{result['per_second']:7.1f} requests/s ({share:.1f} % of {ideal:.0f})   "
                f"{result['cpu_ms']:.2f} ms own CPU a request"
            )
            for at, size in result.get("memory", []):
                print(f"    resident after {at:>7,} requests: {size:.1f} MB")


def _ours(url: str, folder: Path, n: int, concurrency: int) -> dict[str, Any]:
    write_records(folder / "data/train.jsonl", (_pair(number) for number in range(n)))
    teach = {"strategy": "guided", "share": 1.0, "endpoint": url, "model": "m", "gates": {"repeats": None}}
    tree = {"run": {"dir": folder / "run"}, "data": {"dir": folder / "data", "guidelines": "sem2010"}, "teach": teach}
    memory = []
    started = list(_now())

    def listen(at: Any) -> None:
        if at.done == 1:
            started[:] = _now()
        if at.done in (n // 100, n // 10, n // 2, n):
            memory.append((at.done, _resident()))

    run_teach(Settings.model_validate(tree), options=Options(concurrency=concurrency), listener=listen)
    return {**_since(started, n), "memory": memory}


def _bare(url: str, folder: Path, n: int, concurrency: int) -> dict[str, Any]:
    import openai

    n = min(n, 4000)
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "word " * 1500}]}]

    async def run() -> dict[str, Any]:
        client = openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0)
        waiting = iter(range(n))

        async def work() -> None:
            for _ in waiting:
                await client.chat.completions.create(model="m", messages=messages, temperature=0, max_tokens=2048)

        async with client:
            started = _now()
            await asyncio.gather(*(work() for _ in range(concurrency)))
            return _since(started, n)

    return asyncio.run(run())


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(started: Any, n: int) -> dict[str, Any]:
    wall, cpu = (now - then for now, then in zip(_now(), started, strict=True))
    return {"per_second": n / wall, "cpu_ms": 1000 * cpu / n}


def _resident() -> float:
    """MB, now where Linux tells, else at the most so far."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _pair(number: int) -> Sample:
    text = f"The storm number {number} flooded the valley"
    storm = Mention(id="m0", start=4, end=9, text="storm")
    valley = Mention(id="m1", start=len(text) - 6, end=len(text), text="valley")
    return Sample(
        id=f"s{number}",
        corpus="sem2010",
        split="train",
        text=text,
        mentions=(storm, valley),
        head="m0",
        tail="m1",
        gold=Gold(label="Cause-Effect(e1,e2)"),
    )


def _serve(ports: Any) -> None:
    text = render_completion(THINK, "Cause-Effect(e1,e2)")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1700, "completion_tokens": 170, "total_tokens": 1870}
    data = json.dumps(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    reply = (head + data).encode()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                length = next(line for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                await asyncio.sleep(SECONDS)
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
