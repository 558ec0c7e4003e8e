"""Entities and relations as spaCy's viewers take them (displaCy's "manual" dicts), and as a spaCy Doc.

Source: spaCy's displacy documentation and spacy/displacy/render.py (3.8), which escapes texts and tokens but writes
labels, tags and arcs into its HTML as they are. A label may be a model's own, so the dicts hold them escaped. spaCy is
imported by `doc_of` alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from morerl.errors import ConfigError, install

_WORD = re.compile(r"\S+")


class Ent(NamedTuple):
    """An entity in the text."""

    id: str
    start: int
    end: int
    label: str


class Link(NamedTuple):
    """A relation between two ids."""

    head: str
    tail: str
    label: str


def apart(ents: Sequence[Ent]) -> list[Ent]:
    """Those that do not overlap, the longer ones first, of equal ones the first; in the order of the text."""
    kept: list[Ent] = []
    for ent in sorted(ents, key=lambda e: (e.start - e.end, e.start)):
        if all(ent.end <= other.start or other.end <= ent.start for other in kept):
            kept.append(ent)
    return sorted(kept, key=lambda e: e.start)


def highlights(text: str, ents: Sequence[Ent]) -> dict[str, Any]:
    """displaCy's style `ent`."""
    return {"text": text, "ents": [{"start": e.start, "end": e.end, "label": escape(e.label)} for e in apart(ents)]}


def spans(text: str, ents: Sequence[Ent]) -> dict[str, Any]:
    """displaCy's style `span`: tokens, cut wherever an entity begins or ends, and spans over them."""
    edges = {edge for e in ents for edge in (e.start, e.end)}
    words = [word for match in _WORD.finditer(text) for word in _cut(*match.span(), edges)]
    first = {start: n for n, (start, _) in enumerate(words)}
    last = {end: n + 1 for n, (_, end) in enumerate(words)}
    inside = [e for e in ents if e.start in first and e.end in last]  # one that begins with a blank is in no token
    shown = [{"start_token": first[e.start], "end_token": last[e.end], "label": escape(e.label)} for e in inside]
    return {"text": text, "tokens": [text[start:end] for start, end in words], "spans": shown}


def _cut(start: int, end: int, edges: set[int]) -> list[tuple[int, int]]:
    inner = [start, *(edge for edge in range(start + 1, end) if edge in edges), end]
    return list(pairwise(inner))


def dependencies(text: str, ents: Sequence[Ent], regions: Sequence[str], links: Sequence[Link]) -> dict[str, Any]:
    """displaCy's style `dep`: regions, entities and the words between them as words; relations as arcs."""
    words = [{"text": f"[{region}]", "tag": "region"} for region in regions]
    at = {region: n for n, region in enumerate(regions)}
    reached = 0
    for ent in apart(ents):
        words += [{"text": word, "tag": ""} for word in text[reached : ent.start].split()]
        at[ent.id] = len(words)
        words.append({"text": text[ent.start : ent.end], "tag": escape(ent.label)})
        reached = ent.end
    words += [{"text": word, "tag": ""} for word in text[reached:].split()]
    arcs = [_arc(at[x.head], at[x.tail], x.label) for x in links if x.head in at and x.tail in at and x.head != x.tail]
    return {"words": words, "arcs": arcs}


def _arc(head: int, tail: int, label: str) -> dict[str, Any]:
    """displaCy's arcs start on the left; `dir` says at which end the arrow is, here at the tail."""
    ends, label = {"start": min(head, tail), "end": max(head, tail)}, escape(label)
    return {**ends, "label": label, "dir": "right" if head < tail else "left"}


def doc_of(nlp: Any, text: str, ents: Sequence[Ent], whole: dict[str, Any]) -> Any:
    """See `Result.to_spacy`."""
    try:
        from spacy.util import filter_spans
    except ImportError as error:
        raise ConfigError(f"to_spacy needs spaCy: {install('spacy')}") from error
    doc = nlp.make_doc(text)
    seen = [e for e in ents if text[e.start : e.end].strip()]
    found = [doc.char_span(e.start, e.end, label=e.label, span_id=e.id, alignment_mode="expand") for e in seen]
    doc.spans["morerl"] = found
    doc.ents = filter_spans([span for span in found if span.label_])
    doc.user_data["morerl"] = whole
    return doc
