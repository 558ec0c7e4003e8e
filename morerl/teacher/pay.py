"""A reply for a request: the kept one, or a new one that is paid for within the budget and kept at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from morerl.models.transport import Answer, Failure, Transport
from morerl.settings import Settings
from morerl.teacher.budget import Budget
from morerl.teacher.requests import BYTES, Question, Request, body
from morerl.teacher.store import Failure as Lost
from morerl.teacher.store import Store, Stored

CONTENT_FILTER = "content_filter"


class Payer:
    """Asks for what is not kept. For one event loop."""

    def __init__(self, store: Store, budget: Budget, transport: Transport, settings: Settings) -> None:
        self._store, self._budget, self._transport = store, budget, transport
        self._longest = settings.teach.max_new_tokens
        self._pending: dict[str, asyncio.Future[Stored]] = {}

    async def reply(self, asked: Question, sent: Request) -> Stored:
        """The reply to a request. Two samples that ask the very same share one.

        Raises Failure where there is none this time, Spent where there is no budget left for it, Shut where no more is
        sent, and what Transport.ask and Store.keep raise.
        """
        stored = self._store.reply(sent.key)
        if stored is not None:
            return stored
        if sent.key not in self._pending:
            paid = asyncio.ensure_future(self._pay(asked, sent))
            paid.add_done_callback(lambda _: self._pending.pop(sent.key, None))
            self._pending[sent.key] = paid
        return await self._pending[sent.key]

    async def _pay(self, asked: Question, sent: Request) -> Stored:
        longest = sent.options.get("max_tokens") or sent.options.get("max_completion_tokens") or self._longest
        ticket = await self._budget.set_aside(asked.tokens, longest)
        cost = (0, 0)
        try:
            # a picture takes as long to encode as many requests
            posted = body(asked, sent) if not asked.images else await asyncio.to_thread(body, asked, sent)
            stored = _stored(await self._transport.ask(posted), asked)
            cost = (stored.prompt_tokens, stored.completion_tokens)
            self._store.keep(sent.key, stored)  # before anything can be cancelled
        except Failure as failure:
            cost = (failure.lost * asked.tokens, 0)
            if not failure.final:
                lost = Lost(reason=failure.reason, attempts=failure.tries, prompt_tokens=cost[0])
                self._store.note_failure(lost)
                raise
            stored = _refused(failure, sent, cost[0])
            self._store.keep(sent.key, stored)
        finally:
            await self._budget.settle(ticket, *cost)
        return stored


def _stored(answer: Answer, asked: Question) -> Stored:
    """A reply as it is kept. What the server does not count is estimated, for the budget alone."""
    text = answer.texts[0]
    prompt = answer.usage.get("prompt_tokens", asked.tokens) + answer.lost * asked.tokens
    return Stored(
        text=text,
        model=answer.model,
        finish_reason=answer.finish_reasons[0],
        usage=answer.usage,
        attempts=answer.tries,
        time=_now(),
        prompt_tokens=prompt,
        completion_tokens=answer.usage.get("completion_tokens", round(len(text.encode()) / BYTES)),
    )


def _refused(failure: Failure, sent: Request, prompt_tokens: int) -> Stored:
    """That there will never be a reply, kept so that nobody asks again."""
    return Stored(
        text="",
        model=sent.options["model"],
        finish_reason="",
        attempts=failure.tries,
        time=_now(),
        prompt_tokens=prompt_tokens,
        completion_tokens=0,
        refused=CONTENT_FILTER if failure.reason == CONTENT_FILTER else f"reply_{failure.reason}",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
