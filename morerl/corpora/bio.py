"""Named entities in columns: one token a line, its tag in the last column, an empty line between sentences.

Reads CoNLL-2003 (https://aclanthology.org/W03-0419), WNUT-17 (https://aclanthology.org/W17-4418),
CrossNER (https://github.com/zliucr/CrossNER) and any file in their form. The token is the first
column; columns are parted by tabs where the line holds one, else by blanks, and no other character
parts them, however blank it looks. A sentence ends at an empty line, a line of blanks, an empty token
(WNUT-17 parts most sentences by a lone tab) and a -DOCSTART- line; a line ends at \\n or \\r\\n alone. Before
a sentence's first token, a line `IMGID:<id>` of one column (Twitter-2015, Twitter-2017, GMNER) gives it the
picture <id>.jpg, and a line that begins with `# id` (MultiCoNER) is passed over.

Tags are O or PREFIX-TYPE, parted at the first hyphen. A file is IOB (B, I: IOB1, IOB2 and IO alike),
IOBES (B, I, E, S), BILOU (B, I, L, U) or BMES (B, M, E, S): the first of these that covers most of its
tags. Entities are then found as conlleval finds them: B and S/U always open one; I/M and E/L go on
with an open one of their type, and open one where there is none; E/L and S/U close theirs.

Left out: the columns between, other comment lines (a # may be a token), boxes in a picture and nested entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

from morerl.corpora.bio_rows import Problem, Sentence, sentences
from morerl.errors import DataError
from morerl.guidelines import known_specs, load_spec
from morerl.schema import Entity, Extraction, Reject, Sample

_SPLITS = {"train": "train", "dev": "dev|valid|testa(?![a-z])", "test": "test(?!a(?![a-z]))"}
_NO_COLUMNS = {".py", ".json", ".jsonl", ".md", ".yaml", ".yml", ".zip", ".gz"}
_NO_DATA = ("license", "readme", ".")
_GOES_ON, _CLOSES = frozenset("IMEL"), frozenset("ELSU")
_GENERIC = {"PER", "LOC", "ORG", "MISC"}  # CoNLL-2003's types are those of many corpora
_CONLL = re.compile(r"conll(_?(20)?03)?(?!_?[0-9])")


class Span(NamedTuple):
    """An entity over the tokens first to last-1 of a sentence."""

    type: str
    first: int
    last: int


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
    sentence: no_tag, bad_tag, joined_tags, not_utf8, bad_line_end, bad_image_path, line_too_long,
    sentence_too_long. Raises DataError as `splits` does, and for a split without a file.
    """
    path = _file(raw_dir, split)
    name = path.relative_to(raw_dir).as_posix()
    return (
        Reject(file=name, line=found.line, reason=found.reason, detail=found.detail)
        if isinstance(found, Problem)
        else _sample(found, f"{corpus}/{split}/{number:06d}", corpus, split)
        for number, found in enumerate(sentences(path), 1)
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
    for found in sentences(_file(raw_dir, split)):
        tags = [] if isinstance(found, Problem) else [row.tag for row in found.rows]
        ends = {(span.type, span.last) for span in spans(tags)}
        for span in spans(tags):
            stray = tags[span.first][0] in _GOES_ON
            opened += stray
            needed |= not stray and (span.type, span.first) not in ends
    return opened if needed else 0


def guess_corpus(raw_dir: Path) -> str:
    """The packaged guideline whose types are exactly those of the files, where there is one and no other.

    Else the folder's name (lower case, with _ for all else); that also for CoNLL-2003's four types, which
    many corpora share, unless the folder is called after it. Raises DataError as `splits` does.
    """
    folder, types = _folder_name(raw_dir), _types(raw_dir)
    fitting = _fitting(types)
    sure = fitting is not None and (types != _GENERIC or _CONLL.search(folder))
    return fitting if fitting is not None and sure else folder or "corpus"


def notes(raw_dir: Path, corpus: str) -> list[str]:
    """What to tell beside the counts: the guideline the types fit, if `corpus` has none, and `repairs`."""
    fitting = None if corpus in known_specs() else _fitting(_types(raw_dir))
    hint = f"the types fit the guideline {fitting}; give --name {fitting} if it is that corpus"
    counts = {split: repairs(raw_dir, split) for split in splits(raw_dir)}
    told = [f"{split}: {count} entities open without a B, and are read so" for split, count in counts.items() if count]
    return [hint, *told] if fitting else told


def _types(raw_dir: Path) -> set[str]:
    found = chain.from_iterable(map(sentences, _files(raw_dir).values()))
    tags = {row.tag for sentence in found if isinstance(sentence, Sentence) for row in sentence.rows}
    return {tag.partition("-")[2] for tag in tags - {"O"}}


def _fitting(types: set[str]) -> str | None:
    """The one packaged guideline of entities alone that has these types and no others."""
    specs = (spec for spec in map(load_spec, known_specs()) if spec.protocol == "ner")
    names = [spec.corpus for spec in specs if types and types == set(spec.types)]
    return names[0] if len(names) == 1 else None


def _folder_name(raw_dir: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "_", raw_dir.resolve().name.lower()).strip("_")


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


def _sample(found: Sentence, id_: str, corpus: str, split: str) -> Sample:
    tokens = [row.token for row in found.rows]
    starts = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    text = " ".join(tokens)
    entities = tuple(
        Entity(id=f"e{number}", text=text[start:end], type=span.type, start=start, end=end)
        for number, span in enumerate(spans([row.tag for row in found.rows]))
        for start, end in [(starts[span.first], starts[span.last] - 1)]
    )
    gold = Extraction(entities=entities)
    return Sample(id=id_, corpus=corpus, split=split, text=text, image=found.image, task="entities", gold=gold)
