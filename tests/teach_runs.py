"""What tests of a teacher's run need: a corpus of text pairs, and a real server that answers them."""

import asyncio
import hashlib
import json
import re
import threading

from morerl.jsonl import write_records
from morerl.prompts.render import render_completion
from morerl.schema import Gold, Mention, Sample
from morerl.settings import Settings

LABELS = ("Cause-Effect(e1,e2)", "Component-Whole(e2,e1)", "Other")


def pair(number):
    """Sample `number`, which its text names."""
    text = f"The storm number {number} flooded the valley"
    return Sample(
        id=f"s{number}",
        corpus="sem2010",
        split="train",
        text=text,
        mentions=(
            Mention(id="m0", start=4, end=9, text="storm"),
            Mention(id="m1", start=len(text) - 6, end=len(text), text="valley"),
        ),
        head="m0",
        tail="m1",
        gold=Gold(label=LABELS[number % 3]),
    )


def corpus(folder, n):
    write_records(folder / "train.jsonl", [pair(number) for number in range(n)])
    return folder


def settings(tmp_path, url, *, n=20, **teach):
    """A run over `n` samples that asks the server at `url`."""
    corpus(tmp_path / "data", n)
    asked = {"strategy": "guided", "share": 1.0, "endpoint": url, "model": "m", "gates": {"min_words": 5}} | teach
    data = {"dir": tmp_path / "data", "guidelines": "sem2010"}
    return Settings.model_validate({"run": {"dir": tmp_path / "run"}, "data": data, "teach": asked})


def answer(body):
    """The teacher: right, but every 7th sample wrong at the first draw and every 13th always."""
    number = number_of(body)
    wrong = number % 13 == 5 or (number % 7 == 3 and body["seed"] == 0)
    label = LABELS[(number + wrong) % 3]
    think = f"The words 'flooded the' say how the two belong together, in the case of request {mark(body)}."
    return render_completion(think, label)


def number_of(body):
    return int(re.search(r"number (\d+) flooded", body["messages"][0]["content"][-1]["text"])[1])


def mark(body):
    """What tells one request from another; it stands in the reply."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


class Teacher:
    """An asyncio server on 127.0.0.1 in a thread of its own: `reply(body)` after `delay` seconds; `asked` in order.

    A reply is what a model wrote, alone or with its finish reason, or the status of an error.
    """

    def __init__(self, reply=answer, delay=0.0, on_request=lambda number: None, prompt_tokens=100):
        self.asked, self.at_once, self.most_at_once = [], 0, 0
        self._prompt_tokens = prompt_tokens
        self.reply, self._delay, self.on_request = reply, delay, on_request
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _end(self):
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)

    def _serve(self, started):
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        started.set()
        self._loop.run_forever()

    async def _connection(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
                writer.write(await self._one(json.loads(await reader.readexactly(length))))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _one(self, body):
        self.asked.append(mark(body))
        self.on_request(len(self.asked))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self._delay)
        self.at_once -= 1
        text = self.reply(body)
        text, finish = text if isinstance(text, tuple) else (text, "stop")
        status, data = 200, said(text, finish, self._prompt_tokens)
        if isinstance(text, int):
            status, data = text, {"error": {"message": "the server's words"}}
        packed = json.dumps(data).encode()
        head = f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {len(packed)}\r\n\r\n"
        return head.encode() + packed


def said(text, finish, prompt_tokens):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 50, "total_tokens": prompt_tokens + 50}
    return {"model": "teacher-1", "choices": [choice], "usage": usage}
