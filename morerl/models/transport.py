"""One question to a server that speaks OpenAI's /v1/chat/completions, asked until it is answered or cannot be.

On the openai client; its retries are off, so that this is the only layer of them, and its parsing is not used (it
costs more than the request). Redirects are not followed: key and pictures go to the address given and to no other.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from morerl.errors import ConfigError, MorerlError
from morerl.models.address import NO_KEY, is_local, key_for
from morerl.models.body import MOST_BYTES, OnText, whole
from morerl.models.limiter import Limiter, retry_after
from morerl.models.replies import Answer, read_answer

if TYPE_CHECKING:
    import openai

FIRST_PAUSE = 0.5  # seconds before the first retry; doubles
LONGEST_PAUSE = 30.0
RETRIES = 5  # after what may go well the next time
OVERLOADS = 30  # refusals of one request for overload, each after a pause of all, before the server is given up
CONNECT = 30.0  # seconds
IDLE = 4.0  # seconds a connection is kept: uvicorn (vLLM) closes after 5, and a request must not meet that
OVERLOADED = (429, 503)
REFUSED = (400, 413, 422)
PASSING = (408, 409)
ABOUT_ONE = (403, 404)  # of a server that has answered before: some gateways say so of a question they do not like
FILTERED = ("content_filter", "content_policy_violation")
LATER = "the server stays overloaded, or a quota is used up; try fewer requests at once, or later"
REMEDIES = {
    401: "set OPENAI_API_KEY to a key that is valid there",
    403: "this key (OPENAI_API_KEY) may not use the model",
    404: "check that the URL ends in /v1 and that the server has a model of this name",
    **dict.fromkeys(OVERLOADED, LATER),
}
NO_QUOTA = "the quota of this key (OPENAI_API_KEY) is used up; add to it and start again"


OnLost = Callable[[str], Awaitable[None]]


class Failure(Exception):
    """A question without an answer. `reason` is a short stable name, fit for counting.

    `final`: it can never be answered (http_400, http_413, http_422, content_filter), and was not asked again. Others:
    http_403 and http_404 (of a server that has answered before), http_408, http_409, http_5.., timeout, connection,
    too_long, bad_json, not_json, no_choices.
    `tries`, `lost`: as in Answer. `detail`: the server's words, printable, without the key.
    """

    def __init__(self, reason: str, *, final: bool, tries: int, lost: int, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.final, self.tries, self.lost, self.detail = reason, final, tries, lost, detail


class _Fault(NamedTuple):
    """What came of one request that was not answered."""

    reason: str
    detail: str
    lost: bool = False  # the server may have worked, and charge for it
    final: bool = False
    status: int | None = None
    wish: float | None = None  # Retry-After, in seconds
    unusable: str | None = None  # what to do about a server that cannot be used, for whatever question

    @property
    def overload(self) -> bool:
        return self.status in OVERLOADED


class Transport:
    """Asks one server, at most `concurrency` questions at once; an async context manager.

    `base_url` ends in /v1. `timeout`: seconds a request may take in all. Raises ConfigError as `key_for` does.
    """

    def __init__(self, base_url: str, *, concurrency: int, timeout: float = 600.0) -> None:
        # imported here: it takes a second, and most commands never ask a server
        import httpx2
        import openai

        self._url, self._key, self._timeout = base_url, key_for(base_url), timeout
        self.limiter = Limiter(concurrency)
        self._answered = False
        pool = {"max_connections": concurrency, "max_keepalive_connections": concurrency}
        limits = httpx2.Limits(**pool, keepalive_expiry=IDLE)
        waits = httpx2.Timeout(None, connect=CONNECT)
        proxied = not is_local(base_url)  # a proxy of the environment cannot reach this machine's own servers
        how = {"limits": limits, "timeout": waits, "follow_redirects": False, "trust_env": proxied}
        try:
            http = openai.DefaultAsyncHttpxClient(**how)
        except (ImportError, ValueError) as error:  # socks without its package; a scheme nobody knows
            raise ConfigError(
                f"the proxy of the environment (ALL_PROXY, HTTPS_PROXY) cannot be used: {error}"
            ) from error
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=self._key, max_retries=0, timeout=waits, http_client=http
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()

    async def ask(
        self, body: dict[str, Any], *, on_lost: OnLost | None = None, on_text: OnText | None = None
    ) -> Answer:
        """The answer to a request body ("model" and "messages" at least).

        `on_text` is told what is said so far, from the start, where body["stream"] asks for it and the server streams.
        `on_lost` is awaited with the reason of each attempt that the server may charge for, before another is made.
        Raises Failure where this question gets none, and MorerlError for a server that cannot be used at all: it
        cannot be reached, denies access, lacks the model, stays overloaded or does not speak the protocol; Shut once
        the limiter is.
        """
        # ASCII, for half a surrogate pair has no UTF-8
        sent = json.dumps(body, separators=(",", ":")).encode("ascii")
        faults: list[_Fault] = []
        while True:
            got = await self._permitted(sent, str(body.get("model")), on_text)
            if isinstance(got, Answer):
                return got._replace(tries=len(faults) + 1, lost=sum(fault.lost for fault in faults))
            faults.append(got)
            if got.lost and on_lost is not None:
                await on_lost(got.reason)
            self._give_up_if_due(faults, body)
            if not got.overload:
                await asyncio.sleep(_pause(sum(not fault.overload for fault in faults)))

    async def _permitted(self, sent: bytes, model: str, on_text: OnText | None) -> Answer | _Fault:
        async with self.limiter as wave:
            got = await self._once(sent, model, on_text)
            if isinstance(got, Answer):
                self._answered = True
                self.limiter.succeeded(wave)
            elif self._ends_all(got):
                self.limiter.shut()  # before the next one takes this place
            elif got.overload:
                self.limiter.overloaded(wave, got.wish)
        return got

    async def _once(self, sent: bytes, model: str, on_text: OnText | None) -> Answer | _Fault:
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(
                    "/chat/completions",
                    content=sent,
                    cast_to=httpx2.Response,
                    stream=True,  # leaves the body to be read here, where it has a limit
                    stream_cls=openai.AsyncStream[object],
                )
                data = await whole(response, on_text)
        except TimeoutError:
            return _Fault("timeout", f"no whole answer in {self._timeout:g} s", lost=True)
        except openai.APIStatusError as error:
            return _of_status(error)
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            return _of_connection(error)
        except RecursionError:
            return _Fault("bad_json", "an error nested too deep", lost=True)
        return self._read(data, response.headers.get("content-type", ""), model)

    def _read(self, data: bytes | None, kind: str, model: str) -> Answer | _Fault:
        if data is None:
            return _Fault("too_long", f"a reply of more than {MOST_BYTES} bytes", lost=True)
        got = read_answer(data, model)
        if isinstance(got, Answer):
            return got._replace(silence=got.silence and self._printable(got.silence))
        if got.reason == "bad_json" and "json" not in kind.lower():
            html = "html" in kind.lower() and not self._answered  # a gateway in front may also slip one in between
            return _Fault("not_json", "a reply that is not JSON", lost=True, unusable="" if html else None)
        return _Fault(got.reason, got.detail, lost=True)

    def _give_up_if_due(self, faults: list[_Fault], body: dict[str, Any]) -> None:
        last, overloads = faults[-1], sum(fault.overload for fault in faults)
        if self._ends_all(last) or overloads >= OVERLOADS:
            raise self._unusable(last, str(body.get("model")))
        if last.final or last.unusable is not None or len(faults) - overloads > RETRIES:
            if all(fault.reason == "unreachable" for fault in faults):
                raise MorerlError(f"{self._url} cannot be reached; check the URL, and that the server runs")
            reason = "connection" if last.reason == "unreachable" else last.reason
            lost, words = sum(fault.lost for fault in faults), self._printable(last.detail)
            raise Failure(reason, final=last.final, tries=len(faults), lost=lost, detail=words)

    def _ends_all(self, fault: _Fault) -> bool:
        """Whether the server cannot be used at all."""
        return fault.unusable is not None and not (fault.status in ABOUT_ONE and self._answered)

    def _unusable(self, fault: _Fault, model: str) -> MorerlError:
        """The error for our user: never the server's own words, which may hold the key or the whole request."""
        if fault.status is None:
            return MorerlError(f"{self._url} answers with something else than JSON; check that the URL ends in /v1")
        remedy = fault.unusable or REMEDIES.get(fault.status, "look at the server's log")
        return MorerlError(f"{self._url} answers {fault.status} for the model {model!r}: {remedy}")

    def _printable(self, words: str) -> str:
        """At most 300 characters: a server may echo the key, and may send what a terminal would obey."""
        shown = "".join(c for c in words[:10_000] if c.isprintable())
        return (shown if self._key == NO_KEY else shown.replace(self._key, "***"))[:300]


def _of_status(error: openai.APIStatusError) -> _Fault:
    status, code = error.status_code, str(error.code)
    told = error.body.get("message") if isinstance(error.body, dict) else None
    words = told if isinstance(told, str) and told else error.response.text or str(error)
    fault = _Fault(f"http_{status}", words, status=status)
    if status in OVERLOADED:
        spent = status == 429 and "insufficient_quota" in (code, error.type)
        wish = retry_after(error.response.headers.get("retry-after"), time.time())
        return fault._replace(wish=wish, unusable=NO_QUOTA if spent else None)
    if status < 500 and code in FILTERED:
        return fault._replace(reason="content_filter", final=True)
    if status in REFUSED:
        return fault._replace(final=True)
    if status in PASSING or status >= 500:
        return fault._replace(lost=status >= 500)
    remedy = "it sends elsewhere; give the address that it leads to" if status < 400 else ""
    return fault._replace(unusable=remedy)


def _of_connection(error: Exception) -> _Fault:
    import httpx2

    cause = error.__cause__ or error
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
        return _Fault("unreachable", "no connection")
    return _Fault("connection", f"the connection broke ({type(cause).__name__})", lost=True)


def _pause(faults: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** (faults - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
