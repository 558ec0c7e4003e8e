"""One question, followed: what the model has said so far, again and again, and at the end what was found.

The events are plain JSON: {"scene"}, then {"samples", "told"} while it runs ("samples" where there are new ones), then
the same with "seconds"; or {"error"}. Stopping takes effect at the next word; a server that does not stream is waited
for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from morerl.errors import MorerlError
from morerl.extract.extractor import Extractor
from morerl.extract.questions import Question
from morerl.extract.record import Record, read_record
from morerl.extract.result import Result
from morerl.page.question import Asked, in_words, read_question
from morerl.page.shown import Json, finished, running, scene, written
from morerl.report.said import Told, told

Said = dict[tuple[str | None, str | None, int], tuple[Question, str]]


class Stopped(Exception):
    """The person wants no more of it."""


def follow(extractor: Extractor, raw: object, is_stopped: Callable[[], bool]) -> Iterator[Json]:
    """The events of a question of the page. Never raises for what a person can mend."""
    start = time.monotonic()
    try:
        asked = read_question(extractor, raw)
        record = read_record(asked.record)
        yield {"scene": scene(record)}
        said: Said = {}
        result = yield from _running(asked, record, said, is_stopped)
        seconds = round(time.monotonic() - start, 2)
        yield {"samples": finished(record, result), "told": _all_told(result, said), "seconds": seconds}
    except Stopped:
        yield {"error": "Stopped."}
    except MorerlError as error:
        yield {"error": in_words(error)}


def _running(asked: Asked, record: Record, said: Said, is_stopped: Callable[[], bool]) -> Any:
    """Yields what is said while the extraction runs beside; returns its result."""
    news: SimpleQueue[tuple[Question, str] | None] = SimpleQueue()
    gone = False

    def on_text(question: Question, text: str) -> None:
        if gone or is_stopped():
            raise Stopped
        news.put((question, text))

    with ThreadPoolExecutor(1) as aside:
        work = aside.submit(_extract, asked, on_text)
        work.add_done_callback(lambda _: news.put(None))
        shown = 0
        try:
            while (one := news.get()) is not None:
                for question, text in _all_new(one, news):
                    said[_key(question)] = question, text
                yield {**({"samples": _begun(record, said)} if len(said) > shown else {}), "told": _told(said)}
                shown = len(said)
        finally:
            gone = True  # nobody reads any more
        return work.result()


def _extract(asked: Asked, on_text: Callable[[Question, str], None]) -> Result:
    return asked.extractor.extract(**asked.record, on_text=on_text)


def _all_new(first: tuple[Question, str], news: SimpleQueue[Any]) -> Iterator[tuple[Question, str]]:
    """What has come, so that a slow reader gets less often more; the end stays for the next look."""
    yield first
    while not news.empty():
        one = news.get()
        if one is None:
            news.put(None)
            return
        yield one


def _key(question: Question) -> tuple[str | None, str | None, int]:
    return question.head, question.tail, question.window[0]


def _begun(record: Record, said: Said) -> list[Json]:
    return running(record, [question for question, _ in said.values()])


def _told(said: Said) -> list[Told]:
    """One a sample: the windows of a text are told as one."""
    each = [(question, told(text)) for question, text in said.values()]
    if any(question.head is not None for question, _ in each):
        return [one for _, one in each]
    return [_joined([one for _, one in sorted(each, key=lambda pair: pair[0].window)])]


def _all_told(result: Result, said: Said) -> list[Told]:
    """What was said to each question, in the order of the result."""
    whole = [_of(answer, said) for answer in result.answers]
    return whole if result.answers and result.answers[0].head is not None else [_joined(whole)]


def _of(answer: Any, said: Said) -> Told:
    got = said.get((answer.head, answer.tail, answer.start))
    return written(answer) if got is None else told(got[1])


def _joined(several: list[Told]) -> Told:
    return [step for steps, _ in several for step in steps], "\n\n".join(rest for _, rest in several if rest)
