"""What a run would ask and cost, with nothing sent: `--dry-run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from morerl.prompts.render import Messages
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.ask import most_draws
from morerl.teacher.budget import usd
from morerl.teacher.choose import stratum
from morerl.teacher.plan import Work, price_of
from morerl.teacher.requests import question, request
from morerl.teacher.store import Store


class Estimate(NamedTuple):
    """Figures of a run to come. Tokens are estimated from bytes and pixels; of replies, as the server counted them."""

    samples: int
    by_label: dict[str, int]
    kept: int  # samples whose first reply is at hand already
    pictures: int
    prompt_tokens: int  # of one draw for each sample that is left
    longest_prompt: int
    draws: int  # at most so many a sample
    max_new_tokens: int
    reply_tokens: float | None  # mean of the replies at hand
    attempts: float | None  # requests a sample, of those at hand
    usd_least: float | None  # prompts of one draw each, replies without a word
    usd_likely: float | None  # as the replies at hand were
    usd_most: float | None  # every draw taken, every reply as long as allowed
    example: Messages  # the first prompt that would be sent


class _Seen(NamedTuple):
    """What rendering every prompt showed."""

    kept: int
    pictures: int
    tokens: list[int]  # of each prompt that is left to ask
    example: Messages


def estimate(
    work: Work, settings: Settings, *, limit: int | None = None, listener: Callable[[int, int], object]
) -> Estimate:
    """Renders every prompt of the run; sends nothing. Raises what asking would raise of settings, data and pictures."""
    samples = work.chosen[:limit]
    with Store(work.store) if work.store.is_file() else nullcontext() as store:
        seen = _render(samples, work.spec, settings, store, listener)
        replies = store.totals() if store is not None and seen.kept else None
    prompt, most, draws = sum(seen.tokens), settings.teach.max_new_tokens, most_draws(settings.teach)
    reply_tokens = replies.completion_tokens / replies.replies if replies else None
    attempts = replies.replies / seen.kept if replies else None
    price, left = price_of(settings), len(seen.tokens)
    return Estimate(
        samples=len(samples),
        by_label=dict(Counter(map(stratum, samples)).most_common()),
        kept=seen.kept,
        pictures=seen.pictures,
        prompt_tokens=prompt,
        longest_prompt=max(seen.tokens, default=0),
        draws=draws,
        max_new_tokens=most,
        reply_tokens=reply_tokens,
        attempts=attempts,
        usd_least=usd(price, prompt, 0),
        usd_likely=usd(price, prompt * attempts, left * attempts * reply_tokens) if attempts and reply_tokens else None,
        usd_most=usd(price, prompt * draws, left * draws * most),
        example=seen.example,
    )


def _render(
    samples: Sequence[Sample],
    spec: TaskSpec,
    settings: Settings,
    store: Store | None,
    listener: Callable[[int, int], object],
) -> _Seen:
    kept = pictures = 0
    tokens: list[int] = []
    example: Messages = []
    for done, sample in enumerate(samples, 1):
        asked = question(sample, spec, settings)
        example = example or asked.messages
        if store is not None and store.reply(request(asked, settings, spec, 0).key) is not None:
            kept += 1
        else:
            tokens.append(asked.tokens)
            pictures += len(asked.images)
        listener(done, len(samples))
    return _Seen(kept, pictures, tokens, example)
