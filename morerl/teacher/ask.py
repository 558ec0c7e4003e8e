"""Asks the endpoint for every sample, as many at once as it bears; what comes back is kept at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from morerl.errors import DataError, ImageError, MorerlError
from morerl.models.limiter import Shut
from morerl.models.transport import Failure, Transport
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.teacher.budget import Budget, Spent
from morerl.teacher.chains import Chain, judged, wanted
from morerl.teacher.pay import Payer
from morerl.teacher.plan import Work
from morerl.teacher.requests import Question, ask_about
from morerl.teacher.store import Asked, Store

log = logging.getLogger(__name__)

AHEAD = 16  # samples that are rendered or judged while others ask


class Progress(NamedTuple):
    """How far a run is."""

    done: int
    total: int
    kept: int
    rejected: Counter[str]  # chains, by reason
    tokens: int = 0
    usd: float | None = None
    ceiling: int = 0  # requests at once, as the endpoint bears it now


class Ended(NamedTuple):
    """How the asking ended."""

    stopped: str | None  # budget | interrupted | error; None: every sample has been gone through
    error: MorerlError | OSError | None
    words: dict[str, str]  # what the server said of requests that came to nothing, by reason


Listener = Callable[[Progress], object]


def ask_all(
    work: Work,
    settings: Settings,
    store: Store,
    budget: Budget,
    *,
    base_url: str,
    concurrency: int,
    listener: Listener,
) -> Ended:
    """Asks until every sample that it is about now has its draws, or until something ends it.

    Interrupted once (Ctrl-C, SIGTERM) it lets the requests under way come in, twice it leaves them. An error of the
    endpoint, the disk or the settings ends it as an interrupt does; it is returned, for what came in is to be written.
    """
    return asyncio.run(_Asking(work, settings, store, budget, listener).run(base_url, concurrency))


class _Asking:
    def __init__(self, work: Work, settings: Settings, store: Store, budget: Budget, listener: Listener) -> None:
        self._work, self._settings, self._store, self._budget = work, settings, store, budget
        self._listener = listener
        self._done = self._kept = 0
        self._rejected: Counter[str] = Counter()
        self._stopped: str | None = None
        self._error: MorerlError | OSError | None = None

    async def run(self, base_url: str, concurrency: int) -> Ended:
        waiting = iter(self._work.now)
        async with Transport(base_url, concurrency=concurrency) as transport:
            self._payer = Payer(self._store, self._budget, transport, self._settings)
            self._limiter = transport.limiter
            # more than may ask at once: when a place is free, the next request is there already
            workers = asyncio.gather(*(self._go_through(waiting) for _ in range(concurrency + AHEAD)))
            with _signals(lambda: self._interrupt(workers)):
                try:
                    await workers
                except asyncio.CancelledError:
                    self._stopped = "interrupted"
        if self._error is None:
            self._payer.keep_refusals()
        return Ended(self._stopped, self._error, self._payer.words)

    async def _go_through(self, waiting: Iterator[Sample]) -> None:
        for sample in waiting:
            if self._stopped in ("interrupted", "error"):
                return
            try:
                await self._ask(sample)
            except Spent:
                self._stopped = self._stopped or "budget"  # those that follow may have their replies already
            except Shut:
                return
            except (MorerlError, OSError) as error:
                self._error = self._error or error
                self._send_no_more("error")
            await asyncio.sleep(0)  # samples whose replies are kept would never let go of the loop

    def _interrupt(self, workers: asyncio.Future[object]) -> None:
        if self._stopped == "interrupted":
            workers.cancel()
        else:
            log.warning("stopping: replies under way are waited for; once more to leave them")
            self._send_no_more("interrupted")

    def _send_no_more(self, why: str) -> None:
        """Replies under way still come in, and are kept."""
        self._stopped = why
        self._limiter.shut()

    async def _ask(self, sample: Sample) -> None:
        try:
            question = await self._question(sample)
        except DataError as error:
            if not isinstance(error.__cause__, ImageError):
                raise
            unusable = f"picture_{error.__cause__.reason}"
            self._store.note_asked(sample.id, Asked(mark=self._work.mark, unusable=unusable))
            self._tell([], unusable)
            return
        asked = Asked(mark=self._work.mark, prompt_hash=question.prompt_hash, pictures=question.pictures)
        self._store.note_asked(sample.id, asked)
        self._tell(*await self._draw(question))

    async def _question(self, sample: Sample) -> Question:
        if sample.image is None:
            return ask_about(sample, self._work.spec, self._settings)
        # decoding a picture takes as long as many requests
        return await asyncio.to_thread(ask_about, sample, self._work.spec, self._settings)

    async def _draw(self, question: Question) -> tuple[list[Chain], str | None]:
        """The sample's chains, and why one more is missing."""
        chains: list[Chain] = []
        rest = (question.sample, question.prompt_hash, self._work.spec, self._settings)
        while (sent := wanted(chains, *rest)) is not None:
            try:
                reply = await self._payer.reply(question, sent)
            except Failure as failure:
                return chains, f"reply_{failure.reason}"
            chains.append(judged(sent, reply, question.sample, self._work.spec, self._settings, self._store))
        return chains, None

    def _tell(self, chains: list[Chain], missing: str | None) -> None:
        reasons = [chain.reason for chain in chains]
        self._done += 1
        self._kept += None in reasons
        self._rejected.update(reason for reason in (*reasons, missing) if reason is not None)
        tokens, usd, ceiling = self._budget.tokens, self._budget.usd, self._limiter.ceiling
        self._listener(Progress(self._done, len(self._work.now), self._kept, self._rejected, tokens, usd, ceiling))


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
