"""The lines of SciER's two forms as sentences: `Listed` of the LLM form, `Placed` of the PLM form.

Every field is checked: names, types, labels, spans inside their sentence. A bad sentence is a Reject in its place,
so that the rows keep their numbers; a document whose sentences cannot be counted is a DataError.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from morerl.errors import DataError
from morerl.schema import Reject

TYPES = ("Dataset", "Method", "Task")
RELATIONS = (
    "Part-Of",
    "SubClass-Of",
    "SubTask-Of",
    "Benchmark-For",
    "Trained-With",
    "Evaluated-With",
    "Synonym-Of",
    "Used-For",
    "Compare-With",
)
MAX_LINE = 10_000_000  # bytes; the longest line of the release has 152,077

Name = tuple[str, str]  # a mention's string and type


class Listed(NamedTuple):
    """A sentence of the LLM form: strings without places."""

    file: str
    line: int
    text: str
    mentions: tuple[Name, ...]
    relations: tuple[tuple[Name, str, Name], ...]


class Placed(NamedTuple):
    """A sentence with places: half-open character spans, and relations between indices of mentions."""

    file: str
    line: int
    text: str
    mentions: tuple[tuple[tuple[int, int], str], ...]
    relations: tuple[tuple[int, str, int], ...]


class Refused(Exception):
    """A row that cannot become a sample: the reason and the detail of its Reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail[:500]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    doc_id: str | None = None
    doc_key: str | None = None


class _Sentence(_Line):
    sentence: str
    ner: list[tuple[str, str]]
    rel: list[tuple[str, str, str]]
    rel_plus: list[tuple[str, str, str]]


class _Document(_Line):
    doc_tokens: list[str]
    sentences: list[list[str]]
    ner: list[list[tuple[int, int, str]]]
    relations: list[list[tuple[int, int, int, int, str]]]


_Row = TypeVar("_Row", _Sentence, _Document)


class _Countable(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    sentences: list[Any]


def tells_places(path: Path) -> bool:
    """Whether the file is of the PLM form, by its first line that is not empty."""
    for _, line in _lines(path):
        try:
            return bool(_Countable.model_validate_json(line)) if line else False
        except ValidationError:
            return False
    return False


def listed_rows(path: Path, root: Path) -> Iterator[Listed | Reject]:
    """The sentences of a file of the LLM form; Rejects name it from `root` on."""
    name = path.relative_to(root).as_posix()
    for number, line in _lines(path):
        try:
            row = _validated(_Sentence, line)
            yield Listed(name, number, row.sentence, tuple(row.ner), _checked(row))
        except Refused as refused:
            yield Reject(file=name, line=number, reason=refused.reason, detail=refused.detail)


def placed_rows(path: Path, root: Path) -> Iterator[Placed | Reject]:
    """The sentences of a file of the PLM form; the line of a Reject is the document's.

    Raises DataError for a document whose sentences cannot be counted.
    """
    name = path.relative_to(root).as_posix()
    for number, line in _lines(path):
        try:
            document = _document(line)
        except Refused as refused:
            reject = Reject(file=name, line=number, reason=refused.reason, detail=refused.detail)
            yield from (reject for _ in range(_count(line, path, reject)))
            continue
        first = 0
        for index, tokens in enumerate(document.sentences):
            try:
                yield _placed(document, index, first, name, number)
            except Refused as refused:
                detail = f"sentence {index}: {refused.detail}"
                yield Reject(file=name, line=number, reason=refused.reason, detail=detail)
            first += len(tokens)


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Every line that is not blank with its number; None for one that is too long to be read."""
    number, tail = 0, False
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE):
                number, cut = number + (not tail), not raw.endswith(b"\n") and len(raw) == MAX_LINE
                line = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if not tail and (line or cut):
                    yield number, None if cut else line
                tail = cut
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _validated(model: type[_Row], line: bytes | None) -> _Row:
    if line is None:
        raise Refused("line_too_long", f"{MAX_LINE:,} bytes or more")
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reasons = {"json_invalid": "bad_json", "extra_forbidden": "unknown_field", "missing": "missing_field"}
        # A tuple that is too short "misses" an item, which is not a missing field.
        reason = reasons.get(first["type"], "bad_field") if len(first["loc"]) < 2 else "bad_field"
        raise Refused(reason, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _checked(row: _Sentence) -> tuple[tuple[Name, str, Name], ...]:
    """The relations with the types of their arguments, once everything a sentence says has been looked at."""
    if not row.sentence.strip():
        raise Refused("empty_sentence", "the sentence has no words")
    if len(row.rel) != len(row.rel_plus):
        raise Refused("rel_plus_disagrees", f"{len(row.rel)} in rel, {len(row.rel_plus)} in rel_plus")
    _known(type_ for _, type_ in row.ner)
    relations = []
    for (head, label, tail), (typed_head, typed_label, typed_tail) in zip(row.rel, row.rel_plus, strict=True):
        names = _name(typed_head), _name(typed_tail)
        if (head, label, tail) != (names[0][0], typed_label, names[1][0]):
            said = f"{[head, label, tail]} in rel, {[typed_head, typed_label, typed_tail]} in rel_plus"
            raise Refused("rel_plus_disagrees", said)
        relations.append((names[0], _label(label), names[1]))
    return tuple(relations)


def _name(typed: str) -> Name:
    string, _, type_ = typed.rpartition(":")
    return string, type_


def _known(types: Iterator[str]) -> None:
    for type_ in types:
        if type_ not in TYPES:
            raise Refused("unknown_type", f"{type_[:80]!r} is none of {', '.join(TYPES)}")


def _label(label: str) -> str:
    if label not in RELATIONS:
        raise Refused("unknown_label", f"{label[:80]!r} is none of the nine")
    return label


def _document(line: bytes | None) -> _Document:
    document = _validated(_Document, line)
    sizes = {len(document.sentences), len(document.ner), len(document.relations)}
    if len(sizes) > 1:
        raise Refused("bad_field", f"sentences, ner and relations differ in length: {sorted(sizes)}")
    if [token for tokens in document.sentences for token in tokens] != document.doc_tokens:
        raise Refused("tokens_disagree", "the sentences are not the doc_tokens, so that spans may mean either")
    return document


def _count(line: bytes | None, path: Path, reject: Reject) -> int:
    try:
        return len(_Countable.model_validate_json(line or b"").sentences)
    except ValidationError as error:
        raise DataError(
            f"{path}:{reject.line}: {reject.reason}: {reject.detail}. The sentences of this document cannot be "
            "counted, so those after it would get wrong numbers; get the file again"
        ) from error


def _placed(document: _Document, index: int, first: int, name: str, number: int) -> Placed:
    """One sentence, whose tokens begin at token `first` of the document."""
    tokens, ner = document.sentences[index], document.ner[index]
    text = " ".join(tokens)
    if not text.strip():
        raise Refused("empty_sentence", "the sentence has no words")
    _known(type_ for _, _, type_ in ner)
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    at: dict[tuple[int, int], int] = {}
    for start, end, _ in ner:
        if not first <= start <= end < first + len(tokens):
            raise Refused("bad_span", f"[{start}, {end}] is outside the tokens {first} to {first + len(tokens) - 1}")
        if (start, end) in at:
            raise Refused("duplicate_mention", f"[{start}, {end}] is two mentions")
        at[start, end] = len(at)
    mentions = tuple(((starts[start - first], starts[end - first + 1] - 1), type_) for start, end, type_ in ner)
    return Placed(name, number, text, mentions, tuple(_ends(at, item) for item in document.relations[index]))


def _ends(at: dict[tuple[int, int], int], relation: tuple[int, int, int, int, str]) -> tuple[int, str, int]:
    *places, label = relation
    head, tail = at.get((places[0], places[1])), at.get((places[2], places[3]))
    if head is None or tail is None:
        raise Refused("unknown_argument", f"{places} joins a span that is no mention")
    return head, _label(label), tail
