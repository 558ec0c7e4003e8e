"""How many requests may be under way at once: fewer after an overloaded server says so, slowly more again.

Additive increase, multiplicative decrease (Chiu and Jain 1989), with one pause that all requests share. Left out on
purpose: limits on tokens a minute, which a server tells by the same 429.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 1.0  # seconds, of an overloaded server that does not say how long; doubles while nothing succeeds
LONGEST_PAUSE = 60.0
LONGEST_WISH = 600.0  # seconds: a server that wants a longer pause is asked again after this


class Shut(Exception):
    """Nobody may enter any more."""


class Limiter:
    """At most `ceiling` of its `async with` blocks run at once, in the order they came.

    Entering gives a number, the wave, to hand to `succeeded` or `overloaded` before the block ends: replies of an
    earlier wave say nothing about the present ceiling. For one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ceiling = limit
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._wave = 0
        self._good = 0  # successes since the ceiling last moved
        self._bad = 0  # waves overloaded since the last success
        self._resume = -math.inf  # on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._shut = False

    @property
    def ceiling(self) -> int:
        """How many may be under way now, from 1 to the limit."""
        return self._ceiling

    async def __aenter__(self) -> int:
        if self._shut:
            raise Shut
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # the turn came at the same moment
                self._leave()
            raise
        return self._wave

    async def __aexit__(self, *error: object) -> None:
        self._leave()

    def succeeded(self, wave: int) -> None:
        """A request of `wave` was answered: after as many of these as the ceiling, it is one higher."""
        if wave != self._wave:
            return
        self._good += 1
        self._bad = 0
        if self._good >= self._ceiling < self._limit:
            self._ceiling += 1
            self._good = 0

    def overloaded(self, wave: int, wish: float | None) -> None:
        """A request of `wave` was too many: half the ceiling, once a wave, and a pause for all.

        `wish`: seconds the server asks for, or None. It is kept to; where nothing succeeds after it, pauses grow.
        """
        pause = min(wish or 0.0, LONGEST_WISH)
        if wave == self._wave:
            if self._bad or not pause:
                grown = min(FIRST_PAUSE * 2.0 ** min(self._bad, 30), LONGEST_PAUSE)
                pause = max(pause, grown * random.uniform(0.75, 1.25))
            self._wave += 1
            self._bad += 1
            self._good = 0
            self._ceiling = max(1, self._ceiling // 2)
        self._resume = max(self._resume, asyncio.get_running_loop().time() + pause)

    def shut(self) -> None:
        """Lets those end that are in; those who wait, and whoever comes, get Shut."""
        self._shut = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Shut())

    def _leave(self) -> None:
        self._running -= 1
        self._wake()

    def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            return
        if loop.time() < self._resume:
            if self._timer is None:
                self._timer = loop.call_at(self._resume, self._resumed)
            return
        while self._waiting and self._running < self._ceiling:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                self._running += 1
                turn.set_result(None)

    def _resumed(self) -> None:
        self._timer = None
        self._wake()


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds from `now` (of the Unix clock) that a Retry-After header asks for (RFC 9110, 10.2.3); None: nothing.

    The header is seconds or an HTTP date; anything else, and what lies in the past, is None.
    """
    if not header or len(header) > 100:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _until(header, now)
    return seconds if 0.0 < seconds < math.inf else None


def _until(date: str, now: float) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
