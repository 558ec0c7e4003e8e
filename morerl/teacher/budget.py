"""What a run may spend, in tokens and dollars: never more, however many requests are under way.

Before a request is sent, the most it can cost is set aside: its prompt (estimated) and the longest reply allowed. What
it did cost takes the place of that when the reply is in. Failed attempts that the server may charge for count with
their prompt.
"""

from __future__ import annotations

import asyncio

from morerl.settings import PriceSettings


class Spent(Exception):
    """The next request could cost more than is left, or nothing may be spent any more."""


class Budget:
    """Tokens and dollars spent so far, and their caps (None: no cap)."""

    def __init__(
        self,
        price: PriceSettings | None,
        *,
        max_usd: float | None = None,
        max_tokens: int | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        self._price = price
        self._max_usd, self._max_tokens = max_usd, max_tokens
        self.prompt_tokens, self.completion_tokens = prompt_tokens, completion_tokens
        self._aside: dict[object, tuple[int, int]] = {}
        self._closed = False
        self._settled = asyncio.Condition()

    @property
    def usd(self) -> float | None:
        """Dollars spent; None where the price is not known."""
        return usd(self._price, self.prompt_tokens, self.completion_tokens)

    async def set_aside(self, prompt_tokens: int, completion_tokens: int) -> object:
        """A ticket for one request, once there is room for it. Raises Spent where there will be none."""
        async with self._settled:
            while not self._closed and not self._fits(prompt_tokens, completion_tokens):
                if not self._aside:
                    raise Spent
                await self._settled.wait()
            if self._closed:
                raise Spent
            ticket = object()
            self._aside[ticket] = (prompt_tokens, completion_tokens)
            return ticket

    async def settle(self, ticket: object, prompt_tokens: int, completion_tokens: int) -> None:
        """What the request of a ticket did cost."""
        async with self._settled:
            del self._aside[ticket]
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
            self._settled.notify_all()

    def close(self) -> None:
        """Nothing is set aside any more; whoever waits for room gets Spent when the next ticket is settled."""
        self._closed = True

    def _fits(self, prompt_tokens: int, completion_tokens: int) -> bool:
        prompt = self.prompt_tokens + prompt_tokens + sum(aside[0] for aside in self._aside.values())
        completion = self.completion_tokens + completion_tokens + sum(aside[1] for aside in self._aside.values())
        cost = usd(self._price, prompt, completion)
        too_dear = self._max_usd is not None and cost is not None and cost > self._max_usd
        return not too_dear and (self._max_tokens is None or prompt + completion <= self._max_tokens)


def usd(price: PriceSettings | None, prompt_tokens: float, completion_tokens: float) -> float | None:
    """Dollars; None where the price is not known."""
    if price is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / 1e6
