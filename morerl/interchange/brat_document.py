"""One brat document -> a sample, or the reason why not; and the rules of its lines, both ways.

brat counts code points and wants every fragment of a span within one line, so a span over a line end
is written as fragments ("0 5;6 9") and joined again where nothing but line ends lies between them.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic import ValidationError

from morerl.corpora.jsonl import Refused, parse_sample
from morerl.schema import Frozen, Mention, Sample, Task

META, NOTE, UNTYPED = "Morerl", "AnnotatorNotes", "Mention"
# what brat's reader (codecs.open) takes for the end of a line
_BREAK = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_ONE_LINE = re.compile(f"[^{_BREAK}]+")
_SPAN = re.compile(r"(T[^\s]+)\t(\S+) ([0-9]{1,9} [0-9]{1,9}(?:;[0-9]{1,9} [0-9]{1,9})*)[ ]*(?:\t(.*))?", re.DOTALL)
_LINK = re.compile(r"(R[^\s]+)\t(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)\s*")
_REMARK = re.compile(r"#[^\s]*\t(\S+) (\S+)\t(.*)", re.DOTALL)
_PASSED_OVER = "EAMN*#"


class Meta(Frozen):
    """What brat's lines cannot say of a sample; one note of the document."""

    id: str | None = None
    corpus: str | None = None
    task: Task = "extract"
    image: str | None = None
    head: str | None = None
    tail: str | None = None
    types: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    gold: bool = True
    ids: dict[str, str] = {}


class _Span(NamedTuple):
    line: int
    id: str
    name: str
    start: int
    end: int


class _Link(NamedTuple):
    line: int
    id: str
    name: str
    head: str
    tail: str


class _Document(NamedTuple):
    spans: list[_Span]
    links: list[_Link]
    exact: dict[str, str]  # id of a line -> the name that its safe name stands for
    meta: Meta


def safe_name(name: str) -> str:
    """The name with ASCII letters, digits, - and _ alone; never empty."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"


def fragments(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """text[start:end] in pieces without line ends, or whole where a line end is at its edge."""
    pieces = [match.span() for match in _ONE_LINE.finditer(text, start, end)]
    return pieces if pieces and (pieces[0][0], pieces[-1][1]) == (start, end) else [(start, end)]


def shown(text: str) -> str:
    """The text on one line: line ends and tabs as blanks."""
    return re.sub(f"[{_BREAK}\t]", " ", text)


def document_sample(text: str, annotation: str, id_: str, split: str, corpus: str) -> Sample:
    """The sample of a document, with `id_` and `corpus` where no note says otherwise.

    Raises Refused with reason, detail and, where it is one line's fault, its number in the .ann file.
    """
    document = _parse(annotation, text)
    meta = document.meta
    spans = [_fields(span, document, text) for span in document.spans]
    ids = {span.id: meta.ids.get(span.id, span.id) for span in document.spans}
    links = [_link(link, ids, document) for link in document.links]
    fields: dict[str, Any] = {
        **meta.model_dump(mode="json", include={"task", "image", "head", "tail", "types", "mentions"}),
        "id": id_ if meta.id is None else meta.id,
        "corpus": corpus if meta.corpus is None else meta.corpus,
        "split": split,
        "text": text,
    }
    if meta.task == "pair":
        fields |= {"mentions": spans, **_answer(links, document)}
    elif meta.gold or spans or links:
        fields["gold"] = {"entities": spans, "relations": links}
    return parse_sample(json.dumps(fields))


def _parse(annotation: str, text: str) -> _Document:
    spans: dict[str, _Span] = {}
    links: list[_Link] = []
    exact: dict[str, str] = {}
    meta = Meta()
    for number, line in enumerate(annotation.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if match := _SPAN.fullmatch(line):
            if match[1] in spans:
                raise Refused("duplicate_id", f"{match[1]} occurred before", number)
            spans[match[1]] = _span(match, text, number)
        elif match := _LINK.fullmatch(line):
            links.append(_directed(match, number))
        elif (match := _REMARK.fullmatch(line)) and match[1] == META:
            meta = _meta(match[3], number)
        elif match and match[1] == NOTE:
            exact |= _exact(match[2], match[3])
        elif line.strip() and line[0] not in _PASSED_OVER:
            raise Refused("unknown_line", f"want a line of brat's standoff format; found {line[:60]!r}", number)
    return _Document(list(spans.values()), links, exact, meta)


def _span(match: re.Match[str], text: str, number: int) -> _Span:
    id_, name, places, surface = match.groups()
    pieces = [tuple(map(int, place.split(" "))) for place in places.split(";")]
    for (_, end), (start, _) in pairwise(pieces):
        if not (end < start and set(text[end:start]) <= set(_BREAK)):
            raise Refused("discontinuous", f"{id_}: {places} is no single span", number)
    start, end = pieces[0][0], pieces[-1][1]
    if not all(first < last <= len(text) for first, last in pieces):
        raise Refused("text_mismatch", f"{id_}: {places} is no span of the text's {len(text)} characters", number)
    if surface is not None and surface.split() != text[start:end].split():
        raise Refused("text_mismatch", f"{id_}: {places} is {text[start:end]!r}, not {surface!r}", number)
    return _Span(number, id_, name, start, end)


def _directed(match: re.Match[str], number: int) -> _Link:
    id_, name, role, head, other, tail = match.groups()
    if (role, other) == ("Arg2", "Arg1"):
        head, tail = tail, head
    return _Link(number, id_, name, head, tail)


def _meta(note: str, number: int) -> Meta:
    try:
        return Meta.model_validate_json(note)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused("bad_note", f"{'.'.join(map(str, first['loc']))}: {first['msg']}", number) from error


def _exact(id_: str, note: str) -> dict[str, str]:
    """An annotator's own words are no name, and are passed over."""
    try:
        name = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    return {id_: name} if isinstance(name, str) else {}


def _name(annotated: _Span | _Link, document: _Document) -> str:
    exact = document.exact.get(annotated.id)
    return annotated.name if exact is None or safe_name(exact) != annotated.name else exact


def _fields(span: _Span, document: _Document, text: str) -> dict[str, Any]:
    meta = document.meta
    untyped = meta.task == "pair" and span.name == UNTYPED and document.exact.get(span.id) != UNTYPED
    return {
        "id": meta.ids.get(span.id, span.id),
        "start": span.start,
        "end": span.end,
        "text": text[span.start : span.end],
        "type": None if untyped else _name(span, document),
    }


def _link(link: _Link, ids: dict[str, str], document: _Document) -> dict[str, str]:
    if missing := {link.head, link.tail} - ids.keys():
        raise Refused("unknown_argument", f"{link.id} refers to {', '.join(sorted(missing))}, no T line", link.line)
    return {"head": ids[link.head], "tail": ids[link.tail], "label": _name(link, document)}


def _answer(links: list[dict[str, str]], document: _Document) -> dict[str, Any]:
    """Head, tail and gold of a pair as the one relation has them; nothing without a relation."""
    if len(links) > 1:
        detail = f"a pair has one relation, this document has {len(links)}"
        raise Refused("several_relations", detail, document.links[1].line)
    return {"head": links[0]["head"], "tail": links[0]["tail"], "gold": {"label": links[0]["label"]}} if links else {}
