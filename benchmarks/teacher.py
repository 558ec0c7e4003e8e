"""A teacher's run against a server that takes 200 ms a reply: requests a second, own CPU a request, memory.

    python -m benchmarks.teacher --out assets/results/teacher.md

The arithmetic limit is 64 at once / 0.2 s = 320 requests a second. The stock way beside it, in turn: the openai
client's own `chat.completions.create` with as many at once, and nothing rendered, kept or judged. Then one long run: is
memory flat? The server is a process of its own on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import statistics
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
AT_ONCE = 64
IDEAL = AT_ONCE / SECONDS
THINK = "The words 'flooded the' say how the two belong together, and no other relation of the guide comes near. " * 8


def main() -> None:
    """Runs both in turn, then the long run, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="a round")
    parser.add_argument("--long", type=int, default=100_000, help="requests of the long run; 0: none")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    ports: Any = multiprocessing.get_context("spawn").Queue()
    multiprocessing.get_context("spawn").Process(target=_serve, args=(ports,), daemon=True).start()
    url = f"http://127.0.0.1:{ports.get()}/v1"
    rounds: dict[str, list[dict[str, Any]]] = {"openai client alone": [], "morerl": []}
    for _ in range(asked.rounds):
        for name, run in (("openai client alone", _bare), ("morerl", _ours)):
            rounds[name].append(run(url, asked.requests))
            print(name, rounds[name][-1], flush=True)
    memory = _ours(url, asked.long)["memory"] if asked.long else []
    page = table(rounds, memory, asked)
    print(page)
    if asked.out:
        asked.out.write_text(page, encoding="utf-8")


def table(rounds: dict[str, list[dict[str, Any]]], memory: list[tuple[str, float]], asked: argparse.Namespace) -> str:
    """The markdown page."""
    lines = ["| | requests/s | of the limit | own CPU a request, ms |", "|---|---|---|---|"]
    for name, results in rounds.items():
        rate, cpu = (statistics.median(result[key] for result in results) for key in ("per_second", "cpu_ms"))
        lines.append(f"| {name} | {rate:.0f} | {100 * rate / IDEAL:.1f} % | {cpu:.2f} |")
    sizes = ["| requests done | resident MB |", "|---|---|", *(f"| {at} | {size:.1f} |" for at, size in memory)]
    writing = statistics.median(result["writing_s"] for result in rounds["morerl"])
    about = (
        f"{AT_ONCE} requests at once, prompts of SemEval-2010's guideline (7 kB), no pictures; the limit: {IDEAL:.0f} "
        f"requests a second.\nMedians of {asked.rounds} rounds of {asked.requests:,} requests, the two in turn. morerl "
        "renders, asks, keeps and judges each; the other only asks. The CPU is that of the whole run, with the writing "
        f"of the files after the last reply ({writing:.1f} s a round, no part of the rate)."
    )
    made = (
        f"By `python -m benchmarks.teacher --rounds {asked.rounds} --requests {asked.requests} --long {asked.long}` "
        f"on {os.cpu_count()} CPU cores ({platform.machine()}), Python {platform.python_version()}; the server too."
    )
    long = ["One long run:", "", *sizes, ""] if memory else []
    return "\n".join(["# A teacher's run against a server of 200 ms", "", about, "", *lines, "", *long, made, ""])


def _ours(url: str, n: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return _run(url, Path(folder), n)


def _run(url: str, folder: Path, n: int) -> dict[str, Any]:
    write_records(folder / "data/train.jsonl", (_pair(number) for number in range(n)))
    teach = {"strategy": "guided", "share": 1.0, "endpoint": url, "model": "m", "gates": {"repeats": None}}
    tree = {"run": {"dir": folder / "run"}, "data": {"dir": folder / "data", "guidelines": "sem2010"}, "teach": teach}
    memory, times = [], {}

    def listen(at: Any) -> None:
        if at.done in (1, n):
            times[at.done] = _now()
        if at.done in (n // 100, n // 10, n // 2, n):
            memory.append((f"{at.done:,}", _resident()))

    totals = run_teach(Settings.model_validate(tree), options=Options(concurrency=AT_ONCE), listener=listen)
    assert totals["kept"] == n
    memory.append((f"{n:,}, files written", _resident()))
    asking, whole = (end[0] - times[1][0] for end in (times[n], _now()))
    cpu = time.process_time() - times[1][1]
    return {"per_second": n / asking, "cpu_ms": 1000 * cpu / n, "writing_s": whole - asking, "memory": memory}


def _bare(url: str, n: int) -> dict[str, Any]:
    import openai

    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "word " * 1500}]}]

    async def run() -> dict[str, Any]:
        client = openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0)
        waiting = iter(range(n))

        async def work() -> None:
            for _ in waiting:
                await client.chat.completions.create(model="m", messages=messages, temperature=0, max_tokens=2048)

        async with client:
            started = _now()
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
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
