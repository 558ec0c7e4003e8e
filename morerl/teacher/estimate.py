"""What a run would ask and cost, with nothing sent: `--dry-run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

from morerl.errors import DataError, ImageError
from morerl.prompts.render import Messages
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.teacher.budget import usd
from morerl.teacher.chains import most_draws, stored
from morerl.teacher.choose import stratum
from morerl.teacher.plan import Work, price_of
from morerl.teacher.requests import ask_about
from morerl.teacher.store import Store


class Estimate(NamedTuple):
    """Figures of a run to come. Tokens are estimated from bytes and pixels; of replies, as the server counted them."""

    samples: int
    by_label: dict[str, int]
    at_hand: int  # samples that need no further request
    unusable: int  # samples whose picture cannot be shown
    requests: int  # at the least
    most_requests: int
    pictures: int  # of those requests
    prompt_tokens: int  # of those requests
    longest_prompt: int
    max_new_tokens: int
    reply_tokens: float | None  # mean of the replies at hand
    usd_least: float | None  # those requests, replies without a word
    usd_likely: float | None  # as the samples at hand were
    usd_most: float | None  # every draw taken, every reply as long as allowed
    example: Messages  # the first prompt


class _Sums:
    """What rendering every prompt shows."""

    def __init__(self) -> None:
        self.at_hand = self.unusable = self.requests = self.most = self.pictures = 0
        self.prompt = self.most_prompt = self.longest = 0
        self.replies: list[int] = []  # tokens of each
        self.example: Messages = []


def estimate(
    work: Work, settings: Settings, *, listener: Callable[[int, int], object] = lambda done, total: None
) -> Estimate:
    """Renders every prompt of the run; sends nothing. Raises what asking would raise of settings, data and pictures."""
    samples, sums = work.now, _Sums()
    with Store(work.store) if work.store.is_file() else nullcontext() as store:
        for done, sample in enumerate(samples, 1):
            _add(sums, sample, work, settings, store)
            listener(done, len(samples))
    price, longest = price_of(settings), settings.teach.max_new_tokens
    mean = sum(sums.replies) / len(sums.replies) if sums.replies else None
    each = len(sums.replies) / sums.at_hand if sums.at_hand else None
    likely = None
    if mean is not None and each is not None:
        left = len(samples) - sums.at_hand - sums.unusable
        likely = usd(price, sums.prompt * max(1.0, each * left / max(1, sums.requests)), left * each * mean)
    return Estimate(
        samples=len(samples),
        by_label=dict(Counter(map(stratum, samples)).most_common()),
        at_hand=sums.at_hand,
        unusable=sums.unusable,
        requests=sums.requests,
        most_requests=sums.most,
        pictures=sums.pictures,
        prompt_tokens=sums.prompt,
        longest_prompt=sums.longest,
        max_new_tokens=longest,
        reply_tokens=mean,
        usd_least=usd(price, sums.prompt, 0),
        usd_likely=likely,
        usd_most=usd(price, sums.most_prompt, sums.most * longest),
        example=sums.example,
    )


def _add(sums: _Sums, sample: Sample, work: Work, settings: Settings, store: Store | None) -> None:
    try:
        question = ask_about(sample, work.spec, settings)
    except DataError as error:
        if not isinstance(error.__cause__, ImageError):
            raise
        sums.unusable += 1
        return
    sums.example = sums.example or question.messages
    sums.longest = max(sums.longest, question.tokens)
    chains = []
    if store is not None:
        chains, missing = stored(sample, question.prompt_hash, work.spec, settings, store)
        if missing is None:
            sums.at_hand += 1
            sums.replies += [chain.reply.completion_tokens for chain in chains]
            return
    most = most_draws(settings.teach) - len(chains)
    surely = most if settings.teach.strategy == "distill" else 1
    sums.requests += surely
    sums.most += most
    sums.pictures += surely * len(question.images)
    sums.prompt += surely * question.tokens
    sums.most_prompt += most * question.tokens
