"""Whether a chain repeats what its teacher was asked instead of doing it.

Instructions are the strategies' wording and the student's numbered steps, as plain text: what stands between the jinja
of their templates. Left out: the guideline, which a chain may well cite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from morerl.prompts.parse import STEP
from morerl.prompts.render import TEMPLATES
from morerl.teacher.quotes import squeeze
from morerl.teacher.strategies import ASKING

SHORT = 8  # an instruction of fewer words may stand in any text by chance
ENOUGH = 12  # words in a row of a longer one; in fewer, "the type of the head and the type of the tail" would be one
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
# jinja but for its strings, tags of the form and the ends of sentences
BETWEEN = re.compile(r"[{}\"]|<[^<>]*>|[.;?\n]")


def copied(words: str) -> str | None:
    """The first instruction, or part of one, that the words hold; case, blanks and punctuation do not count."""
    flat = squeeze(words)
    return next((piece.strip() for piece in _pieces() if piece in flat), None)


@cache
def _pieces() -> tuple[str, ...]:
    found = dict.fromkeys(piece for line in _instructions() for piece in _rows(squeeze(line).split()))
    return tuple(found)


def _instructions() -> Iterator[str]:
    for path in (*(strategy.WORDING for strategy in ASKING.values()), TEMPLATES / "stepwise.jinja"):
        source = COMMENT.sub("", Path(path).read_text(encoding="utf-8"))
        if path.parent == TEMPLATES:
            source = "\n".join(STEP.sub("", line) for line in source.splitlines() if STEP.match(line))
        yield from BETWEEN.split(source)


def _rows(words: list[str]) -> Iterator[str]:
    """A short instruction whole, a long one in all its runs of ENOUGH words."""
    if len(words) >= SHORT:
        for start in range(max(1, len(words) - ENOUGH + 1)):
            yield f" {' '.join(words[start : start + ENOUGH])} "
