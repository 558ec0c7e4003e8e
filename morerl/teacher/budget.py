"""What a run may spend, in tokens and dollars: never more, however many requests are under way.

Before an attempt is sent, the most it can cost is set aside: its prompt and the longest reply allowed. What it did cost
takes the place of that when the reply is in; an attempt that is lost costs all of it. A prompt is estimated before it
is sent, and the server's own figures correct the estimate: under a cap, the first attempt goes alone.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from morerl.settings import PriceSettings


class Spent(Exception):
    """The next attempt could cost more than is left."""


class Ticket(NamedTuple):
    """What is set aside for one attempt."""

    number: int
    prompt_tokens: int
    completion_tokens: int


class Budget:
    """Tokens and dollars spent so far, and their caps (None: no cap). For one event loop."""

    def __init__(
        self,
        price: PriceSettings | None,
        *,
        max_usd: float | None = None,
        max_tokens: int | None = None,
        spent_tokens: int = 0,
        spent_usd: float = 0.0,
    ) -> None:
        self._price, self._max_usd, self._max_tokens = price, max_usd, max_tokens
        self.tokens, self._usd = spent_tokens, spent_usd
        self._ratio: float | None = None if max_usd is not None or max_tokens is not None else 1.0
        self._aside: dict[int, Ticket] = {}
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def usd(self) -> float | None:
        """Dollars spent; None where the price is not known."""
        return None if self._price is None else self._usd

    def price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Dollars; None where the price is not known."""
        return usd(self._price, prompt_tokens, completion_tokens)

    async def set_aside(self, prompt_tokens: int, completion_tokens: int) -> Ticket:
        """A ticket for one attempt of so many tokens, estimated, once there is room. Raises Spent if there never is."""
        while not self._fits(prompt_tokens, completion_tokens):
            if not self._aside:
                raise Spent
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._count += 1
        ticket = Ticket(self._count, round(prompt_tokens * (self._ratio or 1.0)), completion_tokens)
        self._aside[ticket.number] = ticket
        return ticket

    def settle(self, ticket: Ticket, prompt_tokens: int, completion_tokens: int) -> None:
        """What the attempt of a ticket did cost."""
        del self._aside[ticket.number]
        self.tokens += prompt_tokens + completion_tokens
        self._usd += self.price(prompt_tokens, completion_tokens) or 0.0
        self._wake()

    def learn(self, estimated: int, counted: int) -> None:
        """The server counts `counted` tokens where `estimated` were expected."""
        self._ratio = max(self._ratio or 0.0, counted / max(1, estimated), 1.0)
        self._wake()

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()

    def _fits(self, prompt_tokens: int, completion_tokens: int) -> bool:
        if self._max_usd is None and self._max_tokens is None:
            return True
        if self._ratio is None and self._aside:
            return False
        aside = self._aside.values()
        prompt = round(prompt_tokens * (self._ratio or 1.0)) + sum(ticket.prompt_tokens for ticket in aside)
        completion = completion_tokens + sum(ticket.completion_tokens for ticket in aside)
        dollars = self._usd + (self.price(prompt, completion) or 0.0)
        too_dear = self._max_usd is not None and dollars > self._max_usd
        return not too_dear and (self._max_tokens is None or self.tokens + prompt + completion <= self._max_tokens)


def usd(price: PriceSettings | None, prompt_tokens: float, completion_tokens: float) -> float | None:
    """Dollars; None where the price is not known."""
    if price is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / 1e6
