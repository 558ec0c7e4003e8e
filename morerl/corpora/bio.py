"""Named entities in columns: one token a line, its tag in the last column, an empty line between sentences.

Reads CoNLL-2003 (https://aclanthology.org/W03-0419), WNUT-17 (https://aclanthology.org/W17-4418),
CrossNER (https://github.com/zliucr/CrossNER) and any file in their form. The token is the first
column; columns are parted by tabs where the line holds one, else by blanks, and no other character
parts them, however blank it looks. A sentence ends at an empty line, a line of blanks, an empty token
(WNUT-17 parts most sentences by a lone tab) and a -DOCSTART- line.

Tags are O or PREFIX-TYPE, parted at the first hyphen. A file is IOB (B, I: IOB1, IOB2 and IO alike),
IOBES (B, I, E, S), BILOU (B, I, L, U) or BMES (B, M, E, S): the first of these that covers most of its
tags. Entities are then found as conlleval finds them: B and S/U always open one; I/M and E/L go on
with an open one of their type, and open one where there is none; E/L and S/U close theirs.

Left out: the columns between, comment lines (a # may be a token), picture ids and nested entities.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

from morerl.errors import DataError
from morerl.guidelines import known_specs, load_spec
from morerl.schema import Entity, Extraction, Reject, Sample

SCHEMES = {"IOB": "BI", "IOBES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
MAX_LINE = 10_000  # bytes
MAX_TOKENS = 10_000  # a file without empty lines is one sentence, and must not fill the memory

_SPLITS = {"train": "train", "dev": "dev|valid|testa(?![a-z])", "test": "test(?!a(?![a-z]))"}
_NO_COLUMNS = {".py", ".json", ".jsonl", ".md", ".yaml", ".yml", ".zip", ".gz"}
_NO_DATA = ("license", "readme", ".")
_BLANKS = " \t\r\n"
_GOES_ON, _CLOSES = frozenset("IMEL"), frozenset("ELSU")
_COLUMNS = re.compile(r"[ \r]+")


class Span(NamedTuple):
    """An entity over the tokens first to last-1 of a sentence."""

    type: str
    first: int
    last: int


class _Row(NamedTuple):
    line: int
    token: str
    tag: str


class _Problem(NamedTuple):
    line: int
    reason: str
    detail: str


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Which of train, dev and test the folder holds, told by the names of its files.

    A name holds train, dev (or valid, testa) or test (or testb), in any case and with any suffix; the
    folders below are looked into only where the folder itself has no such file. A file *.annotated wins
    (WNUT-17: emerging.test.conll holds labels that were not yet agreed on). Raises DataError where there
    is no file, a name says two splits, or a split has two files.
    """
    return tuple(_files(raw_dir))


def read(raw_dir: Path, split: str, *, corpus: str) -> Iterator[Sample | Reject]:
    """The sentences of a split in file order, each with its entities; a sentence with a bad line is a Reject.

    Ids count all sentences from 000001, rejected ones too. A Reject names the first bad line of its
    sentence: no_tag, bad_tag, joined_tags, not_utf8, line_too_long, sentence_too_long. Raises DataError as
    `splits` does, and for a split without a file.
    """
    path = _file(raw_dir, split)
    name = path.relative_to(raw_dir).as_posix()
    return (
        Reject(file=name, line=found.line, reason=found.reason, detail=found.detail)
        if isinstance(found, _Problem)
        else _sample(found, f"{corpus}/{split}/{number:06d}", corpus, split)
        for number, found in enumerate(_sentences(path), 1)
    )


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """The entities of one sentence in the order of its tags, found as conlleval finds them."""
    opened: Span | None = None
    for index, tag in enumerate(tags):
        prefix, _, type_ = tag.partition("-")
        goes_on = opened is not None and prefix in _GOES_ON and opened.type == type_
        if opened and not goes_on:
            yield opened._replace(last=index)
        if tag == "O":
            opened = None
        elif not goes_on:
            opened = Span(type_, index, index + 1)
        if opened and prefix in _CLOSES:
            yield opened._replace(last=index + 1)
            opened = None
    if opened:
        yield opened._replace(last=len(tags))


def repairs(raw_dir: Path, split: str) -> int:
    """How many entities of a split open without the B its scheme asks for (0 where the tags are IOB1 or IO).

    IOB1 has a B only between two neighbours of one type, so a B elsewhere says that openings need one.
    """
    opened, needed = 0, False
    for found in _sentences(_file(raw_dir, split)):
        tags = [] if isinstance(found, _Problem) else [row.tag for row in found]
        ends = {(span.type, span.last) for span in spans(tags)}
        for span in spans(tags):
            stray = tags[span.first][0] in _GOES_ON
            opened += stray
            needed |= not stray and (span.type, span.first) not in ends
    return opened if needed else 0


def guess_corpus(raw_dir: Path) -> str:
    """The packaged guideline that knows all types of the files and the fewest others.

    The folder's name (lower case, with _ for all else) where there is no such guideline or more than
    one. Raises DataError as `splits` does.
    """
    sentences = chain.from_iterable(map(_sentences, _files(raw_dir).values()))
    tags = {row.tag for rows in sentences if not isinstance(rows, _Problem) for row in rows}
    types = {tag.partition("-")[2] for tag in tags - {"O"}}
    specs = [spec for spec in map(load_spec, known_specs()) if spec.protocol == "ner"]
    sizes = {spec.corpus: len(spec.types) for spec in specs if types and types <= set(spec.types)}
    smallest = [name for name, size in sizes.items() if size == min(sizes.values())]
    folder = re.sub(r"[^a-z0-9]+", "_", raw_dir.resolve().name.lower()).strip("_")
    return smallest[0] if len(smallest) == 1 else folder or "corpus"


def _file(raw_dir: Path, split: str) -> Path:
    files = _files(raw_dir)
    if split not in files:
        raise DataError(f"no file of the split {split!r} in {raw_dir}; it has {', '.join(files)}")
    return files[split]


def _files(raw_dir: Path) -> dict[str, Path]:
    for pattern in ("*", "[!.]*/*"):
        found: dict[str, list[Path]] = {split: [] for split in _SPLITS}
        for path in sorted(raw_dir.glob(pattern)):
            if split := _split_of(path):
                found[split].append(path)
        if any(found.values()):
            return {split: _only(paths, split) for split, paths in found.items() if paths}
    wanted = "one for each split, with train, dev (or valid, testa) or test (or testb) in its name"
    raise DataError(f"no column file in {raw_dir}; want {wanted}, such as train.txt")


def _split_of(path: Path) -> str | None:
    name = path.name.lower()
    if path.suffix.lower() in _NO_COLUMNS or name.startswith(_NO_DATA) or not path.is_file():
        return None
    named = [split for split, words in _SPLITS.items() if re.search(words, name)]
    if len(named) > 1:
        raise DataError(f"the name of {path} says {' and '.join(named)}; rename it to say one split")
    return named[0] if named else None


def _only(paths: list[Path], split: str) -> Path:
    paths = [path for path in paths if path.suffix == ".annotated"] or paths
    if len(paths) > 1:
        raise DataError(f"more than one file of the split {split}: {', '.join(map(str, paths))}; keep one of them")
    return paths[0]


def _sentences(path: Path) -> Iterator[list[_Row] | _Problem]:
    """Sentences, or the first problem of each that has one."""
    prefixes = SCHEMES[_scheme(path)]
    rows: list[_Row] = []
    problem: _Problem | None = None
    for row in chain(_rows(path), [None]):
        if row is None:
            if problem or rows:
                yield problem or rows
            rows, problem = [], None
        elif problem is None:
            problem = row if isinstance(row, _Problem) else _problem(row, prefixes, len(rows))
            if isinstance(row, _Row):
                rows.append(row)


def _scheme(path: Path) -> str:
    prefixes = Counter(row.tag[0] for row in _rows(path) if isinstance(row, _Row) and row.tag[1:2] == "-")
    return max(SCHEMES, key=lambda scheme: sum(prefixes[prefix] for prefix in SCHEMES[scheme]))


def _problem(row: _Row, prefixes: str, before: int) -> _Problem | None:
    prefix, _, type_ = row.tag.partition("-")
    if before == MAX_TOKENS:
        return _Problem(row.line, "sentence_too_long", f"more than {MAX_TOKENS:,} lines without an empty one")
    if row.tag == "O" or (len(prefix) == 1 and prefix in prefixes and type_ and "," not in type_):
        return None
    if "," in row.tag:
        return _Problem(row.line, "joined_tags", f"{row.tag[:60]!r} holds more than one tag")
    return _Problem(row.line, "bad_tag", f"{row.tag[:60]!r} is neither O nor one of {', '.join(prefixes)}, -, a type")


def _rows(path: Path) -> Iterator[_Row | _Problem | None]:
    """The lines of a file, None where a sentence ends."""
    number = 0
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                yield _row(number, raw)
                while len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _row(number: int, raw: bytes) -> _Row | _Problem | None:
    if len(raw) > MAX_LINE:
        return _Problem(number, "line_too_long", f"more than {MAX_LINE:,} bytes")
    try:
        line = raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8").rstrip(_BLANKS)
    except UnicodeDecodeError as error:
        return _Problem(number, "not_utf8", str(error))
    columns = line.split("\t") if "\t" in line else _COLUMNS.split(line.lstrip(_BLANKS))
    token, tag = columns[0].strip(_BLANKS), columns[-1].strip(_BLANKS)
    if token in ("", "-DOCSTART-"):
        return None
    if len(columns) == 1:
        return _Problem(number, "no_tag", f"{line[:60]!r} is one column; want a token and its tag")
    return _Row(number, token, tag)


def _sample(rows: list[_Row], id_: str, corpus: str, split: str) -> Sample:
    tokens = [row.token for row in rows]
    starts = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    text = " ".join(tokens)
    entities = tuple(
        Entity(id=f"e{number}", text=text[start:end], type=span.type, start=start, end=end)
        for number, span in enumerate(spans([row.tag for row in rows]))
        for start, end in [(starts[span.first], starts[span.last] - 1)]
    )
    return Sample(id=id_, corpus=corpus, split=split, text=text, task="entities", gold=Extraction(entities=entities))
