"""Asks the endpoint for every sample, as many at once as it bears; what comes back is kept at once.

A reply that is kept is never asked for again. Whether a sample gets another draw is settled by the gates alone, so
that a run which was interrupted, wherever that was, ends with the replies of one that was not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from morerl.errors import DataError, ImageError, MorerlError
from morerl.models.limiter import Shut
from morerl.models.transport import Failure, Transport
from morerl.prompts.parse import parse
from morerl.schema import Sample
from morerl.scoring import is_right
from morerl.settings import Settings, TeachSettings
from morerl.task import TaskSpec
from morerl.teacher.budget import Budget, Spent
from morerl.teacher.gates import judge
from morerl.teacher.pay import CONTENT_FILTER, Payer
from morerl.teacher.requests import Question, Request, question, request
from morerl.teacher.store import Asked, Draw, Store, Stored
from morerl.teacher.strategies import ASKING

log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a run is."""

    done: int
    total: int
    kept: int
    rejected: Counter[str]  # chains, by reason
    tokens: int = 0
    usd: float | None = None
    ceiling: int = 0  # requests at once, as the endpoint bears it now


Listener = Callable[[Progress], object]


def ask_all(
    samples: Sequence[Sample],
    spec: TaskSpec,
    settings: Settings,
    store: Store,
    *,
    base_url: str,
    mark: str,
    budget: Budget,
    concurrency: int,
    listener: Listener,
) -> str | None:
    """Asks until every sample has its draws. Returns why it stopped before that: "budget", "interrupted" or None.

    Interrupted once (Ctrl-C, SIGTERM) it lets the requests under way come in, twice it leaves them. Raises MorerlError
    for an endpoint that cannot be used, DataError for settings that do not show a sample, OSError for a full disk.
    """
    asking = _Asking(samples, spec, settings, store, mark, budget, listener)
    return asyncio.run(asking.run(base_url, concurrency))


class _Asking:
    def __init__(
        self,
        samples: Sequence[Sample],
        spec: TaskSpec,
        settings: Settings,
        store: Store,
        mark: str,
        budget: Budget,
        listener: Listener,
    ) -> None:
        self._samples, self._spec, self._settings, self._store = samples, spec, settings, store
        self._mark, self._budget, self._listener = mark, budget, listener
        self._done = self._kept = 0
        self._rejected: Counter[str] = Counter()
        self._stopped: str | None = None
        self._error: MorerlError | OSError | None = None

    async def run(self, base_url: str, concurrency: int) -> str | None:
        waiting = iter(self._samples)
        async with Transport(base_url, concurrency=concurrency) as transport:
            self._payer, self._limiter = Payer(self._store, self._budget, transport, self._settings), transport.limiter
            workers = asyncio.gather(*(self._work(waiting) for _ in range(concurrency)))
            with _signals(lambda: self._interrupt(workers)), contextlib.suppress(asyncio.CancelledError):
                await workers
        if self._error is not None:
            raise self._error
        return self._stopped

    async def _work(self, waiting: Iterator[Sample]) -> None:
        for sample in waiting:
            if self._stopped or self._error:
                return
            try:
                await self._sample(sample)
            except Shut:
                return
            except Spent:
                self._stopped = self._stopped or "budget"
            except (MorerlError, OSError) as error:
                self._error = self._error or error
                self._send_no_more()
            await asyncio.sleep(0)  # samples whose replies are kept would never let go of the loop

    def _interrupt(self, workers: asyncio.Future[object]) -> None:
        if self._stopped == "interrupted":
            workers.cancel()
        else:
            log.warning("stopping: replies under way are waited for; once more to leave them")
        self._stopped = "interrupted"
        self._send_no_more()

    def _send_no_more(self) -> None:
        """Replies under way still come in, and are kept."""
        self._budget.close()
        self._limiter.shut()

    async def _sample(self, sample: Sample) -> None:
        try:
            asked = await self._question(sample)
        except DataError as error:
            if not isinstance(error.__cause__, ImageError):
                raise
            self._note(sample, None, [], unusable=f"picture_{error.__cause__.reason}")
            return
        draws: list[Draw] = []
        failed = None
        for number in range(most_draws(self._settings.teach)):
            if number and self._stopped:
                return
            sent = request(asked, self._settings, self._spec, number)
            try:
                reply = await self._payer.reply(asked, sent)
            except Failure as failure:
                failed = f"reply_{failure.reason}"
                break
            draws.append(self._judged(asked, sent, reply))
            if not _wants_another(draws[-1], reply, self._settings.teach):
                break
        self._note(sample, asked, draws, failed=failed)

    async def _question(self, sample: Sample) -> Question:
        if sample.image is None:
            return question(sample, self._spec, self._settings)
        # decoding a picture takes as long as many requests
        return await asyncio.to_thread(question, sample, self._spec, self._settings)

    def _judged(self, asked: Question, sent: Request, reply: Stored) -> Draw:
        sample, spec, teach = asked.sample, self._spec, self._settings.teach
        template = ASKING[teach.strategy].template(sample)
        reason = reply.refused or judge(reply.text, reply.finish_reason, sample, spec, template, teach.gates)
        return Draw(
            key=sent.key,
            draw=sent.draw,
            temperature=sent.options.get("temperature"),
            seed=sent.options.get("seed"),
            reason=reason,
            right=reason is None or is_right(sample, parse(reply.text, spec, sample).answer, spec),
        )

    def _note(
        self,
        sample: Sample,
        asked: Question | None,
        draws: list[Draw],
        *,
        failed: str | None = None,
        unusable: str | None = None,
    ) -> None:
        noted = Asked(
            mark=self._mark,
            prompt_hash=asked.prompt_hash if asked else "",
            pictures=asked.pictures if asked else (),
            strategy=ASKING[self._settings.teach.strategy].VERSION,
            draws=tuple(draws),
            failed=failed,
            unusable=unusable,
        )
        if self._store.asked(sample.id) != noted:
            self._store.note_asked(sample.id, noted)
        self._done += 1
        self._kept += any(draw.reason is None for draw in draws)
        self._rejected.update(draw.reason for draw in draws if draw.reason is not None)
        self._rejected.update(reason for reason in (failed, unusable) if reason is not None)
        self._listener(
            Progress(
                self._done,
                len(self._samples),
                self._kept,
                self._rejected,
                self._budget.prompt_tokens + self._budget.completion_tokens,
                self._budget.usd,
                self._limiter.ceiling,
            )
        )


def most_draws(teach: TeachSettings) -> int:
    return teach.draws if teach.strategy == "distill" else 1 + teach.retries


def _wants_another(draw: Draw, reply: Stored, teach: TeachSettings) -> bool:
    if reply.refused is not None:
        return False
    return teach.strategy == "distill" or (draw.reason is not None and draw.reason != CONTENT_FILTER)


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and a scheduler's SIGTERM call `stop` as long as the block lasts."""
    loop, caught = asyncio.get_running_loop(), []
    for number in (signal.SIGINT, signal.SIGTERM):
        # outside the main thread, and on Windows, signals go their usual way
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
