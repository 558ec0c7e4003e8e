"""One completion as the rewards see it: parsed once, and laid beside gold once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from morerl.prompts.parse import Parsed, parse
from morerl.schema import Extraction, Frozen, Sample
from morerl.scoring import spans
from morerl.task import TaskSpec

# each stops at the next mark that could open another, so that many marks cost no more than the length
QUOTED = (re.compile("“([^“”]*)”"), re.compile(r'"([^"\n]*)"'), re.compile(r"(?<!\w)'([^'\n]*)'(?!\w)"))


class Quote(NamedTuple):
    """What stands between two marks, and from where to where in the reasoning, marks included."""

    words: str
    start: int
    end: int


class Terms(Frozen):
    """What a reward may depend on beside completion, sample and task."""

    steps: int = 0  # numbered steps the prompt asks for; 0: none
    length_threshold: int = 1024  # characters of reasoning
    max_tokens: int | None = None  # that a completion may have; None: no limit
    overlong_buffer: float = 0.2  # the last share of max_tokens, in which `overlong` grows


@dataclass(frozen=True, kw_only=True)
class Case:
    """A completion, what it answers, and what it is judged by."""

    completion: str
    sample: Sample
    spec: TaskSpec
    terms: Terms
    tokens: int | None = None  # of the completion, its end token counted; None: not known

    @cached_property
    def parsed(self) -> Parsed:
        """What the parser makes of it."""
        return parse(self.completion, self.spec, self.sample)

    @cached_property
    def well_formed(self) -> bool:
        """Think, then answer, each once, nothing outside."""
        return self.parsed.well_formed

    @cached_property
    def given(self) -> Extraction | None:
        """The extraction it answers; None where there is none."""
        answer = self.parsed.answer
        return answer if isinstance(answer, Extraction) else None

    @cached_property
    def gold(self) -> Extraction | None:
        """The right extraction; None where it is not known."""
        return spans.gold_of(self.sample, self.spec) if isinstance(self.sample.gold, Extraction) else None

    @cached_property
    def allowed(self) -> Callable[[str | None, str | None], tuple[str, ...]]:
        """`spec.allowed`, asked once for each two types."""
        return cache(self.spec.allowed)

    @cached_property
    def quotes(self) -> list[Quote]:
        """What the reasoning puts between quotation marks, kind by kind."""
        return [Quote(match[1].strip(), *match.span()) for one in QUOTED for match in one.finditer(self.parsed.think)]

    @cached_property
    def entities(self) -> spans.Part:
        """Typed spans: how many are right, given and in gold. Nothing is right where either side is None."""
        if self.given is None or self.gold is None:
            return NOTHING
        return spans.part(spans.entity_spans(self.given), spans.entity_spans(self.gold))

    @cached_property
    def relations(self) -> spans.Part:
        """Ordered pairs of spans with their label, whatever the types: right, given and in gold."""
        if self.given is None or self.gold is None:
            return NOTHING
        given, gold = (spans.links(one, by="place") for one in (self.given, self.gold))
        return spans.part(set(given), set(gold))


NOTHING = spans.Part(right=0, given=1, gold=1)
