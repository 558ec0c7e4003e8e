"""A reply for a request: the kept one, or a new one that is paid for within the budget and kept at once."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from morerl.errors import MorerlError
from morerl.models.transport import Answer, Failure, Transport
from morerl.settings import Settings
from morerl.teacher.budget import Budget, Ticket
from morerl.teacher.chains import CONTENT_FILTER
from morerl.teacher.requests import BYTES, Question, Request, body, longest_reply
from morerl.teacher.store import Cost, Store, Stored

log = logging.getLogger(__name__)

ALL_REFUSED = 8  # as many refusals and no reply at all: it is the server or the settings, not the question


class Payer:
    """Asks for what is not kept. For one event loop."""

    def __init__(self, store: Store, budget: Budget, transport: Transport, settings: Settings) -> None:
        self._store, self._budget, self._transport, self._teach = store, budget, transport, settings.teach
        self._pending: dict[str, asyncio.Future[Stored]] = {}
        self._refusals: list[tuple[str, Stored]] | None = []  # not kept before the server has shown that it can reply
        self.words: dict[str, str] = {}  # reason -> what the server said, the first time

    async def reply(self, question: Question, sent: Request) -> Stored:
        """The reply to a request. Two samples that ask the very same share one.

        Raises Failure where there is none this time, Spent where there is no budget left for it, Shut where no more is
        sent, MorerlError for a server that refuses everything, and what Transport.ask and Store.keep raise.
        """
        kept = self._store.reply(sent.key)
        if kept is not None:
            return kept
        if sent.key not in self._pending:
            paid = asyncio.ensure_future(self._pay(question, sent))
            paid.add_done_callback(lambda _: self._pending.pop(sent.key, None))
            self._pending[sent.key] = paid
        return await self._pending[sent.key]

    async def _pay(self, question: Question, sent: Request) -> Stored:
        longest = longest_reply(sent.options) or self._teach.max_new_tokens
        ticket: Ticket | None = await self._budget.set_aside(question.tokens, longest)

        async def lost(reason: str) -> None:
            nonlocal ticket
            assert ticket is not None
            self._lose(ticket)
            ticket = None  # there may be no room for another
            ticket = await self._budget.set_aside(question.tokens, longest)

        cost = Cost(attempts=1, prompt_tokens=0, completion_tokens=0)
        try:
            # a picture takes as long to encode as many requests
            posted = body(question, sent) if not question.images else await asyncio.to_thread(body, question, sent)
            answer = await self._transport.ask(posted, on_lost=lost)
            cost = reply = self._received(answer, question)
            self._keep(sent.key, reply)
        except OSError:
            self._transport.limiter.shut()  # what cannot be kept is not to be paid for
            raise
        except Failure as failure:
            self._hear(failure)
            if not failure.final:
                raise
            cost = reply = _refused(failure, sent)
            self._refuse(sent.key, reply)
        except asyncio.CancelledError:
            if ticket is not None:
                self._lose(ticket)
                ticket = None
            raise
        finally:
            if ticket is not None:
                self._budget.settle(ticket, cost.prompt_tokens, cost.completion_tokens)
        return reply

    def _lose(self, ticket: Ticket) -> None:
        """The attempt of a ticket came to nothing, and the server may charge for all of it."""
        dollars = self._budget.price(ticket.prompt_tokens, ticket.completion_tokens)
        tokens = {"prompt_tokens": ticket.prompt_tokens, "completion_tokens": ticket.completion_tokens}
        self._store.note_lost(Cost(attempts=1, usd=dollars, **tokens))
        self._budget.settle(ticket, **tokens)

    def _received(self, answer: Answer, question: Question) -> Stored:
        """A reply as it is kept. What the server does not count is estimated, for the budget alone."""
        text = answer.texts[0]
        prompt = answer.usage.get("prompt_tokens", question.tokens)
        completion = answer.usage.get("completion_tokens", round(len(text.encode()) / BYTES))
        self._budget.learn(question.tokens, prompt)
        return Stored(
            text=text,
            model=answer.model,
            finish_reason=answer.finish_reasons[0],
            usage=answer.usage,
            attempts=answer.tries - answer.lost,  # those that are lost are noted as such
            time=_now(),
            prompt_tokens=prompt,
            completion_tokens=completion,
            usd=self._budget.price(prompt, completion),
        )

    def _keep(self, key: str, reply: Stored) -> None:
        self._store.keep(key, reply)
        self.keep_refusals()

    def _refuse(self, key: str, reply: Stored) -> None:
        """Keeps that there will never be a reply, so that nobody asks again.

        Raises MorerlError where there was nothing but refusals so far.
        """
        if self._refusals is None:
            self._store.keep(key, reply)
            return
        self._refusals.append((key, reply))
        if len(self._refusals) >= ALL_REFUSED:
            words = "; ".join(f"{reason}: {told}" for reason, told in self.words.items())
            raise MorerlError(f"the endpoint refuses every request ({words}); mend the server or the settings")

    def keep_refusals(self) -> None:
        """Keeps the refusals so far: the server can reply, or the run ends with nothing else."""
        for refused in self._refusals or ():
            self._store.keep(*refused)
        self._refusals = None

    def _hear(self, failure: Failure) -> None:
        if failure.reason not in self.words:
            self.words[failure.reason] = failure.detail
            log.warning("a request came to nothing [%s]: %s", failure.reason, failure.detail)


def _refused(failure: Failure, sent: Request) -> Stored:
    return Stored(
        text="",
        model=sent.options["model"],
        finish_reason="",
        attempts=failure.tries - failure.lost,
        time=_now(),
        prompt_tokens=0,
        completion_tokens=0,
        usd=0.0,
        refused=CONTENT_FILTER if failure.reason == CONTENT_FILTER else f"reply_{failure.reason}",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
