"""A sample's draws: which request comes next, and what the gates say of each reply.

Whether another draw is wanted follows from the replies alone, so that asking the endpoint and reading the store come to
the same chains, whenever a run was interrupted.
"""

from __future__ import annotations

from typing import NamedTuple

from morerl.prompts.parse import parse
from morerl.schema import Sample
from morerl.scoring import is_right
from morerl.settings import Settings, TeachSettings
from morerl.task import TaskSpec
from morerl.teacher.gates import judge
from morerl.teacher.requests import Request, request
from morerl.teacher.store import Store, Stored
from morerl.teacher.strategies import ASKING

CONTENT_FILTER = "content_filter"


class Chain(NamedTuple):
    """One draw of a sample."""

    sent: Request
    reply: Stored
    reason: str | None  # why it is rejected
    right: bool  # its answer, whatever the gates say


def wanted(chains: list[Chain], sample: Sample, prompt_hash: str, spec: TaskSpec, settings: Settings) -> Request | None:
    """The next request of a sample that has those chains; None: it has all it needs."""
    if chains and not _wants_another(chains[-1], settings.teach):
        return None
    if len(chains) == most_draws(settings.teach):
        return None
    return request(sample, prompt_hash, settings, spec, len(chains))


def judged(sent: Request, reply: Stored, sample: Sample, spec: TaskSpec, settings: Settings, store: Store) -> Chain:
    """A reply with what the gates say of it; they are asked once while the store is open."""
    if (known := store.verdict(sample.id, sent.key)) is not None:
        return Chain(sent, reply, *known)
    template = ASKING[settings.teach.strategy].template(sample)
    reason = reply.refused or judge(reply.text, reply.finish_reason, sample, spec, template, settings.teach.gates)
    right = reason is None or is_right(sample, parse(reply.text, spec, sample).answer, spec)
    store.note_verdict(sample.id, sent.key, reason, right)
    return Chain(sent, reply, reason, right)


def stored(
    sample: Sample, prompt_hash: str, spec: TaskSpec, settings: Settings, store: Store
) -> tuple[list[Chain], Request | None]:
    """A sample's chains as far as the store holds their replies, and the request that is still to be sent, if any."""
    chains: list[Chain] = []
    while (sent := wanted(chains, sample, prompt_hash, spec, settings)) is not None:
        reply = store.reply(sent.key)
        if reply is None:
            return chains, sent
        chains.append(judged(sent, reply, sample, spec, settings, store))
    return chains, None


def most_draws(teach: TeachSettings) -> int:
    """At most so many draws a sample."""
    return teach.draws if teach.strategy == "distill" else 1 + teach.retries


def _wants_another(last: Chain, teach: TeachSettings) -> bool:
    if last.reply.refused is not None:
        return False  # the server refuses the question, not the draw
    return teach.strategy == "distill" or (last.reason is not None and last.reason != CONTENT_FILTER)
